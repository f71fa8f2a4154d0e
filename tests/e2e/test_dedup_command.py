"""`backprompt dedup` as a user calls it, on real text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.__main__ import main

DEMO = Path(__file__).resolve().parents[2] / "data" / "demo" / "culturax"


@pytest.fixture(scope="module")
def corpus(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety real documents; then ten of them in capitals, ten cut a little, and twenty new ones."""
    folder = tmp_path_factory.mktemp("corpus")
    docs = (
        spark.read.option("recursiveFileLookup", "true")
        .parquet(str(DEMO))
        .where(F.length("text") > 600)
        .select("url", "text")
    )
    docs = docs.orderBy("url").limit(110).coalesce(1).withColumn("id", F.monotonically_increasing_id())
    first = docs.where("id < 90")
    changed = F.when(F.col("id") < 10, F.upper("text")).otherwise(F.expr("left(text, length(text) - 30)"))
    again = first.where("id < 20").select("url", changed.alias("text"), (F.col("id") + 1000).alias("id"))
    first.write.parquet(str(folder / "first"))
    docs.where("id >= 90").unionByName(again).write.format("delta").save(str(folder / "second"))
    return folder


def run(*words: Any) -> int:
    return main(["dedup", *map(str, words)])


def ids(spark: SparkSession, folder: Path, is_duplicate: bool, kind: str = "parquet") -> set[int]:
    rows = spark.read.format(kind).load(str(folder)).where(F.col("is_duplicate") == is_duplicate)
    return {each["id"] for each in rows.select("id").collect()}


def test_new_data_against_old(spark: SparkSession, corpus: Path, tmp_path: Path, capsys: Any) -> None:
    index, one, two = tmp_path / "index", tmp_path / "one", tmp_path / "two"
    report = tmp_path / "report.md"
    assert run("--input", corpus / "first", "--output", one, "--id", "id", "--index", index, "--report", report) == 0
    assert ids(spark, one, False) | ids(spark, one, True) == set(range(90))
    assert "90 documents, 0 of them duplicates" in report.read_text(encoding="utf-8")

    second = ("--input", corpus / "second", "--output", two, "--id", "id", "--index", index)
    assert run(*second) == 0
    shown = capsys.readouterr().out
    assert f"Kept: {two}/is_duplicate=false" in shown
    assert re.search(r"cluster", shown, re.IGNORECASE)
    kept, gone = ids(spark, two, False, "delta"), ids(spark, two, True, "delta")
    assert kept | gone == set(range(90, 110)) | set(range(1000, 1020))
    assert len(gone & set(range(1000, 1010))) == 10, "capitals are no difference"
    assert len(gone & set(range(1010, 1020))) >= 8, "nor is a lost line"
    rows = spark.read.format("delta").load(str(two)).where("is_duplicate").collect()
    assert all(row["rejected_for"] == ["dedup.duplicate"] and row["similarity"] >= 0.78 for row in rows)
    assert {row["duplicate_of"] for row in rows if row["id"] < 1010} <= {str(i) for i in range(90)}
    before = spark.read.format("delta").load(str(corpus / "second"))
    after = spark.read.format("delta").load(str(two)).select(before.columns)
    assert before.exceptAll(after).isEmpty(), "every row is there as it was"

    # Run again, as after a kill: the same is decided, and the index holds everything once.
    assert (
        run("--input", corpus / "second", "--output", two, "--id", "id", "--index", index, "--overwrite", "--no-report")
        == 0
    )
    assert (ids(spark, two, False, "delta"), ids(spark, two, True, "delta")) == (kept, gone)
    entries = spark.read.format("delta").load(str(index / "index")).agg(F.sum("entries")).first()
    assert entries is not None
    assert entries[0] == len(ids(spark, one, False)) + len(kept)

    # Without the originals in the index, their copies are new documents.
    listed = tmp_path / "forget.txt"
    listed.write_text("\n".join(map(str, range(10))) + "\n", encoding="utf-8")
    assert run("--index", index, "--forget", listed) == 0
    assert "10 entries taken out" in capsys.readouterr().out
    assert (
        run("--input", corpus / "second", "--output", two, "--id", "id", "--index", index, "--overwrite", "--no-report")
        == 0
    )
    assert set(range(1000, 1010)) <= ids(spark, two, False, "delta")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--input and --output is missing"),
        (["--input", "{first}", "--output", "{out}"], "--id doc_id: .* has no such column; it has url, text, id"),
        (["--input", "{first}", "--output", "{out}", "--id", "id", "--column", "body"], "--column body: .*no such"),
        (["--input", "{first}", "--output", "{out}", "--id", "url", "--column", "id"], "its values are bigint"),
        (["--input", "{first}", "--output", "{first}", "--id", "id"], "is there already"),
        (["--input", "{first}", "--output", "{first}", "--id", "id", "--overwrite"], "must not be the same"),
        (["--input", "{out}", "--output", "{out}2", "--id", "id"], "cannot be read as a Parquet or Delta table"),
        (["--input", "{first}", "--output", "{out}", "--id", "id", "--scope", "language"], "--scope language"),
        (["--input", "{first}", "--output", "{out}", "--threshold", "1.5"], "threshold: .* less than or equal to 1"),
        (["--input", "{first}", "--output", "{out}", "--set", "keeep=longest"], "keeep"),
        (["--input", "{first}", "--output", "{out}", "--id", "id", "--set", "keep=earliest"], "needs the columns date"),
        (["--input", "{first}", "--output", "{out}", "--set", "keep"], "write KEY=VALUE"),
        (["--forget", "{out}"], "name it with --index"),
        (["--forget", "{out}", "--index", "{out}"], "cannot be read"),
    ],
)  # fmt: skip
def test_mistakes_are_explained(
    spark: SparkSession, corpus: Path, tmp_path: Path, capsys: Any, words: list[str], message: str
) -> None:
    places = {"first": corpus / "first", "out": tmp_path / "out"}
    assert run(*(word.format(**places) for word in words)) == 2
    assert re.search(message, capsys.readouterr().err)


def test_an_index_of_other_settings_is_refused(spark: SparkSession, corpus: Path, tmp_path: Path, capsys: Any) -> None:
    common = ["--input", corpus / "first", "--id", "id", "--index", tmp_path / "index", "--no-report"]
    assert run(*common, "--output", tmp_path / "one") == 0
    assert run(*common, "--output", tmp_path / "two", "--set", "bins=128") == 2
    error = capsys.readouterr().err
    assert "made with other settings" in error
    assert '"bins": 256' in error
    assert '"bins": 128' in error
