"""Keep the pairs whose instruction is one, in the right language (MURI, section 3, steps 5 and 6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, DoubleType, IntegerType, StringType, StructField, StructType

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import SCREEN, join_columns
from jobs.stages.base import HOLDS_PAIR, Resources, Rule, Stage, StageSettings, flag_all
from jobs.stages.engines import (
    AnyClassifier,
    AnyIdentifier,
    Devices,
    RecipeIdentifier,
    task_devices,
)
from jobs.stages.texts import NO_ENGINE
from udfs.arrow import with_columns
from udfs.classifiers.transformers import TransformersClassifierSettings
from udfs.classifiers.wordlist import WordListSettings
from udfs.embedders.sentence_transformers import SentenceTransformersSettings
from udfs.identifiers import Identified, Identifier
from udfs.identifiers.py3langid import Py3langidSettings
from udfs.loaded import open_for
from udfs.quality.comet import CometKiwiSettings
from udfs.screening.copying import copied_word_share
from udfs.screening.forms import FORMAT_PROBLEMS, FormatProblem
from udfs.screening.lists import ScreeningLists
from udfs.screening.measure import Measures, Pair, measure

# Beside the stage's columns until they are the detail of a rejection: the phrases that were found.
_PHRASES = StructType([StructField(f"{name}_phrase", StringType()) for name in ("refusal", "preamble", "missing_text")])
# The columns of SCREEN that hold a pair's measures.
_MEASURED = tuple(field.name for field in SCREEN.fields if field.name in Measures.__slots__)
_FORMAT_REASONS: Mapping[FormatProblem, Reason] = {
    "empty": Reason.EMPTY,
    "markup": Reason.MARKUP,
    "address": Reason.ADDRESS,
    "line_break": Reason.LINE_BREAK,
}
_ARROW: Mapping[DataType, pa.DataType] = {
    StringType(): pa.string(),
    IntegerType(): pa.int32(),
    DoubleType(): pa.float64(),
    ArrayType(StringType(), False): pa.list_(pa.string()),
}
_ENGLISH = "eng_"


class ScreenSettings(StageSettings):
    """Check the instruction's language, form and wording; flag words of the list. docs/screening.md tells of each rule.

    Of an instruction that its source holds, its language, the listed words and hate are checked. What asks how an
    instruction was written and translated is not, and its columns are null: its form, its phrases and what it shares
    with the text (the text may be in it), words left untranslated, requests to summarise or translate,
    ``min_quality`` and ``min_semantic_similarity``. The hate model reads English, so it scores such a pair only if
    instruction and output are in the pivot language; others have the word list alone.
    """

    max_instruction_chars: int = Field(1_000, ge=1)
    """Longest instruction that is kept, in Unicode code points."""
    refused_formats: tuple[FormatProblem, ...] = FORMAT_PROBLEMS
    """Faults of form that reject: ``empty``, ``markup``, ``address``, ``line_break``. Others are only stored."""
    min_instruction_score: float = Field(0.5, ge=0, le=1)
    """Least score as an instruction or question that is kept, judged on the English one: statements have 0, titles and
    what is typed into a search engine 0.3, questions without their mark 0.6. 0 keeps all."""
    max_refusal_share: float = Field(0.0, ge=0, le=1)
    """Largest share of sentences that may decline to write an instruction ("I'm sorry, but ..."). 1 keeps all."""
    max_preamble_share: float = Field(0.0, ge=0, le=1)
    """Largest share of the instruction that may announce it ("Sure, here is ..."). 1 keeps all."""
    max_missing_text_share: float = Field(0.0, ge=0, le=1)
    """Largest share of sentences that may refer to a text which is not there ("the passage above"). 1 keeps all."""
    max_copied_share: float = Field(0.9, ge=0, le=1)
    """Largest share of the instruction's words that may stand in the text in runs of five and more. A text that begins
    by repeating its question reaches 0.8."""
    max_copied_run_words: int = Field(20, ge=0)
    """Most words in a row that may stand in the text."""
    max_answer_share: float = Field(0.6, ge=0, le=1)
    """Largest share of the text's words that may stand in the instruction, which else gives its answer away."""
    max_copied_word_share: float = Field(0.5, ge=0, le=1)
    """Largest share of lower-case English words that may stand untranslated in the instruction."""
    drop_task_requests: bool = True
    """Drop instructions that ask to summarise or translate, as MURI does; judged on the pivot-language instruction."""
    reject_flagged_words: bool = False
    """Reject rows with an entry of the word list; otherwise the entries are only stored."""
    identifier: AnyIdentifier = Field(default_factory=Py3langidSettings)
    """Engine that checks the language of the instruction."""
    classifier: AnyClassifier = Field(default_factory=WordListSettings)
    """Engine that flags words in instruction and output."""
    hate: TransformersClassifierSettings | None = None
    """Model that scores the English instruction and output, as the RoBERTa model of Vidgen et al. (2021) does in MURI;
    null: none."""
    max_hate_score: float = Field(0.5, ge=0, le=1)
    """Highest score, of any window of the English pair, that is kept."""
    quality: CometKiwiSettings | None = None
    """Model that estimates how well the instruction was translated; null: none."""
    min_quality: float | None = None
    """Least estimate that is kept; null: estimates are only stored."""
    embedder: SentenceTransformersSettings | None = None
    """Model that tells how near instruction and output are in meaning, both in their language; null: none."""
    min_semantic_similarity: float | None = Field(None, ge=-1, le=1)
    """Least similarity that is kept; null: similarities are only stored."""


