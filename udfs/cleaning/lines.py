"""Which lines of a text are its site's and not its author's.

Some lines say what they are (``udfs.cleaning.phrases``: notices, buttons) or show it (menus between separators,
addresses). A page that has such lines is a page as a browser shows it; of it, the body is the run of lines that holds
most prose for the fewest other lines (the subsequence of largest sum; after Finn, Kushmerick & Smyth 2001, who did so
with words and tags), and short lines before and behind it are menus, teasers and footers in whatever language. A text
without such lines keeps all its short lines: headings, lists, verses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from udfs.cleaning.phrases import Match, Phrases
from udfs.cleaning.split import SplitText

CODES: Final = (
    "navigation",
    "footer",
    "cookie",
    "login",
    "share",
    "links",
    "tags",
    "url",
    "residue",
    "repeated",
)
"""What a removed line is removed as."""

_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_CLOSING: Final = "\"'”’»)]"
_SENTENCE_ENDS: Final = tuple(".!?…。！？।॥؟۔።։")
# A teaser that was cut to fit.
_CUT_ENDS: Final = ("…", "..")
_INNER_STOP: Final = re.compile(r"[^\W\d]{2}[.!?。！？।؟۔።։][\"'”’»)\]]*\s+[\"'“‘«(¿¡]*\w|[。！？]")
# An address alone on its line, or a mask in the place of one (udfs.cleaning.pii).
_ADDRESS: Final = r"(?:https?://\S+|www\.\S+|\[(?:ip|url)\])"
_ADDRESS_LINE: Final = re.compile(rf"[\W\d]*{_ADDRESS}(?:\W+{_ADDRESS})*\W*", re.IGNORECASE)
_LABELLED_ADDRESS: Final = re.compile(rf"[^\W\d][^:/]{{0,40}}[:–-] ?{_ADDRESS}\W*", re.IGNORECASE)
# Where to write or to call, masked or not; what protects addresses from robots leaves the last but one.
_CONTACT: Final = re.compile(
    r"\[(?:email|phone|ip)\]|\[email.protected\]|[\w.+-]+@[\w-]+\.[\w.-]*\w|(?:\+|\b00?|\()\d[\d ()/.–-]{5,}\d"
)
_MIN_CONTACTS: Final = 2
_MAX_CONTACT_CHARS: Final = 240
_HEADER_LINE: Final = re.compile(
    r"(?:HTTP/\d|(?:Content-(?:Type|Length|Encoding)|Set-Cookie|User-Agent|Cache-Control|Last-Modified|ETag):\s)",
)
# Three or more short entries between the separators that menus and breadcrumbs use.
_MENU_LINE: Final = re.compile(r"[^|»›•·>¦\d]{2,30}(?:\s[|»›•·>¦]\s?[^|»›•·>¦\d]{2,30}){2,}[|»›•·>¦]?")
_SEPARATOR: Final = re.compile("[|»›•·>¦]")
_RIGHTS: Final = re.compile(r"©|℗|\(c\) ?(?:19|20)\d\d", re.IGNORECASE)
_HEADER_STARTS: Final = frozenset("HCSULE")
_MAX_LONE_MARKS: Final = 3
_LONE_MARKS: Final = re.compile(r"[|/\\»«›‹•·×+;,<>←→↑↓▲▼►◄▶◀☰✕✖]{1,3}")

_PROSE_CHARS: Final = 80
_UNSPACED_PROSE_CHARS: Final = 30
_LONG_CHARS: Final = 160
_UNSPACED_LONG_CHARS: Final = 60
_SENTENCE_WORDS: Final = 5
_UNSPACED_SENTENCE_CHARS: Final = 12
_MAX_RIGHTS_CHARS: Final = 160
# No menu and no list of addresses is longer, and a line may be a whole book.
_MAX_LINE_CHARS: Final = 2000
# Furniture is not looked for without so many lines that are it by themselves, and such a share of the lines.
_MIN_EVIDENCE: Final = 2
_MIN_EVIDENCE_SHARE: Final = 0.03
# What a line adds to the sum of the body it would belong to.
_PROSE_WEIGHT: Final = 3.0
_SENTENCE_WEIGHT: Final = 1.0
_CODE_WEIGHT: Final = 0.0
_SHORT_WEIGHT: Final = -0.5
_FURNITURE_WEIGHT: Final = -1.5
# A list between paragraphs takes no more from the sum than this.
_MAX_LIST_WEIGHT: Final = -4.0
# Fewer short lines in a row may be headings.
_MIN_RUN: Final = 3
# The headline stands about so many lines over the body, with byline, date and lead between; more only where little
# between them is furniture by itself. Where none is found, so many lines are left over the body, and one behind it:
# title, byline, source.
_HEADLINE_WITHIN: Final = 12
_MAX_FURNITURE_SHARE: Final = 0.3
_MIN_HEADLINE_CHARS: Final = 8
_LINES_BEFORE_BODY: Final = 3
_LINES_AFTER_BODY: Final = 1
_DATE_DIGITS: Final = 4
_MAX_DATE_CHARS: Final = 40
_WORDS: Final = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class LineRules:
    """What the line rules need: phrases, and from what length on a later copy of a line is taken out."""

    phrases: Phrases
    min_repeated_line_chars: int
    is_structural: bool = True
    """Also take out short lines around the body of what shows itself to be a web page."""


def find_furniture(text: SplitText, rules: LineRules) -> list[str | None]:
    """Return a code for each line that is not the author's, None for the others.

    Args:
        text: a normalised text; its empty lines are none's.
        rules: what is looked for.
    """
    found = _Lines(text, rules.phrases.match(text))
    codes: list[str | None] = [None] * len(text.lines)
    left = list(range(len(codes)))
    # Without what one pass took out, a line may be seen for what it is.
    while taken := _one_pass(found, left, rules):
        for at, code in taken.items():
            codes[at] = code
        left = [at for at in left if at not in taken]
    return codes


class _Lines:
    """What is known of a text's lines one by one, worked out once."""

    def __init__(self, text: SplitText, said: Sequence[Match | None]) -> None:
        self.lines, self.folded = text.lines, text.folded
        self._text = text
        self._weights: dict[int, float] = {}
        self._has_unspaced = not text.text.isascii() and _UNSPACED.search(text.text) is not None
        has_separators = _SEPARATOR.search(text.text) is not None
        has_rights = any(mark in text.folded_text for mark in ("©", "℗", "(c)"))
        self.own = [
            match or (_shown_rule(line, folded, has_rights, has_separators) if line else None)
            for line, folded, match in zip(text.lines, text.folded, said, strict=True)
        ]

    def weight(self, at: int) -> float:
        """Return what a line adds to the sum of the body that it would belong to."""
        if at not in self._weights:
            self._weights[at] = self._weigh(self.lines[at])
        return self._weights[at]

    def _weigh(self, line: str) -> float:
        is_unspaced = self._has_unspaced and _UNSPACED.search(line) is not None
        chars = len(line)
        if chars >= (_UNSPACED_LONG_CHARS if is_unspaced else _LONG_CHARS):
            return _PROSE_WEIGHT
        open_line = line.rstrip(_CLOSING)
        is_sentence = open_line.endswith(_SENTENCE_ENDS)
        if chars >= (_UNSPACED_PROSE_CHARS if is_unspaced else _PROSE_CHARS):
            return _PROSE_WEIGHT if is_sentence or _INNER_STOP.search(line) else _SHORT_WEIGHT
        if self._text.has_code_signs and self._text.is_code(line):
            return _CODE_WEIGHT
        if not is_sentence or open_line.endswith(_CUT_ENDS):
            return _SHORT_WEIGHT
        is_spoken = chars >= _UNSPACED_SENTENCE_CHARS if is_unspaced else line.count(" ") >= _SENTENCE_WORDS - 1
        return _SENTENCE_WEIGHT if is_spoken else _SHORT_WEIGHT


