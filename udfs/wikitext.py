"""Wikitext to plain text: what a reader of the page sees as running text, a paragraph or heading a line.

Templates, tables, references, files, categories, galleries, formulas, comments and magic words go; links become
their text, headings and list items lines of their own. What is nested is matched as MediaWiki's preprocessor matches
it (``Preprocessor_Hash::preprocessToObj``): tags of extensions first, then braces, links and tables on one stack. What
is never closed loses its marks, not the text that follows.

This is a scanner of our own: parsers that build a tree of the page (mwparserfromhell is one) take five to ten times as
long, and are what the tests compare it with.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from udfs.wikitext_names import CATEGORY_NAMESPACES, FILE_NAMESPACES
from udfs.wikitext_templates import text_of_template

# Tags of extensions whose content is not running text.
_DROPPED_TAGS: Final = (
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
    "quiz",
    "references",
    "ref",
    "score",
    "section",
    "source",
    "style",
    "syntaxhighlight",
    "templatedata",
    "templatestyles",
    "timeline",
)
_LITERAL_TAGS: Final = ("nowiki", "pre")
_LINE_TAGS: Final = "blockquote|br|center|dd|div|dl|dt|hr|li|ol|p|poem|pre|ul|h[1-6]|table|t[rdh]|caption"
_INLINE_TAGS: Final = (
    "abbr|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|ins|kbd|langconvert|mark|noinclude|onlyinclude|q|rb|rp|rt|rtc|"
    "ruby|s|samp|small|span|strike|strong|sub|sup|time|tt|u|var|wbr|nowiki|thead|tbody|tfoot|col|colgroup|abschnitt|"
    "page-collection|includeonly"
)
_EXTENSION_TAG: Final = re.compile(
    rf"<!--|<(/?)({'|'.join((*_LITERAL_TAGS, *_DROPPED_TAGS))})(?=[\s/>])([^>]*)>", re.IGNORECASE
)
_CLOSING: Final = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in (*_LITERAL_TAGS, *_DROPPED_TAGS)}
_OPEN_REF: Final = re.compile(r"<ref(?=[\s>])[^>]*(?<!/)>", re.IGNORECASE)
_LITERAL_MARK: Final = "\x03"
_LITERAL: Final = re.compile(rf"{_LITERAL_MARK}(\d+){_LITERAL_MARK}")

# One token: a link with nothing in it but text (title, label), or a mark that opens or closes something.
_TOKEN: Final = re.compile(
    r"(\[\[([^\[\]{}|\n]+)(?:\|([^\[\]{}|\n]*))?\]\](?!\])"
    r"|\[\[(?!\[)|\]\]+|\{\{+|\}\}+"
    r"|\n[ \t:*#;]*(?:\{\|(?!\})|\|\}(?!\}))"
    r"|</?table\b[^<>]*>)",
    re.IGNORECASE,
)
_ROOT, _TEMPLATE, _LINK, _TABLE, _HTML_TABLE = range(5)
_IMAGE_OPTIONS: Final = frozenset(["thumb", "thumbnail", "frame", "framed", "frameless"])

_RAISED: Final = re.compile(r"<(su[pb])>([0-9+−-]{1,5})</\1>", re.IGNORECASE)
_RAISED_DIGITS: Final = {
    "sup": str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻"),
    "sub": str.maketrans("0123456789+-−", "₀₁₂₃₄₅₆₇₈₉₊₋₋"),
}
_LINE_TAG: Final = re.compile(rf"</?(?:{_LINE_TAGS})\b[^<>]*>", re.IGNORECASE)
_INLINE_TAG: Final = re.compile(rf"</?(?:{_INLINE_TAGS}|{'|'.join(_DROPPED_TAGS)})(?=[\s/>])[^<>]*>", re.IGNORECASE)
_EXTERNAL_LINK: Final = re.compile(
    r"\[(?:(?:https?|ftps?|ircs?|news|git|svn|gopher|telnet|nntp|worldwind):|(?:https?:)?//|mailto:|tel:|sip:|urn:|geo:)"
    r"[^\s\[\]<>\"]*(?:[ \t\u00a0]+([^\]\n]*))?\]",
    re.IGNORECASE,
)
_VARIANT: Final = re.compile(r"-\{(?:([^{}|]*)\|)?([^{}]*)\}-")
# Flags of a conversion mark that is a rule for the rest of the page, or the page's title, and shows nothing.
_SILENT_FLAGS: Final = frozenset("HT-")
_QUOTES: Final = re.compile(r"'{2,}")
_BOLD_QUOTES, _BOLD_ITALIC_QUOTES = 3, 5
_MAGIC_WORD: Final = re.compile(r"__([^\W_]+(?:[ _][^\W_]+)*)__")
_ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_NO_CHARACTER: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffd\ud800-\udfff]")

_LIST_MARKS: Final = "*#:; \t"
_RULE: Final = re.compile(r"-{4,}")
_HEADING: Final = re.compile(r"(={1,6})(.+?)(={1,6})\s*$")
# A heading on its way through the cleaning, so that its level is still known when empty sections are dropped.
_HEADING_MARK: Final = "\x02"
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

# Each begins with characters that are rare, for which the search through a page is quickest.
_RARE_SPACES: Final = re.compile("[\t\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_SPACES: Final = re.compile(r"  +")
_EMPTY_BRACKETS: Final = re.compile(r"\([\s,;:/–-]*\)|（[\s,;:、，；]*）|\[\s*\]")
_BRACKET_START: Final = re.compile(r"([(（])[\s,;:]+")
_FRAYED_BRACKET: Final = re.compile(r"[)）](?<=[\s,;:].)")
_BRACKET_END: Final = re.compile(r"[\s,;:]+(?=[)）])")
_SPACE_BEFORE_MARK: Final = re.compile(r" (?=[,.](?:\s|$))")
_BLANK_LINES: Final = re.compile(r"\n\n\n+")
_LEFT_MARKS: Final = re.compile(
    r"\{\{+|\}\}+|\[\[+|\]\]+|\{\||-\{|\}-|</?(?:ref|nowiki|math|gallery|poem)\w*[^<>\n]*>?|\|\s*thumb\w*",
    re.IGNORECASE,
)
_MARK_CHARACTERS: Final = re.compile(r"[\[\]{}|<]")
# Marks in marks in marks, as a page that is broken on purpose has them, are not followed further down.
_MAX_PASSES: Final = 8


@dataclass(slots=True)
class WikiText:
    """What a page's wikitext holds."""

    text: str
    """The running text; see ``plain_text``."""
    templates: list[str] = field(default_factory=list)
    """Names of the templates, as written: ``Infobox city``, ``#if:x``."""
    categories: list[str] = field(default_factory=list)
    """Names of the categories, without namespace and sort key."""
    magic_words: list[str] = field(default_factory=list)
    """Switches such as ``NOTOC``, without the underscores."""
    list_share: float = 0.0
    """Share of the running text's characters that stand in list items, 0 to 1."""


