import shutil
from pathlib import Path

import pytest

from jobs.runtime.errors import BackpromptError
from jobs.runtime.recipe import flatten, load_recipe, packaged_recipes, parse_recipe
from jobs.stages import STAGES

GOOD = """
name: test
sources:
  - kind: jsonl
    name: own
    path: corpus.jsonl
    license: CC0-1.0
    language: cat_Latn
    columns: {text: body}
stages:
  clean: {min_chars: 10}
  dedup:
  translate:
    engine: {kind: apertium}
  instruct:
  back_translate:
  screen:
  group:
  pairs:
"""


def refused(text):
    with pytest.raises(BackpromptError) as caught:
        parse_recipe(text, "/r/test.yaml")
    return str(caught.value)


def test_a_good_recipe():
    recipe = parse_recipe(GOOD, "/r/test.yaml")
    later = ("clean", "dedup", "translate", "instruct", "back_translate", "screen", "group", "pairs")
    assert recipe.order == ("documents", *later)
    assert set(later) <= set(STAGES)
    assert recipe.settings("clean").min_chars == 10
    assert recipe.upstream("instruct") == "translate"
    assert recipe.recipe.sources[0].path == "/r/corpus.jsonl"


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("min_chars: 10", "min_char: 10", ["line 11", "stages.clean.min_char", "unknown key", "min_chars"]),
        ("kind: apertium", "kind: babelfish", ["line 14", "stages.translate.engine", "babelfish", "apertium"]),
        ("  instruct:\n", "  instruct: {engine: {kind: oracle}}\n", ["line 15", "oracle", "template", "openai"]),
        ("  instruct:\n", "  instruct: {engine: {model: x}}\n", ["line 15", "kind"]),
        ("kind: jsonl", "kind: csv", ["line 4", "sources.0", "csv", "jsonl", "culturax"]),
        ("    path: corpus.jsonl\n", "", ["path", "missing"]),
        ("min_chars: 10", "min_chars: ten", ["line 11", "stages.clean.min_chars", "'ten'"]),
        ("name: test", "name: Test Recipe", ["line 2", "name"]),
        ("name: test", "name: test\npivot: eng", ["line 3", "pivot", "eng_Latn"]),
        ("name: test", "name: test\nlanguages: [cat_Latn, catt_Latn]", ["line 3", "catt_Latn", "cat_Latn"]),
        ("stages:\n", "stagse:\n", ["stagse", "unknown key"]),
        ("  pairs:\n", "", ["stages must end with pairs"]),
        ("  dedup:\n", "  dedup:\n  dedup: {threshold: 0.7}\n", ["line 13", "dedup", "twice"]),
        ("name: test", "name: [", ["not valid YAML", "line"]),
    ],
)
def test_mistakes_are_named_with_file_line_and_what_is_allowed(old, new, parts):
    assert old in GOOD
    message = refused(GOOD.replace(old, new))
    for part in ["/r/test.yaml", *parts]:
        assert part in message, message


def test_impossible_order_is_explained():
    text = GOOD.replace("  instruct:\n", "").replace("  dedup:\n", "  dedup:\n  instruct:\n")
    message = refused(text)
    assert "stages.instruct needs column" in message
    assert "put translate before instruct" in message


@pytest.mark.parametrize("later", ["dedup_outputs:", "decontaminate: {sets: [{name: x, path: x.txt}]}"])
def test_splits_are_given_last(later):
    message = refused(GOOD.replace("  group:\n", f"  group:\n  {later}\n"))
    assert "line 18" in message
    assert f"{later.partition(':')[0]} stands between group and pairs: put group directly before pairs" in message


def test_two_sources_of_one_name():
    text = GOOD.replace(
        "stages:", "  - {kind: jsonl, name: own, path: b, license: X, language: spa_Latn, columns: {text: t}}\nstages:"
    )
    assert "two sources are named 'own'" in refused(text)


