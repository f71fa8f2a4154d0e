"""Translate documents into the pivot language, so that an English model can read them (MURI, section 3, step 2)."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Final

import pyarrow as pa
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import HEALTH, TRANSLATE, join_columns
from jobs.stages.base import ENGINE_ERROR, EngineStageSettings, Resources, Rule, Stage, flag, flag_all, no_columns
from jobs.stages.engines import AnyTranslator, RecipeTranslator, task_devices
from jobs.stages.health import Fault, HealthSettings, fault_rules, from_row, to_arrow
from jobs.stages.texts import NO_ENGINE
from udfs.arrow import with_columns
from udfs.engines import Answer
from udfs.loaded import open_for
from udfs.settings import OPERATIONAL
from udfs.translators import Translator
from udfs.translators.apertium import ApertiumSettings

# May stand beside a stage's columns: array<struct<cache_key, engine, translation, health>>, what earlier batches made
# of the row's texts. A stage uses it instead of its engine and takes it away.
CACHED: Final = "cached_translations"
# One text that a stage asks its engine for; in rows that the stage has written, also what the engine answered.
REQUESTS: Final = StructType(
    [
        StructField(name, StringType())
        for name in ("doc_id", "language", "source_language", "target_language", "cache_key", "engine", "translation")
    ]
).add("health", HEALTH)
_REASONS: Final[Mapping[Fault, Reason]] = {
    "truncated": Reason.TRANSLATE_TRUNCATED,
    "repeated": Reason.TRANSLATE_REPEATED,
    "copied": Reason.TRANSLATE_COPIED,
    "empty": Reason.TRANSLATE_EMPTY,
    "wrong_script": Reason.TRANSLATE_WRONG_SCRIPT,
    "length_ratio": Reason.TRANSLATE_LENGTH_RATIO,
}


class TranslateSettings(EngineStageSettings):
    """Translate title and text into the pivot language."""

    engine: AnyTranslator = Field(default_factory=ApertiumSettings)
    """Translation engine, from the document's language to the pivot."""
    health: HealthSettings = HealthSettings()
    """Faults of a text's translation that reject the document; those of its title are stored alone."""
    cache: bool = Field(True, json_schema_extra=OPERATIONAL)
    """Keep translations, and do not translate again what the same engine has translated before, in any run."""


def translate(docs: DataFrame, settings: TranslateSettings, resources: Resources) -> DataFrame:
    """Add the pivot text of every document whose language the engine covers, and flag the others.

    Input columns: language, title, text, rejected_for, detail; CACHED, if there is a cache.
    Output columns: the same without CACHED, and TRANSLATE.
    """
    pivot = resources.pivot
    engine = RecipeTranslator.of(settings.engine, resources)
    covered = sorted(engine.covered(resources.languages, pivot, into_pivot=True))
    schema = without_cached(join_columns(docs.schema, TRANSLATE, ENGINE_ERROR))
    run = partial(
        _translate_batches,
        engine=engine,
        identity=engine_identity(STAGE, settings.engine),
        pivot=pivot,
        covered=frozenset(covered),
        order=schema.fieldNames(),
    )
    return (
        docs.mapInArrow(run, schema)
        .transform(flag, ~F.col("language").isin(covered), Reason.UNSUPPORTED_LANGUAGE, F.col("language"))
        .transform(flag, F.col("engine_error").isNotNull(), Reason.TRANSLATE_FAILED, F.col("engine_error"))
        .transform(flag_all, rules(settings, resources))
        .drop("engine_error")
    )


def rules(settings: TranslateSettings, _: Resources) -> list[Rule]:
    """Return what rejects for faults of the translation; languages and failures of the engine are flagged apart."""
    return fault_rules("text_health", settings.health, _REASONS)


def requests(docs: DataFrame, settings: TranslateSettings, resources: Resources, is_written: bool) -> DataFrame:
    """Return one row for each text that documents ask the engine for.

    Args:
        docs: columns doc_id, language, title, text; if ``is_written``, TRANSLATE too.
        settings: of the stage.
        resources: of the recipe.
        is_written: whether the stage has written ``docs``: the rows then say which engine was asked, and its answer.

    Output columns: REQUESTS; ``engine`` and ``translation`` are null before the engine was asked, ``translation``
    also where it failed.
    """
    pivot = F.lit(resources.pivot)
    if is_written:
        asked = docs.where(F.col("translator") != NO_ENGINE)
    else:
        engine = RecipeTranslator.of(settings.engine, resources)
        covered = sorted(engine.covered(resources.languages, resources.pivot, into_pivot=True))
        asked = docs.where(F.col("language").isin(covered) & (F.col("language") != pivot))
    head = F.concat(F.lit(engine_identity(STAGE, settings.engine) + "\n"), "language", F.lit(f"\n{resources.pivot}\n"))
    nothing, no_health = F.lit(None).cast("string"), F.lit(None).cast(HEALTH)
    # Hashed before they are put one below the other, so that no text is copied.
    texts = F.array(
        *(
            F.struct(
                F.sha2(F.concat(head, name), 256).alias("cache_key"),
                (F.col(f"{name}_en") if is_written else nothing).alias("translation"),
                (F.col(f"{name}_health") if is_written else no_health).alias("health"),
            )
            for name in ("title", "text")
        )
    )
    label = F.col("translator") if is_written else nothing
    each = asked.select("doc_id", "language", label.alias("engine"), F.explode(texts).alias("text"))
    columns = {"source_language": F.col("language"), "target_language": pivot}
    named = each.select("doc_id", "language", "engine", "text.*").withColumns(columns)
    return named.where(F.col("cache_key").isNotNull()).select(*REQUESTS.fieldNames())


