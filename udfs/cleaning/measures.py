"""What is measured on a cleaned text before any limit is applied: repetition, symbols, words, scripts, Han variants."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from udfs.scripts import letters_in

_GRAM: Final = 4
# ISO 15924: scripts that put no blank between words. Their n-grams are of characters, so many as four words have.
_UNSPACED: Final = frozenset({"Hans", "Hant", "Hani", "Jpan", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"})
_UNSPACED_GRAM: Final = 12
_MIN_GRAMS: Final = 10
_HAN: Final = frozenset({"Hans", "Hant", "Hani"})
# A text of one variant quotes names in the other: 2 % of what tells them apart.
_HAN_PURITY: Final = 0.98
_BLANK: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Measures:
    """Shares are 0 to 1; null where the text or the script allows no answer."""

    repeated_ngram_share: float
    symbol_share: float
    mean_word_chars: float | None
    """Letters, marks and digits a word; null in scripts without blanks between words."""
    script_share: float | None
    """Share of the letters that are of the language's script; the rest is code-switched, or markup."""
    foreign_script_line_share: float | None
    """Share of the letters that stand in lines most of whose letters are of other scripts."""
    han_variant: str | None
    """Hans, Hant or mixed, of Chinese text with characters that tell."""


def measure(text: str, language: str) -> Measures:
    """Measure a cleaned text.

    Args:
        text: the text.
        language: GlotLID code of the language it is said to be in, such as ``zho_Hans``.
    """
    script = language.partition("_")[2]
    chars, words = count_chars(text), text.split()
    letters, right = letters_in(chars, script)
    return Measures(
        repeated_ngram_share=repeated_ngram_share(text, is_unspaced=is_unspaced(language), words=words),
        symbol_share=symbol_share(chars),
        mean_word_chars=None if is_unspaced(language) else mean_word_chars(len(words), chars),
        script_share=right / letters if letters and right is not None else None,
        foreign_script_line_share=_foreign_lines(text, chars, script, letters, right),
        han_variant=han_variant(chars) if script in _HAN else None,
    )


def repeated_ngram_share(text: str, *, is_unspaced: bool = False, words: list[str] | None = None) -> float:
    """Return the share of the text that lies in copies of its most frequent n-gram (Rae et al. 2021, A1.1).

    Words four at a time, or characters twelve at a time where words are not separated. Texts of fewer than ten times
    as many give 0. ``words`` are the text's, if they are known.
    """
    if is_unspaced:
        grams, units, size = _grams(text, is_unspaced)
        count = max(grams.values(), default=0)
    else:
        words = text.split() if words is None else words
        units, size = len(words), _GRAM
        count = _commonest_gram(words) if units >= _MIN_GRAMS * size else 0
    return min(1.0, count * size / units) if count > 1 else 0.0


def repeated_share(text: str, *, is_unspaced: bool = False) -> float:
    """Return the share of word pairs (or, unspaced, six characters) that the text has before: 0 to 1."""
    grams, _, _ = _grams(text, is_unspaced, parts=2)
    return 1 - len(grams) / grams.total() if grams else 0.0


def is_unspaced(language: str) -> bool:
    """Say whether a language's script puts no blank between words."""
    return language.partition("_")[2] in _UNSPACED


def _grams(text: str, is_unspaced: bool, parts: int = 1) -> tuple[Counter[object], int, int]:
    if is_unspaced:
        joined, size = _BLANK.sub("", text), _UNSPACED_GRAM // parts
        units = len(joined)
        grams: Counter[object] = Counter(joined[at : at + size] for at in range(units - size + 1))
    else:
        words, size = text.split(), _GRAM // parts
        units = len(words)
        grams = Counter(zip(*(words[start:] for start in range(size)), strict=False))
    return (grams if units >= _MIN_GRAMS * size else Counter()), units, size


def _commonest_gram(words: list[str]) -> int:
    """Return how often the most frequent four words in a row stand there."""
    if len(words) > np.iinfo(np.uint16).max:
        return max(Counter(zip(*(words[start:] for start in range(_GRAM)), strict=False)).values())
    # Each word's number is the place of its first copy: four of them fit into 64 bits.
    numbers = np.fromiter(map(dict[str, int]().setdefault, words, itertools.count()), np.uint64, len(words))
    starts = len(words) - _GRAM + 1
    grams = np.zeros(starts, np.uint64)
    for place in range(_GRAM):
        grams = (grams << np.uint64(16)) | numbers[place : place + starts]
    grams.sort()
    edges = np.flatnonzero(np.concatenate(([True], grams[1:] != grams[:-1], [True])))
    return int(np.diff(edges).max())


def count_chars(text: str) -> Counter[str]:
    """Count a text's characters."""
    if text.isascii():
        counts = np.bincount(np.frombuffer(text.encode(), np.uint8))
    else:
        codes = _codes(text)
        counts = np.bincount(codes)
    found = np.flatnonzero(counts)
    return Counter(dict(zip(map(chr, found.tolist()), counts[found].tolist(), strict=True)))


def _codes(text: str) -> np.ndarray[Any, np.dtype[np.uint32]]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def symbol_share(chars: Counter[str]) -> float:
    """Return the share of punctuation and symbol characters (Unicode categories P and S)."""
    total = chars.total()
    return sum(count for char, count in chars.items() if category(char)[0] in "PS") / total if total else 0.0


def mean_word_chars(words: int, chars: Counter[str]) -> float | None:
    """Return how many letters, marks and digits a run between blanks has, or None for an empty text."""
    written = sum(count for char, count in chars.items() if category(char)[0] in "LMN")
    return written / words if words else None


def han_variant(chars: Counter[str]) -> str | None:
    """Return Hans, Hant or mixed by the characters that CC-CEDICT has in one column only; None without any."""
    simplified, traditional = _han_only()
    hans = sum(count for char, count in chars.items() if char in simplified)
    hant = sum(count for char, count in chars.items() if char in traditional)
    if not hans + hant:
        return None
    if hans >= _HAN_PURITY * (hans + hant):
        return "Hans"
    return "Hant" if hant >= _HAN_PURITY * (hans + hant) else "mixed"


@lru_cache(maxsize=16384)
def category(char: str) -> str:
    """Return a character's Unicode general category."""
    return unicodedata.category(char)


def _foreign_lines(text: str, chars: Counter[str], script: str, letters: int, right: int | None) -> float | None:
    if not letters or right is None:
        return None
    if letters == right:
        return 0.0
    # Of each character: 0 no letter, 1 a letter of the script, 2 another's.
    kinds = np.zeros(ord(max(chars)) + 1, np.uint8)
    for char in chars:
        if char.isalpha():
            kinds[ord(char)] = 1 if letters_in(Counter(char), script)[1] else 2
    codes = _codes(text)
    of_char = kinds[codes]
    starts = np.concatenate(([0], np.flatnonzero(codes == ord("\n")) + 1))
    # A text may end with a line end, behind which there is no line to sum up.
    starts = starts[starts < len(codes)]
    ours, theirs = (np.add.reduceat((of_char == kind).astype(np.int64), starts) for kind in (1, 2))
    return int((ours + theirs)[ours < theirs].sum()) / letters


@lru_cache(maxsize=1)
def _han_only() -> tuple[frozenset[str], frozenset[str]]:
    from zhon import cedict

    simplified, traditional = frozenset(cedict.simplified), frozenset(cedict.traditional)
    return simplified - traditional, traditional - simplified
