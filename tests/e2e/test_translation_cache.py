"""A rebuild of translations asks no engine for what was translated before."""

import shutil

import pytest
import yaml
from pyspark.sql import functions as F

from jobs.runtime import translation_cache
from jobs.runtime.accounting import check
from jobs.runtime.lake import Lake
from jobs.runtime.schema import RUNS
from jobs.stages.texts import NO_ENGINE
from tests.conftest import run_recipe
from tests.e2e.test_demo import rows_of
from udfs.translators.apertium import ApertiumSettings

CACHED = ("translate", "back_translate")


def looked_up(lake, stage, generation):
    """Hits and misses by language, of one life of a stage's table."""
    runs = lake.read("runs", RUNS).where((F.col("stage") == stage) & (F.col("generation") == generation))
    sums = runs.groupBy("language").agg(F.sum("cache_hits").alias("hits"), F.sum("cache_misses").alias("misses"))
    return {row["language"]: (row["hits"], row["misses"]) for row in sums.collect()}


def texts_asked(lake, stage):
    """How many texts the rows of a stage asked the engine for, by language."""
    label, names = (
        ("translator", ["title", "text"]) if stage == "translate" else ("back_translator", ["instruction_en"])
    )
    rows = lake.read(stage)
    was_asked = F.coalesce(F.col(label) != NO_ENGINE, F.lit(False))
    texts = sum(((was_asked & F.col(name).isNotNull()).cast("int") for name in names), F.lit(0))
    return {
        row["language"]: row["texts"] for row in rows.groupBy("language").agg(F.sum(texts).alias("texts")).collect()
    }


def recipe_with(small, settings):
    """Write the recipe with other settings of its translating stages; return its path."""
    recipe = yaml.safe_load(small.recipe.read_text(encoding="utf-8"))
    for stage in CACHED:
        recipe["stages"][stage].update(settings)
    path = small.recipe.with_name("other.yaml")
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture
def engine_that_translates_nothing(tmp_path, monkeypatch):
    """An Apertium that knows its versions and has no language in it; returns where it is."""
    versions = ApertiumSettings().open().installation._versions
    prefix = tmp_path / "empty-apertium"
    (prefix / "usr" / "bin").mkdir(parents=True)
    (prefix / "usr" / "bin" / "apertium-wblank-mode").touch()
    (prefix / "packages.tsv").write_text("".join(f"{name}\t{version}\n" for name, version in versions.items()))
    monkeypatch.setattr(ApertiumSettings, "check", lambda *_: None)
    return prefix


def test_a_rebuild_asks_no_engine_and_makes_the_same_pairs(spark, small, tmp_path, engine_that_translates_nothing):
    path = tmp_path / "lake"
    shutil.copytree(small.lake.location, path)
    lake = Lake(spark, str(path))
    for stage in CACHED:
        counts = looked_up(lake, stage, 0)
        assert {language: sum(each) for language, each in counts.items()} == texts_asked(lake, stage)
        assert sum(misses for _, misses in counts.values()) > 0
    recipe = recipe_with(small, {"engine": {"kind": "apertium", "prefix": str(engine_that_translates_nothing)}})
    entries = lake.read(translation_cache.TABLE).count()

    run_recipe(spark, recipe, path, rebuild="translate")
    lake = Lake(spark, str(path))
    for stage in CACHED:
        texts = texts_asked(lake, stage)
        assert sum(texts.values()) > 0
        assert looked_up(lake, stage, 1) == {language: (count, 0) for language, count in texts.items()}
    for table in (*CACHED, "pairs", "splits"):
        assert rows_of(lake, table) == rows_of(small.lake, table), table
    assert lake.read(translation_cache.TABLE).count() == entries
    assert [finding for finding in check(lake) if finding.problem] == []

    # The engine is as broken as it should be: without the cache the same run cannot go on.
    translation_cache.empty(lake)
    with pytest.raises(Exception, match="lacks"):
        run_recipe(spark, recipe, path, rebuild="translate")


@pytest.mark.slow
def test_a_stage_without_its_cache_counts_nothing_and_makes_the_same_rows(spark, small, tmp_path):
    recipe = recipe_with(small, {"cache": False})
    run_recipe(spark, recipe, tmp_path / "lake", stages=("documents", "clean", "dedup_lines", "dedup", "translate"))
    lake = Lake(spark, str(tmp_path / "lake"))
    assert not lake.exists(translation_cache.TABLE)
    assert set(looked_up(lake, "translate", 0).values()) == {(None, None)}
    assert rows_of(lake, "translate") == rows_of(small.lake, "translate")
