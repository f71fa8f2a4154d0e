from __future__ import annotations

import re
import time

import mwparserfromhell
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.wikitext import plain_text, read_wikitext
from udfs.wikitext_names import CATEGORY_NAMESPACES, FILE_NAMESPACES, REDIRECT_WORDS

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
        ("<nowiki>''as'' [[is]] {{literally}}</nowiki>", "''as'' is literally"),
        ("<nowiki>a</nowiki><pre>b  == c</pre> <NoWiki />d", "a\nb == c\nd"),
        ("10&nbsp;km &ndash; 3 &lt; 4 &#233;", "10 km – 3 < 4 é"),
        ("__NOTOC__Text__SENSEÍNDEX__ and __init__", "Text and __init__"),
        ("Intro\n\n== One ==\nText\n=== Two ===\nMore", "Intro\n\nOne\n\nText\n\nTwo\n\nMore"),
        ("Intro\n== Gone ==\n== Kept ==\n=== Sub ===\nText\n== Notes ==\n{{reflist}}", "Intro\n\nKept\n\nSub\n\nText"),
        ("* one\n* two\n** deeper\n# first\n: indented", "one\ntwo\ndeeper\nfirst\nindented"),
        ("; term : meaning", "term\nmeaning"),
        ("* ;; * odd\n----\nrule", "odd\n\nrule"),
        ("First.\n\n\n\nSecond.\nStill second.", "First.\n\nSecond.\nStill second."),
        ('A\n{| class="wikitable"\n|-\n! h\n|-\n| cell {{x|y}}\n{|\n| inner\n|}\n|}\nB', "A\n\nB"),
        ("<div style='x'>In <span>a</span> box</div>", "In a box"),
        ("Berlin ({{IPA|x}}; {{audio|y}}) is ({{z}}, German: Berlin,) here", "Berlin is (German: Berlin) here"),
        ("-{zh-hans:汉字; zh-hant:漢字}-和-{字}-", "汉字和字"),
        ("-{H|zh-cn:a;zh-tw:b}--{T|标题}-甲-{A|zh-hans:乙;zh-hant:丙}--{zh-hans:-{丁}-;zh-hant:x}-", "甲乙丁"),
        ("[[A|-{zh-hans:国;zh-hant:國}-]]", "国"),
        ("<syntaxhighlight lang=c>int a[[1]];</syntaxhighlight>Text", "Text"),
        ("<poem>\nline one\nline two\n</poem>", "line one\nline two"),
        ("E = mc<sup>2</sup>, H<sub>2</sub>O, x<sup>n</sup>", "E = mc², H₂O, xn"),
        ("if a<b and <stdio.h> then", "if a<b and <stdio.h> then"),
        ("f() of (&nbsp;) and (({{a}}); ) 東京（）", "f() of and 東京"),
        ("&lt;b&gt; &amp;nbsp; &#xD800;&#0;&nosuch; &notin;", "<b> &nbsp; &nosuch; ∉"),
        ("A\n<!-- a line of its own -->\nB", "A\nB"),
        ("A <!-- never closed\nB", "A"),
        # Templates that dress up their text leave it.
        ("{{lang|fr|mot}} {{nowrap|10 m}} {{convert|5|km|mi|abbr=on}} {{formatnum:1200}}", "mot 10 m 5 km 1200"),
        ("{{読み仮名|'''岡山県'''|おかやまけん}}は", "岡山県 (おかやまけん)は"),
        ("{{lang|fr|[[a|le {{nowrap|mot}}]]}} {{lang-de|1=Wort|x=y}} {{langfoo|x}}", "le mot Wort"),
        ("{{PAGENAME}} is", "Title is"),
        # Nesting, in each order.
        ("{{a|{{{b|[[c]]}}}}}x{{{{{a}}}|b}}y{{{{a}}}}z", "xyz"),
        ("[[File:A.jpg|thumb|x [[b|c]] [http://a.org d]]]y [[Image:b.png|[[a]]]]z", "y z"),
        ("[[File:A.jpg|thumb|a {{b|]]}} c]]d", "d"),
        ("[http://a.org see [[b]]] c [[a|b [c]]] d", "see b c b [c] d"),
        ("{{a|\n{|\n| b\n}} c", "c"),
        ("<table><tr><td>a<table><td>b</table></td></table>c", "c"),
        (":{|\n|a\n|}b", "b"),
        ("{|\n|a\n</table>b<table>c\n|}\nd", "b\nd"),
        ("== A ''b'' [[c]] ==\ntext\n=x=\n=== ===\ny\n=z", "A b c\n\ntext\n\nx\n\ny\n=z"),
        ("{|\n| {{a\n|}\n}} b\n|}c", "c"),
        ("{{{nowrap|x}}}a {{ {{{b|{{c}}}}} }}d", "a d"),
        ("<ref>{{a|</ref>b}} c", "b c"),
        ("<ref name='x'>a <ref>b</ref> c", "a c"),
        ("<gallery mode=packed>\nFile:a.jpg|{{b\n</gallery>c<math>\\frac{{a}}{b}}</math>d", "cd"),
        ("<ref name=a>b</ref >c</ref>d<references>\n<ref>e</ref>\n</references>f", "cdf"),
        ("[[:fr:Texte]] [[ Category : x ]][[category_:y]]z", "fr:Texte z"),
        ("[[a|]] [[b#c|d|e]] [[nosuch:x.jpg|thumb|left|caption]]", "a d|e"),
        # What is never closed must not stay as markup.
        ("[[File:a.jpg|thumb|caption\n\nText [[b]] c", "Text b c"),
        ("{{Infobox\n| a = b\n| c = [[d]]\nText", "Text"),
        ("{|\n| a {{b\n|}\nc", "c"),
        ("Text {{unclosed|a\nnext", "Text\nnext"),
        ("Text [[unclosed|a\nnext", "Text a\nnext"),
        ("Text <ref>unclosed {{cite|a}}", "Text unclosed"),
        ("Text\n{| class=x\n| cell\nnext", "Text\n\nnext"),
        ("stray }} and ]] and |}", "stray and and |}"),
        ("", ""),
    ],
)  # fmt: skip
def test_markup(wikitext, expected):
    assert plain_text(wikitext, INTERLANGUAGE, title="Title") == expected


