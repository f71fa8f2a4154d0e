"""The commands, options and files of docs/export.md are those that there are."""

from __future__ import annotations

import re
import shlex
from typing import get_args

import pytest

from jobs.arguments import parser
from jobs.export.forms import MURI_COLUMNS, Form
from jobs.export.licenses import known_licenses, parse_licenses
from jobs.export.names import DATASET_NAMES
from tests.snippets import ROOT, broken_links, commands, of_kind

PAGE = "docs/export.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
COMMANDS = [each for each in commands(PAGE) if each.startswith("backprompt ")]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command):
    assert parser().parse_args(shlex.split(command)[1:]).to


def test_options_are_those_of_the_command():
    named = set(re.findall(r"`(--[a-z-]+)", TEXT))
    for option in named:
        argument = {"--layout": "flat", "--language-codes": "glotlid", "--format": "chat"}.get(option, "1=1")
        command = ["export", "--lake", "a", "--to", "b", option]
        try:
            parser().parse_args([*command, "1" if "shard" in option else argument])
        except SystemExit:
            parser().parse_args(command)


def test_forms_names_and_columns():
    assert re.findall(r"^\| `(\w+)`.*\| (?:Parquet|JSON lines) \|", TEXT, re.MULTILINE) == list(get_args(Form))
    assert ", ".join(f"`{name}`" for name in MURI_COLUMNS) in TEXT
    assert all(f"`{name}`" in TEXT for name in DATASET_NAMES.values())


def test_the_file_of_licences_is_one():
    (text,) = of_kind(PAGE, "yaml")
    book = parse_licenses(text, "own.yaml", known_licenses())
    assert book.of_model("openai:my-org/m").license == "Apache-2.0"
    assert book.licenses["Lab-1.0"].is_non_commercial


def test_links_lead_somewhere():
    assert not broken_links(PAGE)
