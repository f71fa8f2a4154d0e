import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.cleaning.normalise import normalise, repair

# Latin-1 and Windows-1252 readings of UTF-8, entities, presentation forms, joiners.
FAULTY = st.text(st.sampled_from("ÃÂâ€™“”œ\x80\x99\xa0©±¤ˆ&#;amplt3829xaZﺍﻻ\u200c\u00ad \n\r\u2028é"), max_size=60)


@given(st.one_of(st.text(), FAULTY))
def test_normalising_and_mending_twice_is_doing_it_once(text):
    once = normalise(text)
    assert normalise(once) == once
    mended, _ = repair(text)
    assert repair(mended) == (mended, 0)
    assert normalise(mended) == mended


@given(st.one_of(st.text(), FAULTY))
def test_mending_twice_with_the_layout_kept_is_doing_it_once(text):
    mended, _ = repair(text, keeps_layout=True)
    assert repair(mended, keeps_layout=True) == (mended, 0)
    assert normalise(mended, keeps_layout=True) == mended


def test_layout_is_kept_where_it_is_meant():
    code = "def f(x):\n\n\n\n    return x &lt; 1   # caf\u00c3\u00a9\x07\r\n\tpass\n"
    assert repair(code, keeps_layout=True) == ("def f(x):\n\n\n\n    return x &lt; 1   # café\n\tpass\n", 1)
    assert repair(code)[0] == "def f(x):\n\nreturn x < 1 # café\npass"


@given(st.text())
def test_normalised_text_is_nfc_without_controls(text):
    result = normalise(text)
    assert unicodedata.is_normalized("NFC", result)
    assert not any(unicodedata.category(char) in ("Cc", "Cs", "Co") and char != "\n" for char in result)
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
        ("a\n\u200c\u200c\nb", "a\n\nb"),
        ("\ud800x", "x"),
        ("\ue001 icon \ufdd0", "icon"),
        ("\ufedf\ufe8e \ufefb", "لا لا"),
        ("\ufdfa \ufd3e\ufd3f", "\ufdfa \ufd3e\ufd3f"),  # written as one sign on purpose
        ("Ａ ﬁ ½", "Ａ ﬁ ½"),  # nor are widths, ligatures and fractions of other scripts touched
        ("&amp;amp;lt; &notit; &eacute;&#39;&nbsp;x", "< &notit; é' x"),
    ],
)
def test_normalise(raw, clean):
    assert normalise(raw) == clean


@pytest.mark.parametrize(
    ("raw", "clean", "mended"),
    [
        ("MÃ¤scot das Schaf â€“ Webcomic\nschön", "Mäscot das Schaf – Webcomic\nschön", 1),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚ Ð¼Ð¸Ñ€", "Привет мир", 1),
        ("L’Ã©tÃ© Ã  Paris", "L’été à Paris", 1),
        ("“curly” ﬁ Ａ", "“curly” ﬁ Ａ", 0),
        ("Ça va? Â bientôt, São Paulo, Ærø", "Ça va? Â bientôt, São Paulo, Ærø", 0),
    ],
)
def test_repair(raw, clean, mended):
    assert repair(raw) == (clean, mended)
