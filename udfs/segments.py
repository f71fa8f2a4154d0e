"""Cutting long texts into segments that a translation model takes whole, and putting the translations back in place.

Sentences come from sentencex (Wikimedia's segmenter for its own machine translation): maintained, rules or relatives'
rules for the languages of Wikipedia, one wheel without dependencies, linear in the text. ICU knows about as many
scripts but no abbreviations outside six languages, and its Python binding has no wheels.
"""

from __future__ import annotations

import importlib
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from udfs.engines import EngineUnavailable

CountTokens = Callable[[list[str]], list[int]]

# sentencex's code of the languages it has rules for, and of those whose abbreviations and marks are much like theirs,
# by ISO 639-3. All others get its general rules, under "en".
_RULES: Final = {
    "am": "amh tir",
    "ar": "arb ara acm acq aeb ajp apc ars ary arz",
    "bg": "bul mkd",
    "bn": "ben asm bpy",
    "ca": "cat oci",
    "da": "dan nob nno nor fao kal swe",
    "de": "deu bar gsw ksh ltz nds pdc frr stq dsb hsb vmf pfl",
    "el": "ell grc pnt",
    "en": "eng sco",
    "es": "spa ast arg ext lad grn gug quy que ayr arn cbk",
    "fi": "fin krl olo vot smn fit",
    "fr": "fra frp bre wln pcd nrm gcr hat",
    "gu": "guj",
    "hi": "hin awa bho mai mag hne san npi gom kas dty anp",
    "hy": "hye hyw",
    "it": "ita cos egl eml fur lij lld lmo nap pms rgn scn vec srd",
    "ja": "jpn",
    "kk": "kaz kaa kir",
    "kn": "kan tcy",
    "ml": "mal",
    "mr": "mar",
    "my": "mya mnw shn kjp blk",
    "nl": "nld lim vls zea fry afr",
    "pa": "pan",
    "pl": "pol csb szl",
    "pt": "por glg mwl",
    "ru": "rus abk alt ava bak che chv inh koi kpv krc kum lbe lez mdf mhr mrj myv oss sah tat tyv udm xal",
    "sk": "slk ces",
    "ta": "tam",
    "te": "tel",
    "uk": "ukr rue bel",
}
_RULE_OF: Final = {code: rule for rule, codes in _RULES.items() for code in codes.split()}
# Where a sentence may be divided without hurting most: after clause marks, and the shads and daris of scripts whose
# sentences no rule finds. The Latin marks need a blank behind them, as 1,000 and 12:30 have none.
_CLAUSE: Final = re.compile(r"[,;:](?=\s)|[，、；：،؛፣፤፥།༎၊။។៖।॥—–]+")
_BLANK: Final = re.compile(r"\s+")
_SPACE: Final = re.compile(r"\s")
_LEVELS: Final = 3
_ZWJ: Final = "\u200d"
# How far from the middle a place between two grapheme clusters is looked for; no real cluster is longer.
_CLUSTER: Final = 40
# ISO 15924: scripts that put no blank between words, and those of them that put none between sentences either.
_UNSPACED_WORDS: Final = frozenset({"Hans", "Hant", "Hani", "Jpan", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"})
_UNSPACED_SENTENCES: Final = frozenset({"Hans", "Hant", "Hani", "Jpan"})


@dataclass(frozen=True, slots=True)
class Segmented:
    """A text as segments to translate and the layout that they stand in.

    ``gaps[i]`` stands before segment ``i``, the last gap after all: blanks, line breaks, and what has no letter (rules,
    numbers, emoji), which is not translated but kept.
    """

    language: str
    segments: tuple[str, ...]
    gaps: tuple[str, ...]

    def join(self, translations: Sequence[str], language: str | None = None) -> str:
        """Return the text with ``translations`` in the places of its segments.

        Paragraph breaks, blank lines, indentation and blanks at the ends stay as they are. Inside a line, segments
        are set apart as ``language`` does it: 你好。再见。 becomes "Hello. Goodbye.", and the reverse.

        Args:
            translations: one a segment.
            language: GlotLID code of the translations; None keeps every gap as it is.

        Raises:
            ValueError: if the number of translations is not that of segments.
        """
        if len(translations) != len(self.segments):
            raise ValueError(f"{len(translations)} translations for {len(self.segments)} segments")
        gaps = list(self.gaps)
        source, target = _script(self.language), _script(language or self.language)
        inner = range(1, len(gaps) - 1)
        if source in _UNSPACED_WORDS and target not in _UNSPACED_WORDS:
            for at in inner:
                gaps[at] = gaps[at] or " "
        elif target in _UNSPACED_SENTENCES and source not in _UNSPACED_SENTENCES:
            for at in inner:
                gaps[at] = "" if gaps[at] == " " else gaps[at]
        parts = [part for pair in zip(gaps, translations, strict=False) for part in pair]
        return "".join([*parts, gaps[-1]])


@dataclass(slots=True)
class _Span:
    """A stretch of one text that may become a segment; ``bounds`` are its ends and the places to divide it at."""

    text: int
    bounds: Sequence[int]
    level: int
    """How the next division is made if there is no place left: 0 sentences, 1 clauses, 2 blanks, 3 by half."""


def segment(text: str, language: str, count_tokens: CountTokens, max_tokens: int) -> Segmented:
    """Return the segments of one text; see ``segment_all``."""
    return segment_all([text], [language], count_tokens, max_tokens)[0]


def segment_all(
    texts: Sequence[str], languages: Sequence[str], count_tokens: CountTokens, max_tokens: int
) -> list[Segmented]:
    r"""Cut texts into segments of at most ``max_tokens``, as few as whole sentences allow; nothing is dropped.

    A line (a paragraph, the text between two ``\n``) that fits is one segment, and none reaches into the next. A longer
    line is cut into sentences, which are packed in order as long as they fit. A sentence that alone is too long is cut
    after clause marks, then at blanks, then by half, between grapheme clusters where one is near the middle.

    Args:
        texts: any texts.
        languages: GlotLID code of each.
        count_tokens: number of the model's tokens for each of some texts; it is called a few times for all texts.
        max_tokens: limit of a segment, >= 1. A single code point may be above it.

    Returns:
        One result a text. Segments are neither empty nor blank at their ends.

    Raises:
        EngineUnavailable: if sentencex is not installed.
    """
    counts = _Counts(count_tokens)
    found: list[list[tuple[int, int]]] = [[] for _ in texts]
    waiting = [_Span(at, bounds, 0) for at, text in enumerate(texts) for bounds in _lines(text)]
    while waiting:
        lengths = counts(_cut(texts, span.text, span.bounds[0], span.bounds[-1]) for span in waiting)
        crowded = []
        for span, length in zip(waiting, lengths, strict=True):
            if length <= max_tokens or not _divide(texts[span.text], languages[span.text], span):
                found[span.text].append((span.bounds[0], span.bounds[-1]))
            else:
                crowded.append(span)
        parts = [_cut(texts, span.text, *ends) for span in crowded for ends in itertools.pairwise(span.bounds)]
        lengths_of_parts = iter(counts(parts))
        waiting = [
            _Span(span.text, bounds, span.level)
            for span in crowded
            for bounds in _pack(span.bounds, [next(lengths_of_parts) for _ in span.bounds[1:]], max_tokens)
        ]
    return [_lay_out(text, language, spans) for text, language, spans in zip(texts, languages, found, strict=True)]


class _Counts:
    """Token counts, each distinct text counted once."""

    def __init__(self, count_tokens: CountTokens) -> None:
        self._count_tokens = count_tokens
        self._known: dict[str, int] = {"": 0}

    def __call__(self, texts: Iterable[str]) -> list[int]:
        texts = list(texts)
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._count_tokens(new), strict=True))
        return [self._known[text] for text in texts]


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of every line."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield start, end
        start = end + 1
    yield start, len(text)


