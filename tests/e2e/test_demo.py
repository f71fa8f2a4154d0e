"""The demo's recipe over a part of its real documents, with the real engines, Spark and Delta."""

import json
import shutil
from itertools import pairwise

import pytest
from pyspark.sql import functions as F

from jobs.__main__ import main
from jobs.commands import funnel
from jobs.runtime.accounting import check
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.schema import PAIRS
from tests.conftest import run_recipe

TRANSLATED = {"spa_Latn", "cat_Latn", "glg_Latn", "por_Latn", "ita_Latn", "fra_Latn", "epo_Latn"}
STAGES = [
    *("documents", "clean", "dedup_lines", "dedup", "translate", "instruct", "back_translate", "screen"),
    *("dedup_instructions", "dedup_outputs", "group"),
]


def problems(lake):
    return [f"{finding.check}: {finding.problem}" for finding in check(lake) if finding.problem]


def rows_of(lake, table):
    """All rows of a table but for batch numbers, in one order."""
    frame = lake.read(table)
    kept = sorted(name for name in frame.columns if name not in ("batch_id", "document_batch"))
    return sorted(map(repr, frame.select(*kept).collect()))


def test_there_are_pairs_in_many_languages(finished):
    pairs = finished.lake.read("pairs", PAIRS)
    counts = {row["language"]: row["count"] for row in pairs.groupBy("language").count().collect()}
    assert set(counts) == TRANSLATED
    assert sum(counts.values()) >= 30


def test_every_check_passes(finished):
    assert problems(finished.lake) == []


def test_rows_in_are_alive_and_rejected_and_go_on(finished):
    stages = funnel.funnel(finished.lake)["stages"]
    assert [stage["stage"] for stage in stages] == [*STAGES, "pairs"]
    for before, after in pairwise(stages):
        assert after["rows_in"] == before["alive"]
        assert after["rows_in"] == after["alive"] + after["rejected"]
        for language, cell in after["languages"].items():
            assert cell["rows_in"] == before["languages"][language]["alive"]


def test_outputs_are_the_cleaned_text_byte_for_byte(finished):
    pairs = finished.lake.read("pairs").select("pair_id", "output")
    cleaned = finished.lake.read("dedup_lines").select(F.col("doc_id").alias("pair_id"), "text")
    joined = pairs.join(cleaned, "pair_id").collect()
    assert joined
    assert all(row["output"].encode() == row["text"].encode() for row in joined)


def test_unsupported_languages_are_announced_and_rejected(finished):
    rejected = {
        row["language"]
        for row in finished.lake.read("translate")
        .where("rejected_for = array('translate.unsupported_language')")
        .collect()
    }
    assert {"eus_Latn", "arb_Arab", "heb_Hebr", "tha_Thai"} <= rejected
    assert rejected == set(finished.outcome.uncovered)
    assert any("translate.unsupported_language" in note and "eus_Latn" in note for note in finished.recorder.notes)


def test_every_row_has_lineage(finished):
    pairs = finished.lake.read("pairs")
    for column in ("license", "origin", "generator", "translator", "back_translator", "url"):
        assert pairs.where(F.col(column).isNull()).isEmpty(), column
    labels = {row[0] for row in pairs.select("generator").distinct().collect()}
    assert all(label.startswith("template-v1:") or label == "title" for label in labels)
    assert pairs.where(~F.col("translator").startswith("apertium-")).isEmpty()


def test_titles_come_back_as_the_document_writes_them(finished):
    quoted = finished.lake.read("pairs").where("generator = 'template-v1:titled' AND back_translator <> 'none'")
    rows = quoted.select("instruction", "title").collect()
    assert rows
    kept = [
        row
        for row in rows
        if " ".join(row["title"].split()).translate(str.maketrans('"“”„«»', "''''''")) in row["instruction"]
    ]
    assert len(kept) >= 0.9 * len(rows)


def test_tables_are_partitioned_by_language(finished):
    for table in [*STAGES, "pairs"]:
        assert (finished.path / table / "language=cat_Latn").is_dir()


def test_progress_counts_every_row(finished):
    for before, stage in pairwise(STAGES):
        alive = finished.lake.read(before).where(F.size("rejected_for") == 0).count()
        assert sum(finished.recorder.batches[stage]) == finished.recorder.expected[stage] == alive


def test_a_second_run_finds_nothing_new(spark, finished):
    before = finished.lake.delta("pairs").history(1).first()["version"]
    outcome, _ = run_recipe(spark, finished.recipe, finished.path)
    assert not any(outcome.new_rows.values())
    assert finished.lake.delta("pairs").history(1).first()["version"] == before


