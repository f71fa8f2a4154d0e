"""WikiHow: articles as pairs, the title being the instruction (MURI, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Literal

from pydantic import Field
from pyspark.sql import DataFrame, SparkSession

from jobs.sources.base import Genre, License, PairSourceSettings, SourceName, to_documents
from jobs.sources.files import list_files, wanted_languages
from jobs.sources.jsonl import JSON_LINES, JSON_LINES_FORM, keep_languages
from jobs.sources.pair_lines import read_pair_lines
from udfs.languages import LanguageTable
from udfs.pairs.wikihow import WikiHowFormat
from udfs.records import CorpusFile

_FIELDS: Final = (("sections", "url"), ("title", "steps"))


class WikiHowSettings(PairSourceSettings):
    """WikiHow articles, JSON lines: WikiLingua's (url, language, sections), or with title, abstract and steps.

    Of half the articles the answer begins with the abstract; of half, independently, it has the steps' titles alone, of
    the others their texts too. A hash of the id draws which. WikiLingua has no abstracts, and the title in the address.
    The language is the record's, by name or WikiHow's code, or that of the site in its address.
    """

    kind: Literal["wikihow"] = "wikihow"
    name: SourceName = "wikihow"
    license: License = "CC-BY-NC-SA-3.0"
    genre: Genre = "how-to"
    draw_seed: int = 0
    """Seed of the draws for each article's form."""
    title_prefixes: dict[str, str] = Field(default_factory=lambda: {"eng_Latn": "How to"})
    """What instructions begin with, by GlotLID code, where the title is taken from an address, which lacks it."""


def files(
    spark: SparkSession, settings: WikiHowSettings, languages: LanguageTable, only: Iterable[str] = ()
) -> list[CorpusFile]:
    """Return the files that are read; see ``jobs.sources.files_of``."""
    wanted_languages(settings, languages, only)
    found = list_files(spark, settings, JSON_LINES, JSON_LINES_FORM)
    return [replace(file, language=settings.language) for file in found]


def read(
    spark: SparkSession,
    settings: WikiHowSettings,
    languages: LanguageTable,
    *,
    seed: int | None = None,
    only: Iterable[str] = (),
) -> DataFrame:
    """Read WikiHow; see ``jobs.sources.read``."""
    codes = languages.by_codes("name") | languages.by_codes("bcp47") | languages.by_codes("wikihow")
    form = WikiHowFormat(settings.name, settings.draw_seed, codes, settings.title_prefixes)
    records = read_pair_lines(spark, files(spark, settings, languages, only), settings, form, _FIELDS)
    wanted = wanted_languages(settings, languages, only)
    return to_documents(keep_languages(records, wanted), settings, seed, caps=settings.caps())
