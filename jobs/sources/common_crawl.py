"""Common Crawl, and other web archives: WARC and WET."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Final, Literal

from pydantic import Field
from pyspark.sql import DataFrame, SparkSession

from jobs.runtime.errors import BackpromptError
from jobs.sources.base import RECORD_SCHEMA, Genre, License, SourceName, SourceSettings, to_documents
from jobs.sources.files import list_files, wanted_languages
from jobs.sources.jsonl import keep_languages
from jobs.sources.text import read_pieces
from udfs.languages import LanguageTable
from udfs.records import CorpusFile
from udfs.warc import RECORD_START, ArchiveFormat, html_to_text, read_archives

_ARCHIVE: Final = re.compile(r"\.(?:warc|wet)(?:\.gz|\.bz2)?$")
_FORM: Final = "archives such as CC-MAIN-20260101000000-20260101010000-00000.warc.gz or ....warc.wet.gz"
_EXTRA: Final = "common-crawl"


class CommonCrawlSettings(SourceSettings):
    """Web archives: WARC (``.warc.gz``; pages of HTML become text) and Common Crawl's WET (``.warc.wet.gz``; text).

    The language is the one that Common Crawl identified (``WARC-Identified-Content-Language``, in WET), the first if
    there are several; archives without it need ``language``. A page is known by its address, so that the same page in
    a later crawl is a new revision. What is no HTML page, or was not found, is a rejected row.
    """

    kind: Literal["common-crawl"] = "common-crawl"
    name: SourceName = "common-crawl"
    license: License = "unknown"
    genre: Genre = "web"
    main_content: bool = True
    """Of HTML take the main content alone, without menus, headers, footers and asides."""
    language_codes: dict[str, str] = Field(default_factory=dict)
    """GlotLID codes by codes of the archive, where they differ from conf/languages.csv: ``{zho: zho_Hant}``."""


def files(
    spark: SparkSession, settings: CommonCrawlSettings, languages: LanguageTable, only: Iterable[str] = ()
) -> list[CorpusFile]:
    """Return the files that are read, with their languages; see ``jobs.sources.files_of``."""
    wanted_languages(settings, languages, only)
    _check_packages(settings)
    found = list_files(spark, settings, _ARCHIVE, _FORM)
    return [replace(file, language=settings.language) for file in found]


def read(
    spark: SparkSession,
    settings: CommonCrawlSettings,
    languages: LanguageTable,
    *,
    seed: int | None = None,
    only: Iterable[str] = (),
) -> DataFrame:
    """Read web archives; see ``jobs.sources.read``.

    Spark's reader unpacks them, from every file system that it knows, and gives a record at a time: neither a task
    nor Java holds an archive. One that is packed is read by one task, one that is not by several.
    """
    wanted = wanted_languages(settings, languages, only)
    found = files(spark, settings, languages, only)
    form = ArchiveFormat(_codes(settings, languages), settings.max_record_bytes)
    pieces = read_pieces(spark, found, settings.max_record_bytes, RECORD_START)
    parse = partial(read_archives, files={file.uri: file for file in found}, form=form)
    records = pieces.mapInArrow(parse, RECORD_SCHEMA)

    def convert(docs: DataFrame) -> DataFrame:
        extract = partial(html_to_text, order=docs.columns, is_main_content_only=settings.main_content)
        return docs.mapInArrow(extract, docs.schema)

    return to_documents(keep_languages(records, wanted), settings, seed, convert)


def _codes(settings: CommonCrawlSettings, languages: LanguageTable) -> dict[str, str]:
    for code, language in settings.language_codes.items():
        if language not in languages:
            near = ", ".join(languages.closest(language))
            raise BackpromptError(
                f"Source {settings.name}: language_codes: {code}: {language!r} is not in conf/languages.csv; close to "
                f"it: {near}"
            )
    return languages.by_codes("iso639_3") | languages.by_codes("cld2") | settings.language_codes


def _check_packages(settings: CommonCrawlSettings) -> None:
    missing = [package for package in ("fastwarc", "resiliparse") if find_spec(package) is None]
    if missing:
        raise BackpromptError(
            f"Source {settings.name}: web archives take packages that are not installed ({', '.join(missing)}): "
            f"pip install 'backprompt[{_EXTRA}]', here and on every executor"
        )
