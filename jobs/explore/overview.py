"""Every score of a stage's table: how it is spread, and on which side of its limit the rows are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.explore.data import ScoreLine
from jobs.runtime.thresholds import SCORES, Threshold, of_stage
from jobs.stages import STAGES
from jobs.stages.base import HOLDS_PAIR
from jobs.stages.clean import limit_factors
from udfs.cleaning.lists import CleaningLists

SHARES: Final = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
"""Shares of the rows whose quantiles are given."""
_ACCURACY: Final = 1_000  # Spark's: an error of a thousandth of the rows, in some 100 kB a score


def has_scores(stage: str) -> bool:
    """Say whether a stage stores scores that a recipe can bound."""
    return bool(of_stage(stage)) or any(each[0] == stage for each in SCORES)


def overview(rows: DataFrame, stage: str, settings: Mapping[str, Any], lists: CleaningLists) -> list[ScoreLine]:
    """Return a stage's scores, in one pass over its table.

    Args:
        rows: the table; of the columns that the scores are made of, those that are not there are left out.
        stage: its name.
        settings: those that the table was made with, flat.
        lists: for the factors of languages.
    """
    passes = HOLDS_PAIR if STAGES[stage].of_pairs else "false"
    entries: list[tuple[str, str, Threshold | None]] = [(each.score, each.meaning, each) for each in of_stage(stage)]
    entries += [(column, meaning, None) for name, column, meaning in SCORES if name == stage]
    wanted: dict[str, Column] = {}
    factors = limit_factors(settings.get("limits"), lists)
    for place, (score, _, threshold) in enumerate(entries):
        if not _columns(score, threshold) <= set(rows.columns):
            continue
        where = F.expr(f"NOT ({passes}) AND ({(threshold.where if threshold else '') or 'true'})")
        value = F.when(where, F.expr(score).cast("double"))
        wanted[f"quantiles_{place}"] = F.percentile_approx(value, list(SHARES), _ACCURACY)
        wanted[f"rows_{place}"] = F.count(value)
        wanted[f"missing_{place}"] = F.count_if(where & value.isNull())
        limit = _limit(threshold, settings)
        if threshold is not None and limit is not None:
            bound = F.lit(limit) * factors.get(threshold.factor, F.lit(1.0))
            is_beyond = value < bound if threshold.direction == "at_least" else value > bound
            wanted[f"beyond_{place}"] = F.count_if(is_beyond | (F.lit(threshold.is_strict) & (value == bound)))
    found = rows.agg(*(column.alias(name) for name, column in wanted.items())).first() if wanted else None
    values: dict[str, Any] = found.asDict() if found else {}
    return [_line(stage, place, entry, settings, values) for place, entry in enumerate(entries)]


def _line(
    stage: str,
    place: int,
    entry: tuple[str, str, Threshold | None],
    settings: Mapping[str, Any],
    values: Mapping[str, Any],
) -> ScoreLine:
    score, meaning, threshold = entry
    quantiles = values.get(f"quantiles_{place}") or ()
    return ScoreLine(
        stage=stage,
        score=score,
        meaning=meaning,
        setting=threshold.setting if threshold else "",
        direction=threshold.direction if threshold else "",
        limit=threshold.limit(settings) if threshold else None,
        is_by_language=bool(threshold and threshold.factor) and settings.get("limits") == "by_language",
        rows=values.get(f"rows_{place}", 0),
        missing=values.get(f"missing_{place}", 0),
        beyond=values.get(f"beyond_{place}"),
        quantiles={f"{share:g}": value for share, value in zip(SHARES, quantiles, strict=False)},
        is_stored=f"rows_{place}" in values,
    )


def _columns(score: str, threshold: Threshold | None) -> frozenset[str]:
    return threshold.columns if threshold else frozenset({score})


def _limit(threshold: Threshold | None, settings: Mapping[str, Any]) -> float | None:
    return threshold.limit(settings) if threshold is not None and threshold.is_recut else None