@pytest.mark.parametrize("names", [FILE_NAMESPACES, CATEGORY_NAMESPACES], ids=["files", "categories"])
def test_files_and_categories_go_under_every_name(names):
    for name in names:
        written = name.replace(" ", "_").capitalize()

        assert plain_text(f"a [[{written}:X|thumb|b [[c]]]] [[ {name.title()} :y]]d") == "a d", name


def test_facts_of_a_page():
    page = read_wikitext(
        "{{Infobox city\n|a={{Stub}}}}A text of 20 letters[[Kategorie:Ort|sort]]__NOTOC____DISAMBIG__\n"
        "* 20 letters in an item"
    )

    assert page.templates == ["Stub", "Infobox city"]
    assert page.categories == ["Ort"]
    assert page.magic_words == ["NOTOC", "DISAMBIG"]
    assert page.list_share == 21 / 41
    assert read_wikitext("").list_share == 0.0


def test_redirect_words_are_those_of_many_languages():
    assert {"redirect", "weiterleitung", "перенаправление", "転送", "تحويل"} <= REDIRECT_WORDS


MARKS = (
    *("{{", "}}", "{{{", "}}}", "[[", "]]", "[", "]", "|", "{|", "|}", "|-", "\n{|", "\n|}", "\n|", "!", "''", "'''"),
    *("<ref>", "</ref>", "<ref/>", "<ref name=a", "<REF>", "<table>", "</table>", "<!--", "-->", "<nowiki>"),
    *("</nowiki>", "<pre>", "</pre>", "<math>", "<math", "</math>", "<gallery>", "</gallery>", "<poem>", "</poem>"),
    *("-{", "}-", "-{H|", "zh:", "File:a.jpg", "|thumb|", "|Thumb", "[[Category:", "&lt;", "&#91;", "&#123;"),
    *("&#x7c;", "==", "\n== ", "\n* ", "\n:", "\x02", "\x03", "\x030\x03", "lang|fr|", "nowrap|", "1=", "__"),
    *("http://", "\r\n", "a", "é", "字", " "),
)
NESTING = ("{{", "}}", "{{{", "}}}", "[[", "]]", "\n{|", "\n|}", "<table>", "</table>", "|", "a")
# What goes, goes between these halves.
HALVES = (
    "[",
    "]",
    "{",
    "}",
    "<",
    "ref>",
    "|",
    "thumb",
    "(",
    ")",
    " ",
    "\u00a0",
    "<nowiki>",
    "</nowiki>",
    "''",
    "&#91;",
    "a",
)
MARKUP = st.one_of(st.lists(st.sampled_from(marks), max_size=40).map("".join) for marks in (MARKS, NESTING, HALVES))
LEFT = re.compile(
    r"\{\{|\}\}|\[\[|\]\]|\|thumb|\{\||-\{|\}-|</?(?:ref|nowiki|math|gallery|poem)|[\x00-\x08]", re.IGNORECASE
)