def test_a_changed_setting_is_refused_and_rebuilt(spark, finished, tmp_path):
    path = tmp_path / "lake"
    shutil.copytree(finished.path, path)
    recipe = finished.recipe.with_name("changed.yaml")
    recipe.write_text(finished.recipe.read_text().replace("  screen:\n", "  screen: {max_instruction_chars: 40}\n"))
    with pytest.raises(BackpromptError, match=r"max_instruction_chars was 1000, is now 40.*--rebuild screen"):
        run_recipe(spark, recipe, path)
    lake = Lake(spark, str(path))
    splits = {row["pair_id"]: row["split"] for row in lake.read("pairs").collect()}
    outcome, _ = run_recipe(spark, recipe, path, rebuild="screen")
    assert set(outcome.new_rows) == {*STAGES, "pairs"}
    assert [name for name, rows in outcome.new_rows.items() if rows] == [
        "screen",
        "dedup_instructions",
        "dedup_outputs",
        "group",
        "pairs",
    ]
    assert problems(lake) == []
    pairs = lake.read("pairs").collect()
    assert 0 < len(pairs) < len(splits)
    assert all(len(row["instruction"]) <= 40 for row in pairs)
    assert all(row["split"] == splits[row["pair_id"]] for row in pairs)
    old = spark.sql(f"SELECT count(*) FROM {lake.sql_name('screen')} VERSION AS OF 1").first()[0]
    assert old > 0


def test_another_recipe_and_a_torn_rebuild_are_refused(spark, finished, tmp_path):
    other = finished.recipe.with_name("other.yaml")
    other.write_text(finished.recipe.read_text().replace("name: demo", "name: other"))
    with pytest.raises(BackpromptError, match="tables of recipe demo, not of other"):
        run_recipe(spark, other, finished.path)
    with pytest.raises(BackpromptError, match="--stages leaves out dedup_instructions, dedup_outputs, group, pairs"):
        run_recipe(spark, finished.recipe, finished.path, stages=("screen",), rebuild="screen")
    path = tmp_path / "lake"
    shutil.copytree(finished.path, path)
    # As if a run had been killed between emptying `screen` and what is made from it.
    Lake(spark, str(path)).set_properties("screen", {"generation": "1"})
    expected = r"table screen, which it was made from, has been made again.*--rebuild dedup_instructions"
    with pytest.raises(BackpromptError, match=expected):
        run_recipe(spark, finished.recipe, path)


def test_check_finds_what_is_broken_by_hand(spark, finished, tmp_path):
    path = tmp_path / "lake"
    shutil.copytree(finished.path, path)
    lake = Lake(spark, str(path))
    victim = lake.read("instruct").orderBy("doc_id").first()["doc_id"]
    lake.delta("instruct").delete(F.col("doc_id") == victim)
    lake.delta("pairs").update(F.col("language") == "cat_Latn", {"output": F.lit("changed")})
    found = " ".join(problems(lake))
    assert "every alive row of translate is there" in found
    assert victim in found
    assert "instruct: rows in = alive + rejected" in found
    assert "outputs are the cleaned source texts" in found
    assert main(["check", "--lake", str(path)]) == 1


def test_parts_of_the_recipe_can_be_run_one_after_another(spark, finished, tmp_path):
    lake = tmp_path / "lake"
    with pytest.raises(BackpromptError, match=r"--stages \.\.documents"):
        run_recipe(spark, finished.recipe, lake, stages=("clean",))
    outcome, _ = run_recipe(spark, finished.recipe, lake, stages=("documents", "clean"), max_documents=20)
    assert outcome.new_rows == {"documents": 20, "clean": 20}
    outcome, _ = run_recipe(spark, finished.recipe, lake, stages=("documents", "clean"), max_documents=5)
    assert outcome.new_rows == {"documents": 5, "clean": 5}


def test_status_and_show_print(finished, capsys):
    assert main(["status", "--lake", str(finished.path), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["stages"][0]["stage"] == "documents"
    assert main(["status", "--lake", str(finished.path)]) == 0
    text = capsys.readouterr().out
    assert "translate.unsupported_language" in text
    assert "cat_Latn" in text
    arguments = ["show", "--lake", str(finished.path), "--table", "translate", "--language", "arb_Arab"]
    assert main([*arguments, "--reason", "translate.*", "-n", "1"]) == 0
    shown = capsys.readouterr().out
    assert "برلين" in shown
    assert all(line.count("\u2068") == line.count("\u2069") for line in shown.splitlines())
    assert main([*arguments, "--reason", "clean.too_short"]) == 0
    assert "No rows." in capsys.readouterr().out


def test_a_small_table_without_the_column_is_explained(finished, capsys):
    assert main(["show", "--lake", str(finished.path), "--table", "pairs", "--reason", "clean.*"]) == 2
    assert "no column rejected_for" in capsys.readouterr().err


def test_a_lake_can_be_a_catalog_schema(spark, finished):
    name = "spark_catalog.backprompt_e2e"
    try:
        outcome, _ = run_recipe(spark, finished.recipe, name, stages=("documents", "clean"), max_documents=10)
        assert outcome.new_rows == {"documents": 10, "clean": 10}
        assert spark.table(f"{name}.clean").count() == 10
        outcome, _ = run_recipe(spark, finished.recipe, name, stages=("clean",))
        assert outcome.new_rows == {"clean": 0}
    finally:
        spark.sql(f"DROP SCHEMA IF EXISTS {name} CASCADE")


@pytest.mark.parametrize("table", ["dedup", "dedup_instructions", "dedup_outputs"])
def test_clusters_of_every_deduplicated_table(finished, table, capsys):
    assert main(["clusters", "--lake", str(finished.path), "--table", table, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    rows = finished.lake.read(table)
    reason = f"{table}.duplicate"
    assert report["documents"] == rows.count()
    assert report["duplicates"] == rows.where(F.array_contains("rejected_for", reason)).count()
