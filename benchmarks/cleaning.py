"""Clean web pages with ours and with datatrove's quality filters: documents a second, one process each.

    python -m benchmarks.cleaning [--pages PAGES.parquet] [--datatrove FOLDER] [--language deu_Latn] [--rounds 3]

PAGES has a column ``text``; without it, the pages of the boilerplate tests are used. All are taken to be in one
language, so that no filter loads the tokenizers of many. Ours mends, normalises, masks, takes lines out and measures;
datatrove's filters decide whether a document stays. Each side is a process of its own, which loads and warms up before
the clock runs; the round with the least CPU time counts. datatrove's chain is run as its pipelines run it: a document
that one filter rejects does not reach the next. A filter that rejects by its first count, as FineWeb's often does, has
looked at little of a document: how many pass is printed. FOLDER is where datatrove is installed apart from ours:

    pip install --target FOLDER -r benchmarks/datatrove.txt
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

MARKED = Path(__file__).resolve().parents[1] / "tests" / "data" / "boilerplate"
SIDES = ("ours", "gopher_repetition", "gopher_quality", "c4", "fineweb", "datatrove_chain")


def our_cleaner(language: str) -> Callable[[str], object]:
    """Return the kernel of the stage with its default settings."""
    from jobs.runtime.conf import cleaning_lists
    from jobs.stages.clean import CleanSettings
    from udfs.cleaning.clean import clean
    from udfs.cleaning.lines import LineRules
    from udfs.cleaning.personal_data import PersonalDataPlan
    from udfs.cleaning.phrases import compiled

    settings, lists = CleanSettings(), cleaning_lists()
    rules = LineRules(compiled(lists.phrases), settings.min_repeated_line_chars, settings.around_body)
    personal = PersonalDataPlan(settings.pii.actions(), lists.phone_words, lists.regions)
    return lambda text: clean(text, language, rules, personal)


def their_filters(side: str, language: str) -> Callable[[str], object]:
    """Return one of datatrove's filters, or all of them in the order of FineWeb."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    makers = {
        "gopher_repetition": lambda: GopherRepetitionFilter(language=language),
        "gopher_quality": lambda: GopherQualityFilter(language=language),
        "c4": lambda: C4QualityFilter(filter_no_terminal_punct=False, language=language),
        "fineweb": lambda: FineWebQualityFilter(language=language),
    }
    filters = [make() for name, make in makers.items() if side in (name, "datatrove_chain")]

    def passes(text: str) -> bool:
        document = Document(text=text, id="")
        return all(each.filter(document) is True for each in filters)

    return passes


def read_pages(pages: Path | None) -> list[str]:
    """Return the texts of a Parquet file, or the marked pages of the tests."""
    if pages:
        import pyarrow.parquet as pq

        return [text for text in pq.read_table(pages, columns=["text"]).column(0).to_pylist() if text]
    lines = defaultdict(list)
    for path in sorted(MARKED.glob("*.tsv*")):
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                if "line" in row:
                    lines[row["page"]].append(row["line"])
    return ["\n".join(page) for page in lines.values()]


def run_side(options: argparse.Namespace) -> None:
    """Print the best round's seconds."""
    texts = read_pages(options.pages)
    side, language = options.side, options.language
    work = our_cleaner(language) if side == "ours" else their_filters(side, language)
    for text in texts[:20]:
        work(text)
    best, passed = float("inf"), 0
    for _ in range(options.rounds):
        started = time.process_time()
        passed = sum(work(text) is True for text in texts)
        best = min(best, time.process_time() - started)
    print(json.dumps({"documents": len(texts), "characters": sum(map(len, texts)), "seconds": best, "passed": passed}))


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=Path)
    parser.add_argument("--datatrove", type=Path)
    parser.add_argument("--language", default="deu_Latn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run_side(options)
        return 0
    speeds: dict[str, float] = {}
    for side in SIDES:
        environment = dict(os.environ)
        if options.datatrove and side != "ours":
            environment["PYTHONPATH"] = f"{options.datatrove}{os.pathsep}{environment.get('PYTHONPATH', '')}"
        command = [sys.executable, "-m", "benchmarks.cleaning", *sys.argv[1:], "--side", side]
        made = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
        if made.returncode:
            print(f"{side} failed; of datatrove, see --help")
            return 1
        result = json.loads(made.stdout.splitlines()[-1])
        speeds[side] = result["documents"] / result["seconds"]
        passed = "" if side == "ours" else f"   {result['passed']} of {result['documents']} pass"
        megabytes = result["characters"] / 1e6 / result["seconds"]
        print(
            f"{side:20} {speeds[side]:8.1f} docs/s {megabytes:7.2f} M chars/s   "
            f"ours is {speeds['ours'] / speeds[side]:5.2f} times as fast{passed}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
