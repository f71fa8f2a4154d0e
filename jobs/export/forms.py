"""The forms of an export: MURI-IT's columns, these with lineage and scores, and conversations."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DoubleType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
)

from jobs.export.names import REVERSED, ExportLanguage, dataset_name, reversed_part
from jobs.runtime.errors import BackpromptError
from jobs.runtime.schema import GIVEN

Form = Literal["muri", "extended", "chat"]
Layout = Literal["languages", "flat"]
MURI_COLUMNS: Final = (
    "input",
    "output",
    "dataset_name",
    "subdataset_name",
    "language",
    "split",
    "language_name",
)
"""Of akoksal/muri-it, all strings, in its order."""
CHAT_COLUMNS: Final = ("messages", "dataset_name", "language")
PLACE: Final = ("in_config", "in_split", "in_shard")
"""Columns that say which file a row goes to; they are not in it."""
DEFAULT: Final = "default"
_RENAMED: Final = ("instruction", "output", "language", "split", "batch_id")
_ORDER: Final = "in_order"
_MOST_TASKS: Final = 1_000
# Bytes a value takes in Arrow, as `datasets` counts them.
_FIXED: Final[dict[type[DataType], tuple[str, float]]] = {
    IntegerType: ("int32", 4),
    LongType: ("int64", 8),
    DoubleType: ("float64", 8),
    BooleanType: ("bool", 0.125),
}
_OFFSET_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Naming:
    """What names mean in the export."""

    kinds: Mapping[str, str]
    """Kind of every source."""
    languages: Mapping[str, ExportLanguage]
    """By the lake's code."""


def to_form(pairs: DataFrame, form: Form, naming: Naming) -> DataFrame:
    """Return the columns of a form, and before them the lake's ``pair_id``, ``language`` and ``split`` as ``of_*``.

    Input columns: PAIRS, where scores and lineage may be missing. Output columns: of_pair, of_language, of_split, and
    MURI_COLUMNS, these and the rest of PAIRS, or CHAT_COLUMNS.
    """
    keys = {"of_pair": F.col("pair_id"), "of_language": F.col("language"), "of_split": F.col("split")}
    muri = {
        "input": F.col("instruction"),
        "output": F.col("output"),
        "dataset_name": _by_source(naming, is_part=False),
        "subdataset_name": _by_source(naming, is_part=True),
        "language": _of_language(naming, "code"),
        "split": F.col("split"),
        "language_name": _of_language(naming, "name"),
    }
    columns = {name: muri[name] for name in MURI_COLUMNS}
    if form == "extended":
        columns |= {"glotlid_language": F.col("language")}
        columns |= {name: _portable(pairs.schema[name]) for name in pairs.columns if name not in _RENAMED}
    if form == "chat":
        columns = {name: _conversation() if name == "messages" else muri[name] for name in CHAT_COLUMNS}
    return pairs.select(*(value.alias(name) for name, value in (keys | columns).items()))


def _portable(field: StructField) -> Column:
    """Return a column as every reader of Parquet takes it: ``datasets`` knows no maps, so they are JSON."""
    return F.to_json(field.name) if isinstance(field.dataType, MapType) else F.col(field.name)


def _conversation() -> Column:
    def turn(role: str, content: str) -> Column:
        return F.struct(F.lit(role).alias("role"), F.col(content).alias("content"))

    single = F.array(turn("user", "instruction"), turn("assistant", "output"))
    return F.coalesce(F.col("messages"), single)


def _by_source(naming: Naming, is_part: bool) -> Column:
    """Return ``dataset_name`` or ``subdataset_name``; both depend on the source, and on who wrote the instruction."""
    is_given = F.col("generator") == GIVEN
    if is_part:
        part = _cases("source", {name: reversed_part(name, kind) for name, kind in naming.kinds.items()}, "source")
        return F.when(is_given, F.col("subsource")).otherwise(F.concat_ws("/", part, F.col("subsource")))
    given = {name: dataset_name(name, kind, is_given=True) for name, kind in naming.kinds.items()}
    return F.when(is_given, _cases("source", given, "source")).otherwise(F.lit(REVERSED))


def _cases(column: str, values: Mapping[str, str], default: str) -> Column:
    chosen = F.col(default)
    for key, value in values.items():
        chosen = F.when(F.col(column) == key, F.lit(value)).otherwise(chosen)
    return chosen


def _of_language(naming: Naming, attribute: str) -> Column:
    entries = [F.lit(each) for code in naming.languages for each in (code, getattr(naming.languages[code], attribute))]
    return F.create_map(*entries)[F.col("language")]


# Files ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShardBounds:
    """How large a file may be."""

    rows: int
    bytes: int
    """Of its texts; a hash deals out the rows, so a file has about so many."""

    def count(self, rows: int, size: int) -> int:
        """Return into how many files so many rows and bytes go."""
        return max(1, math.ceil(rows / self.rows), math.ceil(size / self.bytes))


