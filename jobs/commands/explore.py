"""``backprompt explore``: other thresholds on the scores that a lake holds, without running a model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import reduce
from typing import Any, Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.explore.cuts import IDENTIFIER, Cut, changed, depends_on_more, differences, made_with
from jobs.explore.data import Cost, CutResult, Exploration, Overview, PairCell, SampleRow, ScoreLine, StageChange
from jobs.explore.overview import has_scores, overview
from jobs.explore.recipes import cost
from jobs.explore.recut import Recut, Variant, asks_identifier, lost_pairs, missing_columns
from jobs.runtime import ledger
from jobs.runtime.accounting import tables_in_order
from jobs.runtime.conf import cleaning_lists, language_table
from jobs.runtime.console import print_block
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.reasons import meaning
from jobs.runtime.recipe import FIRST, LAST, LoadedRecipe
from jobs.stages import STAGES
from jobs.stages.base import Resources
from udfs.identifiers.glotlid import GlotLidSettings

_LINES_SHOWN: Final = 20


def scores(lake: Lake) -> Overview:
    """Return every score of a lake's tables; one pass a table.

    Raises:
        BackpromptError: if the lake has none of the tables with scores.
    """
    lines: list[ScoreLine] = []
    missing: list[str] = []
    for stage in STAGES:
        if has_scores(stage) and lake.exists(stage):
            lines += overview(lake.read(stage), stage, lake.settings(stage), cleaning_lists())
        elif has_scores(stage):
            missing.append(stage)
    if not lines:
        raise BackpromptError(f"Lake {lake} has no table with scores, only 'backprompt run' makes them.")
    return Overview(str(lake), lines, missing)


def explore(
    lake: Lake,
    cuts: Sequence[Cut],
    recipe: LoadedRecipe | None = None,
    sample: int = 3,
    seed: int | None = None,
    translators: LoadedRecipe | None = None,
) -> Exploration:
    """Return what cuts would change in a lake.

    Args:
        lake: its tables are read, nothing is written.
        cuts: what to look at; with a recipe that differs from the lake's tables, on top of what differs.
        recipe: a recipe of the same name as the lake's.
        sample: rows shown of those that each cut gains, and of those that it loses.
        seed: of their drawing; None: the lake's own.
        translators: a recipe that tells the languages of its translators, where ``recipe`` is not given.

    Raises:
        BackpromptError: if a cut cannot be looked at in this lake.
        udfs.engines.EngineUnavailable: if an instruction's language is to be judged again and the languages of the
            recipe's translators are not known without them.
    """
    order = tables_in_order(lake)
    documents = lake.settings(FIRST)
    name = lake.properties(FIRST)["recipe"]
    notes: list[str] = []
    if recipe is not None:
        cuts, notes = _with_recipe(lake, order, cuts, recipe, name)
    if not cuts:
        raise BackpromptError(
            f"Recipe {name} asks for nothing that the tables of {lake} were not made with: name a threshold with --set "
            "or --sweep"
        )
    seed = int(documents.get("seed", 0)) if seed is None else seed
    recuts = {
        stage: _recut(lake, stage, cuts, recipe or translators, str(documents.get("pivot", "")))
        for stage in STAGES
        if any(cut.of(stage) for cut in cuts)
    }
    for stage in recuts:
        version = lake.settings(stage).get("version")
        if version != STAGES[stage].version:
            notes.append(
                f"Table {stage} was made by version {version} of its stage, this is {STAGES[stage].version}: a run "
                "also applies what has changed since."
            )
    found: dict[tuple[str, int], StageChange] = {}
    for stage, (recut, numbers) in recuts.items():
        for number, change in zip(numbers, recut.changes(lake.read(stage), sample, seed), strict=True):
            found[stage, number] = change
    pairs, lost = _pairs(lake, recuts)
    rows_in = _rows_in(lake)
    results = [
        CutResult(
            name=str(cut),
            stages=[found[stage, number] for stage in recuts if (stage, number) in found],
            pairs=sum(pairs.values()) if pairs is not None else None,
            pairs_lost=sum(lost.get(number, {}).values()) if pairs is not None else None,
            pair_cells=[PairCell(*key, (pairs or {})[key], rows) for key, rows in sorted(lost.get(number, {}).items())],
        )
        for number, cut in enumerate(cuts)
    ]
    return Exploration(str(lake), name, seed, results, [cost(order, cut, recipe, rows_in) for cut in cuts], notes)


def _rows_in(lake: Lake) -> dict[str, int]:
    """Return the rows that each stage has taken in, in the present life of its table."""
    # Not checked against the schema: a lake of an older version tells of them too.
    lives = lake.read(ledger.TABLE).groupBy("stage", "generation").agg(F.sum("rows_in").alias("rows_in"))
    return {row["stage"]: row["rows_in"] for row in lives.orderBy("generation").collect()}


def as_json(found: Overview | Exploration) -> str:
    """Return what was found as JSON."""
    return json.dumps(asdict(found), ensure_ascii=False, indent=2)


def _with_recipe(
    lake: Lake, order: Sequence[str], cuts: Sequence[Cut], recipe: LoadedRecipe, name: str
) -> tuple[list[Cut], list[str]]:
    """Return cuts with what a recipe changes put in, and notes on what it changes beside."""
    if recipe.name != name:
        raise BackpromptError(f"Lake {lake} holds the tables of recipe {name}, not of {recipe.name}: name that recipe")
    notes, own = [], []
    for stage in order[1:]:
        if stage not in recipe.order:
            notes.append(f"The recipe has no stage {stage}, which the lake has a table of.")
            continue
        changes, others = differences(lake.settings(stage), recipe.decisive(stage), stage)
        own += changes
        if others:
            notes.append(
                f"The recipe also changes {', '.join(f'{stage}.{each}' for each in others)}: what that does only a run "
                "can tell."
            )
    if not cuts:
        return ([Cut(tuple(own))] if own else []), notes
    merged = []
    for cut in cuts:
        named = {(each.stage, each.setting) for each in cut.changes}
        merged.append(Cut((*(each for each in own if (each.stage, each.setting) not in named), *cut.changes)))
    return merged, notes


def _recut(
    lake: Lake, stage: str, cuts: Sequence[Cut], recipe: LoadedRecipe | None, pivot: str
) -> tuple[Recut, list[int]]:
    """Return a stage's variants, and the number of the cut that each belongs to."""
    numbers = [number for number, cut in enumerate(cuts) if cut.of(stage)]
    changes = [each for number in numbers for each in cuts[number].of(stage)]
    if not lake.exists(stage):
        raise BackpromptError(
            f"{changes[0]}: {lake} has no table {stage}, so there are no scores to look at. It is made by 'backprompt "
            "run' with a recipe that has this stage"
        )
    lacking = missing_columns(stage, changes, lake.read(stage).columns)
    if lacking:
        listed = "; ".join(f"{setting} decides by {', '.join(names)}" for setting, names in lacking.items())
        raise BackpromptError(
            f"Table {stage} of {lake} does not hold the scores that are asked for, as it was made by an older version: "
            f"{listed}. Run with --rebuild {stage} to score its rows"
        )
    before = made_with(stage, lake.settings(stage))
    reason = depends_on_more(before, changes)
    if reason:
        raise BackpromptError(f"{changes[0]}: {reason}")
    variants = tuple(
        Variant(changed(before, stage, cuts[number].of(stage)), cuts[number].of(stage)) for number in numbers
    )
    resources = Resources(language_table(), pivot, seed=0, cleaning=cleaning_lists())
    if stage == "screen" and asks_identifier(changes) and isinstance(getattr(before, IDENTIFIER), GlotLidSettings):
        if recipe is None:
            raise BackpromptError(
                f"{changes[0]}: GlotLID compared an instruction with the languages that the recipe's translators "
                "write: name the recipe with --recipe"
            )
        resources = replace(resources, candidates=recipe.resources().candidates)
    return Recut(STAGES[stage], before, variants, resources), numbers


