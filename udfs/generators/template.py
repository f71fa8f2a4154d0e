"""The embedded generator: instructions by rules, for documents that have a title. A stand-in for a language model.

An instruction must be true of its text. A document gets, in this order:

1. its title as it is, in its own language, where the title itself asks for the text: a how-to title, or a question or
   a task on a page of a how-to source;
2. a genre's wording with the title, where the text or its source shows the genre;
3. a wording that holds for any text with a title;
4. nothing, where there is no title that can be used. Such a document is better dropped than given a vague request.

Wordings are those that Apertium brings back into the languages it was tried with (docs/embedded-engines.md).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from typing import ClassVar, Final, Literal

from udfs.generators import Generated, InstructionRequest
from udfs.generators.leads import is_defined, person
from udfs.generators.titles import is_how_to, is_question, is_task, is_usable
from udfs.masking import quotable
from udfs.rates import EngineSettings

VERSION: Final = "template-v1"
_STAND_IN: Final = r"template-.*|title"
IS_STAND_IN: Final = f"generator RLIKE '^({_STAND_IN})$'"
"""SQL condition of the rows whose instruction is this engine's."""

# Languages in which Apertium 3.8.3 turns the form into something else, by the first word of the English wording:
# French and Esperanto take an imperative for a statement ("Il écrit un texte"), and so on.
_NO_IMPERATIVE: Final = frozenset({"fra", "epo"})
_NO_DESCRIBE: Final = _NO_IMPERATIVE | {"ita"}
_NO_OBLIGATION: Final = frozenset({"ita", "epo"})
_NO_CONDITIONAL: Final = frozenset({"fra"})
_NO_WHO: Final = frozenset({"spa", "cat", "fra"})

_Wordings = tuple[tuple[str, frozenset[str]], ...]


def is_stand_in(label: str) -> bool:
    """Say whether a generator's label is this engine's, whatever its version.

    >>> is_stand_in("template-v1:news"), is_stand_in("title"), is_stand_in("openai:mixtral")
    (True, True, False)
    """
    return re.fullmatch(_STAND_IN, label) is not None


def _texts(kind: str) -> _Wordings:
    return (
        (f'Write {kind} with this title: "{{topic}}".', _NO_IMPERATIVE),
        (f'Create {kind} with this title: "{{topic}}".', _NO_IMPERATIVE),
        (f'You have to write {kind} with this title: "{{topic}}".', _NO_OBLIGATION),
        (f'I want to read {kind} with this title: "{{topic}}".', frozenset()),
        (f'I would like to read {kind} with this title: "{{topic}}".', _NO_CONDITIONAL),
    )


_BIOGRAPHY: Final[_Wordings] = (
    ("Write a biography of {topic}.", _NO_IMPERATIVE),
    ("You have to write a biography of {topic}.", _NO_OBLIGATION),
    ("I want to read a biography of {topic}.", frozenset()),
    ("I would like to read a biography of {topic}.", _NO_CONDITIONAL),
)
_WHO: Final[_Wordings] = (
    ("Who {verb} {topic}? Write a biography.", _NO_WHO | _NO_IMPERATIVE),
    ("Who {verb} {topic}? I want to read a biography.", _NO_WHO),
)
_DESCRIPTION: Final[_Wordings] = (
    ("Describe {topic}.", _NO_DESCRIBE),
    ("Write a description of {topic}.", _NO_IMPERATIVE),
    ("You have to describe {topic}.", _NO_OBLIGATION),
    ("I want to read a description of {topic}.", frozenset()),
    ("I would like to read a description of {topic}.", _NO_CONDITIONAL),
)
# "Discourse", since "speech" comes back as the ability to speak; "journalistic text", since "news report" comes back
# as a report of interest.
_OF_SOURCE: Final[dict[str, _Wordings]] = {
    "news": _texts("a journalistic text"),
    "how-to": _texts("a practical guide"),
    "speech": _texts("a discourse"),
}
_TITLED: Final = _texts("a text")
# Genres in which a title that asks need not be answered by the text.
_NOT_ANSWERING: Final = frozenset({"news", "speech", "encyclopedic"})


