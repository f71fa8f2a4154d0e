"""GlotLID, the language identifier of MURI: 2,102 labels of language and script (Kargaran et al. 2023), by fastText.

The model is a file that the recipe names. Version 3 has labels for single languages alone, older ones for
macrolanguages too; corpora use either. ``label_sets`` therefore says, from the language table, which labels count as a
language: see there.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from udfs.devices import count_load
from udfs.engines import EngineUnavailable
from udfs.identifiers import Found, Identified, Outcome
from udfs.identifiers.fasttext_file import NotAClassifierError, read_labels
from udfs.languages import Language, LanguageTable
from udfs.rates import EngineSettings

NO_TEXT: Final = "und"
_INSTALL: Final = "pip install 'backprompt[glotlid]'"
_DOWNLOAD: Final = "hf download cis-lmu/glotlid model_v3.bin --local-dir DIR"
_PREFIX: Final = "__label__"
# fastText reads a line up to this word, its own mark for the line's end.
_END_OF_LINE: Final = "</s>"
# Added by fastText to each probability before it takes the logarithm that it returns the exponential of.
_LOG_GUARD: Final = 1e-5
# Labels below are not returned. Two thousand labels of a model that is sure of one have less each.
_LEAST_PROBABILITY: Final = 1e-5
# What candidates have together must be well above that, or their shares of it are noise.
_LEAST_OF_CANDIDATES: Final = 1e-3
# Labels for what is no text (mojibake, debris of PDFs) or in a script that the model has not seen.
_NO_LANGUAGE: Final = ("zxx_", "und_")
_FINGERPRINT_BYTES: Final = 1 << 20
# An ideograph, kana or syllable block stands for about as much as this many letters of an alphabet.
_LETTERS_OF_WIDE: Final = 3
# GlotLID writes Chinese in both its scripts with one code.
_SCRIPTS: Final = {"Hans": "Hani", "Hant": "Hani"}


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The labels, without ``__label__``, by which a language may be found: small enough to send to every worker."""

    same: tuple[str, ...]
    """Labels that count as the language."""
    siblings: tuple[str, ...]
    """Labels of the other members of its macrolanguage in its script."""


def label_sets(table: LanguageTable) -> dict[str, LabelSet]:
    """Return the labels of every language of the table, by the table's own code.

    A language is found by the labels that its row lists, by its own code in its script, and by that of its
    macrolanguage: ``pes_Arab`` by ``fas_Arab``, ``nob_Latn`` by an older model's ``nor_Latn``. A row whose code is a
    macrolanguage is found by its members too: ``hbs_Latn`` by ``hrv_Latn``, ``zho_Hant`` by ``yue_Hani``. The other
    members of its macrolanguage are a language's siblings: ``hrv_Latn`` for ``bos_Latn``. A label in another script
    is neither: ``srp_Latn`` for ``srp_Cyrl``, ``kmr_Latn`` for ``ckb_Arab``.
    """
    members: dict[str, list[str]] = {}
    for each in map(table.get, table):
        if each.macrolanguage:
            members.setdefault(each.macrolanguage, []).extend(_own(each))
    for each in map(table.get, table):  # Standard Estonian is coded with the macrolanguage that it is a member of.
        if each.iso639_3 in members:
            members[each.iso639_3].extend(_own(each))
    return {each.language: _label_set(each, members) for each in map(table.get, table)}


def _label_set(language: Language, members: Mapping[str, Iterable[str]]) -> LabelSet:
    script = _script_of(language)
    same = _own(language)
    siblings: list[str] = []
    if language.iso639_3 in members:
        same += _in_script(script, language.iso639_3, members)
    if language.macrolanguage:
        same.append(f"{language.macrolanguage}_{script}")
        siblings = _in_script(script, language.macrolanguage, members)
    return LabelSet(tuple(dict.fromkeys(same)), tuple(dict.fromkeys(each for each in siblings if each not in same)))


