"""Write an export's files: Spark's executors in parallel, then their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

from jobs.export.forms import PLACE, Form, Layout, ShardBounds, Size, file_name, placed
from jobs.export.storage import Target
from jobs.runtime.errors import BackpromptError

_STAGED: Final = re.compile(r"in_config=([^/]+)/in_split=([^/]+)/in_shard=(\d+)/part-(.+)")
_PART: Final = re.compile(r"\.c(\d+)\.|-c(\d+)\.")
# A row group is what a reader holds in memory; Parquet's own 128 MB are much for long texts.
_ROW_GROUP_BYTES: Final = 32 << 20
_COMPRESSION: Final = "zstd"


@dataclass(frozen=True, slots=True)
class Written:
    """What was written of a config and split."""

    files: int
    rows: int
    bytes: int
    """Of the files."""


def write(
    rows: DataFrame,
    target: Target,
    form: Form,
    layout: Layout,
    configs: Mapping[str, str],
    sizes: Mapping[tuple[str, str], Size],
    bounds: ShardBounds,
) -> dict[tuple[str, str], Written]:
    """Write the rows of an export and name their files.

    Args:
        rows: as ``to_form`` gives them.
        target: where to.
        form: the form; chat becomes JSON lines, the others Parquet.
        layout: the layout.
        configs: config by the lake's language code.
        sizes: rows and bytes by config and split.
        bounds: how large a file may be.

    Returns:
        What was written by config and split.

    Raises:
        BackpromptError: if what stands there in the end is not what was counted before.
    """
    shards = {key: bounds.count(size.rows, size.bytes) for key, size in sizes.items()}
    writer = placed(rows, configs, shards).write.partitionBy(*PLACE).mode("errorifexists")
    writer = writer.option("maxRecordsPerFile", bounds.rows)
    if form == "chat":
        writer.option("ignoreNullFields", "false").json(target.staged)
    else:
        writer.option("compression", _COMPRESSION).option("parquet.block.size", _ROW_GROUP_BYTES).parquet(target.staged)
    found = _staged(target)
    counts = _count(rows.sparkSession, target.staged, form) if found else {}
    lost = {key for key, size in sizes.items() if counts.get(key) != size.rows} | (found.keys() - sizes.keys())
    if lost:
        config, split = min(lost)
        raise BackpromptError(
            f"{target.staged} holds {counts.get((config, split), 0):,} rows of {config}, {split}, where "
            f"{sizes.get((config, split), Size()).rows:,} were written. Executors on other machines must see the same "
            "folder as the driver: write to one that all share, or to a URL."
        )
    written = {}
    suffix = "jsonl" if form == "chat" else "parquet"
    for (config, split), files in sorted(found.items()):
        for number, (_, _, staged, _) in enumerate(files):
            target.place(staged, file_name(layout, config, split, number, len(files), suffix))
        size = sum(each[3] for each in files)
        written[config, split] = Written(len(files), counts[config, split], size)
    return written


def _staged(target: Target) -> dict[tuple[str, str], list[tuple[int, int, str, int]]]:
    """Return the files by config and split, in order: shard, part of it, path, bytes."""
    found: dict[tuple[str, str], list[tuple[int, int, str, int]]] = defaultdict(list)
    for path, size in target.files():
        match = _STAGED.fullmatch(path)
        if match is None:
            raise BackpromptError(f"{target.staged}/{path} is no file of the export")
        part = _PART.search(match[4])
        number = int(part[1] or part[2]) if part else 0
        found[match[1], match[2]].append((int(match[3]), number, path, size))
    return {key: sorted(files) for key, files in found.items()}


def _count(spark: SparkSession, folder: str, form: Form) -> dict[tuple[str, str], int]:
    """Return the rows by config and split, from the files themselves; of Parquet only their ends are read."""
    # Named, as Spark would read the language `nan` as a number.
    keys = [StructField("in_config", StringType()), StructField("in_split", StringType())]
    keys.append(StructField("in_shard", IntegerType()))
    first = StructField("value" if form == "chat" else "output", StringType())
    schema = StructType([first, *keys])
    reader = spark.read.schema(schema)
    rows = reader.text(folder) if form == "chat" else reader.parquet(folder)
    counted = rows.groupBy("in_config", "in_split").agg(F.count(F.lit(1)).alias("rows")).collect()
    return {(row["in_config"], row["in_split"]): row["rows"] for row in counted}
