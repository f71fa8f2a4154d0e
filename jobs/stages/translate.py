"""Translate documents into the pivot language, so that an English model can read them (MURI, section 3, step 2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import pyarrow as pa
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import TRANSLATE, join_columns
from jobs.stages.base import ENGINE_ERROR, Resources, Stage, StageSettings, flag
from jobs.stages.engines import AnyTranslator
from udfs.arrow import open_once, with_columns
from udfs.engines import Answer
from udfs.translators import Translator
from udfs.translators.apertium import ApertiumSettings

NO_ENGINE = "none"  # label of a row that was in the target language already


class TranslateSettings(StageSettings):
    """Translate title and text into the pivot language."""

    engine: AnyTranslator = Field(default_factory=ApertiumSettings)
    """Translation engine, from the document's language to the pivot."""


def translate(docs: DataFrame, settings: TranslateSettings, resources: Resources) -> DataFrame:
    """Add the pivot text of every document whose language the engine covers, and flag the others.

    Input columns: language, title, text, rejected_for, detail.
    Output columns: the same and TRANSLATE.
    """
    pivot = resources.pivot
    covered = [code for code in resources.languages if is_covered(settings.engine, code, pivot)]
    schema = join_columns(docs.schema, TRANSLATE, ENGINE_ERROR)
    run = partial(
        _translate_batches, engine=settings.engine, pivot=pivot, covered=frozenset(covered), order=schema.fieldNames()
    )
    return (
        docs.mapInArrow(run, schema)
        .transform(flag, ~F.col("language").isin(covered), Reason.UNSUPPORTED_LANGUAGE, F.col("language"))
        .transform(flag, F.col("engine_error").isNotNull(), Reason.TRANSLATE_FAILED, F.col("engine_error"))
        .drop("engine_error")
    )


def is_covered(engine: AnyTranslator, language: str, pivot: str) -> bool:
    """Say whether a document's language can be brought to the pivot: by the engine, or because it is the pivot."""
    return language == pivot or engine.supports(language, pivot)


def translate_by_language(
    translator: Translator, texts: Sequence[str | None], sources: Sequence[str], targets: Sequence[str]
) -> tuple[list[Answer | None], list[str | None]]:
    """Translate a batch of mixed languages, one engine call a direction.

    Args:
        translator: the engine.
        texts: None where there is nothing to translate.
        sources: GlotLID code of each text.
        targets: GlotLID code each text is wanted in.

    Returns:
        Answers (None where the text was None) and engine labels, in the order of ``texts``.
    """
    answers: list[Answer | None] = [None] * len(texts)
    labels: list[str | None] = [None] * len(texts)
    directions: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, (text, source, target) in enumerate(zip(texts, sources, targets, strict=True)):
        if text is None:
            continue
        if source == target:
            answers[row], labels[row] = Answer(text), NO_ENGINE
        else:
            directions[source, target].append(row)
    for (source, target), rows in directions.items():
        label = translator.label(source, target)
        given = translator.translate([texts[row] or "" for row in rows], source, target)
        for row, answer in zip(rows, given, strict=True):
            answers[row], labels[row] = answer, label
    return answers, labels


def _translate_batches(
    batches: Iterable[pa.RecordBatch], engine: AnyTranslator, pivot: str, covered: frozenset[str], order: list[str]
) -> Iterator[pa.RecordBatch]:
    translator = open_once(type(engine).open, engine)
    for batch in batches:
        languages = batch.column("language").to_pylist()
        fields = [batch.column(name).to_pylist() for name in ("title", "text")]
        # Title and text as separate texts, so that a title is no sentence of its body; one call for both.
        wanted = [
            text if language in covered else None
            for column in fields
            for text, language in zip(column, languages, strict=True)
        ]
        answers, labels = translate_by_language(translator, wanted, languages * 2, [pivot] * len(wanted))
        titles, texts = answers[: len(batch)], answers[len(batch) :]
        errors = [
            next((answer.error for answer in pair if answer and answer.error), None)
            for pair in zip(texts, titles, strict=True)
        ]
        yield with_columns(
            batch,
            {
                "title_en": pa.array((answer and answer.text for answer in titles), pa.string()),
                "text_en": pa.array((answer and answer.text for answer in texts), pa.string()),
                "translator": pa.array(labels[len(batch) :], pa.string()),
                "engine_error": pa.array(errors, pa.string()),
            },
            order,
        )


STAGE = Stage(
    name="translate",
    settings=TranslateSettings,
    adds=TRANSLATE,
    transform=translate,
    engines=("engine",),
    labels=("translator",),
)
