"""A lake that lives: corpora that change, runs that are stopped, engines that fail, rows that come again."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs.__main__ import main
from jobs.runtime import lease as leases
from jobs.runtime import retries
from jobs.runtime.accounting import check
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.lease import Lease
from jobs.runtime.pipeline import Options, Outcome, run
from jobs.runtime.recipe import LoadedRecipe, load_recipe
from tests.conftest import ROOT, Recorder
from tests.e2e.flaky import FlakySettings

RECIPE = """
name: living
seed: 3
languages: [eng_Latn]
rows_per_file: 40
sources:
  - kind: jsonl
    name: own
    path: corpus
    license: CC0-1.0
    language: eng_Latn
    genre: encyclopedic
    columns: {text: body, id: id, title: title}
stages:
  clean: {min_chars: 200}
  dedup:
  translate: {max_files_per_batch: 1}
  instruct: {max_files_per_batch: 1}
  back_translate: {max_files_per_batch: 2}
  screen: {max_files_per_batch: 2}
  group: {near_duplicate_similarity: 0.9} # its texts are of the same few sentences
  pairs:
"""
SENTENCES = (
    "The old harbour was built by merchants who had come from the north of the country.",
    "Every spring the river rises and covers the meadows on both of its banks.",
    "A small museum shows tools that farmers of the region used two hundred years ago.",
    "Its population has grown slowly since the railway station was opened near the market.",
    "Scholars disagree about the age of the wall that surrounds the upper town.",
    "The local dialect has kept many words that are found nowhere else.",
    "Most visitors arrive in summer, when the festival of lanterns takes place.",
    "A fire destroyed the library, and only a few of its books could be saved.",
    "The bridge was repaired after the war with stones from a quarry in the hills.",
    "Fishing and the making of paper were the main trades for a long time.",
    "In winter the pass is closed, and the village can be reached on foot only.",
    "The council decided to plant lime trees along the road to the cemetery.",
    "An engineer from the capital designed the water tower that still stands there.",
    "The school teaches music, drawing and the care of orchards to older children.",
)
IDS = [f"d{number:03}" for number in range(110)]
OLD, NEW = IDS[:40], IDS[40:]


def document(key: str, edition: int = 1) -> dict[str, str]:
    """A text of its own for every key and edition, of ordinary sentences."""
    chance = random.Random(f"{key} {edition}")
    words = [f"{chance.choice(SENTENCES)[:-1]}, as {key} {chance.randrange(10**6)} says." for _ in range(8)]
    return {"id": key, "title": f"Place {key}", "body": " ".join(words)}


def write(project: Path, documents: Iterable[Mapping[str, str]]) -> None:
    (project / "corpus").mkdir(exist_ok=True)
    lines = "".join(json.dumps(each) + "\n" for each in documents)
    (project / "corpus" / "a.jsonl").write_text(lines, encoding="utf-8")


def recipe_in(project: Path, more: str = "") -> Path:
    path = project / "living.yaml"
    path.write_text(RECIPE.replace("    genre: encyclopedic\n", f"    genre: encyclopedic\n{more}"), encoding="utf-8")
    return path


def go(spark: SparkSession, recipe: Path | LoadedRecipe, lake: Lake, **options: Any) -> tuple[Outcome, Recorder]:
    recorder = Recorder()
    loaded = recipe if isinstance(recipe, LoadedRecipe) else load_recipe(str(recipe))
    return run(spark, loaded, Lake(spark, lake.location), Options(**options), recorder), recorder


def pairs(lake: Lake) -> dict[str, dict[str, Any]]:
    """Pairs by the corpus's own key."""
    rows = lake.read("pairs").collect()
    return {row["title"].removeprefix("Place "): row.asDict() for row in rows}


def problems(lake: Lake) -> list[str]:
    fresh = Lake(lake.spark, lake.location)
    return [f"{finding.check}: {finding.problem}" for finding in check(fresh) if finding.problem]


