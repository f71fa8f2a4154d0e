"""``backprompt report``: what a lake holds and how it came about, as one HTML file."""

from __future__ import annotations

import json
import platform
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from jobs.commands import clusters, explore
from jobs.commands.funnel import funnel
from jobs.explore.cuts import Cut
from jobs.report import measures
from jobs.report.data import Effort, Pairs, ReportData, Sample, Score, Table, VerbNouns
from jobs.report.page import render
from jobs.review.results import summary
from jobs.runtime import comparison, costs, ledger, planning
from jobs.runtime.accounting import tables_in_order
from jobs.runtime.conf import cleaning_lists, language_table
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.recipe import FIRST, LAST, LoadedRecipe
from jobs.runtime.schema import REVIEWS, REVIEWS_TABLE
from jobs.stages.dedup import TARGETS
from jobs.stages.dedup_report import DedupReport
from udfs.verb_noun import open_parser

_MEASURES: Final = (
    "documents", "characters", "tokens_in", "tokens_out", "characters_in", "characters_out", "seconds", "cost"
)  # fmt: skip
_ENGLISH: Final = "eng_Latn"


@dataclass(frozen=True, slots=True)
class Options:
    """How much a report looks at."""

    samples: int = 3
    """Pairs a language, and rows a reason."""
    seed: int = 0
    """Of all samples."""
    instructions: int = 100_000
    """English instructions whose verbs and nouns are looked for, about."""
    parser: str | None = None
    """A spaCy pipeline that looks for them too; None: by rules alone."""
    recipe: LoadedRecipe | None = None
    """The lake's: the rates of its engines give the cost; None: it is not known."""
    cuts: tuple[Cut, ...] = ()
    """Other thresholds that are looked at."""


def write_report(lake: Lake, output: Path, options: Options, out: Console) -> None:
    """Gather and write a report.

    Raises:
        BackpromptError: if the lake has no tables, or the file cannot be written.
        EngineUnavailable: if a package or the parser is missing.
    """
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise BackpromptError(f"--output {output}: name a file in a folder that is there, such as report.html")
    if options.parser:
        open_parser(options.parser)  # what is missing is said before the lake is read
    page = render(gather(lake, options, out))
    try:
        output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise BackpromptError(f"--output {output} cannot be written: {error.strerror}") from error
    out.print(f"{output}: {len(page.encode()) / 1e6:.1f} MB", markup=False, soft_wrap=True)


def gather(lake: Lake, options: Options, out: Console | None = None) -> ReportData:
    """Return what a report shows of a lake; a table that is not there leaves its part empty.

    Raises:
        BackpromptError: if the lake has no tables, or ``options.recipe`` is not what made them.
    """
    order = tables_in_order(lake)
    if not order:
        raise BackpromptError(f"Lake {lake} has no table {FIRST}: nothing has been run into it yet")
    made_with = lake.properties(order[-1]).get("recipe", "")
    prices, currency = _money(options.recipe, made_with, lake)

    def note(what: str) -> None:
        if out is not None:
            out.print(what, markup=False, style="dim")

    stages = funnel(lake)["stages"] if lake.exists(ledger.TABLE) else []
    pivot = str(lake.settings(order[0]).get("pivot", _ENGLISH))
    pairs = Pairs()
    verbs: list[VerbNouns] = []
    shown: list[Sample] = []
    if LAST in order:
        note("Counting pairs ...")
        table = lake.read(LAST)
        pairs = measures.count_pairs(table)
        shown = measures.sample_pairs(table, pairs.by("language"), pivot, options.seed, options.samples)
        note("Looking for verbs and nouns ...")
        wanted = (None, options.parser) if options.parser else (None,)
        verbs = [
            measures.verbs_and_nouns(table, pivot, options.seed, options.instructions, parser) for parser in wanted
        ]
    scores, rejected = _scores_and_rejections(lake, [name for name in order if name != LAST], pivot, options, note)
    other_thresholds, changed_samples = _other_thresholds(lake, options, pivot, note)
    return ReportData(
        lake=str(lake),
        recipe=made_with,
        made_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        seed=options.seed,
        languages=language_table(),
        funnel=stages,
        pairs=pairs,
        verb_nouns=verbs,
        clusters=dict(_clusters(lake, order, options.seed, note)),
        scores=scores,
        efforts=list(_efforts(lake, stages, prices)) if stages else (),
        currency=currency,
        planned=_planned(lake, prices),
        other_thresholds=other_thresholds,
        changed_samples=changed_samples,
        reviews=_reviews(lake),
        pair_samples=shown,
        rejection_samples=rejected,
        parameters=_parameters(lake, order),
    )