def _pairs(
    lake: Lake, recuts: Mapping[str, tuple[Recut, list[int]]]
) -> tuple[dict[tuple[str, str], int] | None, dict[int, dict[tuple[str, str], int]]]:
    """Return the pairs by language and source, and those that each cut loses; None if the lake has no pairs."""
    if not lake.exists(LAST):
        return None, {}
    table = lake.read(LAST)
    pairs = {
        (row["language"], row["source"]): row["count"] for row in table.groupBy("language", "source").count().collect()
    }
    parts = [_lost(recut, lake.read(stage), numbers) for stage, (recut, numbers) in recuts.items()]
    lost: dict[int, dict[tuple[str, str], int]] = {}
    for row in lost_pairs(table, reduce(DataFrame.unionByName, parts)).collect():
        lost.setdefault(row["cut"], {})[row["language"], row["source"]] = row["lost"]
    return pairs, lost


def _lost(recut: Recut, rows: DataFrame, numbers: Sequence[int]) -> DataFrame:
    cut = F.element_at(F.array(*map(F.lit, numbers)), F.col("variant") + 1)
    return recut.lost(rows).select(cut.alias("cut"), "doc_id", "revision")


# Printing ---------------------------------------------------------------------------------------------------------


def print_found(out: Console, found: Overview | Exploration) -> None:
    """Print what was found."""
    if isinstance(found, Overview):
        print_scores(out, found)
    else:
        print_exploration(out, found)


