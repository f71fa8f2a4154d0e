"""Every reason a row can be rejected for, with the words ``status`` shows for it."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Codes in ``rejected_for``: the stage that rejects, a stop, the cause."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Reason:
        """Make a member that is its code and knows what it means."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    UNREADABLE = "source.unreadable", "the corpus's record could not be read"
    MISSING_TEXT = "source.missing_text", "the record has no text"
    UNKNOWN_LANGUAGE = "source.unknown_language", "the record's language code is not in conf/languages.csv"
    DUPLICATE_ID = "source.duplicate_id", "another record of the corpus has the same key and other content"
    TOO_SHORT = "clean.too_short", "fewer characters than min_chars after cleaning"
    TOO_LONG = "clean.too_long", "more characters than max_chars after cleaning"
    REPETITIVE = "clean.repetitive", "lines or phrases repeat too much"
    SYMBOLS = "clean.symbols", "too many punctuation and symbol characters"
    BOILERPLATE = "clean.boilerplate", "mostly site furniture: too much was taken out"
    WRONG_LANGUAGE = "clean.wrong_language", "the text is in another language than its source claims"
    LINES_TOO_SHORT = "dedup_lines.too_short", "fewer characters than min_chars_left without shared lines"
    SUPERSEDED_LINES = "dedup_lines.superseded", "a newer revision of the document came in the same batch"
    DUPLICATE = "dedup.duplicate", "nearly the same as a document that was kept"
    SUPERSEDED = "dedup.superseded", "a newer revision of the document came in the same batch"
    DUPLICATE_INSTRUCTION = "dedup_instructions.duplicate", "nearly the same instruction as one that was kept"
    SUPERSEDED_INSTRUCTION = "dedup_instructions.superseded", "a newer revision of the document came in the same batch"
    DUPLICATE_OUTPUT = "dedup_outputs.duplicate", "nearly the same output as one that was kept"
    SUPERSEDED_OUTPUT = "dedup_outputs.superseded", "a newer revision of the document came in the same batch"
    UNSUPPORTED_LANGUAGE = "translate.unsupported_language", "the recipe's translation engine does not cover it"
    NO_INSTRUCTION = "instruct.no_instruction", "no honest instruction could be written for the text"
    TRANSLATE_FAILED = "engine.translate_failed", "the translation engine failed on this text"
    INSTRUCT_FAILED = "engine.instruct_failed", "the instruction engine failed on this text"
    BACK_TRANSLATE_FAILED = "engine.back_translate_failed", "the engine failed on this instruction"
    UNSUPPORTED_BACK = "back_translate.unsupported_language", "the engine does not translate into this language"
    BAD_FORMAT = "screen.bad_format", "the instruction is empty, too long, or holds markup"
    ASKS_SUMMARY = "screen.asks_summary", "the instruction asks to summarise a text that is not there"
    ASKS_TRANSLATION = "screen.asks_translation", "the instruction asks to translate a text that is not there"
    INSTRUCTION_LANGUAGE = "screen.instruction_language", "the translated instruction is in another language"
    UNTRANSLATED = "screen.untranslated", "too many English words were left in the instruction"
    FLAGGED_WORDS = "screen.flagged_words", "an entry of the word list is in the instruction or the output"


def meaning(code: str) -> str:
    """Return what a code means, or "" for one that this version does not know."""
    return next((reason.meaning for reason in Reason if reason.value == code), "")
