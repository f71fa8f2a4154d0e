"""Runs a command and measures it with all its descendants: seconds, CPU seconds, peak memory. Linux only."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_SECONDS_BETWEEN_SAMPLES = 0.25
_SECONDS_TO_FINISH = 30  # for what the command left running, such as a JVM on its way out
_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command took.

    ``exit_code`` is None if it ran past its limit and was killed. ``cpu_s`` covers every descendant, the start
    included. ``peak_mb`` is the greatest sum of the processes' PSS seen: shared pages count once.
    """

    exit_code: int | None
    wall_s: float
    cpu_s: float
    peak_mb: float


def run(command: Sequence[str], env: Mapping[str, str], folder: Path, log: IO[str], limit_s: float) -> Usage:
    """Run a command in ``folder`` with its output to ``log``, and measure it.

    This process must have no other children meanwhile.
    """
    # Orphans come to us instead of to init, so that their CPU seconds are counted, and none outlives its command.
    if ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError("prctl(PR_SET_CHILD_SUBREAPER) failed; the benchmark needs Linux")
    before, began, samples = _reaped_cpu_s(), time.time(), _Samples()
    process = subprocess.Popen(command, env=dict(env), cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    exit_code, wall_s = None, limit_s
    try:
        while time.time() - began < limit_s:
            try:
                exit_code = process.wait(_SECONDS_BETWEEN_SAMPLES)
                wall_s = time.time() - began
                break
            except subprocess.TimeoutExpired:
                samples.take()
    finally:
        reaped = _end_descendants(patiently=exit_code is not None)
        process.wait()
    return Usage(exit_code, wall_s, _reaped_cpu_s() - before + samples.unreaped_cpu_s(reaped), samples.peak_mb)


class _Samples:
    """What is seen of the descendants while they live.

    A process that ignores SIGCHLD, as the one that starts Spark's Python workers does, never reaps its children, and
    the system forgets their CPU seconds. Those are taken from the last sample of each.
    """

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self.ticks: dict[int, int] = {}  # by process whose parent will not reap it
        self.ignores: dict[int, bool] = {}

    def take(self) -> None:
        memory_mb = 0.0
        for pid in descendants(os.getpid()):
            memory_mb += _memory_mb(pid)
            fields = _stat(pid)
            if fields and self._ignores_children(int(fields[1])):
                self.ticks[pid] = sum(map(int, fields[11:15]))
        self.peak_mb = max(self.peak_mb, memory_mb)

    def unreaped_cpu_s(self, reaped: set[int]) -> float:
        """Return the CPU seconds of those that nobody reaped; ``reaped`` were, by us, after their parent had ended."""
        return sum(ticks for pid, ticks in self.ticks.items() if pid not in reaped) / _TICKS_PER_SECOND

    def _ignores_children(self, pid: int) -> bool:
        # Only a yes is remembered: a process may say so later.
        if not self.ignores.get(pid):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                return False
            ignored = next((line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:")), "0")
            self.ignores[pid] = bool(int(ignored, 16) >> (signal.SIGCHLD - 1) & 1)
        return self.ignores[pid]


def tree_cpu_s(root: int) -> float:
    """Return the CPU seconds so far of a process and its living descendants, with the dead ones they waited for."""
    ticks = 0
    for pid in [root, *descendants(root)]:
        fields = _stat(pid)
        ticks += sum(map(int, fields[11:15])) if fields else 0
    return ticks / _TICKS_PER_SECOND


def descendants(root: int) -> list[int]:
    """Return the living descendants of a process."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        fields = _stat(int(entry)) if entry.isdigit() else []
        if fields and fields[0] != "Z":
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, queue = [], [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def _memory_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def _reaped_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _end_descendants(*, patiently: bool) -> set[int]:
    """Wait a while for all that is left, kill what does not end, and reap everything; the processes reaped."""
    until = time.time() + (_SECONDS_TO_FINISH if patiently else 0)
    reaped: set[int] = set()
    # A process whose threads are still ending looks dead in /proc before it can be reaped: only the lack of children
    # says that all is counted.
    with contextlib.suppress(ChildProcessError):
        while True:
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                reaped.add(pid)
            if time.time() >= until:
                for pid in descendants(os.getpid()):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
    return reaped
