"""The line stage on real Spark: a plain-Python oracle, batches and replays, scopes, keep rules, odd rows."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import CLEAN, DEDUP_LINES
from jobs.stages.dedup_lines import (
    LINE_INDEX,
    STAGE,
    DedupLinesSettings,
    dedup_lines,
    deduplicate_lines,
    line_holders,
    remove_lines,
    repeated_lines,
)
from tests.builders import documents

SCHEMA = "doc_id string, url string, source string, language string, text string"
Row = tuple[str, str | None, str, str, str | None]
SETTINGS = DedupLinesSettings(min_unit_chars=4)


def folded(unit: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", unit.lower()))


def units_of(text: str, unit: str) -> list[str]:
    return text.split("\n\n") if unit == "paragraph" else [line for line in text.split("\n") if line]


def scope_of(row: Row, settings: DedupLinesSettings) -> str | None:
    host = re.match(r"https?://(?:www\.)?([^/]+)", row[1] or "")
    return {"site": host and host[1].lower(), "source": row[2], "language": row[3]}[settings.scope]


def order_of(spark: SparkSession, rows: list[Row]) -> dict[str, int]:
    ids = spark.createDataFrame([(row[0],) for row in rows], "doc_id string")
    return {each[0]: each[1] for each in ids.select("doc_id", F.xxhash64("doc_id")).collect()}


class Oracle:
    """The stage in plain Python: all holders of every unit, by batch."""

    def __init__(self, settings: DedupLinesSettings, order: dict[str, int]) -> None:
        self.settings, self.order = settings, order
        self.holders: dict[Any, dict[str, int]] = defaultdict(dict)
        self.batch = 0

    def __call__(self, rows: list[Row]) -> dict[str, tuple[list[str], int]]:
        """The units each document keeps, and how many lines it loses."""
        for row in rows:
            for unit in units_of(row[4] or "", self.settings.unit):
                if scope_of(row, self.settings):
                    self.holders[scope_of(row, self.settings), folded(unit)].setdefault(row[0], self.batch)
        self.batch += 1
        found = {}
        for row in rows:
            units = units_of(row[4] or "", self.settings.unit)
            taken = [self.is_taken(row, unit) for unit in units]
            kept = [unit for unit, goes in zip(units, taken, strict=True) if not goes]
            found[row[0]] = kept, sum(unit.count("\n") + 1 for unit, t in zip(units, taken, strict=True) if t)
        return found

    def repeated(self, rows: list[Row]) -> set[Any]:
        """The units of a batch that enough documents held so far."""
        units = {
            (scope_of(row, self.settings), folded(unit)) for row in rows for unit in units_of(row[4] or "", "line")
        }
        return {
            unit
            for unit in units
            if len(unit[1]) >= self.settings.min_unit_chars and len(self.holders[unit]) >= self.settings.min_documents
        }

    def is_taken(self, row: Row, unit: str) -> bool:
        holders = self.holders.get((scope_of(row, self.settings), folded(unit)), {})
        is_judged = len(folded(unit)) >= self.settings.min_unit_chars
        if not is_judged or len(holders) < self.settings.min_documents:
            return False
        first = min(holders, key=lambda doc_id: (holders[doc_id], self.order[doc_id]))
        return self.settings.keep == "none" or row[0] != first


def corpus(seed: int, count: int = 40) -> list[Row]:
    """Documents of a few lines, drawn from a small stock in two spellings."""
    rng = random.Random(seed)
    stock = [f"Line {i}, the same" for i in range(60)] + ["a b", "---", "ok!"]
    hosts = ["https://www.One.org/", "http://one.org/", "https://two.org/", "https://a.two.org/", "none", None]
    rows = []
    for place in range(count):
        paragraphs = []
        for _ in range(rng.randint(0, 4)):
            lines = rng.choices(stock, k=rng.randint(1, 2))
            paragraphs.append("\n".join(line.upper() if rng.random() < 0.3 else line for line in lines))
        host = rng.choice(hosts)
        url = host and f"{host}{place}"
        source, language = rng.choice(["web", "news"]), rng.choice(["cat_Latn", "epo_Latn"])
        rows.append((f"d{place}", url, source, language, "\n\n".join(paragraphs)))
    return rows


def frame(spark: SparkSession, rows: list[Row], partitions: int = 2) -> DataFrame:
    return spark.createDataFrame(rows, SCHEMA).repartition(partitions).persist()


def answer(rows: DataFrame, settings: DedupLinesSettings) -> dict[str, tuple[list[str], int]]:
    return {row["doc_id"]: (units_of(row["text"], settings.unit) if row["text"] else [], row["deduped_lines"])
            for row in rows.collect()}  # fmt: skip


@pytest.mark.parametrize(
    ("partitions", "changes"),
    [
        (1, {}),
        (7, {"unit": "paragraph", "scope": "language", "min_documents": 2}),
    ],
    ids=["lines", "paragraphs"],
)
def test_what_enough_documents_share_goes(spark: SparkSession, partitions: int, changes: dict[str, Any]) -> None:
    settings = SETTINGS.model_copy(update=changes)
    rows = corpus(partitions)
    expected = Oracle(settings, order_of(spark, rows))(rows)
    made = deduplicate_lines(frame(spark, rows, partitions), settings)
    assert made.schema.fieldNames() == [*SCHEMA.replace(" string", "").split(", "), *DEDUP_LINES.fieldNames()]
    assert answer(made, settings) == {doc_id: (kept if any(kept) else [], n) for doc_id, (kept, n) in expected.items()}
    lost = [n for _, n in expected.values()]
    assert 5 < sum(map(bool, lost)) < len(rows), "some documents lose lines, some do not"


def test_batches_decide_with_earlier_ones_and_a_replay_decides_the_same(spark: SparkSession) -> None:
    settings = SETTINGS.model_copy(update={"scope": "source", "keep": "first", "min_documents": 2})
    # Documents come again: a line that only one has must not count twice for its own new revision.
    again = [(*row[:4], f"{row[4]}\n\nthe line only {row[0]} has") for row in corpus(5, 8)]
    others = corpus(6, 40)[8:]
    batches = [[*again, *others[:16]], [*others[16:], *again]]
    oracle = Oracle(settings, order_of(spark, again + others))
    index: list[tuple[bytes, int, int]] = []
    for number, rows in enumerate(batches):
        docs = frame(spark, rows)
        old = spark.createDataFrame(index, LINE_INDEX) if number else None
        new = line_holders(docs, settings).persist()
        index += [(bytes(each.hash), each.document, number) for each in new.collect()]
        expected = oracle(rows)
        repeated = repeated_lines(new, old, settings).persist()
        assert repeated.count() == len(oracle.repeated(rows))
        assert answer(remove_lines(docs, repeated, settings), settings) == expected
    replayed, new_again = dedup_lines(frame(spark, batches[1], 1), old, settings)
    assert answer(replayed, settings) == expected
    assert sorted(new_again.collect()) == sorted(new.collect())


def test_of_the_holders_of_a_unit_no_more_are_kept_than_decide(spark: SparkSession) -> None:
    ids = spark.range(500, numPartitions=4).select(F.col("id").cast("string").alias("doc_id"))
    docs = ids.withColumns({"url": F.lit("http://a.org"), "text": F.concat(F.lit("The Foot\nown "), "doc_id")})
    holders = line_holders(docs, SETTINGS)
    of_unit = sorted(row["count"] for row in holders.groupBy("hash").count().collect())
    assert of_unit == [1] * 500 + [3]
    plan = holders._jdf.queryExecution().executedPlan().toString()
    assert plan.count("WindowGroupLimit") == 2, "the limit holds before the shuffle too"


def test_documents_of_a_lake(spark: SparkSession) -> None:
    foot, body = "Read more of our stories here", "A body of its own, number {}. " * 9
    texts = [f"{foot}\n{body.format(*[place] * 9)}\n\n{foot.upper()}!\n" for place in range(3)]
    rows: list[dict[str, Any]] = [{"url": "https://a.org/1", "text": text} for text in texts]
    rows += [
        {"url": "https://www.A.org/2", "text": f"{foot}\n\n", "title": foot, "title_from": "headline"},
        {"url": "https://b.org/", "text": f"{foot}\nelsewhere"},
        {"url": "http://[a.org/", "text": foot},
        {"url": None, "text": f"\n\n\n{foot}\n\n\n"},
        {"url": "https://a.org/3", "text": ""},
        {"url": "https://a.org/4", "text": "\n \n\n"},
        {"url": "https://a.org/5", "text": "x" * 300_000},
    ]
    docs = documents(spark, rows, CLEAN).persist()
    settings = DedupLinesSettings(min_unit_chars=20)
    made = deduplicate_lines(docs, settings).persist()
    assert made.schema.fieldNames() == [*docs.columns, *DEDUP_LINES.fieldNames()]
    found = {row["doc_id"]: row for row in made.collect()}
    assert len(found) == len(rows)
    for before in docs.collect():
        after = found[before["doc_id"]]
        assert after["text_chars"] == len(after["text"]) == len(before["text"]) - after["deduped_chars"]
        untouched = set(docs.columns) - {"text", "text_chars", "title", "title_from", "rejected_for", "detail"}
        assert all(after[name] == before[name] for name in untouched)
        if before["url"] in ("https://a.org/1", "https://www.A.org/2"):
            assert foot.lower() not in after["text"].lower()
        else:
            assert (after["text"], after["deduped_lines"], after["deduped_chars"]) == (before["text"], 0, 0)
    (short,) = [row for row in found.values() if row["rejected_for"]]
    assert (short["url"], short["text"], short["deduped_lines"]) == ("https://www.A.org/2", "", 1)
    assert short["rejected_for"] == [Reason.LINES_TOO_SHORT]
    assert short["detail"].endswith(": 0")
    assert (short["title"], short["title_from"]) == (None, None)


def test_other_documents(spark: SparkSession) -> None:
    rows: list[Row] = [(str(i), "http://a.org", "s", "l", "One Line Here\n\nmore") for i in range(3)]
    rows += [("null", "http://a.org", "s", "l", None)]
    docs = frame(spark, rows).withColumn("doc_id", F.concat("doc_id", F.lit(""))).withColumn("hash", F.lit("mine"))
    made = deduplicate_lines(docs.withColumn("deduped_lines", F.lit(9)), SETTINGS)
    assert {row["doc_id"]: (row["text"], row["deduped_lines"]) for row in made.collect()} == {
        **{str(i): ("", 2) for i in range(3)},
        "null": (None, 0),
    }
    with pytest.raises(ValueError, match="needs the columns url,"):
        deduplicate_lines(docs.drop("url"), SETTINGS)


def test_the_stage_says_what_it_adds() -> None:
    assert (STAGE.name, STAGE.settings, STAGE.adds) == ("dedup_lines", DedupLinesSettings, DEDUP_LINES)
    assert STAGE.transform is None
