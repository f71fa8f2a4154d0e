"""Peak memory and time of `backprompt report` over a lake of generated pairs.

    python -m benchmarks.report_memory --pairs 1000000 --work /tmp/report-bench

Makes a table `pairs` (and a table `documents` of as many rows, some rejected) by Spark alone, then runs the command
in a
process of its own and watches the resident memory of it and of all that it starts: Python, Java, workers.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import psutil
from pyspark.sql import functions as F

from jobs.runtime.lake import Lake
from jobs.runtime.schema import DOCUMENTS, PAIRS, TAIL, join_columns
from jobs.runtime.session import get_session

LANGUAGES = ("cat_Latn", "arb_Arab", "hin_Deva", "tha_Thai", "rus_Cyrl", "amh_Ethi", "zho_Hans", "eng_Latn")
VERBS = ("Write", "Describe", "Explain", "List", "Summarise", "Find")
NOUNS = ("a story", "the process", "the rules", "five examples", "a recipe", "how it works")


def make(lake: Lake, rows: int) -> None:
    """Make the tables; texts of about 1,000 characters, all different."""
    number = F.col("id")
    picked = {
        name: F.element_at(
            F.array(*map(F.lit, values)), (F.pmod(F.xxhash64(number, F.lit(name)), len(values)) + 1).cast("int")
        )
        for name, values in (("language", LANGUAGES), ("verb", VERBS), ("noun", NOUNS))
    }
    digest = F.sha2(number.cast("string"), 256)
    base = lake.spark.range(0, rows, 1, 32).select(
        digest.alias("key"), number, *(column.alias(name) for name, column in picked.items())
    )
    text = F.concat_ws(" ", *(F.sha2(F.concat("key", F.lit(str(part))), 256) for part in range(15)))
    instruction = F.concat_ws(" ", "verb", "noun", F.lit("about"), "key")
    values = {
        "pair_id": F.col("key"),
        "doc_id": F.col("key"),
        "revision": F.lit("0"),
        "language": F.col("language"),
        "source": F.concat(F.lit("source-"), F.col("id") % 5),
        "instruction": instruction,
        "instruction_en": instruction,
        "output": text,
        "text": text,
        "split": F.when(F.col("id") % 20 == 0, "test").otherwise("train"),
        "split_group": F.col("id").cast("string"),
        "license": F.lit("CC0-1.0"),
        "origin": F.lit("generated"),
        "generator": F.lit("template-v1:text"),
        "output_chars": F.char_length(text),
        "text_chars": F.char_length(text),
        "hate_score": (F.col("id") % 100) / 100,
        "batch_id": F.lit(0),
        "document_batch": F.lit(0),
        "rejected_for": F.when(F.col("id") % 3 == 0, F.array(F.lit("source.flagged"))).otherwise(F.array()),
    }
    for table, schema in (("pairs", PAIRS), ("documents", join_columns(DOCUMENTS, TAIL))):
        own = values if table == "pairs" else {name: values[name] for name in values if name != "instruction"}
        columns = [own.get(field.name, F.lit(None)).cast(field.dataType).alias(field.name) for field in schema.fields]
        properties = {"recipe": "generated", "settings": "{}", "fingerprint": "0", "generation": "0"}
        lake.ensure(table, schema, properties | ({"upstream": "documents"} if table == "pairs" else {}))
        lake.append(base.select(*columns), table, "generated", 0)


def watched(command: list[str]) -> tuple[int, float, float]:
    """Run a command; return its exit code, seconds, and the most resident memory of its whole tree in GiB."""
    started, peak = time.monotonic(), 0
    process = subprocess.Popen(command)
    while process.poll() is None:
        memory = 0
        try:
            tree = psutil.Process(process.pid)
            for each in (tree, *tree.children(recursive=True)):
                try:
                    # Forked workers share pages with each other: counted once.
                    memory += each.memory_full_info().pss
                except psutil.Error:
                    continue
        except psutil.Error:
            break
        peak = max(peak, memory)
        time.sleep(0.5)
    return process.wait(), time.monotonic() - started, peak / 2**30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--make-only", action="store_true")
    args = parser.parse_args()
    folder = args.work / f"lake-{args.pairs}"
    if not folder.exists():
        # In a process of its own, so that its Java is gone when the report is measured.
        if not args.make_only:
            made = ["--pairs", str(args.pairs), "--work", str(args.work), "--make-only"]
            subprocess.run([sys.executable, "-m", "benchmarks.report_memory", *made], check=True)
        else:
            args.work.mkdir(parents=True, exist_ok=True)
            lake = Lake(get_session(args.work / "make.log"), str(folder))
            lake.create()
            make(lake, args.pairs)
    if args.make_only:
        return 0
    output = args.work / "report.html"
    code, seconds, peak = watched(
        [
            *(sys.executable, "-m", "jobs", "report", "--lake", str(folder)),
            *("--output", str(output), "--log", str(args.work / "report.log")),
        ]
    )
    size = output.stat().st_size / 1e6 if output.exists() else 0
    print(f"{args.pairs:,} pairs: exit {code}, {seconds:.0f} s, peak {peak:.2f} GiB, report of {size:.1f} MB")
    return code


if __name__ == "__main__":
    sys.exit(main())
