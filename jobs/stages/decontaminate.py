"""Reject pairs in which an item of an evaluation set stands (see ``udfs.contamination``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import pyarrow as pa
from pydantic import Field, field_validator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import DECONTAMINATE, join_columns
from jobs.stages.base import Resources, Rule, Stage, StageSettings, flag_all
from udfs import contamination
from udfs.arrow import with_columns
from udfs.contamination import Index, Match, Plan
from udfs.records import MIXED_LANGUAGE
from udfs.settings import OPERATIONAL, Settings


class EvaluationFile(Settings):
    """One evaluation set, in a file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the set on the rows it is found in."""
    path: str = Field(min_length=1, json_schema_extra=OPERATIONAL)
    """A file that the driver can open; relative paths are relative to the recipe. Its content counts as a setting:
    other bytes ask for a rebuild. May be compressed: .gz, .bz2, .zst, .xz."""
    format: Literal["jsonl", "json", "csv", "tsv", "parquet", "text"] | None = None
    """null: the file's name says it. ``text`` is an item a line; ``csv`` and ``tsv`` have a first line of names."""
    columns: tuple[str, ...] = ()
    """Columns whose texts are items, each on its own; of a list each text is one. Empty: all columns with texts."""
    language: str | None = None
    """GlotLID code of the items: texts in other languages are not searched for them. null: all texts are."""


class NgramTokens(Settings):
    """Length of an n-gram in tokens, by the script of its last one."""

    words: Annotated[int, Field(ge=2, le=64)] = 8
    """Words, in scripts with spaces."""
    characters: Annotated[int, Field(ge=2, le=64)] = 12
    """Chinese and Japanese characters."""
    unspaced: Annotated[int, Field(ge=2, le=128)] = 24
    """Characters of Thai, Lao, Khmer, Myanmar, Tibetan and other alphabets written without spaces between words."""


class DecontaminateSettings(StageSettings):
    """Reject pairs in which an item of an evaluation set stands.

    Searched are the output, the instruction with all that was said before it, and both in the pivot language where the
    row has them.
    """

    sets: tuple[EvaluationFile, ...] = Field(min_length=1)
    """The evaluation sets."""
    ngram: NgramTokens = Field(default_factory=NgramTokens)
    """Length of the n-grams that are compared."""
    min_share: float = Field(0.5, gt=0, le=1)
    """Least share of an item's tokens that lie in n-grams found in one stretch of a text, twice as long as the item at
    most, for the pair to be rejected."""
    min_found_words: int = Field(13, ge=1)
    """Least that must be found, in words, or the whole of an item that is shorter. Characters count as the part of a
    word that ``ngram`` makes of them."""
    min_words: int = Field(5, ge=1)
    """Items of fewer words are looked for as a whole text only, and those of fewer than three not at all."""
    max_items_per_ngram: int = Field(10, ge=1)
    """N-grams that more items hold, such as the wording of a task, count for nothing."""
    search_translations: bool = True
    """Whether items are looked for in a machine's translation into the pivot language by their words too, whatever the
    order: of items of ``min_found_words`` and more, with the same ``min_share``."""
    max_ngrams: int = Field(10_000_000, ge=1, json_schema_extra=OPERATIONAL)
    """Most n-grams that the sets may hold, about one a word; each takes some 30 bytes in every Python worker."""

    @field_validator("sets")
    @classmethod
    def _names_differ(cls, sets: tuple[EvaluationFile, ...]) -> tuple[EvaluationFile, ...]:
        names = [each.name for each in sets]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"two sets are named {doubled[0]}")
        return sets

    def plan(self) -> Plan:
        """Return what counts as found."""
        return Plan(
            self.ngram.words,
            self.ngram.characters,
            self.ngram.unspaced,
            self.min_share,
            self.min_found_words,
            self.min_words,
            self.max_items_per_ngram,
        )


