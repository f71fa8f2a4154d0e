"""The headline of a text that came without a title: its first line, if that line is one.

A wrong headline makes a wrong instruction, so every doubt is decided against the line.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_MAX_CHARS: Final = 150
# In scripts with blanks between words; "Contact us", "Leer más" and bylines are mostly shorter.
_MIN_WORDS: Final = 3
_MIN_CHARS: Final = 12
# Scripts without blanks say as much in a third of the characters.
_MIN_UNSPACED_CHARS: Final = 6
# The body must hold a line of prose among its first lines, or the first line is one entry of a list. Lines of
# author, date and address come between a page's marked heading and its prose.
_PROSE_WITHIN_LINES: Final = 6
_PROSE_WITHIN_LINES_OF_MARKED: Final = 40
_PROSE_CHARS: Final = 80
_UNSPACED_PROSE_CHARS: Final = 30
_MIN_BODY_RATIO: Final = 3
# Text broken at a fixed width: these next lines, but for one, are as long as the first, within this share, and stop
# nowhere. In scripts without capitals, which do not show where a sentence begins, one such line is doubt enough.
_WRAP_LINES: Final = 4
_WRAP_TOLERANCE: Final = 0.25

_HEADING_MARK: Final = re.compile(r"^#{1,6}\s+|\s+#{1,6}$")
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
# A question mark is none: many headlines ask.
_STOPS: Final = ".!;:,…。！；：，、।॥؛،۔"
_CLOSING: Final = "\"'”’»)]"
_SENTENCE_END: Final = re.compile(r"[.!?。！？।॥؟۔።][\"'”’»)\]]*(?:\s|$)")
_INNER_STOP: Final = re.compile(r"(\w*)([.!?。！？।॥؟۔])[\"'”’»)\]]*\s")
_ABBREVIATION_CHARS: Final = 3
# A bullet, a list number, a speaker's dash, a table row, a stage direction.
_NO_OPENING: Final = re.compile(r"[-–—*•·▪◦>|(\[{<+=~_/\\]|\d{1,3}[.)\]]\s|[a-zA-Z][.)]\s")
_ADDRESS: Final = re.compile(r"https?://|www\.|\S+@\S+\.\w|\w\.(?:com|org|net)\b", re.IGNORECASE)
_MARKUP: Final = re.compile(r"[{}<>|\\]|\[\[|\]\]|\]\(|={2,}|&\w+;|\*\*|__|\s[»›•·]\s|\t")
# "Article - Section - Site": what a browser shows, not what stands over the text.
_WINDOW_TITLE: Final = re.compile(r"\s[-–—]\s.*\s[-–—]\s")
_PAIRS: Final = (("(", ")"), ("[", "]"), ("«", "»"), ("“", "”"), ("¿", "?"), ("¡", "!"))
# "Key: value" lines such as a form's or a byline's; "Brexit: ..." is told from them by the words that follow.
_LABEL: Final = re.compile(r"\w{1,12}\s?:\s(?!(?:\S+\s+){5}\S)")
_MAX_DIGIT_SHARE: Final = 0.3


def headline(text: str) -> str | None:
    """Return the headline a text begins with, or None.

    The first line that is not empty is a headline when it is short, looks like one (some words, opening with a
    capital, no closing stop, no address, list or markup) and stands over a body that is much longer and holds prose.
    A heading mark of Markdown is taken off. Salutations, sentences, list entries and broken lines are not headlines.

    Args:
        text: a cleaned text, lines separated by line feeds.

    Returns:
        The headline without the blanks around it, or None where there is none, or none that is sure.
    """
    first, *body = [line for line in map(str.strip, text.split("\n")) if line] or [""]
    line = _HEADING_MARK.sub("", first)
    within = _PROSE_WITHIN_LINES if line == first else _PROSE_WITHIN_LINES_OF_MARKED
    return line if body and _looks_like_headline(line) and _stands_over(line, body, within) else None


def _looks_like_headline(line: str) -> bool:
    last = line.rstrip(_CLOSING)[-1:]
    if not last or len(line) > _MAX_CHARS or last in _STOPS or last in "-–—/&+(":
        return False
    if _NO_OPENING.match(line) or _ADDRESS.search(line) or _MARKUP.search(line):
        return False
    if _LABEL.match(line) or _WINDOW_TITLE.search(line):
        return False
    if _has_inner_stop(line):
        return False
    return _has_enough_words(line) and _opens_like_a_title(line) and _is_closed(line)


def _has_enough_words(line: str) -> bool:
    letters = sum(char.isalpha() for char in line)
    digits = sum(char.isdigit() for char in line)
    if digits > _MAX_DIGIT_SHARE * max(letters, 1):
        return False
    if len(_UNSPACED.findall(line)) * 2 > letters:
        return letters >= _MIN_UNSPACED_CHARS
    words = [word for word in line.split() if any(map(str.isalpha, word))]
    return len(words) >= _MIN_WORDS and len(line) >= _MIN_CHARS


def _has_inner_stop(line: str) -> bool:
    """Say whether a sentence ends within the line; "St. Petersburg" and "vs. Real Madrid" only abbreviate."""
    return any(stop not in ".۔" or len(word) > _ABBREVIATION_CHARS for word, stop in _INNER_STOP.findall(line))


def _opens_like_a_title(line: str) -> bool:
    """Say whether the first letter is a capital, or of a script without capitals, or of a name such as "iPhone"."""
    word = next((word for word in line.split() if any(map(str.isalpha, word))), "")
    first = next(char for char in word if char.isalpha())
    return unicodedata.category(first) != "Ll" or any(map(str.isupper, word))


def _is_closed(line: str) -> bool:
    """Say whether quotes and brackets that open also close: otherwise the line was broken or cut."""
    straight = line.count('"') % 2 == 0
    return straight and all(line.count(left) <= line.count(right) for left, right in _PAIRS)


def _stands_over(line: str, body: list[str], within: int) -> bool:
    opening = next((char for char in body[0] if char.isalpha()), "")
    # A next line that begins in lower case goes on with the first line's sentence.
    if unicodedata.category(opening or "A") == "Ll" and body[0][:1] == opening:
        return False
    if _is_wrapped(line, body) or sum(map(len, body)) < _MIN_BODY_RATIO * len(line):
        return False
    return any(_is_prose(following) for following in body[:within])


def _is_wrapped(line: str, body: list[str]) -> bool:
    """Say whether the text was broken into lines of one width, so that the first is but the start of a sentence."""
    similar = [other for other in body[:_WRAP_LINES] if abs(len(other) - len(line)) <= _WRAP_TOLERANCE * len(line)]
    if line.lower() == line.upper():
        return body[0] in similar
    return sum(other[-1] not in _STOPS for other in similar) >= _WRAP_LINES - 1


def _is_prose(line: str) -> bool:
    needed = _UNSPACED_PROSE_CHARS if _UNSPACED.search(line) else _PROSE_CHARS
    return len(line) >= needed and bool(_SENTENCE_END.search(line))
