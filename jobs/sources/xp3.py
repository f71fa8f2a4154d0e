"""xP3 and xP3x: prompted data sets in many languages (Muennighoff et al. 2022)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Final, Literal

from pydantic import Field
from pyspark.sql import DataFrame, SparkSession

from jobs.sources.base import Genre, License, PairSourceSettings, SourceName, to_documents
from jobs.sources.files import folder_codes, list_files, place_files, wanted_languages
from jobs.sources.jsonl import JSON_LINES, JSON_LINES_FORM, keep_languages
from jobs.sources.pair_lines import read_pair_lines
from udfs.languages import LanguageTable
from udfs.pairs.tasks import Xp3Format
from udfs.records import MIXED_LANGUAGE, CorpusFile
from udfs.settings import OPERATIONAL

_LOG = logging.getLogger(__name__)

_FIELDS: Final = (("inputs", "targets"),)
# merged_fr.jsonl, xp3_fr.jsonl. Of longer names, such as xp3_GEM_wiki_lingua_fr_train.jsonl, the folder says it.
_NAME: Final = re.compile(r"^(?:merged|xp3)_([a-z]{2,3})(?=\.)")
_PROGRAMS: Final = "code"


class Xp3Settings(PairSourceSettings):
    """xP3: JSON lines with inputs and targets, in a folder a language or named after it (``merged_fr.jsonl``).

    With ``language_field`` also xP3x. MURI's 184,000 rows are 4,000 for each of xP3's 46 parts (our conclusion from the
    number), so that is the default. For shares by size set max_documents_per_language to null and max_pairs to
    184000. The part ``code``, programs, is left out.
    """

    kind: Literal["xp3"] = "xp3"
    name: SourceName = "xp3"
    license: License = "Apache-2.0"
    genre: Genre = "task"
    max_documents_per_language: int | None = Field(4_000, ge=1, json_schema_extra=OPERATIONAL)
    """At most so many pairs a language, chosen by a hash of the id; null: no limit."""
    language_field: bool = False
    """Take the language from the field ``language`` of each record, a GlotLID code, as xP3x has it."""
    instruction_language: str | None = MIXED_LANGUAGE
    """GlotLID code of all prompts, or mul_Zyyy as xP3's are English around texts in the language, whose language is not
    checked; null: that of the record, as in xP3mt."""


def files(
    spark: SparkSession, settings: Xp3Settings, languages: LanguageTable, only: Iterable[str] = ()
) -> list[CorpusFile]:
    """Return the files that are read, with their languages; see ``jobs.sources.files_of``."""
    wanted = wanted_languages(settings, languages, only)
    found = list_files(spark, settings, JSON_LINES, JSON_LINES_FORM)
    if settings.language_field and settings.language is None:
        return found
    programs = [file for file in found if _codes(file, settings.path)[:1] == [_PROGRAMS]]
    if programs and settings.language is None:
        _LOG.warning("Source %s: %d files of programs are left out", settings.name, len(programs))
        found = [file for file in found if file not in programs]
    return place_files(found, settings, languages, wanted, ("xp3",), _codes)


def read(
    spark: SparkSession,
    settings: Xp3Settings,
    languages: LanguageTable,
    *,
    seed: int | None = None,
    only: Iterable[str] = (),
) -> DataFrame:
    """Read xP3; see ``jobs.sources.read``."""
    form = Xp3Format(languages.by_codes("xp3"), settings.instruction_language)
    records = read_pair_lines(spark, files(spark, settings, languages, only), settings, form, _FIELDS)
    wanted = wanted_languages(settings, languages, only)
    return to_documents(keep_languages(records, wanted), settings, seed, caps=settings.caps())


def _codes(file: CorpusFile, path: str) -> list[str]:
    """Return what may be the file's language: in its own name, else of its folders."""
    name = _NAME.match(file.origin.rpartition("/")[2])
    return ([name[1]] if name else []) + folder_codes(file, path)