def _cut(texts: Sequence[str], at: int, start: int, end: int) -> str:
    return texts[at][start:end].strip()


def _divide(text: str, language: str, span: _Span) -> bool:
    """Find places to divide a span at, unless it has some; say whether it has now."""
    start, end = span.bounds[0], span.bounds[-1]
    while len(span.bounds) == 2 and span.level < _LEVELS:
        part = text[start:end]
        if span.level == 0:
            ends = _sentence_ends(part, language)
        else:
            ends = [match.end() for match in (_CLAUSE if span.level == 1 else _BLANK).finditer(part)]
        span.bounds = [start, *(start + at for at in ends if 0 < at < len(part)), end]
        span.level += 1
    if len(span.bounds) == 2 and end - start > 1:
        span.bounds = [start, _middle(text, start, end), end]
    return len(span.bounds) > 2


def _sentence_ends(line: str, language: str) -> list[int]:
    """Return the ends of a line's sentences; only the line's own where the segmenter fails on it."""
    rule = _RULE_OF.get(language.partition("_")[0], "en")
    # Blanks of other kinds become plain ones of the same count: it panics on "D", a no-break blank and a full stop.
    try:
        sentences = _segmenter()(rule, _SPACE.sub(" ", line))
    except BaseException as error:
        # Not a subclass of Exception, and of no module that could be imported.
        if type(error).__name__ != "PanicException":
            raise
        return [len(line)]
    ends, end = [], 0
    for sentence in sentences:
        end += len(sentence)
        ends.append(end)
    return ends if end == len(line) else [len(line)]


