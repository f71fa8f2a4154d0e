"""``backprompt plan``: what a run would take; and how a plan compares with what was done."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from jobs.runtime.comparison import Amount, Compared, Comparison
from jobs.runtime.console import duration
from jobs.runtime.forecast import CHARACTERS, INTERVAL, TOKENS, Forecast, Range
from jobs.runtime.planning import Planned

_LANGUAGES_SHOWN: Final = 30


def as_json(planned: Planned) -> str:
    """Return a plan as JSON."""
    plan = planned.plan
    values: dict[str, Any] = {
        "plan_id": planned.plan_id,
        "recipe": planned.recipe.name,
        "created_at": planned.created_at.isoformat(),
        "interval": INTERVAL,
        "sampled_documents": planned.sampled,
        "tried_documents": len(planned.trial.documents) if planned.trial else 0,
        "counted": planned.counted,
        "projected": planned.projected,
        "unmeasured": planned.unmeasured,
        "currency": planned.currency,
        "cost": asdict(plan.money) if plan.money else None,
        "cost_without": planned.unpriced,
        "engine_hours": asdict(plan.hours) if plan.hours else None,
        "stages": [_row(each) for each in plan.stages],
        "languages": [_row(each) for each in plan.languages],
        "rows": [_row(each) for each in plan.rows],
    }
    return json.dumps(values, ensure_ascii=False, indent=2)


def _row(row: Forecast) -> dict[str, Any]:
    values = asdict(row)
    renamed = {"kept": "documents_kept", "hours": "engine_hours", "money": "cost", "observed": "sampled_documents"}
    return {renamed.get(name, name): value for name, value in values.items()}


def comparison_as_json(comparison: Comparison) -> str:
    """Return planned against actual as JSON."""
    values = asdict(comparison) | {"created_at": comparison.created_at.isoformat()}
    return json.dumps(values, ensure_ascii=False, indent=2)


def print_planned(out: Console, planned: Planned) -> None:
    """Print a plan, for a person."""
    out.print(f"Plan of recipe {planned.recipe.name}\n", markup=False, style="bold")
    if not planned.plan.stages:
        out.print("Nothing is new in the corpora and nothing waits in the lake: a run has nothing to do.")
        return
    _print_rows(out, planned.plan.stages, planned.currency, "By stage: what comes in")
    last = planned.plan.stages[-1].stage
    by_language = [each for each in planned.plan.languages if each.stage in (planned.recipe.order[0], last)]
    _print_languages(out, by_language, planned)
    plan = planned.plan
    if plan.hours is not None:
        out.print(f"Engines: {_hours(plan.hours)} of one engine", markup=False)
    if plan.money is not None:
        out.print(f"Cost: {_money(plan.money)} {planned.currency}", markup=False)
    for sentence in _basis(planned):
        out.print(sentence, markup=False, soft_wrap=True)


def _print_rows(out: Console, rows: Sequence[Forecast], currency: str | None, title: str) -> None:
    table = Table("stage", box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for heading in ("documents", "characters", "engine reads", "writes"):
        table.add_column(heading, justify="right")
    table.add_column("")
    table.add_column("time", justify="right")
    if currency:
        table.add_column(f"cost, {currency}", justify="right")
    for row in rows:
        cells = [
            row.stage,
            _range(row.documents),
            _range(row.characters),
            "?" if row.unit is None and _has_engine(row) else _range(row.units_in),
            _range(row.units_out),
            {CHARACTERS: "chars", TOKENS: "tokens"}.get(row.unit or "", ""),
            "" if row.hours is None else duration(row.hours.value),
        ]
        table.add_row(*cells, *([] if not currency else ["" if row.money is None else _money(row.money)]))
    out.print(table)


def _has_engine(row: Forecast) -> bool:
    from jobs.stages import STAGES

    return row.stage in STAGES and bool(STAGES[row.stage].engines)


def _print_languages(out: Console, rows: Sequence[Forecast], planned: Planned) -> None:
    first, last = planned.recipe.order[0], planned.recipe.order[-1]
    come = {each.language: each for each in rows if each.stage == first}
    go = {each.language: each for each in rows if each.stage == last}
    order = sorted({*come, *go}, key=lambda code: -(come[code].documents.value if code in come else 0.0))
    if not order:
        return
    table = Table("language", box=box.SIMPLE_HEAD, title="By language", title_justify="left")
    for heading in ("documents", "characters", "pairs"):
        table.add_column(heading, justify="right")
    for code in order[:_LANGUAGES_SHOWN]:
        there, made = come.get(code), go.get(code)
        table.add_row(
            code,
            "" if there is None else f"{there.documents.value:,.0f}",
            "" if there is None else f"{there.characters.value:,.0f}",
            "0" if made is None else _range(made.kept),
        )
    if len(order) > _LANGUAGES_SHOWN:
        table.add_row(f"and {len(order) - _LANGUAGES_SHOWN:,} more: --json has all")
    out.print(table)


def _basis(planned: Planned) -> list[str]:
    """Return what the plan rests on, a sentence a line."""
    lines = []
    tried = len(planned.trial.documents) if planned.trial else 0
    rests = f"It rests on {planned.sampled:,} sampled documents, {tried:,} of which went through engines."
    lines.append(f"{rests} Brackets hold {INTERVAL:.0%} intervals: what the sample leaves open.")
    if planned.counted:
        lines.append(f"All documents were counted in {', '.join(planned.counted)}.")
    if planned.projected:
        lines.append(
            f"Of {', '.join(planned.projected)} one file a language was read, and the rest concluded from the size of "
            "the files; documents that repeat those of other files are not seen. --read-all reads all."
        )
    if planned.unpriced:
        lines.append(
            f"The cost is without {', '.join(planned.unpriced)}, of which nothing tells what it takes: "
            "state 'expected' of the stage."
        )
    lines += [f"Not measured: {stage} ({reason})" for stage, reason in planned.unmeasured.items()]
    assumed = [each.stage for each in planned.plan.stages if each.basis == "assumed" and each.stage != "pairs"]
    if assumed:
        lines.append(f"Taken to keep every document: {', '.join(assumed)}. 'expected' in the recipe says otherwise.")
    if planned.currency is None:
        lines.append("No cost: the recipe states no prices (rates of its engines, see docs/planning.md).")
    return lines


def print_comparison(out: Console, comparison: Comparison) -> None:
    """Print planned against actual, by stage."""
    when = comparison.created_at.isoformat(sep=" ", timespec="minutes")
    out.print(f"Plan {comparison.plan_id} of recipe {comparison.recipe}, {when}", markup=False, style="bold")
    if not any(each.documents.actual for each in comparison.stages):
        out.print("No batch was begun since: there is nothing to compare yet.")
        return
    table = Table("stage", "", box=box.SIMPLE_HEAD, title="Planned against actual", title_justify="left")
    for heading in ("planned", "actual", "off by"):
        table.add_column(heading, justify="right")
    for each in comparison.stages:
        for name, amount, digits in _amounts(each, comparison.currency):
            table.add_row(
                each.stage,
                name,
                "" if amount.planned is None else f"{amount.planned:,.{digits}f}",
                "" if amount.actual is None else f"{amount.actual:,.{digits}f}",
                "" if amount.error is None else f"{amount.error:+.1%}",
            )
    out.print(table)


def _amounts(each: Compared, currency: str | None) -> list[tuple[str, Amount, int]]:
    amounts = [
        ("documents", each.documents, 0),
        ("characters", each.characters, 0),
        ("tokens read", each.tokens_in, 0),
        ("tokens written", each.tokens_out, 0),
        ("characters read", each.characters_in, 0),
        ("characters written", each.characters_out, 0),
        ("seconds", each.seconds, 0),
        (f"cost, {currency}", each.cost, 2),
    ]
    shown = [one for one in amounts if one[1].planned is not None]
    return [one for one in shown if one[1].planned or one[1].actual]


def _range(found: Range | None) -> str:
    if found is None:
        return ""
    value, low, high = (_short(each) for each in (found.value, found.low, found.high))
    return value if low == high else f"{value} [{low}-{high}]"


def _short(number: float) -> str:
    """Return a number in a few characters: 9,999, 12.3k, 4.56M."""
    if abs(round(number)) < 10_000:
        return f"{number:,.0f}"
    for divisor, letter in ((1e3, "k"), (1e6, "M"), (1e9, "G")):
        rounded = f"{number / divisor:.3g}"
        if abs(float(rounded)) < 1_000:
            return rounded + letter
    return f"{number:.3g}"


def _hours(found: Range) -> str:
    low, high = duration(found.low), duration(found.high)
    return duration(found.value) if low == high else f"{duration(found.value)} [{low}-{high}]"


def _money(found: Range) -> str:
    value, low, high = (f"{each:,.2f}" for each in (found.value, found.low, found.high))
    return value if low == high else f"{value} [{low}-{high}]"
