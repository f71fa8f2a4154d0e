"""How far reviewers agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import krippendorff
import numpy as np

from jobs.review.guideline import Level


@dataclass(frozen=True, slots=True)
class Agreement:
    """Krippendorff's alpha, or why there is none."""

    alpha: float | None
    """1: full agreement; 0: as much as chance gives; below 0: less than that."""
    reason: str = ""
    """Why alpha is not defined; "" where it is."""


def agreement(units: Mapping[tuple[int, ...], int], values: Sequence[int], level: Level) -> Agreement:
    """Return Krippendorff's alpha (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability).

    Args:
        units: how many pairs got the same marks, by these marks, one a reviewer, in any order.
        values: the scale, upwards.
        level: its level of measurement.
    """
    doubled = {marks: count for marks, count in units.items() if len(marks) > 1}
    if not doubled:
        return Agreement(None, "not defined: no pair was marked by two reviewers")
    patterns = np.array([[marks.count(value) for value in values] for marks in doubled])
    counts = np.repeat(patterns, list(doubled.values()), axis=0)
    if (counts.sum(axis=0) > 0).sum() < 2:
        return Agreement(None, "not defined: all marks are the same")
    alpha = krippendorff.alpha(value_counts=counts, value_domain=list(values), level_of_measurement=level)
    return Agreement(float(alpha))