def _own(language: Language) -> list[str]:
    return [*language.glotlid, f"{language.iso639_3}_{_script_of(language)}"]


def _script_of(language: Language) -> str:
    return _SCRIPTS.get(language.script, language.script)


def _in_script(script: str, macrolanguage: str, members: Mapping[str, Iterable[str]]) -> list[str]:
    return [label for label in members[macrolanguage] if label.endswith(f"_{script}")]


LanguageCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{3}_[A-Z][a-z]{3}$")]
Probability = Annotated[float, Field(ge=0, le=1)]


def _pairs(value: Any) -> Any:
    """Make a mapping hashable, as settings are that engines are cached by."""
    return tuple(sorted(value.items())) if isinstance(value, Mapping) else value


Thresholds = Annotated[tuple[tuple[LanguageCode, Probability], ...], BeforeValidator(_pairs)]


class GlotLidSettings(EngineSettings):
    """GlotLID: a fastText file of 1.7 GB, held in memory once a Python worker, for 2,102 languages and scripts.

    A text is a ``match`` if the expected language is at least as probable as any other, a ``mismatch`` if another is
    more, and ``uncertain`` if the more probable of the two has less than ``min_score``, if the text is too short, or
    if the model does not know the expected language.
    """

    kind: Literal["glotlid"] = "glotlid"
    model: str
    """Path of the model file, the same on every machine, such as ``/models/glotlid/model_v3.bin``."""
    min_score: Probability = 0.5
    """Smallest probability, 0 to 1, at which a match or a mismatch is believed."""
    min_score_by_language: Thresholds = ()
    """The same for texts that should be in these languages, by code (``yor_Latn: 0.3``)."""
    siblings: Literal["match", "uncertain", "mismatch"] = "uncertain"
    """What it is when the language found is another member of the expected one's macrolanguage, in the same script:
    Bosnian for Croatian, Egyptian for Standard Arabic, Cantonese for Mandarin. Corpora seldom tell these apart."""
    min_chars: int = Field(20, ge=1)
    """Fewest letters of a text that is judged, as GlotLID errs on short ones; digits, blanks and punctuation are not
    counted, an ideograph, kana or Hangul syllable is counted as three. A shorter text is ``uncertain``."""
    max_chars: int = Field(20_000, ge=1)
    """Characters looked at, from the start of the text."""

    def check(self) -> None:
        """Test that the package is installed and the file is a whole fastText classifier; it is not loaded.

        Raises:
            EngineUnavailable: if it is not.
        """
        _binding()
        self.labels()

    def labels(self) -> frozenset[str]:
        """Return the labels of the model, such as ``eng_Latn``, read from the head of the file.

        Raises:
            EngineUnavailable: if the file cannot be read, or is no fastText classifier.
        """
        try:
            return frozenset(read_labels(Path(self.model)))
        except OSError as error:
            raise EngineUnavailable(
                f"The model file {self.model} of the identifier glotlid cannot be read ({error.strerror or error}). "
                f"Put it there on every machine, for example with '{_DOWNLOAD}', or correct model of the engine"
            ) from error
        except NotAClassifierError as error:
            raise EngineUnavailable(
                f"{self.model} is no fastText classifier ({error}): get GlotLID's with '{_DOWNLOAD}', or correct "
                "model of the engine"
            ) from error

    def unknown(self, labels: Mapping[str, LabelSet]) -> list[str]:
        """Return which of these languages the model has no label for: all their texts will be ``uncertain``.

        Raises:
            EngineUnavailable: if the file cannot be read, or is no fastText classifier.
        """
        known = self.labels()
        return [language for language, each in labels.items() if known.isdisjoint(each.same)]

    def outcomes(
        self, found: Sequence[Found], labels: Mapping[str, LabelSet], candidates: Sequence[str] | None = None
    ) -> list[Outcome]:
        """Return what these settings make of what was found before, without the model.

        Args:
            found: texts with what the engine found of them, under any scores, ``siblings`` and ``min_chars``, but the
                same ``max_chars``.
            labels: as for ``open``.
            candidates: those that were considered; None: all labels.
        """
        nothing = LabelSet((), ())
        allowed = None
        if candidates is not None:
            sets = [labels.get(code, nothing) for code in candidates]
            allowed = frozenset(label for each in sets for label in (*each.same, *each.siblings))
        scores = dict(self.min_score_by_language)
        outcomes: list[Outcome] = []
        for each in found:
            own = labels.get(each.expected, nothing)
            is_found = allowed is None or each.label in allowed or each.label in (*own.same, *own.siblings)
            is_other = not is_found and not each.label.startswith(_NO_LANGUAGE)
            if each.label == NO_TEXT or is_other:
                outcomes.append("uncertain")
            else:
                needed = scores.get(each.expected, self.min_score)
                outcomes.append(self._outcome(each, needed, each.label in own.same, each.label in own.siblings))
        return outcomes

    def _outcome(self, found: Found, needed: float, is_own: bool, is_sibling: bool) -> Outcome:
        """Return the outcome by the most probable label.

        If that is one of the expected language's, the sum of the language's labels is no less than any other label.
        """
        own, other = found.expected_score, 0.0 if is_own else found.score
        if own is None or _letters(_line(found.text[: self.max_chars]), self.min_chars) < self.min_chars:
            return "uncertain"
        if max(own, other) < needed:
            return "uncertain"
        if own >= other:
            return "match"
        return self.siblings if is_sibling else "mismatch"

    def open(self, labels: Mapping[str, LabelSet]) -> GlotLidIdentifier:
        """Load the model.

        Args:
            labels: what ``label_sets`` gives, whole or for some languages.

        Raises:
            EngineUnavailable: if the package or the file is missing, or the model has none of these labels.
        """
        return GlotLidIdentifier(self, labels)


