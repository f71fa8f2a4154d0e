"""Translate instructions from the pivot language into the document's language (MURI, section 3, step 4)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import pyarrow as pa
from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import BACK_TRANSLATE, HEALTH, join_columns
from jobs.stages.base import ENGINE_ERROR, EngineStageSettings, Resources, Rule, Stage, flag, flag_all
from jobs.stages.engines import AnyTranslator, RecipeTranslator, task_devices
from jobs.stages.health import Fault, HealthSettings, fault_rules, to_arrow
from jobs.stages.texts import NO_ENGINE
from jobs.stages.translate import (
    REQUESTS,
    cache_key,
    engine_identity,
    find_known,
    known_translations,
    translate_all,
    without_cached,
)
from udfs.arrow import with_columns
from udfs.engines import Answer
from udfs.loaded import open_for
from udfs.masking import Masked, mask_title, unmask
from udfs.settings import OPERATIONAL
from udfs.translators import Translator
from udfs.translators.apertium import ApertiumSettings

_REASONS: Final[Mapping[Fault, Reason]] = {
    "truncated": Reason.BACK_TRANSLATE_TRUNCATED,
    "repeated": Reason.BACK_TRANSLATE_REPEATED,
    "copied": Reason.BACK_TRANSLATE_COPIED,
    "empty": Reason.BACK_TRANSLATE_EMPTY,
    "wrong_script": Reason.BACK_TRANSLATE_WRONG_SCRIPT,
    "length_ratio": Reason.BACK_TRANSLATE_LENGTH_RATIO,
}


class BackTranslateSettings(EngineStageSettings):
    """Translate the instruction into the document's language."""

    engine: AnyTranslator = Field(default_factory=ApertiumSettings)
    """Translation engine, from the pivot to the document's language."""
    keep_titles: bool = True
    """Leave a title that the instruction names as the document writes it, instead of translating it a second time."""
    health: HealthSettings = HealthSettings()
    """Faults of an instruction's translation that reject it."""
    cache: bool = Field(True, json_schema_extra=OPERATIONAL)
    """Keep translations, and do not translate again what the same engine has translated before, in any run."""


def back_translate(docs: DataFrame, settings: BackTranslateSettings, resources: Resources) -> DataFrame:
    """Fill ``instruction_src`` where the source did not hold the instruction itself.

    Input columns: language, title, title_en, instruction_en, instruction_src, rejected_for, detail; CACHED, if there is
    a cache.
    Output columns: the same without CACHED, and BACK_TRANSLATE.
    """
    pivot = resources.pivot
    engine = RecipeTranslator.of(settings.engine, resources)
    covered = sorted(engine.covered(resources.languages, pivot, into_pivot=False))
    schema = without_cached(join_columns(docs.schema, BACK_TRANSLATE, ENGINE_ERROR))
    run = partial(
        _back_translate_batches,
        engine=engine,
        identity=engine_identity(STAGE, settings.engine),
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
        .transform(flag_all, rules(settings, resources))
        .drop("engine_error")
    )


def rules(settings: BackTranslateSettings, _: Resources) -> list[Rule]:
    """Return what rejects for faults of the translation; languages and failures of the engine are flagged apart."""
    return fault_rules("instruction_health", settings.health, _REASONS)


def of_pairs(_: Resources) -> Mapping[str, Column]:
    """Return the columns of rows whose source holds their instruction: nothing was translated."""
    return {"back_translator": F.lit(NO_ENGINE)}


def requests(docs: DataFrame, settings: BackTranslateSettings, resources: Resources, is_written: bool) -> DataFrame:
    """Return one row for each instruction that documents ask the engine for; arguments and columns as in translate."""
    pivot = resources.pivot
    nothing = F.lit(None).cast("string")
    if is_written:
        asked = docs.where(F.col("back_translator") != NO_ENGINE)
    else:
        engine = RecipeTranslator.of(settings.engine, resources)
        covered = sorted(engine.covered(resources.languages, pivot, into_pivot=False) - {pivot})
        asked = docs.where(F.col("instruction_src").isNull() & F.col("language").isin(covered))
    columns = asked.where(F.col("instruction_en").isNotNull()).select(
        *("doc_id", "language", "title", "title_en", "instruction_en"),
        (F.col("back_translator") if is_written else nothing).alias("engine"),
        (F.col("instruction_src") if is_written else nothing).alias("translation"),
        (F.col("instruction_health") if is_written else F.lit(None).cast(HEALTH)).alias("health"),
    )
    run = partial(
        _request_batches,
        identity=engine_identity(STAGE, settings.engine),
        pivot=pivot,
        keep_titles=settings.keep_titles,
    )
    return columns.mapInArrow(run, REQUESTS)


