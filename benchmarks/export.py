"""Export generated pairs and measure the memory that it takes: `python -m benchmarks.export --pairs 1000000`.

The lake is that of benchmarks/memory.py: pairs in 200 languages, some 2 KB each, of three sources. `backprompt export`
writes it in a process of its own, whose memory, Spark's Java and Python's workers included, is sampled twice a second.
Exits with 1 if an export took more than the limit, or if it has not every pair.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.memory import generated_lake, measure


def rows_of(folder: Path) -> int:
    """Return the rows of an export."""
    lines = sum(sum(1 for _ in file.open("rb")) for file in folder.rglob("*.jsonl"))
    return lines + sum(pq.read_metadata(file).num_rows for file in folder.rglob("*.parquet"))


def main() -> int:
    """Make the lake if it is not there, and export it in each form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--forms", nargs="+", default=["muri"], choices=["muri", "extended", "chat"])
    parser.add_argument("--work", type=Path, default=Path("build/bench/memory"))
    parser.add_argument("--limit-gib", type=float, default=6.0)
    args = parser.parse_args()
    lake = generated_lake(args.work, args.pairs)
    has_failed = False
    for form in args.forms:
        to = args.work / f"out-{form}"
        command = [sys.executable, "-m", "jobs", "export", "--lake", str(lake), "--to", str(to), "--format", form]
        seconds, gib = measure([*command, "--overwrite"])
        rows, files = rows_of(to), sum(1 for each in to.rglob("*-of-*"))
        has_failed |= rows != args.pairs or gib > args.limit_gib
        print(
            f"{form}: {rows:,} of {args.pairs:,} pairs, {files} files, {seconds:.0f} s, {gib:.2f} GiB at most",
            flush=True,
        )
    return 1 if has_failed else 0


if __name__ == "__main__":
    sys.exit(main())
