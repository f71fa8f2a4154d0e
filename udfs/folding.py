"""Text folding for comparison: which characters count, and which count as the same.

The table is a file and not computed where it is used, because Python's character data changes with its version
and an index of signatures must not. It was made from Unicode 14.0 by ``python -m udfs.folding``.

A code point maps to nothing (invisible characters, accents, optional vowel points), to a gap (punctuation, symbols,
white space), or to one or more letters, marks and digits: compatibility forms and composed letters are taken apart,
case is folded, then accents go. Composed and decomposed writing come out alike, except Hangul in conjoining jamo.
Entries carry the script class of their character, which decides how long the shingle ending there is.
"""

from __future__ import annotations

import unicodedata
import zlib
from functools import lru_cache
from pathlib import Path
from pkgutil import get_data
from typing import Final

import numpy as np
import numpy.typing as npt

CODE_POINTS: Final = 0x110000
GAP: Final = 32
# Bits of a table entry: code point, script class, and whether it is a place in the list of expansions instead.
CLASS_SHIFT: Final = 21
CODE_MASK: Final = (1 << CLASS_SHIFT) - 1
EXPANDED: Final = 1 << 31
LENGTH_BITS: Final = 5  # of an expansion; the longest in Unicode has 18 characters

ALPHABETIC, HAN, KANA, HANGUL, UNSPACED = range(5)
CLASSES: Final = ("alphabetic", "han", "kana", "hangul", "unspaced")
_RANGES: Final = {
    HAN: ((0x2E80, 0x2FE0), (0x3005, 0x3008), (0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x20000, 0x32000)),
    KANA: ((0x3040, 0x3100), (0x3105, 0x3130), (0x31A0, 0x31C0), (0x31F0, 0x3200), (0x1AFF0, 0x1B170)),
    HANGUL: ((0x1100, 0x1200), (0x3130, 0x3190), (0xA960, 0xA980), (0xAC00, 0xD800)),
    # Thai, Lao, Tibetan, Myanmar, Khmer, New Tai Lue to Balinese, Javanese, Myanmar extensions, Tai Viet, Yi
    UNSPACED: (
        *((0x0E00, 0x0F00), (0x0F00, 0x1000), (0x1000, 0x10A0), (0x1780, 0x1800), (0x1950, 0x1AB0), (0x1B00, 0x1B80)),
        *((0xA000, 0xA4D0), (0xA980, 0xA9E0), (0xA9E0, 0xAA00), (0xAA60, 0xAAE0)),
    ),
}
# Marks that writers leave out at will: accents, Hebrew points, Arabic vowels and tatweel, kana voicing, nukta.
_OPTIONAL: Final = (
    *((0x0300, 0x0370), (0x0483, 0x0488), (0x0591, 0x05BE), (0x05BF, 0x05C0), (0x05C1, 0x05C3), (0x05C4, 0x05C6)),
    *((0x05C7, 0x05C8), (0x0610, 0x061B), (0x0640, 0x0641), (0x064B, 0x0660), (0x0670, 0x0671), (0x06D6, 0x06DD)),
    *((0x06DF, 0x06E5), (0x06E7, 0x06E9), (0x06EA, 0x06EE), (0x08D3, 0x0900), (0x093C, 0x093D), (0x09BC, 0x09BD)),
    *((0x0A3C, 0x0A3D), (0x0ABC, 0x0ABD), (0x0B3C, 0x0B3D), (0x0C3C, 0x0C3D), (0x0CBC, 0x0CBD), (0x1AB0, 0x1B00)),
    *((0x1DC0, 0x1E00), (0x20D0, 0x2100), (0x3099, 0x309B), (0xFE20, 0xFE30)),
)
# Default ignorable code points that are not of category Cf.
_INVISIBLE: Final = ((0x034F, 0x0350), (0x115F, 0x1161), (0x17B4, 0x17B6), (0x180B, 0x1810), (0x3164, 0x3165),
                     (0xFE00, 0xFE10), (0xFFA0, 0xFFA1), (0xE0000, 0xE1000))  # fmt: skip
# Small letters of their own: a word's last sigma in Greek, the Turkish dotless i. Folding them into σ and i would make
# texts alike that differ in letters, for the sake of those written in capitals throughout, which are rare.
_KEPT: Final = "\u03c2\u0131"
_FILE: Final = "folding.bin"


@lru_cache(maxsize=1)
def load() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return the frozen table.

    Returns:
        Entries, uint32, shape (0x110000,): 0 for a dropped character, 32 for a gap, a code point with its class in
        the bits above, or ``EXPANDED | place << LENGTH_BITS | length``; and the expansions, uint32, one-dimensional.
    """
    packed = get_data("udfs", _FILE)
    if packed is None:
        raise FileNotFoundError(f"udfs/{_FILE} is missing from this installation; install the package again")
    values = np.frombuffer(zlib.decompress(packed), np.uint32)
    table = values[:CODE_POINTS] ^ np.arange(CODE_POINTS, dtype=np.uint32)
    return table, values[CODE_POINTS:].copy()


def fold_character(character: str) -> str:
    """Return what one character folds to, by this Python's character data; a gap is a space."""
    code = ord(character)
    category = unicodedata.category(character)
    if character in _KEPT:
        return character
    if category == "Cf" or _within(code, _INVISIBLE):
        return ""
    if category in ("Cn", "Co"):
        return character if code & 0xFFFE != 0xFFFE and not 0xFDD0 <= code < 0xFDF0 else " "
    if 0xAC00 <= code <= 0xD7A3:  # taking syllables apart would treble the length of Korean
        return character
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    text = "".join(c for c in text if not _within(ord(c), _OPTIONAL) and unicodedata.category(c) != "Cf")
    text = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return " " if text.isspace() else text.strip()


def build() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Make the table anew, in the form of ``load``, from this Python's character data."""
    table = np.zeros(CODE_POINTS, np.uint32)
    places: dict[str, int] = {}
    expansions: list[int] = []
    for code in range(CODE_POINTS):
        folded = fold_character(chr(code))
        if len(folded) > 1:
            if folded not in places:
                places[folded] = len(expansions)
                expansions += [_entry(ord(c)) for c in folded]
            table[code] = EXPANDED | places[folded] << LENGTH_BITS | len(folded)
        elif folded:
            table[code] = _entry(ord(folded))
    return table, np.array(expansions, np.uint32)


def _entry(code: int) -> int:
    if code == GAP:
        return GAP
    script = next((script for script, ranges in _RANGES.items() if _within(code, ranges)), ALPHABETIC)
    return code | script << CLASS_SHIFT


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(low <= code < high for low, high in ranges)


def _write() -> None:
    table, expansions = build()
    coded = np.concatenate([table ^ np.arange(CODE_POINTS, dtype=np.uint32), expansions])
    Path(__file__).with_name(_FILE).write_bytes(zlib.compress(coded.tobytes(), 9))


if __name__ == "__main__":
    _write()
