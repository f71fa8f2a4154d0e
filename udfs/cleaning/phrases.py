"""The phrases of ``conf/cleaning/phrases.yaml``, compiled: which rule a line falls under for what it says."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any, Final, NamedTuple

from ahocorasick_rs import AhoCorasick, Implementation

from udfs.cleaning.split import SplitText

MAX_LINE_CHARS: Final = 120
"""A line that holds a phrase is furniture only if it holds little else."""
RULES: Final = ("cookie", "login", "share", "footer", "links", "tags", "navigation", "url", "residue")
"""Rules that phrases can stand for, the more particular first."""
KINDS: Final = ("line", "within", "both")
_JOINED_BY: Final = " + "
MAX_NOTICE_CHARS: Final = 800
"""A longer line that holds both halves of a notice is more than the notice."""
Entry = tuple[str, str, str]
"""Rule, kind, and phrase in lower case."""
# What these rules' phrases say, no author's own short line is likely to say; headings may read like the others.
_SURE: Final = frozenset({"cookie", "login", "share", "footer", "url", "residue"})
# A sentence that holds a phrase and much else is about the thing.
_STATEMENT: Final = re.compile(r"[.。!?！？।؟۔][\"'”’»)\]]*$")
_STATEMENT_RATIO: Final = 3
# No character is more than three when it is casefolded.
_MAX_FOLDED: Final = 3 * MAX_LINE_CHARS

# Around the words of a button: marks, digits (counts), symbols. Marks of Indic vowels are not among them.
_TRIM: Final = re.compile(r"^[\d\W_]+|(?<=\w)[\s\d!-/:-@\[-`{-~«»‹›“”„‘’–—…•·►▶▼→←↑|¦،؛:।。、！？：；（）【】]+$")
# The commonest of them, for what needs no pattern.
_STRIPPED: Final = " \t0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~«»‹›“”„‘’–—…•·►▶▼→←↑|¦،؛:।。、！？：；（）【】"
_UNSPACED: Final = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


class Match(NamedTuple):
    """The rule that a line falls under; it is sure where no author's line is likely to read so."""

    rule: str
    is_sure: bool


def read_entries(lists: Mapping[str, Any]) -> tuple[Entry, ...]:
    """Read the content of the file: language to rule to kind to phrases.

    Raises:
        ValueError: if a rule, a kind or a phrase is none, naming language and key.
    """
    entries = set()
    for language, rules in lists.items():
        for rule, kinds in rules.items():
            for kind, phrases in kinds.items():
                if rule not in RULES or kind not in KINDS:
                    raise ValueError(
                        f"phrases of {language}: {rule}.{kind} is not known; rules: {', '.join(RULES)}; "
                        f"kinds: {', '.join(KINDS)}"
                    )
                for phrase in phrases:
                    if not isinstance(phrase, str) or not fold(phrase):
                        raise ValueError(f"phrases of {language}: {rule}.{kind} holds {phrase!r}; put it in quotes")
                    if kind == "both" and not all((*phrase.partition(_JOINED_BY), phrase.count(_JOINED_BY) == 1)):
                        raise ValueError(f"phrases of {language}: {rule}.both holds {phrase!r}; write 'one + other'")
                    entries.add((rule, kind, fold(phrase) if kind == "line" else phrase.casefold()))
    return tuple(sorted(entries))


