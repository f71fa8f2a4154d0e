"""Results as rows of JSON and as a Markdown table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.near_duplicates.child import TOOLS, split_name
from benchmarks.near_duplicates.rounds import Runs
from benchmarks.near_duplicates.score import THRESHOLDS

_HEADINGS = (
    "tool", "work s", "over ours", "CPU s", "over ours", "start-up s (CPU s)", "peak MB",
    *(f"recall {threshold}" for threshold in THRESHOLDS), "false", "false folded", "removed", "hot kept", "same ids",
)  # fmt: skip


def row(name: str, corpus: str, documents: int, runs: Runs, scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that is known of a tool on a corpus."""
    return {
        "tool": name,
        "corpus": corpus,
        "documents": documents,
        "measure": TOOLS[split_name(name)[0]].measure,
        "runs": [{key: round(value, 2) for key, value in figures.items()} for figures in runs.figures],
        "failure": runs.failure,
        "same_ids_each_round": runs.is_same_each_round if len(runs.figures) > 1 else None,
        "versions": runs.versions,
        **scores,
    }


def markdown(title: str, results: Mapping[str, Runs], scores: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table with a line a tool; ratios are those of the least figures to the first ``ours`` of the list.

    Recall and false removals are by the tool's own kind of shingle, ``false folded`` by the project's folding.
    """
    ours = next((runs for name, runs in results.items() if name.startswith("ours") and runs.figures), None)
    lines = [f"### {title}", "", _line(_HEADINGS), _line(["---"] + ["--:"] * (len(_HEADINGS) - 1))]
    for name, runs in results.items():
        if not runs.figures:
            lines.append(_line([name, runs.failure or "not run", *[""] * (len(_HEADINGS) - 2)]))
            continue
        measure, score = TOOLS[split_name(name)[0]].measure, scores.get(name, {})
        low, high = THRESHOLDS[0], THRESHOLDS[1]
        lines.append(
            _line(
                [
                    name + (f" ({runs.failure} in a round)" if runs.failure else ""),
                    _span(runs, "work_s"),
                    _ratio(runs, ours, "work_s"),
                    _span(runs, "cpu_s"),
                    _ratio(runs, ours, "cpu_s"),
                    f"{runs.least('startup_s'):.1f} ({runs.least('startup_cpu_s'):.1f})",
                    f"{runs.greatest('peak_mb'):,.0f}",
                    *(_share(score.get(f"recall_{measure}_{threshold}")) for threshold in (low, high)),
                    _count(score.get(f"false_{measure}_{low}")),
                    _count(score.get(f"false_folded_{low}")),
                    _count(score.get("removed")),
                    _count(score.get("hot_kept")),
                    _sameness(name, runs, ours),
                ]
            )
        )
    return "\n".join(lines)


def _sameness(name: str, runs: Runs, ours: Runs | None) -> str:
    each_round = "one run" if len(runs.figures) < 2 else "yes" if runs.is_same_each_round else "NO"
    if ours is None or runs is ours or not name.startswith("ours:"):
        return each_round
    return f"{each_round}, {'as' if runs.kept == ours.kept else 'NOT as'} in line 1"


def _line(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"


def _span(runs: Runs, name: str) -> str:
    least, greatest = runs.least(name), runs.greatest(name)
    return f"{least:.1f}" if len(runs.figures) < 2 else f"{least:.1f} to {greatest:.1f}"


def _ratio(runs: Runs, ours: Runs | None, name: str) -> str:
    return f"{runs.least(name) / ours.least(name):.2f}" if ours else ""


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
