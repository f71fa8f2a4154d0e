"""Runs tools in interleaved rounds, each in a process and an interpreter of its own."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.near_duplicates import watch
from benchmarks.near_duplicates.child import TOOLS, split_name

ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Runs:
    """All runs of a tool.

    ``figures`` holds, of each run that ended well, startup_s, startup_cpu_s, work_s, wall_s, cpu_s, peak_mb and
    load, the machine's load average at its start. ``failure`` is what ended another.
    """

    figures: list[dict[str, float]] = field(default_factory=list)
    kept: list[str] | None = None
    is_same_each_round: bool = True
    versions: dict[str, str] = field(default_factory=dict)
    failure: str | None = None

    def least(self, name: str) -> float:
        """Return the least of a figure over all runs."""
        return min(each[name] for each in self.figures)

    def greatest(self, name: str) -> float:
        """Return the greatest of a figure over all runs."""
        return max(each[name] for each in self.figures)


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and how tools are run.

    ``pythons`` names interpreters by tool; for others they are looked up below ``venvs``, as ``make-venvs.sh`` makes
    them.
    """

    work: Path
    venvs: Path
    pythons: Mapping[str, str]
    threshold: float
    limit_s: float

    def python(self, name: str) -> str:
        """Return a tool's interpreter.

        Raises:
            ValueError: if there is no such tool.
            FileNotFoundError: if its environment has not been made.
        """
        tool, _ = split_name(name)
        environment = TOOLS[tool].environment
        if tool in self.pythons or environment is None:
            python = self.pythons.get(tool, sys.executable)
            hint = f"see --python {tool}={python}"
        else:
            python = str(self.venvs / environment / "bin" / "python")
            hint = f"make it with benchmarks/near_duplicates/make-venvs.sh {self.venvs} {environment}"
        if not os.access(python, os.X_OK):
            raise FileNotFoundError(f"{tool} has no interpreter at {python}; {hint}.")
        return python

    def run(self, corpus: Path, names: Sequence[str], rounds: int, say: Callable[[str], None]) -> dict[str, Runs]:
        """Run every tool once a round; each round begins with the next tool, so that none always runs first."""
        results = {name: Runs() for name in names}
        for turn in range(rounds):
            first = turn % len(names)
            for name in [*names[first:], *names[:first]]:
                began = time.time()
                arguments = [name, str(corpus), str(self.threshold)]
                usage, report, failure = self.child(
                    self.python(name), "benchmarks.near_duplicates.child", arguments, f"{corpus.name}-{name}"
                )
                _add(results[name], usage, report, failure)
                told = failure or f"work {report['work_s']:.1f} s, CPU {usage['cpu_s']:.1f} s"
                say(f"round {turn + 1} of {rounds}, {name}: {told}, {time.time() - began:.0f} s in all")
        return results

    def child(
        self, python: str, module: str, arguments: Sequence[str], log_name: str
    ) -> tuple[dict[str, float], dict[str, Any], str | None]:
        """Run a module in a process of its own, in a folder of its own that is removed afterwards.

        The module gets its arguments, then that folder and the time of its start, and leaves ``report.json`` there.

        Returns:
            What it used, what it reported, and why it failed if it did.
        """
        logs = self.work / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        log_file = logs / f"{log_name.replace(':', '-').replace('/', '-')}.log"
        # Shingles of words are hashed by Python: with a fixed seed alike in every run.
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        env = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0"}
        with tempfile.TemporaryDirectory(dir=self.work) as folder, open(log_file, "w") as log:
            load = os.getloadavg()[0]
            command = [python, "-m", module, *arguments, folder, str(time.time())]
            used = watch.run(command, env, Path(folder), log, self.limit_s)
            figures = {"wall_s": used.wall_s, "cpu_s": used.cpu_s, "peak_mb": used.peak_mb, "load": load}
            report = Path(folder) / "report.json"
            if used.exit_code == 0 and report.exists():
                return figures, json.loads(report.read_text()), None
        if used.exit_code is None:
            return figures, {}, f"no end after {self.limit_s:.0f} s; see {log_file}"
        return figures, {}, f"exit code {used.exit_code}; see {log_file}"


def _add(runs: Runs, usage: dict[str, float], report: dict[str, Any], failure: str | None) -> None:
    if failure is not None:
        runs.failure = failure
        return
    runs.figures.append({**usage, **{name: report[name] for name in ("startup_s", "startup_cpu_s", "work_s")}})
    runs.versions = report["versions"]
    if runs.kept is None:
        runs.kept = report["kept"]
    runs.is_same_each_round &= runs.kept == report["kept"]
