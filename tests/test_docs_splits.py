"""The page on splits says what the code does."""

from __future__ import annotations

import yaml

from jobs.stages.decontaminate import DecontaminateSettings
from jobs.stages.group import GroupSettings
from tests.snippets import ROOT, broken_links, of_kind

PAGE = "docs/splits.md"


def test_the_settings_of_the_page_are_settings_and_its_numbers_the_defaults():
    group, decontaminate = (yaml.safe_load(text) for text in of_kind(PAGE, "yaml"))
    assert GroupSettings(**group["group"]) == GroupSettings()
    settings = DecontaminateSettings(**decontaminate["decontaminate"])
    assert (settings.ngram.words, settings.ngram.characters, settings.ngram.unspaced) == (8, 12, 24)
    assert (settings.min_share, settings.min_found_words, settings.min_words) == (0.5, 13, 5)
    assert (settings.max_items_per_ngram, settings.max_ngrams) == (10, 10_000_000)
    assert broken_links(PAGE) == []


def test_the_commented_sets_of_the_recipe_are_right():
    """Only the files are missing."""
    text = (ROOT / "conf" / "muri.yaml").read_text(encoding="utf-8")
    lines = [line.replace("  # ", "  ", 1) for line in text.splitlines()]
    start = next(at for at, line in enumerate(lines) if line.strip() == "decontaminate:")
    DecontaminateSettings(**yaml.safe_load("\n".join(lines[start : start + 4]))["decontaminate"])