def test_all_mistakes_are_reported_at_once():
    message = refused(GOOD.replace("min_chars: 10", "min_char: 10").replace("kind: apertium", "kind: babelfish"))
    assert "min_char" in message
    assert "babelfish" in message


def test_no_such_recipe():
    with pytest.raises(BackpromptError, match="no recipe 'nonesuch'"):
        load_recipe("nonesuch")


def test_packaged_recipes_are_good():
    assert {"demo", "muri"} <= packaged_recipes().keys()


def test_paths_are_relative_to_the_recipe(tmp_path):
    (tmp_path / "conf").mkdir()
    shutil.copy(Path(__file__).parents[3] / "conf" / "demo.yaml", tmp_path / "conf" / "demo.yaml")
    recipe = load_recipe(str(tmp_path / "conf" / "demo.yaml"))
    assert recipe.recipe.sources[0].path == str(tmp_path / "data" / "demo" / "wikipedia")


def changed(old, new):
    return parse_recipe(GOOD.replace(old, new), "/r/test.yaml")


def test_fingerprint_follows_settings_of_the_stage_and_those_before():
    base, other = parse_recipe(GOOD, "/r/a.yaml"), changed("min_chars: 10", "min_chars: 11")
    assert base.fingerprint("documents") == other.fingerprint("documents")
    for stage in base.order[1:]:
        assert base.fingerprint(stage) != other.fingerprint(stage)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("path: corpus.jsonl", "path: corpus-2026-12.jsonl"),
        ("min_chars: 10", "min_chars: 10, max_files_per_batch: 3, tasks: 5"),
        ("kind: apertium", "kind: apertium, timeout_s: 7"),
        ("license: CC0-1.0", "license: CC0-1.0\n    max_documents_per_language: 5"),
    ],
)
def test_what_does_not_change_results_does_not_change_fingerprints(old, new):
    base, other = parse_recipe(GOOD, "/r/a.yaml"), changed(old, new)
    assert [base.fingerprint(stage) for stage in base.order] == [other.fingerprint(stage) for stage in base.order]


def test_prompt_is_part_of_the_fingerprint(tmp_path):
    text = GOOD.replace(
        "  instruct:\n", "  instruct: {engine: {kind: openai, base_url: 'http://x/v1', model: m, prompt: mine.txt}}\n"
    )
    prints = []
    for wording in ("Answer: {{text}}", "Text: {{text}}"):
        (tmp_path / "mine.txt").write_text(wording)
        prints.append(parse_recipe(text, str(tmp_path / "r.yaml")).fingerprint("instruct"))
    assert prints[0] != prints[1]


def test_prompt_that_is_not_there():
    text = GOOD.replace(
        "  instruct:\n", "  instruct: {engine: {kind: openai, base_url: 'http://x/v1', model: m, prompt: nope}}\n"
    )
    with pytest.raises(BackpromptError, match="prompt 'nope'"):
        parse_recipe(text, "/r/test.yaml").resources()


def test_flatten():
    assert flatten({"a": {"b": 1, "c": {"d": 2}}, "e": {}}) == {"a.b": 1, "a.c.d": 2, "e": {}}


SECRET = "sk-test-0123456789"


@pytest.mark.parametrize(
    "given",
    [
        f"api_key_env: {SECRET}",
        f'base_url: "http://user:{SECRET}@localhost:8000/v1"',
        f'base_url: "http://localhost:8000/v1?key={SECRET}"',
    ],
)
def test_a_key_in_a_recipe_is_refused_and_not_repeated(given):
    url = "" if "base_url" in given else 'base_url: "http://localhost:8000/v1", '
    said = refused(GOOD.replace("  instruct:\n", f"  instruct: {{engine: {{kind: openai, model: m, {url}{given}}}}}\n"))
    assert f"stages.instruct.engine.{given.split(':')[0]}: " in said
    assert "environment variable" in said
    assert SECRET not in said