def engine_identity(stage: Stage, engine: AnyTranslator) -> str:
    """Return what decides a translation beside text, languages and the installed version, as one line of JSON.

    The installed version is in the engine's label, which only the executors know; entries carry it beside their key.
    """
    return json.dumps({"stage": stage.name, "version": stage.version, "engine": engine.decisive()}, sort_keys=True)


def cache_key(identity: str, source: str, target: str, text: str) -> str:
    r"""Return the name under which a text's translation is kept; ``requests`` computes the same in SQL.

    No two requests share it: JSON and language codes hold no line break, so the first three end the identity and the
    two codes, and the rest is the text.
    """
    return hashlib.sha256(f"{identity}\n{source}\n{target}\n{text}".encode()).hexdigest()


def without_cached(schema: StructType) -> StructType:
    """Return the schema without the column CACHED."""
    return StructType([field for field in schema.fields if field.name != CACHED])


def known_translations(batch: pa.RecordBatch) -> dict[tuple[str, str], Answer]:
    """Return what the batch's column CACHED holds: answers by key and engine label; none without it."""
    if CACHED not in batch.schema.names:
        return {}
    rows = batch.column(CACHED).to_pylist()
    return {
        (each["cache_key"], each["engine"]): Answer(each["translation"], health=from_row(each["health"]))
        for row in rows
        for each in row or ()
    }


def find_known(
    translator: Translator,
    known: Mapping[tuple[str, str], Answer],
    keys: Sequence[str | None],
    sources: Sequence[str],
    targets: Sequence[str],
) -> tuple[list[Answer | None], list[str | None]]:
    """Return the answers and labels of the texts whose translation by this very engine is known, None for the others.

    ``keys`` are None where there is nothing to look up.
    """
    label = cache(translator.label)
    answers: list[Answer | None] = [None] * len(keys)
    labels: list[str | None] = [None] * len(keys)
    for row, (key, source, target) in enumerate(zip(keys, sources, targets, strict=True)):
        if key is not None and (key, label(source, target)) in known:
            labels[row] = label(source, target)
            answers[row] = known[key, label(source, target)]
    return answers, labels


def translate_all(
    translator: Translator, texts: Sequence[str | None], sources: Sequence[str], targets: Sequence[str]
) -> tuple[list[Answer | None], list[str | None]]:
    """Translate a batch of mixed languages in one engine call; equal texts of a direction go to the engine once.

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
    asked: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for row, (text, source, target) in enumerate(zip(texts, sources, targets, strict=True)):
        if text is None:
            continue
        if source == target:
            answers[row], labels[row] = Answer(text), NO_ENGINE
        else:
            asked[text, source, target].append(row)
    if asked:
        label = cache(translator.label)
        given = translator.translate(*map(list, zip(*asked, strict=True)))
        for ((_, source, target), rows), answer in zip(asked.items(), given, strict=True):
            for row in rows:
                answers[row], labels[row] = answer, label(source, target)
    return answers, labels


def _translate_batches(
    batches: Iterable[pa.RecordBatch],
    engine: RecipeTranslator,
    identity: str,
    pivot: str,
    covered: frozenset[str],
    order: list[str],
) -> Iterator[pa.RecordBatch]:
    devices = task_devices()
    translator = open_for((STAGE.name, devices), RecipeTranslator.open, engine, devices)
    for batch in batches:
        languages = batch.column("language").to_pylist()
        fields = [batch.column(name).to_pylist() for name in ("title", "text")]
        # Title and text as separate texts, so that a title is no sentence of its body; one call for both.
        wanted = [
            text if language in covered else None
            for column in fields
            for text, language in zip(column, languages, strict=True)
        ]
        sources, targets = languages * 2, [pivot] * len(wanted)
        known = known_translations(batch)
        keys = [
            cache_key(identity, source, pivot, text) if known and text is not None and source != pivot else None
            for text, source in zip(wanted, sources, strict=True)
        ]
        found, found_labels = find_known(translator, known, keys, sources, targets)
        left = [None if answer else text for text, answer in zip(wanted, found, strict=True)]
        given, given_labels = translate_all(translator, left, sources, targets)
        answers = [first or second for first, second in zip(found, given, strict=True)]
        labels = [first or second for first, second in zip(found_labels, given_labels, strict=True)]
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
                "title_health": to_arrow(titles),
                "text_health": to_arrow(texts),
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
    rules=rules,
    of_pairs=no_columns,
)
