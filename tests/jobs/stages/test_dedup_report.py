"""The report on near-duplicate removal: numbers against plain Python, odd texts, odd tables."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.runtime.errors import BackpromptError
from jobs.stages.dedup import DedupSettings, deduplicate
from jobs.stages.dedup_report import (
    SHARES_SHOWN,
    Cluster,
    DedupReport,
    EstimateCheck,
    Member,
    Share,
    SizeBin,
    as_json,
    as_markdown,
    exact_similarities,
    size_bins,
    summarise,
)
from udfs.sampling import position

SETTINGS = DedupSettings(scope="all", threshold=0.7)
SCHEMA = (
    "doc_id string, text string, duplicate_of string, cluster_id string, cluster_size long, similarity double, "
    "language string, source string, rejected_for array<string>, batch_id long"
)
RNG = random.Random(5)
WORDS = ["".join(RNG.choices("abcdefghijklmnopqrstuvwxyz", k=RNG.randint(3, 9))) for _ in range(400)]


def prose(seed: int, changed: int = 0) -> str:
    """Sixty words; the same seed gives the same text but for ``changed`` words, spread over it."""
    words = random.Random(seed).choices(WORDS, k=60)
    for place in range(changed):
        words[(place * 11 + 5) % 60] = f"changed{place}"
    return " ".join(words)


def shingles(text: str, chars: int = 9) -> set[str]:
    plain = " ".join(re.findall("[a-z0-9]+", text.lower()))
    return {plain[at : at + chars] for at in range(len(plain) - chars + 1)}


def jaccard(one: str, other: str) -> float:
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def row(doc_id: str, text: str | None = None, like: tuple[str, str, float] | None = None, **others: Any) -> tuple:
    """A row; ``like`` is duplicate_of, cluster_id and similarity."""
    like_of, cluster, similarity = like or (None, others.get("cluster"), None)
    batch, reasons = others.get("batch", 0), others.get("reasons", ["dedup.duplicate"] if like else [])
    language, source = others.get("language", "eng_Latn"), others.get("source", "web")
    return doc_id, text, like_of, cluster, None, similarity, language, source, reasons, batch


def frame(spark: SparkSession, rows: list[tuple], partitions: int = 2) -> DataFrame:
    return spark.createDataFrame(rows, SCHEMA).repartition(partitions)


def report(**changed: Any) -> DedupReport:
    values: dict[str, Any] = {
        "threshold": 0.8, "verify": "estimate", "documents": 10, "duplicates": 4, "share": 0.4, "superseded": 0,
        "kept_elsewhere": 0, "sizes": (SizeBin(1, 1, 5, 5), SizeBin(3, 4, 1, 5)), "shares": {}, "estimate": None,
        "largest": (),
    }  # fmt: skip
    return DedupReport(**(values | changed))


def member(text: str | None, similarity: float | None = None) -> Member:
    return Member("id", similarity, "arb_Arab", "web", text)


# Without Spark ----------------------------------------------------------------------------------------------------


def test_bins_end_at_powers_of_two() -> None:
    bins = size_bins(dict.fromkeys(range(1, 18), 1))
    assert [(each.least, each.most) for each in bins] == [(1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, 32)]
    assert [each.clusters for each in bins] == [1, 1, 2, 4, 8, 1]
    assert [each.documents for each in bins] == [1, 2, 7, 26, 100, 17]
    assert size_bins({2**20: 1, 1: 0, 2**20 + 1: 3}) == (
        SizeBin(2**19 + 1, 2**20, 1, 2**20),
        SizeBin(2**20 + 1, 2**21, 3, 3 * (2**20 + 1)),
    )
    assert size_bins({}) == ()


def test_exact_similarity_is_that_of_the_sets_of_shingles() -> None:
    # More pairs than are measured at once.
    left = [prose(seed) for seed in range(300)]
    right = [prose(seed, seed % 8) for seed in range(300)]
    expected = [jaccard(*pair) for pair in zip(left, right, strict=True)]
    assert exact_similarities(left, right, SETTINGS) == pytest.approx(expected)
    assert len({round(each, 2) for each in expected}) > 5


def test_texts_without_letters_are_alike_if_they_are_the_same() -> None:
    assert exact_similarities(["!!!", "!!!", "", "!"], ["!!!", "???", "", prose(1)], SETTINGS).tolist() == [1, 0, 1, 0]


def test_markdown_escapes_texts_and_keeps_right_to_left_ones_apart() -> None:
    odd = "<script>a|b</script> *x* [y](z) `c`\n# not a heading\r\n\n- nor a list \u202e \x1b[31m & $m$"
    hebrew = "שלום עולם"
    cluster = Cluster("id", 3, 1, member(odd), (member(hebrew, 0.8125), member(None, 0.9)))
    shares = {"source": (Share("a|b<c>\nd", 10, 4, 0.4), Share(None, 1, 0, 0.0))}
    text = as_markdown(report(shares=shares, largest=(cluster,)))
    assert "<script>" not in text
    assert "&lt;script&gt;a\\|b&lt;/script&gt; \\*x\\* \\[y\\](z) \\`c\\` # not a heading - nor a list" in text
    assert "&amp; \\$m\\$" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert f"\u2068{hebrew}\u2069" in text
    assert "- 0.812: " in text
    assert "(not in this table)" in text
    source_rows = [line for line in text.splitlines() if "a\\|b" in line and line.startswith("|")]
    assert source_rows == ["| \u2068a\\|b&lt;c&gt; d\u2069 | 10 | 4 | 40.0% |"]
    assert "(none)" in text
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Near-duplicates",
        "## Clusters by size",
        "## Duplicates by source",
        "## The largest clusters",
        "### 1. 3 documents, kept: 1",
    ]


def test_markdown_tells_the_numbers() -> None:
    check = EstimateCheck(2_000, -0.00123, 0.02, 0.0712, {"0.8": 0.1, "0.75": 0.01})
    text = as_markdown(report(documents=12_345, superseded=3, kept_elsewhere=1_002, estimate=check))
    for part in ("12,345 documents", "(40.0%)", "compared: 3.", "hold: 1,002.", "2,000 pairs", "-0.0012", "0.0712"):
        assert part in text
    assert "| exact similarity below 0.75 | 1.0% of pairs |" in text
    assert "| 3-4 | 1 | 5 |" in text


def test_a_long_list_of_shares_is_cut_in_markdown_and_whole_in_json() -> None:
    shares = tuple(Share(f"l{place:03d}", 1, 0, 0.0) for place in range(SHARES_SHOWN + 7))
    made = report(shares={"language": shares})
    assert "And 7 more" in as_markdown(made)
    assert f"l{SHARES_SHOWN:03d}" not in as_markdown(made)
    assert len(json.loads(as_json(made))["shares"]["language"]) == SHARES_SHOWN + 7


def test_json_holds_all_and_keeps_scripts() -> None:
    cluster = Cluster("id", 2, 1, member("שלום <|>"), (member(None, 0.9),))
    text = as_json(report(largest=(cluster,), estimate=EstimateCheck(1, 0.0, 0.0, 0.0, {"0.8": 0.0})))
    assert "שלום <|>" in text
    values = json.loads(text)
    assert values["largest"][0]["duplicates"] == [
        {"doc_id": "id", "similarity": 0.9, "language": "arb_Arab", "source": "web", "text": None}
    ]
    assert values["sizes"][1] == {"least": 3, "most": 4, "clusters": 1, "documents": 5}
    assert values["estimate"]["below"] == {"0.8": 0.0}


# With Spark -------------------------------------------------------------------------------------------------------


def test_real_decisions_are_summed_up_as_plain_python_does(spark: SparkSession) -> None:
    rows = [
        (100 * family + member, prose(family, member), ("cat_Latn", "spa_Latn")[family % 2], f"s{member % 3}")
        for family in range(12)
        for member in range(family % 5 + 1)
    ]
    # Ids of another name and type than in a lake, and no batches.
    docs = spark.createDataFrame(rows, "number long, body string, language string, source string").repartition(3)
    decided = deduplicate(docs, SETTINGS, "body", key="number").persist()
    found = decided.collect()
    assert any(each["duplicate_of"] for each in found)
    actual = summarise(decided, "body", SETTINGS, key="number")

    duplicates = [each for each in found if each["duplicate_of"]]
    clusters = Counter(each["cluster_id"] for each in found if each["cluster_id"])
    alone = sum(each["cluster_id"] is None for each in found)
    assert (actual.documents, actual.duplicates) == (len(rows), len(duplicates))
    assert actual.sizes == size_bins(Counter(clusters.values()) + Counter({1: alone}))
    assert {each["cluster_id"]: each["cluster_size"] for each in found if each["cluster_id"]} == clusters
    assert [(each.cluster_id, each.size) for each in actual.largest] == sorted(
        clusters.items(), key=lambda item: (-item[1], item[0])
    )
    for column in ("language", "source"):
        expected = {
            name: (count, sum(each[column] == name for each in duplicates))
            for name, count in Counter(each[column] for each in found).items()
        }
        shares = actual.shares[column]
        assert {each.name: (each.documents, each.duplicates) for each in shares} == expected
        assert all(each.share == each.duplicates / each.documents for each in shares)
        assert [each.duplicates for each in shares] == sorted((each.duplicates for each in shares), reverse=True)

    texts = {str(each["number"]): each["body"] for each in found}
    exact = [jaccard(each["body"], texts[each["duplicate_of"]]) for each in duplicates]
    errors = [each["similarity"] - true for each, true in zip(duplicates, exact, strict=True)]
    check = actual.estimate
    assert check is not None
    assert check.pairs == len(duplicates)
    assert check.mean == pytest.approx(sum(errors) / len(errors))
    variance = sum((error - check.mean) ** 2 for error in errors) / len(errors)
    assert check.deviation == pytest.approx(variance**0.5)
    assert check.greatest == pytest.approx(max(map(abs, errors)))
    assert list(check.below) == ["0.7", "0.65", "0.6"]
    assert list(check.below.values()) == pytest.approx(
        [sum(true < limit for true in exact) / len(exact) for limit in (0.7, 0.65, 0.6)]
    )
    largest = actual.largest[0]
    inside = [each for each in duplicates if each["cluster_id"] == largest.cluster_id]
    assert largest.kept.text == texts[largest.kept.doc_id][:200]
    similarities = [each["similarity"] for each in inside if each["duplicate_of"] == largest.kept.doc_id]
    assert [each.similarity for each in largest.duplicates] == [min(similarities), max(similarities)]
    assert all(each.text == texts[each.doc_id][:200] for each in largest.duplicates)
    assert largest.kept_documents == largest.size - len(inside)
    decided.unpersist()


def test_a_table_of_many_batches_and_revisions(spark: SparkSession) -> None:
    rows = [
        row("old", prose(1)),
        row("old", prose(9), batch=2),  # a new revision, after what repeats the first one
        row("b", prose(1, 2), ("old", "a", 0.75), batch=1, language="cat_Latn"),
        row("a", prose(1, 3), ("old", "a", 0.71), batch=1, language="cat_Latn"),
        row("c", prose(9, 1), ("old", "c", 0.9), batch=2),
        row("other", prose(7), cluster="c", batch=2),  # kept, like c but less so than old
        row("alone", prose(3), source=None),
        row("twice", prose(4), batch=1),
        row("twice", prose(5), reasons=["dedup.superseded"], batch=1),
        row("d", prose(6), ("gone", "d", 0.8), batch=1),
    ]
    actual = summarise(frame(spark, rows), "text", SETTINGS)
    assert (actual.documents, actual.duplicates, actual.superseded, actual.kept_elsewhere) == (9, 4, 1, 1)
    # With what the duplicates repeat: a of old, a and b; c of c, old and other; d of d and gone. Alone: alone, twice.
    assert actual.sizes == (SizeBin(1, 1, 2, 2), SizeBin(2, 2, 1, 2), SizeBin(3, 4, 2, 6))
    assert actual.shares == {
        "language": (Share("eng_Latn", 7, 2, 2 / 7), Share("cat_Latn", 2, 2, 1.0)),
        "source": (Share("web", 8, 4, 1 / 2), Share(None, 1, 0, 0.0)),
    }
    first, second, third = actual.largest
    assert (first.cluster_id, first.size, first.kept_documents) == ("a", 3, 1)
    assert first.kept == Member("old", None, "eng_Latn", "web", prose(1)[:200]), "the revision that was compared"
    assert first.duplicates == (
        Member("a", 0.71, "cat_Latn", "web", prose(1, 3)[:200]),
        Member("b", 0.75, "cat_Latn", "web", prose(1, 2)[:200]),
    )
    assert (second.cluster_id, second.size, second.kept_documents) == ("c", 3, 2)
    assert second.kept == Member("old", None, "eng_Latn", "web", prose(9)[:200])
    assert third.kept == Member("gone", None, None, None, None)
    assert [each.doc_id for each in third.duplicates] == ["d"]
    compared = [(0.71, prose(1), prose(1, 3)), (0.75, prose(1), prose(1, 2)), (0.9, prose(9), prose(9, 1))]
    errors = [recorded - jaccard(*texts) for recorded, *texts in compared]
    assert actual.estimate is not None
    assert actual.estimate.pairs == 3
    assert actual.estimate.mean == pytest.approx(sum(errors) / 3)
    assert actual.estimate.greatest == pytest.approx(max(map(abs, errors)))


def test_a_giant_cluster_and_a_sample_that_follows_the_ids(spark: SparkSession) -> None:
    rows = [row("kept", prose(0), cluster="d0000")]
    rows += [row(f"d{n:04d}", prose(0, n % 5 + 1), ("kept", "d0000", 1 - n / 10_000)) for n in range(600)]
    found = summarise(frame(spark, rows, 5), "text", SETTINGS, sample=50, seed=3)
    assert found.sizes == (SizeBin(513, 1024, 1, 601),)
    assert [each.similarity for each in found.largest[0].duplicates] == [1 - 599 / 10_000, 1.0]
    # Whatever the partitions: the smallest hashes of all.
    chosen = sorted((f"d{n:04d}" for n in range(600)), key=lambda name: position(name, 3))[:50]
    numbers = [int(name[1:]) for name in chosen]
    errors = [1 - n / 10_000 - jaccard(prose(0), prose(0, n % 5 + 1)) for n in numbers]
    assert found.estimate is not None
    assert found.estimate.pairs == 50
    assert found.estimate.mean == pytest.approx(sum(errors) / 50)


def test_texts_as_long_as_books_are_shown_and_not_measured(spark: SparkSession) -> None:
    book = "x y " * 15_000
    rows = [row(name, text, cluster=name) for name, text in (("book", book), ("short", prose(1)))]
    rows += [row("b", book, ("book", "book", 1.0)), row("s", prose(1), ("short", "short", 1.0))]
    found = summarise(frame(spark, rows), "text", SETTINGS)
    assert found.estimate is not None
    assert found.estimate.pairs == 1
    assert [each.kept.text for each in found.largest] == [book[:200], prose(1)[:200]]


def test_a_table_without_duplicates(spark: SparkSession) -> None:
    bare = "doc_id string, text string, duplicate_of string, cluster_id string, similarity double"
    single = summarise(spark.createDataFrame([(n, prose(1), None, None, None) for n in "abc"], bare), "text", SETTINGS)
    assert single.sizes == (SizeBin(1, 1, 3, 3),)
    assert (single.duplicates, single.estimate, single.largest, single.shares) == (0, None, (), {})
    assert "3 documents" in as_markdown(single)
    json.loads(as_json(single))


def test_a_table_that_is_no_result_of_deduplication_is_refused(spark: SparkSession) -> None:
    docs = spark.createDataFrame([("a", "b")], "doc_id string, text string")
    with pytest.raises(BackpromptError, match="lack the columns body, cluster_id, duplicate_of, similarity"):
        summarise(docs, "body", SETTINGS)
