"""What all documents would take, concluded from what a few of them took; numbers alone, no Spark.

Documents and characters of the corpora are known by source and language (a stratum). What a sample cannot be spared for
are ratios: which share a stage keeps, and how much an engine reads and writes. They are estimated stage by stage, each
from the documents that reached the stage, and multiplied along the way.

A stratum's own documents count, and a few that are taken to be like the rest of its language, and these like all
(``_LIKE_THE_REST`` of them; shrinkage towards the mean, as small-area estimation does). Amounts are taken per character
or per document, whichever fits the sample better: a translation grows with its text, an instruction does not.

Intervals are Bayesian bootstrap (Rubin 1981, "The Bayesian Bootstrap"): all is computed again with random weights on
the sampled documents, weighted less the more of a stratum was sampled (finite population), and the middle
``INTERVAL`` of the results is given. They tell what the sample leaves open, and nothing else: not that the rest of a
corpus differs from the files that were read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

INTERVAL: Final = 0.8
REPLICATES: Final = 200
_LIKE_THE_REST: Final = 2.0
_HOUR_SECONDS: Final = 3_600

CHARACTERS: Final = "characters"
TOKENS: Final = "tokens"

Array: TypeAlias = NDArray[np.float64]
Price: TypeAlias = Callable[[Any, Any, Any], Any]
"""Units read, units written, hours of engines -> money; arithmetic that works on arrays."""
Basis: TypeAlias = Literal["sampled", "counted", "stated", "assumed"]


@dataclass(frozen=True, slots=True)
class Stratum:
    """Documents of one source and language."""

    source: str
    language: str
    documents: float
    characters: float
    """Of their texts, Unicode code points."""
    holds_pairs: bool = False
    """Whether they bring their instruction, and pass the stages that others go through."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one stage did with one document."""

    source: str
    language: str
    is_alive: bool
    characters_in: int
    """Of the text that came in."""
    characters_out: int
    """Of the text that the stage left of it."""
    units_in: int
    units_out: int


@dataclass(frozen=True, slots=True)
class Sampled:
    """A stage that documents of the sample went through."""

    observations: Sequence[Observation]
    unit: str = CHARACTERS
    """What ``units_in`` and ``units_out`` count: ``tokens``, or ``characters`` where the engine counts no tokens."""
    per_second: float | None = None
    """Units a second of one engine, in and out."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A stage of which all documents that were read tell what it keeps, as they show which repeat each other."""

    kept: Mapping[tuple[str, str], tuple[float, float]]
    """Share of documents that stay, and share of characters that stays, by source and language."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A stage that the recipe tells of, or nobody."""

    kept: float | None = None
    """Share of documents; None: all."""
    units_in: float | None = None
    """By document; None: not known."""
    units_out: float | None = None
    unit: str = TOKENS
    per_second: float | None = None


Known: TypeAlias = Sampled | Counted | Stated


@dataclass(frozen=True, slots=True)
class Range:
    """A number, and the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one stage would take in and do, for one source and language or for several."""

    stage: str
    source: str | None
    """None: all sources."""
    language: str | None
    """None: all languages."""
    documents: Range
    """That come in."""
    kept: Range
    """Documents that leave it alive."""
    characters: Range
    """Of the texts that come in."""
    unit: str | None
    """What is counted below; None where nothing is known of the engine's work, or there is none."""
    units_in: Range | None
    units_out: Range | None
    hours: Range | None
    """Of one engine; None where its speed is not known."""
    money: Range | None
    """None where the recipe names no price, or what is priced is not known."""
    basis: Basis
    observed: int
    """Documents of the sample that it rests on."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would take."""

    rows: tuple[Forecast, ...]
    """By stage, source and language."""
    languages: tuple[Forecast, ...]
    """By stage and language."""
    stages: tuple[Forecast, ...]
    """By stage."""
    money: Range | None
    """Of all stages together."""
    hours: Range | None