def _request_batches(
    batches: Iterable[pa.RecordBatch], identity: str, pivot: str, keep_titles: bool
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        texts, languages = batch.column("instruction_en").to_pylist(), batch.column("language")
        keys = _keys(identity, pivot, texts, _masks(batch, texts, keep_titles), languages.to_pylist())
        yield with_columns(
            batch,
            {
                "source_language": pa.array([pivot] * len(batch), pa.string()),
                "target_language": languages,
                "cache_key": pa.array(keys, pa.string()),
            },
            REQUESTS.fieldNames(),
        )


def _keys(
    identity: str,
    pivot: str,
    texts: Sequence[str | None],
    masks: Sequence[Masked | None],
    languages: Sequence[str],
) -> list[str | None]:
    """Return the cache key of each instruction, None where there is nothing to translate.

    What is kept is the finished instruction. One that names its title is finished only with the title put back, and
    whether the mask was lost on the way cannot be told from what the table holds; so what was masked, and by what it
    is replaced, is part of the key. Instructions that name no title share their entries, whatever the documents.
    """
    keys: list[str | None] = []
    for text, mask, language in zip(texts, masks, languages, strict=True):
        if text is None or language == pivot:
            keys.append(None)
        else:
            # An identity begins with a brace, a masked one with a bracket.
            name = json.dumps([identity, mask.text, mask.title]) if mask else identity
            keys.append(cache_key(name, pivot, language, text))
    return keys


def _masks(batch: pa.RecordBatch, texts: Sequence[str | None], keep_titles: bool) -> list[Masked | None]:
    titles = zip(batch.column("title").to_pylist(), batch.column("title_en").to_pylist(), strict=True)
    return [
        mask_title(text, title, title_en) if keep_titles and text and title and title_en else None
        for text, (title, title_en) in zip(texts, titles, strict=True)
    ]


def _back_translate_batches(
    batches: Iterable[pa.RecordBatch],
    engine: RecipeTranslator,
    identity: str,
    pivot: str,
    covered: frozenset[str],
    keep_titles: bool,
    order: list[str],
) -> Iterator[pa.RecordBatch]:
    devices = task_devices()
    translator = open_for((STAGE.name, devices), RecipeTranslator.open, engine, devices)
    for batch in batches:
        own = batch.column("instruction_src").to_pylist()
        english = batch.column("instruction_en").to_pylist()
        languages = batch.column("language").to_pylist()
        wanted = [
            text if mine is None and language in covered else None
            for text, mine, language in zip(english, own, languages, strict=True)
        ]
        masks = _masks(batch, wanted, keep_titles)
        known = known_translations(batch)
        keys = _keys(identity, pivot, wanted, masks, languages) if known else [None] * len(batch)
        found, found_labels = find_known(translator, known, keys, [pivot] * len(batch), languages)
        left = [None if answer else text for text, answer in zip(wanted, found, strict=True)]
        given, given_labels = _translate_masked(translator, left, masks, pivot, languages)
        answers = [first or second for first, second in zip(found, given, strict=True)]
        labels = [first or second for first, second in zip(found_labels, given_labels, strict=True)]
        instructions = [answer.text if answer else mine for answer, mine in zip(answers, own, strict=True)]
        yield with_columns(
            batch,
            {
                "instruction_src": pa.array(instructions, pa.string()),
                "instruction_health": to_arrow(answers),
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
    masked = [mask.text if mask and text is not None else text for text, mask in zip(texts, masks, strict=True)]
    answers, labels = translate_all(translator, masked, pivots, languages)
    lost: list[str | None] = [None] * len(texts)
    for row, (answer, mask) in enumerate(zip(answers, masks, strict=True)):
        if mask is None or answer is None or answer.text is None:
            continue
        restored = unmask(answer.text, mask)
        if restored is None:
            lost[row] = texts[row]
        else:
            answers[row] = replace(answer, text=restored)
    again, _ = translate_all(translator, lost, pivots, languages)
    return [second or first for first, second in zip(answers, again, strict=True)], labels


STAGE = Stage(
    name="back_translate",
    settings=BackTranslateSettings,
    adds=BACK_TRANSLATE,
    transform=back_translate,
    needs=("instruction_en", "title_en"),
    engines=("engine",),
    labels=("back_translator",),
    rules=rules,
    of_pairs=of_pairs,
)