def plain_text(wikitext: str, interlanguage: frozenset[str] = frozenset(), title: str = "") -> str:
    """Return the running text of a page.

    Args:
        wikitext: source of the page.
        interlanguage: lower-case prefixes of links to other languages' pages, ``{"en", "fr", ...}``. Such a link is
            page furniture, not text, unless a colon leads it.
        title: title of the page, which ``{{PAGENAME}}`` stands for.

    Returns:
        Paragraphs, headings and list items, one a line, with a blank line between paragraphs as in the source.
        Sections without text leave no heading. A template leaves nothing, but those that only dress up their text
        (``lang``, ``nowrap``, ``convert``; see ``udfs.wikitext_templates``) leave that.
    """
    return read_wikitext(wikitext, interlanguage, title).text


def read_wikitext(wikitext: str, interlanguage: frozenset[str] = frozenset(), title: str = "") -> WikiText:
    """Return the running text of a page with what says of which kind it is; see ``plain_text``."""
    page = WikiText("")
    source = wikitext.replace("\r\n", "\n") if "\r" in wikitext else wikitext
    source = _CONTROLS.sub("", source)
    source, literals = _without_extensions(source)
    text = _without_nested(f"\n{source}", _hidden_prefixes(interlanguage), title, page)
    text = _without_inline_marks(text, page)
    lines = _lines(text, page)
    if literals:
        lines = _LITERAL.sub(lambda match: literals[int(match[1])], lines)
    if "&" in lines:
        lines = _ENTITY.sub(_entity_text, lines)
    page.text = _without_empty_sections(_without_left_marks(lines))
    return page


@lru_cache(maxsize=4)
def _hidden_prefixes(interlanguage: frozenset[str]) -> frozenset[str]:
    return FILE_NAMESPACES | CATEGORY_NAMESPACES | interlanguage


