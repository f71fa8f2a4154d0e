from __future__ import annotations

from itertools import pairwise

import pytest
from pyspark.sql import functions as F

from jobs.runtime.reasons import Reason
from jobs.sources.sampling import sample, sampling_position
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


def expected(docs, rate, cap):
    """The rule in plain Python."""
    rows = docs.collect()
    readable = [row for row in rows if Reason.UNREADABLE.value not in row["rejected_for"]]
    below = [row for row in readable if position(row["doc_id"], SEED) < rate]
    kept = [row for row in rows if Reason.UNREADABLE.value in row["rejected_for"]]
    for group in {(row["language"], row["source"]) for row in below}:
        members = [row for row in below if (row["language"], row["source"]) == group]
        first = sorted({(position(row["doc_id"], SEED), row["doc_id"]) for row in members})[:cap]
        kept += [row for row in members if row["doc_id"] in {doc_id for _, doc_id in first}]
    return sorted((row["doc_id"], row["language"], row["source"]) for row in kept)


def test_spark_gives_the_kernels_positions(spark):
    ids = ["", "a", "wikipedia\x1fca:1", "é", "0" * 64, *map(str, range(500))]
    frame = spark.createDataFrame([(each,) for each in ids], "doc_id string")

    for seed in (0, -5, 2**40):
        found = {row[0]: row[1] for row in frame.select("doc_id", sampling_position("doc_id", seed)).collect()}
        assert found == {each: position(each, seed) for each in ids}


@pytest.mark.parametrize(("rate", "cap"), [(1.0, None), (0.3, None), (1.0, 20), (0.5, 7), (1.0, 1), (1.0, 10_000)])
def test_sample_follows_its_rule(docs, rate, cap):
    assert taken(sample(docs, SEED, rate, cap)) == expected(docs, rate, cap)


def test_id_that_stands_twice_counts_once_towards_the_cap(spark):
    rows = [(f"doc {number % 40}", "cat_Latn", "w", []) for number in range(80)]
    docs = spark.createDataFrame(rows, "doc_id string, language string, source string, rejected_for array<string>")

    assert taken(sample(docs, SEED, cap=9)) == expected(docs, 1.0, 9)
    assert sample(docs, SEED, cap=9).count() == 18


def test_sample_does_not_depend_on_partitions(docs):
    shuffled = docs.repartition(9, F.reverse("doc_id"))

    assert taken(sample(shuffled, SEED, 0.5, 7)) == taken(sample(docs, SEED, 0.5, 7))


def test_larger_samples_hold_the_smaller_ones(docs):
    sizes = [set(taken(sample(docs, SEED, rate, cap))) for rate, cap in [(0.2, 3), (0.2, 9), (0.6, 9), (1.0, None)]]

    assert all(small < large for small, large in pairwise(sizes))


def test_reasons_that_executors_write_are_the_tables():
    assert (records.UNREADABLE, records.UNLISTED_LANGUAGE) == (Reason.UNREADABLE, Reason.UNKNOWN_LANGUAGE)
