"""Wikipedia: its own XML dumps, and the Parquet files of Hugging Face's wikimedia/wikipedia."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Final, Literal

from pydantic import Field
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from jobs.sources.base import RECORD_SCHEMA, Genre, License, SourceName, SourceSettings, to_documents
from jobs.sources.files import folder_codes, list_files, place_files, wanted_languages
from jobs.sources.parquet import read_parquet
from jobs.sources.text import read_pieces
from udfs.languages import LanguageTable
from udfs.pages import KINDS_LEFT_OUT, LEFT_OUT, PAGE_END, PageRules, pages_to_text, read_pages
from udfs.records import CorpusFile
from udfs.settings import OPERATIONAL

LICENSE: Final = "CC-BY-SA-4.0"
_DUMP: Final = re.compile(r"\.xml(?:-p\d+p\d+[^./]*)?(?:\.bz2|\.gz)?$")
_DUMP_FORM: Final = "dumps of dumps.wikimedia.org such as cawiki-20260101-pages-articles.xml.bz2"
_DATABASE: Final = re.compile(r"^([a-z][a-z_]*?)wiki(?=[-.])")
_PARQUET: Final = re.compile(r"\.parquet$")
_PARQUET_FORM: Final = "Parquet files (id, url, title, text) in a folder a language, such as ca/ or 20231101.ca/"


class WikipediaDumpSettings(SourceSettings):
    """Wikipedia's own dumps: ``pages-articles`` as XML, plain, bzip2 (one stream or many) or gzip.

    The language is the one of the file's name: dumps are named after their database, ``cawiki-...``.

    Every page of the article namespace (``<ns>`` 0) in wikitext is a row. Redirects, and talk, category, template and
    other pages, are no documents: they give no row, and ``status`` says how many there were. MURI samples articles to
    be answers, so pages that answer nothing are rejected by default: disambiguation pages, and pages that are lists
    almost throughout. Stubs are kept: in small Wikipedias editors mark most articles so, and the clean stage rejects
    what is too short.
    """

    kind: Literal["wikipedia-dump"] = "wikipedia-dump"
    name: SourceName = "wikipedia"
    license: License = LICENSE
    genre: Genre = "encyclopedic"
    disambiguation: Literal["keep", "reject"] = "reject"
    """Pages that only say which articles a name may mean, told by ``__DISAMBIG__``, their templates and categories."""
    lists: Literal["keep", "reject"] = "reject"
    """Pages of which ``list_share`` or more is list items."""
    list_share: float = Field(0.8, gt=0, le=1)
    """Share of a page's characters, headings apart, that stands in list items, from which on the page is a list."""
    stubs: Literal["keep", "reject"] = "keep"
    """Pages that their editors marked as the mere beginning of an article, told by their templates."""
    max_record_bytes: int = Field(32 * 2**20, ge=1_000, json_schema_extra=OPERATIONAL)
    """A page with more bytes of XML is rejected, and keeps its beginning; MediaWiki allows 2 MiB of wikitext a
    revision. Dumps with the history of pages need more; a task holds several times as much."""


class WikipediaParquetSettings(SourceSettings):
    """Wikipedia as Parquet: columns id, url, title and text, a folder a language (``ca`` or ``20231101.ca``).

    The text is plain already, so neither templates nor lists can be told any more: every row is taken.
    """

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
        return place_files(dumps, settings, languages, wanted, ("wikipedia",), _database_codes)
    tables = list_files(spark, settings, _PARQUET, _PARQUET_FORM)
    return place_files(tables, settings, languages, wanted, ("wikipedia",), folder_codes)


def read(
    spark: SparkSession,
    settings: WikipediaDumpSettings | WikipediaParquetSettings,
    languages: LanguageTable,
    *,
    seed: int | None = None,
    only: Iterable[str] = (),
    left_out: Observation | None = None,
) -> DataFrame:
    """Read Wikipedia; see ``jobs.sources.read``."""
    found = files(spark, settings, languages, only)
    if isinstance(settings, WikipediaDumpSettings):
        return _read_dumps(spark, settings, found, languages, seed, left_out)
    return _read_parquet(spark, settings, found, seed)


def _read_dumps(
    spark: SparkSession,
    settings: WikipediaDumpSettings,
    dumps: Sequence[CorpusFile],
    languages: LanguageTable,
    seed: int | None,
    left_out: Observation | None,
) -> DataFrame:
    pieces = read_pieces(spark, dumps, settings.max_record_bytes, PAGE_END)
    records = pieces.mapInArrow(partial(read_pages, files={file.uri: file for file in dumps}), RECORD_SCHEMA)
    counts_pages = F.col("reason").eqNullSafe(LEFT_OUT)
    if left_out is not None:
        records = records.observe(
            left_out,
            *(
                F.sum(
                    F.when(
                        counts_pages & (F.col("language") == language) & (F.col("subsource") == kind), F.col("identity")
                    ).cast("long")
                ).alias(f"{language}/{kind}")
                for language in sorted({file.language for file in dumps if file.language})
                for kind in KINDS_LEFT_OUT
            ),
        )
    records = records.where(~counts_pages)
    rules = PageRules(
        is_disambiguation_rejected=settings.disambiguation == "reject",
        max_list_share=settings.list_share if settings.lists == "reject" else None,
        is_stub_rejected=settings.stubs == "reject",
    )
    editions = frozenset(code for language in languages for code in languages.get(language).wikipedia)

    def convert(docs: DataFrame) -> DataFrame:
        if settings.sample_size.is_counted and seed is not None:
            # Ranking leaves a language's pages in one task; the parser is what takes long.
            docs = docs.repartition("doc_id")
        return docs.mapInArrow(
            partial(pages_to_text, order=docs.columns, interlanguage=editions, rules=rules), docs.schema
        )

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
