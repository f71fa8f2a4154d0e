"""Reading of Parquet files as records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import pyarrow as pa
from pyarrow import parquet
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import (
    BinaryType,
    DataType,
    DateType,
    IntegralType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from jobs.runtime.errors import BackpromptError
from jobs.runtime.reasons import Reason
from jobs.sources import hub
from jobs.sources.base import RECORD_SCHEMA, SourceSettings
from jobs.sources.files import literal
from jobs.sources.read_errors import explain_read_error
from jobs.sources.text import read_by_python
from udfs.file_streams import DamagedFileError, open_file, stream_rows
from udfs.records import KEPT_CHARS, RECORD_FIELDS, CorpusFile

# Types taken as text beside strings: ids are numbers, and dates are dates, in some copies of a corpus.
_ALSO: Final[dict[str, tuple[type[DataType], ...]]] = {
    "id": (IntegralType,),
    "date": (TimestampType, TimestampNTZType, DateType),
}


def read_parquet(
    spark: SparkSession,
    files: Sequence[CorpusFile],
    settings: SourceSettings,
    columns: Mapping[str, str],
    required: Sequence[str],
    key: Callable[[Mapping[str, Column]], Column],
    languages: Mapping[str, str] | None = None,
) -> DataFrame:
    """Read Parquet files as records; no other columns than those named are read.

    Args:
        spark: the session.
        files: the files with their languages.
        settings: the source's settings.
        columns: the corpus's column by role: ``id``, ``url``, ``title``, ``text``, ``date``, ``subsource``,
            ``language``.
        required: roles whose column must be there.
        key: makes the corpus key of the columns by role, and of ``edition``, the corpus's code for the language.
        languages: GlotLID codes by the codes in the column ``language``, where files have no language.

    Returns:
        Columns RECORD_FIELDS. A row with a string that is not UTF-8 is rejected and has U+FFFD for the wrong bytes; one
        whose text is larger than ``max_record_bytes`` is rejected and keeps its beginning. Of files that are known to
        be damaged, the row groups that can be read.

    Raises:
        BackpromptError: if a file is damaged, a required column is missing, or one is of a wrong type.
    """
    streamed = [file for file in files if hub.is_on_hub(file.path) or file.damage is not None]
    read = [file for file in files if file not in streamed]
    # Of a damaged file there may be nothing to read, not even which columns it has.
    readable = [file for file in streamed if file.damage is None or file.damage.row_groups]
    if not read and not readable:
        return spark.createDataFrame([], RECORD_SCHEMA)
    try:
        rows = spark.read.option("recursiveFileLookup", "true").parquet(*map(_path, read)) if read else None
        types = {field.name: field.dataType for field in (_schema_of(readable[0]) if rows is None else rows.schema)}
    except Exception as error:  # a footer is read here; Spark passes on whatever Java throws
        raise explain_read_error(error, settings) or error from error
    found = {role: column for role, column in columns.items() if column in types}
    _check_columns(columns, types, required, settings)
    parts = []
    if rows is not None:
        parts.append(
            rows.select(
                "_metadata.file_path",
                "_metadata.row_index",
                *[F.col(f"`{column}`").cast("string").alias(f"raw_{role}") for role, column in found.items()],
            )
        )
    if readable:
        names = {f"raw_{role}": column for role, column in found.items()}
        schema = ", ".join(["file_path string", "row_index long", *(f"{name} string" for name in names)])
        parts.append(read_by_python(spark, readable, partial(stream_rows, columns=names), schema))
    raw = parts[0] if len(parts) == 1 else parts[0].unionByName(parts[1])
    placed = raw.join(F.broadcast(_places(spark, files)), "file_path", how="left")
    if languages is not None:
        placed = placed.join(F.broadcast(_codes(spark, languages)), "raw_language", how="left")
    where = F.concat(F.col("file_origin"), F.lit(", row "), F.col("row_index") + 1)
    is_too_large = F.coalesce(F.octet_length("raw_text") > settings.max_record_bytes, F.lit(False))
    reason, detail = _problem(found, where, is_too_large, is_language_read=languages is not None)
    values = {role: _valid(F.col(f"raw_{role}")) for role in found}
    values["text"] = F.when(is_too_large, F.substring(values["text"], 1, KEPT_CHARS)).otherwise(values["text"])
    language = F.coalesce("file_language", "row_language") if languages is not None else F.col("file_language")
    edition = F.coalesce("file_edition", language)
    fields: dict[str, Column] = {
        **{role: values[role] for role in ("subsource", "url", "date", "title", "text") if role in values},
        "language": language,
        "corpus_key": key({**values, "edition": edition}),
        "origin": F.col("file_origin"),
        "identity": F.concat(F.lit("row "), F.col("row_index")),
        "reason": reason,
        "detail": detail,
    }
    return placed.select(*[fields.get(name, F.lit(None)).cast("string").alias(name) for name in RECORD_FIELDS])


def _path(file: CorpusFile) -> str:
    return literal(file.path)


def _schema_of(file: CorpusFile) -> StructType:
    """Return the columns of a file that Spark cannot open."""
    try:
        with open_file(file.path, hub.address()) as stream:
            return from_arrow_schema(parquet.read_schema(stream))
    except pa.ArrowInvalid as error:
        raise DamagedFileError(file.path, error) from error


def _check_columns(
    columns: Mapping[str, str], types: Mapping[str, DataType], required: Sequence[str], settings: SourceSettings
) -> None:
    missing = [columns[role] for role in required if columns[role] not in types]
    if missing:
        there = ", ".join(f"{name} ({kind.simpleString()})" for name, kind in types.items()) or "none"
        raise BackpromptError(
            f"Source {settings.name}: the files of {settings.path} have no column {', '.join(missing)}. "
            f"Columns there: {there}"
        )
    for role, column in columns.items():
        if column in types and not isinstance(types[column], (StringType, *_ALSO.get(role, ()))):
            kind = types[column].simpleString()
            is_binary = isinstance(types[column], BinaryType)
            hint = " If it is text, set spark.sql.parquet.binaryAsString to true." if is_binary else ""
            raise BackpromptError(
                f"Source {settings.name}: column {column} in the files of {settings.path} is {kind}, not string.{hint}"
            )


def _places(spark: SparkSession, files: Sequence[CorpusFile]) -> DataFrame:
    rows = [(file.uri, file.origin, file.language, file.edition) for file in files]
    names = ("file_path", "file_origin", "file_language", "file_edition")
    return spark.createDataFrame(rows, ", ".join(f"{name} string" for name in names))


def _codes(spark: SparkSession, languages: Mapping[str, str]) -> DataFrame:
    return spark.createDataFrame(list(languages.items()), "raw_language string, row_language string")


def _problem(
    found: Mapping[str, str], where: Column, is_too_large: Column, is_language_read: bool
) -> tuple[Column, Column]:
    """Return the reason and the detail of rows that are rejected; both null for the others."""
    nothing = F.lit(None).cast("string")
    reason = detail = nothing
    if is_language_read:
        is_unknown = F.col("file_language").isNull() & F.col("row_language").isNull()
        code = F.coalesce(_valid(F.col("raw_language")), F.lit("null"))
        reason = F.when(is_unknown, F.lit(Reason.UNKNOWN_LANGUAGE.value))
        detail = F.when(is_unknown, F.concat(where, F.lit(f": {found['language']} is "), code))
    for role, column in found.items():
        is_wrong = ~_is_valid(F.col(f"raw_{role}"))
        reason = F.when(is_wrong, F.lit(Reason.UNREADABLE.value)).otherwise(reason)
        detail = F.when(is_wrong, F.concat(where, F.lit(f": column {column} is not UTF-8"))).otherwise(detail)
    size = F.format_number(F.octet_length("raw_text"), 0)
    too_large = F.concat(where, F.lit(f": {found['text']} has "), size, F.lit(" bytes, more than max_record_bytes"))
    reason = F.when(is_too_large, F.lit(Reason.TOO_LARGE.value)).otherwise(reason)
    return reason, F.when(is_too_large, too_large).otherwise(detail)


# Spark does not check the bytes of Parquet's strings, and Python workers fail on a whole batch with a wrong one.
# Spark 4 has functions for it; on 3.5 decoding replaces wrong bytes.
def _is_valid(column: Column) -> Column:
    is_valid = F.is_valid_utf8(column) if hasattr(F, "is_valid_utf8") else _decoded(column) == column
    return F.coalesce(is_valid, F.lit(True))


def _valid(column: Column) -> Column:
    return F.make_valid_utf8(column) if hasattr(F, "make_valid_utf8") else _decoded(column)


def _decoded(column: Column) -> Column:
    return F.decode(column.cast("binary"), "UTF-8")