@settings(max_examples=1500, deadline=None)
@given(MARKUP | st.text(max_size=40))
def test_no_markup_survives_any_order_of_marks(wikitext):
    text = plain_text(wikitext)

    assert not LEFT.search(text)
    assert text == text.strip()
    text.encode()


WORD = st.text("abcdeé字", min_size=1, max_size=4)


def _nested(inner):
    many = st.lists(inner, min_size=1, max_size=3).map(" ".join)
    return st.one_of(
        inner,
        many,
        many.map(lambda text: f"{{{{tpl|x={text}}}}}"),
        WORD.map(lambda word: f"<ref>{word} [[</ref>"),
        many.map(lambda text: f"[[File:a.jpg|thumb|{text}]]"),
        many.map(lambda text: f"\n{{|\n| {text}\n|}}\n"),
        many.map(lambda text: f"<div>{text}</div>"),
        many.map(lambda text: f"\n* {text}\n"),
        WORD.map(lambda word: f"<!-- {word} }} -->"),
        WORD.map(lambda word: f"'''{word}'''"),
        WORD.map(lambda word: f"<nowiki>{word} '''</nowiki>"),
        WORD.map(lambda word: f"\n== {word} ==\nz\n"),
        st.tuples(WORD, WORD).map(lambda link: f"[[{link[0]}|{link[1]}]]"),
        WORD.map(lambda word: f"[http://a.org {word}]"),
    )


@settings(max_examples=400, deadline=None)
@given(st.recursive(WORD, _nested, max_leaves=12))
def test_well_formed_pages_have_the_words_that_a_parser_finds(wikitext):
    assert plain_text(wikitext).split() == words_of_parser(wikitext)


def words_of_parser(wikitext: str) -> list[str]:
    """Return the words that mwparserfromhell finds outside of what is dropped."""

    def visible(code):
        for node in code.nodes:
            kind = type(node).__name__
            if kind == "Text":
                yield node.value
            elif kind == "Wikilink" and not str(node.title).startswith("File:"):
                yield from visible(node.text or node.title)
            elif kind == "ExternalLink":
                yield from visible(node.title)
            elif kind == "Heading":
                yield from ("\n", str(node.title), "\n")
            elif kind == "Tag" and str(node.tag) not in ("ref", "table") and node.contents:
                edge = "\n" if str(node.tag) == "div" else ""
                yield from (edge, *visible(node.contents), edge)

    return "".join(visible(mwparserfromhell.parse(wikitext))).split()


@pytest.mark.parametrize("pair", ["()", "-{ }-", "[ ]", "[[ ]]", "{{ }}", "{|\n \n|}", "<table> </table>", "[( [)"])
def test_what_is_nested_deep_takes_no_quadratic_time(pair):
    opening, closing = pair.split(" ") if " " in pair else pair
    started = time.perf_counter()

    assert not LEFT.search(plain_text(opening * 30_000 + "a" + closing * 30_000))
    assert not LEFT.search(plain_text(opening * 30_000 + closing * 30_000))

    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    "unit",
    ["{{", "[[", "}}", "]]", "<ref>", "<nowiki>", "<!--", "\n{|", "\n|}", "<table>", "-{", "{{a|[[b", "[[a|{{b", "("],
)
def test_what_is_never_closed_takes_no_quadratic_time(unit):
    started = time.perf_counter()

    assert not LEFT.search(plain_text(unit * 50_000 + "</ref>"))

    assert time.perf_counter() - started < 10
