"""One spelling for one text: faults of encoding mended, Unicode normalised, characters that carry no text taken out."""

from __future__ import annotations

import html
import re
import unicodedata
from html.entities import html5
from typing import Final

import ftfy

from udfs.cleaning.encoding_faults import is_bad

# Characters that carry no text: C0 and C1 controls but tab and line feed, soft hyphen, byte order mark, bidi
# overrides and embeddings, lone surrogates, noncharacters, and the private use area, where icon fonts live. The
# joiners U+200C and U+200D stay: Persian, Hindi and others are misspelt without them. So do the marks U+200E and
# U+200F, without which mixed right-to-left text reads wrongly.
_DROPPED: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\ufeff\u200b\u202a-\u202e\u2060-\u2064\ufff9-\ufffb"
    "\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff\U000f0000-\U0010ffff]"
)
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_LINE_ENDS: Final = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_ODD_LINE_ENDS: Final = "\r\x0b\x0c\x85\u2028\u2029"
# What most texts have none of: all that is dropped or changed below but the two commonest blanks; joiners and marks.
_ODD: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ud800-\uf8ff"
    "\ufb50-\ufdff\ufe70-\ufeff\ufff9-\uffff\U000f0000-\U0010ffff]"
)
_BLANKS: Final = re.compile(r"[^\S\n ][^\S\n]*| [^\S\n]+")
# U+0085 may be half of a letter that was decoded wrongly.
_SURE_LINE_ENDS: Final = re.compile("\r\n?|[\x0b\x0c\u2028\u2029]")
_PLAIN_BLANKS: Final = " \t\r\n"
_EMPTY_LINES: Final = re.compile(r"\n{3,}")
# A line of joiners and marks alone is what is left of an icon.
_INVISIBLE_LINE: Final = re.compile(r"^[ \u200c-\u200f]+$", re.MULTILINE)
# Letters as they look in one place of a word; the honorific ligatures, the rial sign and the ornate parentheses of
# the same blocks are written on purpose.
_PRESENTATION_FORMS: Final = re.compile("[\ufb50-\ufd3d\ufd40-\ufdcf\ufdf2-\ufdf9\ufe70-\ufefc]+")
_ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,24});")
_AMPERSAND: Final = re.compile(r"&(?:(?:amp|AMP|#0{0,5}38|#[xX]0{0,4}26);)+")
# Only text that was decoded wrongly is changed: quotes, widths and ligatures are the author's.
_ENCODING: Final = ftfy.TextFixerConfig(
    unescape_html=False,
    remove_terminal_escapes=False,
    fix_latin_ligatures=False,
    fix_character_width=False,
    uncurl_quotes=False,
    fix_line_breaks=False,
    fix_surrogates=False,
    remove_control_chars=False,
    normalization=None,
    explain=False,
)
# Mended text seldom needs mending again; a text that goes on changing is left as it was.
_ROUNDS: Final = 6


def normalise(text: str, keeps_layout: bool = False) -> str:
    """Return ``text`` in NFC, one kind of line end and blank, and without characters that carry no text.

    Runs of blanks become one space, blanks at line ends go, more than one empty line becomes one, HTML entities
    become what they stand for, Arabic presentation forms become letters. Doing it twice is doing it once.

    Args:
        text: any text.
        keeps_layout: leave blanks, empty lines and HTML entities as they are: the text may be code, a table, or about
            them.
    """
    if keeps_layout:
        return _composed(_LINE_ENDS.sub("\n", text))
    if "&" in text:
        if any(end in text for end in _ODD_LINE_ENDS):
            text = _LINE_ENDS.sub("\n", text)
        text = _unescape(text)
    text = text.replace("\r\n", "\n").replace("\xa0", " ").replace("\t", " ")
    if _ODD.search(text):
        text = _INVISIBLE_LINE.sub("", _BLANKS.sub(" ", _composed(_LINE_ENDS.sub("\n", text))))
    else:
        text = unicodedata.normalize("NFC", text)
        while "  " in text:
            text = text.replace("  ", " ")
    text = text.replace(" \n", "\n").replace("\n ", "\n")
    if "\n\n\n" in text:
        text = _EMPTY_LINES.sub("\n\n", text)
    return text.strip()


def _composed(text: str) -> str:
    text = _PRESENTATION_FORMS.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
    return unicodedata.normalize("NFC", _DROPPED.sub("", text))


def repair(text: str, keeps_layout: bool = False) -> tuple[str, int]:
    """Mend what was decoded with a wrong table, and normalise (ftfy: Speer 2019).

    Args:
        text: any text.
        keeps_layout: see ``normalise``.

    Returns:
        The normalised text, and in how many of its lines the encoding was mended. Doing it twice is doing it once.
    """
    result, mended = _round(text, keeps_layout)
    # Blanks of ASCII are alike in all tables; what else was changed can have made a fault plain.
    if result.isascii() or (not mended and (result == text or _without_blanks(result) == _without_blanks(text))):
        return result, mended
    for _ in range(_ROUNDS):
        again, more = _round(result, keeps_layout)
        if again == result:
            return result, mended
        result, mended = again, max(mended, more)
    return normalise(text, keeps_layout), 0


def _without_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub("", text)
    return text


def _without_blanks(text: str) -> str:
    for blank in _PLAIN_BLANKS:
        text = text.replace(blank, "")
    return text


def _unescape(text: str) -> str:
    plain = text
    for _ in range(_ROUNDS):
        before, plain = plain, _ENTITY.sub(_plain, _AMPERSAND.sub("&", plain))
        if plain == before:
            return plain
    return text


def _plain(entity: re.Match[str]) -> str:
    # Of a name that it does not know, `html.unescape` takes the beginning for one that it does.
    known = entity[0][1] == "#" or entity[0][1:] in html5
    return html.unescape(entity[0]) if known else entity[0]


def _round(text: str, keeps_layout: bool) -> tuple[str, int]:
    if text.isascii():
        return normalise(text, keeps_layout), 0
    text = _without_surrogates(text)
    if any(end in text for end in _ODD_LINE_ENDS):
        text = _SURE_LINE_ENDS.sub("\n", text)
    if not is_bad(text):
        return normalise(text, keeps_layout), 0
    # A line at a time: a page's parts may have gone through different tables.
    lines = text.split("\n")
    fixed = [ftfy.fix_encoding(line, _ENCODING) if is_bad(line) else line for line in lines]
    mended = sum(old != new for old, new in zip(lines, fixed, strict=True))
    return normalise("\n".join(fixed), keeps_layout), mended
