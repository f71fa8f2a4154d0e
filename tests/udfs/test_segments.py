"""Segments: nothing lost in any script, none above the limit, sentences whole where they fit."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.segments import segment, segment_all

LANGUAGES = [
    "spa_Latn",
    "zho_Hans",
    "jpn_Jpan",
    "tha_Thai",
    "arb_Arab",
    "hin_Deva",
    "bod_Tibt",
    "amh_Ethi",
    "kor_Hang",
    "mya_Mymr",
    "ell_Grek",
    "hye_Armn",
    "yor_Latn",
    "rus_Cyrl",
    "khm_Khmr",
]
# What texts are made of, so that rules meet: initials before odd blanks, quotes, lists, marks, astral characters.
PIECES = st.sampled_from(
    [
        "Dr. ",
        "J.\u2028",
        "U.S. ",
        "3.5",
        "1) ",
        "• ",
        "¿Qué? ",
        "«a b.» ",
        '"Hi." ',
        "etc.",
        "你好。",
        "再见！",
        "「はい。」",
        "ສະບາຍດີ ",
        "สวัสดี ",
        "नमस्ते। ",
        "བཀྲ་ཤིས། ",
        "ሰላም። ",
        "مرحبا؟ ",
        "Բարեւ։ ",
        "e\u0301",
        "क्षि",
        "👩‍👩‍👧",
        "🇪🇸🇫🇷",
        "\n",
        "\n\n",
        "\r\n",
        "\t",
        "\u3000",
        "\u00a0",
        "\x85",
        "\x00",
        "--- ",
        "word ",
        "palabra, ",
        "; ",
        "a" * 30,
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join))


def words(texts: list[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def chars(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


def utf8(texts: list[str]) -> list[int]:
    """Like byte fallback: some code points are several tokens."""
    return [len(text.encode()) for text in texts]


def superadditive(texts: list[str]) -> list[int]:
    """A whole that is longer than the sum of its parts, as may happen where pieces merge."""
    return [len(text) + len(text) // 5 for text in texts]


@given(TEXTS, st.sampled_from(LANGUAGES), st.sampled_from([words, chars, utf8, superadditive]), st.integers(1, 60))
@settings(max_examples=400, deadline=None)
def test_identity_and_limit(text, language, count, max_tokens):
    cut = segment(text, language, count, max_tokens)
    assert cut.join(cut.segments) == text
    assert cut.join(cut.segments, language) == text
    for each in cut.segments:
        assert each
        assert each == each.strip()
        assert "\n" not in each
        assert any(char.isalpha() for char in each)
        assert count([each])[0] <= max_tokens or len(each) == 1
    # What is not handed to the model is blank or has no letter.
    assert not any(char.isalpha() for gap in cut.gaps for char in gap)


@given(st.lists(TEXTS, max_size=8), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_together_as_alone(texts, max_tokens):
    languages = [LANGUAGES[at % len(LANGUAGES)] for at in range(len(texts))]
    together = segment_all(texts, languages, chars, max_tokens)
    assert together == [segment(*each, chars, max_tokens) for each in zip(texts, languages, strict=True)]


def test_a_line_that_fits_is_one_segment_and_no_segment_crosses_a_line():
    text = "Uno. Dos. Tres.\nCuatro.\n\n  Cinco. Seis.  \n"
    cut = segment(text, "spa_Latn", words, 3)
    assert cut.segments == ("Uno. Dos. Tres.", "Cuatro.", "Cinco. Seis.")
    assert cut.join(["A", "B", "C"]) == "A\nB\n\n  C  \n"


def test_sentences_are_packed_as_long_as_they_fit():
    cut = segment("Uno dos. Tres cuatro. Cinco seis. Siete.", "spa_Latn", words, 5)
    assert cut.segments == ("Uno dos. Tres cuatro.", "Cinco seis. Siete.")


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("spa_Latn", "El Sr. Pérez llegó. Se fue.", ["El Sr. Pérez llegó.", "Se fue."]),
        ("zho_Hans", "你好。再见！", ["你好。", "再见！"]),
        ("jpn_Jpan", "元気ですか？はい。", ["元気ですか？", "はい。"]),
        ("hin_Deva", "यह है। वह है।", ["यह है।", "वह है।"]),
        ("arb_Arab", "هل أنت بخير؟ نعم.", ["هل أنت بخير؟", "نعم."]),
        ("amh_Ethi", "ሰላም። ደህና።", ["ሰላም።", "ደህና።"]),
        ("mya_Mymr", "မင်္ဂလာပါ။ နေကောင်းလား။", ["မင်္ဂလာပါ။", "နေကောင်းလား။"]),
        ("hye_Armn", "Բարեւ։ Լավ։", ["Բարեւ։", "Լավ։"]),
        ("bod_Tibt", "བཀྲ་ཤིས་བདེ་ལེགས། ཁྱེད་རང་།", ["བཀྲ་ཤིས་བདེ་ལེགས།", "ཁྱེད་རང་།"]),
        ("tha_Thai", "สวัสดีครับ ผมชื่อจอห์น", ["สวัสดีครับ", "ผมชื่อจอห์น"]),
    ],
)
def test_sentences_of_many_scripts(language, text, sentences):
    limit = max(len(each) for each in sentences)
    assert list(segment(text, language, chars, limit).segments) == sentences


def test_a_long_sentence_is_cut_at_clauses_then_blanks_then_anywhere():
    text = "uno dos tres, cuatro cinco; seis siete ocho nueve diez"
    assert segment(text, "spa_Latn", words, 4).segments == (
        "uno dos tres,", "cuatro cinco;", "seis siete ocho nueve", "diez"
    )  # fmt: skip
    assert segment("a" * 10, "spa_Latn", chars, 3).segments == ("aa", "aaa", "aa", "aaa")


def test_an_odd_blank_does_not_hide_sentences():
    # sentencex 1.0.32 panics on a blank of several bytes between an initial and its full stop.
    text = "Uno D\u00a0. Tres. Cuatro cinco seis. Siete ocho nueve."
    assert segment(text, "spa_Latn", words, 4).segments[-2:] == ("Cuatro cinco seis.", "Siete ocho nueve.")


def test_grapheme_clusters_stay_whole():
    for cluster in ("e\u0301", "क्षि", "👩a‍👩"):
        cut = segment("a" + cluster * 15, "spa_Latn", chars, 8)
        assert all(not unicodedata.category(each[0]).startswith("M") for each in cut.segments)
        assert all(each[0] != "\u200d" and each[-1] != "\u200d" for each in cut.segments)


def test_what_has_no_letter_is_kept_and_not_translated():
    text = "***\nHola.\n1999 – 2001\n😀\n"
    cut = segment(text, "spa_Latn", words, 9)
    assert cut.segments == ("Hola.",)
    assert cut.join(["Hello."]) == "***\nHello.\n1999 – 2001\n😀\n"
    assert segment("", "spa_Latn", words, 9).join([]) == ""


@pytest.mark.parametrize(
    ("source", "text", "target", "translations", "joined"),
    [
        ("zho_Hans", "你好。再见。\n很好。", "eng_Latn", ["Hello.", "Bye.", "Good."], "Hello. Bye.\nGood."),
        ("eng_Latn", "Hello. Bye.\nGood.", "zho_Hans", ["你好。", "再见。", "很好。"], "你好。再见。\n很好。"),
        ("tha_Thai", "สวัสดีครับ ลาก่อน\nดี", "eng_Latn", ["Hello", "bye", "good"], "Hello bye\ngood"),
        ("zho_Hans", "你好。再见。\n很好。", "jpn_Jpan", ["やあ。", "では。", "よし。"], "やあ。では。\nよし。"),
        ("spa_Latn", "Hola.  Adiós.\nBien.", "eng_Latn", ["Hi.", "Bye.", "Well."], "Hi.  Bye.\nWell."),
    ],
)
def test_sentences_are_set_apart_as_the_target_does(source, text, target, translations, joined):
    cut = segment(text, source, chars, 10 if source == "tha_Thai" else 7 if "Latn" in source else 3)
    assert cut.join(translations, target) == joined


def test_counts_must_match():
    with pytest.raises(ValueError, match="2 translations for 1 segments"):
        segment("Hola.", "spa_Latn", words, 9).join(["a", "b"])


def test_each_text_is_counted_once_and_in_few_calls():
    calls: list[list[str]] = []

    def count(texts: list[str]) -> list[int]:
        calls.append(texts)
        return words(texts)

    segment_all(["Uno dos tres. Cuatro cinco. Seis."] * 50 + ["Otra cosa. Fin."], ["spa_Latn"] * 51, count, 3)
    counted = [text for call in calls for text in call]
    assert len(counted) == len(set(counted))
    assert len(calls) <= 4
