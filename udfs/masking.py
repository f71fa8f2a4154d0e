"""Keeps a title out of a translation engine's hands: it goes through as one unknown word and comes back as it was.

An instruction that names its document by the title is translated into the document's own language, in which the title
is known. Translating it a second time can only harm it: "Tiger Woods" comes back as a forest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# No word of any language, written as a name; engines that do not know a word pass it on. The second stands for titles
# with a vowel first, before which some languages write their prepositions in another way ("d'Aqzwx", "de Qzwx").
_WORD: Final = "Qzwx"
_VOWEL_WORD: Final = "Aqzwx"
_VOWELS: Final = "aeiouáéíóúàèìòùâêîôûäëïöüãõåæœø"
_MIN_CHARS: Final = 2
_TO_SINGLE: Final = str.maketrans('"“”„«»', "''''''")


@dataclass(frozen=True, slots=True)
class Masked:
    """An instruction with a word in the title's place; ``count`` is how often the word stands in it."""

    text: str
    word: str
    count: int
    title: str


def quotable(title: str) -> str:
    """Return the title as it can stand between double quotation marks: with single ones inside.

    >>> quotable('The "supply" effect')
    "The 'supply' effect"
    """
    return title.translate(_TO_SINGLE)


def mask_title(instruction_en: str, title: str, title_en: str) -> Masked | None:
    """Put a word that no engine knows in the place of the title.

    Args:
        instruction_en: the English instruction.
        title: the document's title in its own language.
        title_en: the title in English.

    Returns:
        The instruction to translate, or None where it names neither title.
    """
    title, title_en = " ".join(title.split()), " ".join(title_en.split())
    for named, kept in ((title_en, title), (title, title), (title.partition(" (")[0],) * 2):
        for form in dict.fromkeys((named, quotable(named))):
            if len(form) < _MIN_CHARS:
                continue
            word = _VOWEL_WORD if kept[:1].casefold() in tuple(_VOWELS) else _WORD
            text, count = re.subn(rf"(?<!\w){re.escape(form)}(?!\w)", word, instruction_en)
            if count and word not in instruction_en:
                return Masked(text, word, count, quotable(kept) if f'"{word}"' in text else kept)
    return None


def unmask(translation: str, masked: Masked) -> str | None:
    """Put the title back, or return None if its word was lost, doubled or changed on the way."""
    found = re.findall(rf"(?<!\w){masked.word}(?!\w)", translation)
    if len(found) != masked.count or translation.count(masked.word) != masked.count:
        return None
    return translation.replace(masked.word, masked.title)