def _one_pass(found: _Lines, places: Sequence[int], rules: LineRules) -> dict[int, str]:
    """Return the code of each line to take out of those at ``places``."""
    maybe = {at: match for at in places if (match := found.own[at])}
    if rules.is_structural and _is_page(found.lines, places, maybe):
        taken = {at: match.rule for at, match in maybe.items()}
        _add_zones(found, places, taken)
    else:
        taken = {at: match.rule for at, match in maybe.items() if match.is_sure}
    _add_repeated(found, places, taken, rules.min_repeated_line_chars)
    return taken


def _shown_rule(line: str, folded: str, has_rights: bool, has_separators: bool) -> Match | None:
    """Return the rule that a line falls under for what it is made of; the flags say what its text has at all."""
    if len(line) > _MAX_LINE_CHARS:
        return None
    if ("://" in line or "[" in line or "www." in folded) and _ADDRESS_LINE.fullmatch(line):
        return Match("url", True)
    if line[0] in _HEADER_STARTS and _HEADER_LINE.match(line):
        return Match("url", True)
    if len(line) <= _MAX_LONE_MARKS and _LONE_MARKS.fullmatch(line):
        return Match("residue", False)
    if has_rights and len(line) <= _MAX_RIGHTS_CHARS and _RIGHTS.search(line) and not _INNER_STOP.search(line):
        return Match("footer", True)
    if "://" in line and _LABELLED_ADDRESS.fullmatch(line):
        return Match("url", False)
    if (
        len(line) <= _MAX_CONTACT_CHARS
        and ("@" in line or "[" in line or "+" in line)
        and len(_CONTACT.findall(line)) >= _MIN_CONTACTS
    ):
        return Match("footer", False)
    is_menu = has_separators and _SEPARATOR.search(line) and _MENU_LINE.fullmatch(line)
    return Match("navigation", True) if is_menu and not line.rstrip(_CLOSING).endswith(_SENTENCE_ENDS) else None


