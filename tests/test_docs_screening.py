"""The rules, scores and settings of docs/screening.md are those that there are."""

import re
from typing import get_args

import pytest

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import SCREEN
from jobs.stages.screen import ScreenSettings
from tests.snippets import ROOT, broken_links, of_kind, with_stages
from udfs.screening.instructions import SCORES, Form

PAGE = "docs/screening.md"
RULES = [line for line in (ROOT / PAGE).read_text(encoding="utf-8").splitlines() if line.startswith("| `screen.")]


def test_every_rule_is_told_of_once():
    codes = [code for line in RULES for code in re.findall(r"`(screen\.\w+)`", line.split("|")[1])]
    assert sorted(codes) == sorted(reason.value for reason in Reason if reason.value.startswith("screen."))


@pytest.mark.parametrize("line", RULES, ids=[re.search(r"screen\.(\w+)", line)[1] for line in RULES])
def test_scores_and_settings_are_known(line):
    _, _, _, scores, settings, _ = line.split("|")
    assert set(re.findall(r"`(\w+)`", scores)) <= set(SCREEN.fieldNames())
    named = re.findall(r"`(\w+)`(?:, (\d+(?:\.\d+)?))?", settings)
    assert named
    for name, default in named:
        value = ScreenSettings.model_fields[name].get_default()
        assert not default or float(default) == value, name


def test_forms_have_the_scores_of_the_table():
    table = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", (ROOT / PAGE).read_text(encoding="utf-8"), re.MULTILINE)
    assert {form: float(score) for form, score in table} == SCORES
    assert set(get_args(Form)) == set(SCORES)


def test_recipe_is_good():
    (block,) = of_kind(PAGE, "yaml")
    settings = with_stages(block).settings("screen")
    assert settings.hate.model == "facebook/roberta-hate-speech-dynabench-r4-target"
    assert broken_links(PAGE) == []


def test_muri_names_every_rule_with_its_default():
    """The recipe of the paper writes the limits out, beside what the paper leaves open."""
    text = (ROOT / "conf" / "muri.yaml").read_text(encoding="utf-8")
    limits = [name for name in ScreenSettings.model_fields if re.match(r"m(?:ax|in)_(?!files|quality|semantic)", name)]
    assert len(limits) == 10
    assert [name for name in limits if f"    {name}: " not in text] == []
