"""The embedded screen: flags entries of a word list in the text's language. It is no detector of hate speech."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, Literal

from udfs.rates import EngineSettings

# Scripts that put no blanks between words: an entry may stand anywhere in a line of theirs.
_UNSPACED: Final = re.compile("[\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_LAST_CODE_POINT_OF_MARKS: Final = 0x1FFFF
_LAST_BASIC: Final = "\uffff"


class WordListSettings(EngineSettings):
    """Flags words of a list per language, matched as whole words whatever their case.

    A flag says that a word is there, not that the text is hateful: quotations and novels are flagged, hatred in plain
    words is not. Languages without a list are never flagged.
    """

    kind: Literal["word-list"] = "word-list"

    @property
    def label(self) -> str:
        """Return the engine's name."""
        return "word-list"

    def check(self) -> None:
        """Do nothing: the lists come with Backprompt."""

    def open(self, lists: Mapping[str, Sequence[str]]) -> WordListClassifier:
        """Return the classifier.

        Args:
            lists: entries by ISO 639-3 code (``spa``), or by GlotLID code (``srp_Cyrl``) where scripts differ.
        """
        return WordListClassifier(lists)


class WordListClassifier:
    """Finds entries of word lists in texts."""

    def __init__(self, lists: Mapping[str, Sequence[str]]) -> None:
        self._finders = {language: _Finder(entries) for language, entries in lists.items()}

    def flag(self, texts: Sequence[str], languages: Sequence[str]) -> list[list[str]]:
        """Return the entries met in each text, in the list's order and spelling, each once.

        Args:
            texts: any texts.
            languages: GlotLID code of each.
        """
        return [self._find(text, language) for text, language in zip(texts, languages, strict=True)]

    def _find(self, text: str, language: str) -> list[str]:
        finder = self._finders.get(language) or self._finders.get(language.partition("_")[0])
        return finder.find(text) if finder else []


class _Finder:
    """Finds the entries of one list."""

    def __init__(self, entries: Sequence[str]) -> None:
        # Entry -> what is looked for, and whether among the text's words or anywhere in it.
        self._wanted: dict[str, tuple[str, bool]] = {}
        for entry in entries:
            form = _fold(entry).strip()
            is_unspaced = bool(_UNSPACED.search(form))
            wanted = form if is_unspaced else _words(form)
            if wanted:
                self._wanted[entry] = (wanted, not is_unspaced)

    def find(self, text: str) -> list[str]:
        folded = _fold(text)
        words = _words(folded)
        return [
            entry for entry, (wanted, in_words) in self._wanted.items() if wanted in (words if in_words else folded)
        ]


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _words(folded: str) -> str:
    """Return the words of a text with one blank before and after each, so that whole words and phrases are substrings.

    >>> _words("fes-te fotre!")
    ' fes te fotre '
    """
    words = _word().findall(folded)
    return f" {' '.join(words)} " if words else ""


@cache
def _word() -> re.Pattern[str]:
    r"""Return an expression for a word: ``\w``, and the marks that it leaves out, such as vowel signs of Indic scripts.

    Marks beyond the basic plane stand apart: with them in one set, it is searched one by one and not looked up.
    """
    marks = [chr(code) for code in range(_LAST_CODE_POINT_OF_MARKS) if unicodedata.category(chr(code))[0] == "M"]
    basic = "".join(mark for mark in marks if mark <= _LAST_BASIC)
    beyond = "".join(mark for mark in marks if mark > _LAST_BASIC)
    return re.compile(rf"\w+(?:(?:[{basic}]|(?=[^\0-{_LAST_BASIC}])[{beyond}])+\w*)*")