class TemplateSettings(EngineSettings):
    """Instructions by rules, without a model; embedded, and marked as such in every row."""

    prompt: ClassVar[None] = None

    kind: Literal["template"] = "template"
    seed: int = 0
    """Picks among the wordings of a genre, together with the document's id."""
    max_title_chars: int = 150
    """Most characters of a title, in either language; a longer one is taken for a sentence of the text."""

    def check(self) -> None:
        """Do nothing: the rules need neither a program nor a file."""

    def open(self, prompt: str | None = None) -> TemplateGenerator:
        """Return the generator; rules use no ``prompt``.

        Raises:
            ValueError: if a prompt is given.
        """
        if prompt is not None:
            raise ValueError("the template generator uses no prompt; take the key out of the recipe")
        return TemplateGenerator(self)


class TemplateGenerator:
    """Writes instructions by rules; deterministic, the same on every machine."""

    def __init__(self, settings: TemplateSettings) -> None:
        self._settings = settings

    def generate(self, requests: Sequence[InstructionRequest]) -> list[Generated]:
        """Return one result a request, same order.

        The label is ``title`` for an instruction that is the title itself, ``template-v1:GENRE`` for a wording, with
        genre ``biography``, ``description``, ``news``, ``how-to``, ``speech`` or ``titled``, and ``template-v1:none``
        where the rules have no honest instruction.
        """
        return [self._generate(request) for request in requests]

    def _generate(self, request: InstructionRequest) -> Generated:
        title = _one_line(request.title_src)
        is_english = request.language.startswith("eng_")
        title_en = title if is_english else _one_line(request.title_en)
        if title and _asks_itself(title, request, self._settings.max_title_chars):
            return Generated("title", title if is_english else title_en or None, title)
        if not title or not title_en:
            return Generated(f"{VERSION}:none")
        if not is_usable(title, title_en, request.text_src, self._settings.max_title_chars):
            return Generated(f"{VERSION}:none")
        genre, wordings, topic, verb = _choose(title, title_en, request)
        language = request.language.partition("_")[0]
        fitting = [wording for wording, unfit in wordings if language not in unfit]
        picked = fitting[_number(self._settings.seed, request.doc_id) % len(fitting)]
        instruction = picked.format(topic=topic, verb=verb)
        if topic.endswith(".") and instruction.endswith(".."):  # "... of Gary Trent Jr."
            instruction = instruction[:-1]
        return Generated(f"{VERSION}:{genre}", instruction, instruction if is_english else None)


def _one_line(text: str | None) -> str:
    return " ".join(text.split()) if text else ""


def _asks_itself(title: str, request: InstructionRequest, max_chars: int) -> bool:
    """Say whether the title is the instruction."""
    if request.genre in _NOT_ANSWERING or not is_usable(title, title, request.text_src, max_chars):
        return False
    if request.genre == "how-to" and (is_question(title) or is_task(title, request.language)):
        return True
    return is_how_to(title, request.language)


def _choose(title: str, title_en: str, request: InstructionRequest) -> tuple[str, _Wordings, str, str | None]:
    """Return genre, wordings, what stands for ``{topic}`` in them, and the verb for ``{verb}``."""
    if request.genre in _OF_SOURCE:
        return request.genre, _OF_SOURCE[request.genre], quotable(title_en), None
    # Only the titles of reference works name their subject; a headline's words in a sentence define nothing.
    if request.genre == "encyclopedic":
        someone = person(title, title_en, request.text_en)
        if someone:
            wordings = _BIOGRAPHY + (_WHO if someone.verb else ())
            return "biography", wordings, _name(title, title_en), someone.verb
        if is_defined(title_en, request.text_en):
            return "description", _DESCRIPTION, title_en, None
    return "titled", _TITLED, quotable(title_en), None


def _name(title: str, title_en: str) -> str:
    """Return a person's name as the source writes it, with the translated part in brackets.

    Engines translate names that are words ("Vera", "Cuadrado"); those in other scripts need the transcription.
    """
    name, bracket, _ = title.partition(" (")
    if not all(unicodedata.name(char, "").startswith("LATIN") for char in name if char.isalpha()):
        return title_en
    explained = title_en.partition(" (")[2]
    return f"{name} ({explained}" if bracket and explained else name


def _number(seed: int, doc_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}:{doc_id}".encode(), digest_size=8).digest(), "big")
