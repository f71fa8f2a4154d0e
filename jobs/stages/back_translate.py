"""Translate instructions from the pivot language into the document's language (MURI, section 3, step 4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import pyarrow as pa
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import BACK_TRANSLATE
from jobs.stages.base import Resources, Stage, StageSettings, extended, flag
from jobs.stages.engines import AnyTranslator
from jobs.stages.translate import NO_ENGINE, translate_by_language
from udfs.arrow import open_once, with_columns
from udfs.translators.apertium import ApertiumSettings

_ERROR = StructType([StructField("engine_error", StringType())])


class BackTranslateSettings(StageSettings):
    """Translate the instruction into the document's language."""

    engine: AnyTranslator = Field(default_factory=ApertiumSettings)
    """Translation engine, from the pivot to the document's language."""


def back_translate(docs: DataFrame, settings: BackTranslateSettings, resources: Resources) -> DataFrame:
    """Fill ``instruction_src`` where the source did not hold the instruction itself.

    Input columns: language, instruction_en, instruction_src, rejected_for, detail.
    Output columns: the same and BACK_TRANSLATE.
    """
    pivot = resources.pivot
    covered = [code for code in resources.languages if code == pivot or settings.engine.supports(pivot, code)]
    schema = extended(docs, BACK_TRANSLATE, _ERROR)
    run = partial(
        _back_translate_batches,
        engine=settings.engine,
        pivot=pivot,
        covered=frozenset(covered),
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
    batches: Iterable[pa.RecordBatch], engine: AnyTranslator, pivot: str, covered: frozenset[str], order: list[str]
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
        answers, labels = translate_by_language(translator, wanted, [pivot] * len(batch), languages)
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


STAGE = Stage(
    name="back_translate",
    settings=BackTranslateSettings,
    adds=BACK_TRANSLATE,
    transform=back_translate,
    needs=("instruction_en",),
    engines=("engine",),
    labels=("back_translator",),
)
