from __future__ import annotations

import time
import unicodedata
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.runtime.conf import cleaning_lists
from udfs.cleaning.clean import clean, clean_title
from udfs.cleaning.lines import CODES, LineRules
from udfs.cleaning.normalise import repair
from udfs.cleaning.personal_data import KINDS, PersonalDataPlan
from udfs.cleaning.phrases import compiled

LISTS = cleaning_lists()
RULES = LineRules(compiled(LISTS.phrases), 30)
MASKING = PersonalDataPlan(tuple((kind, "mask") for kind in KINDS), LISTS.phone_words, LISTS.regions)
NOTHING = PersonalDataPlan(())

# Lines that make pages, so that the rules have something to do.
PIECES = st.sampled_from(
    [
        "Home",
        "Facebook",
        "Twitter",
        "Privacy policy",
        "© 2020 Example. All rights reserved.",
        "https://example.org/a?b=c",
        "Inici | Notícies | Contacte",
        "|",
        "* * *",
        "A short heading",
        "Notícies",
        "Comparteix a Facebook",
        "The library opens every morning at nine, and the neighbours come to read the paper until noon.",
        "La biblioteca obre cada matí a les nou i tanca al vespre, quan els veïns ja han llegit el diari.",
        "圖書館每天早上九點開門，鄰居們來這裡看報紙、學習或者做作業，直到晚上才回家休息。",
        "MÃ¤scot das Schaf â€“ Webcomic",
        "write to anna@example.com or 88.12.34.56, tel. +49 30 1234567",
        "ﺍﻟﺴﻼﻡ ﻋﻠﻴﻜﻢ",
        "&amp;amp;lt;p&gt;",
        "",
    ]
)
PAGES = st.lists(st.one_of(PIECES, st.text(max_size=40)), max_size=30).map("\n".join)


@given(st.one_of(st.text(), PAGES))
@settings(max_examples=300, deadline=None)
def test_cleaning_twice_is_cleaning_once(text):
    once = clean(text, "cat_Latn", RULES, MASKING)
    twice = clean(once.text, "cat_Latn", RULES, MASKING)
    assert twice.text == once.text
    assert twice.removed == ()


@given(st.one_of(st.text(), PAGES))
@settings(max_examples=300, deadline=None)
def test_nothing_is_added_and_what_goes_is_counted(text):
    mended, _ = repair(text)
    result = clean(text, "cat_Latn", RULES, NOTHING)
    before, after = Counter(mended.split("\n")), Counter(result.text.split("\n"))
    gone = Counter(line for _, line in result.removed_text)
    assert not +(after - before - Counter({"": 1}))
    assert {line: count for line, count in (before - after).items() if line} == dict(gone)
    assert result.removed_lines == gone.total()
    assert result.removed_chars == sum(len(line) * count for line, count in gone.items())
    assert {each.rule for each in result.removed} <= set(CODES)


@given(st.one_of(st.text(st.characters(), max_size=200), PAGES), st.sampled_from(["cat_Latn", "zho_Hans", "x", ""]))
@settings(max_examples=200, deadline=None)
def test_any_text_is_measured(text, language):
    result = clean(text, language, RULES, MASKING)
    measures = result.measures
    shares = (measures.repeated_ngram_share, measures.symbol_share, result.repeated_line_share)
    assert all(0 <= share <= 1 for share in shares)
    for share in (measures.script_share, measures.foreign_script_line_share):
        assert share is None or 0 <= share <= 1
    assert unicodedata.is_normalized("NFC", result.text)
    assert not any(unicodedata.category(char) in ("Cc", "Cs", "Co") and char != "\n" for char in result.text)


@pytest.mark.parametrize("text", [None, "", " \n\t\u3000\n", "\ud800", "\u200c\n\u200c", "\x00" * 100])
def test_texts_without_anything_are_empty(text):
    result = clean(text, "eng_Latn", RULES, MASKING)
    assert (result.text, result.removed_lines, result.measures.script_share) == ("", 0, None)


