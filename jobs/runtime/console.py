"""What a person sees: progress, tables, texts in any script."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

# First strong isolate and its end: a right-to-left text keeps to itself, whatever stands beside it.
_ISOLATE: Final = "\u2068{}\u2069"
# Text is data: no terminal command and no direction override in it may reach the terminal.
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def console(stderr: bool = False) -> Console:
    """Return a console for standard output or error; plain when it is no terminal."""
    stream = sys.stderr if stderr else sys.stdout
    # Not a terminal: 120 columns, so that a log does not break what a terminal would show on one line.
    return Console(file=stream, highlight=False, width=None if stream.isatty() else 120, soft_wrap=False)


def printable(text: str) -> str:
    """Return ``text`` without characters that steer a terminal, kept apart from the text around it."""
    return _ISOLATE.format(_UNPRINTABLE.sub("\ufffd", text))


def duration(hours: float) -> str:
    """Write a time for a person: ``4.2 s``, ``12 min``, ``1,204.0 h``."""
    seconds = hours * 3_600
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if hours < 1 else f"{hours:,.1f} h"


def wrapped(text: str, width: int, max_chars: int | None = None) -> list[str]:
    """Break a text into printable lines of at most ``width`` terminal cells.

    Args:
        text: any text; its own line breaks are kept, empty lines dropped.
        width: cells a line may take; wide characters take two.
        max_chars: characters after which the text is cut, with a note; None shows all of it.
    """
    shown = text if max_chars is None or len(text) <= max_chars else text[:max_chars]
    lines = [line for part in shown.splitlines() for line in _wrap_line(part, width)]
    if shown is not text:
        lines.append(f"... ({len(text) - len(shown):,} characters more)")
    return [printable(line) for line in lines]


def _wrap_line(line: str, width: int) -> Iterable[str]:
    rich_console = Console(width=width, file=None, force_terminal=False)
    for piece in Text(_UNPRINTABLE.sub("\ufffd", line)).wrap(rich_console, width):
        if piece.plain.strip():
            yield piece.plain.rstrip()


def print_block(out: Console, heading: str, fields: Iterable[tuple[str, str]], max_chars: int | None) -> None:
    """Print a heading and labelled, wrapped texts below it."""
    fields = list(fields)
    indent = max((cell_len(label) for label, _ in fields), default=0) + 4
    out.print(heading, markup=False, style="bold", soft_wrap=True)
    for label, text in fields:
        lines = wrapped(text, max(20, out.width - indent), max_chars) or [""]
        for number, line in enumerate(lines):
            out.print(f"  {label if number == 0 else '':<{indent - 3}} {line}", markup=False, soft_wrap=True)


class ConsoleReporter:
    """Shows a run's progress: a live line a stage on a terminal, one plain line a stage elsewhere."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._live: Progress | None = None
        self._task: TaskID | None = None
        self._stage, self._rows, self._batches, self._since = "", 0, 0, 0.0

    def note(self, text: str) -> None:
        """Print one line."""
        self._out.print(text, markup=False, soft_wrap=True)

    def stage_started(self, stage: str, expected: int | None) -> None:
        """Start the stage's line."""
        self._stage, self._rows, self._batches, self._since = stage, 0, 0, time.monotonic()
        if self._out.is_terminal:
            self._live = Progress(
                TextColumn("{task.description:<15}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TextColumn("documents, {task.fields[batches]} batches, {task.fields[rate]}"),
                TimeElapsedColumn(),
                console=self._out,
                transient=True,
            )
            self._live.start()
            self._task = self._live.add_task(stage, total=expected, batches=0, rate="working")

    def batch_done(self, stage: str, rows: int) -> None:
        """Count a batch."""
        assert stage == self._stage
        self._rows += rows
        self._batches += 1
        if self._live is not None and self._task is not None:
            rate = f"{self._rows / max(time.monotonic() - self._since, 1e-9):,.1f}/s"
            self._live.update(self._task, completed=self._rows, batches=self._batches, rate=rate)

    def stage_done(self, stage: str) -> None:
        """Replace the stage's live line by its last word."""
        self.close()
        seconds = time.monotonic() - self._since
        if not self._rows:
            self.note(f"{stage:<15} nothing new ({seconds:.1f} s)")
            return
        batches = f"{self._batches} batch" + ("es" if self._batches != 1 else "")
        rate = f"{self._rows / seconds:,.1f} documents/s"
        self.note(f"{stage:<15} {self._rows:>8,} documents in {batches}, {seconds:.1f} s, {rate}")

    def close(self) -> None:
        """Take down the live line, whatever happened."""
        if self._live is not None:
            self._live.stop()
            self._live = self._task = None
