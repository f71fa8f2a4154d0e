"""Is an English text an instruction or a question at all? By its opening words, without a model.

MURI's native speakers found 9 % of its instructions to be none: statements that prompt no answer (section 4.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import Final, Literal

from udfs.screening.lists import InstructionWords, fold
from udfs.screening.sentences import sentences

Form = Literal["question", "imperative", "request", "task", "unmarked_question", "fragment", "statement"]

SCORES: Final[dict[Form, float]] = {
    "question": 1.0,
    "imperative": 1.0,
    "request": 1.0,
    "task": 1.0,
    "unmarked_question": 0.6,
    "fragment": 0.3,
    "statement": 0.0,
}
"""How likely a form prompts an answer: a rank, not a probability. A fragment is a title or what is typed into a search
engine, which one of the three styles of LongForm is and MURI's one style is not."""
LATER_SCORE: Final = 0.8
"""Most that a text has whose first sentence is neither: a statement may stand before the question it leads to."""

_QUESTION_MARKS: Final = ("?", "？", "؟", "՞", "፧", "⁇", "‽")
_LEAD: Final = re.compile(r"^[\s\W_]*(?:\d+[.)]\s*)?")
_CLAUSES: Final = re.compile(r"[,:;]\s+(?:then\s+|and\s+)?")
_WORD: Final = re.compile(r"[\w'-]+|[\"“«]")
# Of a sentence's words, those in which a question's verb can stand: "Which of the two kings was ...".
_QUESTION_WORDS: Final = 5


class InstructionRule:
    """The lists of ``instructions.yaml``, ready to be looked for."""

    def __init__(self, words: InstructionWords) -> None:
        self._words = words
        self._verbs = frozenset(words.verbs)
        self._noun_verbs = frozenset(words.noun_verbs)
        self._objects = frozenset(words.objects) | set('"“«')
        self._blocked = frozenset(words.not_after_verb)
        self._followers = frozenset(words.question_followers)
        self._question_words = frozenset(words.question_words)
        self._yes_no = frozenset(words.yes_no_words)
        self._settings = frozenset(words.settings)
        self._finite = frozenset(words.finite_verbs)
        self._modals = self._yes_no - {"have", "do", "had"}

    def form(self, instruction_en: str) -> tuple[Form, float]:
        """Return what an English text is, and its score, 0 to 1."""
        first: Form | None = None
        for place, sentence in enumerate(sentences(instruction_en)):
            form = self._form_of(sentence)
            if place == 0:
                first = form
            if SCORES[form] > SCORES["fragment"]:
                return form, SCORES[form] if place == 0 else min(LATER_SCORE, SCORES[form])
        return first or "fragment", SCORES[first or "fragment"]

    def _form_of(self, sentence: str) -> Form:
        if sentence.rstrip("\"'”’») ").endswith(_QUESTION_MARKS):
            return "question"
        text = fold(sentence)
        starts = [_LEAD.sub("", text)]
        bare = self._openers.sub("", starts[0])
        if bare != starts[0]:
            starts.append(bare)
        if starts[0].partition(" ")[0] in self._settings:
            # What follows the setting may open with "please" too.
            starts += [self._openers.sub("", clause) for clause in _CLAUSES.split(text)[1:] if clause]
        for start in starts:
            if self._requests.match(start):
                return "request"
            if self._is_imperative(start):
                return "imperative"
        if self._tasks.match(starts[0]):
            return "task"
        # Behind a setting only a question word asks: "In 1990, was named ..." has lost its subject in translation.
        asking = [start for place, start in enumerate(starts) if place == 0 or not self._opens_yes_no(start)]
        if any(map(self._is_unmarked_question, asking)):
            return "unmarked_question"
        words = set(_WORD.findall(text))
        return "statement" if words & self._finite or text.endswith((".", "。")) else "fragment"

    def _is_imperative(self, text: str) -> bool:
        words = _WORD.findall(text[:80])
        if not words:
            return False
        verb, following = words[0], words[1] if len(words) > 1 else ""
        if self._phrasal.match(text):
            return True
        if following in self._blocked:
            return False
        if verb in self._verbs:
            return True
        return verb in self._noun_verbs and (following in self._objects or following.isdigit())

    def _is_unmarked_question(self, text: str) -> bool:
        words = _WORD.findall(text)[: _QUESTION_WORDS + 1]
        if len(words) < 2:
            return False
        # "Who was born in 1890." goes on from another sentence; "How can I learn it." is a question all the same.
        if text.endswith((".", "!", ",")):
            return words[0] in ("how", "why") and words[1] in self._followers
        if words[0].removesuffix("'s") in self._question_words:
            if words[0].endswith("'s") or words[1] in self._followers:
                return True
            return words[0] in ("what", "which", "whose") and any(word in self._modals for word in words[2:])
        return words[0] in self._yes_no

    def _opens_yes_no(self, text: str) -> bool:
        return text.partition(" ")[0] in self._yes_no

    @cached_property
    def _requests(self) -> re.Pattern[str]:
        return _any_of(self._words.requests)

    @cached_property
    def _tasks(self) -> re.Pattern[str]:
        return _any_of(self._words.tasks)

    @cached_property
    def _phrasal(self) -> re.Pattern[str]:
        return _any_of(verb for verb in self._words.verbs if " " in verb)

    @cached_property
    def _openers(self) -> re.Pattern[str]:
        openers = "|".join(map(re.escape, sorted(self._words.openers, key=len, reverse=True)))
        return re.compile(rf"^(?:(?:{openers})(?!\w)[,:]?\s*)+") if openers else re.compile(r"(?!)")


def ends_as_question(text: str) -> bool:
    """Say whether a text in any language ends with a question mark."""
    return text.rstrip("\"'”’»)）」 ").endswith(_QUESTION_MARKS)


@lru_cache(maxsize=4)
def compiled(words: InstructionWords) -> InstructionRule:
    """Return the rule of these lists, compiled once a process."""
    return InstructionRule(words)


def _any_of(phrases: Iterable[str]) -> re.Pattern[str]:
    found = sorted(phrases, key=len, reverse=True)
    return re.compile(rf"(?:{'|'.join(map(re.escape, found))})(?!\w)") if found else re.compile(r"(?!)")
