"""The page on sources that hold pairs says what the code does."""

from __future__ import annotations

import re
from typing import get_args

import yaml
from pydantic import TypeAdapter

from jobs.sources import AnySource
from jobs.sources.base import PairSourceSettings
from tests.snippets import ROOT, broken_links, of_kind

PAGE = "docs/sources-pairs.md"


def test_the_recipes_of_the_page_are_recipes_and_name_every_kind():
    listed = [each for text in of_kind(PAGE, "yaml") for each in yaml.safe_load(text)["sources"]]
    found = [TypeAdapter(AnySource).validate_python(each) for each in listed]
    assert all(isinstance(each, PairSourceSettings) for each in found)
    settings = get_args(get_args(AnySource)[0])
    assert {type(each) for each in found} == {each for each in settings if issubclass(each, PairSourceSettings)}
    assert broken_links(PAGE) == []


def test_the_numbers_of_the_page_are_the_defaults():
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+)` \|.*\| ([^|]+) \|$", page, re.MULTILINE))
    listed = yaml.safe_load(of_kind(PAGE, "yaml")[0])["sources"]
    first = {each["kind"]: TypeAdapter(AnySource).validate_python(each) for each in listed}
    tasks, xp3, flan = first["natural-instructions"], first["xp3"], first["flan"]
    assert rows["natural-instructions"].startswith(f"{tasks.max_translation_instances} instances of each translation")
    assert rows["natural-instructions"].endswith(f"{tasks.max_instances} of each other")
    assert rows["xp3"] == f"{xp3.max_documents_per_language:,} a language"
    assert rows["flan"].count(f"{flan.max_documents_per_part:,}") == 2
    assert {each.max_pairs for each in first.values()} == {None}
