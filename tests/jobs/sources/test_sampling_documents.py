from __future__ import annotations

from itertools import pairwise

import pytest
from pyspark.sql import functions as F

from jobs.runtime.reasons import Reason
from jobs.sources.sampling import SampleSize, sample, sampling_position
from udfs import records
from udfs.sampling import position

SEED = 11


@pytest.fixture(scope="module")
def docs(spark):
    rows = [(f"doc {number}", "cat_Latn" if number % 3 else "spa_Latn", "w", []) for number in range(300)]
    rows += [("doc 1", "cat_Latn", "w", []), ("doc 2", "cat_Latn", "other", [])]
    rows += [(f"bad {number}", "cat_Latn", "w", [Reason.UNREADABLE.value]) for number in range(4)]
    rows += [("empty", "cat_Latn", "w", [Reason.MISSING_TEXT.value])]
    schema = "doc_id string, language string, source string, rejected_for array<string>"
    return spark.createDataFrame(rows, schema).cache()


def taken(frame):
    return sorted((row["doc_id"], row["language"], row["source"]) for row in frame.collect())


def expected(docs, size):
    """The rule in plain Python."""
    rows = docs.collect()
    unread = {Reason.UNREADABLE.value, Reason.TOO_LARGE.value}
    readable = [row for row in rows if not unread & set(row["rejected_for"])]
    kept = [row for row in rows if unread & set(row["rejected_for"])]
    for language, source in {(row["language"], row["source"]) for row in readable}:
        members = [row for row in readable if (row["language"], row["source"]) == (language, source)]
        ids = sorted({row["doc_id"] for row in members}, key=lambda doc_id: position(doc_id, SEED))
        below = sum(position(doc_id, SEED) < size.rate for doc_id in ids)
        number = max(below, size.floor)
        cap = size.caps.get(language, size.cap)
        number = number if cap is None else min(number, cap)
        chosen = set(ids[:number]) if len(ids) >= size.smallest else set()
        kept += [row for row in members if row["doc_id"] in chosen]
    return sorted((row["doc_id"], row["language"], row["source"]) for row in kept)


def test_spark_gives_the_kernels_positions(spark):
    ids = ["", "a", "wikipedia\x1fca:1", "é", "0" * 64, *map(str, range(500))]
    frame = spark.createDataFrame([(each,) for each in ids], "doc_id string")

    for seed in (0, -5, 2**40):
        found = {row[0]: row[1] for row in frame.select("doc_id", sampling_position("doc_id", seed)).collect()}
        assert found == {each: position(each, seed) for each in ids}


SIZES = [
    SampleSize(),
    SampleSize(rate=0.3),
    SampleSize(cap=20),
    SampleSize(cap=20, caps={"cat_Latn": 0}),
    SampleSize(rate=0.1, floor=25),
    SampleSize(rate=0.1, floor=150),
    SampleSize(rate=0.1, floor=25, cap=30, caps={"spa_Latn": 5}),
    SampleSize(smallest=101, rate=0.5),
]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_sample_follows_its_rule_over_any_partitions(docs, size):
    shuffled = docs.repartition(5, F.reverse("doc_id"))

    assert taken(sample(docs, SEED, size)) == taken(sample(shuffled, SEED, size)) == expected(docs, size)


def test_id_that_stands_twice_counts_once_towards_the_cap(spark):
    rows = [(f"doc {number % 40}", "cat_Latn", "w", []) for number in range(80)]
    docs = spark.createDataFrame(rows, "doc_id string, language string, source string, rejected_for array<string>")

    assert taken(sample(docs, SEED, SampleSize(cap=9))) == expected(docs, SampleSize(cap=9))
    assert sample(docs, SEED, SampleSize(cap=9)).count() == 18


def test_larger_samples_hold_the_smaller_ones(docs):
    sizes = [
        SampleSize(rate=0.1, cap=3),
        SampleSize(rate=0.1, cap=9),
        SampleSize(rate=0.1, cap=9, floor=5),
        SampleSize(rate=0.6, cap=9, caps={"cat_Latn": 40}, floor=5),
        SampleSize(rate=0.6, floor=90),
        SampleSize(),
    ]
    samples = [set(taken(sample(docs, SEED, size))) for size in sizes]

    assert all(small <= large for small, large in pairwise(samples))
    assert len(samples[0]) < len(samples[1]) < len(samples[3]) < len(samples[4]) < len(samples[5])


def test_documents_that_come_push_out_only_what_stood_behind_them(spark, docs):
    size = SampleSize(rate=0.5, cap=30)
    more = spark.createDataFrame([(f"new {number}", "cat_Latn", "w", []) for number in range(100)], docs.schema)

    before, after = set(taken(sample(docs, SEED, size))), set(taken(sample(docs.union(more), SEED, size)))

    pushed = before - after
    came = after - before
    assert came
    assert len(pushed) <= len(came)
    stay = [doc_id for doc_id, *group in after if group == ["cat_Latn", "w"] and not doc_id.startswith("bad")]
    assert len(stay) == 30
    assert min(position(doc_id, SEED) for doc_id, *_ in pushed) > max(position(doc_id, SEED) for doc_id in stay)
    # Without a cap everything that was chosen stays.
    rate = SampleSize(rate=0.5)
    assert set(taken(sample(docs, SEED, rate))) <= set(taken(sample(docs.union(more), SEED, rate)))


def test_reasons_that_executors_write_are_the_tables():
    assert (records.UNREADABLE, records.UNLISTED_LANGUAGE) == (Reason.UNREADABLE, Reason.UNKNOWN_LANGUAGE)
