"""A recipe that says only what differs from another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.runtime.errors import BackpromptError
from jobs.runtime.recipe import load_recipe
from jobs.stages import STAGES

BASE = """
name: base
seed: 3
sources:
  - {kind: culturax, path: web, license: CC0-1.0, weight: 2}
  - {kind: flan, path: flan, max_pairs: 10}
  - {kind: jsonl, name: own, path: own, license: CC0-1.0, language: cat_Latn, columns: {text: body}}
stages:
  clean: {min_chars: 10, max_chars: 5000}
  translate:
    engine: {kind: openai, base_url: "http://localhost:1", model: m, prompt: ours}
  instruct:
  back_translate:
  screen:
  group:
  pairs:
"""
PROMPT = "Translate from {{source_language}} into {{target_language}}: {{text}}"


@pytest.fixture
def load(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "base.yaml").write_text(BASE, encoding="utf-8")
    (tmp_path / "base" / "ours").write_text(PROMPT, encoding="utf-8")

    def read(text):
        (tmp_path / "own.yaml").write_text("extends: base/base.yaml\n" + text, encoding="utf-8")
        return load_recipe(str(tmp_path / "own.yaml"))

    return read


def refused(load, text):
    with pytest.raises(BackpromptError) as caught:
        load(text)
    return str(caught.value)


def test_alone_it_is_the_other_recipe(load, tmp_path):
    base, own = load_recipe(str(tmp_path / "base" / "base.yaml")), load("")
    assert own.order == base.order
    assert own.recipe.sources == base.recipe.sources
    assert own.fingerprint("pairs") == base.fingerprint("pairs")


def test_what_it_says_wins_and_the_rest_stays(load):
    loaded = load("name: own\nstages:\n  clean: {min_chars: 20}\n  screen: {max_hate_score: 0.1}\n")
    assert (loaded.name, loaded.recipe.seed) == ("own", 3)
    clean = loaded.settings("clean")
    assert (clean.min_chars, clean.max_chars) == (20, 5000)
    assert loaded.settings("screen").max_hate_score == 0.1
    assert loaded.order == ("documents", "clean", "translate", "instruct", "back_translate", "screen", "group", "pairs")


def test_a_new_stage_stands_before_the_one_that_follows_it(load):
    loaded = load(
        "stages:\n  dedup: {threshold: 0.7}\n  translate: {max_files_per_batch: 3}\n  dedup_outputs:\n  group:\n"
    )
    order = ("clean", "dedup", "translate", "instruct", "back_translate", "screen", "dedup_outputs", "group", "pairs")
    assert loaded.order == ("documents", *order)


@pytest.mark.parametrize("name", ["dedup", "dedup_lines", "dedup_outputs"])
def test_a_new_stage_that_nothing_follows_stands_where_it_usually_does(load, name):
    loaded = load(f"stages:\n  clean: {{}}\n  {name}: {{}}\n")
    assert list(loaded.order[1:]) == [each for each in STAGES if each in loaded.order]
    assert name in loaded.order
    assert loaded.settings("clean").min_chars == 10, "an empty mapping changes nothing"


def test_another_kind_and_a_key_without_value_replace(load):
    loaded = load("stages:\n  clean:\n  translate: {engine: {kind: apertium}}\n")
    assert loaded.settings("clean").min_chars == type(loaded.settings("clean"))().min_chars
    assert loaded.settings("translate").engine.kind == "apertium"


def test_sources_by_name_are_changed_added_and_taken_out(load, tmp_path):
    text = "sources:\n  own: {path: mine}\n  flan_v2:\n  more: {kind: wikihow, path: how}\n"
    sources = load(text).recipe.sources
    assert [(source.name, source.kind) for source in sources] == [
        ("culturax", "culturax"),
        ("own", "jsonl"),
        ("more", "wikihow"),
    ]
    # Each path is relative to the file that it stands in.
    places = [str(Path(source.path).relative_to(tmp_path)) for source in sources]
    assert places == ["base/web", "mine", "how"]
    assert sources[1].columns.text == "body"


def test_a_list_of_sources_replaces_them_all(load):
    assert [each.name for each in load("sources: [{kind: wikihow, path: how}]").recipe.sources] == ["wikihow"]


def test_prompts_are_found_beside_either(load, tmp_path):
    assert load("").read_prompt("ours") == PROMPT
    (tmp_path / "ours").write_text("Own", encoding="utf-8")
    assert load("").read_prompt("ours") == "Own"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sources: {culturax: {weigt: 1}}", ["own.yaml, line 2: sources.0.weigt", "unknown key"]),
        ("stages: {clean: {min_chars: ten}}", ["own.yaml, line 2: stages.clean.min_chars", "'ten'"]),
        ("sources: {web: {path: x}}", ["own.yaml, line 2: sources.web", "no such source", "culturax, flan_v2, own"]),
        ("stages: {dedoop: }", ["own.yaml, line 2: stages.dedoop"]),
        ("seed: 1\nseed: 2", ["own.yaml, line 3", "twice"]),
        ("languages: [catt_Latn]", ["own.yaml, line 2", "cat_Latn"]),
    ],
)
def test_mistakes_name_the_file_they_stand_in(load, text, parts):
    message = refused(load, text)
    for part in parts:
        assert part in message


def test_a_mistake_of_the_other_recipe_names_that_one(load, tmp_path):
    (tmp_path / "base" / "base.yaml").write_text(BASE.replace("weight: 2", "wait: 2"), encoding="utf-8")
    assert "base.yaml, line 5: sources.0.wait" in refused(load, "name: own")


def test_a_recipe_extends_what_there_is_and_not_itself(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("extends: nowhere", encoding="utf-8")
    with pytest.raises(BackpromptError, match=r"own.yaml, line 1: extends: there is no recipe 'nowhere'"):
        load_recipe(str(own))
    own.write_text("extends: [base.yaml]", encoding="utf-8")
    with pytest.raises(BackpromptError, match=r"own.yaml, line 1: extends: write one recipe"):
        load_recipe(str(own))
    own.write_text("extends: own.yaml", encoding="utf-8")
    with pytest.raises(BackpromptError, match=r"own.yaml extends .*own.yaml"):
        load_recipe(str(own))


def test_a_recipe_of_the_installation_is_extended_by_name(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("extends: demo\nname: small\nsources: {culturax: , wikipedia-dump: }\n", encoding="utf-8")
    loaded = load_recipe(str(own))
    assert [source.name for source in loaded.recipe.sources] == ["wikipedia"]
    assert Path(loaded.recipe.sources[0].path).is_dir()
