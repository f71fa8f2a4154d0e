"""py3langid, the embedded language identifier: 142 labels, one package, no download (Lui and Baldwin 2012)."""

from __future__ import annotations

import copy
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, Literal

from pydantic import Field

from udfs.engines import EngineUnavailable
from udfs.identifiers import Found, Identified, Outcome
from udfs.rates import EngineSettings

_MODEL: Final = "data/model.npz.xz"  # inside the package
NO_TEXT: Final = "und"
_NO_LANGUAGE: Final = "zxx"  # the engine's label for digits and symbols
# Labels that the engine cannot keep apart, so that each counts as a match for the others: Serbo-Croatian, Norwegian,
# Malay, Chinese, Persian.
_RELATIVES: Final = (
    frozenset({"hr", "bs", "sr"}),
    frozenset({"no", "nb", "nn"}),
    frozenset({"ms", "id"}),
    frozenset({"zh", "yue", "wuu"}),
    frozenset({"fa", "prs"}),
)


class Py3langidSettings(EngineSettings):
    """py3langid: embedded, from the text's byte n-grams, for languages with a code in the language table."""

    kind: Literal["py3langid"] = "py3langid"
    min_chars: int = Field(15, ge=1)
    """Fewest letters of a text that is judged, digits, blanks and punctuation not counted; a shorter one is
    ``uncertain``."""
    min_score: float = Field(0.9, ge=0, le=1)
    """Probability, 0 to 1, from which another language in first place is a mismatch, among all the engine knows."""
    min_score_of_candidates: float = Field(0.7, ge=0, le=1)
    """The same among given candidates, as for instructions, which only the recipe's own languages can be in."""
    max_chars: int = Field(20_000, ge=1)
    """Characters looked at, from the start of the text."""

    def check(self) -> None:
        """Test that the package is there.

        Raises:
            EngineUnavailable: if it is not.
        """
        _version()

    def outcomes(
        self,
        found: Sequence[Found],
        codes: Mapping[str, str],
        candidates: Sequence[str] | None = None,
    ) -> list[Outcome]:
        """Return what these settings make of what was found before, without the model.

        Args:
            found: texts with what the engine found of them, under any ``min_chars`` and scores, but the same
                ``max_chars``.
            codes: as for ``open``.
            candidates: None if all labels were considered.
        """
        return [self._outcome(each, codes.get(each.expected), candidates is not None) for each in found]

    def _outcome(self, found: Found, wanted: str | None, is_restricted: bool) -> Outcome:
        text, label = found.text[: self.max_chars], found.label
        if wanted is None or label in (NO_TEXT, _NO_LANGUAGE) or _letters(text, self.min_chars) < self.min_chars:
            return "uncertain"
        if label == wanted or any({label, wanted} <= group for group in _RELATIVES):
            return "match"
        return (
            "mismatch"
            if found.score >= (self.min_score_of_candidates if is_restricted else self.min_score)
            else "uncertain"
        )

    def open(self, codes: Mapping[str, str]) -> Py3langidIdentifier:
        """Load the model (2 s and 130 MB, once a process).

        Args:
            codes: py3langid's label for each GlotLID code that has one; several codes may share a label.

        Raises:
            EngineUnavailable: if the package is missing.
            ValueError: if a label is none of the model's.
        """
        return Py3langidIdentifier(self, codes)


class Py3langidIdentifier:
    """Compares the language of texts with the one that is expected; the package's own state is left alone."""

    def __init__(self, settings: Py3langidSettings, codes: Mapping[str, str]) -> None:
        self.label = f"py3langid-{_version()}"
        self._settings = settings
        self._codes = dict(codes)
        self._all = _load()
        self._restricted: dict[frozenset[str], Any] = {}
        unknown = sorted(set(self._codes.values()) - set(self._all.labels))
        if unknown:
            raise ValueError(f"py3langid has no label {', '.join(unknown)}; correct the column py3langid of the table")

    def identify(
        self, texts: Sequence[str], expected: Sequence[str], candidates: Sequence[str] | None = None
    ) -> list[Identified]:
        """Return one result a text, same order.

        ``match``: the expected language, or one that the engine cannot tell from it, is in first place. ``mismatch``:
        another is, with the score that the settings ask for. ``uncertain``: another is, with less; or the text is too
        short or holds no language; or the engine has no label for the expected language.

        Args:
            texts: any texts.
            expected: GlotLID code of each.
            candidates: GlotLID codes of the languages considered; the expected one always is. None: all labels.
        """
        allowed = None if candidates is None else self._labels(candidates)
        return [self._identify(text, language, allowed) for text, language in zip(texts, expected, strict=True)]

    def _identify(self, text: str, language: str, allowed: frozenset[str] | None) -> Identified:
        text = text[: self._settings.max_chars]
        if not text.strip():
            return Identified(NO_TEXT, 0.0, "uncertain")
        wanted = self._codes.get(language)
        label, score = self._model(allowed, wanted).classify(text)
        score = min(max(score, 0.0), 1.0)
        outcome = self._settings._outcome(Found(text, language, label, score), wanted, allowed is not None)
        return Identified(label, score, outcome)

    def _model(self, allowed: frozenset[str] | None, wanted: str | None) -> Any:
        if allowed is None:
            return self._all
        labels = allowed if wanted is None else allowed | {wanted}
        if not labels:
            return self._all
        if labels not in self._restricted:
            # The copy shares the tables; restricting replaces them in the copy alone.
            model = copy.copy(self._all)
            model.set_languages(sorted(labels))
            self._restricted[labels] = model
        return self._restricted[labels]

    def _labels(self, languages: Iterable[str]) -> frozenset[str]:
        return frozenset(self._codes[language] for language in languages if language in self._codes)


def _letters(text: str, enough: int) -> int:
    """Return how many letters and marks a text holds, at most ``enough``."""
    count = 0
    for char in text:
        count += unicodedata.category(char)[0] in "LM"
        if count == enough:
            break
    return count


@cache
def _load() -> Any:
    """Return the model with all its labels, one a process; it is never restricted, only its copies are."""
    from py3langid.langid import LanguageIdentifier

    return LanguageIdentifier.from_model_file(_MODEL, norm_probs=True)


def _version() -> str:
    try:
        return version("py3langid")
    except PackageNotFoundError as error:
        raise EngineUnavailable("The identifier py3langid is not installed: pip install py3langid") from error
