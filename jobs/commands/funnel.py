"""The funnel of a lake: rows by stage and language, reasons, times; as tables for a person or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from jobs.runtime import ledger
from jobs.runtime.ingest import left_out_in_words
from jobs.runtime.lake import Lake
from jobs.runtime.reasons import meaning
from jobs.runtime.recipe import FIRST
from jobs.runtime.schema import PAIRS
from jobs.stages import STAGES
from udfs.generators.template import IS_STAND_IN

_LANGUAGES_SHOWN: Final = 40


def funnel(lake: Lake) -> dict[str, Any]:
    """Return the funnel as plain values: stages in order, each with its languages, reasons, engines and seconds."""
    tallies = ledger.tallies(lake)
    seconds = ledger.seconds_by_stage(lake)
    stages = []
    for name in (FIRST, *STAGES):
        if name not in tallies:
            continue
        languages = {
            language: {
                "rows_in": tally.rows_in,
                "alive": tally.alive,
                "rejected": tally.rejected,
                "characters": tally.characters,
                "reasons": tally.reasons,
                "left_out": tally.left_out,
            }
            for language, tally in sorted(tallies[name].items())
        }
        reasons: dict[str, int] = {}
        for tally in tallies[name].values():
            for reason, count in tally.reasons.items():
                reasons[reason] = reasons.get(reason, 0) + count
        stages.append(
            {
                "stage": name,
                **_totals(tallies[name].values()),
                "seconds": round(seconds[name], 3),
                "reasons": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
                "engines": sorted({engine for tally in tallies[name].values() for engine in tally.engines}),
                "languages": languages,
            }
        )
    return {"lake": str(lake), "stages": stages}


def _totals(tallies: Iterable[ledger.Tally]) -> dict[str, int]:
    counts = [(tally.rows_in, tally.alive, tally.rejected) for tally in tallies]
    return dict(zip(("rows_in", "alive", "rejected"), map(sum, zip(*counts, strict=True)), strict=True))


def as_json(lake: Lake) -> str:
    """Return the funnel as JSON."""
    return json.dumps(funnel(lake), ensure_ascii=False, indent=2)


def print_funnel(out: Console, lake: Lake) -> None:
    """Print the funnel: by stage, by language, by reason."""
    stages = funnel(lake)["stages"]
    by_stage = Table(title=f"Lake {lake}", title_justify="left", box=None, pad_edge=False)
    by_stage.add_column("stage")
    for column in ("in", "alive", "rejected", "seconds"):
        by_stage.add_column(column, justify="right")
    by_stage.add_column("engines", overflow="fold")
    for stage in stages:
        by_stage.add_row(
            stage["stage"],
            f"{stage['rows_in']:,}",
            f"{stage['alive']:,}",
            f"{stage['rejected']:,}",
            f"{stage['seconds']:,.1f}",
            _short(stage["engines"]),
        )
    out.print(by_stage)
    out.print()
    out.print(_by_language(stages))
    out.print()
    out.print(_by_reason(stages))
    if left_out := left_out_in_words(each["left_out"] for stage in stages for each in stage["languages"].values()):
        out.print(f"\nLeft out of the corpora, as no documents: {left_out}", markup=False, soft_wrap=True)


def _by_language(stages: list[dict[str, Any]]) -> Table:
    table = Table(title="Alive after each stage, by language", title_justify="left", box=None, pad_edge=False)
    table.add_column("language")
    for stage in stages:
        table.add_column(stage["stage"], justify="right")
    first = stages[0]["languages"] if stages else {}
    languages = sorted({language for stage in stages for language in stage["languages"]})
    languages.sort(key=lambda code: -first.get(code, {}).get("rows_in", 0))
    for language in languages[:_LANGUAGES_SHOWN]:
        cells = [stage["languages"].get(language) for stage in stages]
        table.add_row(language, *(f"{cell['alive']:,}" if cell else "-" for cell in cells))
    if len(languages) > _LANGUAGES_SHOWN:
        table.add_row(f"and {len(languages) - _LANGUAGES_SHOWN} more: --json has all")
    return table


def _by_reason(stages: list[dict[str, Any]]) -> Table:
    table = Table(title="Rejected, by reason", title_justify="left", box=None, pad_edge=False)
    table.add_column("reason")
    table.add_column("rows", justify="right")
    table.add_column("meaning", overflow="fold")
    table.add_column("languages", overflow="fold")
    for stage in stages:
        for reason, count in stage["reasons"].items():
            by_language = {code: each["reasons"].get(reason, 0) for code, each in stage["languages"].items()}
            largest = sorted((item for item in by_language.items() if item[1]), key=lambda item: (-item[1], item[0]))
            listed = ", ".join(f"{code} {rows:,}" for code, rows in largest[:4]) + (" ..." if len(largest) > 4 else "")
            table.add_row(reason, f"{count:,}", meaning(reason), listed)
    return table


def _short(engines: list[str]) -> str:
    return ", ".join(engines[:3]) + (f" and {len(engines) - 3} more" if len(engines) > 3 else "")


def stand_in_share(lake: Lake) -> float:
    """Return the share of pairs whose instruction a rule wrote and no model (labels ``template-*`` and ``title``)."""
    from pyspark.sql import functions as F

    rows = lake.read("pairs", PAIRS)
    found = rows.agg(F.avg(F.expr(IS_STAND_IN).cast("int"))).first()
    return float(found[0]) if found and found[0] is not None else 0.0
