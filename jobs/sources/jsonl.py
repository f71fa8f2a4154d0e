"""Plain JSON lines: one object a line, with the fields that the recipe says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final, Literal

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.runtime.errors import BackpromptError
from jobs.sources.base import RECORD_SCHEMA, SourceName, SourceSettings, to_documents
from jobs.sources.files import folder_codes, list_files, place_files, wanted_languages
from jobs.sources.read_errors import explain_read_error
from jobs.sources.text import read_pieces
from udfs.json_lines import LineFormat, keys_of, read_lines
from udfs.languages import LanguageTable, Scheme
from udfs.records import CorpusFile
from udfs.settings import Settings

JSON_LINES: Final = re.compile(r"\.(?:jsonl|ndjson|json)(?:\.gz|\.bz2|\.zst|\.xz)?$")
JSON_LINES_FORM: Final = "JSON lines: .jsonl, .ndjson or .json, also with .gz, .bz2, .zst or .xz"
# Lines looked at before the run for the fields that the recipe names.
_LINES_PROBED: Final = 100
_KEYS_SHOWN: Final = 20


class JsonlColumns(Settings):
    """Which field of an object holds what; ``meta.url`` is the field ``url`` of the object ``meta``."""

    text: str = "text"
    title: str | None = None
    id: str | None = None
    """The corpus's own key: the same for the same document in a later copy. null: the address, else the content."""
    url: str | None = None
    date: str | None = None
    language: str | None = None
    """Code of the document's language, in the scheme of ``language_codes``."""
    subsource: str | None = None
    """The part of the corpus a document is from, for licences and genres by part."""


class JsonlSettings(SourceSettings):
    """JSON lines (``.jsonl``, ``.ndjson``, ``.json``, also compressed), one document a line."""

    kind: Literal["jsonl"] = "jsonl"
    name: SourceName = "jsonl"
    columns: JsonlColumns = JsonlColumns()
    """Which field holds what."""
    language_codes: Scheme = "language"
    """Scheme of the language codes in records or folders: a column of conf/languages.csv. GlotLID codes always do."""


def files(
    spark: SparkSession, settings: JsonlSettings, languages: LanguageTable, only: Iterable[str] = ()
) -> list[CorpusFile]:
    """Return the files that are read, with their languages; see ``jobs.sources.files_of``."""
    wanted = wanted_languages(settings, languages, only)
    found = list_files(spark, settings, JSON_LINES, JSON_LINES_FORM)
    if _has_language_field(settings):
        return found
    return place_files(found, settings, languages, wanted, (settings.language_codes,), folder_codes)


def read(
    spark: SparkSession,
    settings: JsonlSettings,
    languages: LanguageTable,
    *,
    seed: int | None = None,
    only: Iterable[str] = (),
) -> DataFrame:
    """Read JSON lines; see ``jobs.sources.read``."""
    wanted = wanted_languages(settings, languages, only)
    found = files(spark, settings, languages, only)
    columns = {role: key for role, key in settings.columns.model_dump().items() if key is not None}
    if not _has_language_field(settings):
        columns.pop("language", None)
    required = [role for role in ("text", "id", "language") if role in columns]
    codes = languages.by_codes(settings.language_codes)
    records = read_json_lines(spark, found, settings, columns, required, codes)
    return to_documents(keep_languages(records, wanted), settings, seed)


def read_json_lines(
    spark: SparkSession,
    files: Sequence[CorpusFile],
    settings: SourceSettings,
    columns: Mapping[str, str],
    required: Sequence[str],
    languages: Mapping[str, str],
    warnings: Sequence[str] = (),
    refused: Sequence[str] = (),
    metadata: Mapping[str, str] | None = None,
    counted: Sequence[tuple[str, str, str]] = (),
) -> DataFrame:
    """Read JSON lines as records.

    Python parses the lines: Spark's own reader makes strings of numbers and objects, replaces bytes that are not
    UTF-8, and cannot say on which line a broken record stands.

    Args:
        spark: the session.
        files: the files; a file without a language takes it from the records.
        settings: the source's settings.
        columns: key or dotted path in the objects by role, see ``LineFormat``.
        required: roles that the first lines must have.
        languages: GlotLID codes by the codes that the records hold.
        warnings: dotted paths of lists in which the corpus warns of a record.
        refused: warnings for which records are rejected.
        metadata: dotted paths of what goes into ``source_metadata``, by its name there.
        counted: the same of long lists, see ``LineFormat``.

    Returns:
        Columns RECORD_FIELDS, a row a line that is not blank.

    Raises:
        BackpromptError: if none of the first lines has a required field.
    """
    lines = read_pieces(spark, files, settings.max_record_bytes)
    _check_fields(lines, settings, columns, required)
    form = LineFormat(
        dict(columns),
        dict(languages),
        tuple(warnings),
        frozenset(refused),
        tuple((metadata or {}).items()),
        tuple(counted),
    )
    parse = partial(read_lines, files={file.uri: file for file in files}, form=form)
    return lines.mapInArrow(parse, RECORD_SCHEMA)


def keep_languages(records: DataFrame, wanted: frozenset[str] | None) -> DataFrame:
    """Keep records in wanted languages, and those whose language is not known.

    Input columns: language. Output columns: those of ``records``.
    """
    if wanted is None:
        return records
    return records.where(F.col("language").isNull() | F.col("language").isin(*wanted))


def _has_language_field(settings: JsonlSettings) -> bool:
    return settings.language is None and settings.columns.language is not None


def probe_keys(lines: DataFrame, settings: SourceSettings) -> list[frozenset[str]]:
    """Return the keys of each of the first records that are objects.

    Input columns: value.

    Raises:
        BackpromptError: if the files cannot be read.
    """
    try:
        probed = lines.select("value").limit(_LINES_PROBED).collect()
    except Exception as error:  # Spark passes on whatever Java throws
        raise explain_read_error(error, settings) or error from error
    return [keys for row in probed if (keys := frozenset(keys_of(bytes(row["value"]))))]


def list_keys(found: Sequence[frozenset[str]]) -> str:
    """Return the keys of records for a person, as many as can be read at a glance."""
    return ", ".join(sorted(frozenset().union(*found))[:_KEYS_SHOWN])


def _check_fields(
    lines: DataFrame, settings: SourceSettings, columns: Mapping[str, str], required: Sequence[str]
) -> None:
    found = probe_keys(lines, settings)
    keys = frozenset().union(*found)
    missing = [columns[role] for role in required if columns[role] not in keys]
    if keys and missing:
        raise BackpromptError(
            f"Source {settings.name}: none of the first records of {settings.path} has a field {', '.join(missing)}. "
            f"Fields there: {list_keys(found)}"
        )
