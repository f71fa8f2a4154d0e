"""Translate instructions from the pivot language into the document's language (MURI, section 3, step 4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import pyarrow as pa
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import BACK_TRANSLATE, join_columns
from jobs.stages.base import ENGINE_ERROR, Resources, Stage, StageSettings, flag
from jobs.stages.engines import AnyTranslator
from jobs.stages.translate import NO_ENGINE, translate_by_language
from udfs.arrow import open_once, with_columns
from udfs.engines import Answer
from udfs.masking import Masked, mask_title, unmask
from udfs.translators import Translator
from udfs.translators.apertium import ApertiumSettings


class BackTranslateSettings(StageSettings):
    """Translate the instruction into the document's language."""

    engine: AnyTranslator = Field(default_factory=ApertiumSettings)
    """Translation engine, from the pivot to the document's language."""
    keep_titles: bool = True
    """Leave a title that the instruction names as the document writes it, instead of translating it a second time."""


def back_translate(docs: DataFrame, settings: BackTranslateSettings, resources: Resources) -> DataFrame:
    """Fill ``instruction_src`` where the source did not hold the instruction itself.

    Input columns: language, title, title_en, instruction_en, instruction_src, rejected_for, detail.
    Output columns: the same and BACK_TRANSLATE.
    """
    pivot = resources.pivot
    covered = [code for code in resources.languages if code == pivot or settings.engine.supports(pivot, code)]
    schema = join_columns(docs.schema, BACK_TRANSLATE, ENGINE_ERROR)
    run = partial(
        _back_translate_batches,
        engine=settings.engine,
        pivot=pivot,
        covered=frozenset(covered),
        keep_titles=settings.keep_titles,
        order=schema.fieldNames(),
    )
    is_uncovered = F.col("instruction_src").isNull() & ~F.col("language").isin(covered)
    return (
        docs.mapInArrow(run, schema)
        .transform(flag, is_uncovered, Reason.UNSUPPORTED_BACK, F.col("language"))
        .transform(flag, F.col("engine_error").isNotNull(), Reason.BACK_TRANSLATE_FAILED, F.col("engine_error"))
        .drop("engine_error")
    )


def _back_translate_batches(
    batches: Iterable[pa.RecordBatch],
    engine: AnyTranslator,
    pivot: str,
    covered: frozenset[str],
    keep_titles: bool,
    order: list[str],
) -> Iterator[pa.RecordBatch]:
    translator = open_once(type(engine).open, engine)
    for batch in batches:
        own = batch.column("instruction_src").to_pylist()
        english = batch.column("instruction_en").to_pylist()
        languages = batch.column("language").to_pylist()
        wanted = [
            text if mine is None and language in covered else None
            for text, mine, language in zip(english, own, languages, strict=True)
        ]
        titles = zip(batch.column("title").to_pylist(), batch.column("title_en").to_pylist(), strict=True)
        masks = [
            mask_title(text, title, title_en) if keep_titles and text and title and title_en else None
            for text, (title, title_en) in zip(wanted, titles, strict=True)
        ]
        answers, labels = _translate_masked(translator, wanted, masks, pivot, languages)
        instructions = [answer.text if answer else mine for answer, mine in zip(answers, own, strict=True)]
        yield with_columns(
            batch,
            {
                "instruction_src": pa.array(instructions, pa.string()),
                "back_translator": pa.array((label or NO_ENGINE for label in labels), pa.string()),
                "engine_error": pa.array((answer and answer.error for answer in answers), pa.string()),
            },
            order,
        )


def _translate_masked(
    translator: Translator,
    texts: Sequence[str | None],
    masks: Sequence[Masked | None],
    pivot: str,
    languages: Sequence[str],
) -> tuple[list[Answer | None], list[str | None]]:
    """Translate with the titles masked; once more without where the engine did not bring the mask back."""
    pivots = [pivot] * len(texts)
    masked = [mask.text if mask else text for text, mask in zip(texts, masks, strict=True)]
    answers, labels = translate_by_language(translator, masked, pivots, languages)
    lost: list[str | None] = [None] * len(texts)
    for row, (answer, mask) in enumerate(zip(answers, masks, strict=True)):
        if mask is None or answer is None or answer.text is None:
            continue
        restored = unmask(answer.text, mask)
        if restored is None:
            lost[row] = texts[row]
        else:
            answers[row] = Answer(restored)
    again, _ = translate_by_language(translator, lost, pivots, languages)
    return [second or first for first, second in zip(answers, again, strict=True)], labels


STAGE = Stage(
    name="back_translate",
    settings=BackTranslateSettings,
    adds=BACK_TRANSLATE,
    transform=back_translate,
    needs=("instruction_en", "title_en"),
    engines=("engine",),
    labels=("back_translator",),
)
