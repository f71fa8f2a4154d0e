"""Which texts of a row the engines of a stage read, and which they write; the rest of a row costs them nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

READ: Final[Mapping[str, tuple[str, ...]]] = {
    "clean": ("text",),
    "translate": ("title", "text"),
    "instruct": ("text_en",),
    "back_translate": ("instruction_en",),
    "screen": ("instruction_src", "text"),
}
"""Columns by stage; a generator that is asked with a prompt reads that, which has the text in it."""
WRITTEN: Final[Mapping[str, tuple[str, ...]]] = {
    "translate": ("title_en", "text_en"),
    "instruct": ("instruction_en",),
    "back_translate": ("instruction_src",),
}
LABEL: Final[Mapping[str, str]] = {"translate": "translator", "back_translate": "back_translator"}
"""Column that says which engine worked on a row; null or NO_ENGINE where none did."""
NO_ENGINE: Final = "none"
"""Label of a row that was in the target language already."""
