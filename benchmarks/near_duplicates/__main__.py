"""Near-duplicate removal side by side: the project and other tools on the same corpora with planted duplicates.

python -m benchmarks.near_duplicates --sizes 20000 100000 --rounds 3 --tools ours baseline rensa-char
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow.dataset as ds

from benchmarks.near_duplicates import corpus as corpora
from benchmarks.near_duplicates import score, table
from benchmarks.near_duplicates.child import TOOLS
from benchmarks.near_duplicates.rounds import ROOT, Bench, Runs

_USUAL = ("ours", "ours-default", "baseline", "rensa-char", "text-dedup", "text-dedup-spark")


def main(argv: Sequence[str] | None = None) -> int:
    """Make the corpora that are missing, run, score and print; 1 if a tool failed."""
    cli, args = _arguments(argv)
    bench = Bench(args.work.resolve(), args.venvs.resolve(), _pythons(cli, args.python), args.threshold, args.limit)
    try:
        for name in args.tools:
            bench.python(name)
        folders = [folder.resolve() for folder in args.corpus] or [
            _corpus(bench.work, size, args.seed, args.hot) for size in args.sizes
        ]
        for folder in folders:
            _check_corpus(folder)
    except (ValueError, OSError) as error:
        cli.error(str(error))
    has_failed = False
    for folder in folders:
        results = bench.run(folder, args.tools, args.rounds, _say)
        _report(folder, results, args.rounds, args.results or bench.work / "results.jsonl")
        has_failed |= any(runs.failure for runs in results.values())
    return int(has_failed)


def _arguments(argv: Sequence[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    cli = argparse.ArgumentParser(prog="python -m benchmarks.near_duplicates", description=__doc__.splitlines()[0])
    cli.add_argument("--sizes", type=int, nargs="+", default=[20_000, 100_000], help="documents of the corpora to make")
    cli.add_argument("--seed", type=int, default=1, help="of the corpora")
    cli.add_argument("--hot", type=int, help="copies of one short text in them; without it a sixtieth")
    cli.add_argument("--corpus", type=Path, nargs="+", default=[], help="corpora that are there, in place of --sizes")
    cli.add_argument("--rounds", type=int, default=3, help="runs of each tool; the least of each figure counts")
    cli.add_argument(
        "--tools",
        nargs="+",
        default=list(_USUAL),
        metavar="TOOL[:OPTION=VALUE...]",
        help=f"{', '.join(TOOLS)}; ours takes cores, partitions, spark.NAME and dedup.NAME, "
        "as in ours:cores=4:partitions=8:dedup.verify=exact",
    )
    cli.add_argument("--python", action="append", default=[], metavar="TOOL=INTERPRETER")
    cli.add_argument("--work", type=Path, default=ROOT / "build" / "near_duplicates", help="corpora, logs and results")
    cli.add_argument("--venvs", type=Path, default=ROOT / "build" / "near_duplicates" / "venvs")
    cli.add_argument("--results", type=Path, help="rows of JSON are added to this file")
    cli.add_argument("--threshold", type=float, default=0.8)
    cli.add_argument("--limit", type=float, default=1800, metavar="SECONDS", help="of one run")
    args = cli.parse_args(argv)
    if args.rounds < 1:
        cli.error("--rounds must be 1 or more")
    return cli, args


def _pythons(cli: argparse.ArgumentParser, given: list[str]) -> dict[str, str]:
    pythons = {}
    for each in given:
        tool, equals, python = each.partition("=")
        if tool not in TOOLS or not equals:
            cli.error(f"--python {each}: write TOOL=INTERPRETER, with a tool of {', '.join(TOOLS)}")
        pythons[tool] = os.path.abspath(python)  # not resolved: the link says which environment it is
    return pythons


def _corpus(work: Path, documents: int, seed: int, hot: int | None) -> Path:
    folder = work / (f"corpus-{documents}-seed{seed}" + ("" if hot is None else f"-hot{hot}"))
    if not folder.exists():
        _say(f"making {folder} ...")
        _say(corpora.build(folder, documents, seed, hot=hot))
    return folder


def _check_corpus(folder: Path) -> None:
    for name in ("docs.parquet", "plan.parquet", "pairs.parquet"):
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder} is no corpus: it has no {name}.")


def _report(folder: Path, results: dict[str, Runs], rounds: int, rows_file: Path) -> None:
    documents = ds.dataset(folder / "docs.parquet").count_rows()
    scores = score.score(
        score.load(folder), {name: runs.kept for name, runs in results.items() if runs.kept is not None}
    )
    with open(rows_file, "a") as file:
        for name, runs in results.items():
            file.write(json.dumps(table.row(name, folder.name, documents, runs, scores.get(name, {}))) + "\n")
    loads = [figures["load"] for runs in results.values() for figures in runs.figures]
    title = f"{documents:,} documents ({folder.name}), {rounds} round{'s' * (rounds > 1)}"
    if loads:
        title += f", {os.cpu_count()} cores, load average {min(loads):.1f} to {max(loads):.1f}"
    print(table.markdown(title, results, scores), end="\n\n", flush=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
