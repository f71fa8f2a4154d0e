"""Language identification engines behind one small protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Outcome = Literal["match", "mismatch", "uncertain"]


@dataclass(frozen=True, slots=True)
class Identified:
    """What an identifier thinks of one text.

    ``label`` is the engine's own best label, ``score`` its probability (0 to 1), ``outcome`` the comparison with
    the language that was expected, ``expected_score`` that language's own probability, or None where the engine does
    not tell it or does not know the language.
    """

    label: str
    score: float
    outcome: Outcome
    expected_score: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A text with what an identifier once found of it, from which other settings may draw another outcome."""

    text: str
    expected: str
    """GlotLID code."""
    label: str
    score: float
    expected_score: float | None = None


class Identifier(Protocol):
    """Compares the language of texts with the one that is expected."""

    def identify(
        self, texts: Sequence[str], expected: Sequence[str], candidates: Sequence[str] | None = None
    ) -> list[Identified]:
        """Return one result a text, same order. Languages are GlotLID codes.

        ``candidates`` restricts the labels that are considered; None considers all the engine knows.
        """
        ...
