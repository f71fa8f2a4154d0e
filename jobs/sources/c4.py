"""C4 and mC4 as JSON lines: text, timestamp and url."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final, Literal

from pyspark.sql import DataFrame, SparkSession

from jobs.sources.base import Genre, License, SourceName, SourceSettings, to_documents
from jobs.sources.files import folder_codes, list_files, place_files, wanted_languages
from jobs.sources.jsonl import JSON_LINES, read_json_lines
from udfs.languages import LanguageTable
from udfs.records import CorpusFile

LICENSE: Final = "ODC-BY"
_FORM: Final = (
    "JSON lines (text, timestamp, url), such as c4-af.tfrecord-00000-of-00064.json.gz or en/c4-train...json.gz"
)
_NAME: Final = re.compile(r"^c4-([a-z]{2,3}(?:-[A-Z][a-z]{3})?)(?:-validation)?\.tfrecord-")
_COLUMNS: Final = {"text": "text", "url": "url", "date": "timestamp"}


class C4Settings(SourceSettings):
    """C4 and mC4, of allenai/c4: JSON lines with ``text``, ``timestamp`` and ``url`` (``.json.gz``).

    The language is the one of the file's name (``c4-af.tfrecord-...``) or of its folder (``en/``). A page is known by
    its address: mC4 holds some pages as they were at two times, of which one is kept.
    """

    kind: Literal["c4"] = "c4"
    name: SourceName = "c4"
    license: License = LICENSE
    genre: Genre = "web"


def files(
    spark: SparkSession, settings: C4Settings, languages: LanguageTable, only: Iterable[str] = ()
) -> list[CorpusFile]:
    """Return the files that are read, with their languages; see ``jobs.sources.files_of``."""
    wanted = wanted_languages(settings, languages, only)
    found = list_files(spark, settings, JSON_LINES, _FORM)
    return place_files(found, settings, languages, wanted, ("mc4",), _codes)


def read(
    spark: SparkSession,
    settings: C4Settings,
    languages: LanguageTable,
    *,
    seed: int | None = None,
    only: Iterable[str] = (),
) -> DataFrame:
    """Read C4; see ``jobs.sources.read``."""
    found = files(spark, settings, languages, only)
    records = read_json_lines(spark, found, settings, _COLUMNS, ("text", "url"), {})
    return to_documents(records, settings, seed)


def _codes(file: CorpusFile, path: str) -> list[str]:
    """Return the code in a file's name, ``c4-af.tfrecord-...``, then those of its folders."""
    named = _NAME.match(PurePosixPath(file.origin).name)
    return [*([named[1]] if named else []), *folder_codes(file, path)]
