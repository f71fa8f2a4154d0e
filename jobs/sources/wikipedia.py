"""Wikipedia: its own XML dumps, and the Parquet files of Hugging Face's wikimedia/wikipedia."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Final, Literal

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.sources.base import RECORD_SCHEMA, Genre, License, SourceName, SourceSettings, to_documents
from jobs.sources.files import folder_codes, list_files, place_files, wanted_languages
from jobs.sources.parquet import read_parquet
from jobs.sources.text import read_pieces
from udfs.languages import LanguageTable
from udfs.pages import PAGE_END, pages_to_text, read_pages
from udfs.records import CorpusFile

LICENSE: Final = "CC-BY-SA-4.0"
_DUMP: Final = re.compile(r"\.xml(?:-p\d+p\d+[^./]*)?(?:\.bz2|\.gz)?$")
_DUMP_FORM: Final = "dumps of dumps.wikimedia.org such as cawiki-20260101-pages-articles.xml.bz2"
_DATABASE: Final = re.compile(r"^([a-z][a-z_]*?)wiki(?=[-.])")
_PARQUET: Final = re.compile(r"\.parquet$")
_PARQUET_FORM: Final = "Parquet files (id, url, title, text) in a folder a language, such as ca/ or 20231101.ca/"


class WikipediaDumpSettings(SourceSettings):
    """Wikipedia's own dumps: ``pages-articles`` as XML, plain, bzip2 (one stream or many) or gzip.

    The language is the one of the file's name: dumps are named after their database, ``cawiki-...``.
    """

    kind: Literal["wikipedia-dump"] = "wikipedia-dump"
    name: SourceName = "wikipedia"
    license: License = LICENSE
    genre: Genre = "encyclopedic"


class WikipediaParquetSettings(SourceSettings):
    """Wikipedia as Parquet: columns id, url, title and text, a folder a language (``ca`` or ``20231101.ca``)."""

    kind: Literal["wikipedia-parquet"] = "wikipedia-parquet"
    name: SourceName = "wikipedia"
    license: License = LICENSE
    genre: Genre = "encyclopedic"


def files(
    spark: SparkSession,
    settings: WikipediaDumpSettings | WikipediaParquetSettings,
    languages: LanguageTable,
    only: Iterable[str] = (),
) -> list[CorpusFile]:
    """Return the files that are read, with their languages; see ``jobs.sources.files_of``."""
    wanted = wanted_languages(settings, languages, only)
    if isinstance(settings, WikipediaDumpSettings):
        dumps = list_files(spark, settings, _DUMP, _DUMP_FORM)
        return place_files(dumps, settings, languages, wanted, "wikipedia", _database_codes)
    tables = list_files(spark, settings, _PARQUET, _PARQUET_FORM)
    return place_files(tables, settings, languages, wanted, "wikipedia", folder_codes)


def read(
    spark: SparkSession,
    settings: WikipediaDumpSettings | WikipediaParquetSettings,
    languages: LanguageTable,
    *,
    seed: int | None = None,
    only: Iterable[str] = (),
) -> DataFrame:
    """Read Wikipedia; see ``jobs.sources.read``."""
    found = files(spark, settings, languages, only)
    if isinstance(settings, WikipediaDumpSettings):
        return _read_dumps(spark, settings, found, languages, seed)
    return _read_parquet(spark, settings, found, seed)


def _read_dumps(
    spark: SparkSession,
    settings: WikipediaDumpSettings,
    dumps: Sequence[CorpusFile],
    languages: LanguageTable,
    seed: int | None,
) -> DataFrame:
    records = read_pieces(spark, dumps, PAGE_END).mapInArrow(
        partial(read_pages, files={file.uri: file for file in dumps}), RECORD_SCHEMA
    )
    editions = frozenset(code for language in languages for code in languages.get(language).wikipedia)

    def convert(docs: DataFrame) -> DataFrame:
        if settings.max_documents_per_language is not None and seed is not None:
            # Ranking leaves a language's pages in one task; the parser is what takes long.
            docs = docs.repartition("doc_id")
        return docs.mapInArrow(partial(pages_to_text, order=docs.columns, interlanguage=editions), docs.schema)

    return to_documents(records, settings, seed, convert)


def _database_codes(file: CorpusFile, _: str) -> list[str]:
    """Return the Wikipedia code in a dump's name: ``be_x_oldwiki-latest-...`` is ``be-x-old``."""
    match = _DATABASE.match(PurePosixPath(file.origin).name)
    return [match[1].replace("_", "-")] if match else []


def _read_parquet(
    spark: SparkSession, settings: WikipediaParquetSettings, tables: Sequence[CorpusFile], seed: int | None
) -> DataFrame:
    columns = {"id": "id", "url": "url", "title": "title", "text": "text"}
    records = read_parquet(spark, tables, settings, columns, required=tuple(columns), key=_page_key)
    return to_documents(records, settings, seed)


def _page_key(columns: Mapping[str, Column]) -> Column:
    """Page ids are unique within an edition alone."""
    return F.concat(columns["edition"], F.lit(":"), columns["id"])