def screen(docs: DataFrame, settings: ScreenSettings, resources: Resources) -> DataFrame:
    """Add the screening measures and flag the pairs that break a rule.

    Input columns: language, title, text, title_en, text_en, instruction, instruction_language, instruction_en,
    instruction_src, back_translator, rejected_for, detail.
    Output columns: the same and SCREEN.
    """
    schema = join_columns(docs.schema, SCREEN, _PHRASES)
    run = partial(
        _screen_batches,
        settings=settings,
        identifier=RecipeIdentifier.of(settings.identifier, resources),
        word_lists=tuple(sorted(resources.word_lists.items())),
        pivot=resources.pivot,
        candidates=resources.candidates,
        lists=resources.screening,
        order=schema.fieldNames(),
    )
    return docs.mapInArrow(run, schema).transform(flag_all, rules(settings, resources)).drop(*_PHRASES.fieldNames())


def rules(settings: ScreenSettings, _: Resources) -> list[Rule]:
    """Return the rules, in the order in which ``detail`` prefers them."""
    is_made = ~F.expr(HOLDS_PAIR)
    format_rules = [
        Rule(F.array_contains("format_problems", problem), _FORMAT_REASONS[problem])
        for problem in settings.refused_formats
    ]
    is_copied = (F.col("copied_share") > settings.max_copied_share) | (
        F.col("copied_run_words") > settings.max_copied_run_words
    )
    asked = F.col("asked_task") if settings.drop_task_requests else F.lit(None)
    is_flagged = (F.size("flagged_words") > 0) & F.lit(settings.reject_flagged_words)
    return [
        *format_rules,
        Rule(
            F.col("instruction_chars") > settings.max_instruction_chars,
            Reason.INSTRUCTION_TOO_LONG,
            F.format_string("%d characters", "instruction_chars"),
        ),
        Rule(
            F.col("instruction_score") < settings.min_instruction_score,
            Reason.NOT_AN_INSTRUCTION,
            F.col("instruction_form"),
        ),
        _phrase("refusal", settings.max_refusal_share, Reason.REFUSAL),
        _phrase("preamble", settings.max_preamble_share, Reason.PREAMBLE),
        _phrase("missing_text", settings.max_missing_text_share, Reason.TEXT_NOT_THERE),
        Rule(
            is_copied,
            Reason.COPIED,
            F.format_string("share %.3f, %d words in a row", "copied_share", "copied_run_words"),
        ),
        _above("answer_share", settings.max_answer_share, Reason.GIVES_ANSWER),
        Rule(asked == "summary", Reason.ASKS_SUMMARY),
        Rule(asked == "translation", Reason.ASKS_TRANSLATION),
        _above("copied_word_share", settings.max_copied_word_share, Reason.UNTRANSLATED),
        Rule(
            F.col("instruction_language_outcome") == "mismatch",
            Reason.INSTRUCTION_LANGUAGE,
            F.concat(F.lit("looks like "), F.col("instruction_language_label")),
        ),
        Rule(is_flagged, Reason.FLAGGED_WORDS, F.array_join("flagged_words", ", ")),
        _above("hate_score", settings.max_hate_score, Reason.HATE),
        _below("translation_quality", settings.min_quality, is_made, Reason.LOW_QUALITY),
        _below("semantic_similarity", settings.min_semantic_similarity, is_made, Reason.UNRELATED),
    ]


