"""Runs one tool once, in this process, and reports its times and the ids it kept.

Started by ``rounds`` with each tool's own interpreter; imports nothing at its start that one of them may lack.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.near_duplicates import ours, peers, watch
from benchmarks.near_duplicates.peers import Run, Work

_PACKAGES = ("pyspark", "delta-spark", "numba", "numpy", "pyarrow", "rensa", "datasketch", "text-dedup")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool of the benchmark.

    ``measure`` is the kind of shingle it compares by, and is to be judged by; ``environment`` the virtual environment
    that it needs, None for the project's own.
    """

    start: Callable[[Run], Work]
    measure: str
    environment: str | None = None


def _baseline(run: Run) -> Work:
    from benchmarks.near_duplicates.baseline import baseline

    return baseline(run)


TOOLS = {
    "ours": Tool(ours.ours, "char9"),
    "ours-default": Tool(ours.ours_default, "char9"),
    "baseline": Tool(_baseline, "char9"),
    "rensa-char": Tool(peers.rensa_char, "char9", "sketches"),
    "datasketch-char": Tool(peers.datasketch_char, "char9", "sketches"),
    "text-dedup": Tool(peers.text_dedup, "word5", "text-dedup"),
    "text-dedup-spark": Tool(peers.text_dedup_spark, "word5", "text-dedup-spark"),
    "spark-mllib": Tool(peers.spark_mllib, "char9"),
}


def split_name(name: str) -> tuple[str, dict[str, str]]:
    """Split ``tool:option=value:option=value`` into the tool and its options.

    Raises:
        ValueError: if there is no such tool, or a part is no option.
    """
    tool, *parts = name.split(":")
    if tool not in TOOLS:
        raise ValueError(f"No tool is called {tool}; there are {', '.join(TOOLS)}.")
    if parts and TOOLS[tool].start not in (ours.ours, ours.ours_default, _baseline):
        raise ValueError(f"{tool} takes no options, but {name} gives some.")
    if wrong := [part for part in parts if "=" not in part]:
        raise ValueError(f"In {name}, {wrong[0]} is no option; write tool:option=value:option=value.")
    options = dict(part.split("=", 1) for part in parts)
    if tool == "baseline" and (unknown := sorted(set(options) - {"cores", "partitions"})):
        raise ValueError(f"baseline has no option {unknown[0]}; it has cores and partitions.")
    if tool != "baseline":
        ours.check_options(options)
    return tool, options


def main() -> None:
    """Run the tool that the arguments name: name, corpus, threshold, folder to work in, start of the process."""
    name, corpus, threshold, folder, began = sys.argv[1:]
    tool, options = split_name(name)
    place = Path(folder)
    output = place / "tool"
    output.mkdir()
    work = TOOLS[tool].start(Run(Path(corpus), float(threshold), output, options))
    ready, startup_cpu_s = time.time(), watch.tree_cpu_s(os.getpid())
    kept = work()
    work_s = time.time() - ready
    report = {
        "startup_s": ready - float(began),
        "startup_cpu_s": startup_cpu_s,
        "work_s": work_s,
        "versions": _versions(),
        "kept": sorted(kept),
    }
    (place / "report.json").write_text(json.dumps(report))


def _versions() -> dict[str, str]:
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
