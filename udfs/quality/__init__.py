"""Estimators of translation quality, without a reference, behind one small protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Estimate:
    """How good one translation is."""

    score: float | None
    """As the model puts it, for COMET about 0 (nonsense) to 1 (perfect), not clipped; None where a text is empty."""
    is_cut: bool = False
    """Whether source and translation were longer than the model reads, so that their ends do not count."""


class QualityEstimator(Protocol):
    """Estimates the quality of translations from the source alone."""

    @property
    def label(self) -> str:
        """Kind and model, as stored on every row."""
        ...

    def estimate(self, sources: Sequence[str], translations: Sequence[str]) -> list[Estimate]:
        """Return one estimate a pair, same order."""
        ...
