"""The index's table: batches, replays, and documents that are taken out."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.runtime.dedup_index import INDEX, PARTITION_BY, DedupIndex
from jobs.runtime.lake import Lake
from jobs.stages.dedup import DedupSettings, entries, sketch

SETTINGS = DedupSettings(scope="language")


@pytest.fixture
def index(spark: SparkSession, tmp_path: Path) -> DedupIndex:
    lake = Lake(spark, str(tmp_path))
    lake.ensure("index", INDEX, {}, PARTITION_BY)
    return DedupIndex(lake, "index")


def blocks(spark: SparkSession, *rows: tuple[str, str, str]) -> DataFrame:
    return sketch(spark.createDataFrame(list(rows), "doc_id string, language string, text string"), SETTINGS)


def held(frame: DataFrame | None) -> set[str]:
    return set() if frame is None else {each["doc_id"] for each in entries(frame).select("doc_id").collect()}


def test_batches_see_earlier_ones_and_a_repeated_append_does_nothing(spark: SparkSession, index: DedupIndex) -> None:
    assert index.before(0) is None
    index.append(blocks(spark, ("a", "cat_Latn", "u dos tres"), ("b", "spa_Latn", "uno dos tres")), "app", 0)
    index.append(blocks(spark, ("c", "cat_Latn", "quatre cinc")), "app", 1)
    index.append(blocks(spark, ("again", "cat_Latn", "quatre cinc")), "app", 1)
    assert held(index.before(1)) == {"a", "b"}
    assert held(index.before(2)) == {"a", "b", "c"}


def test_documents_are_taken_out(spark: SparkSession, index: DedupIndex) -> None:
    index.append(blocks(spark, *((f"d{i}", "cat_Latn", f"text number {i}") for i in range(50))), "app", 0)
    index.append(blocks(spark, ("d1", "cat_Latn", "another text"), ("e", "spa_Latn", "uno")), "app", 1)
    gone = spark.createDataFrame([("d1",), ("d2",), ("e",), ("stranger",)], "doc_id string")
    assert index.forget(gone, before=1) == 2, "only earlier batches"
    assert held(index.before(1)) == {f"d{i}" for i in range(50)} - {"d1", "d2"}
    assert held(index.before(2)) - held(index.before(1)) == {"d1", "e"}
    assert index.forget(gone) == 2
    assert held(index.before(2)) == {f"d{i}" for i in range(50)} - {"d1", "d2"}
    assert index.forget(gone) == 0