def _above(score: str, limit: float, reason: Reason) -> Rule:
    return Rule(F.col(score) > limit, reason, _rounded(score))


def _below(score: str, limit: float | None, applies: Column, reason: Reason) -> Rule:
    return Rule(applies & (F.col(score) < F.lit(limit).cast("double")), reason, _rounded(score))


def _phrase(name: str, limit: float, reason: Reason) -> Rule:
    return Rule(F.col(f"{name}_share") > limit, reason, F.col(f"{name}_phrase"))


def _rounded(score: str) -> Column:
    return F.round(score, 3).cast("string")


def _screen_batches(
    batches: Iterable[pa.RecordBatch],
    settings: ScreenSettings,
    identifier: RecipeIdentifier,
    word_lists: tuple[tuple[str, tuple[str, ...]], ...],
    pivot: str,
    candidates: tuple[str, ...],
    lists: ScreeningLists,
    order: list[str],
) -> Iterator[pa.RecordBatch]:
    devices = task_devices()
    owner = (STAGE.name, devices)
    engine = open_for(owner, RecipeIdentifier.open, identifier)
    classifier = open_for(owner, _open_word_list, settings.classifier, word_lists)
    hate = open_for(owner, _open_model, settings.hate, devices) if settings.hate else None
    estimator = open_for(owner, _open_model, settings.quality, devices) if settings.quality else None
    embedder = open_for(owner, _open_model, settings.embedder, devices) if settings.embedder else None
    for batch in batches:
        languages = batch.column("language").to_pylist()
        texts = batch.column("text").to_pylist()
        english = [text or "" for text in batch.column("instruction_en").to_pylist()]
        instructions = [text or "" for text in batch.column("instruction_src").to_pylist()]
        is_given = batch.column("instruction").is_valid().to_pylist()
        # Instructions of ours are in few languages, a source's in any.
        wanted = pc.coalesce(batch.column("instruction_language"), batch.column("language")).to_pylist()
        found = _identify(engine, instructions, wanted, is_given, candidates)
        pairs = [f"{instruction}\n{text}" for instruction, text in zip(instructions, texts, strict=True)]
        is_translated = [source != pivot and not given for source, given in zip(languages, is_given, strict=True)]
        copied = [
            None if given else copied_word_share(pivot_text, instruction) if translated else 0.0
            for pivot_text, instruction, translated, given in zip(
                english, instructions, is_translated, is_given, strict=True
            )
        ]
        measured = _measure(batch, pivot, lists)
        scores: list[float | None] = [None] * len(batch)
        if hate:
            # A recipe whose documents are all in the pivot language may have no translation.
            bodies = batch.column("text_en" if "text_en" in batch.schema.names else "text").to_pylist()
            # What the source holds was not translated: an English pair only if both sides are English.
            own = [
                text if instruction and language == pivot else None
                for text, instruction, language in zip(texts, english, languages, strict=True)
            ]
            bodies = [mine if given else body or "" for mine, given, body in zip(own, is_given, bodies, strict=True)]
            rows = [row for row, body in enumerate(bodies) if body is not None]
            scored = hate.score([f"{english[row]}\n{bodies[row]}" for row in rows]) if rows else []
            for row, each in zip(rows, scored, strict=True):
                scores[row] = each.score
        estimates: list[float | None] = [None] * len(batch)
        if estimator:
            rows = [row for row, translated in enumerate(is_translated) if translated]
            given = estimator.estimate([english[row] for row in rows], [instructions[row] for row in rows])
            for row, estimate in zip(rows, given, strict=True):
                estimates[row] = estimate.score
        similarities: list[float | None] = [None] * len(batch)
        if embedder:
            vectors = embedder.embed([*instructions, *(text or "" for text in texts)])
            similarities = (vectors[: len(batch)] * vectors[len(batch) :]).sum(axis=1).tolist()
        yield with_columns(
            batch,
            {
                "instruction_language_label": pa.array((each.label for each in found), pa.string()),
                "instruction_language_score": pa.array((each.score for each in found), pa.float64()),
                "instruction_language_expected_score": pa.array((each.expected_score for each in found), pa.float64()),
                "instruction_language_outcome": pa.array((each.outcome for each in found), pa.string()),
                "instruction_identifier": pa.array([engine.label] * len(batch), pa.string()),
                "copied_word_share": pa.array(copied, pa.float64()),
                "flagged_words": pa.array(classifier.flag(pairs, languages), pa.list_(pa.string())),
                "hate_score": pa.array(scores, pa.float64()),
                "hate_classifier": pa.array(
                    [hate.label if hate and each is not None else None for each in scores], pa.string()
                ),
                "translation_quality": pa.array(estimates, pa.float64()),
                "quality_estimator": pa.array(
                    [estimator.label if estimator and each is not None else None for each in estimates], pa.string()
                ),
                "semantic_similarity": pa.array(similarities, pa.float64()),
                "embedder": pa.array([embedder.label if embedder else None] * len(batch), pa.string()),
                **measured,
            },
            order,
        )


