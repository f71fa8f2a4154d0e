"""Report on generated pairs and measure the memory that it takes: `python -m benchmarks.report_memory`.

The lake is that of benchmarks/memory.py: a million pairs in 200 languages, and the tables of clean, dedup (with
duplicates) and screen before them. `backprompt report` runs in a process of its own, whose memory, Spark's Java and
Python's workers included, is sampled twice a second. Exits with 1 if it took more than the limit, or if the report is
not of every pair.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.memory import generated_lake, measure


def main() -> int:
    """Make the lake if it is not there, and report on it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--work", type=Path, default=Path("build/bench/memory"))
    parser.add_argument("--limit-gib", type=float, default=6.0)
    args = parser.parse_args()
    lake = generated_lake(args.work, args.pairs)
    output = args.work / "report.html"
    output.unlink(missing_ok=True)
    command = [sys.executable, "-m", "jobs", "report", "--lake", str(lake), "--output", str(output)]
    seconds, gib = measure([*command, "--log", str(args.work / "report.log")])
    page = output.read_text(encoding="utf-8")
    is_whole = f"{args.pairs:,}" in page
    print(f"{args.pairs:,} pairs: {seconds:.0f} s, {gib:.2f} GiB at most, report of {len(page) / 1e6:.1f} MB")
    return 0 if is_whole and gib <= args.limit_gib else 1


if __name__ == "__main__":
    sys.exit(main())
