"""The notebooks run from top to bottom on a session that is there."""

from pathlib import Path

from pyspark.sql import functions as F

ROOT = Path(__file__).parents[2]


def run_cells(name):
    notebook = ROOT / "notebooks" / name
    source = notebook.read_text(encoding="utf-8")
    assert source.startswith("# Databricks notebook source")
    namespace = {"__name__": "__main__"}
    for cell in source.split("# COMMAND ----------"):
        exec(compile(cell, str(notebook), "exec"), namespace)
    return namespace


def test_demo_runs(finished, monkeypatch, capsys):
    monkeypatch.setenv("BACKPROMPT_RECIPE", str(finished.recipe))
    monkeypatch.setenv("BACKPROMPT_LAKE", str(finished.path))
    run_cells("demo.py")
    shown = capsys.readouterr().out
    for expected in ("documents -> clean", "instruction_src", "cat_Latn", "clean.too_short", "validation"):
        assert expected in shown, expected


def test_dedup_runs(spark, monkeypatch, capsys, tmp_path):
    docs = spark.read.parquet(str(ROOT / "data" / "demo" / "culturax" / "ca")).select("url", "text", "source")
    copies = docs.limit(20).select(
        F.concat("url", F.lit("?copy")).alias("url"), F.upper("text").alias("text"), "source"
    )
    docs.union(copies).write.parquet(str(tmp_path / "docs"))
    monkeypatch.setenv("BACKPROMPT_DOCUMENTS", str(tmp_path / "docs"))
    made = run_cells("dedup.py")
    assert made["kept"].count() == docs.count()
    shown = capsys.readouterr().out
    for expected in ("entries in the index", "minus exact similarity", "deduped_lines", "20 of them duplicates"):
        assert expected in shown, expected
