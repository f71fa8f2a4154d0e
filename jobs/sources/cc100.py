"""CC-100: plain text, a paragraph a line, a blank line between documents."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final, Literal

from pyspark.sql import DataFrame, SparkSession

from jobs.sources.base import Genre, SourceName, SourceSettings, to_documents
from jobs.sources.files import folder_codes, list_files, place_files, wanted_languages
from jobs.sources.text import TEXT_PARTS, read_documents
from udfs.languages import LanguageTable
from udfs.records import CorpusFile

_TEXT: Final = re.compile(rf"\.txt{TEXT_PARTS}$")
_FORM: Final = "plain text named after its language, such as am.txt.xz or zh-Hans.txt.bz2"
_NAME: Final = re.compile(r"^([a-z]{2,3}(?:[-_][A-Za-z]+)?)\.txt")


class Cc100Settings(SourceSettings):
    """CC-100: text in which lines are paragraphs and blank lines stand between documents (``am.txt.xz``).

    The language is the one of the file's name or folder. A document is known by its content: CC-100 gives no address.
    xz cannot be split: repacked with bzip2 or unpacked, one file is read by all cores.
    """

    kind: Literal["cc100"] = "cc100"
    name: SourceName = "cc100"
    genre: Genre = "web"


def files(
    spark: SparkSession, settings: Cc100Settings, languages: LanguageTable, only: Iterable[str] = ()
) -> list[CorpusFile]:
    """Return the files that are read, with their languages; see ``jobs.sources.files_of``."""
    wanted = wanted_languages(settings, languages, only)
    found = list_files(spark, settings, _TEXT, _FORM)
    return place_files(found, settings, languages, wanted, ("cc100",), _codes)


def read(
    spark: SparkSession,
    settings: Cc100Settings,
    languages: LanguageTable,
    *,
    seed: int | None = None,
    only: Iterable[str] = (),
) -> DataFrame:
    """Read CC-100; see ``jobs.sources.read``."""
    found = files(spark, settings, languages, only)
    return to_documents(read_documents(spark, found, settings.max_record_bytes), settings, seed)


def _codes(file: CorpusFile, path: str) -> list[str]:
    """Return the code that a file is named after, ``zh-Hans.txt.xz``, then those of its folders."""
    named = _NAME.match(PurePosixPath(file.origin).name)
    return [*([named[1]] if named else []), *folder_codes(file, path)]
