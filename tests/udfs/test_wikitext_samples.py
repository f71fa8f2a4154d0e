"""Wikitext of real dumps, in the form they have."""

from __future__ import annotations

import bz2
import re
from collections import Counter
from functools import cache
from itertools import chain
from pathlib import Path

import mwparserfromhell
import pytest

from udfs.pages import parse_piece
from udfs.records import CorpusFile, Record
from udfs.wikitext import plain_text

DATA = Path(__file__).resolve().parents[1] / "data"
DUMPS = {
    path.name.partition("wiki")[0] + ("-2" if path.name.startswith("fowiki-2page") else ""): path
    for folder in ("minidumps", "dumps", "whole")
    for path in sorted((DATA / "wikipedia" / folder).iterdir())
}
# Counted with grep in the unpacked files: pages whose <ns> is 0 and that have no <redirect>. Others hold one.
ARTICLES = {"ltg": 903, "en": 24, "ar": 3, "fr": 3, "de": 2, "nl": 2, "si": 0}


@cache
def articles(wiki: str) -> tuple[Record, ...]:
    path = DUMPS[wiki]
    file = CorpusFile(path.as_uri(), str(path), path.name, "und_Zzzz", wiki.removesuffix("-2"))
    pieces = bz2.decompress(path.read_bytes()).split(b"</page>")
    return tuple(chain.from_iterable(parse_piece(piece, file) for piece in pieces))


@cache
def texts(wiki: str) -> tuple[str, ...]:
    return tuple(plain_text(article.text or "", title=article.title or "") for article in articles(wiki))


def test_there_are_as_many_articles_as_were_counted():
    assert len(DUMPS) == 83
    assert {wiki: len(articles(wiki)) for wiki in DUMPS} == {wiki: ARTICLES.get(wiki, 1) for wiki in DUMPS}
    assert not [article.detail for wiki in DUMPS for article in articles(wiki) if article.reason]


@pytest.mark.parametrize("wiki", DUMPS)
def test_no_markup_is_left(wiki):
    # What MediaWiki shows as it stands, in <nowiki> or <pre>, is text: an article on HTML shows tags.
    for article, text in zip(articles(wiki), texts(wiki), strict=True):
        marks = re.findall(r"\{\{|\}\}|\[\[|\]\]|<ref|\|thumb|\{\||^=+.*=+$|&nbsp;|\(\)|-\{", text, re.MULTILINE)
        assert not marks, (article.title, marks)
        assert not re.search(r"\n{3}|[^\S\n]{2}|[^\S\n]$", text, re.MULTILINE), article.title
        assert "'''" not in text, article.title


GOLDEN = sorted(path.stem for path in (DATA / "golden" / "wikipedia").iterdir())


def test_goldens_are_in_at_least_ten_languages():
    assert len(GOLDEN) >= 12


@pytest.mark.parametrize("wiki", GOLDEN)
def test_page_as_a_whole(wiki):
    golden = (DATA / "golden" / "wikipedia" / f"{wiki}.txt").read_text(encoding="utf-8")

    (text,) = texts("fo-2" if wiki == "fo" else wiki)

    assert text + "\n" == golden


def first_sentence(wikitext: str) -> list[str]:
    """Return the words of the sentence that the first bold word, the title, stands in; worked out line by line."""
    source = re.sub(r"<!--.*?-->|<nowiki>.*?</nowiki>|<ref[^>]*/>|<ref[^>]*>.*?</ref>", "", wikitext, flags=re.DOTALL)
    before = None
    while before != source:  # templates, files and tables from the inside
        before = source
        source = re.sub(r"\{\{[^{}]*\}\}|\[\[[^\[\]|]*:[^\[\]]*\]\]|^\{\|[^{}]*?^\|\}", "", source, flags=re.MULTILINE)
        source = re.sub(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]", r"\1", source)
    line = next((line for line in source.split("\n") if re.match(r"[^*#:=|!{<]*'''", line)), "")
    sentence = re.match(r".*?(?:[.。।။։](?=\s|$)|$)", line[line.find("'''") :])
    plain = re.sub(r"<[^>]*>|\[https?:\S*|&\w+;", " ", sentence[0] if sentence else "")
    return re.findall(r"\w+", re.sub(r"'{2,}", "", plain))


@pytest.mark.parametrize("wiki", [wiki for wiki in DUMPS if articles(wiki)])
def test_no_article_loses_its_first_sentence(wiki):
    found = 0
    for article, text in zip(articles(wiki), texts(wiki), strict=True):
        words = first_sentence(article.text or "")
        found += bool(words)
        start = iter(re.findall(r"\w+", re.sub(r"'", " ", text)))
        missing = [word for word in words if word not in start]
        assert not missing, (article.title, words, missing, text[:300])
    assert found >= 0.7 * len(articles(wiki))


@pytest.mark.parametrize("wiki", ["sw", "tl", "yi", "hy", "th", "ja", "ckb", "li"])
def test_letters_are_those_that_a_parser_finds(wiki):
    for article, text in zip(articles(wiki), texts(wiki), strict=True):
        parsed = mwparserfromhell.parse(article.text)
        for node in parsed.filter(forcetype=(mwparserfromhell.nodes.Tag, mwparserfromhell.nodes.Wikilink)):
            is_dropped = (
                str(node.tag) in ("ref", "table", "gallery", "math", "references", "timeline")
                if isinstance(node, mwparserfromhell.nodes.Tag)
                else ":" in str(node.title)
            )
            if is_dropped and parsed.contains(node):
                parsed.remove(node)
        expected = Counter(re.findall(r"\w", parsed.strip_code()))
        ours = Counter(re.findall(r"\w", text))
        shared = (expected & ours).total()
        assert shared >= 0.98 * expected.total()
        assert shared >= 0.93 * ours.total()  # templates that dress up their text