class GlotLidIdentifier:
    """Compares the language of texts with the one that is expected."""

    def __init__(self, settings: GlotLidSettings, labels: Mapping[str, LabelSet]) -> None:
        known = settings.labels()
        self.label = f"glotlid:{Path(settings.model).name}@{_fingerprint(Path(settings.model))}"
        self._settings = settings
        self._min_scores = dict(settings.min_score_by_language)
        self._same = {language: frozenset(each.same) & known for language, each in labels.items()}
        self._siblings = {language: frozenset(each.siblings) & known for language, each in labels.items()}
        if labels and not any(self._same.values()):
            raise EngineUnavailable(
                f"{settings.model} has labels such as {', '.join(sorted(known)[:3])}, not GlotLID's (eng_Latn): get "
                f"GlotLID with '{_DOWNLOAD}', or correct model of the engine"
            )
        self._model = _binding().load_model(settings.model)
        count_load(self.label)

    def close(self) -> None:
        """Give the model's memory back."""
        del self._model

    def knows(self, language: str) -> bool:
        """Say whether the model has a label that counts as a language, given by GlotLID code."""
        return bool(self._same.get(language))

    def identify(
        self, texts: Sequence[str], expected: Sequence[str], candidates: Sequence[str] | None = None
    ) -> list[Identified]:
        """Return one result a text, same order; see the settings for when it is which.

        ``score`` is that of ``label``, the most probable single label. ``expected_score`` is the sum over the labels
        that count as the expected language; None if the model has none, or the text holds no word.

        Args:
            texts: any texts; line breaks count as blanks.
            expected: GlotLID code of each.
            candidates: GlotLID codes of the languages considered, with their siblings; the expected one always is.
                Their probabilities are scaled to sum to 1. Where they have next to none the text is ``uncertain``;
                where a label for what is no text is the most probable, all labels are considered. None: all labels.
        """
        lines = [_line(text[: self._settings.max_chars]) for text in texts]
        allowed = None if candidates is None else frozenset().union(*map(self._labels, candidates))
        return [
            self._judge(line, language, scores, allowed)
            for line, language, scores in zip(lines, expected, self._predict(lines), strict=True)
        ]

    def _predict(self, lines: list[str]) -> list[dict[str, float]]:
        """Return each line's labels, most probable first, with their probabilities, 0 to 1."""
        if not lines:
            return []
        labels, probabilities = self._model.predict(lines, k=-1, threshold=_LEAST_PROBABILITY)
        return [
            {
                label.removeprefix(_PREFIX): min(max(float(value) - _LOG_GUARD, 0.0), 1.0)
                for label, value in zip(line_labels, line_values, strict=True)
            }
            for line_labels, line_values in zip(labels, probabilities, strict=True)
        ]

    def _judge(
        self, line: str, language: str, scores: Mapping[str, float], allowed: frozenset[str] | None
    ) -> Identified:
        if not line.strip() or not scores:
            return Identified(NO_TEXT, 0.0, "uncertain")
        same = self._same.get(language, frozenset())
        siblings = self._siblings.get(language, frozenset())
        considered = scores
        # Scaled up, the little that noise labels have of a text in another language would make it noise.
        if allowed is not None and not next(iter(scores)).startswith(_NO_LANGUAGE):
            considered = _among(scores, allowed | same | siblings)
        is_other = not considered
        considered = considered or scores
        label, score = next(iter(considered.items()))
        own = min(math.fsum(considered.get(each, 0.0) for each in same), 1.0) if same else None
        if is_other:
            return Identified(label, score, "uncertain", own)
        needed = self._min_scores.get(language, self._settings.min_score)
        found = Found(line, language, label, score, own)
        return Identified(label, score, self._settings._outcome(found, needed, label in same, label in siblings), own)

    def _labels(self, language: str) -> frozenset[str]:
        return self._same.get(language, frozenset()) | self._siblings.get(language, frozenset())


