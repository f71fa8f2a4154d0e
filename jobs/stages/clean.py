"""Clean documents, find their headline, and check that they are what their source claims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import pyarrow as pa
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import CLEAN, join_columns
from jobs.stages.base import Resources, Stage, StageSettings, flag, no_columns
from jobs.stages.engines import AnyIdentifier, RecipeIdentifier, task_devices
from udfs import text as kernel
from udfs.arrow import with_columns
from udfs.headline import headline
from udfs.identifiers.py3langid import Py3langidSettings
from udfs.loaded import open_for


class CleanSettings(StageSettings):
    """Clean texts, take out site furniture, keep those of fair length, shape and language."""

    min_chars: int = Field(200, ge=0)
    """Shortest text that is kept, in Unicode code points after cleaning."""
    max_chars: int = Field(100_000, ge=1)
    """Longest text that is kept, in Unicode code points after cleaning."""
    min_repeated_line_chars: int = Field(30, ge=1)
    """A later copy of a line in one document is taken out if it is at least this long."""
    max_removed_share: float = Field(0.5, ge=0, le=1)
    """Largest share of a document's characters that may be taken out as site furniture."""
    max_repeated_line_share: float = Field(0.3, ge=0, le=1)
    """Largest share of characters in lines that the document had before."""
    max_repeated_ngram_share: float = Field(0.2, ge=0, le=1)
    """Largest share of words in copies of the document's most frequent word 4-gram."""
    max_symbol_share: float = Field(0.2, ge=0, le=1)
    """Largest share of punctuation and symbol characters."""
    identifier: AnyIdentifier = Field(default_factory=Py3langidSettings)
    """Engine that checks the document's language against the one its source claims."""


def clean(docs: DataFrame, settings: CleanSettings, resources: Resources) -> DataFrame:
    """Clean every document and flag those that break a rule.

    Input columns: DOCUMENTS, rejected_for, detail.
    Output columns: the same with title, text, text_chars cleaned, and CLEAN.
    """
    return (
        docs.transform(with_cleaned_text, settings, resources).transform(flag_shape, settings).transform(flag_language)
    )


def with_cleaned_text(docs: DataFrame, settings: CleanSettings, resources: Resources) -> DataFrame:
    """Replace title and text by the cleaned ones and add the measures of CLEAN."""
    schema = join_columns(docs.schema, CLEAN)
    run = partial(
        _clean_batches,
        settings=settings,
        identifier=RecipeIdentifier.of(settings.identifier, resources),
        order=schema.fieldNames(),
    )
    return docs.mapInArrow(run, schema)


def flag_shape(docs: DataFrame, settings: CleanSettings) -> DataFrame:
    """Add the reasons that follow from a document's length, repetition and symbols."""
    before = F.col("text_chars") + F.col("removed_chars")
    rules = [
        (Reason.TOO_SHORT, F.col("text_chars") < settings.min_chars, F.col("text_chars")),
        (Reason.TOO_LONG, F.col("text_chars") > settings.max_chars, F.col("text_chars")),
        (Reason.BOILERPLATE, F.col("removed_chars") > before * settings.max_removed_share, F.col("removed_chars")),
        (
            Reason.REPETITIVE,
            F.greatest(
                F.col("repeated_line_share") - settings.max_repeated_line_share,
                F.col("repeated_ngram_share") - settings.max_repeated_ngram_share,
            )
            > 0,
            F.round(F.greatest("repeated_line_share", "repeated_ngram_share"), 3),
        ),
        (Reason.SYMBOLS, F.col("symbol_share") > settings.max_symbol_share, F.round("symbol_share", 3)),
    ]
    for reason, condition, measure in rules:
        docs = flag(docs, condition, reason, F.concat(F.lit(reason.meaning + ": "), measure.cast("string")))
    return docs


def flag_language(docs: DataFrame) -> DataFrame:
    """Add ``clean.wrong_language`` where the identifier is sure of another language."""
    return flag(
        docs,
        F.col("document_language_outcome") == "mismatch",
        Reason.WRONG_LANGUAGE,
        F.concat(F.lit("looks like "), F.col("document_language_label")),
    )


def _clean_batches(
    batches: Iterable[pa.RecordBatch], settings: CleanSettings, identifier: RecipeIdentifier, order: list[str]
) -> Iterator[pa.RecordBatch]:
    engine = open_for((STAGE.name, task_devices()), RecipeIdentifier.open, identifier)
    for batch in batches:
        cleaned = [kernel.clean(text, settings.min_repeated_line_chars) for text in batch.column("text").to_pylist()]
        own_titles = [kernel.normalise(title or "") or None for title in batch.column("title").to_pylist()]
        titles = [title or headline(each.text) for title, each in zip(own_titles, cleaned, strict=True)]
        texts = [each.text for each in cleaned]
        found = engine.identify(texts, batch.column("language").to_pylist())
        yield with_columns(
            batch,
            {
                "title": pa.array(titles, pa.string()),
                "text": pa.array(texts, pa.string()),
                "text_chars": pa.array(map(len, texts), pa.int32()),
                "title_from": pa.array(
                    [
                        "source" if own else "headline" if title else None
                        for own, title in zip(own_titles, titles, strict=True)
                    ],
                    pa.string(),
                ),
                "removed_lines": pa.array((each.removed_lines for each in cleaned), pa.int32()),
                "removed_chars": pa.array((each.removed_chars for each in cleaned), pa.int32()),
                "repeated_line_share": pa.array((each.repeated_line_share for each in cleaned), pa.float64()),
                "repeated_ngram_share": pa.array((each.repeated_ngram_share for each in cleaned), pa.float64()),
                "symbol_share": pa.array((each.symbol_share for each in cleaned), pa.float64()),
                "document_language_label": pa.array((each.label for each in found), pa.string()),
                "document_language_score": pa.array((each.score for each in found), pa.float64()),
                "document_language_expected_score": pa.array((each.expected_score for each in found), pa.float64()),
                "document_language_outcome": pa.array((each.outcome for each in found), pa.string()),
                "document_identifier": pa.array([engine.label] * len(batch), pa.string()),
            },
            order,
        )


STAGE = Stage(
    name="clean",
    settings=CleanSettings,
    adds=CLEAN,
    transform=clean,
    engines=("identifier",),
    labels=("document_identifier",),
    of_pairs=no_columns,
)
