"""Splits of a lake that lives: halves that come in different runs, revisions, removals, kills."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, StructField, StructType

from jobs.runtime import removals
from jobs.runtime.accounting import check
from jobs.runtime.dedup_index import DedupIndex
from jobs.runtime.lake import Lake
from jobs.runtime.schema import SPLITS
from tests.conftest import run_recipe
from tests.jobs.stages.test_group import text
from tests.udfs.test_contamination import sentences

RECIPE = """
name: splits
seed: 3
sources:
  - kind: instructions
    path: own
    language: eng_Latn
    license: CC0-1.0
    language_codes: language
    columns: {id: id, part_of: page}
stages:
  clean:
  translate:
  instruct:
  back_translate:
  screen: {identifier: {kind: py3langid, min_chars: 10000}}
  decontaminate: {sets: [{name: flores, path: flores.txt}]}
  group:
  pairs:
"""


def row(key: int, seed: int | None = None, changed: int = 0, page: str | None = None) -> dict[str, Any]:
    body = text(key if seed is None else seed, changed)
    return {"id": str(key), "instruction": f"Tell me of place {key}.", "response": body, "page": page}


FIRST = [row(key) for key in range(40)] + [row(100 + key, page=f"page{key % 5}") for key in range(15)]


def write(project: Path, rows: list[dict[str, Any]]) -> None:
    (project / "own").mkdir(exist_ok=True)
    (project / "own" / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")


def pairs(lake: Lake) -> dict[int, Any]:
    return {int(each["corpus_key"]): each for each in grouped(lake) if each["split"]}


def grouped(lake: Lake) -> list[Any]:
    alive = lake.read("pairs").select(F.col("pair_id").alias("doc_id"), "revision")
    return lake.read("group").join(alive, ["doc_id", "revision"]).collect()


def problems(lake: Lake) -> list[str]:
    return [f"{found.check}: {found.problem}" for found in check(Lake(lake.spark, lake.location)) if found.problem]


@pytest.fixture(scope="module")
def project(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("splits")
    (folder / "flores.txt").write_text("\n".join(sentences()["eng_Latn"]), encoding="utf-8")
    (folder / "splits.yaml").write_text(RECIPE, encoding="utf-8")
    write(folder, FIRST)
    run_recipe(spark, folder / "splits.yaml", folder / "first")
    return folder


def second(before: dict[int, Any]) -> list[dict[str, Any]]:
    """The first rows, one of them revised; near-duplicates of all; parts of all pages; a contaminated one.

    One stands between two splits.
    """
    a, b = (next(key for key in range(40) if before[key]["split"] == split) for split in ("train", "test"))
    halves = [row(200 + key, seed=key, changed=8) for key in range(40)]
    parts = [row(300 + key, page=f"page{key}") for key in range(5)]
    between = row(400) | {"response": f"{text(a)} {text(b)}"}
    item = row(401) | {"response": f"{text(401)} {sentences()['eng_Latn'][7]}"}
    kept = [each for each in FIRST if each["id"] != "39"]
    return [*kept, row(39, changed=3), *halves, *parts, between, item, row(402)]


def test_halves_share_a_split_when_they_come_in_different_runs(
    spark: SparkSession, project: Path, tmp_path: Path
) -> None:
    lake = Lake(spark, str(shutil.copytree(project / "first", tmp_path / "lake")))
    before = pairs(lake)
    assert before.keys() == {*range(40), *range(100, 115)}
    splits = [each["split"] for each in before.values()]
    for split, share in (("train", 0.9), ("validation", 0.05), ("test", 0.05)):
        assert abs(splits.count(split) - share * len(splits)) <= 1
    write(project, second(before))
    run_recipe(spark, project / "splits.yaml", lake.location)
    after = pairs(lake)
    assert problems(lake) == []
    assert all(after[key]["split"] == each["split"] for key, each in before.items())
    assert after[39]["text"] != before[39]["text"]
    for key in range(40):
        assert after[200 + key]["split"] == before[key]["split"], key
    for key in range(5):
        assert after[300 + key]["split"] == before[100 + key]["split"], key
    rejected = {
        each["corpus_key"]: each["rejected_for"]
        for table in ("decontaminate", "group")
        for each in lake.read(table).where(F.size("rejected_for") > 0).collect()
    }
    assert rejected == {"400": ["group.between_splits"], "401": ["decontaminate.contaminated"]}

    # What is forgotten leaves index and splits; a copy that comes later is a new pair.
    gone = lake.read("group").where("corpus_key IN ('0', '200')").select("doc_id")
    removals.remove(lake, gone, "forgotten")
    ids = {each["doc_id"] for each in gone.collect()}
    assert ids.isdisjoint(each["doc_id"] for each in DedupIndex(lake, "group_index").ids().collect())
    assert ids.isdisjoint(each["pair_id"] for each in lake.read("splits").collect())
    assert problems(lake) == []

    # A group that is torn by hand is found.
    victim = lake.read("splits").where(F.col("pair_id") != F.col("split_group")).first()
    other = "test" if victim["split"] != "test" else "train"
    for table in ("splits", "pairs"):
        lake.delta(table).update(F.col("pair_id") == victim["pair_id"], {"split": F.lit(other)})
    assert any("no group on two sides: 1 groups have two splits" in each for each in problems(lake))


@pytest.mark.slow
def test_neither_a_rebuild_nor_another_seed_moves_a_pair(spark: SparkSession, project: Path, tmp_path: Path) -> None:
    lake = Lake(spark, str(shutil.copytree(project / "first", tmp_path / "lake")))
    before = {key: each["split"] for key, each in pairs(lake).items()}
    write(project, FIRST)
    other = tmp_path / "splits.yaml"
    other.write_text(RECIPE.replace("seed: 3", "seed: 4").replace("path: ", f"path: {project}/"), encoding="utf-8")
    run_recipe(spark, other, lake.location, rebuild="documents")
    assert {key: each["split"] for key, each in pairs(lake).items()} == before
    assert problems(lake) == []

    # The table of lakes that know no groups is made anew.
    lake.replace("splits", StructType([*SPLITS.fields[:4], StructField("split_position", DoubleType())]), {"seed": "4"})
    run_recipe(spark, other, lake.location, rebuild="group")
    assert pairs(lake).keys() == before.keys()
    assert problems(lake) == []


@pytest.mark.slow
@pytest.mark.parametrize("where", ["splits", "group_index"])
def test_a_batch_that_is_killed_on_its_way_ends_as_one_that_is_not(
    spark: SparkSession, project: Path, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, torn = (Lake(spark, str(shutil.copytree(project / "first", tmp_path / name))) for name in ("whole", "torn"))
    write(project, second(pairs(whole)))
    run_recipe(spark, project / "splits.yaml", whole.location)
    append = Lake.append

    def killed(lake: Lake, rows: Any, table: str, *rest: Any, **more: Any) -> Any:
        if table == where:
            raise KeyboardInterrupt
        return append(lake, rows, table, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "append", killed)
        with pytest.raises(BaseException):  # noqa: B017, PT011 - Spark passes on what a batch raised in its own form
            run_recipe(spark, project / "splits.yaml", torn.location)
    run_recipe(spark, project / "splits.yaml", torn.location)
    assert problems(torn) == []
    names = ["doc_id", "revision", "split", "split_group", "rejected_for", "detail"]
    for table, columns in (("group", names), ("splits", ["*"])):
        left, right = (sorted(map(repr, lake.read(table).select(*columns).collect())) for lake in (whole, torn))
        assert left == right
    entries = [
        sorted(each["doc_id"] for each in DedupIndex(lake, "group_index").ids().collect()) for lake in (whole, torn)
    ]
    assert entries[0] == entries[1]
