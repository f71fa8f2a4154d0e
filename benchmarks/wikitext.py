"""From a Wikipedia dump to plain text: ours against wikiextractor and mwparserfromhell, on the same dumps, in one run.

    python benchmarks/wikitext.py [--wikiextractor PYTHON] [--rounds N] [DUMP ...]

Each tool works alone in one process and on one core, from the file to the texts, reading included: ours with the code
that Spark's tasks run; wikiextractor, in the interpreter PYTHON, with its own reader and its extractor without the
dump's templates (``--no-templates``); mwparserfromhell with our reader and its ``strip_code``. Rounds alternate; the
least CPU time counts, start-up and imports apart. MB are of unpacked XML.

The second table is what each keeps of the texts, in characters that are no white space: wikiextractor once as it comes,
which drops list items, against ours without them, and once with lists (``--html``, its tags taken off). Articles of
which ours keeps a tenth more or less are named with ``--articles``.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import importlib
import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DUMPS = ROOT / "tests" / "data" / "wikipedia"
TOLERANCE = 0.1
Texts = dict[str, list[str]]


def unpacked(dump: Path) -> bytes:
    content = dump.read_bytes()
    return {".bz2": bz2.decompress, ".gz": gzip.decompress}.get(dump.suffix, bytes)(content)


def articles(dump: Path) -> Iterator[tuple[str, str, str]]:
    """Yield id, title and wikitext of a dump's articles, by the code of our source."""
    from udfs.pages import parse_piece
    from udfs.records import CorpusFile

    file = CorpusFile("", str(dump), dump.name, edition="x")
    for piece in unpacked(dump).split(b"</page>"):
        for record in parse_piece(piece, file):
            if record.reason is None:
                yield record.corpus_key or "", record.title or "", record.text or ""


def ours(dump: Path) -> Texts:
    from udfs.wikitext import read_wikitext

    texts = {}
    for key, title, wikitext in articles(dump):
        page = read_wikitext(wikitext, title=title)
        texts[key.partition(":")[2]] = [page.text, str(page.list_share)]
    return texts


def mwparserfromhell(dump: Path) -> Texts:
    import mwparserfromhell as parser

    return {key.partition(":")[2]: [parser.parse(wikitext).strip_code()] for key, _, wikitext in articles(dump)}


def wikiextractor(dump: Path, is_html: bool = False) -> Texts:
    program = importlib.import_module("wikiextractor.WikiExtractor")
    extractor = importlib.import_module("wikiextractor.extract").Extractor

    logging.disable(logging.CRITICAL)
    program.templateNamespace = "Template:"  # read from the dump's header by its main(); pages of it are left out
    texts = {}
    with program.decode_open(str(dump)) as stream:
        for key, revision, title, page in program.collect_pages(stream):
            made = extractor(key, revision, "", title, page, HtmlFormatting=is_html)
            texts[key] = ["\n".join(made.clean_text("".join(page), expand_templates=False, html_safe=False))]
    return texts


TOOLS: dict[str, Callable[[Path], Texts]] = {
    "ours": ours,
    "wikiextractor": wikiextractor,
    "mwparserfromhell": mwparserfromhell,
    "wikiextractor with lists": lambda dump: wikiextractor(dump, is_html=True),
}


def work(tool: str, dumps: list[Path]) -> None:
    """Run a tool in this process; print CPU seconds, and the characters of each article by dump."""
    run = TOOLS[tool]
    run(min(dumps, key=lambda dump: dump.stat().st_size))  # imports, and compiles patterns
    start = time.process_time()
    texts = [run(dump) for dump in dumps]
    seconds = time.process_time() - start
    tags = re.compile(r"</?(?:ul|ol|dl|li|dt|dd|h\d|b|i)>|\s")
    sizes = [
        {key: [len(tags.sub("", text)), *map(float, rest)] for key, (text, *rest) in each.items()} for each in texts
    ]
    print(json.dumps({"seconds": seconds, "sizes": sizes}))


def measure(python: str, tool: str, dumps: list[Path]) -> tuple[float, list[dict[str, list[float]]]]:
    command = [python, __file__, "--work", tool, *map(str, dumps)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)})
    result = json.loads(done.stdout)
    return result["seconds"], result["sizes"]


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("--wikiextractor", metavar="PYTHON", help="interpreter that has wikiextractor")
    cli.add_argument("--rounds", type=int, default=3)
    cli.add_argument("--articles", action="store_true", help="name the articles whose volume differs by a tenth")
    cli.add_argument("--work", choices=TOOLS, help=argparse.SUPPRESS)
    cli.add_argument("dumps", nargs="*", type=Path, default=sorted(DUMPS.rglob("*.xml.bz2")))
    args = cli.parse_args()
    if args.work:
        work(args.work, args.dumps)
        return
    pythons = {"ours": sys.executable, "mwparserfromhell": sys.executable}
    if args.wikiextractor:
        pythons["wikiextractor"] = args.wikiextractor
    seconds: dict[str, list[float]] = {tool: [] for tool in pythons}
    sizes = {}
    for _ in range(args.rounds):
        for tool, python in pythons.items():
            spent, sizes[tool] = measure(python, tool, args.dumps)
            seconds[tool].append(spent)
    megabytes = sum(len(unpacked(dump)) for dump in args.dumps) / 1e6
    best = min(seconds["ours"])
    print(f"{len(args.dumps)} dumps, {megabytes:.1f} MB unpacked, {sum(map(len, sizes['ours'])):,} articles")
    print(f"{'':<20}{'MB/s a core':>12}{'ours over it':>14}")
    for tool, spent in seconds.items():
        print(f"{tool:<20}{megabytes / min(spent):>12.2f}{min(spent) / best:>14.1f}")
    if args.wikiextractor:
        sizes["with lists"] = measure(args.wikiextractor, "wikiextractor with lists", args.dumps)[1]
        print_volumes(args.dumps, sizes, args.articles)


def print_volumes(dumps: list[Path], sizes: dict[str, list[dict[str, list[float]]]], is_by_article: bool) -> None:
    print(f"\n{'characters':<34}{'ours':>11}{'theirs':>11}{'ratio':>7}{'no lists':>11}{'theirs':>11}{'ratio':>7}")
    totals = [0.0] * 4
    articles_beyond = []
    for number, dump in enumerate(dumps):
        row = [0.0] * 4
        for key, (size, list_share) in sizes["ours"][number].items():
            theirs = [sizes[tool][number].get(key, [0])[0] for tool in ("with lists", "wikiextractor")]
            row = [a + b for a, b in zip(row, (size, theirs[0], size * (1 - list_share), theirs[1]), strict=True)]
            if abs(size - theirs[0]) > TOLERANCE * theirs[0]:
                articles_beyond.append((dump.name, key, size, theirs[0]))
        totals = [a + b for a, b in zip(totals, row, strict=True)]
        if len(dumps) <= 12 or abs(row[0] - row[1]) > TOLERANCE * row[1]:
            print_volume(dump.name[:32], row)
    print_volume("all", totals)
    print(f"{len(articles_beyond)} articles differ by more than a tenth")
    for line in articles_beyond if is_by_article else ():
        print(*line)


def print_volume(name: str, row: list[float]) -> None:
    ratios = [row[at] / row[at + 1] if row[at + 1] else float("nan") for at in (0, 2)]
    print(f"{name:<34}{row[0]:>11,.0f}{row[1]:>11,.0f}{ratios[0]:>7.3f}", end="")
    print(f"{row[2]:>11,.0f}{row[3]:>11,.0f}{ratios[1]:>7.3f}")


if __name__ == "__main__":
    main()