def _measure(batch: pa.RecordBatch, pivot: str, lists: ScreeningLists) -> dict[str, pa.Array]:
    """Return the columns of ``Measures``, null where the source holds the instruction."""
    # A recipe whose documents are all in the pivot language may have no translation.
    columns = {
        name: batch.column(name).to_pylist() if name in batch.schema.names else [None] * len(batch)
        for name in (
            *("language", "title", "text", "title_en", "text_en"),
            *("instruction", "instruction_en", "instruction_src", "back_translator"),
        )
    }
    measures: list[Measures | None] = []
    for row in range(len(batch)):
        of_row = {name: values[row] for name, values in columns.items()}
        if of_row["instruction"] is not None:
            measures.append(None)
            continue
        pair = Pair(
            instruction=of_row["instruction_src"] or "",
            text=of_row["text"] or "",
            title=of_row["title"],
            instruction_en=(of_row["instruction_en"] or "") if pivot.startswith(_ENGLISH) else None,
            text_en=of_row["text_en"],
            title_en=of_row["title_en"],
            is_written_in_english=of_row["language"] == pivot or of_row["back_translator"] != NO_ENGINE,
        )
        measures.append(measure(pair, lists))
    fields = join_columns(SCREEN, _PHRASES)
    return {
        name: pa.array([getattr(each, name) if each else None for each in measures], _ARROW[fields[name].dataType])
        for name in (*_MEASURED, *_PHRASES.fieldNames())
    }


def _identify(
    engine: Identifier, texts: list[str], expected: list[str], is_given: list[bool], candidates: tuple[str, ...]
) -> list[Identified]:
    """Identify instructions: those of ours among the languages that they can be in, a source's among all."""
    found: dict[int, Identified] = {}
    for considered, rows in (
        (candidates, [row for row, given in enumerate(is_given) if not given]),
        (None, [row for row, given in enumerate(is_given) if given]),
    ):
        results = engine.identify([texts[row] for row in rows], [expected[row] for row in rows], candidates=considered)
        found |= dict(zip(rows, results, strict=True))
    return [found[row] for row in range(len(texts))]


def _open_word_list(settings: AnyClassifier, word_lists: tuple[tuple[str, tuple[str, ...]], ...]) -> Any:
    return settings.open(dict(word_lists))


def _open_model(
    settings: TransformersClassifierSettings | CometKiwiSettings | SentenceTransformersSettings, devices: Devices
) -> Any:
    return settings.open(dict(devices))


STAGE = Stage(
    name="screen",
    settings=ScreenSettings,
    adds=SCREEN,
    transform=screen,
    rules=rules,
    needs=("instruction_src",),
    engines=("identifier", "classifier", "hate", "quality", "embedder"),
    version=2,
    labels=("instruction_identifier", "hate_classifier", "quality_estimator", "embedder"),
)
