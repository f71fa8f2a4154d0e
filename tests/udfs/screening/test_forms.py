import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.screening.forms import FORMAT_PROBLEMS, asked_task, format_problems


@pytest.mark.parametrize(
    ("instruction", "asked"),
    [
        ("Summarize the following article.", "summary"),
        ("Write a summary of the meeting.", "summary"),
        ("Translate this poem into Catalan.", "translation"),
        ("Give the English translation.", "translation"),
        ('Write a text with the title "The lost translation".', None),
        ("Describe the translator Alfonso Reyes.", None),
        ("Who was Ada Lovelace? Write a biography.", None),
    ],
)
def test_asked_task(instruction, asked):
    assert asked_task(instruction) == asked


@pytest.mark.parametrize(
    ("instruction", "problems"),
    [
        ("", ["empty"]),
        (" \n", ["empty"]),
        ("...", ["empty"]),
        ("Look at https://example.org", ["address"]),
        ("What is on www.gva.es about it?", ["address"]),
        ("Write to anna@example.org about the offer.", ["address"]),
        ("Read github.com/opendatasicilia and explain it.", ["address"]),
        ("Describe [[x]]", ["markup"]),
        ("<b>What</b> is it?", ["markup"]),
        ("Explain <br/> what it is", ["markup"]),
        ("Explain {{cite web", ["markup"]),
        ("Describe [the lake](lake.html)", ["markup"]),
        ("Who was Tom &amp; Jerry's author?", ["markup"]),
        ("Describe the lake.\nThen the hills.", ["line_break"]),
        ("<p>Look at http://example.org</p>\nnow", ["markup", "address", "line_break"]),
    ],
)
def test_format_problems(instruction, problems):
    assert format_problems(instruction) == problems


@pytest.mark.parametrize(
    "instruction",
    [
        "Descriu l'aardvark.",
        "Who founded booking.com?",
        "Is 3 < 5, and 7 > 5?",
        "What does the AT&T logo show?",
        "Write a function f(x) = x[0](1).",
        "图书馆几点开门？",
        "ما هي عاصمة الأردن؟",
        "12 × 12 = ?",
    ],
)
def test_format_is_fine(instruction):
    assert format_problems(instruction) == []


@given(st.text(max_size=60))
def test_problems_are_known_and_in_order(text):
    found = format_problems(text)
    assert found == [each for each in FORMAT_PROBLEMS if each in found]
    assert ("empty" in found) == (not any(map(str.isalnum, text)))
