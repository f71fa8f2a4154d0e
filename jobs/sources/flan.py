"""FLAN v2: its main collection and its chains of thought (Longpre et al. 2023), in the forms it is passed on in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Literal

from pydantic import Field, field_validator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.sources.base import Genre, License, PairSourceSettings, SourceName, to_documents
from jobs.sources.files import list_files, wanted_languages
from jobs.sources.jsonl import JSON_LINES, keep_languages
from jobs.sources.pair_lines import read_pair_lines
from udfs.languages import LanguageTable
from udfs.pairs.tasks import FlanFormat
from udfs.records import CorpusFile
from udfs.settings import OPERATIONAL

_TSV: Final = r"\.tsv(?:\.gz|\.bz2|\.zst)?$"
_FILES: Final = re.compile(f"{JSON_LINES.pattern}|{_TSV}")
_FORM: Final = "JSON lines (inputs, targets; or messages) or FLAN's .tsv of chains of thought, also compressed"
_FIELDS: Final = (("inputs", "targets"), ("messages",))


class FlanSettings(PairSourceSettings):
    """FLAN v2: JSON lines with inputs and targets, Tulu's with messages, or FLAN's .tsv of chains of thought.

    A row's part is ``main`` or ``cot``: its task source, data set or task, else its folder or file, says which. The
    numbers are MURI's, 50,000 of each.
    """

    kind: Literal["flan"] = "flan"
    name: SourceName = "flan_v2"
    license: License = "Apache-2.0"
    genre: Genre = "task"
    language: str | None = "eng_Latn"
    """GlotLID code of the corpus."""
    max_documents_per_part: int | None = Field(50_000, ge=1, json_schema_extra=OPERATIONAL)
    """At most so many pairs of the main collection, and as many chains of thought; chosen by a hash of the id; null:
    no limit."""
    cot_output: str = "{rationale}\nThe answer is {target}."
    """Output of a chain of thought in a .tsv, which has rationale and target apart."""

    @field_validator("cot_output")
    @classmethod
    def _has_slots(cls, value: str) -> str:
        try:
            made = value.format(rationale="<r>", target="<t>")
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"must be a text with {{rationale}} and {{target}}: {error}") from error
        if "<r>" not in made or "<t>" not in made:
            raise ValueError("must hold {rationale} and {target}")
        return value


def files(
    spark: SparkSession, settings: FlanSettings, languages: LanguageTable, only: Iterable[str] = ()
) -> list[CorpusFile]:
    """Return the files that are read; see ``jobs.sources.files_of``."""
    wanted_languages(settings, languages, only)
    return [replace(file, language=settings.language) for file in list_files(spark, settings, _FILES, _FORM)]


def read(
    spark: SparkSession,
    settings: FlanSettings,
    languages: LanguageTable,
    *,
    seed: int | None = None,
    only: Iterable[str] = (),
) -> DataFrame:
    """Read FLAN v2; see ``jobs.sources.read``."""
    found = files(spark, settings, languages, only)
    is_tabular = any(re.search(_TSV, file.origin) for file in found)
    form = FlanFormat(settings.cot_output)
    records = read_pair_lines(spark, found, settings, form, () if is_tabular else _FIELDS)
    part = F.coalesce(F.substring_index("subsource", "/", 1), F.lit(""))
    caps = ((part, settings.max_documents_per_part), *settings.caps())
    wanted = wanted_languages(settings, languages, only)
    return to_documents(keep_languages(records, wanted), settings, seed, caps=caps)
