"""Runs of `backprompt run` in processes of their own: what they say, and killing all of them at once."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAGES = (
    *("documents", "clean", "dedup_lines", "dedup", "translate", "instruct", "back_translate", "screen"),
    *("dedup_instructions", "dedup_outputs", "group", "pairs"),
)
_STAGE_DONE = re.compile(r"(\w+) +(?:nothing new \(|[\d,]+ documents in .*batch(?:es)?, )([\d.]+) s")


@dataclass(frozen=True, slots=True)
class StageTime:
    """A stage of a run: when it began and ended, in seconds of ``time.time``."""

    stage: str
    began: float
    ended: float


class Run:
    """A command of Backprompt in a session of its own.

    Args:
        arguments: the command line after ``backprompt``.
        log: file that its output is added to.
    """

    def __init__(self, arguments: Sequence[object], log: Path) -> None:
        self.stages: list[StageTime] = []
        self.output: list[str] = []
        self.log = log
        command = [sys.executable, "-m", "jobs", *map(str, arguments)]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if "BACKPROMPT_APERTIUM" not in environment and (ROOT / ".apertium").is_dir():
            environment["BACKPROMPT_APERTIUM"] = str(ROOT / ".apertium")
        self.started = time.time()
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.log.open("a", encoding="utf-8") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                self.output.append(line)
                found = _STAGE_DONE.match(line)
                if found and found[1] in STAGES:
                    now = time.time()
                    self.stages.append(StageTime(found[1], now - float(found[2]), now))

    @property
    def is_over(self) -> bool:
        """Say whether the process has ended."""
        return self.process.poll() is not None

    @property
    def stage(self) -> str:
        """Return the stage that the run is in, "end" after the last."""
        return STAGES[len(self.stages)] if len(self.stages) < len(STAGES) else "end"

    def finish(self) -> None:
        """Wait for the end.

        Raises:
            RuntimeError: if the command fails; with the end of its output.
        """
        code = self.process.wait()
        self._reader.join(timeout=10)
        if code:
            raise RuntimeError(f"exit code {code}, see {self.log}:\n{''.join(self.output[-20:])}")

    def kill(self) -> int:
        """Kill the process and all that it started, the same moment; return how many those were."""
        killed = kill_tree(self.process.pid)
        self.process.wait()
        self._reader.join(timeout=10)
        return killed


def kill_tree(root: int) -> int:
    """Send SIGKILL to a process and all its descendants, also those in sessions of their own; return their number.

    They are stopped first, parents before children: else one could start another, or be handed to init, meanwhile.
    """
    found: list[int] = []
    while new := [pid for pid in descendants(root) if pid not in found]:
        for pid in new:
            _signal(pid, signal.SIGSTOP)
        found += new
    for pid in found:
        _signal(pid, signal.SIGKILL)
    return len(found)


def descendants(root: int) -> list[int]:
    """Return a process and all that it started and that still runs, parents before children."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name of a process, in brackets, may hold anything.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    order = [root] if Path(f"/proc/{root}").exists() else []
    for pid in order:
        order += children.get(pid, [])
    return order


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