@dataclass(frozen=True)
class Phrases:
    """What furniture says, ready to be looked for."""

    entries: tuple[Entry, ...]

    def match(self, text: SplitText) -> list[Match | None]:
        """Return for each line the rule that it falls under for what it says, or None."""
        whole = self._lines.get
        result = [whole(_trimmed(folded)) if 0 < len(folded) <= _MAX_FOLDED else None for folded in text.folded]
        within, notices = self._said_within(text)
        for at, phrase in within.items():
            line = text.lines[at]
            if not (len(line) > _STATEMENT_RATIO * len(phrase) and _STATEMENT.search(line)):
                result[at] = self._within[phrase]
        for at, match in enumerate(result):
            if match and (len(text.lines[at]) > MAX_LINE_CHARS or text.is_code(text.lines[at])):
                result[at] = None
        for at, match in notices.items():
            result[at] = result[at] or match
        return result

    def _said_within(self, split: SplitText) -> tuple[dict[int, str], dict[int, Match]]:
        """Return by a line's place the phrase that begins first in it, the longest of several; and the notices."""
        text, sought = split.folded_text, self._sought
        starts = list(accumulate((len(line) + 1 for line in split.folded), initial=0))
        found: dict[int, tuple[int, int, str]] = {}
        halves: dict[int, set[str]] = {}
        for number, start, end in self._automaton.find_matches_as_indexes(text, overlapping=True):
            phrase, is_spaced, is_within, is_half = sought[number]
            if is_spaced and start and (text[start - 1].isalnum() or text[start - 1] == "_"):
                continue
            at = bisect_right(starts, start) - 1
            if is_half:
                halves.setdefault(at, set()).add(phrase)
            if is_within and (at not in found or (start, -end, phrase) < found[at]):
                found[at] = (start, -end, phrase)
        notices = {
            at: match
            for at, said in halves.items()
            if len(said) > 1 and len(split.lines[at]) <= MAX_NOTICE_CHARS and (match := self._notice(said))
        }
        return {at: phrase for at, (_, _, phrase) in found.items()}, notices

    def _notice(self, said: set[str]) -> Match | None:
        found = [rule for half in said for other, rule in self._halves[half] if other in said]
        return Match(min(found, key=RULES.index), False) if found else None

    @cached_property
    def _lines(self) -> dict[str, Match]:
        return {phrase: Match(rule, False) for phrase, rule in self._by_phrase("line").items()}

    @cached_property
    def _within(self) -> dict[str, Match]:
        return {phrase: Match(rule, rule in _SURE) for phrase, rule in self._by_phrase("within").items()}

    @cached_property
    def _halves(self) -> dict[str, list[tuple[str, str]]]:
        """By a notice's first half: the other halves that make it one, with its rule; the others with nothing."""
        halves: dict[str, list[tuple[str, str]]] = {}
        for phrases, rule in self._by_phrase("both").items():
            one, other = phrases.split(_JOINED_BY)
            halves.setdefault(one, []).append((other, rule))
            halves.setdefault(other, [])
        return halves

    @cached_property
    def _sought(self) -> list[tuple[str, bool, bool, bool]]:
        """Phrases, and whether each must stand at the start of a word, counts alone, and is a notice's half."""
        return [
            (
                phrase,
                phrase[0].isalnum() and not _UNSPACED.match(phrase),
                phrase in self._within,
                phrase in self._halves,
            )
            for phrase in dict.fromkeys([*self._within, *self._halves])
        ]

    @cached_property
    def _automaton(self) -> AhoCorasick:
        return AhoCorasick(
            [phrase for phrase, *_ in self._sought], store_patterns=False, implementation=Implementation.DFA
        )

    def _by_phrase(self, kind: str) -> dict[str, str]:
        # Two languages may use one phrase in two ways; the more particular rule has it.
        order = {rule: place for place, rule in enumerate(RULES)}
        found = sorted((order[rule], phrase) for rule, of_kind, phrase in self.entries if of_kind == kind and phrase)
        return {phrase: RULES[place] for place, phrase in reversed(found)}


def fold(line: str) -> str:
    """Return a line as it is compared: in lower case, without marks and digits around it."""
    return " ".join(_trimmed(line.casefold()).split())


def _trimmed(line: str) -> str:
    short = line.strip(_STRIPPED)
    # Between letters there is nothing more to take off.
    if not (short and short[0].isalpha() and short[-1].isalpha()):
        return _TRIM.sub("", _TRIM.sub("", line))
    return short


@lru_cache(maxsize=8)
def compiled(entries: tuple[Entry, ...]) -> Phrases:
    """Return the phrases of these entries, compiled once a process."""
    return Phrases(entries)
