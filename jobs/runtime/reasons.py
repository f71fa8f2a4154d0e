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
    FLAGGED = "source.flagged", "the corpus itself warns of the record, and the recipe refuses that warning"
    NOT_A_PAGE = "source.not_a_page", "the archive's record is no page of HTML or text that the server found"
    DUPLICATE_ID = "source.duplicate_id", "another record of the corpus has the same key and other content"
    TOO_LARGE = "source.too_large", "the corpus's record is larger than the source takes; its beginning is kept"
    DISAMBIGUATION = "source.disambiguation", "the page only says which articles a name may mean"
    LIST = "source.list", "most of the page is list items"
    STUB = "source.stub", "its editors marked the page as the mere beginning of an article"
    TOO_SHORT = "clean.too_short", "fewer characters than min_chars after cleaning"
    TOO_LONG = "clean.too_long", "more characters than max_chars after cleaning"
    REPETITIVE = "clean.repetitive", "lines or phrases repeat too much"
    SYMBOLS = "clean.symbols", "too many punctuation and symbol characters"
    ODD_WORDS = "clean.odd_words", "words are shorter or longer on average than the language's are"
    WRONG_SCRIPT = "clean.wrong_script", "too few letters are of the language's script"
    CODE_SWITCHED = "clean.code_switched", "too much stands in lines of another language"
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
    TRANSLATE_TRUNCATED = "translate.truncated", "the translation reached the output limit"
    TRANSLATE_REPEATED = "translate.repeated", "the translation runs in a loop"
    TRANSLATE_COPIED = "translate.copied", "the translation is the source itself"
    TRANSLATE_EMPTY = "translate.empty", "the translation holds no letter or digit"
    TRANSLATE_WRONG_SCRIPT = "translate.wrong_script", "the translation is in another script"
    TRANSLATE_LENGTH_RATIO = "translate.length_ratio", "the translation is too short or too long"
    BACK_TRANSLATE_TRUNCATED = "back_translate.truncated", "the instruction's translation reached the output limit"
    BACK_TRANSLATE_REPEATED = "back_translate.repeated", "the instruction's translation runs in a loop"
    BACK_TRANSLATE_COPIED = "back_translate.copied", "the instruction's translation is the source itself"
    BACK_TRANSLATE_EMPTY = "back_translate.empty", "the instruction's translation holds no letter or digit"
    BACK_TRANSLATE_WRONG_SCRIPT = "back_translate.wrong_script", "the instruction's translation is in another script"
    BACK_TRANSLATE_LENGTH_RATIO = (
        "back_translate.length_ratio",
        "its translation is too short or too long",
    )
    NO_INSTRUCTION = "instruct.no_instruction", "no honest instruction could be written for the text"
    TRANSLATE_FAILED = "engine.translate_failed", "the translation engine failed on this text"
    INSTRUCT_FAILED = "engine.instruct_failed", "the instruction engine failed on this text"
    BACK_TRANSLATE_FAILED = "engine.back_translate_failed", "the engine failed on this instruction"
    UNSUPPORTED_BACK = "back_translate.unsupported_language", "the engine does not translate into this language"
    EMPTY = "screen.empty", "the instruction holds no letter or digit"
    MARKUP = "screen.markup", "the instruction holds tags, wikitext or other markup"
    ADDRESS = "screen.address", "the instruction holds an address of the web or of mail"
    LINE_BREAK = "screen.line_break", "the instruction runs over several lines"
    INSTRUCTION_TOO_LONG = "screen.too_long", "the instruction has more characters than max_instruction_chars"
    NOT_AN_INSTRUCTION = "screen.not_an_instruction", "the instruction is a statement, a title or a fragment"
    REFUSAL = "screen.refusal", "the model declined to write an instruction"
    PREAMBLE = "screen.preamble", "the instruction begins with what a model says before it"
    TEXT_NOT_THERE = "screen.missing_text", "the instruction refers to a text that is not there"
    COPIED = "screen.copied", "the instruction is copied from the document"
    GIVES_ANSWER = "screen.gives_answer", "the instruction holds the answer"
    ASKS_SUMMARY = "screen.asks_summary", "the instruction asks to summarise a text that is not there"
    ASKS_TRANSLATION = "screen.asks_translation", "the instruction asks to translate a text that is not there"
    INSTRUCTION_LANGUAGE = "screen.instruction_language", "the translated instruction is in another language"
    UNTRANSLATED = "screen.untranslated", "too many English words were left in the instruction"
    FLAGGED_WORDS = "screen.flagged_words", "an entry of the word list is in the instruction or the output"
    HATE = "screen.hate", "the classifier's score of the English pair is above max_hate_score"
    LOW_QUALITY = "screen.low_quality", "the estimated quality of the instruction's translation is below min_quality"
    UNRELATED = "screen.unrelated", "instruction and output are less alike in meaning than min_semantic_similarity"


def meaning(code: str) -> str:
    """Return what a code means, or "" for one that this version does not know."""
    return next((reason.meaning for reason in Reason if reason.value == code), "")
