"""The line rules on real pages whose lines were marked by hand, before the rules were written."""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from udfs.cleaning import clean
from udfs.cleaning.lines import CODES

DATA = Path(__file__).parents[2] / "data" / "boilerplate"
DEMO = Path(__file__).parents[3] / "data" / "demo"
PRECISION, RECALL = 0.95, 0.7
# Of what notices.tsv.gz marks, whose lines were looked at when the lists were mended.
NOTICE_RECALL = {"cookie": 0.9, "login": 0.85, "share": 0.9}


def marked(part):
    """Return by page its language and its lines as (mark, line)."""
    pages = defaultdict(list)
    with (DATA / f"{part}.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            pages[row["page"], row["language"]].append((row["mark"], row["line"]))
    return pages


def judged(lines, rules, nothing):
    """Return (mark, line, code or None) of one page's lines that are not empty.

    Which of two equal lines stays does not matter, so that the one that should may stand for the one that does.
    """
    cleaned = [(mark, clean.normalise(line)) for mark, line in lines]
    result = clean.clean("\n".join(line for _, line in cleaned), "und_Zyyy", rules, nothing)
    taken = defaultdict(list)
    for code, line in result.removed_text:
        taken[line].append(code)
    out = []
    for mark, line in sorted((pair for pair in cleaned if pair[1]), key=lambda pair: pair[0] == "keep"):
        out.append((mark, line, taken[line].pop(0) if taken[line] else None))
    assert not any(taken.values())
    return out


@pytest.fixture(scope="module")
def parts(rules, nothing):
    return {
        part: [row for lines in marked(part).values() for row in judged(lines, rules, nothing)]
        for part in ("tuned", "held_out")
    }


def shares(rows):
    removed = [mark for mark, _, code in rows if code]
    furniture = [code for mark, _, code in rows if mark != "keep"]
    precision = sum(mark != "keep" for mark in removed) / len(removed)
    return precision, sum(code is not None for code in furniture) / len(furniture)


def report(part, rows):
    precision, recall = shares(rows)
    print(f"\n{part}: {len(rows)} lines, precision {precision:.3f}, recall {recall:.3f}")
    right, wrong = Counter(), Counter()
    for mark, _, code in rows:
        if code:
            (wrong if mark == "keep" else right)[code] += 1
    print("  rule         removed  precision")
    for code in CODES:
        if count := right[code] + wrong[code]:
            print(f"  {code:12} {count:7}  {right[code] / count:9.3f}")
    found = Counter(mark for mark, _, code in rows if code)
    print("  marked as      lines     recall")
    for mark, count in sorted(Counter(mark for mark, _, _ in rows).items()):
        if mark != "keep":
            print(f"  {mark:12} {count:7}  {found[mark] / count:9.3f}")


def test_enough_lines_of_enough_languages_are_marked():
    pages = marked("tuned") | marked("held_out")
    assert len({language for _, language in pages}) >= 8
    assert sum(map(len, pages.values())) >= 400
    held_out = sum(map(len, marked("held_out").values()))
    assert held_out >= 0.25 * sum(map(len, pages.values()))


@pytest.mark.parametrize("part", ["tuned", "held_out", "all"])
def test_precision_and_recall(parts, part):
    rows = parts["tuned"] + parts["held_out"] if part == "all" else parts[part]
    report(part, rows)
    precision, recall = shares(rows)
    assert precision >= PRECISION
    assert recall >= RECALL


def test_notices_of_whole_sentences_are_found(rules, nothing):
    """Cookies, newsletters, comment forms: single marked lines of pages most of which is not marked."""
    pages = defaultdict(list)
    with gzip.open(DATA / "notices.tsv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            pages[row["page"]].append((row["mark"], clean.normalise(row["line"])))
    marked, removed = Counter(), Counter()
    for lines in pages.values():
        gone = {
            line
            for _, line in clean.clean("\n".join(line for _, line in lines), "und_Zyyy", rules, nothing).removed_text
        }
        marked.update(mark for mark, _ in lines if mark)
        removed.update(mark for mark, line in lines if mark and line in gone)
    print("\nnotices: " + ", ".join(f"{mark} {removed[mark]} of {count}" for mark, count in sorted(marked.items())))
    assert removed["keep"] == 0 < marked["keep"]
    assert all(removed[mark] >= share * marked[mark] > 0 for mark, share in NOTICE_RECALL.items())


@pytest.mark.parametrize("corpus", ["wikipedia", "culturax"])
def test_texts_without_furniture_keep_their_lines(rules, nothing, corpus):
    """Headings, verses, lists and formulas of articles, news and speeches: none is taken for navigation."""
    lines = 0
    removed: Counter[str] = Counter()
    for path in sorted((DEMO / corpus).glob("*/*.parquet")):
        for text in pq.read_table(path, columns=["text"]).column(0).to_pylist():
            result = clean.clean(text, "und_Zyyy", rules, nothing)
            lines += len(text.split("\n"))
            removed.update({each.rule: each.lines for each in result.removed})
    assert lines > 5000
    unsure = removed.total() - removed["repeated"] - removed["url"]
    print(f"\n{corpus}: {lines} lines, removed {dict(removed)}")
    assert unsure <= lines / 5000