def placed(rows: DataFrame, languages: Mapping[str, str], shards: Mapping[tuple[str, str], int]) -> DataFrame:
    """Add which file each row goes to, and put the rows of a file together in an order of their own.

    The file and the order follow from a hash of the pair's id alone, so the same pairs give the same files, whatever
    the partitions, and a file is a sample of its language and split.

    Args:
        rows: as ``to_form`` gives them.
        languages: config by the lake's language code.
        shards: number of files by config and split.

    Output columns: those of the form, and PLACE.
    """
    spark = rows.sparkSession
    lookup = [
        (language, split, config, number)
        for language, config in sorted(languages.items())
        for (of_config, split), number in sorted(shards.items())
        if of_config == config
    ]
    places = spark.createDataFrame(lookup, "of_language string, of_split string, in_config string, shards int")
    hashed = F.xxhash64("of_pair")
    dealt = (
        rows.join(F.broadcast(places), ["of_language", "of_split"], how="inner")
        .withColumn("in_split", F.col("of_split"))
        .withColumn("in_shard", F.pmod(hashed, F.col("shards")).cast("int"))
        .withColumn(_ORDER, hashed)
    )
    tasks = min(sum(shards.values()), _MOST_TASKS)
    together = dealt.repartition(tasks, *PLACE).sortWithinPartitions(*PLACE, _ORDER, "of_pair")
    return together.drop("of_pair", "of_language", "of_split", "shards", _ORDER)


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is of a language and split, or of a config and split."""

    rows: int = 0
    bytes: int = 0
    """About what the rows take as Arrow."""

    def __add__(self, other: Size) -> Size:
        return Size(self.rows + other.rows, self.bytes + other.bytes)


def sizes(rows: DataFrame) -> dict[tuple[str, str], Size]:
    """Return how much there is by language (the lake's code) and split; one pass over what ``to_form`` gives."""
    fields = [each for each in rows.schema.fields if not each.name.startswith("of_")]
    each_row = functools.reduce(operator.add, (_arrow_bytes(F.col(each.name), each.dataType) for each in fields))
    counted = rows.groupBy("of_language", "of_split").agg(
        F.count("*").alias("rows"), F.ceil(F.sum(each_row)).alias("bytes")
    )
    return {(row["of_language"], row["of_split"]): Size(row["rows"], row["bytes"]) for row in counted.collect()}


def _arrow_bytes(value: Column, kind: DataType) -> Column:
    if isinstance(kind, StringType):
        return F.coalesce(F.octet_length(value), F.lit(0)) + F.lit(_OFFSET_BYTES)
    if isinstance(kind, ArrayType):
        total = F.aggregate(
            F.coalesce(value, F.array().cast(kind)),
            F.lit(0.0),
            lambda sum_, item: sum_ + _arrow_bytes(item, kind.elementType).cast("double"),
        )
        return total + F.lit(_OFFSET_BYTES)
    if isinstance(kind, StructType):
        return functools.reduce(operator.add, (_arrow_bytes(value[each.name], each.dataType) for each in kind.fields))
    return F.lit(_fixed(kind)[1])


def features(schema: StructType) -> list[dict[str, Any]]:
    """Return the columns as a card's ``dataset_info`` writes them.

    >>> features(StructType().add("input", "string"))
    [{'name': 'input', 'dtype': 'string'}]
    """
    return [{"name": each.name} | _feature(each.dataType) for each in schema.fields]


def _feature(kind: DataType) -> dict[str, Any]:
    if isinstance(kind, ArrayType):
        inner = kind.elementType
        return {"list": features(inner) if isinstance(inner, StructType) else _feature(inner)["dtype"]}
    if isinstance(kind, StructType):
        return {"struct": features(kind)}
    return {"dtype": "string" if isinstance(kind, StringType) else _fixed(kind)[0]}


def _fixed(kind: DataType) -> tuple[str, float]:
    if type(kind) not in _FIXED:
        raise BackpromptError(f"A column of type {kind.simpleString()} cannot be exported")
    return _FIXED[type(kind)]


def config_names(languages: Mapping[str, ExportLanguage], layout: Layout) -> dict[str, str]:
    """Return the config of every language of the lake."""
    return {code: each.code if layout == "languages" else DEFAULT for code, each in languages.items()}


def file_name(layout: Layout, config: str, split: str, number: int, total: int, suffix: str) -> str:
    """Return a file's place in the export.

    >>> file_name("languages", "cat", "train", 0, 2, "parquet")
    'data/cat/train-00000-of-00002.parquet'
    """
    folder = f"data/{config}" if layout == "languages" else "data"
    return f"{folder}/{split}-{number:05d}-of-{total:05d}.{suffix}"


def patterns(layout: Layout, config: str, splits: Sequence[str], suffix: str) -> list[dict[str, str]]:
    """Return a config's ``data_files``."""
    folder = "data" if layout == "flat" else f"data/{'*' if config == DEFAULT else config}"
    return [{"split": split, "path": f"{folder}/{split}-*.{suffix}"} for split in splits]
