"""What a report shows, as plain values: counts, histograms and a few texts, whatever the size of the lake."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobs.runtime.thresholds import Scale, Threshold
from jobs.stages.dedup_report import DedupReport
from udfs.languages import LanguageTable


@dataclass(frozen=True, slots=True)
class Bins:
    """Equal steps from ``low`` to ``high``, of the value or of its logarithm; what lies outside counts at the ends."""

    low: float
    high: float
    count: int
    scale: Scale = "linear"

    def edges(self) -> list[float]:
        """Return the ``count + 1`` bounds of the bins."""
        if self.scale == "linear":
            return [self.low + (self.high - self.low) * step / self.count for step in range(self.count + 1)]
        low, high = math.log10(self.low), math.log10(self.high)
        return [10 ** (low + (high - low) * step / self.count) for step in range(self.count + 1)]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Rows by the bin of a value; ``counts`` has one number a bin."""

    bins: Bins
    counts: Sequence[int]

    @property
    def rows(self) -> int:
        """Rows that have the value."""
        return sum(self.counts)

    def quantile(self, share: float) -> tuple[float, float] | None:
        """Return the bounds of the bin that holds the quantile; None without rows."""
        edges, seen = self.bins.edges(), 0
        for place, count in enumerate(self.counts):
            seen += count
            if count and seen >= share * self.rows:
                return edges[place], edges[place + 1]
        return None


@dataclass(frozen=True, slots=True)
class PairCell:
    """Pairs of one source, language and split."""

    source: str
    language: str
    split: str
    pairs: int
    instruction_chars: int
    output_chars: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """The table ``pairs``, counted."""

    cells: Sequence[PairCell] = ()
    lengths: Mapping[str, Histogram] = field(default_factory=dict)
    """Of ``instruction`` and ``output``, in Unicode code points."""
    licenses: Mapping[str, int] = field(default_factory=dict)
    generators: Mapping[str, int] = field(default_factory=dict)
    """By engine label, without what stands behind its colon."""

    @property
    def count(self) -> int:
        """All pairs."""
        return sum(cell.pairs for cell in self.cells)

    def by(self, name: str) -> dict[str, int]:
        """Return pairs by ``source``, ``language`` or ``split``, most first."""
        counts: dict[str, int] = {}
        for cell in self.cells:
            key = str(getattr(cell, name))
            counts[key] = counts.get(key, 0) + cell.pairs
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class Score:
    """A stored score of a stage, with the limit that the recipe sets."""

    stage: str
    name: str
    """The column, or the expression over columns."""
    meaning: str
    threshold: Threshold | None
    """None for scores that no single number bounds."""
    limit: float | None
    """None where the recipe sets none."""
    histogram: Histogram
    kept: int
    """Rows on the side of the limit that is kept; all where there is no limit, or it has no sides."""
    missing: int
    """Rows without the score."""
    is_missing_column: bool = False
    """Whether the table is of a version that did not store the score."""

    @property
    def has_sides(self) -> bool:
        """Whether the score alone tells on which side of the limit a row is: only duplicates have a similarity."""
        return self.limit is not None and self.threshold is not None and self.threshold.is_recut


@dataclass(frozen=True, slots=True)
class VerbNouns:
    """Root verbs of English instructions with their direct noun objects."""

    measure: str
    """``rules``, or the name of a parser's pipeline."""
    instructions: int
    """English instructions looked at: a seeded sample where there are more than were asked for."""
    of_instructions: int
    """English instructions there are."""
    found: int
    """Those with a verb and a noun."""
    distinct: int
    verbs: Sequence[tuple[str, int, Sequence[tuple[str, int]]]]
    """The most frequent verbs: verb, instructions, and its most frequent nouns with their instructions."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A row to be read; texts are cut."""

    group: str
    """The language of a pair; the reason of a rejected row."""
    language: str
    texts: Sequence[tuple[str, str, str, bool]]
    """Label, text, language of the text, and whether it was cut."""
    facts: Sequence[tuple[str, str]]
    """Label and value: lineage and scores."""


@dataclass(frozen=True, slots=True)
class Effort:
    """What a stage took."""

    stage: str
    rows: int
    characters: int
    seconds: float
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table for a person; the first column names the rows, and ``is_text`` says which others are words."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    is_text: frozenset[int] = frozenset({0})


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything a report shows. What is None or empty becomes a section that says so."""

    lake: str
    recipe: str
    made_at: str
    """ISO 8601, to the minute, UTC."""
    seed: int
    languages: LanguageTable
    funnel: Sequence[Mapping[str, Any]] = ()
    """Stages in order, as ``jobs.commands.funnel.funnel`` gives them."""
    pairs: Pairs = field(default_factory=Pairs)
    verb_nouns: Sequence[VerbNouns] = ()
    clusters: Mapping[str, DedupReport | str] = field(default_factory=dict)
    """By table: the report, or why there is none."""
    scores: Sequence[Score] = ()
    efforts: Sequence[Effort] = ()
    currency: str = ""
    """Of their cost; "" where it is not known."""
    pair_samples: Sequence[Sample] = ()
    rejection_samples: Sequence[Sample] = ()
    planned: Sequence[Table] = ()
    """What was planned beside what was done."""
    other_thresholds: Sequence[Table] = ()
    """What other thresholds would change."""
    changed_samples: Sequence[Sample] = ()
    """Rows that would change sides; ``group`` is what is changed, and the side."""
    reviews: Sequence[Table] = ()
    parameters: Sequence[Table] = ()
