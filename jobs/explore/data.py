"""What exploring thresholds finds: small, whatever the size of the tables; plain values that become JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ScoreLine:
    """One score of a stage, and where its limit falls."""

    stage: str
    score: str
    """Column or SQL expression over the stage's table."""
    meaning: str
    setting: str
    """Setting that bounds it; "" for a score without a limit of one number."""
    direction: str
    """``at_least`` or ``at_most``; "" without a setting."""
    limit: float | None
    """Of English, where ``is_by_language``; None: the recipe sets none."""
    is_by_language: bool
    """Whether the limit is multiplied by a factor of the row's language."""
    rows: int
    """Rows with a score."""
    missing: int
    """Rows that the rule is for and that have none: no engine gave one, or they are older than the score."""
    beyond: int | None
    """Rows beyond the limit; None where there is none, or scores alone do not decide."""
    quantiles: dict[str, float] = field(default_factory=dict)
    """By share of the rows, "0" to "1"; approximate; empty if no row has a score."""
    is_stored: bool = True
    """Whether the table has the column at all; one made by an older version may not."""


@dataclass(frozen=True, slots=True)
class Overview:
    """All scores of a lake's tables."""

    lake: str
    lines: list[ScoreLine]
    missing_tables: list[str]
    """Stages with scores whose tables the lake does not have."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Rows of one language and source in a stage's table."""

    language: str
    source: str
    alive: int
    """As the table stands."""
    rejected: int
    gained: int
    lost: int


@dataclass(frozen=True, slots=True)
class SampleRow:
    """A row that would change sides."""

    doc_id: str
    language: str
    source: str
    reasons: list[str]
    """What it was rejected for if it is gained, what it would be rejected for if it is lost."""
    scores: dict[str, float | None]
    """The scores that the changed settings bound, by setting."""
    texts: dict[str, str]
    """Title, instruction and the beginning of the text, by column; only those that the row has."""


@dataclass(frozen=True, slots=True)
class StageChange:
    """What a cut changes in one stage's table."""

    stage: str
    settings: dict[str, tuple[Any, Any]]
    """Old and new value, by setting."""
    rows: int
    alive: int
    rejected: int
    gained: int
    """Rejected rows for which every reason falls. What later stages make of them is not known."""
    lost: int
    """Alive rows that would be rejected."""
    still_rejected: int
    """Rejected rows that lose a reason, not all."""
    gained_by_reason: dict[str, int]
    """Gained rows by a reason that they had; a row may have had several."""
    lost_by_reason: dict[str, int]
    missing: dict[str, int]
    """By setting, rows without the score that it bounds: they stay as they are."""
    differing: int
    """Rows whose stored reasons are not those that the stored scores give under the table's own settings, as those of
    an older version; what the change does not touch stays in them."""
    cells: list[Cell]
    """Languages and sources in which a row changes sides."""
    gained_sample: list[SampleRow]
    lost_sample: list[SampleRow]


@dataclass(frozen=True, slots=True)
class PairCell:
    """Pairs of one language and source."""

    language: str
    source: str
    pairs: int
    """As the lake stands."""
    lost: int


@dataclass(frozen=True, slots=True)
class CutResult:
    """What one set of changes does."""

    name: str
    stages: list[StageChange]
    pairs: int | None
    """Pairs as the lake stands; None if it has no such table."""
    pairs_lost: int | None
    """Pairs whose rows are lost, in whichever stage."""
    pair_cells: list[PairCell]
    """Languages and sources that lose pairs."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What it takes to bring a lake to other thresholds."""

    rebuild: str
    """The stage from which on its tables are made again."""
    stages: list[str]
    """Those that work again."""
    rows: dict[str, int]
    """Rows that each of them took in when it last worked; the first takes as many again."""
    cached: list[str]
    """Those whose engine is asked only for texts that the translation cache lacks."""
    engines: list[str]
    """Those whose engines are asked for every row again."""


@dataclass(frozen=True, slots=True)
class Exploration:
    """What cuts would change in a lake."""

    lake: str
    recipe: str
    seed: int
    cuts: list[CutResult]
    costs: list[Cost | None]
    """Of each cut; None if it changes nothing."""
    notes: list[str]
