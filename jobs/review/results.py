"""What reviewers said: averages, shares and agreement by language and criterion."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.review.agreement import Agreement, agreement
from jobs.review.guideline import KINDS, Criterion, Kind, load_guideline
from jobs.review.store import latest

AVERAGE: Final = "average"
"""Stands for a language in the rows that average over languages."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was said of one criterion, in one language or on average."""

    kind: Kind
    compared_with: str | None
    """Of a comparison: where the other pairs are from."""
    language: str
    """GlotLID code; ``average``: each language counts the same, as in MURI's table 2."""
    criterion: str
    pairs: int
    reviewers: int
    marks: int
    mean: float
    """Of the marks' values."""
    shares: Mapping[int, float]
    """Share of the marks by value, 0 to 1; values nobody gave included."""
    alpha: float | None
    """Krippendorff's alpha; of the average, over the pairs of all languages."""
    alpha_reason: str
    """Why alpha is not defined; "" where it is."""


@dataclass(frozen=True, slots=True)
class ShownTable:
    """A table for a person; the first column has languages."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Summary:
    """All results; none where nobody has marked anything."""

    results: tuple[Result, ...]
    """By kind, what was compared with, language and criterion, the average after the languages."""
    unknown: tuple[str, ...] = ()
    """Kinds and criteria in the table that this version does not know; they are left out."""

    def figures(self) -> list[dict[str, Any]]:
        """Return the figures of the papers' tables, a row a language.

        Each with kind, compared_with, language, pairs, reviewers, and ``figures``: by label the mean, or the share of
        a point, and ``alpha``: by criterion, with None where it is not defined.
        """
        rows: dict[tuple[str, str | None, str], dict[str, Any]] = {}
        for each in self.results:
            row = rows.setdefault(
                (each.kind, each.compared_with, each.language),
                {
                    "kind": each.kind, "compared_with": each.compared_with, "language": each.language, "pairs": 0,
                    "reviewers": 0, "figures": {}, "alpha": {},
                },
            )  # fmt: skip
            row["pairs"], row["reviewers"] = max(row["pairs"], each.pairs), max(row["reviewers"], each.reviewers)
            for figure in _criteria(each.kind)[each.criterion].figures:
                value = each.mean if figure.share_of is None else each.shares[figure.share_of]
                row["figures"][figure.label] = value
            row["alpha"][each.criterion] = each.alpha
        return list(rows.values())

    def tables(self, name_of: Callable[[str], str] = str) -> list[ShownTable]:
        """Return what a person is shown: of each kind of review its figures, and the agreement on them.

        Args:
            name_of: what a language, or ``average``, is called.
        """
        rows = [{**row, "language": name_of(row["language"])} for row in self.figures()]
        shown = []
        for kind, compared_with in dict.fromkeys((row["kind"], row["compared_with"]) for row in rows):
            of_kind = [row for row in rows if (row["kind"], row["compared_with"]) == (kind, compared_with)]
            title = f"{kind}, compared with {compared_with}" if compared_with else kind
            own = [each for each in self.results if (each.kind, each.compared_with) == (kind, compared_with)]
            shown.append(_shown(title, of_kind, "figures", ()))
            notes = _without_alpha(own, name_of)
            shown.append(_shown(f"{title}: agreement (Krippendorff's alpha)", of_kind, "alpha", notes))
        return shown

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON takes it."""
        return {
            "results": [
                {**asdict(each), "shares": {str(value): share for value, share in each.shares.items()}}
                for each in self.results
            ],
            "figures": self.figures(),
            "unknown": list(self.unknown),
        }


