"""The recipe that ``--write`` makes, and what its thresholds cost."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from jobs.explore.cuts import Change, Cut
from jobs.explore.recipes import cost, write_recipe
from jobs.runtime.errors import BackpromptError
from jobs.runtime.recipe import load_recipe

CUT = Cut((Change("screen", "max_hate_score", 0.3), Change("clean", "identifier.min_score", 0.8)))


@pytest.mark.parametrize("name", ["demo", "demo-muri"])
def test_it_says_only_what_differs(tmp_path: Path, name: str) -> None:
    file = tmp_path / "stricter.yaml"
    write_recipe(file, name, CUT)
    assert yaml.safe_load(file.read_text(encoding="utf-8")) == {
        "extends": name,
        "stages": {"screen": {"max_hate_score": 0.3}, "clean": {"identifier": {"kind": "py3langid", "min_score": 0.8}}},
    }
    before, after = load_recipe(name), load_recipe(str(file))
    assert (after.name, after.order, after.recipe.sources) == (before.name, before.order, before.recipe.sources)
    changed = {
        f"{stage}.{key}": value
        for stage in before.order
        for key, value in after.decisive(stage).items()
        if before.decisive(stage).get(key) != value
    }
    assert changed == {"screen.max_hate_score": 0.3, "clean.identifier.min_score": 0.8}


def test_it_names_a_file_from_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path)
    write_recipe(Path("a/first.yaml"), "demo", CUT)
    again = Cut((Change("screen", "max_hate_score", 0.1),))
    write_recipe(Path("b/second.yaml"), "a/first.yaml", again)
    assert yaml.safe_load(Path("b/second.yaml").read_text())["extends"] == "../a/first.yaml"
    write_recipe(Path("a/third.yaml"), "a/first.yaml", again)
    assert yaml.safe_load(Path("a/third.yaml").read_text())["extends"] == "./first.yaml"
    for name in ("b/second.yaml", "a/third.yaml"):
        loaded = load_recipe(name)
        assert loaded.settings("screen").max_hate_score == 0.1
        assert loaded.settings("clean").identifier.min_score == 0.8


def test_a_map_that_cannot_be_written_as_it_was_looked_at_is_refused(tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    identifier = "{kind: glotlid, model: m.bin, min_score_by_language: {yor_Latn: 0.3}}"
    base.write_text(f"extends: demo\nstages: {{clean: {{identifier: {identifier}}}}}\n")
    setting = "identifier.min_score_by_language"
    new = tmp_path / "new.yaml"
    with pytest.raises(BackpromptError, match=r"clean would differ in identifier\.min_score_by_language from"):
        write_recipe(new, str(base), Cut((Change("clean", setting, {"fra_Latn": 0.4}),)))
    assert not new.exists()
    wanted = {"fra_Latn": 0.4, "yor_Latn": 0.3}
    write_recipe(new, str(base), Cut((Change("clean", setting, wanted),)))
    assert dict(load_recipe(str(new)).settings("clean").identifier.min_score_by_language) == wanted


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine")
    with pytest.raises(BackpromptError, match="is there already"):
        write_recipe(file, "demo", CUT)
    assert file.read_text() == "mine"
    with pytest.raises(BackpromptError, match="cannot be written"):
        write_recipe(tmp_path / "none" / "new.yaml", "demo", CUT)


def test_a_stage_that_the_recipe_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "name: own\nsources: [{kind: flan, path: x}]\n"
        "stages: {clean: {}, translate: {}, instruct: {}, back_translate: {}, screen: {}, group: {}, pairs: {}}\n"
    )
    lines = Cut((Change("dedup_lines", "min_chars_left", 9),))
    with pytest.raises(BackpromptError, match="has no stage dedup_lines"):
        write_recipe(tmp_path / "new.yaml", str(tmp_path / "own.yaml"), lines)
    assert not (tmp_path / "new.yaml").exists()


def test_what_it_costs_begins_with_the_first_stage_that_changes() -> None:
    recipe = load_recipe("demo")
    rows = dict.fromkeys(recipe.order, 10)
    price = cost(recipe.order, CUT, recipe, rows)
    assert price is not None
    assert (price.rebuild, price.stages[0], price.stages[-1]) == ("clean", "clean", "pairs")
    assert price.cached == ["translate", "back_translate"]
    assert price.engines == ["clean", "instruct", "screen"]
    late = cost(recipe.order, Cut(CUT.changes[:1]), None, rows)
    assert late is not None
    assert (late.stages, late.cached) == (["screen", "dedup_instructions", "dedup_outputs", "group", "pairs"], [])
    assert cost(recipe.order, Cut(()), recipe, rows) is None
