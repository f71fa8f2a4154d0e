"""Cleaning of one text, all rules in their order; and all that was found on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from udfs.cleaning import personal_data
from udfs.cleaning.lines import LineRules, find_furniture
from udfs.cleaning.measures import Measures, measure
from udfs.cleaning.normalise import normalise, repair
from udfs.cleaning.personal_data import Kind, PersonalDataPlan
from udfs.cleaning.split import SplitText


@dataclass(frozen=True, slots=True)
class Removed:
    """What one rule took out of a text: lines, and their Unicode code points."""

    rule: str
    lines: int
    chars: int


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A cleaned text, what was taken out of it, and what was measured on it."""

    text: str
    removed: tuple[Removed, ...]
    """By rule, in the order of their names."""
    removed_text: tuple[tuple[str, str], ...]
    """Rule and line, in the order of the text."""
    repeated_line_share: float
    """Share of the characters in lines that the text had before, measured before lines are taken out."""
    mended_lines: int
    """Lines whose encoding was mended."""
    personal_data: dict[Kind, int]
    measures: Measures

    @property
    def removed_lines(self) -> int:
        """Return how many lines were taken out."""
        return sum(each.lines for each in self.removed)

    @property
    def removed_chars(self) -> int:
        """Return how many characters the lines had that were taken out."""
        return sum(each.chars for each in self.removed)


def clean(text: str | None, language: str, rules: LineRules, personal: PersonalDataPlan) -> Cleaned:
    """Mend, normalise, mask, and take out lines that are not the author's. Doing it twice is doing it once.

    Args:
        text: any text; None is an empty one.
        language: GlotLID code of the language it is said to be in.
        rules: which lines are taken out.
        personal: which personal data is counted and masked.
    """
    normalised, mended = repair(text or "")
    masked, found = personal_data.treat(normalised, personal, language)
    split = SplitText.of(masked)
    codes = find_furniture(split, rules)
    removed_text = [(code, line) for code, line in zip(codes, split.lines, strict=True) if code]
    result = masked
    if removed_text:
        result = normalise("\n".join(line for code, line in zip(codes, split.lines, strict=True) if not code))
    counts = Counter(code for code, _ in removed_text)
    chars = Counter[str]()
    for code, line in removed_text:
        chars[code] += len(line)
    return Cleaned(
        text=result,
        removed=tuple(Removed(code, counts[code], chars[code]) for code in sorted(counts)),
        removed_text=tuple(removed_text),
        repeated_line_share=_repeated_share(split),
        mended_lines=mended,
        personal_data=found,
        measures=measure(result, language),
    )


def clean_title(title: str | None, language: str, personal: PersonalDataPlan) -> str | None:
    """Return a title mended, normalised and masked as its text is; None if nothing is left."""
    mended, _ = repair(title or "")
    return personal_data.treat(mended, personal, language)[0] or None


@dataclass(frozen=True, slots=True)
class Mended:
    """A text of a pair whose characters were mended, and in which personal data was treated."""

    text: str
    mended_lines: int
    personal_data: dict[Kind, int]


def mend(text: str, language: str, personal: PersonalDataPlan) -> Mended:
    """Mend, normalise and mask a text whose lines and layout are meant: an instruction, an answer.

    Args:
        text: any text.
        language: GlotLID code of the language it is said to be in.
        personal: which personal data is counted and masked.
    """
    mended, lines = repair(text, keeps_layout=True)
    masked, found = personal_data.treat(mended, personal, language)
    return Mended(masked, lines, found)


def _repeated_share(text: SplitText) -> float:
    seen: set[str] = set()
    repeated = 0
    for line, folded in zip(text.lines, text.folded, strict=True):
        if line and folded in seen:
            repeated += len(line)
        seen.add(folded)
    return repeated / len(text.text) if text.text else 0.0
