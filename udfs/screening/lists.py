"""What ``conf/screening/`` says: the words that instructions open with, and phrases that models write around them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

_BRACES: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class InstructionWords:
    """What English instructions open with; each list is told of in ``instructions.yaml``. Without verbs: no rule."""

    verbs: tuple[str, ...] = ()
    noun_verbs: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    not_after_verb: tuple[str, ...] = ()
    openers: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    question_words: tuple[str, ...] = ()
    question_followers: tuple[str, ...] = ()
    yes_no_words: tuple[str, ...] = ()
    finite_verbs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScreeningLists:
    """The lists, in lower case, as plain values that travel to the executors."""

    words: InstructionWords = InstructionWords()
    refusals: tuple[str, ...] = ()
    preambles: tuple[str, ...] = ()
    missing_texts: tuple[str, ...] = ()
    """Phrases that refer to a text unless a word of ``not_before`` follows."""
    not_before: tuple[str, ...] = ()
    weak_missing_texts: tuple[str, ...] = ()
    """Phrases that refer to a text unless a word of ``named_by`` follows."""
    named_by: tuple[str, ...] = ()

    @classmethod
    def read(cls, words: Mapping[str, Any], phrases: Mapping[str, Any]) -> ScreeningLists:
        """Read the content of the two files.

        Args:
            words: of ``instructions.yaml``.
            phrases: of ``phrases.yaml``.

        Raises:
            ValueError: if a list is not known, is missing, or an entry is no text, naming file and key.
        """
        names = {field.name for field in fields(InstructionWords)}
        if wrong := names ^ set(words):
            raise ValueError(f"instructions.yaml: lists must be {', '.join(sorted(names))}; see {', '.join(wrong)}")
        missing = phrases["missing_text"]
        frames, nouns = (
            _folded("missing_text.frames", missing["frames"]),
            _folded("missing_text.nouns", missing["nouns"]),
        )
        weak_frames = _folded("missing_text.weak_frames", missing["weak_frames"])
        weak_nouns = _folded("missing_text.weak_nouns", missing["weak_nouns"])
        if wrong_frames := [frame for frame in (*frames, *weak_frames) if "{noun}" not in frame]:
            raise ValueError(f"phrases.yaml: frames of missing_text need {{noun}}: {', '.join(wrong_frames)}")
        return cls(
            words=InstructionWords(**{name: _folded(name, words[name], "instructions.yaml") for name in names}),
            refusals=_of_languages("refusals", phrases["refusals"]),
            preambles=_of_languages("preambles", phrases["preambles"]),
            missing_texts=tuple(
                sorted(
                    {*_filled(frames, nouns), *_folded("missing_text.phrases", missing["phrases"])}, key=_longest_first
                )
            ),
            not_before=_folded("missing_text.not_before", missing["not_before"]),
            weak_missing_texts=tuple(sorted(_filled(weak_frames, weak_nouns), key=_longest_first)),
            named_by=_folded("missing_text.named_by", missing["named_by"]),
        )


def fold(text: str) -> str:
    """Return a text as it is compared with the lists: in lower case, with straight apostrophes."""
    return text.replace("’", "'").casefold()


def _of_languages(name: str, lists: Mapping[str, Iterable[Any]]) -> tuple[str, ...]:
    entries = {
        form
        for language, found in lists.items()
        for entry in _folded(f"{name}.{language}", found)
        for form in _forms(entry)
    }
    return tuple(sorted(entries, key=_longest_first))


def _folded(name: str, entries: Iterable[Any], file: str = "phrases.yaml") -> tuple[str, ...]:
    found = []
    for entry in entries:
        if not isinstance(entry, str) or not entry.strip():
            raise ValueError(f"{file}: {name} holds {entry!r}; put it in quotes")
        found.append(fold(entry))
    return tuple(found)


def _forms(entry: str) -> Iterator[str]:
    """Yield what an entry stands for: "as {an ai|a model}, i" is two phrases."""
    alternatives = (part.split("|") if place % 2 else [part] for place, part in enumerate(_BRACES.split(entry)))
    return map("".join, itertools.product(*alternatives))


def _filled(frames: Iterable[str], nouns: Iterable[str]) -> set[str]:
    nouns = tuple(nouns)
    return {frame.replace("{noun}", noun) for frame in frames for noun in nouns}


def _longest_first(phrase: str) -> tuple[int, str]:
    return -len(phrase), phrase
