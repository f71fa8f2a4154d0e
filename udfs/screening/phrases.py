"""Phrases that tell a refusal, a preamble or a reference to a text that is not there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from udfs.screening.forms import QUOTED
from udfs.screening.lists import ScreeningLists, fold
from udfs.screening.sentences import sentences

# "Unfortunately, I cannot ...", "Hello! I'm sorry, but ...": how far into its sentence a refusal may begin.
_REFUSAL_WITHIN: Final = 24
# "Sure, here is a possible instruction for the text: Describe ...".
_PREAMBLE_TAIL: Final = re.compile(r"[^.:!?。：！？\n]{0,80}[:：]\s*")
_MARKS: Final = re.compile(r"^[^\w<>¡]*")
# A text that stands in the instruction itself: so many words behind the colon, or in quotation marks.
_CARRIED_WORDS: Final = 4
_QUOTED_TEXT_WORDS: Final = 6
_NAME: Final = '""'
_CARRIED: Final = re.compile(r"[:：]\s*\S")


class Found(NamedTuple):
    """What a rule of phrases found."""

    share: float
    """0 where nothing was found, else how much of the instruction it is, up to 1."""
    phrase: str | None = None
    """The first phrase, in lower case."""


NOTHING: Final = Found(0.0)


def refusal(instruction: str, phrases: Sequence[str]) -> Found:
    """Return the share of an instruction's sentences that decline to write one; any language.

    Args:
        instruction: the text.
        phrases: beginnings of refusals, folded.
    """
    parts = sentences(QUOTED.sub("", instruction))
    matches = [_begins_with(part, phrases, _REFUSAL_WITHIN) for part in parts]
    first = next(filter(None, matches), None)
    return Found(sum(map(bool, matches)) / len(parts), first) if first else NOTHING


def preamble(instruction: str, phrases: Sequence[str]) -> Found:
    """Return the share of an instruction's characters that announce it ("Sure, here is ..."); any language.

    Args:
        instruction: the text.
        phrases: beginnings of announcements, folded.
    """
    text = _MARKS.sub("", fold(instruction))
    phrase = _begins_with(text, phrases, 0)
    if phrase is None:
        return NOTHING
    tail = _PREAMBLE_TAIL.match(text, len(phrase)) if not phrase.endswith((":", "：")) else None
    return Found((tail.end() if tail else len(phrase)) / len(text), phrase)


def missing_text(instruction_en: str, lists: ScreeningLists) -> Found:
    """Return the share of an English instruction's sentences that refer to a text which is not in it.

    A title in quotation marks refers to nothing. A reference is met where the text follows: behind a colon, or quoted.
    """
    finder = _finder(lists)
    if finder is None:
        return NOTHING
    parts = sentences(QUOTED.sub(_blank_of, instruction_en))
    found: list[str | None] = []
    for place, part in enumerate(parts):
        folded = fold(part)
        match = finder.search(folded)
        carried = " ".join([folded[match.end() :], *parts[place + 1 :]]) if match else ""
        found.append(match[0] if match and not _carries(carried) else None)
    first = next(filter(None, found), None)
    return Found(sum(map(bool, found)) / len(parts), first) if first else NOTHING


def _blank_of(quoted: re.Match[str]) -> str:
    """Return what stands in for a quotation: a long one is a text that is there, a short one a name."""
    return ": " + "quoted " * _CARRIED_WORDS if len(quoted[0].split()) > _QUOTED_TEXT_WORDS else _NAME


def _carries(rest: str) -> bool:
    colon = _CARRIED.search(rest)
    return colon is not None and len(rest[colon.start() :].split()) >= _CARRIED_WORDS


def _begins_with(text: str, phrases: Sequence[str], within: int) -> str | None:
    text = _MARKS.sub("", fold(text))
    width, openings = _openings(tuple(phrases))
    for start in range(min(within, len(text)) + 1):
        if start and _joined(text[start - 1], text[start : start + 1]):
            continue
        for phrase in openings.get(text[start : start + width], ()):
            end = start + len(phrase)
            if text.startswith(phrase, start) and not _joined(phrase[-1], text[end : end + 1]):
                return phrase
    return None


@lru_cache(maxsize=4)
def _openings(phrases: tuple[str, ...]) -> tuple[int, dict[str, list[str]]]:
    """Return phrases by their first characters, and how many these are."""
    width = min(map(len, phrases), default=0)
    found: dict[str, list[str]] = {}
    for phrase in phrases:
        found.setdefault(phrase[:width], []).append(phrase)
    return width, found


def _joined(left: str, right: str) -> bool:
    """Say whether two characters are of one word; in scripts without blanks none are. The second may be missing."""
    return left.isalnum() and right.isalnum() and left < "\u0e00" and right < "\u0e00"


@lru_cache(maxsize=4)
def _finder(lists: ScreeningLists) -> re.Pattern[str] | None:
    if not lists.missing_texts:
        return None
    sure, weak, times, named = (
        "|".join(map(re.escape, phrases)) or "(?!)"
        for phrases in (lists.missing_texts, lists.weak_missing_texts, lists.not_before, lists.named_by)
    )
    return re.compile(
        rf"\b(?:(?:{sure})(?!\s+(?:{times})\b)|(?:{weak})(?!\s+(?:(?:{named})\s+[\w\"]|{re.escape(_NAME)})))(?![\w-])"
    )
