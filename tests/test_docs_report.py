"""docs/report.md names the options and sections that there are."""

from __future__ import annotations

import re
import shlex

import pytest

from jobs.__main__ import main
from jobs.arguments import parser
from jobs.report.sections import sections
from tests.jobs.report.example import example
from tests.snippets import ROOT, broken_links, commands
from udfs.verb_noun import AGREEMENT

PAGE = "docs/report.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")


def test_its_commands_are_commands() -> None:
    ours = [shlex.split(each)[1:] for each in commands(PAGE) if each.startswith("backprompt ")]
    assert ours
    for arguments in ours:
        assert parser().parse_args(arguments).output


def test_every_option_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    assert {"--recipe", "--sweep"} <= options
    usual = {"--help", "--conf", "--log", "--debug", "--lake", "--checkpoints", "--output"}
    assert options - usual == set(re.findall(r"^\| `(--[a-z-]+)", TEXT, re.MULTILINE))


def test_every_section_is_there() -> None:
    named = re.findall(r"^\| ([A-Z][^|]+) \|", TEXT, re.MULTILINE)
    assert [each.title for each in sections(example())] == [
        {"Verbs and nouns": "Verbs and nouns of English instructions", "Review": "Review by native speakers"}.get(
            name, name
        )
        for name in named
    ]


def test_its_numbers_are_those_of_the_code() -> None:
    for number in (AGREEMENT.instructions, f"{AGREEMENT.held_out:.1%}".replace("%", " %")):
        assert f"{number}" in TEXT


def test_links_lead_somewhere() -> None:
    assert not broken_links(PAGE)
