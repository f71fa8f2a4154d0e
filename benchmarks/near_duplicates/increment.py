"""What an index saves: a batch of new documents against deduplicating everything again.

    python -m benchmarks.near_duplicates.increment --documents 1000000 --new 0.01 --no-truth

Each step runs in a process of its own: ``index`` (the old documents, into a new index), ``new`` (the batch, against
the index), ``full`` (all documents, without an index) and ``few`` (a hundred documents, into a new index: what any
batch costs), cold, and the last three also in a session that has worked through the batch twice before.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from benchmarks.near_duplicates import corpus as corpora
from benchmarks.near_duplicates import score
from benchmarks.near_duplicates.child import split_name
from benchmarks.near_duplicates.rounds import ROOT, Bench

_STEPS = {
    "index": "old",
    "new": "new",
    "full": "docs",
    "few": "few",
    "new, warm": "new",
    "full, warm": "docs",
    "few, warm": "few",
}
_FEW = 100
_HEADINGS = ("step", "documents", "removed", "work s", "CPU s of it", "start-up s (CPU s)", "peak MB")


def main(argv: Sequence[str] | None = None) -> int:
    """Make the corpus if it is missing, run the steps and print; 1 if a step failed."""
    cli = argparse.ArgumentParser(
        prog="python -m benchmarks.near_duplicates.increment", description=__doc__.splitlines()[0]
    )
    cli.add_argument("--documents", type=int, default=100_000, help="old and new ones together")
    cli.add_argument("--new", type=float, default=0.01, metavar="SHARE", help="of the documents that come later")
    cli.add_argument("--seed", type=int, default=1)
    cli.add_argument("--no-truth", action="store_true", help="do not score: quicker to make for a million documents")
    cli.add_argument("--corpus", type=Path, help="a corpus that was made with --new, in place of the four above")
    cli.add_argument("--rounds", type=int, default=1)
    cli.add_argument("--tool", default="ours", help="ours or ours-default, with options as in the main benchmark")
    cli.add_argument("--threshold", type=float, default=0.8)
    cli.add_argument("--limit", type=float, default=3600, metavar="SECONDS", help="of one step")
    cli.add_argument("--work", type=Path, default=ROOT / "build" / "near_duplicates")
    cli.add_argument("--results", type=Path, help="a row of JSON a step is added to this file")
    args = cli.parse_args(argv)
    bench = Bench(args.work.resolve(), args.work, {}, args.threshold, args.limit)
    try:
        if split_name(args.tool)[0] not in ("ours", "ours-default"):
            raise ValueError(f"{args.tool} keeps no index; give ours or ours-default.")
        folder = args.corpus.resolve() if args.corpus else _corpus(bench.work, args)
        if missing := [name for name in ("old", "new", "docs") if not (folder / f"{name}.parquet").is_dir()]:
            raise FileNotFoundError(f"{folder} has no {missing[0]}.parquet; make the corpus with --new.")
    except (ValueError, OSError) as error:
        cli.error(str(error))
    rows = []
    for turn in range(args.rounds):
        rows += _round(bench, args.tool, folder, turn + 1)
        if rows[-1]["failure"]:
            break
    with open(args.results or bench.work / "increments.jsonl", "a") as file:
        for row in rows:
            file.write(json.dumps({key: value for key, value in row.items() if key != "kept"}) + "\n")
    if rows[-1]["failure"]:
        print(f"{rows[-1]['step']}: {rows[-1]['failure']}", file=sys.stderr)
        return 1
    print(_markdown(folder, rows))
    return 0


def _corpus(work: Path, args: argparse.Namespace) -> Path:
    folder = work / f"corpus-{args.documents}-seed{args.seed}-new{args.new:g}{'-no-truth' * args.no_truth}"
    if not folder.exists():
        print(f"making {folder} ...", file=sys.stderr, flush=True)
        corpora.build(folder, args.documents, args.seed, new_share=args.new, with_truth=not args.no_truth)
    return folder


def _round(bench: Bench, tool: str, corpus: Path, number: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    bench.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bench.work) as place:
        index, before = Path(place) / "index", Path(place) / "before"
        few = Path(place) / "few.parquet"
        few.mkdir()
        pq.write_table(ds.dataset(corpus / "new.parquet").head(_FEW), few / "part-000.parquet")
        for step, table in _STEPS.items():
            documents = few if table == "few" else corpus / f"{table}.parquet"
            if step == "new":
                shutil.copytree(index, before)
            is_warm = step.endswith("warm")
            used = {"full": "", "few": f"{place}/{step}"}.get(step.split(",")[0], str(before if is_warm else index))
            warm_up = str(corpus / "new.parquet") if is_warm else ""
            arguments = [tool, str(documents), used, warm_up, str(bench.threshold)]
            usage, report, failure = bench.child(
                sys.executable, "benchmarks.near_duplicates.increment_child", arguments, f"{corpus.name}-{tool}-{step}"
            )
            rows.append(
                {
                    "step": step,
                    "round": number,
                    "tool": tool,
                    "corpus": corpus.name,
                    "documents": ds.dataset(documents).count_rows(),
                    "index_mb": round(sum(file.stat().st_size for file in index.rglob("*") if file.is_file()) / 1e6, 1),
                    **{key: round(value, 2) for key, value in usage.items()},
                    **report,
                    "failure": failure,
                }
            )
            told = failure or f"work {report['work_s']:.1f} s, CPU of it {report['work_cpu_s']:.1f} s"
            print(f"round {number}, {step}: {told}", file=sys.stderr, flush=True)
            if failure:
                break
    return rows


def _markdown(corpus: Path, rows: list[dict[str, Any]]) -> str:
    """Return the least figures of each step, what the new batch costs of a full run, and how the two ways compare."""
    least = {
        step: {name: min(row[name] for row in rows if row["step"] == step) for name in ("work_s", "work_cpu_s")}
        for step in _STEPS
    }
    lines = [f"### {corpus.name}, {rows[-1]['round']} round(s)", "", _line(_HEADINGS)]
    lines.append(_line(["---"] + ["--:"] * (len(_HEADINGS) - 1)))
    last = {row["step"]: row for row in rows}
    for step, row in last.items():
        of_step = [each for each in rows if each["step"] == step]
        lines.append(
            _line(
                [
                    step,
                    f"{row['documents']:,}",
                    f"{row['documents'] - len(row['kept']):,}",
                    f"{least[step]['work_s']:.1f}",
                    f"{least[step]['work_cpu_s']:.1f}",
                    f"{min(each['startup_s'] for each in of_step):.1f} "
                    f"({min(each['startup_cpu_s'] for each in of_step):.1f})",
                    f"{max(each['peak_mb'] for each in of_step):,.0f}",
                ]
            )
        )
    (work, cpu), (warm_work, warm_cpu) = (
        [least["full" + state][name] / least["new" + state][name] for name in ("work_s", "work_cpu_s")]
        for state in ("", ", warm")
    )
    incremental = {*last["index"]["kept"], *last["new"]["kept"]}
    lines += [
        "",
        f"A full run takes {work:.1f} times the work seconds and {cpu:.1f} times the CPU seconds of the new batch, "
        f"{warm_work:.1f} and {warm_cpu:.1f} times in a warm session. {_FEW} documents into a new index take "
        f"{least['few']['work_s']:.1f} s of work, {least['few, warm']['work_s']:.1f} s in a warm session. "
        f"The index takes {last['index']['index_mb']} MB. Kept in two batches: {len(incremental):,}, "
        f"in one: {len(last['full']['kept']):,}.",
    ]
    if (corpus / "pairs.parquet").exists():
        found = score.score(score.load(corpus), {"in two batches": incremental, "in one": last["full"]["kept"]})
        for name, scores in found.items():
            lines.append(
                f"- {name}: recall at 0.8 {scores['recall_char9_0.8']:.4f}, false removals "
                f"{scores['false_char9_0.8']}, folded as the project does {scores['false_folded_0.8']}, hot documents "
                f"kept {scores['hot_kept']}"
            )
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
