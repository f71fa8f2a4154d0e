"""ftfy's test for text that was decoded with a wrong table, asked only where such a fault can be."""

from __future__ import annotations

import re
from typing import Final

from ftfy.badness import BADNESS_RE, MOJIBAKE_CATEGORIES

# What ftfy's pattern looks for has, in every one of its branches, one of these next to another character that is not
# of ASCII, or one of `_ALONE`.
_ALONE: Final = MOJIBAKE_CATEGORIES["c1"] + "ŒœÂÃ"
_SIGNS: Final = "ÙЂ°" + "".join(
    MOJIBAKE_CATEGORIES[name]
    for name in (
        "bad",
        "law",
        "currency",
        "start_punctuation",
        "end_punctuation",
        "numeric",
        "upper_accented",
        "lower_accented",
        "box",
    )
)
_POSSIBLE: Final = re.compile(rf"[{_SIGNS}{_ALONE}](?:(?<=[{_ALONE}])|(?=[^\x00-\x7f])|(?<=[^\x00-\x7f].))")
# The longest of the branches has seven characters.
_REACH: Final = 7
_MAX_PLACES: Final = 64


def is_bad(text: str) -> bool:
    """Say what ``ftfy.badness.is_bad`` says, at a fraction of its cost."""
    if text.isascii():
        return False
    for number, found in enumerate(_POSSIBLE.finditer(text)):
        start = max(0, found.start() - _REACH)
        if number == _MAX_PLACES:
            return BADNESS_RE.search(text, start) is not None
        if BADNESS_RE.search(text, start, found.end() + _REACH):
            return True
    return False
