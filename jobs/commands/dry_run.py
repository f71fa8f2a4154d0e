"""``backprompt run --dry-run``: what a run would do."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from jobs.runtime.dry_run import DryRun


def print_dry_run(out: Console, work: DryRun) -> None:
    """Print what the corpora bring and what waits for each stage, by language."""
    rows = [
        (source, language, found.new, found.changed, found.unchanged)
        for source, languages in work.incoming.items()
        for language, found in languages.items()
    ]
    if rows:
        table = Table("corpus", "language", box=box.SIMPLE_HEAD, title="In the corpora", title_justify="left")
        for heading in ("new", "changed", "unchanged"):
            table.add_column(heading, justify="right")
        for source, language, *counts in rows:
            table.add_row(source, language, *(f"{count:,}" for count in counts))
        new, changed, unchanged = (sum(row[at] for row in rows) for at in (2, 3, 4))  # type: ignore[misc]
        table.add_section()
        table.add_row("all", "", f"{new:,}", f"{changed:,}", f"{unchanged:,}")
        out.print(table)
    waiting = [(stage, language, count) for stage, found in work.waiting.items() for language, count in found.items()]
    if waiting:
        table = Table("stage", "language", box=box.SIMPLE_HEAD, title="In the lake, not yet seen", title_justify="left")
        table.add_column("documents", justify="right")
        for stage, language, count in waiting:
            table.add_row(stage, language, f"{count:,}")
        out.print(table)
    is_new = any(row[2] or row[3] for row in rows)
    if is_new:
        out.print("The new and changed documents go through every stage that runs, as far as none rejects them.")
    if not (is_new or waiting):
        out.print("Nothing is new: the lake is up to date.")
    out.print("Nothing was written.")
