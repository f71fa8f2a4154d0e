"""Export generated pairs and measure the memory that it takes: `python -m benchmarks.export --pairs 1000000`.

A lake is made of pairs in 200 languages, some 2 KB each, of three sources. Then `backprompt export` writes it in a
process of its own, whose memory, Spark's Java and Python's workers included, is sampled twice a second. Exits with 1 if
an export took more than the limit, or if it has not every pair.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
from pyspark.sql import functions as F

from jobs.runtime.conf import language_table
from jobs.runtime.lake import Lake
from jobs.runtime.schema import DOCUMENTS, PAIRS, RUNS, TAIL, join_columns
from jobs.runtime.session import get_session

LANGUAGES = 200
_SAMPLES_A_SECOND = 2
_PROPERTIES = {"recipe": "generated", "fingerprint": "0" * 16, "generation": "0"}
_SETTINGS = {
    "sources.wikipedia.kind": "wikipedia-parquet",
    "sources.culturax.kind": "culturax",
    "sources.xp3.kind": "xp3",
}


def make_lake(folder: Path, pairs: int) -> None:
    """Write a lake of so many pairs."""
    spark = get_session(folder.parent / "make.log")
    lake = Lake(spark, str(folder))
    lake.ensure("documents", join_columns(DOCUMENTS, TAIL), _PROPERTIES | {"settings": json.dumps(_SETTINGS)})
    lake.ensure("pairs", PAIRS, _PROPERTIES | {"settings": "{}", "upstream": "documents"})
    lake.ensure("runs", RUNS, {}, partition_by=())
    table = language_table()
    codes = [code for code in table if table.get(code).wikipedia][:LANGUAGES]

    def pick(values: list[str], salt: int) -> F.Column:
        return F.element_at(
            F.array(*map(F.lit, values)), F.pmod(F.xxhash64("id", F.lit(salt)), len(values)).cast("int") + 1
        )

    def words(least: int, most: int, salt: int) -> F.Column:
        count = F.pmod(F.xxhash64("id", F.lit(salt)), most - least) + least
        drawn = F.transform(
            F.sequence(F.lit(1), count.cast("int")), lambda at: F.hex(F.xxhash64("id", at, F.lit(salt)))
        )
        return F.array_join(drawn, " ")

    columns = {
        "pair_id": F.sha2(F.col("id").cast("string"), 256),
        "revision": F.lit("0"),
        "language": pick(codes, 1),
        "source": pick(["wikipedia", "culturax", "xp3"], 2),
        "instruction": words(5, 20, 3),
        "output": words(10, 230, 4),
        "split": pick(["train"] * 18 + ["validation", "test"], 5),
        "split_group": F.col("id").cast("string"),
        "license": F.lit("CC-BY-SA-4.0"),
        "origin": F.lit("part-0.parquet"),
        "translator": F.lit("ctranslate2-4.8.5:google/madlad400-3b-mt:int8"),
        "generator": F.lit("openai:mistralai/Mixtral-8x7B-Instruct-v0.1"),
        "back_translator": F.lit("ctranslate2-4.8.5:google/madlad400-3b-mt:int8"),
        "translation_quality": F.pmod(F.xxhash64("id"), 100) / 100,
        "flagged_words": F.array(),
        "output_chars": F.lit(0),
        "batch_id": F.lit(0).cast("long"),
    }
    rows = spark.range(0, pairs, 1, 16).select(
        *(columns.get(each.name, F.lit(None)).cast(each.dataType).alias(each.name) for each in PAIRS.fields)
    )
    lake.append(rows, "pairs", "generated", 0)
    spark.stop()


def measure(command: list[str]) -> tuple[float, float]:
    """Run a command; return its seconds, and the most memory in GiB that it and its children had at once."""
    started, most = time.monotonic(), 0
    process = psutil.Popen(command)
    while process.poll() is None:
        try:
            family = [process, *process.children(recursive=True)]
            most = max(most, sum(each.memory_info().rss for each in family))
        except psutil.NoSuchProcess:
            pass
        time.sleep(1 / _SAMPLES_A_SECOND)
    if process.returncode:
        sys.exit(process.returncode)
    return time.monotonic() - started, most / 2**30


def rows_of(folder: Path) -> int:
    """Return the rows of an export."""
    lines = sum(sum(1 for _ in file.open("rb")) for file in folder.rglob("*.jsonl"))
    return lines + sum(pq.read_metadata(file).num_rows for file in folder.rglob("*.parquet"))


def main() -> int:
    """Make the lake if it is not there, and export it in each form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--forms", nargs="+", default=["muri"], choices=["muri", "extended", "chat"])
    parser.add_argument("--work", type=Path, default=Path("build/bench/export"))
    parser.add_argument("--limit-gib", type=float, default=6.0)
    parser.add_argument("--make-only", action="store_true", help="make the lake, export nothing")
    args = parser.parse_args()
    lake = args.work / f"lake-{args.pairs}"
    if args.make_only:
        make_lake(lake.absolute(), args.pairs)
        (lake / "_made").touch()
        return 0
    if not (lake / "_made").exists():
        shutil.rmtree(lake, ignore_errors=True)
        args.work.mkdir(parents=True, exist_ok=True)
        # In a process of its own, whose memory is not the export's.
        own = [sys.executable, "-m", "benchmarks.export", "--pairs", str(args.pairs), "--work", str(args.work)]
        subprocess.run([*own, "--make-only"], check=True)
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
