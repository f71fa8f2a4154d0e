"""The stored scores that a recipe sets a limit to: where each stands, which setting bounds it, and on which side.

A new score of a stage is one line in THRESHOLDS, beside the column and the rule that the stage itself has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from jobs.runtime.reasons import Reason
from jobs.stages.dedup import TARGETS

Direction = Literal["at_least", "at_most"]
Scale = Literal["linear", "log"]
_FAULTS: Final = ("truncated", "repeated", "copied", "empty", "wrong_script")


@dataclass(frozen=True, slots=True)
class Threshold:
    """A score in a stage's table and the setting that bounds it."""

    stage: str
    score: str
    """SQL expression over the stage's table; null where a row has no score."""
    setting: str
    """Name of the setting, with a dot for one inside another; as table properties and ``flatten`` name it."""
    direction: Direction
    """Rows are kept whose score is at least, or at most, the setting."""
    reason: Reason
    """What a row beyond it is rejected for."""
    meaning: str
    low: float = 0.0
    """Least score that is shown; lower ones count as this."""
    high: float = 1.0
    scale: Scale = "linear"
    factor: Literal["", "word_chars", "symbols", "ngrams"] = ""
    """What of conf/cleaning/limits.csv the setting is multiplied by in a row's language, with ``limits:
    by_language``."""
    where: str = ""
    """SQL condition of the rows that the setting is for; "" for all."""
    asked_by: tuple[str, str] | None = None
    """A setting that lists names, and the name it must hold for the rule to reject."""
    is_strict: bool = False
    """Whether a row whose score is the setting itself is beyond it, too."""
    is_recut: bool = True
    """Whether what another limit decides follows from the columns of the table."""

    @property
    def columns(self) -> frozenset[str]:
        """The columns of the stage's table that the score is made of."""
        names = re.findall(r"[a-z_]+(?:\.[a-z_]+)?", self.score + " " + self.where)
        return frozenset(name.split(".")[0] for name in names) - _SQL

    def limit(self, settings: Mapping[str, Any]) -> float | None:
        """Return the limit under a stage's flat settings; None where the recipe sets none or does not ask for the rule.

        >>> next(each for each in THRESHOLDS if each.setting == "max_hate_score").limit({"max_hate_score": 0.5})
        0.5
        """
        if self.asked_by is not None and self.asked_by[1] not in (settings.get(self.asked_by[0]) or ()):
            return None
        value = settings.get(self.setting)
        return None if value is None else float(value)


_SQL: Final = frozenset({"and", "or", "not", "null", "is", "greatest", "least", "coalesce", "nullif", "char_length"})
_MADE: Final = "instruction is null"  # what the source holds was neither written nor translated here


def _reason(stage: str, cause: str) -> Reason:
    return next(each for each in Reason if each.value == f"{stage}.{cause}")


def _health(stage: str, column: str) -> tuple[Threshold, ...]:
    faults = tuple(
        Threshold(
            stage, f"{column}.{fault} / nullif({column}.segments, 0)", "health.max_faulty_share", "at_most",
            _reason(stage, fault), f"share of a translation's segments: {_reason(stage, fault).meaning}",
            asked_by=("health.reject", fault),
        )
        for fault in _FAULTS
    )  # fmt: skip
    ratio = _reason(stage, "length_ratio")
    asked = ("health.reject", "length_ratio")
    return (
        *faults,
        Threshold(
            stage, f"{column}.min_length_ratio", "health.min_length_ratio", "at_least", ratio,
            "least ratio of a segment's translation to its source, in columns", 0.05, 20, "log", asked_by=asked,
        ),
        Threshold(
            stage, f"{column}.max_length_ratio", "health.max_length_ratio", "at_most", ratio,
            "greatest ratio of a segment's translation to its source, in columns", 0.05, 20, "log", asked_by=asked,
        ),
    )  # fmt: skip


def _similarity(stage: str) -> Threshold:
    target = TARGETS[stage]
    reason = _reason(stage, "duplicate")
    meaning = "estimated Jaccard similarity with what a duplicate repeats; only duplicates have one"
    return Threshold(stage, f"{target.prefix}similarity", "threshold", "at_most", reason, meaning, is_recut=False)