def _is_page(lines: Sequence[str], places: Sequence[int], maybe: Mapping[int, Match]) -> bool:
    """Say whether a text is a page as a browser shows it: enough different lines are furniture by themselves.

    Addresses and lone marks do not count, as authors of lists, code and formulas write them too.
    """
    evidence = {lines[at] for at, match in maybe.items() if match.rule not in ("url", "residue")}
    if len(evidence) < _MIN_EVIDENCE:
        return False
    return len(evidence) >= _MIN_EVIDENCE_SHARE * sum(1 for at in places if lines[at])


def _add_zones(found: _Lines, places: Sequence[int], taken: dict[int, str]) -> None:
    """Add codes for the short lines before and behind the body."""
    lines = found.lines
    filled = [at for at in places if lines[at]]
    weights = [_FURNITURE_WEIGHT if at in taken else found.weight(at) for at in filled]
    runs = _short_runs(weights)
    body = _heaviest_run(_with_lists(weights, runs))
    if body is None:
        return
    start, end = _headline(lines, taken, filled[: body[0] + 1]), body[1] + _LINES_AFTER_BODY
    for first, behind in runs:
        if behind - first < _MIN_RUN:
            continue
        for place in range(first, behind):
            is_title = place == 0 and len(lines[filled[0]]) >= _MIN_HEADLINE_CHARS
            if filled[place] not in taken and not is_title and not start <= place <= end:
                taken[filled[place]] = "navigation" if place < start else "links"


def _short_runs(weights: Sequence[float]) -> list[tuple[int, int]]:
    """Return first place, and the one behind the last, of each run of lines that are no prose."""
    runs = []
    first = None
    for place, weight in enumerate([*weights, _PROSE_WEIGHT]):
        if weight < 0 and first is None:
            first = place
        elif weight >= 0 and first is not None:
            runs.append((first, place))
            first = None
    return runs


def _with_lists(weights: Sequence[float], runs: Sequence[tuple[int, int]]) -> list[float]:
    """Return the weights, those of long runs without furniture lowered: a list in the middle of an article."""
    result = list(weights)
    for first, behind in runs:
        total = sum(weights[first:behind])
        if total < _MAX_LIST_WEIGHT and _FURNITURE_WEIGHT not in weights[first:behind]:
            result[first:behind] = [_MAX_LIST_WEIGHT / (behind - first)] * (behind - first)
    return result


def _heaviest_run(weights: Sequence[float]) -> tuple[int, int] | None:
    """Return first and last place of the run with the largest sum, or None if no sum is above 0 (Kadane)."""
    best, found, total, start = 0.0, None, 0.0, 0
    for at, weight in enumerate(weights):
        if total <= 0:
            total, start = 0.0, at
        total += weight
        if total > best:
            best, found = total, (start, at)
    return found


def _headline(lines: Sequence[str], taken: Mapping[int, str], filled: Sequence[int]) -> int:
    """Return the place of the line at which the headline over the body begins; ``filled`` ends with the body's first.

    A page's first line is what a browser shows as its title: the headline and the site's name.
    """
    first = len(filled) - 1
    title = _WORDS.sub(" ", lines[filled[0]].casefold())
    found, furniture = None, 0
    for place in range(first - 1, 0, -1):
        line = _WORDS.sub(" ", lines[filled[place]].casefold()).strip()
        if len(line) >= _MIN_HEADLINE_CHARS and line in title:
            found = place
            break
        furniture += filled[place] in taken
        if first - place > _HEADLINE_WITHIN and furniture > (first - place) * _MAX_FURNITURE_SHARE:
            break
    if found is None:
        return max(0, first - _LINES_BEFORE_BODY)
    above = lines[filled[found - 1]]
    has_date = sum(map(str.isdigit, above)) >= _DATE_DIGITS and len(above) <= _MAX_DATE_CHARS
    return found - 1 if found > 1 and has_date else found


def _add_repeated(found: _Lines, places: Sequence[int], taken: dict[int, str], min_chars: int) -> None:
    seen: set[str] = set()
    for at in places:
        if at not in taken and len(found.lines[at]) >= min_chars:
            key = found.folded[at]
            if key in seen:
                taken[at] = "repeated"
            seen.add(key)