def _without_extensions(text: str) -> tuple[str, list[str]]:
    """Take out comments and extension tags; nowiki and pre become marks for the literal texts that are returned."""
    if "<" not in text:
        return text, []
    kept: list[str] = []
    literals: list[str] = []
    next_closing: dict[str, re.Match[str] | None] = {}
    position = 0
    while (match := _EXTENSION_TAG.search(text, position)) is not None:
        start, end = match.span()
        name = match[2].lower() if match[2] else ""
        replacement = ""
        if not name:
            start, end = _comment_span(text, start, end)
        elif not match[1] and not match[3].endswith("/"):
            closing = next_closing.get(name)
            if name not in next_closing or (closing is not None and closing.start() < end):
                closing = next_closing[name] = _CLOSING[name].search(text, end)
            # A reference that another one begins in was never closed: what is between the two is the page's text.
            is_closed = closing is not None and not (name == "ref" and _OPEN_REF.search(text, end, closing.start()))
            if closing is not None and is_closed:
                if name in _LITERAL_TAGS:
                    edge = "\n" if name == "pre" else ""
                    replacement = f"{edge}{_LITERAL_MARK}{len(literals)}{_LITERAL_MARK}{edge}"
                    literals.append(text[end : closing.start()])
                end = closing.end()
        kept.append(text[position:start])
        kept.append(replacement)
        position = end
    kept.append(text[position:])
    return "".join(kept), literals


def _comment_span(text: str, start: int, end: int) -> tuple[int, int]:
    """Return where a comment stands; one that has a line of its own goes with the line."""
    closing = text.find("-->", end)
    end = closing + 3 if closing >= 0 else len(text)
    line_start, line_end = start, end
    while line_start > 0 and text[line_start - 1] in " \t":
        line_start -= 1
    while line_end < len(text) and text[line_end] in " \t":
        line_end += 1
    has_own_line = line_start > 0 and text[line_start - 1] == "\n" and text[line_end : line_end + 1] == "\n"
    return (line_start, line_end + 1) if has_own_line else (start, end)


class _Frame:
    """What is open at some place of the page, and the text in it so far."""

    __slots__ = ("braces", "kind", "parts")

    def __init__(self, kind: int, braces: int = 0) -> None:
        self.kind = kind
        self.parts: list[str] = []
        self.braces = braces


def _without_nested(text: str, hidden: frozenset[str], title: str, page: WikiText) -> str:
    """Take out templates and tables, and put the text of links in their place."""
    pieces = _TOKEN.split(text)
    root = _Frame(_ROOT)
    stack = [root]
    parts = root.parts
    parts.append(pieces[0])
    open_templates = open_tables = 0
    # Of each token: itself, title and label of a plain link, and the text that follows.
    for index in range(1, len(pieces), 4):
        token, target, label, after = pieces[index : index + 4]
        if target is not None:
            parts.append(_link_text(target, label, hidden, page))
        elif token[0] == "[":
            stack.append(_Frame(_LINK))
        elif token[0] == "]":
            _close_links(stack, len(token), hidden, page)
        elif token[0] == "{":
            stack.append(_Frame(_TEMPLATE, len(token)))
            open_templates += 1
        elif token[0] == "}":
            if open_templates:
                open_templates, closed_tables = _close_templates(stack, len(token), open_templates, title, page)
                open_tables -= closed_tables
        elif token[0] == "\n" or token[0] == "<":
            kind = _TABLE if token[0] == "\n" else _HTML_TABLE
            if token[0] == "\n":
                parts.append("\n")
            if token[-1] == "|" or (kind == _HTML_TABLE and token[1] != "/"):
                stack.append(_Frame(kind))
                open_tables += 1
            elif open_tables and _close_table(stack):
                open_tables -= 1
        parts = stack[-1].parts
        parts.append(after)
    while len(stack) > 1:
        _unclose(stack, hidden)
    return "".join(root.parts)


def _link_text(target: str, label: str | None, hidden: frozenset[str], page: WikiText) -> str:
    prefix, colon, name = target.partition(":")
    if colon and prefix:
        namespace = prefix.replace("_", " ").strip().lower()
        if namespace in hidden:
            if namespace in CATEGORY_NAMESPACES:
                page.categories.append(name.strip())
            return ""
    if label is None or not label.strip():
        return target.strip().lstrip(":").strip()
    if "|" in label and not _IMAGE_OPTIONS.isdisjoint(part.strip().lower() for part in label.split("|")):
        return ""
    return label


