"""The phrases of ``conf/cleaning/phrases.yaml``, compiled: which rule a line falls under for what it says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple

MAX_LINE_CHARS: Final = 120
"""A line that holds a phrase is furniture only if it holds little else."""
RULES: Final = ("cookie", "login", "share", "footer", "links", "tags", "navigation", "url", "residue")
"""Rules that phrases can stand for, the more particular first."""
KINDS: Final = ("line", "within")
Entry = tuple[str, str, str]
"""Rule, kind, and phrase in lower case."""
# What these rules' phrases say, no author's own short line is likely to say; headings may read like the others.
_SURE: Final = frozenset({"cookie", "login", "share", "footer", "url", "residue"})
# A sentence that holds a phrase and much else is about the thing.
_STATEMENT: Final = re.compile(r"[.。!?！？।؟۔][\"'”’»)\]]*$")
_STATEMENT_RATIO: Final = 3

# Around the words of a button: marks, digits (counts), symbols. Marks of Indic vowels are not among them.
_TRIM: Final = re.compile(r"^[\d\W_]+|(?<=\w)[\s\d!-/:-@\[-`{-~«»‹›“”„‘’–—…•·►▶▼→←↑|¦،؛:।。、！？：；（）【】]+$")
CODE_MARKS: Final = re.compile(r"[{}]|\w\(\)|==|\":")
"""Marks of programs and data, whose keys may read as buttons do."""
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
                    entries.add((rule, kind, phrase.casefold() if kind == "within" else fold(phrase)))
    return tuple(sorted(entries))


@dataclass(frozen=True)
class Phrases:
    """What furniture says, ready to be looked for."""

    entries: tuple[Entry, ...]

    def match(self, line: str) -> Match | None:
        """Return the rule that a line falls under for what it says, or None."""
        if len(line) > MAX_LINE_CHARS or CODE_MARKS.search(line):
            return None
        found = self._within.search(line.casefold())
        if found and not (_STATEMENT.search(line) and len(line) > _STATEMENT_RATIO * len(found[0])):
            rule = self._rule_of_phrase[found[0]]
            return Match(rule, rule in _SURE)
        rule_of_line = self._lines.get(fold(line))
        return Match(rule_of_line, False) if rule_of_line else None

    @cached_property
    def _lines(self) -> dict[str, str]:
        return self._by_phrase("line")

    @cached_property
    def _rule_of_phrase(self) -> dict[str, str]:
        return self._by_phrase("within")

    @cached_property
    def _within(self) -> re.Pattern[str]:
        phrases = self._rule_of_phrase
        unspaced = [phrase for phrase in phrases if _UNSPACED.match(phrase) or not phrase[0].isalnum()]
        spaced = [phrase for phrase in phrases if phrase not in set(unspaced)]
        parts = [rf"(?<!\w)(?:{_trie(spaced)})" if spaced else "", _trie(unspaced) if unspaced else ""]
        return re.compile("|".join(filter(None, parts)) or r"(?!)")

    def _by_phrase(self, kind: str) -> dict[str, str]:
        # Two languages may use one phrase in two ways; the more particular rule has it.
        order = {rule: place for place, rule in enumerate(RULES)}
        found = sorted((order[rule], phrase) for rule, of_kind, phrase in self.entries if of_kind == kind and phrase)
        return {phrase: RULES[place] for place, phrase in reversed(found)}


def fold(line: str) -> str:
    """Return a line as it is compared: in lower case, without marks and digits around it."""
    return " ".join(_TRIM.sub("", _TRIM.sub("", line.casefold())).split())


@lru_cache(maxsize=8)
def compiled(entries: tuple[Entry, ...]) -> Phrases:
    """Return the phrases of these entries, compiled once a process."""
    return Phrases(entries)


def _trie(phrases: Iterable[str]) -> str:
    """Return a pattern that matches any of the phrases, the longest first, without trying one after the other."""
    root: dict[str, Any] = {}
    for phrase in phrases:
        node = root
        for char in phrase:
            node = node.setdefault(char, {})
        node[""] = {}
    return _pattern(root)


def _pattern(node: dict[str, Any]) -> str:
    # A path without branches is written out, so that the depth of the pattern is that of the branches.
    branches = []
    for first, below in sorted(node.items()):
        text, rest = first, below
        while text and len(rest) == 1 and "" not in rest:
            ((char, rest),) = rest.items()
            text += char
        if text:
            branches.append(re.escape(text) + (_pattern(rest) if set(rest) != {""} else ""))
    if "" in node:
        return f"(?:{'|'.join(branches)})?" if branches else ""
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"
