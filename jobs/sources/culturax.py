"""CulturaX, and corpora in its form: mC4, OSCAR and others with a text, its address and its source a row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from pyspark.sql import Column, DataFrame, SparkSession

from jobs.sources.base import Genre, SourceName, SourceSettings, to_documents
from jobs.sources.files import folder_codes, list_files, place_files, wanted_languages
from jobs.sources.jsonl import JSON_LINES, keep_languages, read_json_lines
from jobs.sources.parquet import read_parquet
from udfs.languages import LanguageTable
from udfs.records import CorpusFile

_PARQUET: Final = re.compile(r"\.parquet$")
_FILES: Final = re.compile(f"{_PARQUET.pattern}|{JSON_LINES.pattern}")
_FORM: Final = "Parquet or JSON lines (text, timestamp, url, source) in a folder a language, such as ca/"
_COLUMNS: Final = {"text": "text", "date": "timestamp", "url": "url", "subsource": "source"}
# C4 and mC4 have no source, and copies of CulturaX leave out what they do not need.
_REQUIRED: Final = ("text", "url")


class CulturaxSettings(SourceSettings):
    """CulturaX: columns text, timestamp, url and source in Parquet or JSON lines (``.jsonl``, also compressed).

    The language is the one of the folder, in CulturaX's or GlotLID's codes. Licences differ by ``source``: CulturaX
    passes on the terms of mC4 (ODC-BY) and OSCAR (CC0 for the packaging), and none for the texts themselves.
    """

    kind: Literal["culturax"] = "culturax"
    name: SourceName = "culturax"
    genre: Genre = "web"
    language_column: str | None = None
    """Column with each row's language, in CulturaX's or GlotLID's codes; null: the folder says it."""


def files(
    spark: SparkSession, settings: CulturaxSettings, languages: LanguageTable, only: Iterable[str] = ()
) -> list[CorpusFile]:
    """Return the files that are read, with their languages; see ``jobs.sources.files_of``."""
    wanted = wanted_languages(settings, languages, only)
    found = list_files(spark, settings, _FILES, _FORM)
    if _has_language_column(settings):
        return found
    return place_files(found, settings, languages, wanted, ("culturax",), folder_codes)


def read(
    spark: SparkSession,
    settings: CulturaxSettings,
    languages: LanguageTable,
    *,
    seed: int | None = None,
    only: Iterable[str] = (),
) -> DataFrame:
    """Read CulturaX; see ``jobs.sources.read``."""
    wanted = wanted_languages(settings, languages, only)
    found = files(spark, settings, languages, only)
    columns = dict(_COLUMNS)
    codes = None
    if _has_language_column(settings):
        columns["language"] = settings.language_column or ""
        codes = languages.by_codes("culturax")
    required = [*_REQUIRED, *(["language"] if codes else [])]
    parquet = [file for file in found if _PARQUET.search(file.origin)]
    lines = [file for file in found if not _PARQUET.search(file.origin)]
    parts = []
    if parquet:
        parts.append(read_parquet(spark, parquet, settings, columns, required, _key, codes))
    if lines:
        parts.append(read_json_lines(spark, lines, settings, columns, required, codes or {}))
    records = parts[0] if len(parts) == 1 else parts[0].unionByName(parts[1])
    return to_documents(keep_languages(records, wanted), settings, seed)


def _has_language_column(settings: CulturaxSettings) -> bool:
    return settings.language is None and settings.language_column is not None


def _key(columns: Mapping[str, Column]) -> Column:
    return columns["url"]