def print_scores(out: Console, found: Overview) -> None:
    """Print every score with its spread and its limit."""
    for stage in dict.fromkeys(line.stage for line in found.lines):
        table = _table(
            f"{stage}: scores and limits",
            ("score", "setting"),
            ("limit", "least", "5 %", "median", "95 %", "most", "rows", "beyond", "no score"),
        )
        for line in found.lines:
            if line.stage == stage:
                table.add_row(*map(Text, _score_cells(line)))
        out.print(table)
        out.print()
    if any(line.is_by_language for line in found.lines):
        out.print("* English's; each language has a factor (conf/cleaning/limits.csv).", markup=False)
    if found.missing_tables:
        out.print(f"Not in this lake: {', '.join(found.missing_tables)}.", markup=False)
    out.print("Try others: backprompt explore --lake LAKE --set STAGE.SETTING=VALUE", markup=False)


def _score_cells(line: ScoreLine) -> tuple[str, ...]:
    sign = {"at_least": "min ", "at_most": "max ", "": ""}[line.direction]
    limit = "-" if line.limit is None else f"{sign}{line.limit:g}{'*' if line.is_by_language else ''}"
    if not line.is_stored:
        return (line.score, line.setting or "-", limit, *"-----", "not in this table", "-", "-")
    spread = [f"{line.quantiles[share]:.4g}" if line.quantiles else "-" for share in ("0", "0.05", "0.5", "0.95", "1")]
    beyond = "-" if line.beyond is None else f"{line.beyond:,}"
    return (line.score, line.setting or "-", limit, *spread, f"{line.rows:,}", beyond, f"{line.missing:,}")


def print_exploration(out: Console, found: Exploration) -> None:
    """Print what cuts change: side by side if there are several, with languages and rows for one."""
    for note in found.notes:
        out.print(note, markup=False, soft_wrap=True)
    if len(found.cuts) > 1:
        _print_cuts(out, found.cuts)
    for result, price in zip(found.cuts, found.costs, strict=True):
        if len(found.cuts) > 1:
            out.print(f"\n{result.name}", markup=False, style="bold", soft_wrap=True)
        _print_cut(out, result)
        if price is not None and len(found.cuts) == 1:
            _print_cost(out, price)


def _print_cuts(out: Console, cuts: Iterable[CutResult]) -> None:
    table = _table("Rows by threshold", ("thresholds", "stage"), ("alive", "gained", "lost", "pairs lost"))
    for result in cuts:
        pairs = "-" if result.pairs_lost is None else f"{result.pairs_lost:,}"
        for each in result.stages:
            table.add_row(
                *map(Text, (result.name, each.stage, f"{each.alive:,}", f"{each.gained:,}", f"{each.lost:,}", pairs))
            )
    out.print(table)


