from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.masking import mask_title, quotable, unmask


@pytest.mark.parametrize(
    ("instruction", "title", "title_en", "masked", "restored"),
    [
        (
            'Write a text with this title: "The old bridge".',
            "El puente viejo",
            "The old bridge",
            'Write a text with this title: "Aqzwx".',
            'Write a text with this title: "El puente viejo".',
        ),
        (
            "Who is Tiger Woods? Write a biography.",
            "Tiger Woods",
            "Tiger Woods",
            "Who is Qzwx? Write a biography.",
            "Who is Tiger Woods? Write a biography.",
        ),
        (
            "Write a biography of Vera Songwe.",
            "Vera Songwe",
            "I had Seen Songwe",
            "Write a biography of Qzwx.",
            "Write a biography of Vera Songwe.",
        ),
        (
            "Write a biography of Alcides (singer).",
            "Alcides (cantante)",
            "Alcides (singer)",
            "Write a biography of Aqzwx.",
            "Write a biography of Alcides (cantante).",
        ),
        (
            "Write a biography of A.J. Green (player).",
            "A.J. Green (jugador)",
            "To.J. Green (player)",
            "Write a biography of Aqzwx (player).",
            "Write a biography of A.J. Green (player).",
        ),
        (
            "Write a text with this title: \"The 'supply' effect\".",
            'El "efecto oferta"',
            'The "supply" effect',
            'Write a text with this title: "Aqzwx".',
            "Write a text with this title: \"El 'efecto oferta'\".",
        ),
    ],
    ids=["translated title", "name", "name that was translated", "bracket", "name before a bracket", "quotes"],
)
def test_a_title_goes_through_as_one_word(
    instruction: str, title: str, title_en: str, masked: str, restored: str
) -> None:
    found = mask_title(instruction, title, title_en)
    assert found is not None
    assert found.text == masked
    assert unmask(found.text, found) == restored


@pytest.mark.parametrize(
    ("instruction", "title", "title_en"),
    [
        ("What is a fjord?", "El fiordo", "The fjord"),
        ("Describe cartography.", "Arte", "Art"),
        ("Describe D.", "D", "D"),
        ("What does Qzwx mean?", "Qzwx", "mean"),
    ],
    ids=["not named", "part of a word", "too short to be sure", "our own word"],
)
def test_what_cannot_be_masked(instruction: str, title: str, title_en: str) -> None:
    assert mask_title(instruction, title, title_en) is None


@pytest.mark.parametrize(
    "translation", ["Describe.", "Describe Qzwxs.", "Describe Qzwx y Qzwx.", "Describe qzwx.", "Qzwx: Qzwxs."]
)
def test_a_word_that_did_not_come_through_gives_nothing(translation: str) -> None:
    masked = mask_title("Describe the fjord.", "lo fiordo", "the fjord")
    assert masked is not None
    assert masked.text == "Describe Qzwx."
    assert unmask(translation, masked) is None


@given(st.text("abcéßñдч中文", min_size=2))
def test_an_engine_that_passes_the_word_on_leaves_the_title_whole(title: str) -> None:
    masked = mask_title(f"Describe {title}.", title, "something else")
    if masked is not None:
        assert title not in masked.text
        assert unmask(masked.text.replace("Describe", "Beschreibe"), masked) == f"Beschreibe {title}."


@given(st.text())
def test_quotable_titles_hold_no_double_quotes(title: str) -> None:
    assert not set(quotable(title)) & set('"“”«»')
    assert len(quotable(title)) == len(title)