def _other_thresholds(
    lake: Lake, options: Options, pivot: str, note: Callable[[str], None]
) -> tuple[list[Table], list[Sample]]:
    if not options.cuts:
        return [], []
    note("Trying other thresholds ...")
    found = explore.explore(lake, options.cuts, None, options.samples, options.seed, translators=options.recipe)
    samples = [
        measures.changed_sample(f"{cut.name}: rows {side} at {each.stage}", row, pivot)
        for cut in found.cuts
        for each in cut.stages
        for side, rows_of in (("gained", each.gained_sample), ("lost", each.lost_sample))
        for row in rows_of
    ]
    by_cut = [
        (cut.name, each.stage, *_counts(each.alive, each.gained, each.lost, cut.pairs, cut.pairs_lost))
        for cut in found.cuts
        for each in cut.stages
    ]
    by_language = [
        (cut.name, each.stage, cell.language, cell.source, *_counts(cell.alive, cell.gained, cell.lost))
        for cut in found.cuts
        for each in cut.stages
        for cell in each.cells
    ]
    rows = ("rows now", "gained", "lost")
    header = ("thresholds", "stage", *rows, "pairs now", "pairs lost")
    tables = [
        Table("By threshold", header, by_cut, is_text=frozenset({0, 1})),
        Table(
            "By language and source", ("thresholds", "stage", "language", "source", *rows), by_language,
            note="" if by_language else "No row changes sides.", is_text=frozenset({0, 1, 2, 3}),
        ),
    ]  # fmt: skip
    return tables, samples


def _counts(*numbers: int | None) -> tuple[str, ...]:
    return tuple("–" if number is None else f"{number:,}" for number in numbers)


def _reviews(lake: Lake) -> list[Table]:
    if not lake.exists(REVIEWS_TABLE):
        return []
    found, languages = summary(lake.read(REVIEWS_TABLE, REVIEWS)), language_table()
    shown = found.tables(lambda code: f"{languages.get(code).name} ({code})" if code in languages else code)
    tables = [Table(each.title, each.header, each.rows, " ".join(each.notes)) for each in shown]
    if found.unknown:
        rows = [(name,) for name in found.unknown]
        tables.append(Table("Left out, as this version does not know it", ("kind and criterion",), rows))
    return tables


def _scores_and_rejections(
    lake: Lake, order: list[str], pivot: str, options: Options, note: Callable[[str], None]
) -> tuple[list[Score], list[Sample]]:
    scores: list[Score] = []
    samples: list[Sample] = []
    for name in order:
        note(f"Reading scores and reasons of {name} ...")
        rows = lake.read(name)
        found, reasons = measures.measure_scores(rows, name, lake.settings(name), cleaning_lists())
        scores += found
        samples += measures.sample_rejections(rows, name, reasons, pivot, options.seed, options.samples)
    return scores, samples


def _clusters(
    lake: Lake, order: list[str], seed: int, note: Callable[[str], None]
) -> Iterator[tuple[str, DedupReport | str]]:
    for name in TARGETS:
        if name not in order:
            continue
        note(f"Summing up clusters of {name} ...")
        try:
            yield name, clusters.summarise_lake(lake, name, seed=seed)
        except BackpromptError as error:  # of another version: the rest of the report stands
            yield name, str(error)


