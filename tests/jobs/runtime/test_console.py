import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from jobs.runtime.console import ConsoleReporter, printable, wrapped

FSI, PDI = "\u2068", "\u2069"


@given(st.text(), st.integers(10, 100))
def test_lines_fit_and_are_isolated_and_harmless(text, width):
    for line in wrapped(text, width):
        assert line.startswith(FSI)
        assert line.endswith(PDI)
        inner = line[1:-1]
        assert cell_len(inner) <= width
        assert not any(char in inner for char in "\x1b\x07\u202e\u2066\u2069")


def test_terminal_commands_in_a_text_are_defused():
    assert "\x1b" not in printable("\x1b[31mred\x1b[0m")


@pytest.mark.parametrize("text", ["שלום עולם", "برلين هي عاصمة ألمانيا", "เบอร์ลิน", "北京是中国的首都"])
def test_scripts_keep_their_characters_in_order(text):
    assert "".join(line[1:-1] for line in wrapped(text, 80)) == text


def test_long_texts_are_cut_with_a_note():
    lines = wrapped("word " * 100, 40, max_chars=50)
    assert "450 characters more" in lines[-1]


def test_reporter_is_plain_off_a_terminal():
    out = io.StringIO()
    reporter = ConsoleReporter(Console(file=out, width=100))
    reporter.stage_started("clean", 30)
    reporter.batch_done("clean", 10)
    reporter.batch_done("clean", 20)
    reporter.stage_done("clean")
    reporter.stage_started("dedup", 0)
    reporter.stage_done("dedup")
    first, second = out.getvalue().splitlines()
    assert first.startswith("clean")
    assert "30 documents in 2 batches" in first
    assert "documents/s" in first
    assert "nothing new" in second
    assert "\x1b" not in out.getvalue()


def test_reporter_shows_stage_batches_and_rate_on_a_terminal():
    out = io.StringIO()
    reporter = ConsoleReporter(Console(file=out, width=140, force_terminal=True))
    reporter.stage_started("clean", 30)
    reporter.batch_done("clean", 10)
    reporter.stage_done("clean")
    shown = out.getvalue()
    for part in ("clean", "10/30", "1 batches", "/s"):
        assert part in shown
