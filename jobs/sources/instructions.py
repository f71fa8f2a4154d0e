"""Instruction, context and response, one object a line, as Dolly has it; the fields' names are the recipe's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from pyspark.sql import DataFrame, SparkSession

from jobs.sources.base import PairSourceSettings, SourceName, to_documents
from jobs.sources.files import folder_codes, list_files, place_files, wanted_languages
from jobs.sources.jsonl import JSON_LINES, JSON_LINES_FORM, keep_languages
from jobs.sources.pair_lines import read_pair_lines
from udfs.languages import LanguageTable, Scheme
from udfs.pairs.tasks import InstructionFormat
from udfs.records import CorpusFile
from udfs.settings import Settings


class InstructionColumns(Settings):
    """Which field of an object holds what; null where the corpus has none."""

    instruction: str = "instruction"
    context: str | None = "context"
    """Follows the instruction after a blank line, where it is not empty."""
    response: str = "response"
    id: str | None = None
    """The corpus's own key; null: the content."""
    language: str | None = None
    """Code of the record's language, in the scheme of ``language_codes``."""
    subsource: str | None = "category"
    """The part of the corpus a record is of, for licences and genres by part."""


class InstructionSettings(PairSourceSettings):
    """JSON lines with instruction, context and response, as databricks-dolly-15k; others by their fields' names.

    Alpaca's, for one: ``columns: {context: input, response: output, subsource: null}``. The language is ``language``,
    the records', or that of the folder.
    """

    kind: Literal["instructions"] = "instructions"
    name: SourceName = "instructions"
    columns: InstructionColumns = InstructionColumns()
    """Which field holds what."""
    language_codes: Scheme = "language"
    """Scheme of the language codes in records or folders: a column of conf/languages.csv. GlotLID codes always do."""


def files(
    spark: SparkSession, settings: InstructionSettings, languages: LanguageTable, only: Iterable[str] = ()
) -> list[CorpusFile]:
    """Return the files that are read, with their languages; see ``jobs.sources.files_of``."""
    wanted = wanted_languages(settings, languages, only)
    found = list_files(spark, settings, JSON_LINES, JSON_LINES_FORM)
    if settings.language is not None or settings.columns.language is not None:
        return [replace(file, language=settings.language) for file in found]
    return place_files(found, settings, languages, wanted, (settings.language_codes,), folder_codes)


def read(
    spark: SparkSession,
    settings: InstructionSettings,
    languages: LanguageTable,
    *,
    seed: int | None = None,
    only: Iterable[str] = (),
) -> DataFrame:
    """Read instructions with responses; see ``jobs.sources.read``."""
    columns = {role: key for role, key in settings.columns.model_dump().items() if key is not None}
    form = InstructionFormat(columns, languages.by_codes(settings.language_codes))
    needed = ((columns["instruction"], columns["response"]),)
    records = read_pair_lines(spark, files(spark, settings, languages, only), settings, form, needed)
    wanted = wanted_languages(settings, languages, only)
    return to_documents(keep_languages(records, wanted), settings, seed, caps=settings.caps())
