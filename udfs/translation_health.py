"""Signs that a machine translation went wrong, counted a segment at a time; no model, any script.

They are the faults that translation models are known for when their input is long or far from their training data:
output cut at the length limit, loops, the source given back, the wrong language's script, nothing at all (Guerreiro et
al. 2023, "Hallucinations in Large Multilingual Translation Models"). They say nothing of whether a fluent translation
is right.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from udfs.scripts import letters_in

# A loop: some part of up to so many characters, at least four times in a row, over at least so many characters.
_LOOP_PART_CHARS: Final = 120
_LOOP_TIMES: Final = 4
_LOOP_CHARS: Final = 24
_LOOP_GRAM: Final = 6
# A copy: this share of the target's letter 5-grams is in the source. Below 16 letters it may be a name.
_GRAM: Final = 5
_COPIED_SHARE: Final = 0.9
_COPIED_LETTERS: Final = 16
_COPIED_PLACES: Final = 64
# Script is judged from so many letters on, which a name or an acronym left as it is does not have.
_SCRIPT_LETTERS: Final = 12
_SCRIPT_SHARE: Final = 0.5
# The ratio of shorter sources says more about their one word than about the translation.
_RATIO_WIDTH: Final = 20


@dataclass(frozen=True, slots=True)
class Health:
    """Faults of a translated text: how many of its segments show each.

    The ratios are of target to source length, the least and the greatest among segments whose source is long enough
    to judge; None where there is none. Lengths are in columns (UAX 11): East Asian wide characters count as two, which
    brings Chinese, Japanese and Korean near to other scripts. They are not fitted to language pairs, so ask for little.
    """

    segments: int = 0
    """Segments that went through the model; text without letters does not."""
    truncated: int = 0
    """The output limit came before the end token."""
    repeated: int = 0
    """The end is, or the text holds, a loop that the source has not."""
    copied: int = 0
    """The source came back. Right between close relatives, such as Croatian and Bosnian."""
    empty: int = 0
    """No letter or digit came back."""
    wrong_script: int = 0
    """Most letters are of another script than the target language's."""
    min_length_ratio: float | None = None
    max_length_ratio: float | None = None


def measure(source: str, target: str, ended: bool, source_lang: str, target_lang: str) -> Health:
    """Return the health of one translated segment.

    Args:
        source: the segment, with a letter in it.
        target: its translation.
        ended: whether the model ended it itself.
        source_lang: GlotLID code of the source.
        target_lang: GlotLID code of the target; of an unknown script, none is wrong.
    """
    width = _width(source)
    ratio = _width(target) / width if width >= _RATIO_WIDTH else None
    return Health(
        segments=1,
        truncated=int(not ended),
        repeated=int(_has_new_loop(source, target)),
        copied=int(source_lang != target_lang and _is_copy(source, target)),
        empty=int(not any(map(str.isalnum, target))),
        wrong_script=int(_is_in_wrong_script(target, target_lang)),
        min_length_ratio=ratio,
        max_length_ratio=ratio,
    )


def combine(parts: Iterable[Health]) -> Health:
    """Return the health of a text from that of its segments; of none, no segment and no fault."""
    parts = list(parts)
    return Health(
        segments=sum(each.segments for each in parts),
        truncated=sum(each.truncated for each in parts),
        repeated=sum(each.repeated for each in parts),
        copied=sum(each.copied for each in parts),
        empty=sum(each.empty for each in parts),
        wrong_script=sum(each.wrong_script for each in parts),
        min_length_ratio=min(
            (each.min_length_ratio for each in parts if each.min_length_ratio is not None), default=None
        ),
        max_length_ratio=max(
            (each.max_length_ratio for each in parts if each.max_length_ratio is not None), default=None
        ),
    )


def _width(text: str) -> int:
    return len(text) if text.isascii() else sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def _has_new_loop(source: str, target: str) -> bool:
    """Say whether the target loops, and not because the source does (dots of a table of contents, a refrain)."""
    loop = _longest_loop(target)
    return loop > 0 and 2 * _longest_loop(source) < loop


def _longest_loop(text: str) -> int:
    """Return how many characters the longest loop covers, 0 for none."""
    return max((_loop(text, period) for period in _periods(text)), default=0)


def _periods(text: str) -> list[int]:
    """Return the distances at which parts of a text come again so often that a loop may be there.

    In a loop, nearly every place is as far from the last one with the same few characters. Trying all distances
    instead takes longer than a GPU takes for the segment.
    """
    last: dict[str, int] = {}
    votes: Counter[int] = Counter()
    for at in range(len(text) - _LOOP_GRAM + 1):
        gram = text[at : at + _LOOP_GRAM]
        if gram in last and at - last[gram] <= _LOOP_PART_CHARS:
            votes[at - last[gram]] += 1
        last[gram] = at
    # Half of what a loop must have: a part that holds the same characters twice gives votes to the shorter distance.
    return [
        period
        for period, count in votes.items()
        if 2 * (count + _LOOP_GRAM) >= max((_LOOP_TIMES - 1) * period, _LOOP_CHARS - period)
    ]


def _loop(text: str, period: int) -> int:
    """Return how many characters the longest loop of parts of ``period`` characters covers, 0 for none.

    A text that equals itself moved by p characters over a run of n is a part of p characters n / p + 1 times.
    """
    chars = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    differs = np.flatnonzero(chars[period:] != chars[:-period])
    run = int(np.diff(differs, prepend=-1, append=len(chars) - period).max()) - 1
    is_loop = run >= max((_LOOP_TIMES - 1) * period, _LOOP_CHARS - period)
    return run + period if is_loop else 0


def _is_copy(source: str, target: str) -> bool:
    letters, known = _letters(target), _letters(source)
    if len(letters) < _COPIED_LETTERS:
        return False
    # Places all over the target say as much as all of them.
    places = range(0, len(letters) - _GRAM + 1, max(1, len(letters) // _COPIED_PLACES))
    found = sum(letters[at : at + _GRAM] in known for at in places)
    return found >= _COPIED_SHARE * len(places)


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text.casefold()))


def _is_in_wrong_script(target: str, language: str) -> bool:
    letters, right = letters_in(Counter(target), language.partition("_")[2])
    return right is not None and letters >= _SCRIPT_LETTERS and right < _SCRIPT_SHARE * letters
