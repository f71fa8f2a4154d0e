"""Checks of an instruction's form and wording, without Spark."""

from __future__ import annotations

import re
from typing import Final

# MURI drops instructions that contain "summarize" or "translate": the text to work on is not in the pair. Titles in
# quotation marks are names, not requests.
_QUOTED: Final = re.compile(r"\"[^\"]*\"|“[^”]*”|«[^»]*»")
_SUMMARY: Final = re.compile(r"\b(?:summari[sz]\w*|summary|summaries|tl;?dr)\b", re.IGNORECASE)
_TRANSLATION: Final = re.compile(r"\btranslat(?:e|es|ed|ing|ion|ions)\b", re.IGNORECASE)
_MARKUP: Final = re.compile(r"https?://|</?[a-z][^>]*>|\{\{|\[\[|^\W*$|\n", re.IGNORECASE)
_FEWEST_WORDS: Final = 3
_LOWER_WORD: Final = re.compile(r"(?<!\w)[a-z]{4,}(?!\w)")


def asks_for(instruction_en: str) -> str | None:
    """Say whether an English instruction asks to summarise or translate a text (MURI, section 3).

    Returns:
        ``"summary"``, ``"translation"`` or None.
    """
    asked = _QUOTED.sub("", instruction_en)
    if _SUMMARY.search(asked):
        return "summary"
    return "translation" if _TRANSLATION.search(asked) else None


def format_problem(instruction: str, max_chars: int) -> str | None:
    """Say what is wrong with an instruction's form: empty, too long, or holding markup, addresses or line breaks."""
    if not instruction.strip():
        return "empty"
    if len(instruction) > max_chars:
        return f"longer than {max_chars} characters"
    return "holds markup, an address or a line break" if _MARKUP.search(instruction) else None


def copied_word_share(instruction_en: str, instruction: str) -> float:
    """Return the share of the English instruction's lower-case words of four letters and more met in the other one.

    Engines pass on words that they do not know. Quoted titles and names (capitals) stay as they are in many
    languages, so they do not count. Fewer than three words give 0: "text" is a Catalan word too.
    """
    words = set(_LOWER_WORD.findall(_QUOTED.sub("", instruction_en)))
    if len(words) < _FEWEST_WORDS:
        return 0.0
    other = {word.casefold() for word in re.findall(r"\w+", _QUOTED.sub("", instruction))}
    return len(words & other) / len(words)
