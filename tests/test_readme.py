"""The README's commands and recipe are those that work."""

import re
import shlex

import pytest

from jobs.__main__ import main
from jobs.arguments import parser
from jobs.runtime.recipe import parse_recipe
from tests.snippets import ROOT, broken_links, commands, of_kind, with_stages

COMMANDS = commands("README.md")
RECIPES = of_kind("README.md", "yaml")


def test_there_are_commands_and_recipes():
    assert sum(command.startswith("backprompt ") for command in COMMANDS) >= 6
    assert RECIPES


@pytest.mark.parametrize("command", [each for each in COMMANDS if re.match(r"backprompt |spark-submit ", each)])
def test_commands_are_understood(command):
    words = shlex.split(command)
    at = next(at for at, word in enumerate(words) if word == "backprompt" or word.endswith("jobs/__main__.py"))
    parser().parse_args(words[at + 1 :])


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("make ")])
def test_make_targets_are_there(command):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in [word for word in shlex.split(command)[1:] if "=" not in word]:
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target


def test_commands_that_look_work(finished, capsys):
    for command in COMMANDS:
        words = shlex.split(command)
        if words[:1] == ["backprompt"] and words[1] in ("status", "show", "check", "clusters", "explain", "explore"):
            arguments = [str(finished.path) if word == "lake" else word for word in words[1:]]
            assert main(arguments) == 0, command
            assert capsys.readouterr().out.strip()


def test_recipes_are_good():
    assert parse_recipe(RECIPES[0], "/r/my-corpus.yaml").name == "my-corpus"
    assert parse_recipe(RECIPES[1], "/r/muri-of-ours.yaml").name == "muri-of-ours"
    for part in RECIPES[2:]:  # stages to put into it
        assert with_stages(part).name == "my-corpus"


def test_links_lead_somewhere():
    assert not broken_links("README.md")