@pytest.fixture(scope="module")
def grown(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of forty documents, for tests to go on from in a copy."""
    project = tmp_path_factory.mktemp("grown")
    write(project, [document(key) for key in OLD])
    go(spark, recipe_in(project), Lake(spark, str(project / "lake")))
    return project / "lake"


@pytest.fixture
def lake(spark: SparkSession, grown: Path, tmp_path: Path) -> Lake:
    return Lake(spark, str(shutil.copytree(grown, tmp_path / "lake")))


def test_only_what_is_new_or_changed_is_worked_on(spark: SparkSession, tmp_path: Path, lake: Lake, capsys: Any) -> None:
    recipe, before = recipe_in(tmp_path), pairs(lake)
    assert before.keys() == {*OLD}

    # Three are new, two are changed, one of them into nothing worth keeping, and one is gone.
    changed = {"d004": document("d004", edition=2), "d005": {**document("d005"), "body": "Too short now."}}
    now = [changed.get(key) or document(key) for key in IDS[:43] if key != "d006"]
    write(tmp_path, now)
    assert main(["run", "--recipe", str(recipe), "--lake", lake.location, "--dry-run"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "own eng_Latn 3 2 37" in told
    assert "Nothing was written." in told
    assert pairs(lake) == before

    outcome, _ = go(spark, recipe, lake)
    assert outcome.new_rows["documents"] == 5
    assert outcome.new_rows["clean"] == 5
    assert outcome.new_rows["translate"] == outcome.new_rows["pairs"] == 4
    after = pairs(lake)
    assert after.keys() == {*IDS[:43]} - {"d005"}, "the pair of an older revision must not outlive it"
    assert after["d004"]["output"] == changed["d004"]["body"]
    assert after["d004"]["split"] == before["d004"]["split"]
    untouched = before.keys() - {"d004", "d005"}
    assert all(after[key] == before[key] for key in untouched)
    assert "d006" in after
    assert problems(lake) == []
    assert not any(go(spark, recipe, lake)[0].new_rows.values())


def test_what_left_the_corpus_goes_if_the_recipe_says_so(spark: SparkSession, tmp_path: Path, lake: Lake) -> None:
    recipe, before = recipe_in(tmp_path, "    on_missing: remove\n"), pairs(lake)
    write(tmp_path, [document(key) for key in OLD if key not in ("d003", "d007")])
    go(spark, recipe, lake)
    assert pairs(lake).keys() == before.keys() - {"d003", "d007"}
    assert problems(lake) == []
    # One that comes back is a new document, in its old split.
    write(tmp_path, [document(key) for key in OLD if key != "d007"])
    go(spark, recipe, lake)
    assert pairs(lake)["d003"]["split"] == before["d003"]["split"]
    assert problems(lake) == []
    # Another corpus in its place is a mistake, not a wish.
    write(tmp_path, [document(f"other{number}") for number in range(5)])
    with pytest.raises(BackpromptError, match="holds none of the 39 documents"):
        go(spark, recipe, lake)


def test_a_run_in_parts_ends_as_one_that_was_not_stopped(
    spark: SparkSession, grown: Path, tmp_path: Path, lake: Lake
) -> None:
    recipe = recipe_in(tmp_path)
    write(tmp_path, [document(key) for key in IDS])
    whole = Lake(spark, str(shutil.copytree(grown, tmp_path / "whole")))
    go(spark, recipe, whole)

    terminate_as_documents_come(recipe, lake)
    assert lake.read(leases.TABLE).first()["is_held"] is False
    outcome, _ = go(spark, recipe, lake, max_batches=3)
    assert outcome.stopped == "--max-batches 3: 3 batches are done"
    assert pairs(lake).keys() == {*OLD}
    assert go(spark, recipe, lake, max_hours=0.0)[0].stopped == "--max-hours 0: that time is over"
    assert not go(spark, recipe, lake)[0].stopped
    left, right = pairs(lake), pairs(whole)
    for row in (*left.values(), *right.values()):
        del row["batch_id"]
    assert left == right
    assert problems(lake) == []


def terminate_as_documents_come(recipe: Path, lake: Lake) -> None:
    """Start a run in a process of its own and send it SIGTERM as soon as the first table has new rows."""
    before = lake.delta("documents").history(1).first()["version"]
    command = [sys.executable, "-m", "jobs", "run", "--recipe", str(recipe), "--lake", lake.location]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        log = Path(lake.location, "documents", "_delta_log", f"{before + 1:020}.json")
        for _ in range(1200):
            if log.exists() or process.poll() is not None:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 143, err
    assert "the same command goes on from here" in err
    assert "Traceback" not in err


def test_two_runs_on_one_lake(tmp_path: Path, lake: Lake, capsys: Any) -> None:
    recipe = recipe_in(tmp_path)
    write(tmp_path, [document(key) for key in IDS])
    with Lease(lake, "run", "another"):
        for command in (["run", "--recipe", str(recipe)], ["retry", "--reason", "engine.*"]):
            assert main([*command, "--lake", lake.location]) == 2
            assert "is being written by another process" in capsys.readouterr().err
    assert lake.read("documents").count() == len(OLD)


def flaky(recipe: Path, switch: Path, **stage: Any) -> LoadedRecipe:
    loaded = load_recipe(str(recipe))
    stages = loaded.recipe.stages
    instruct = stages.instruct.model_copy(update={"engine": FlakySettings(switch=str(switch)), **stage})
    changed = loaded.recipe.model_copy(update={"stages": stages.model_copy(update={"instruct": instruct})})
    return LoadedRecipe(changed, loaded.order[1:], loaded.files)


def test_an_engine_that_fails_stops_the_run_and_what_it_lost_comes_again_once(
    spark: SparkSession, tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, switch = recipe_in(tmp_path), tmp_path / "broken"
    write(tmp_path, [document(key) for key in IDS])
    switch.write_text("all")
    with pytest.raises(BackpromptError, match=r"instruct: its engine failed on \d+ of \d+ rows.*server is away"):
        go(spark, flaky(recipe, switch), lake)
    # The batches before the one that showed it were written; that one was not.
    failed = lake.read("instruct").count() - len(OLD)
    assert 0 < failed < 50
    switch.write_text("")
    go(spark, flaky(recipe, switch), lake)
    assert len(pairs(lake)) == len(IDS) - failed
    assert problems(lake) == []
    with pytest.raises(BackpromptError, match=r"--reason clean\.\*: .*engine\.translate_failed"):
        retries.ask(Lake(spark, lake.location), "clean.*")

    # Killed after each of its steps, the retry ends the same.
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(retries.Retry, "take_out", killed)
        with pytest.raises(KeyboardInterrupt):
            retries.ask(Lake(spark, lake.location), "engine.*")
    switch.write_text("some")
    with monkeypatch.context() as patch:
        patch.setattr(retries.Retry, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            go(spark, flaky(recipe, switch), lake)
    # Some have failed again: rejected as they were, they are asked for again, beside the retry that was killed.
    again = lake.read("instruct").where("array_contains(rejected_for, 'engine.instruct_failed')").count()
    assert 0 < again < failed
    assert retries.ask(Lake(spark, lake.location), "engine.*") == {"instruct": again}
    switch.write_text("")
    go(spark, flaky(recipe, switch), lake)
    assert len(pairs(lake)) == lake.read("instruct").count() == len(IDS)
    assert problems(lake) == []
    assert retries.ask(Lake(spark, lake.location), "engine.*") == {}


def test_a_retry_is_void_once_its_table_is_made_again(lake: Lake) -> None:
    generation = lake.properties("instruct")["generation"]
    rows = lake.read("instruct").select("doc_id", "document_batch").limit(3)
    lake.ensure(retries.TABLE, retries.SCHEMA, {}, partition_by=())
    assert retries._enter(lake, "instruct", rows) == 3
    assert [retry.stage for retry in retries.unfinished(lake)] == ["instruct"]
    lake.set_properties("instruct", {"generation": str(int(generation) + 1)})
    assert list(retries.unfinished(lake)) == []