def forecast(
    order: Sequence[str],
    strata: Sequence[Stratum],
    known: Mapping[str, Known],
    *,
    waiting: Mapping[str, Sequence[Stratum]] | None = None,
    uncovered: Mapping[str, Collection[str]] | None = None,
    passed: Collection[str] = (),
    prices: Mapping[str, Price] | None = None,
    seed: int = 0,
) -> Plan:
    """Return what every stage would take in and do.

    Args:
        order: names of the stages that documents go through, in order.
        strata: documents that come in at the first stage.
        known: what is known of stages; one that is missing is taken to keep everything.
        waiting: documents that a lake holds, by the stage that they wait for.
        uncovered: languages by stage that its engine does not cover: rejected there, at no cost.
        passed: stages that rows which hold their instruction pass untouched.
        prices: by stage; none for one that costs nothing.
        seed: of the intervals.
    """
    if not strata and not any((waiting or {}).values()):
        return Plan((), (), (), None, None)
    chain = _Chain(strata, waiting or {}, seed)
    found: list[_StageArrays] = []
    for stage in order:
        chain.arrive((waiting or {}).get(stage, ()))
        gone = frozenset((uncovered or {}).get(stage, ()))
        found.append(chain.through(stage, known.get(stage, Stated()), gone, stage in passed, (prices or {}).get(stage)))
    money, hours = (
        [each for stage in found if (each := getattr(stage, name)) is not None] for name in ("money", "hours")
    )
    return Plan(
        rows=tuple(row for stage in found for row in chain.rows(stage, by=("source", "language"))),
        languages=tuple(row for stage in found for row in chain.rows(stage, by=("language",))),
        stages=tuple(row for stage in found for row in chain.rows(stage, by=())),
        money=_range(sum(each.sum(axis=1) for each in money)) if money else None,
        hours=_range(sum(each.sum(axis=1) for each in hours)) if hours else None,
    )


@dataclass(frozen=True, slots=True)
class _StageArrays:
    """A stage's numbers: a row for the estimate and one for each replicate, a column for each stratum."""

    name: str
    documents: Array
    kept: Array
    characters: Array
    unit: str | None
    units_in: Array | None
    units_out: Array | None
    hours: Array | None
    money: Array | None
    basis: Basis
    observed: Array
    """By stratum."""


