"""What ``backprompt run`` ends with: the funnel, five pairs, where everything is, what to do next."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from jobs.commands.funnel import print_funnel, stand_in_share
from jobs.commands.show import print_examples
from jobs.runtime.lake import Lake
from jobs.runtime.pipeline import Outcome
from jobs.runtime.recipe import LAST, LoadedRecipe
from jobs.runtime.schema import PAIRS


def print_summary(out: Console, lake: Lake, recipe: LoadedRecipe, outcome: Outcome, log_file: Path | None) -> None:
    """Print the end of a run; short when there was nothing to do."""
    seconds = (datetime.now(UTC) - outcome.started_at).total_seconds()
    if not any(outcome.new_rows.values()) and not outcome.stopped:
        out.print(f"\nNothing is new: the lake is up to date ({seconds:.0f} s).", markup=False)
    else:
        out.print()
        print_funnel(out, lake)
        _print_pairs(out, lake, recipe)
    if outcome.stopped:
        out.print(
            f"\nStopped between two batches: {outcome.stopped}. The same command goes on from here.", markup=False
        )
    if outcome.uncovered:
        listed = ", ".join(f"{language} ({count:,})" for language, count in outcome.uncovered.items())
        out.print(
            f"\nLanguages the translation engine does not cover (documents): {listed}", markup=False, soft_wrap=True
        )
    out.print(
        f"\nTables: {lake.where('{table}').replace('{table}', '')}* (Delta, partitioned by language)",
        markup=False,
        soft_wrap=True,
    )
    if log_file is not None and log_file.exists():
        out.print(f"Log:    {log_file}", markup=False, soft_wrap=True)
    commands = (
        f"show --lake {lake} --table pairs --language cat_Latn",
        f"check --lake {lake}",
        f"explain {recipe.recipe.path}",
    )
    for label, command in zip(("Next:", "", ""), commands, strict=True):
        out.print(f"{label:<7} {_program()} {command}", markup=False, soft_wrap=True)


def _program() -> str:
    """Return how to call this program from here: `make` runs it without activating its environment."""
    called = Path(sys.argv[0])
    return "backprompt" if shutil.which("backprompt") or called.name != "backprompt" else str(called)


def _print_pairs(out: Console, lake: Lake, recipe: LoadedRecipe) -> None:
    if not lake.exists(LAST):
        return
    pairs = lake.read(LAST, PAIRS)
    out.print("\nFive of the pairs\n", markup=False, style="bold")
    print_examples(out, pairs)
    share = stand_in_share(lake)
    if share:
        out.print(
            f"{share:.0%} of the pairs have an instruction that a rule wrote (generators template-* and title): they "
            "show the job and are not training-grade. " + recipe.recipe.stand_in,
            markup=False,
            soft_wrap=True,
        )
