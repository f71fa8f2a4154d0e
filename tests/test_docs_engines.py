"""The recipes, extras, commands and names of docs/engines.md are those that there are."""

import re
import shlex
import tomllib
from typing import get_args

import pytest

from jobs.arguments import parser
from jobs.runtime.conf import language_table
from jobs.runtime.pipeline import parse_stages
from jobs.runtime.schema import BACK_TRANSLATE, HEALTH, INSTRUCT, SCREEN, TRANSLATE
from jobs.stages import STAGES
from jobs.stages.engines import AnyGenerator, AnyIdentifier, AnyTranslator, RecipeTranslator
from jobs.stages.health import Fault, HealthSettings
from tests.snippets import ROOT, broken_links, commands, of_kind, with_stages
from udfs.embedders.sentence_transformers import SentenceTransformersSettings

PAGE = "docs/engines.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
PARTS = of_kind(PAGE, "yaml")


def kinds(union):
    return {each.model_fields["kind"].default for each in get_args(get_args(union)[0])}


def row_of(name):
    return next(line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |"))


@pytest.mark.parametrize("part", PARTS)
def test_recipes_are_good(part):
    recipe = with_stages(part)
    resources = recipe.resources()
    for stage in ("translate", "back_translate"):
        engine = RecipeTranslator.of(recipe.settings(stage).engine, resources)
        covered = engine.covered(resources.languages, resources.pivot, into_pivot=stage == "translate")
        assert len(covered) > 1, f"{stage} covers no language but the pivot"


def test_every_engine_of_a_recipe_is_in_the_table():
    table = TEXT[TEXT.index("|---|") : TEXT.index("```")]
    named = set(re.findall(r"^\|[^|]*\| `([\w-]+)` \|", table, re.MULTILINE))
    with_a_model = {"wordlist", "comet-kiwi", SentenceTransformersSettings.model_fields["kind"].default}
    assert named == kinds(AnyTranslator) | kinds(AnyGenerator) | kinds(AnyIdentifier) | with_a_model


def test_numbers_of_languages_are_those_of_the_table():
    table = language_table()
    assert f"({len(table.codes('madlad'))} languages of [conf/languages.csv]" in TEXT
    assert f"NLLB-200 ({len(table.codes('nllb'))} languages)" in TEXT
    assert f"knows {len(table.codes('madlad'))} of our languages" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_engines_with_models_have_an_example():
    shown = set(re.findall(r"kind: ([\w-]+)", "\n".join(PARTS)))
    assert shown == {"ctranslate2", "transformers", "openai", "vllm", "glotlid", "comet-kiwi", "sentence-transformers"}


@pytest.mark.parametrize("page", [PAGE, "README.md"])
def test_extras_are_there(page):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / page).read_text(encoding="utf-8")
    named = {name for group in re.findall(r"'\.\[([\w,-]+)\]'", text) for name in group.split(",")}
    listed = re.search(r"extras: ([^)]+)\)", text)
    if listed:
        named |= set(re.findall(r"`([\w-]+)`", listed.group(1)))
    if page == PAGE:
        cells = [line.split("|")[4] for line in TEXT[: TEXT.index("```")].splitlines() if line.startswith("|")]
        named |= {name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)}
    assert named
    assert named <= set(project["optional-dependencies"])


def test_faults_and_what_rejects_are_as_in_the_code():
    for fault in get_args(Fault):
        assert row_of(fault).endswith(f"| {'yes' if fault in HealthSettings().reject else 'no'} |")


def test_columns_are_there():
    have = {field.name for schema in (TRANSLATE, INSTRUCT, BACK_TRANSLATE, SCREEN, HEALTH) for field in schema}
    named = (
        "title_health text_health instruction_health prompt_tokens completion_tokens prompt_hash is_prompt_shortened"
    )
    named += " hate_score translation_quality semantic_similarity segments min_length_ratio max_length_ratio"
    assert set(named.split()) <= have
    assert all(f"`{name}`" in TEXT for name in named.split())


def test_commands_are_understood():
    given = [parser().parse_args(shlex.split(each)[1:]) for each in commands(PAGE) if each.startswith("backprompt ")]
    assert [each.trial for each in given if hasattr(each, "trial")] == [None, 20]
    recipe = with_stages(PARTS[0])
    chosen = []
    for each in given:
        if hasattr(each, "stages"):
            chosen += parse_stages(each.stages, recipe)
    assert [name for name in chosen if name in STAGES] == list(recipe.order[1:])


def test_links_lead_somewhere():
    assert not broken_links(PAGE)
