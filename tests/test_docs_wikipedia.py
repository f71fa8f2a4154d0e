"""The recipe, settings and reasons of docs/wikipedia.md are those that there are."""

import re

import yaml
from pydantic import TypeAdapter

from jobs.runtime.reasons import meaning
from jobs.sources import AnySource
from jobs.sources.wikipedia import WikipediaDumpSettings
from tests.snippets import ROOT, broken_links, of_kind

PAGE = "docs/wikipedia.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")


def test_recipe_is_good():
    (part,) = of_kind(PAGE, "yaml")
    (source,) = yaml.safe_load(part)["sources"]

    assert TypeAdapter(AnySource).validate_python(source).stubs == "reject"


def test_reasons_and_settings_are_there():
    assert all(meaning(code) for code in re.findall(r"`(source\.\w+)`", TEXT))
    fields = WikipediaDumpSettings.model_fields
    for name, value in re.findall(r"`(\w+): (keep|reject)`", TEXT):
        assert fields[name].default == {"keep": "reject", "reject": "keep"}[value], name
    assert fields["list_share"].default == 0.8
    assert "80 % or more" in TEXT
    assert fields["max_record_bytes"].default == 32 * 2**20
    assert "(32 MiB)" in TEXT


def test_links_lead_somewhere():
    assert not broken_links(PAGE)
