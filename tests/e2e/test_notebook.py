"""The notebook runs from top to bottom on a session that is there."""

from pathlib import Path

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "demo.py"


def test_notebook_runs(finished, monkeypatch, capsys):
    monkeypatch.setenv("BACKPROMPT_RECIPE", str(finished.recipe))
    monkeypatch.setenv("BACKPROMPT_LAKE", str(finished.path))
    source = NOTEBOOK.read_text(encoding="utf-8")
    assert source.startswith("# Databricks notebook source")
    namespace = {"__name__": "__main__"}
    for cell in source.split("# COMMAND ----------"):
        exec(compile(cell, str(NOTEBOOK), "exec"), namespace)
    shown = capsys.readouterr().out
    for expected in ("documents -> clean", "instruction_src", "cat_Latn", "clean.too_short", "validation"):
        assert expected in shown, expected
