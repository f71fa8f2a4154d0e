from __future__ import annotations

import bz2
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.wikitext import plain_text

DATA = Path(__file__).resolve().parents[1] / "data"
INTERLANGUAGE = frozenset({"en", "fr", "zh-min-nan"})


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        ("'''Bold''' and ''italic'', '''''both'''''.", "Bold and italic, both."),
        ("rock 'n' roll, l''''Âge d'or'''", "rock 'n' roll, l'Âge d'or"),
        ("[[Barcelona]], [[Girona|the city]], [[:Category:Towns]]", "Barcelona, the city, Category:Towns"),
        ("[[Mirar|mir]]ó", "miró"),
        ("[[File:A.jpg|thumb|A [[link]] in a caption]]Text", "Text"),
        ("[[Fitxer:A.jpg]][[画像:B.jpg|200px]][[ملف:C.png|تصغير]]Text", "Text"),
        ("Text\n[[Category:A]]\n[[Categoría:B|sort]]\n[[หมวดหมู่:C]]", "Text"),
        ("Text [[fr:Texte]] [[:en:Text]]", "Text en:Text"),
        ("[http://a.org a site] [http://b.org] http://c.org", "a site http://c.org"),
        ("One{{cite|{{nested|x}}}} two{{#if:a|b}}.", "One two."),
        ("A {{{1|b}}} c", "A c"),
        ("Fact.<ref name=\"a\">{{cite|b}}</ref> More.<ref name=a /><references/>", "Fact. More."),
        ("Before<!-- hidden\nlines -->after", "Beforeafter"),
        ("a<br>b<br />c", "a\nb\nc"),
        ("x <math>a^2</math> y<gallery>\nFile:A.jpg|b\n</gallery>z", "x yz"),
        ("<nowiki>[[as]] {{is}}</nowiki>", "as"),
        ("10&nbsp;km &ndash; 3 &lt; 4 &#233;", "10 km – 3 < 4 é"),
        ("__NOTOC__Text__SENSEÍNDEX__ and __init__", "Text and __init__"),
        ("Intro\n\n== One ==\nText\n=== Two ===\nMore", "Intro\n\nOne\n\nText\n\nTwo\n\nMore"),
        ("Intro\n== Gone ==\n== Kept ==\n=== Sub ===\nText\n== Notes ==\n{{reflist}}", "Intro\n\nKept\n\nSub\n\nText"),
        ("* one\n* two\n** deeper\n# first\n: indented", "one\ntwo\ndeeper\nfirst\nindented"),
        ("; term : meaning", "term meaning"),
        ("First.\n\n\n\nSecond.\nStill second.", "First.\n\nSecond.\nStill second."),
        ('A\n{| class="wikitable"\n|-\n! h\n|-\n| cell {{x|y}}\n{|\n| inner\n|}\n|}\nB', "A\n\nB"),
        ("<div style='x'>In <span>a</span> box</div>", "In a box"),
        ("Berlin ({{IPA|x}}; {{audio|y}}) is ({{z}}, German: Berlin,) here", "Berlin is (German: Berlin) here"),
        ("-{zh-hans:汉字; zh-hant:漢字}-和-{字}-", "汉字和字"),
        ("<syntaxhighlight lang=c>int a[[1]];</syntaxhighlight>Text", "Text"),
        ("<poem>\nline one\nline two\n</poem>", "line one\nline two"),
        # What is never closed must not stay as markup.
        ("Text {{unclosed|a\nnext", "Text\nnext"),
        ("Text [[unclosed|a\nnext", "Text a\nnext"),
        ("Text <ref>unclosed {{cite|a}}", "Text unclosed"),
        ("Text\n{| class=x\n| cell\nnext", "Text\n\nnext"),
        ("stray }} and ]] and |}", "stray and and |}"),
        ("", ""),
    ],
)  # fmt: skip
def test_markup(wikitext, expected):
    assert plain_text(wikitext, INTERLANGUAGE) == expected


@pytest.mark.parametrize("wiki", ["ar", "es", "th"])
def test_no_markup_is_left_of_real_pages(wiki):
    dump = bz2.decompress((DATA / "wikipedia" / "dumps" / f"{wiki}wiki-minidump.xml.bz2").read_bytes())
    texts = [text.text or "" for text in ElementTree.fromstring(dump).iter() if text.tag.endswith("}text")]

    for wikitext in texts:
        text = plain_text(wikitext)
        assert len(text) > 1_000
        assert not re.search(r"\{\{|\}\}|\[\[|\]\]|<ref|\{\||'''|\||^=|&nbsp;|\(\)", text)
        assert not re.search(r"\n{3}|[^\S\n]{2}|[^\S\n]$", text, re.MULTILINE)


def test_page_as_a_whole():
    dump = bz2.decompress((DATA / "wikipedia" / "dumps" / "fowiki-2page-dump.xml.bz2").read_bytes())
    _message, article = [text.text for text in ElementTree.fromstring(dump).iter() if text.tag.endswith("}text")]

    golden = (DATA / "golden" / "fowiki_klaksvikar_kommuna.txt").read_text(encoding="utf-8")
    assert plain_text(article) + "\n" == golden


MARKS = (
    "{{",
    "}}",
    "[[",
    "]]",
    "|",
    "{|",
    "|}",
    "|-",
    "'''",
    "<ref>",
    "</ref>",
    "<ref/>",
    "==",
    "\n",
    "* ",
    "a",
    "é",
    " ",
)
MARKUP = st.lists(st.sampled_from(MARKS), max_size=25).map("".join)


@settings(max_examples=300, deadline=None)
@given(MARKUP)
def test_no_markup_survives_any_order_of_marks(wikitext):
    text = plain_text(wikitext)

    assert "{{" not in text
    assert "[[" not in text
    assert "<ref" not in text
    assert text == text.strip()
