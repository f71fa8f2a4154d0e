"""What an instruction takes from its document: runs of words, the whole answer, English that was not translated."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from udfs.screening.forms import QUOTED

RUN_WORDS: Final = 5
"""Fewest words in a row that count as copied: shorter ones are phrases of the language."""
# Thai to Myanmar, kana, Han: a character is a token, and three are a word, as in `clean`'s n-grams.
_UNSPACED_CHARS: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_UNSPACED: Final = re.compile(f"([{_UNSPACED_CHARS}])")
# Words are weighed in thirds, so that sums are exact.
_WORD, _CHAR = 3, 1
# What is no part of a word: all but letters, digits and marks. Marks are letters to scripts of India, not to `\w`.
_BETWEEN: Final = re.compile(
    r"[\s!-/:-@\[-`{-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u2000-\u206f\u3000-\u303f\uff00-\uff0f\uff1a-\uff20،؛؟।۔]+"
)
_BARRIER: Final = "\x00"
_LOWER_WORD: Final = re.compile(r"(?<!\w)[a-z]{4,}(?!\w)")
_FEWEST_WORDS: Final = 3
# An answer of fewer words may well stand in its question: "Is it Paris or Rome?".
_ANSWER_WORDS: Final = 5
_CONTENT_CHARS: Final = 4


class Copied(NamedTuple):
    """What of an instruction stands in its document word for word."""

    share: float
    """Of the instruction's words, those in runs of at least RUN_WORDS."""
    run_words: int
    """Words of the longest run, 0 if none is long enough."""


NOTHING: Final = Copied(0.0, 0)


def copied(instruction: str, document: str, title: str | None = None) -> Copied:
    """Return how much of an instruction is copied from its document, both in one language.

    Quoted titles, the document's title, and names (words with a capital within the sentence, numbers) cannot be said
    in other words, so they are no part of what is compared. A character of a script without blanks counts a third of a
    word.
    """
    parts = _tokens(QUOTED.sub(f" {_BARRIER} ", instruction))
    if title:
        parts = _without(parts, _plain(title).split())
    words = [word for word, _ in parts]
    total = sum(_weight(word) for word, is_name in parts if word != _BARRIER and not is_name)
    if total < RUN_WORDS * _WORD:
        return NOTHING
    text = _plain(document)
    covered, longest, start = 0, 0, 0
    while start < len(words):
        end = _run_end(words, start, text)
        weight = sum(_weight(word) for word, is_name in parts[start:end] if not is_name)
        if weight >= RUN_WORDS * _WORD:
            covered += weight
            longest = max(longest, weight)
            start = end
        else:
            start += 1
    return Copied(covered / total, longest // _WORD)


def answer_share(instruction: str, output: str) -> float | None:
    """Return the share of an output's words that stand in its instruction: 1 means the answer is given away.

    Distinct words of four letters and more, and numbers, are counted; of scripts without blanks pairs of characters.

    Returns:
        The share, 0 to 1; 1 for an output of three words and more that stands in the instruction as it is; None for
        other outputs of fewer than five distinct words as above, which are choices or names.
    """
    whole = _plain(output)
    if sum(map(_weight, whole.split())) >= _FEWEST_WORDS * _WORD and whole in _plain(instruction):
        return 1.0
    wanted = _content(output)
    if len(wanted) < _ANSWER_WORDS:
        return None
    return len(wanted & _content(instruction)) / len(wanted)


def copied_word_share(instruction_en: str, instruction: str) -> float:
    """Return the share of the English instruction's lower-case words of four letters and more met in the other one.

    Engines pass on words that they do not know. Quoted titles and names (capitals) stay as they are in many
    languages, so they do not count. Fewer than three words give 0: "text" is a Catalan word too.
    """
    words = set(_LOWER_WORD.findall(QUOTED.sub("", instruction_en)))
    if len(words) < _FEWEST_WORDS:
        return 0.0
    other = {word.casefold() for word in re.findall(r"\w+", QUOTED.sub("", instruction))}
    return len(words & other) / len(words)


@lru_cache(maxsize=4)
def _plain(text: str) -> str:
    """Return a text's words in lower case, a blank before and behind each. The last texts are kept: two rules ask."""
    if _UNSPACED.search(text):
        text = _UNSPACED.sub(r" \1 ", text)
    return f" {_BETWEEN.sub(' ', text.casefold()).strip()} "


def _tokens(text: str) -> list[tuple[str, bool]]:
    """Return a text's words in lower case, each with whether it is a name: a capital within a sentence, a number."""
    found = []
    is_opening = True
    for piece in _UNSPACED.sub(r" \1 ", text).split():
        for word in _BETWEEN.split(piece):
            if word:
                is_name = word.isdigit() or (not is_opening and word[0].isupper())
                found.append((word.casefold(), is_name))
                is_opening = False
        is_opening = is_opening or piece.endswith((".", "?", "!", ":"))
    return found


def _without(parts: list[tuple[str, bool]], title: list[str]) -> list[tuple[str, bool]]:
    """Put a barrier in the place of a title's words."""
    words = [word for word, _ in parts]
    found, start = [], 0
    while start < len(parts):
        if title and words[start : start + len(title)] == title:
            found.append((_BARRIER, False))
            start += len(title)
        else:
            found.append(parts[start])
            start += 1
    return found


def _run_end(words: list[str], start: int, text: str) -> int:
    """Return where the longest run of words that begins at ``start`` and stands in ``text`` ends."""
    end = start + RUN_WORDS
    if end > len(words) or f" {' '.join(words[start:end])} " not in text:
        return start
    while end < len(words) and f" {' '.join(words[start : end + 1])} " in text:
        end += 1
    return end


def _weight(word: str) -> int:
    return _CHAR if len(word) == 1 and _UNSPACED.match(word) else _WORD


def _content(text: str) -> set[str]:
    words = _plain(text).split()
    found = {word for word in words if len(word) >= _CONTENT_CHARS or word.isdigit()}
    if not _UNSPACED.search(text):
        return found
    return found | {a + b for a, b in pairwise(words) if _weight(a) == _weight(b) == _CHAR}