@cache
def _segmenter() -> Callable[[str, str], list[str]]:
    try:
        split: Callable[[str, str], list[str]] = importlib.import_module("sentencex").segment
    except ImportError as error:
        raise EngineUnavailable("The sentence segmenter is not installed: pip install sentencex") from error
    return split


def _middle(text: str, start: int, end: int) -> int:
    """Return a place inside the span, between two grapheme clusters if one is near its middle."""
    middle = (start + end) // 2
    for distance in range(_CLUSTER):
        for at in (middle - distance, middle + distance):
            if start < at < end and not _joins(text[at - 1], text[at]):
                return at
    return middle


def _joins(before: str, after: str) -> bool:
    """Say whether two characters belong to one cluster: marks, joiners, emoji modifiers, pairs of flag letters."""
    return (
        unicodedata.category(after)[0] == "M"
        or _ZWJ in (before, after)
        or "\U0001f3fb" <= after <= "\U0001f3ff"
        or ("\U0001f1e6" <= before <= "\U0001f1ff" and "\U0001f1e6" <= after <= "\U0001f1ff")
        # A virama ties the next consonant to it: क् + ष.
        or unicodedata.combining(before) == 9
    )


def _pack(bounds: Sequence[int], lengths: Sequence[int], max_tokens: int) -> list[Sequence[int]]:
    """Group a span's parts in order, so that each group's sum is within the limit; a longer part is a group alone.

    What is given does not fit as a whole, so it comes back in at least two groups even if its parts' sum is small:
    tokens of a text are not quite the sum of its parts'.
    """
    groups: list[list[int]] = []
    total = max_tokens + 1
    for (start, end), length in zip(itertools.pairwise(bounds), lengths, strict=True):
        if total + length > max_tokens:
            groups.append([start])
            total = 0
        groups[-1].append(end)
        total += length
    if len(groups) == 1:
        half = len(bounds) // 2
        return [bounds[: half + 1], bounds[half:]]
    return list(groups)


def _lay_out(text: str, language: str, spans: list[tuple[int, int]]) -> Segmented:
    segments, gaps, done = [], [], 0
    for start, end in sorted(spans):
        part = text[start:end]
        if not any(map(str.isalpha, part)):
            continue
        core = part.strip()
        first = start + len(part) - len(part.lstrip())
        gaps.append(text[done:first])
        segments.append(core)
        done = first + len(core)
    return Segmented(language, tuple(segments), (*gaps, text[done:]))


def _script(language: str) -> str:
    return language.partition("_")[2]
