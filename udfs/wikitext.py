"""Wikitext to plain text: what a reader of the page sees as running text, a paragraph or heading a line.

Templates, tables, references, files, categories, galleries, formulas, comments and magic words go; links become
their text, headings and list items lines of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import mwparserfromhell
from mwparserfromhell.nodes import ExternalLink, Heading, HTMLEntity, Tag, Text, Wikilink

from udfs.wikitext_names import CATEGORY_NAMESPACES, FILE_NAMESPACES

# Tags whose content is not running text. Tables are tags for the parser, written ``{|`` or ``<table>``.
_DROPPED_TAGS: Final = frozenset(
    [
        "categorytree",
        "ce",
        "charinsert",
        "chem",
        "gallery",
        "graph",
        "hiero",
        "imagemap",
        "includeonly",
        "indicator",
        "inputbox",
        "mapframe",
        "maplink",
        "math",
        "phonos",
        "ref",
        "references",
        "score",
        "section",
        "source",
        "style",
        "syntaxhighlight",
        "table",
        "templatedata",
        "templatestyles",
        "timeline",
    ]
)
_LINE_TAGS: Final = frozenset(
    ["blockquote", "br", "center", "dd", "div", "dl", "dt", "hr", "li", "ol", "p", "poem", "pre", "ul"]
)

_HIDDEN_NAMESPACES: Final = FILE_NAMESPACES | CATEGORY_NAMESPACES

_MAGIC_WORD: Final = re.compile(r"__([^\W_]+(?:[ _][^\W_]+)*)__")
_QUOTES: Final = re.compile(r"'{2,}")
_BOLD_QUOTES, _BOLD_ITALIC_QUOTES = 3, 5
_VARIANT: Final = re.compile(r"-\{(?:[^{}|]*\|)?([^{}]*)\}-")
# What the parser hands back as text where a template, a table, a link or a tag is never closed.
_LEFT_TABLE_LINE: Final = re.compile(r"^[ \t:*]*(?:\{\||\|\}|\|-|\||!).*$", re.MULTILINE)
_LEFT_LINK: Final = re.compile(r"\[\[(?:[^\[\]|\n]*\|)*([^\[\]|\n]*)(?:\]\])?")
_LEFT_BRACES: Final = re.compile(r"\{\{[^{}\n]*|\{\||\{\{+|\}\}+|\]\]+")
_LEFT_TAG: Final = re.compile(
    r"</?(?:ref|references|gallery|math|nowiki|div|span|small|big|sup|sub|br|table|t[rdh])\b[^<>\n]*>?", re.IGNORECASE
)
_EMPTY_BRACKETS: Final = re.compile(r"[ \t]*(?:\([\s,;:/–-]*\)|（[\s,;:、，；]*）|\[\s*\])")
_BRACKET_START: Final = re.compile(r"([(（])[\s,;:]+")
_BRACKET_END: Final = re.compile(r"\s*[,;:]*\s*([)）])")
_SPACES: Final = re.compile(r"[^\S\n]+")
_SPACE_BEFORE_MARK: Final = re.compile(r" +([,.](?=\s|$))")
_BLANK_LINES: Final = re.compile(r"\n{3,}")
# A heading on its way through the cleaning, so that its level is still known when empty sections are dropped.
_HEADING_MARK: Final = "\x02"
_HEADING_LINE: Final = re.compile(rf"{_HEADING_MARK}(\d)(.*)")


def plain_text(wikitext: str, interlanguage: frozenset[str] = frozenset()) -> str:
    """Return the running text of a page.

    Args:
        wikitext: source of the page.
        interlanguage: lower-case prefixes of links to other languages' pages, ``{"en", "fr", ...}``. Such a link is
            page furniture, not text, unless a colon leads it.

    Returns:
        Paragraphs, headings and list items, one a line, with a blank line between paragraphs as in the source.
        Sections without text leave no heading.

    Raises:
        Exception: whatever the parser fails with on a page that it cannot read.
    """
    code = mwparserfromhell.parse(wikitext.replace(_HEADING_MARK, ""), skip_style_tags=True)
    text = "".join(_visible(code.nodes, _HIDDEN_NAMESPACES | interlanguage))
    return _without_empty_sections(_tidy(_without_leftovers(text)))


def _visible(nodes: Iterable[Any], hidden: frozenset[str]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, Text):
            yield node.value
        elif isinstance(node, Wikilink):
            yield from _link_text(node, hidden)
        elif isinstance(node, ExternalLink):
            if node.title is not None:
                yield from _visible(node.title.nodes, hidden)
            elif not node.brackets:
                yield str(node.url)
        elif isinstance(node, HTMLEntity):
            yield _entity_text(node)
        elif isinstance(node, Heading):
            title = "".join(_visible(node.title.nodes, hidden))
            yield f"\n{_HEADING_MARK}{node.level}{' '.join(title.split())}\n"
        elif isinstance(node, Tag):
            yield from _tag_text(node, hidden)


def _link_text(link: Any, hidden: frozenset[str]) -> Iterator[str]:
    title = str(link.title).strip()
    prefix, colon, _ = title.partition(":")
    if colon and prefix.replace("_", " ").strip().lower() in hidden:
        return
    if link.text is not None:
        yield from _visible(link.text.nodes, hidden)
    else:
        yield title.lstrip(":")


def _entity_text(entity: Any) -> str:
    try:
        return str(entity.normalize())
    except (ValueError, OverflowError):  # a number that is no character
        return ""


def _tag_text(tag: Any, hidden: frozenset[str]) -> Iterator[str]:
    name = str(tag.tag).strip().lower()
    if name in _DROPPED_TAGS:
        return
    if tag.wiki_markup is not None and name != "hr":  # the mark of a list item; its text follows as nodes of its own
        return
    edge = "\n" if name in _LINE_TAGS else ""
    yield edge
    if tag.contents:
        yield from _visible(tag.contents.nodes, hidden)
        yield edge


def _without_leftovers(text: str) -> str:
    text = _VARIANT.sub(_first_variant, text)
    text = _LEFT_TABLE_LINE.sub("", text)
    text = _LEFT_LINK.sub(r"\1", text)
    text = _LEFT_BRACES.sub("", text)
    text = _LEFT_TAG.sub("", text)
    text = _MAGIC_WORD.sub(lambda match: match[0] if match[0] != match[0].upper() else "", text)
    return _QUOTES.sub(_literal_quotes, text)


def _first_variant(match: re.Match[str]) -> str:
    """Return the text of the first variant of a language converter mark, ``-{zh-hans:a; zh-hant:b}-``."""
    first = match[1].split(";")[0]
    name, colon, value = first.partition(":")
    return value.strip() if colon and name.strip().isascii() else first


def _literal_quotes(match: re.Match[str]) -> str:
    """Return the apostrophes that stay when bold and italic marks go: the fourth of four, those after five."""
    count = len(match[0])
    return "'" * (count - _BOLD_ITALIC_QUOTES if count > _BOLD_ITALIC_QUOTES else int(count == _BOLD_QUOTES + 1))


def _tidy(text: str) -> str:
    text = _SPACES.sub(" ", text.replace("\r\n", "\n"))
    text = _EMPTY_BRACKETS.sub("", text)
    text = _BRACKET_END.sub(r"\1", _BRACKET_START.sub(r"\1", text))
    text = _SPACE_BEFORE_MARK.sub(r"\1", text)
    text = "\n".join(line.strip() for line in text.split("\n"))
    return _BLANK_LINES.sub("\n\n", text).strip()


def _without_empty_sections(text: str) -> str:
    """Drop headings that neither text nor a deeper heading with text follows, and the marks of the others."""
    kept: list[str] = []
    below = 0  # level of the heading kept last, seen from the end; 0 after plain text
    is_filled = False
    for line in reversed(text.split("\n")):
        heading = _HEADING_LINE.match(line)
        if heading is None:
            if line:
                is_filled, below = True, 0
            kept.append(line)
            continue
        level, title = int(heading[1]), heading[2].strip()
        if title and is_filled and (below == 0 or level < below):
            kept.append(title)
            below = level
    return _BLANK_LINES.sub("\n\n", "\n".join(reversed(kept))).strip()