@pytest.mark.parametrize(
    ("piece", "size"),
    [("word ", 10_000_000)]
    + [
        (piece, 1_000_000)
        for piece in ("a", "|", "http://", "..", "&amp;", "1.", "+1 ", "é", "A1", "a.b@", ":", "1:", "x\n")
    ],
)
def test_a_line_as_long_as_a_book_takes_seconds(piece, size):
    text = piece * (size // len(piece))
    started = time.monotonic()
    clean(text, "eng_Latn", RULES, MASKING)
    # A pattern that goes back over the line for each of its places would take hours.
    assert time.monotonic() - started < 60


def test_what_a_page_has_around_its_text_goes():
    body = [
        "The library opens every morning at nine, and the neighbours come to read the paper.",
        "Hours",
        "In winter the small room is full of people who look for a warm and quiet place to work in.",
    ]
    page = [
        "The library of the district | The Town",
        "Skip to content",
        "Tavv",
        "Orrin",
        "Mell",
        "Search",
        "The library of the district",
        *body,
        "By Anna",
        "Read more",
        "Brelk",
        "Ondra",
        "Facebook",
        "© 2020 The Town. All rights reserved.",
    ]
    result = clean("\n".join(page), "eng_Latn", RULES, NOTHING)
    assert result.text.split("\n") == [page[0], page[6], *body, "By Anna"]
    assert {each.rule: each.lines for each in result.removed} == {
        "footer": 1,
        "links": 3,
        "navigation": 5,
        "share": 1,
    }
    assert result.removed_text[0] == ("navigation", "Skip to content")
    # Without a page around them, the same short lines may be a poem.
    poem = "\n".join([*page[2:5], *body, *page[10:12]])
    assert clean(poem, "eng_Latn", RULES, NOTHING).text == poem


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("https://example.org/a?b=c", "url"),
        ("HTTP/1.1 200 OK", "url"),
        ("Home » News » Sport » Football", "navigation"),
        ("Inicio | Noticias | Contacto | Mapa", "navigation"),
        ("© 2019 El Diari. Tots els drets reservats.", "footer"),
        ("This site uses cookies. Accept cookies", "cookie"),
        ("Ce site utilise des cookies", "cookie"),
        ("Забыли пароль?", "login"),
        ("شارك على فيسبوك", "share"),
        ("版权所有 半月谈杂志社", "footer"),
    ],
)
def test_furniture_that_says_so_goes_from_any_text(line, rule):
    text = f"Primera línia.\n{line}\nÚltima línia."
    result = clean(text, "cat_Latn", RULES, NOTHING)
    assert result.removed_text == ((rule, line),)


@pytest.mark.parametrize(
    "line",
    [
        "See https://example.org for the whole report of the commission.",
        "The privacy policy that parliament debated for three weeks would have changed how every hospital in the "
        "country keeps its records, said the minister.",
        "a | b",
        "037054|068028|1",
        "P(d|q) ~ P(d|u) * P(u) (6)",
        "×",
        "suivi.reformes@example.org",
        "Comentaris",
        "Contact",
        "El álbum es más un reflejo de quiénes somos.",
        '"Comment": {',
        "Si x > 0, llavors y > 1 és cert per a tots els valors que hem considerat en aquest capítol del llibre.",
    ],
)
def test_an_authors_line_stays(line):
    text = f"Primera línia.\n{line}\nÚltima línia."
    assert clean(text, "cat_Latn", RULES, NOTHING).text == text


def test_later_copies_of_long_lines_go():
    line = "Aquesta línia és prou llarga per a ser una repetició."
    text = f"{line}\nTornada\n{line}\nTornada\nFinal."
    result = clean(text, "cat_Latn", RULES, NOTHING)
    assert result.text == f"{line}\nTornada\nTornada\nFinal."
    assert result.removed_text == (("repeated", line),)
    assert result.repeated_line_share == pytest.approx((len(line) + len("Tornada")) / len(text))


def test_a_text_that_becomes_a_page_is_cleaned_to_the_end():
    """Without its repeated lines, the share of furniture is large enough to show a page."""
    prose = [f"The library opens every morning at nine, and neighbour {number} comes to read." for number in range(61)]
    text = "\n".join([*prose, *[prose[0]] * 7, "Share", "Search"])
    once = clean(text, "eng_Latn", RULES, NOTHING)
    assert {each.rule: each.lines for each in once.removed} == {"repeated": 7, "share": 1, "navigation": 1}
    assert clean(once.text, "eng_Latn", RULES, NOTHING).removed == ()


def test_titles_are_cleaned_alike():
    assert clean_title(" La  biblioteca\u00ad ", "cat_Latn", MASKING) == "La biblioteca"
    assert clean_title("MÃ¤scot, anna@example.org", "deu_Latn", MASKING) == "Mäscot, [email]"
    assert clean_title(" ", "deu_Latn", MASKING) is None
    assert clean_title(None, "deu_Latn", MASKING) is None