class _Chain:
    """Documents and characters on their way, by replicate and stratum."""

    def __init__(self, strata: Sequence[Stratum], waiting: Mapping[str, Sequence[Stratum]], seed: int) -> None:
        everything = [*strata, *(each for rows in waiting.values() for each in rows)]
        self.keys = sorted({(each.holds_pairs, each.language, each.source) for each in everything})
        self._place = {key: at for at, key in enumerate(self.keys)}
        self._random = np.random.default_rng(seed)
        # Strata by what they are taken to be like, the widest first.
        self._levels = [
            _numbered([0 for _ in self.keys]),
            _numbered([pairs for pairs, _, _ in self.keys]),
            _numbered([(pairs, language) for pairs, language, _ in self.keys]),
            _numbered(self.keys),
        ]
        self._holds_pairs = np.array([pairs for pairs, _, _ in self.keys], dtype=bool)
        shape = (REPLICATES + 1, len(self.keys))
        self._documents, self._characters = np.zeros(shape), np.zeros(shape)
        self.arrive(strata)

    def arrive(self, strata: Sequence[Stratum]) -> None:
        for each in strata:
            at = self._place[each.holds_pairs, each.language, each.source]
            self._documents[:, at] += each.documents
            self._characters[:, at] += each.characters

    def through(
        self, stage: str, known: Known, uncovered: frozenset[str], are_pairs_passed: bool, price: Price | None
    ) -> _StageArrays:
        """Lead the documents through a stage; what it takes in and does."""
        documents, characters = self._documents, self._characters
        idle = np.array([language in uncovered for _, language, _ in self.keys], dtype=bool)
        passing = self._holds_pairs if are_pairs_passed else np.zeros(len(self.keys), dtype=bool)
        idle &= ~passing
        observed = np.zeros(len(self.keys))
        unit: str | None
        unit = None
        units_in: Array | None = None
        units_out: Array | None = None
        basis: Basis = "assumed"
        if isinstance(known, Sampled):  # those that the engine had no work with say nothing of the others
            known = replace(known, observations=[each for each in known.observations if each.language not in uncovered])
        match known:
            case Sampled(observations=observations) if observations:
                basis = "sampled"
                unit = known.unit
                sample = _Sample(observations, self, documents[0])
                observed = sample.observed
                shares = sample.ratio(sample.alive, sample.ones, np.ones(len(self.keys)))
                each = _divided(characters[0], documents[0])
                remaining = sample.ratio(sample.characters_out * sample.alive, sample.characters_in, each)
                units_in, units_out = (
                    sample.amount(units, documents, characters) for units in (sample.units_in, sample.units_out)
                )
            case Counted(kept=kept):
                basis = "counted"
                whole = [kept.get((source, language), (1.0, 1.0)) for _, language, source in self.keys]
                shares, remaining = (np.array(side)[None, :] for side in zip(*whole, strict=True))
            case Stated(kept=share):
                basis = "assumed" if known == Stated() else "stated"
                shares = remaining = np.full((1, len(self.keys)), 1.0 if share is None else share)
                if known.units_in is not None and known.units_out is not None:
                    unit = known.unit
                    units_in, units_out = documents * known.units_in, documents * known.units_out
            case _:
                shares = remaining = np.ones((1, len(self.keys)))
        shares, remaining = (np.where(passing, 1.0, np.where(idle, 0.0, side)) for side in (shares, remaining))
        kept_documents = documents * shares
        works = ~(idle | passing)
        hours = money = None
        if units_in is not None and units_out is not None:
            units_in, units_out = units_in * works, units_out * works
            if known_speed := getattr(known, "per_second", None):
                hours = (units_in + units_out) / known_speed / _HOUR_SECONDS
            if price is not None:
                priced = price(units_in, units_out, hours)
                money = None if priced is None else np.asarray(priced, dtype=np.float64)
        self._documents, self._characters = kept_documents, characters * remaining
        return _StageArrays(
            stage, documents, kept_documents, characters, unit, units_in, units_out, hours, money, basis, observed
        )

    def rows(self, stage: _StageArrays, by: tuple[str, ...]) -> Iterator[Forecast]:
        """Yield a stage's numbers, summed over what ``by`` does not name; those without a document are left out."""
        groups: dict[tuple[str | None, str | None], list[int]] = {}
        for at, (_, language, source) in enumerate(self.keys):
            name = (source if "source" in by else None, language if "language" in by else None)
            groups.setdefault(name, []).append(at)
        for (of_source, of_language), places in groups.items():
            if not stage.documents[:, places].any():
                continue

            def summed(values: Array | None, places: list[int] = places) -> Range | None:
                return None if values is None else _range(values[:, places].sum(axis=1))

            yield Forecast(
                stage.name,
                of_source,
                of_language,
                _range(stage.documents[:, places].sum(axis=1)),
                _range(stage.kept[:, places].sum(axis=1)),
                _range(stage.characters[:, places].sum(axis=1)),
                stage.unit,
                summed(stage.units_in),
                summed(stage.units_out),
                summed(stage.hours),
                summed(stage.money),
                stage.basis,
                int(stage.observed[places].sum()),
            )

    def place(self, source: str, language: str) -> int | None:
        """Return the stratum of a document; None for one of a language or source that nothing comes from."""
        for pairs in (False, True):
            if (at := self._place.get((pairs, language, source))) is not None:
                return at
        return None

    def levels(self) -> list[tuple[NDArray[np.int64], int]]:
        """Return each stratum's group by level, the widest level first, and how many groups there are."""
        return self._levels

    def weights(self, places: NDArray[np.int64], sampled_share: Array) -> Array:
        """Return weights of documents by replicate; the first row is the estimate's own: 1 each."""
        drawn = self._random.standard_exponential((REPLICATES, len(places)))
        open_share = np.sqrt(1 - np.where(places < 0, 0.0, sampled_share[places]))
        return np.vstack([np.ones(len(places)), 1 + open_share * (drawn - 1)])