THRESHOLDS: Final = (
    Threshold("clean", "text_chars", "min_chars", "at_least", Reason.TOO_SHORT,
              "characters of the text after cleaning", 1, 1_000_000, "log"),
    Threshold("clean", "text_chars", "max_chars", "at_most", Reason.TOO_LONG,
              "characters of the text after cleaning", 1, 1_000_000, "log"),
    Threshold("clean", "removed_chars / nullif(removed_chars + text_chars, 0)", "max_removed_share", "at_most",
              Reason.BOILERPLATE, "share of the characters taken out as site furniture"),
    Threshold("clean", "repeated_line_share", "max_repeated_line_share", "at_most", Reason.REPETITIVE,
              "share of characters in lines seen before in the same document"),
    Threshold("clean", "repeated_ngram_share", "max_repeated_ngram_share", "at_most", Reason.REPETITIVE,
              "share of words in the document's most frequent 4-gram", factor="ngrams"),
    Threshold("clean", "symbol_share", "max_symbol_share", "at_most", Reason.SYMBOLS,
              "share of characters that are punctuation or symbols", factor="symbols"),
    Threshold("clean", "mean_word_chars", "min_mean_word_chars", "at_least", Reason.ODD_WORDS,
              "letters, marks and digits a word", 0, 20, factor="word_chars"),
    Threshold("clean", "mean_word_chars", "max_mean_word_chars", "at_most", Reason.ODD_WORDS,
              "letters, marks and digits a word", 0, 20, factor="word_chars"),
    Threshold("clean", "script_share", "min_script_share", "at_least", Reason.WRONG_SCRIPT,
              "share of letters of the language's script"),
    Threshold("clean", "greatest(foreign_language_line_share, foreign_script_line_share)", "max_foreign_line_share",
              "at_most", Reason.CODE_SWITCHED, "share of characters in lines of another language or script"),
    Threshold("dedup_lines", "text_chars", "min_chars_left", "at_least", Reason.LINES_TOO_SHORT,
              "characters left without shared lines, of documents that lost some", 1, 1_000_000, "log",
              where="deduped_lines > 0"),
    _similarity("dedup"),
    *_health("translate", "text_health"),
    *_health("back_translate", "instruction_health"),
    Threshold("screen", "instruction_chars", "max_instruction_chars", "at_most", Reason.INSTRUCTION_TOO_LONG,
              "characters of the instruction", 1, 10_000, "log", where=_MADE),
    Threshold("screen", "instruction_score", "min_instruction_score", "at_least", Reason.NOT_AN_INSTRUCTION,
              "how likely the English instruction's form prompts an answer", where=_MADE),
    Threshold("screen", "refusal_share", "max_refusal_share", "at_most", Reason.REFUSAL,
              "share of the instruction's sentences in which a model declines", where=_MADE),
    Threshold("screen", "preamble_share", "max_preamble_share", "at_most", Reason.PREAMBLE,
              "share of the instruction's characters that announce it", where=_MADE),
    Threshold("screen", "missing_text_share", "max_missing_text_share", "at_most", Reason.TEXT_NOT_THERE,
              "share of the instruction's sentences that refer to a text which is not there", where=_MADE),
    Threshold("screen", "copied_share", "max_copied_share", "at_most", Reason.COPIED,
              "share of the instruction's words in runs of five and more that stand in the text", where=_MADE),
    Threshold("screen", "copied_run_words", "max_copied_run_words", "at_most", Reason.COPIED,
              "most words in a row that stand in the text", 1, 1_000, "log", where=_MADE),
    Threshold("screen", "answer_share", "max_answer_share", "at_most", Reason.GIVES_ANSWER,
              "share of the text's words that stand in the instruction", where=_MADE),
    Threshold("screen", "copied_word_share", "max_copied_word_share", "at_most", Reason.UNTRANSLATED,
              "share of the English instruction's lower-case words left untranslated"),
    Threshold("screen", "hate_score", "max_hate_score", "at_most", Reason.HATE,
              "the classifier's highest score over the English pair"),
    Threshold("screen", "translation_quality", "min_quality", "at_least", Reason.LOW_QUALITY,
              "estimated quality of the instruction's translation", where=_MADE),
    Threshold("screen", "semantic_similarity", "min_semantic_similarity", "at_least", Reason.UNRELATED,
              "cosine of instruction and output as sentence embeddings", -1, 1, where=_MADE),
    _similarity("dedup_instructions"),
    _similarity("dedup_outputs"),
    Threshold("decontaminate", "contaminated_share", "min_share", "at_most", Reason.CONTAMINATED,
              "greatest share of an evaluation set's item that was found in one stretch of a text", is_strict=True),
)  # fmt: skip
"""In the order of the stages."""

SCORES: Final = (
    ("clean", "document_language_score", "probability of the language that the document is identified as"),
    ("screen", "instruction_language_score", "probability of the language that the instruction is identified as"),
)
"""Stored scores whose limit is more than one number: the identifier's, which depends on the language and on what else a
text may be. Columns: stage, column, meaning; all from 0 to 1."""


SWITCHES: Final = (
    ("clean", "limits", "symbol_share", ""),
    ("clean", "identifier.min_score", "document_language_label", ""),
    ("clean", "identifier.min_score_by_language", "document_language_label", ""),
    ("clean", "identifier.siblings", "document_language_label", ""),
    ("clean", "identifier.min_chars", "document_language_label", ""),
    ("translate", "health.reject", "text_health", ""),
    ("back_translate", "health.reject", "instruction_health", ""),
    ("screen", "refused_formats", "format_problems", _MADE),
    ("screen", "drop_task_requests", "instruction_chars", _MADE),
    ("screen", "reject_flagged_words", "flagged_words", ""),
    ("screen", "identifier.min_score", "instruction_language_label", ""),
    ("screen", "identifier.min_score_of_candidates", "instruction_language_label", ""),
    ("screen", "identifier.min_score_by_language", "instruction_language_label", ""),
    ("screen", "identifier.siblings", "instruction_language_label", ""),
    ("screen", "identifier.min_chars", "instruction_language_label", ""),
)
"""Settings beside THRESHOLDS that decide by stored columns too. Stage, setting, a column that is null in a row that has
nothing to decide by, SQL condition of the rows that the setting is for. Of an identifier's, those of one kind are not
those of another."""


def of_stage(stage: str) -> tuple[Threshold, ...]:
    """Return the thresholds of a stage, in order."""
    return tuple(each for each in THRESHOLDS if each.stage == stage)
