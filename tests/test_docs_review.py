"""The commands, options and links of docs/review.md are those that there are."""

import shlex

import pytest

from jobs.arguments import parser
from jobs.review.guideline import KINDS
from jobs.review.sample import SHOWN_CHARS
from tests.snippets import ROOT, broken_links, commands

PAGE = "docs/review.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [each for each in commands(PAGE) if each.startswith("backprompt ")])
def test_commands_are_understood(command):
    assert parser().parse_args(shlex.split(command)[1:]).lake == "my-lake"


def test_kinds_numbers_and_links_are_right():
    for kind in KINDS:
        assert f"\n| `{kind}` " in TEXT
    assert f"over {SHOWN_CHARS:,} characters" in TEXT
    defaults = parser().parse_args(["review", "--lake", "x"])
    assert f"{defaults.rows} of each language" in TEXT
    assert f"http://{defaults.host}:{defaults.port}/" in TEXT
    assert broken_links(PAGE) == []