def _money(recipe: LoadedRecipe | None, made_with: str, lake: Lake) -> tuple[costs.Prices | None, str]:
    """Return the prices of a lake's recipe and their currency; "" where there are none."""
    if recipe is None:
        return None, ""
    if recipe.name != made_with:
        raise BackpromptError(
            f"--recipe {recipe.recipe.path} is the recipe {recipe.name}, and the tables of {lake} were made by "
            f"{made_with}: name the one that has the rates of its engines"
        )
    return costs.prices(recipe), costs.currency(recipe) or ""


def _efforts(lake: Lake, stages: Sequence[Mapping[str, Any]], prices: costs.Prices | None) -> Iterator[Effort]:
    tokens = ledger.tokens_by_stage(lake)
    cost: dict[str, float] = defaultdict(float)
    # Of the tables as they are, as the seconds and tokens beside them: what a rebuild threw away is not in them.
    for stage, entered in comparison.batches(ledger.present(lake)) if prices else ():
        cost[stage] += sum(costs.spent_by_language((prices or {}).get(stage, ()), entered).values())
    for each in stages:
        name = each["stage"]
        prompt, completion = tokens.get(name, (None, None))
        characters = sum(cell["characters"] for cell in each["languages"].values())
        spent = cost[name] if prices and name in prices else None
        yield Effort(name, each["rows_in"], characters, each["seconds"], prompt, completion, spent)


def _planned(lake: Lake, prices: costs.Prices | None) -> list[Table]:
    """Return the newest plan beside what was done since; none if the lake has no plan."""
    if not lake.exists(planning.TABLE):
        return []
    found = comparison.compare_lake(lake, prices)
    rows = []
    for each in found.stages:
        for measure in _MEASURES:
            amount: comparison.Amount = getattr(each, measure)
            if amount.planned is None and amount.actual is None:
                continue
            interval = "–" if amount.low is None or amount.high is None else f"{amount.low:,.4g} – {amount.high:,.4g}"
            error = "–" if amount.error is None else f"{amount.error:+.0%}"
            rows.append(
                (
                    each.stage,
                    measure.replace("_", " "),
                    _number(amount.planned),
                    interval,
                    _number(amount.actual),
                    error,
                )
            )
    unit = f" Money is in {found.currency}." if found.currency else ""
    note = f"Plan {found.plan_id} of {found.created_at:%Y-%m-%d %H:%M}; intervals hold 80 % of what may come.{unit}"
    header = ("stage", "measure", "planned", "interval", "actual", "plan off by")
    return [Table("Planned against actual", header, rows, note, is_text=frozenset({0, 1}))]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}" if 0 < value < 100 and value % 1 else f"{value:,.0f}"


def _parameters(lake: Lake, order: list[str]) -> list[Table]:
    tables = [
        Table(
            "Tables", ("table", "recipe", "fingerprint", "generation", "format", "made from"),
            [
                (name, *(properties.get(key, "–") for key in ("recipe", "fingerprint", "generation", "format_version")),
                 properties.get("upstream", "–"))
                for name in order
                for properties in [lake.properties(name)]
            ],
            is_text=frozenset({0, 1, 2, 5}),
        ),
        Table("Versions", ("package", "version"), list(_versions(lake)), is_text=frozenset({0, 1})),
    ]  # fmt: skip
    for name in order:
        rows = [(key, _written(value)) for key, value in sorted(lake.settings(name).items())]
        if rows:
            tables.append(Table(f"Settings of {name}", ("setting", "value"), rows, is_text=frozenset({0, 1})))
    return tables


def _versions(lake: Lake) -> Iterator[tuple[str, str]]:
    yield "Python", platform.python_version()
    yield "Spark", str(lake.spark.version)
    for package in ("backprompt", "delta-spark", "pyarrow", "altair", "vl-convert-python", "lemminflect"):
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield package, "not installed"


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