def summary(reviews: DataFrame) -> Summary:
    """Sum reviews up; of what a reviewer said of a pair, the latest counts.

    What comes to the driver is a row for each different set of marks that pairs got, not a row a pair.

    Args:
        reviews: columns of REVIEWS.
    """
    marks = latest(reviews).select(
        "kind", "compared_with", "language", "reviewer", "pair_id", "shown_hash",
        F.explode("marks").alias("criterion", "mark"),
    )  # fmt: skip
    group = ["kind", "compared_with", "language", "criterion"]
    patterns = (
        marks.groupBy(*group, "pair_id", "shown_hash")
        .agg(F.array_sort(F.collect_list("mark")).alias("marks"))
        .groupBy(*group, "marks")
        .agg(F.count("*").alias("pairs"))
        .collect()
    )
    people = {
        tuple(row[name] for name in group): (row["reviewers"], row["names"])
        for row in marks.groupBy(*group)
        .agg(F.count_distinct("reviewer").alias("reviewers"), F.collect_set("reviewer").alias("names"))
        .collect()
    }
    units: dict[tuple[Kind, str | None, str, str], Counter[tuple[int, ...]]] = defaultdict(Counter)
    unknown: set[str] = set()
    for row in patterns:
        if row["kind"] not in KINDS or row["criterion"] not in _criteria(row["kind"]):
            unknown.add(f"{row['kind']}.{row['criterion']}")
        elif not set(row["marks"]) <= set(_criteria(row["kind"])[row["criterion"]].values):
            unknown.add(f"{row['kind']}.{row['criterion']}: a value outside of the scale")
        else:
            units[row["kind"], row["compared_with"], row["language"], row["criterion"]][tuple(row["marks"])] += row[
                "pairs"
            ]
    results = [_of_language(key, counts, people[key][0]) for key, counts in units.items()]
    by_criterion: dict[tuple[Any, ...], list[Result]] = defaultdict(list)
    for each in results:
        by_criterion[each.kind, each.compared_with, each.criterion].append(each)
    for (kind, compared_with, criterion), found in by_criterion.items():
        keys = [(kind, compared_with, each.language, criterion) for each in found]
        names = {name for key in keys for name in people[key][1]}
        results.append(_average(found, sum((units[key] for key in keys), Counter()), len(names)))
    return Summary(tuple(sorted(results, key=_order)), tuple(sorted(unknown)))


def _of_language(
    key: tuple[Kind, str | None, str, str],
    units: Mapping[tuple[int, ...], int],
    reviewers: int,
) -> Result:
    kind, compared_with, language, name = key
    criterion = _criteria(kind)[name]
    given: Counter[int] = Counter()
    for marks, pairs in units.items():
        for mark in marks:
            given[mark] += pairs
    total = given.total()
    found = agreement(units, criterion.values, criterion.level)
    return Result(
        kind, compared_with, language, name,
        pairs=sum(units.values()),
        reviewers=reviewers,
        marks=total,
        mean=sum(mark * count for mark, count in given.items()) / total,
        shares={value: given[value] / total for value in criterion.values},
        alpha=found.alpha,
        alpha_reason=_reason(found, reviewers),
    )  # fmt: skip


def _average(results: list[Result], units: Mapping[tuple[int, ...], int], reviewers: int) -> Result:
    first = results[0]
    criterion = _criteria(first.kind)[first.criterion]
    found = agreement(units, criterion.values, criterion.level)
    return Result(
        first.kind, first.compared_with, AVERAGE, first.criterion,
        pairs=sum(each.pairs for each in results),
        reviewers=reviewers,
        marks=sum(each.marks for each in results),
        mean=fmean(each.mean for each in results),
        shares={value: fmean(each.shares[value] for each in results) for value in criterion.values},
        alpha=found.alpha,
        alpha_reason=_reason(found, reviewers),
    )  # fmt: skip


def _reason(found: Agreement, reviewers: int) -> str:
    return "not defined: one reviewer alone" if found.reason and reviewers < 2 else found.reason


def _without_alpha(results: Sequence[Result], name_of: Callable[[str], str]) -> list[str]:
    """Return a sentence a reason, with its languages; with criteria where a language has alpha for others."""
    criteria = Counter(each.language for each in results)
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for each in results:
        if each.alpha_reason:
            found[each.alpha_reason][each.language].append(each.criterion.replace("_", " "))
    notes = []
    for reason, languages in sorted(found.items()):
        listed = [
            name_of(language) + ("" if len(names) == criteria[language] else f" ({', '.join(names)})")
            for language, names in languages.items()
        ]
        notes.append(f"{reason[:1].upper()}{reason[1:]}: {', '.join(listed)}.")
    return notes


def _criteria(kind: Kind) -> dict[str, Criterion]:
    return {each.name: each for each in load_guideline(kind).criteria}


def _order(result: Result) -> tuple[int, str, bool, str, int]:
    names: Iterable[str] = _criteria(result.kind)
    return (
        KINDS.index(result.kind),
        result.compared_with or "",
        result.language == AVERAGE,
        result.language,
        list(names).index(result.criterion),
    )


def _shown(title: str, rows: Sequence[Mapping[str, Any]], field: str, notes: Sequence[str]) -> ShownTable:
    labels = list(dict.fromkeys(label for row in rows for label in row[field]))
    header = ["language", *(label.replace("_", " ") for label in labels), "pairs", "reviewers"]
    cells = [
        [
            row["language"],
            *("-" if row[field].get(label) is None else f"{row[field][label]:.2f}" for label in labels),
            f"{row['pairs']:,}",
            f"{row['reviewers']:,}",
        ]
        for row in rows
    ]
    return ShownTable(title, header, cells, notes)