def _print_cut(out: Console, result: CutResult) -> None:
    for each in result.stages:
        _print_stage(out, each)
    if result.pairs is None:
        out.print("The lake has no pairs yet.", markup=False)
        return
    out.print(f"Pairs lost: {result.pairs_lost:,} of {result.pairs:,}", markup=False)
    if result.pair_cells:
        table = _table("", ("language", "source"), ("pairs", "lost"))
        cells = sorted(result.pair_cells, key=lambda cell: -cell.lost)
        for cell in cells[:_LINES_SHOWN]:
            table.add_row(*map(Text, (cell.language, cell.source, f"{cell.pairs:,}", f"{cell.lost:,}")))
        out.print(table)
        _print_rest(out, len(cells))


def _print_stage(out: Console, each: StageChange) -> None:
    for setting, (old, new) in each.settings.items():
        out.print(f"{each.stage}.{setting}: {_plain(old)} -> {_plain(new)}", markup=False, style="bold", soft_wrap=True)
    out.print(
        f"{each.rows:,} rows, {each.alive:,} of them alive: {each.gained:,} gained at this stage, {each.lost:,} lost"
        + (f"; {each.still_rejected:,} lose a reason and stay rejected for another" if each.still_rejected else ""),
        markup=False,
        soft_wrap=True,
    )
    for setting, rows in each.missing.items():
        if rows:
            out.print(f"{rows:,} rows have no score for {setting} and stay as they are.", markup=False, soft_wrap=True)
    if each.differing:
        out.print(
            f"{each.differing:,} rows were decided by other rules than these, as by an older version; what the change "
            "does not touch stays in them.",
            markup=False,
            soft_wrap=True,
        )
    if each.gained:
        out.print("What later stages make of the rows gained is not known: they have not seen them.", markup=False)
    if each.cells:
        table = _table("", ("language", "source"), ("alive", "rejected", "gained", "lost"))
        cells = sorted(each.cells, key=lambda cell: (-cell.gained - cell.lost, cell.language, cell.source))
        for cell in cells[:_LINES_SHOWN]:
            numbers = (f"{rows:,}" for rows in (cell.alive, cell.rejected, cell.gained, cell.lost))
            table.add_row(*map(Text, (cell.language, cell.source, *numbers)))
        out.print(table)
        _print_rest(out, len(cells))
    for title, by_reason in (("Gained, by reason", each.gained_by_reason), ("Lost, by reason", each.lost_by_reason)):
        if by_reason:
            table = _table(title, ("reason", "meaning"), ("rows",))
            for reason, rows in sorted(by_reason.items(), key=lambda item: (-item[1], item[0])):
                table.add_row(Text(reason), Text(meaning(reason)), Text(f"{rows:,}"))
            out.print(table)
    for title, rows_of in (("Rows gained", each.gained_sample), ("Rows lost", each.lost_sample)):
        if rows_of:
            out.print(f"\n{title}\n", markup=False, style="bold")
        for row in rows_of:
            _print_row(out, row)


def _print_row(out: Console, row: SampleRow) -> None:
    fields = [(name, " ".join(text.split())) for name, text in row.texts.items()]
    fields += [(setting, "no score" if score is None else f"{score:.4g}") for setting, score in row.scores.items()]
    fields.append(("reasons", ", ".join(row.reasons)))
    print_block(out, f"{row.language}  {row.source}  {row.doc_id}", fields, 300)
    out.print()


def _print_cost(out: Console, price: Cost) -> None:
    rows = price.rows.get(price.rebuild, 0)
    lines = [
        f"To change the lake: run with --rebuild {price.rebuild}. It makes {', '.join(price.stages)} again, from "
        f"{rows:,} rows; the tables before stay."
    ]
    if price.cached:
        lines.append(
            f"Cached translations serve again ({', '.join(price.cached)}): only texts that were not translated before "
            "go to the engine."
        )
    if price.engines:
        lines.append(f"Asked for every row again: the engines of {', '.join(price.engines)}.")
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)


def _print_rest(out: Console, lines: int) -> None:
    if lines > _LINES_SHOWN:
        out.print(f"and {lines - _LINES_SHOWN} more: --json has all", markup=False)


def _table(title: str, left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right")
    return table


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
