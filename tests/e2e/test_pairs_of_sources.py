"""A recipe with documents and with corpora that hold pairs: the latter enter at screen, and nothing is lost."""

from __future__ import annotations

import json
import shutil

import pytest
from pyspark.sql import functions as F

from jobs.runtime.accounting import check
from jobs.runtime.lake import Lake
from tests.conftest import DATA, run_recipe

BEFORE_SCREEN = ("clean", "dedup_lines", "dedup", "translate", "instruct", "back_translate")
RECIPE = """
name: mixed
sources:
  - {kind: culturax, path: culturax, license: CC-BY-SA-4.0, max_documents_per_language: 6}
  - {kind: oasst, path: oasst/oasst_en.trees.jsonl.gz, max_pairs: 8}
  - {kind: natural-instructions, path: natural_instructions, max_instances: 25}
  - {kind: instructions, name: own, path: own, language: yor_Latn, license: CC0-1.0, columns: {id: id}}
stages:
  clean: {min_chars: 300}
  dedup_lines: {min_documents: 2, scope: source}
  dedup:
  translate: {engine: {kind: apertium}}
  instruct:
  back_translate:
  screen:
  dedup_instructions:
  dedup_outputs:
  pairs:
"""
OWN = [
    {"id": "1", "instruction": "Kí ni olú ìlú Nàìjíríà?", "response": "Abuja"},
    {"id": "2", "instruction": "Kí ni olú ìlú Nàìjíríà?", "response": "Abuja ni."},
    {"id": "3", "instruction": "Ìlú wo ni olú ìlú Nàìjíríà báyìí?", "response": "Abuja"},
    {"id": "4", "instruction": "Kí ni", "response": ""},
]


@pytest.fixture(scope="module")
def mixed(spark, tmp_path_factory):
    project = tmp_path_factory.mktemp("mixed")
    for name in ("oasst", "natural_instructions"):
        shutil.copytree(DATA / "pairs" / name, project / name)
    shutil.copytree(DATA / "culturax" / "ca", project / "culturax" / "ca")
    (project / "own").mkdir()
    (project / "own" / "a.jsonl").write_text("\n".join(map(json.dumps, OWN)), encoding="utf-8")
    (project / "mixed.yaml").write_text(RECIPE, encoding="utf-8")
    outcome, _ = run_recipe(spark, project / "mixed.yaml", project / "lake")
    return Lake(spark, str(project / "lake")), outcome


def test_a_recipe_of_pairs_alone_needs_no_engine_and_masks_what_it_says(spark, tmp_path):
    stages = """
name: alone
sources: [{kind: flan, path: flan}]
stages:
  clean:
  translate: {engine: {kind: apertium, prefix: /nowhere}}
  instruct: {engine: {kind: openai, base_url: "http://127.0.0.1:9/v1", model: none}}
  back_translate: {engine: {kind: apertium, prefix: /nowhere}}
  screen:
  pairs:
"""
    (tmp_path / "alone.yaml").write_text(stages, encoding="utf-8")
    (tmp_path / "flan").mkdir()
    record = {"inputs": "Who wrote this letter to me?", "targets": "Ask  ana@example.org.", "task_source": "Flan2021"}
    (tmp_path / "flan" / "a.jsonl").write_text(json.dumps(record), encoding="utf-8")

    run_recipe(spark, tmp_path / "alone.yaml", tmp_path / "lake")

    lake = Lake(spark, str(tmp_path / "lake"))
    assert [finding for finding in check(lake) if finding.problem] == []
    (pair,) = lake.read("pairs").collect()
    assert (pair["instruction"], pair["output"]) == (record["inputs"], "Ask  [email].")
    assert pair["source_metadata"] == {"task_source": "Flan2021"}


def test_rows_that_hold_their_instruction_pass_untouched_to_screen(mixed):
    lake, outcome = mixed
    given = F.col("instruction").isNotNull() & (F.size("rejected_for") == 0)
    first = lake.read("documents").where(given)
    # 8 conversations, three tasks of 25 (the fourth names no language), three of four of our own
    assert first.count() == 8 + 75 + 3
    columns = ["doc_id", "revision", "title", "text", "text_chars", "instruction", "messages"]
    for name in BEFORE_SCREEN:
        rows = lake.read(name).where("instruction IS NOT NULL")
        assert rows.select(*columns).exceptAll(first.select(*columns)).isEmpty(), name
        assert (rows.count(), rows.where(F.size("rejected_for") > 0).count()) == (86, 0), name
    last = lake.read("back_translate").where("instruction IS NOT NULL")
    no_engine = (
        "document_identifier IS NULL AND translator IS NULL AND generator = 'source' AND back_translator = 'none'"
    )
    labels = "generator = 'source' AND back_translator = 'none'"
    assert last.where(no_engine).where(labels).where("instruction_src = instruction").count() == 86
    assert last.where("instruction_en IS NOT NULL").select("language").distinct().collect() == [("eng_Latn",)]
    made = lake.read("back_translate").where("instruction IS NULL AND rejected_for = array()")
    assert made.count() > 0
    assert made.where("generator = 'source' OR text_en IS NULL OR document_identifier IS NULL").isEmpty()
    assert "yor_Latn" not in outcome.uncovered, "no engine has work with them"


def test_screen_and_duplicates_of_given_pairs(mixed):
    lake, _ = mixed
    screened = lake.read("screen").where("instruction IS NOT NULL")
    reasons = {row["reason"] for row in screened.select(F.explode("rejected_for").alias("reason")).collect()}
    assert reasons <= {"screen.instruction_language"}, "what asks how an instruction was made does not apply"
    finnish = screened.where("subsource LIKE 'fin-%'").select("instruction_language_outcome").distinct().collect()
    assert ("match",) not in finnish, "a translation that says it is English"
    own = {
        row["corpus_key"]: row["rejected_for"]
        for row in lake.read("dedup_instructions").where("source = 'own'").collect()
    }
    assert sorted(own.values()) == [[], [], ["dedup_instructions.duplicate"]]
    assert own["3"] == [], "near, and not the same"
    outputs = lake.read("dedup_outputs").where("source = 'own'").collect()
    assert [row["rejected_for"] for row in outputs] == [[], []], "a short answer to two questions is no duplicate"
    currencies = lake.read("dedup_outputs").where("subsource = 'task1147_country_currency'")
    assert currencies.where(F.size("rejected_for") > 0).isEmpty()


def test_pairs_of_all_sources_obey_the_same_splits_and_accounts(mixed):
    lake, _ = mixed
    assert [finding for finding in check(lake) if finding.problem] == []
    pairs = lake.read("pairs")
    by_source = {row["source"]: row["count"] for row in pairs.groupBy("source").count().collect()}
    assert set(by_source) == {"culturax", "oasst", "natural_instructions", "own"}
    shares = {
        (row["source"], row["language"]): row["splits"]
        for row in pairs.groupBy("source", "language").agg(F.collect_list("split").alias("splits")).collect()
    }
    for splits in shares.values():
        assert abs(splits.count("train") - 0.9 * len(splits)) <= 1
    talk = pairs.where("source = 'oasst'").collect()
    assert {row["messages"][-1]["content"] == row["output"] for row in talk} == {True}
    assert pairs.where("source <> 'oasst' AND messages IS NOT NULL").isEmpty()
    licenses = pairs.where("source = 'natural_instructions'").select("license").distinct().collect()
    assert {row["license"] for row in licenses} == {"Public Domain", "Unknown"}
