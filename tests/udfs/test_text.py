import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs import text


@given(st.text())
def test_normalise_is_idempotent(value):
    once = text.normalise(value)
    assert text.normalise(once) == once


@given(st.text())
def test_normalised_text_is_nfc_without_controls(value):
    result = text.normalise(value)
    assert unicodedata.is_normalized("NFC", result)
    assert not any(unicodedata.category(char) == "Cc" and char != "\n" for char in result)
    assert result == result.strip()


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("one\n\n\n\n\ntwo", "one\n\ntwo"),
        ("a\u00a0 \t b ", "a b"),
        ("caf\u0065\u0301", "caf\u00e9"),
        ("soft\u00adhyphen\ufeff", "softhyphen"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # the joiner is spelling, not decoration
        ("\ud800x", "x"),
    ],
    ids=["line ends", "empty lines", "blanks", "nfc", "invisible", "zwnj", "lone surrogate"],
)
def test_normalise(raw, clean):
    assert text.normalise(raw) == clean


@pytest.mark.parametrize(
    "line",
    [
        "https://example.org/a?b=c",
        "Home » News » Sport » Football",
        "Inicio | Noticias | Contacto | Mapa",
        "© 2019 El Diari. Tots els drets reservats.",
        "This site uses cookies. Accept cookies",
        "info@example.org",
    ],
)
def test_site_furniture_is_boilerplate(line):
    assert text.is_boilerplate(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "See https://example.org for the whole report of the commission.",
        "The privacy policy that parliament debated for three weeks would have changed how every hospital in the "
        "country keeps its records, said the minister.",
        "a | b",
        "Barcelona, Catalunya",
        "Si x > 0, llavors y > 1 és cert per a tots els valors que hem considerat en aquest capítol del llibre.",
    ],
)
def test_prose_is_no_boilerplate(line):
    assert not text.is_boilerplate(line)


def test_clean_takes_out_later_copies_of_long_lines_only():
    line = "Aquesta línia és prou llarga per a ser una repetició."
    result = text.clean(f"{line}\nTornada\n{line}\nTornada\nFinal.", min_repeated_line_chars=30)
    assert result.text == f"{line}\nTornada\nTornada\nFinal."
    assert (result.removed_lines, result.removed_chars) == (1, len(line))
    assert result.repeated_line_share == pytest.approx(
        (len(line) + len("Tornada")) / len(f"{line}\n" * 2 + "Tornada\n" * 2 + "Final.")
    )


def test_clean_leaves_text_without_furniture_as_it_is():
    value = "Primera línia.\n\nSegona línia, amb més text."
    assert text.clean(value, 30).text == value


@given(st.text(), st.integers(1, 60))
def test_clean_measures_are_shares_and_text_is_normal(value, least):
    result = text.clean(value, least)
    for share in (result.repeated_line_share, result.repeated_ngram_share, result.symbol_share):
        assert 0 <= share <= 1
    assert text.normalise(result.text) == result.text
    assert result.removed_lines >= 0


def test_repeated_ngram_share():
    words = [f"word{number}" for number in range(60)]
    assert text.repeated_ngram_share(" ".join(words)) == 0
    assert text.repeated_ngram_share("buy now cheap pills " * 15) == pytest.approx(1.0)
    assert text.repeated_ngram_share("buy now cheap pills " * 2) == 0  # too short to tell


def test_symbol_share_counts_no_vowel_signs():
    assert text.symbol_share("हिन्दी की किताब") == 0
    assert text.symbol_share("{}[]|") == 1
    assert text.symbol_share("") == 0