def _close_links(stack: list[_Frame], brackets: int, hidden: frozenset[str], page: WikiText) -> None:
    while brackets >= 2 and stack[-1].kind == _LINK:
        content = "".join(stack.pop().parts)
        if brackets >= 3 and content.count("[") > content.count("]"):
            content += "]"
            brackets -= 1
        brackets -= 2
        target, bar, label = content.partition("|")
        if "\n" in target:  # no link: MediaWiki shows it as it stands
            stack[-1].parts.append(content)
        else:
            stack[-1].parts.append(_link_text(target, label if bar else None, hidden, page))
    stack[-1].parts.append("]" * brackets)


def _close_templates(
    stack: list[_Frame], braces: int, open_templates: int, title: str, page: WikiText
) -> tuple[int, int]:
    """Close as many templates as the braces do; return how many are still open, and how many tables were dropped."""
    tables = 0
    while braces >= 2 and open_templates:
        # Links and tables that the template was to close are part of it.
        above: list[str] = []
        while stack[-1].kind != _TEMPLATE:
            frame = stack.pop()
            tables += frame.kind in (_TABLE, _HTML_TABLE)
            above.append("".join(frame.parts))
        frame = stack[-1]
        frame.parts.extend(reversed(above))
        count = 3 if frame.braces >= 3 and braces >= 3 else 2
        braces -= count
        frame.braces -= count
        content = "".join(frame.parts)
        text = ""
        if count == 2:
            text = text_of_template(content, title)
            page.templates.append(content.partition("|")[0].strip())
        if frame.braces >= 2:
            frame.parts = [text]
        else:
            stack.pop()
            open_templates -= 1
            stack[-1].parts.append(text)
    return open_templates, tables


def _close_table(stack: list[_Frame]) -> bool:
    """Drop the innermost open table; one outside the template that is open is not looked at.

    Whichever way a table is opened, both ``|}`` and ``</table>`` close it: to a browser they are the same.
    """
    for depth in range(len(stack) - 1, 0, -1):
        if stack[depth].kind in (_TABLE, _HTML_TABLE):
            del stack[depth:]
            return True
        if stack[depth].kind == _TEMPLATE:
            break
    return False


def _unclose(stack: list[_Frame], hidden: frozenset[str]) -> None:
    """Give what the last frame holds, which nothing closed, to the one below."""
    frame = stack.pop()
    content = "".join(frame.parts)
    line, newline, rest = content.partition("\n")
    if frame.kind == _TEMPLATE or (frame.kind == _TABLE and newline):
        content = newline + rest
    elif frame.kind == _LINK:
        namespace = line.partition(":")[0].replace("_", " ").strip().lower() if ":" in line else ""
        content = ("" if namespace in hidden else line.rpartition("|")[2]) + newline + rest
    stack[-1].parts.append(content)


def _repeat(change: Callable[[str], str], text: str) -> str:
    """Change a text until nothing changes: from the inside, as brackets in brackets go."""
    for _ in range(_MAX_PASSES):
        if (changed := change(text)) == text:
            break
        text = changed
    return text


def _without_inline_marks(text: str, page: WikiText) -> str:
    """Take out what stands within lines: tags, links to other sites, variants, bold and italic, magic words."""
    if "<" in text:
        text = _RAISED.sub(lambda match: match[2].translate(_RAISED_DIGITS[match[1].lower()]), text)
        text = _LINE_TAG.sub("\n", text)
        text = _INLINE_TAG.sub("", text)
    if "[" in text:
        text = _EXTERNAL_LINK.sub(lambda match: match[1] or "", text)
    if "-{" in text:
        text = _repeat(lambda text: _VARIANT.sub(_variant_text, text), text)
    text = _QUOTES.sub(_literal_quotes, text) if "''''" in text else text.replace("'''", "").replace("''", "")
    if "__" in text:

        def note(match: re.Match[str]) -> str:
            if match[0] != match[0].upper():
                return match[0]
            page.magic_words.append(match[1])
            return ""

        text = _MAGIC_WORD.sub(note, text)
    return text


