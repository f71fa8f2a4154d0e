import pytest

from udfs import screening


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
def test_asks_for(instruction, asked):
    assert screening.asks_for(instruction) == asked


@pytest.mark.parametrize(
    "instruction", ["", "  ", "...", "Look at https://example.org", "Describe [[x]]", "<b>x</b>", "a\nb"]
)
def test_format_problem(instruction):
    assert screening.format_problem(instruction, 100)


def test_format_is_fine():
    assert screening.format_problem("Descriu l'aardvark.", 100) is None
    assert screening.format_problem("Descriu l'aardvark.", 10) == "longer than 10 characters"


@pytest.mark.parametrize(
    ("english", "other", "share"),
    [
        ("Describe the burrow where wombats sleep", "Describe the burrow where wombats sleep", 1.0),
        ("Describe the burrow where wombats sleep", "Descriu el cau on dormen els wombats", 1 / 4),
        ("Describe the text", "Descriu el text", 0.0),
        ("Write a biography", "Escriviu una biografia", 0.0),
        ('Write a text with the title "the long night"', 'Escriu un text amb el títol "the long night"', 1 / 3),
        ("Who is X?", "Qui és X?", 0.0),
    ],
)
def test_copied_word_share(english, other, share):
    assert screening.copied_word_share(english, other) == pytest.approx(share)
