"""What the benchmark holds tools against: text folding, shingles and exact Jaccard similarity.

It is apart from the project's own folding on purpose, so that no tool is measured with its own ruler, and it is plain
numpy, so that it runs in every tool's environment.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

SHINGLE_CHARS = 9
SHINGLE_WORDS = 5
GAP = 32
_ACCENTS = range(0x300, 0x370)
_NOT_WORD = re.compile(r"\W")
_BASE = np.uint64(0x9E3779B97F4A7C15)

Codes = npt.NDArray[np.uint32]
Shingles = npt.NDArray[np.uint64] | npt.NDArray[np.int64] | npt.NDArray[np.uint32]


def _folded_code(character: str) -> int:
    lower = character.lower()
    apart = unicodedata.normalize("NFKD", lower)
    if apart and all(ord(mark) in _ACCENTS for mark in apart[1:]):
        folded = apart[0]
    else:
        composed = unicodedata.normalize("NFKC", lower)
        folded = composed if len(composed) == 1 else character
    if ord(folded) in _ACCENTS:
        return 0
    return ord(folded) if unicodedata.category(folded)[0] in "LMN" else GAP


@lru_cache(maxsize=1)
def folding_table() -> Codes:
    """Return what each code point of the BMP folds to, uint32, shape (0x10000,): 0 is dropped, 32 is a gap."""
    return np.array([GAP if 0xD800 <= code < 0xE000 else _folded_code(chr(code)) for code in range(0x10000)], np.uint32)


def fold(text: str) -> Codes:
    """Return the letters, marks and digits of a text, lower-cased and without accents (U+0300 to U+036F).

    Every run of anything else becomes one gap, and none at the ends. Code points above the BMP stay as they are.

    Returns:
        Code points, uint32, shape (n,).
    """
    codes = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)
    folded = np.where(codes < 0x10000, folding_table()[np.minimum(codes, 0xFFFF)], codes)
    folded = folded[folded != 0]
    is_letter = folded != GAP
    keep = is_letter.copy()
    keep[1:] |= is_letter[:-1]  # the first gap of a run stays
    folded = folded[keep]
    if len(folded) and folded[-1] == GAP:
        folded = folded[:-1]
    return folded[1:] if len(folded) and folded[0] == GAP else folded


def character_shingles(text: str, size: int = SHINGLE_CHARS) -> npt.NDArray[np.uint64]:
    """Return the hashed windows of ``size`` folded characters.

    Returns:
        Sorted distinct hashes, uint64. A text shorter than ``size`` is one shingle, a text without letters has none.
    """
    codes = fold(text).astype(np.uint64)
    if len(codes) == 0:
        return codes
    width = min(size, len(codes))
    windows = len(codes) - width + 1
    hashes = np.zeros(windows, np.uint64)
    for place in range(width):
        hashes = hashes * _BASE + codes[place : place + windows] + np.uint64(1)
        hashes ^= hashes >> np.uint64(29)
    return np.unique(hashes)


def word_shingles(text: str) -> npt.NDArray[np.int64]:
    r"""Return text-dedup's own shingles: 5 pieces in a row of the lower-cased text split at ``\W``, also empty pieces.

    Returns:
        Sorted distinct hashes, int64; Python's, so they can be compared within one process only.
    """
    words = _NOT_WORD.split(text.lower())
    width = min(SHINGLE_WORDS, len(words))
    return np.unique(
        np.array([hash(tuple(words[place : place + width])) for place in range(len(words) - width + 1)], np.int64)
    )


def jaccard(a: Shingles, b: Shingles) -> float:
    """Return the Jaccard similarity of two sets of shingles; two empty ones are alike."""
    if len(a) == 0 or len(b) == 0:
        return float(len(a) == len(b))
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared)


def pairwise_jaccard(sets: Sequence[Shingles]) -> npt.NDArray[np.float64]:
    """Return the Jaccard similarity of every two of some sets, float64, shape (n, n), as ``jaccard`` gives it.

    The shared shingles are counted as a product of matrices, some ten times faster than pair by pair.
    """
    sizes = np.array([len(each) for each in sets], np.int64)
    distinct, column = np.unique(np.concatenate(sets), return_inverse=True)
    # float32 counts exactly up to 2**24 shingles, and is what BLAS multiplies.
    has = np.zeros((len(sets), len(distinct)), np.float32)
    has[np.repeat(np.arange(len(sets)), sizes), column] = 1
    shared = (has @ has.T).astype(np.int64)
    union = sizes[:, None] + sizes[None, :] - shared
    return np.where(union == 0, 1.0, shared / np.maximum(union, 1))