class _Sample:
    """The documents of a sample that reached a stage, and the ratios that they show."""

    def __init__(self, observations: Sequence[Observation], chain: _Chain, documents: Array) -> None:
        places = [chain.place(each.source, each.language) for each in observations]
        self._places = np.array([-1 if at is None else at for at in places], dtype=np.int64)
        self._levels = chain.levels()
        self.alive, self.characters_in, self.characters_out, self.units_in, self.units_out = (
            np.array([float(getattr(each, name)) for each in observations])
            for name in ("is_alive", "characters_in", "characters_out", "units_in", "units_out")
        )
        self.ones = np.ones(len(observations))
        inside = self._places[self._places >= 0]
        self.observed = np.bincount(inside, minlength=len(documents)).astype(np.float64)
        self._sampled_share = np.minimum(1.0, _divided(self.observed, documents))
        self._weights = chain.weights(self._places, self._sampled_share)

    def ratio(self, upper: Array, lower: Array, typical: Array) -> Array:
        """Return sum of ``upper`` / sum of ``lower``, by replicate and stratum, narrower levels leaning on wider ones.

        Args:
            upper: by document.
            lower: by document.
            typical: what one more document adds to the lower sum, by stratum.
        """
        weighted_upper, weighted_lower = self._weights * upper, self._weights * lower
        # Documents of strata that nothing comes from say something of the rest, too.
        found = _divided(weighted_upper.sum(axis=1), weighted_lower.sum(axis=1))[:, None] * np.ones(len(typical))
        inside = self._places >= 0
        for groups, number in self._levels[1:]:
            own = groups[self._places[inside]]
            above, below = (_sums(each[:, inside], own, number) for each in (weighted_upper, weighted_lower))
            is_narrowest = number == len(self._sampled_share)
            leaning = _LIKE_THE_REST * (1 - self._sampled_share if is_narrowest else 1.0) * typical
            found = _divided(
                above[:, groups] + leaning * found, below[:, groups] + leaning, otherwise=found * np.ones(len(typical))
            )
        return found

    def amount(self, units: Array, documents: Array, characters: Array) -> Array:
        """Return units by replicate and stratum, per document or per character: what fits the sample better."""
        per_character = units.sum() / max(1.0, self.characters_in.sum())
        by_character = np.square(units - per_character * self.characters_in).sum()
        by_document = np.square(units - units.mean()).sum()
        if by_character < by_document:
            each = _divided(characters[0], documents[0])
            return self.ratio(units, self.characters_in, each) * characters
        return self.ratio(units, self.ones, np.ones(documents.shape[1])) * documents


def _numbered(names: Sequence[Any]) -> tuple[NDArray[np.int64], int]:
    numbers = {name: at for at, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64), len(numbers)


def _sums(values: Array, groups: NDArray[np.int64], number: int) -> Array:
    """Sum columns by group."""
    summed = np.zeros((values.shape[0], number))
    if values.shape[1]:
        order = np.argsort(groups, kind="stable")
        first = np.flatnonzero(np.r_[True, np.diff(groups[order]) > 0])
        summed[:, groups[order][first]] = np.add.reduceat(values[:, order], first, axis=1)
    return summed


def _divided(upper: Array, lower: Array, otherwise: Any = 0.0) -> Array:
    return np.where(lower > 0, upper / np.where(lower > 0, lower, 1.0), otherwise)


def _range(values: Array) -> Range:
    tail = (1 - INTERVAL) / 2
    low, high = np.quantile(values[1:], [tail, 1 - tail])
    # The estimate itself may lie outside where a few documents weigh much.
    value = float(values[0])
    return Range(value, min(float(low), value), max(float(high), value))
