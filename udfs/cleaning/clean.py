"""Cleaning of one text, all rules in their order; and all that was found on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from udfs.cleaning import personal_data
from udfs.cleaning.lines import LineRules, find_furniture
from udfs.cleaning.measures import Measures, measure
from udfs.cleaning.normalise import normalise, repair
from udfs.cleaning.personal_data import Kind, PersonalDataPlan


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
    lines = masked.split("\n")
    repeated = _repeated_share(lines, len(masked))
    removed_text: list[tuple[int, str, str]] = []
    places = list(range(len(lines)))
    # Without what the first pass took out, a line may be seen for what it is.
    while any(codes := find_furniture([lines[at] for at in places], rules)):
        removed_text += [(at, code, lines[at]) for at, code in zip(places, codes, strict=True) if code]
        places = [at for at, code in zip(places, codes, strict=True) if not code]
    result = normalise("\n".join(lines[at] for at in places)) if removed_text else masked
    counts = Counter(code for _, code, _ in removed_text)
    chars = Counter[str]()
    for _, code, line in removed_text:
        chars[code] += len(line)
    return Cleaned(
        text=result,
        removed=tuple(Removed(code, counts[code], chars[code]) for code in sorted(counts)),
        removed_text=tuple((code, line) for _, code, line in sorted(removed_text)),
        repeated_line_share=repeated,
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


def _repeated_share(lines: list[str], chars: int) -> float:
    seen: set[str] = set()
    repeated = 0
    for line in lines:
        key = line.casefold()
        if line and key in seen:
            repeated += len(line)
        seen.add(key)
    return repeated / chars if chars else 0.0
