"""A text cut into lines once, with what the line rules ask again and again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_CODE_MARKS: Final = re.compile(r"[{}]|\w\(\)|==|\":")
_CODE_SIGNS: Final = ("{", "}", "()", "==", '":')


@dataclass(frozen=True, slots=True)
class SplitText:
    """The lines of a normalised text, as they are and casefolded."""

    text: str
    lines: list[str]
    folded_text: str
    folded: list[str]
    has_code_signs: bool

    @classmethod
    def of(cls, text: str) -> SplitText:
        """Cut a text; casefolding makes no line ends."""
        folded = text.casefold()
        return cls(text, text.split("\n"), folded, folded.split("\n"), any(sign in text for sign in _CODE_SIGNS))

    def is_code(self, line: str) -> bool:
        """Say whether one of the lines has marks of programs and data, whose keys may read as buttons do."""
        return self.has_code_signs and _CODE_MARKS.search(line) is not None