def decontaminate(docs: DataFrame, settings: DecontaminateSettings, resources: Resources) -> DataFrame:
    """Add what was found of evaluation sets, and flag the pairs that hold an item.

    Input columns: language, text, instruction_src, instruction_language, messages, rejected_for, detail; and text_en,
    instruction_en, if there.
    Output columns: the same and DECONTAMINATE.
    """
    assert resources.evaluation_sets is not None, "the recipe's evaluation sets were not read"
    schema = join_columns(docs.schema, DECONTAMINATE)
    run = partial(
        _search,
        index=resources.evaluation_sets,
        min_share=settings.min_share,
        pivot=resources.pivot,
        order=schema.fieldNames(),
    )
    return docs.mapInArrow(run, schema).transform(flag_all, rules(settings, resources))


def rules(settings: DecontaminateSettings, _: Resources) -> list[Rule]:
    """Return the stage's one rule; the share is stored below the limit, too."""
    note = F.format_string(
        "%.0f %% of %s, %s, in %s",
        F.col("contaminated_share") * 100,
        F.col("contaminated_set"),
        F.col("contaminated_item"),
        F.col("contaminated_side"),
    )
    return [Rule(F.col("contaminated_share") >= settings.min_share, Reason.CONTAMINATED, note)]


def _search(
    batches: Iterable[pa.RecordBatch], index: Index, min_share: float, pivot: str, order: list[str]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        names = ("language", "text", "instruction_src", "instruction_language", "messages", "text_en", "instruction_en")
        there = [name for name in names if name in batch.schema.names]
        rows = batch.select(there).to_pylist()
        found = [_best(index, list(_sides(row, pivot))) for row in rows]
        hits = [each if each is not None and each[2].share >= min_share else None for each in found]
        columns = {
            "contaminated_set": [hit and hit[2].set_name for hit in hits],
            "contaminated_item": [hit and hit[2].item for hit in hits],
            "contaminated_side": [hit and hit[0] for hit in hits],
            "contaminated_span": [hit and _span(hit[1], hit[2]) for hit in hits],
        }
        arrays = {name: pa.array(values, pa.string()) for name, values in columns.items()}
        shares = [0.0 if each is None else each[2].share for each in found]
        yield with_columns(batch, {**arrays, "contaminated_share": pa.array(shares, pa.float64())}, order)


class _Side(NamedTuple):
    name: str
    text: str
    language: str | None
    is_translation: bool


def _sides(row: dict[str, Any], pivot: str) -> Iterator[_Side]:
    """Yield what is searched."""
    language = row["language"]
    said = row["messages"]
    instruction = row["instruction_src"]
    if said:
        instruction = "\n".join(message["content"] for message in said[:-1])
    of_instruction = row["instruction_language"] or language
    sides = (
        ("text", row["text"], language),
        ("instruction", instruction, None if of_instruction == MIXED_LANGUAGE else of_instruction),
        ("text_en", row.get("text_en"), pivot),
        ("instruction_en", row.get("instruction_en"), pivot),
    )
    seen: set[tuple[str, str | None]] = set()
    for side, text, code in sides:
        # In the pivot language both sides are the same text.
        if text is not None and (text, code) not in seen:
            seen.add((text, code))
            yield _Side(side, text, code, side in ("text_en", "instruction_en"))


def _best(index: Index, sides: list[_Side]) -> tuple[str, str, Match] | None:
    found = [(name, text, match) for name, text, language, is_translation in sides
             if (match := index.find(text, language, is_translation)) is not None]  # fmt: skip
    return max(found, key=lambda each: each[2].share, default=None)


def _span(text: str, match: Match) -> str:
    return text[match.start : min(match.end, match.start + contamination.MAX_SPAN_CHARS)]


STAGE = Stage(
    name="decontaminate",
    settings=DecontaminateSettings,
    adds=DECONTAMINATE,
    transform=decontaminate,
    rules=rules,
    needs=("instruction_src",),
    version=contamination.VERSION,
)