def _variant_text(match: re.Match[str]) -> str:
    """Return the text of the first variant of a language converter mark, ``-{zh-hans:a; zh-hant:b}-``."""
    if match[1] is not None and not _SILENT_FLAGS.isdisjoint(flag.strip() for flag in match[1].split(";")):
        return ""
    first = match[2].split(";")[0]
    name, colon, value = first.partition(":")
    return value.strip() if colon and name.strip().isascii() else first


def _literal_quotes(match: re.Match[str]) -> str:
    """Return the apostrophes that stay when bold and italic marks go: the fourth of four, those after five."""
    count = len(match[0])
    return "'" * (count - _BOLD_ITALIC_QUOTES if count > _BOLD_ITALIC_QUOTES else int(count == _BOLD_QUOTES + 1))


def _lines(text: str, page: WikiText) -> str:
    """Take the marks off list items, headings and rules, and drop the rows of tables that nothing opened or closed."""
    kept: list[str] = []
    listed = whole = 0
    for raw in text.split("\n"):
        line = raw.strip()
        first = line[:1]
        if first in "*#":  # the empty line too
            if line:
                line = line.lstrip(_LIST_MARKS)
                listed += len(line)
                whole += len(line)
        elif first == "=":
            heading = _HEADING.match(line)
            if heading is not None:
                level, title = min(len(heading[1]), len(heading[3])), " ".join(heading[2].split())
                line = f"\n{_HEADING_MARK}{level}{title}\n" if title.strip("= ") else ""
        elif first == "|" or (first == "!" and "|" in line):
            continue
        else:
            if first == ";":
                term, colon, meaning = line.lstrip(_LIST_MARKS).partition(" : ")
                line = f"{term}\n{meaning}" if colon else term
            elif first == ":":
                line = line.lstrip(_LIST_MARKS)
            elif first == "-":
                line = _RULE.sub("", line, count=1) if line.startswith("----") else line
            whole += len(line)
        kept.append(line)
    page.list_share = listed / whole if whole else 0.0
    return "\n".join(kept)


def _entity_text(match: re.Match[str]) -> str:
    return _NO_CHARACTER.sub("", html.unescape(match[0]))


def _without_left_marks(text: str) -> str:
    """Tidy a text, and drop the marks that literal texts, entities and stray brackets leave behind."""
    text = _tidy(text)
    # Taking out one mark, or what is between its halves, may bring those of another together.
    for _ in range(_MAX_PASSES):
        has_mark = "[" in text or "]" in text or "{" in text or "}" in text or "<" in text or "|" in text
        if not has_mark or (shorter := _LEFT_MARKS.sub("", text)) == text:
            return text
        text = _tidy(shorter)
    return _tidy(_MARK_CHARACTERS.sub("", text))


def _tidy(text: str) -> str:
    text = _RARE_SPACES.sub(" ", text)
    text = _repeat(lambda text: _EMPTY_BRACKETS.sub(_called, text), text)
    text = _BRACKET_START.sub(r"\1", text)
    if _FRAYED_BRACKET.search(text):
        text = _BRACKET_END.sub("", text)
    if "  " in text:
        text = _SPACES.sub(" ", text)
    if " ," in text or " ." in text:
        text = _SPACE_BEFORE_MARK.sub("", text)
    if " \n" in text or "\n " in text:
        text = "\n".join([line.strip() for line in text.split("\n")])
    return _BLANK_LINES.sub("\n\n", text).strip()


def _called(match: re.Match[str]) -> str:
    """Return the brackets behind the name of a function, ``f()``, which nothing was taken out of."""
    before = match.string[match.start() - 1 : match.start()]
    return match[0] if match[0] == "()" and before.isascii() and (before.isalnum() or before == "_") else ""


def _without_empty_sections(text: str) -> str:
    """Drop headings that neither text nor a deeper heading with text follows, and the marks of the others."""
    if _HEADING_MARK not in text:
        return text
    lead, *sections = f"\n{text}".split(f"\n{_HEADING_MARK}")
    kept: list[str] = []
    below = 0  # level of the heading kept last, seen from the end; 0 after plain text
    is_filled = False
    for section in reversed(sections):
        heading, _, body = section.partition("\n")
        if body and not body.isspace():
            is_filled, below = True, 0
        kept.append(body)
        level, title = int(heading[0]), heading[1:].strip()
        if title and is_filled and (below == 0 or level < below):
            kept.append(title)
            below = level
    kept.append(lead)
    return _BLANK_LINES.sub("\n\n", "\n".join(reversed(kept))).strip()
