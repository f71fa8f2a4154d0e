"""``backprompt dedup``: near-duplicates in any Parquet or Delta table, without a recipe."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from uuid import uuid4

import yaml
from pydantic import ValidationError
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.runtime.dedup_index import INDEX, PARTITION_BY, DedupIndex
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake, is_local
from jobs.runtime.session import concurrent_writers
from jobs.stages import dedup
from jobs.stages.dedup import DedupSettings
from udfs.settings import nested

Format = Literal["parquet", "delta"]
INDEX_TABLE: Final = "index"
IS_DUPLICATE: Final = "is_duplicate"


@dataclass(frozen=True, slots=True)
class DedupRequest:
    """What to deduplicate, and where the result goes."""

    input: str
    """Folder, file or URL of a Parquet or Delta table."""
    output: str
    """Folder or URL, not there yet unless ``overwrite``."""
    column: str = "text"
    """Texts to compare."""
    id_column: str = "doc_id"
    """Names each row once."""
    settings: DedupSettings = field(default_factory=lambda: DedupSettings(scope="all"))
    index: str | None = None
    """Folder or URL of an index of what was kept before; made if it is not there."""
    overwrite: bool = False


def deduplicate_files(spark: SparkSession, request: DedupRequest) -> None:
    """Mark near-duplicates in a table, against themselves and an index of what was kept before.

    The output has the input's format and rows, all of them, with the columns of DEDUP, rejected_for
    (``dedup.duplicate`` or nothing) and is_duplicate, which it is partitioned by: ``OUTPUT/is_duplicate=false`` is what
    is kept. The index gains the kept documents after the output is written, so a run that was killed can be repeated; a
    document that is in the index already is compared with all others, not with its own entry, which it replaces.

    Raises:
        BackpromptError: if the input cannot be read, lacks a column or repeats an id, if the output is there already,
            or the index was made with other settings.
    """
    kind = _format(spark, request.input)
    docs = _read(spark, request.input, kind)
    _check(docs, request)
    index = None if request.index is None else open_index(spark, request.index, request.settings)
    with _about(request.input):
        new = dedup.sketch(docs, request.settings, request.column, request.id_column).persist()
    try:
        with _about(request.input):
            sought = dedup.wanted(new, request.settings) if index else None
            dedup.refuse_repeated(new, request.id_column, sought)
        # Any number greater than those before it; the entries of a document that comes again are void whatever theirs.
        batch_id = time.time_ns() // 1_000_000
        decisions = dedup.decide(new, index.before(batch_id) if index else None, request.settings, sought)
        if "rejected_for" not in docs.columns:
            docs = docs.withColumn("rejected_for", F.array().cast("array<string>"))
        marked = dedup.with_decisions(docs, decisions, column=request.column, key=request.id_column)
        marked = marked.withColumn(IS_DUPLICATE, F.col("duplicate_of").isNotNull())
        mode = "overwrite" if request.overwrite else "errorifexists"
        with concurrent_writers(spark, 2):
            writer = marked.write.format(kind).mode(mode).partitionBy(IS_DUPLICATE)
            (writer.option("overwriteSchema", "true") if kind == "delta" else writer).save(request.output)
        if index:
            if decisions.superseded != 0:
                index.forget(docs.select(F.col(request.id_column).cast("string").alias("doc_id")))
            index.append(dedup.kept_entries(new, decisions), f"dedup/{uuid4().hex}", batch_id)
    finally:
        new.unpersist()


def read_output(spark: SparkSession, request: DedupRequest) -> DataFrame:
    """Return the table that ``deduplicate_files`` has written."""
    return spark.read.format(_format(spark, request.output)).load(request.output)


def settings_from(scope: str, threshold: float | None, others: Mapping[str, str]) -> DedupSettings:
    """Return the settings that command-line arguments ask for; values of ``others`` are written as in a recipe.

    Raises:
        BackpromptError: naming the setting and what is allowed.
    """
    values: dict[str, Any] = {"scope": scope}
    if threshold is not None:
        values["threshold"] = threshold
    for key, text in others.items():
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise BackpromptError(f"--set {key}={text}: the value is not YAML: {error}") from error
    try:
        return DedupSettings.model_validate(nested(values))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, each['loc'])) or 'settings'}: {each['msg']}" for each in error.errors()]
        raise BackpromptError("; ".join(problems)) from error


def open_index(spark: SparkSession, location: str, settings: DedupSettings | None) -> DedupIndex:
    """Return an index of its own, made if it is not there; with ``settings`` None it must be.

    Raises:
        BackpromptError: if it was made with settings whose entries cannot be compared with those of ``settings``.
    """
    lake = Lake(spark, location)
    if settings is None:
        if not lake.exists(INDEX_TABLE):
            raise BackpromptError(f"There is no index in {location}. 'backprompt dedup --index {location}' makes one.")
        return DedupIndex(lake, INDEX_TABLE)
    made_with = settings.entries_made_with()
    lake.create()
    lake.ensure(INDEX_TABLE, INDEX, {"entries": made_with}, PARTITION_BY)
    before = lake.properties(INDEX_TABLE)["entries"]
    if before != made_with:
        raise BackpromptError(
            f"Index {location} was made with other settings, {before}; now they are {made_with}. Entries of different "
            "settings cannot be compared: set the old values, or use another index."
        )
    return DedupIndex(lake, INDEX_TABLE)


def forget_ids(spark: SparkSession, location: str, file: Path) -> int:
    """Take the documents that a file names, an id a line, out of an index; how many entries went.

    Raises:
        BackpromptError: if the file cannot be read or the index is not there.
    """
    try:
        ids = sorted({line.strip() for line in file.read_text(encoding="utf-8").splitlines()} - {""})
    except (OSError, UnicodeDecodeError) as error:
        raise BackpromptError(f"--forget {file}: cannot be read as UTF-8 text: {error}") from error
    index = open_index(spark, location, None)
    return index.forget(spark.createDataFrame([(each,) for each in ids], "doc_id string"))


@contextmanager
def _about(location: str) -> Iterator[None]:
    """Name the table that does not fit."""
    try:
        yield
    except ValueError as error:
        raise BackpromptError(f"{location}: {error}") from None


def _format(spark: SparkSession, location: str) -> Format:
    from delta.tables import DeltaTable

    return "delta" if DeltaTable.isDeltaTable(spark, location) else "parquet"


def _read(spark: SparkSession, location: str, kind: Format) -> DataFrame:
    try:
        return spark.read.format(kind).load(location)
    except AnalysisException as error:
        reason = str(error).strip().splitlines()[0]
        raise BackpromptError(f"--input {location} cannot be read as a Parquet or Delta table: {reason}") from error


def _check(docs: DataFrame, request: DedupRequest) -> None:
    there = ", ".join(docs.columns)
    needed = {"--column": request.column, "--id": request.id_column}
    needed |= {"--scope": request.settings.scope} if request.settings.scope != "all" else {}
    for option, name in needed.items():
        if name not in docs.columns:
            raise BackpromptError(f"{option} {name}: {request.input} has no such column; it has {there}")
    kind = docs.schema[request.column].dataType.simpleString()
    if kind != "string":
        raise BackpromptError(f"--column {request.column}: its values are {kind}; texts are needed")
    if is_local(request.output) and Path(request.output).exists() and not request.overwrite:
        raise BackpromptError(f"--output {request.output} is there already: choose another folder, or add --overwrite")
    if is_local(request.output) and _inside(request.input, request.output):
        raise BackpromptError(f"--output {request.output} and --input {request.input} must not be the same")


def _inside(one: str, other: str) -> bool:
    places: Iterable[Path] = (Path(one).absolute(), Path(other).absolute())
    first, second = places
    return first == second or second in first.parents or first in second.parents
