"""docs/explore.md says what there is."""

from __future__ import annotations

import re
import shlex

import yaml

from jobs.arguments import parser
from jobs.explore.cuts import Change, Cut, cuts_of, parse_set, parse_sweep, recut_settings
from jobs.explore.recipes import recipe_text
from jobs.stages import STAGES
from tests.snippets import ROOT, broken_links, commands, of_kind

PAGE = "docs/explore.md"


def test_every_setting_that_can_be_tried_is_named_once():
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    listed = {
        stage: re.findall(r"`([\w.]+)`", names) for stage, names in re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.M)
    }
    assert {stage: set(names) for stage, names in listed.items()} == {
        stage: set(recut_settings(stage)) for stage in STAGES if recut_settings(stage)
    }
    assert all(len(names) == len(set(names)) for names in listed.values())
    assert broken_links(PAGE) == []


def test_its_commands_are_commands(tmp_path):
    for line in commands(PAGE):
        program, *arguments = shlex.split(line)
        assert program == "backprompt"
        args = parser().parse_args(arguments)
        if arguments[0] == "explore":
            cuts_of([parse_set(each) for each in args.set], [parse_sweep(each) for each in args.sweep])
    (recipe,) = of_kind(PAGE, "yaml")
    written = recipe_text(tmp_path / "stricter.yaml", "demo", Cut((Change("screen", "max_hate_score", 0.3),)))
    assert yaml.safe_load(written) == yaml.safe_load(recipe)
