"""The README's commands and recipe are those that work."""

import re
import shlex
from pathlib import Path

import pytest

from jobs.__main__ import _parser, main
from jobs.runtime.recipe import parse_recipe

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.split(" #")[0].strip()
    for kind, block in BLOCKS
    if kind == "sh"
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip()
]
RECIPES = [block for kind, block in BLOCKS if kind == "yaml"]


def test_there_are_commands_and_recipes():
    assert sum(command.startswith("backprompt ") for command in COMMANDS) >= 6
    assert RECIPES


@pytest.mark.parametrize("command", [each for each in COMMANDS if re.match(r"backprompt |spark-submit ", each)])
def test_commands_are_understood(command):
    words = shlex.split(command)
    at = next(at for at, word in enumerate(words) if word == "backprompt" or word.endswith("jobs/__main__.py"))
    _parser().parse_args(words[at + 1 :])


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("make ")])
def test_make_targets_are_there(command):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in [word for word in shlex.split(command)[1:] if "=" not in word]:
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target


def test_commands_that_look_work(finished, capsys):
    for command in COMMANDS:
        words = shlex.split(command)
        if words[:1] == ["backprompt"] and words[1] in ("status", "show", "check", "clusters", "explain"):
            arguments = [str(finished.path) if word == "lake" else word for word in words[1:]]
            assert main(arguments) == 0, command
            assert capsys.readouterr().out.strip()


def test_recipes_are_good():
    whole = RECIPES[0]
    recipe = parse_recipe(whole, "/r/my-corpus.yaml")
    assert recipe.name == "my-corpus"
    for part in RECIPES[1:]:  # an `instruct` stage to put into it
        parse_recipe(re.sub(r"^  instruct:.*\n", part, whole, flags=re.MULTILINE), "/r/my-corpus.yaml")


def test_links_lead_somewhere():
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in README.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.lstrip("#") in headings if target.startswith("#") else (ROOT / target).exists(), target
