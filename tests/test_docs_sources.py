"""The recipes, reasons and kinds of docs/sources.md are those that there are."""

from __future__ import annotations

import re
import tomllib
from typing import get_args

import pytest

from jobs.runtime.reasons import Reason
from jobs.runtime.recipe import parse_recipe
from jobs.sources import SOURCES, AnySource
from jobs.sources.base import PairSourceSettings
from tests.snippets import ROOT, broken_links, of_kind

PAGE = "docs/sources.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
STAGES = """
stages:
  {clean: , dedup: , translate: {engine: {kind: apertium}}, instruct: , back_translate: , screen: , group: , pairs: }
"""


@pytest.mark.parametrize("snippet", of_kind(PAGE, "yaml"), ids=lambda text: re.search(r"kind: (\S+)", text)[1])
def test_snippets_are_parts_of_recipes(snippet):
    recipe = parse_recipe(f"name: test\n{snippet}{STAGES}", "/r/test.yaml").recipe

    assert len(recipe.sources) == snippet.count("kind:")


def test_every_kind_of_the_table_is_there():
    named = set(re.findall(r"^\| `([a-z0-9-]+)` \|", TEXT, re.MULTILINE))

    settings = {each.model_fields["kind"].default: each for each in get_args(get_args(AnySource)[0])}
    assert settings.keys() == SOURCES.keys()
    of_pairs = {kind for kind, each in settings.items() if issubclass(each, PairSourceSettings)}
    assert named == SOURCES.keys() - of_pairs - {"wikipedia-dump", "wikipedia-parquet"}


def test_reasons_extras_and_links():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    wikipedia = (ROOT / "docs" / "wikipedia.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`(source\.\w+)`", TEXT + wikipedia))
    assert told == {code.value for code in Reason if code.startswith("source.")}
    assert set(re.findall(r"backprompt\[([\w-]+)\]", TEXT)) <= set(extras)
    assert broken_links(PAGE) == []
