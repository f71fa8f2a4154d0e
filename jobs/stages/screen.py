"""Keep the pairs whose instruction is one, in the right language (MURI, section 3, steps 5 and 6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import pyarrow as pa
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import SCREEN, join_columns
from jobs.stages.base import Resources, Stage, StageSettings, flag
from jobs.stages.engines import AnyClassifier, AnyIdentifier
from udfs import screening
from udfs.arrow import open_once, with_columns
from udfs.classifiers.wordlist import WordListSettings
from udfs.identifiers.py3langid import Py3langidSettings

_PROBLEMS = StructType([StructField("format_problem", StringType()), StructField("asked_task", StringType())])


class ScreenSettings(StageSettings):
    """Check the instruction's language, form and wording; flag words of the list."""

    max_instruction_chars: int = Field(1_000, ge=1)
    """Longest instruction that is kept, in Unicode code points."""
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


def screen(docs: DataFrame, settings: ScreenSettings, resources: Resources) -> DataFrame:
    """Add the screening measures and flag the pairs that break a rule.

    Input columns: language, text, instruction_en, instruction_src, rejected_for, detail.
    Output columns: the same and SCREEN.
    """
    schema = join_columns(docs.schema, SCREEN, _PROBLEMS)
    run = partial(
        _screen_batches,
        settings=settings,
        codes=resources.languages.codes("py3langid"),
        word_lists=dict(resources.word_lists),
        pivot=resources.pivot,
        candidates=resources.candidates,
        order=schema.fieldNames(),
    )
    untranslated = F.col("copied_word_share") > settings.max_copied_word_share
    asked = F.col("asked_task") if settings.drop_task_requests else F.lit(None)
    flagged = (F.size("flagged_words") > 0) & F.lit(settings.reject_flagged_words)
    return (
        docs.mapInArrow(run, schema)
        .transform(flag, F.col("format_problem").isNotNull(), Reason.BAD_FORMAT, F.col("format_problem"))
        .transform(flag, asked == "summary", Reason.ASKS_SUMMARY)
        .transform(flag, asked == "translation", Reason.ASKS_TRANSLATION)
        .transform(flag, untranslated, Reason.UNTRANSLATED, F.round("copied_word_share", 3).cast("string"))
        .transform(
            flag,
            F.col("instruction_language_outcome") == "mismatch",
            Reason.INSTRUCTION_LANGUAGE,
            F.concat(F.lit("looks like "), F.col("instruction_language_label")),
        )
        .transform(flag, flagged, Reason.FLAGGED_WORDS, F.array_join("flagged_words", ", "))
        .drop(*_PROBLEMS.fieldNames())
    )


def _screen_batches(
    batches: Iterable[pa.RecordBatch],
    settings: ScreenSettings,
    codes: Mapping[str, str],
    word_lists: Mapping[str, tuple[str, ...]],
    pivot: str,
    candidates: tuple[str, ...],
    order: list[str],
) -> Iterator[pa.RecordBatch]:
    identifier = open_once(_open, settings.identifier, tuple(sorted(codes.items())))
    classifier = open_once(_open, settings.classifier, tuple(sorted(word_lists.items())))
    for batch in batches:
        languages = batch.column("language").to_pylist()
        texts = batch.column("text").to_pylist()
        english = [text or "" for text in batch.column("instruction_en").to_pylist()]
        instructions = [text or "" for text in batch.column("instruction_src").to_pylist()]
        found = identifier.identify(instructions, languages, candidates=candidates)
        pairs = [f"{instruction}\n{text}" for instruction, text in zip(instructions, texts, strict=True)]
        is_translated = [source != pivot for source in languages]
        copied = [
            screening.copied_word_share(pivot_text, instruction) if translated else 0.0
            for pivot_text, instruction, translated in zip(english, instructions, is_translated, strict=True)
        ]
        problems = [screening.format_problem(text, settings.max_instruction_chars) for text in instructions]
        yield with_columns(
            batch,
            {
                "instruction_language_label": pa.array((each.label for each in found), pa.string()),
                "instruction_language_score": pa.array((each.score for each in found), pa.float64()),
                "instruction_language_outcome": pa.array((each.outcome for each in found), pa.string()),
                "instruction_identifier": pa.array([identifier.label] * len(batch), pa.string()),
                "copied_word_share": pa.array(copied, pa.float64()),
                "flagged_words": pa.array(classifier.flag(pairs, languages), pa.list_(pa.string())),
                "format_problem": pa.array(problems, pa.string()),
                "asked_task": pa.array((screening.asks_for(text) for text in english), pa.string()),
            },
            order,
        )


def _open(settings: Any, values: tuple[tuple[str, Any], ...]) -> Any:
    return settings.open(dict(values))


STAGE = Stage(
    name="screen",
    settings=ScreenSettings,
    adds=SCREEN,
    transform=screen,
    needs=("instruction_src",),
    engines=("identifier", "classifier"),
    labels=("instruction_identifier",),
)