def _among(scores: Mapping[str, float], labels: Collection[str]) -> dict[str, float]:
    """Return the scores of ``labels`` scaled to sum to 1, in their order; nothing if they have next to none."""
    found = {label: value for label, value in scores.items() if label in labels}
    total = math.fsum(found.values())
    return {label: value / total for label, value in found.items()} if total >= _LEAST_OF_CANDIDATES else {}


def _line(text: str) -> str:
    r"""Return a text as the one line that fastText predicts for.

    >>> _line("one\ntwo</s>three")
    'one two three'
    """
    line = text.replace("\n", " ").replace(_END_OF_LINE, " ")
    return line.encode("utf-8", "replace").decode("utf-8")  # lone surrogates would fail the whole batch


def _letters(text: str, enough: int) -> int:
    """Return how many letters and marks a text holds, wide ones thrice; counting stops at ``enough``."""
    count = 0
    for char in text:
        if unicodedata.category(char)[0] in "LM":
            count += _LETTERS_OF_WIDE if unicodedata.east_asian_width(char) == "W" else 1
            if count >= enough:
                break
    return count


def _fingerprint(path: Path) -> str:
    """Return eight hex digits that tell model files apart, from their size, start and end.

    GlotLID's newest is always called ``model.bin``, and reading all of 1.7 GB in every worker would take seconds.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_FINGERPRINT_BYTES))
        file.seek(max(size - _FINGERPRINT_BYTES, 0))
        digest.update(file.read(_FINGERPRINT_BYTES))
    return digest.hexdigest()[:8]


def _binding() -> Any:
    """Return the module fasttext.

    Several packages provide it. Those that only predict fail on a list of lines.
    """
    try:
        import fasttext
    except ImportError as error:
        raise EngineUnavailable(f"The identifier glotlid needs fastText: {_INSTALL}") from error
    if not hasattr(fasttext.FastText._FastText, "get_labels"):
        raise EngineUnavailable(
            "The installed package of the name fasttext only predicts one line at a time: uninstall it (it may be "
            f"fasttext-predict), then {_INSTALL}"
        )
    return fasttext
