"""What licences of texts and of models oblige to: conf/export/licenses.yaml, and what the user adds to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final

import yaml
from pydantic import Field, PrivateAttr, ValidationError, model_validator

from jobs.runtime.conf import read_conf
from jobs.runtime.errors import BackpromptError
from udfs.settings import Settings

FILE: Final = "export/licenses.yaml"
# A row may have several, as Super-NaturalInstructions' tasks do, or write them as SPDX does: all of them apply.
_BETWEEN: Final = re.compile(r",\s*|\s+AND\s+")


class License(Settings):
    """One licence."""

    name: str = Field(min_length=1)
    url: str | None = None
    obligations: str = Field(min_length=1)
    """What it asks of who uses the texts, or what the model wrote."""
    hub: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9.+-]*$")
    """Its id on the Hugging Face Hub; null: a card says ``other``."""
    aliases: tuple[str, ...] = ()
    """Other ways in which sources write it."""
    has_attribution: bool = False
    """Whether authors or source must be named."""
    is_share_alike: bool = False
    is_non_commercial: bool = False
    is_no_derivatives: bool = False


class ModelTerms(Settings):
    """Which licence holds for the models that some patterns name."""

    match: tuple[str, ...] = Field(min_length=1)
    """Patterns over an engine's label, in which ``*`` stands for anything; without regard to case."""
    license: str | None
    """A key of ``licenses``; null: no model, or none whose licence reaches what it writes."""
    is_output_free: bool = False
    """Whether the licence is the program's alone and does not reach what it writes."""
    note: str = ""


class LicenseBook(Settings):
    """All licences and models that are known."""

    licenses: dict[str, License] = Field(default_factory=dict)
    """By SPDX id."""
    models: tuple[ModelTerms, ...] = ()
    # Thousands of groups of pairs ask for the same few.
    _found: dict[str, tuple[str, ...] | None] = PrivateAttr(default_factory=dict)
    _found_models: dict[str, ModelTerms | None] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _models_name_known_licenses(self) -> LicenseBook:
        for terms in self.models:
            if terms.license is not None and terms.license not in self.licenses:
                raise ValueError(f"models: {', '.join(terms.match)}: license {terms.license!r} is not under licenses")
        seen: dict[str, str] = {}
        for key, each in self.licenses.items():
            for written in (key, *each.aliases):
                other = seen.setdefault(_folded(written), key)
                if other != key:
                    raise ValueError(f"licenses: {written!r} stands for {other} and {key}")
        return self

    def of(self, written: str) -> tuple[str, ...] | None:
        """Return the ids of the licences that a row writes, all of which apply; None if one of them is not known.

        >>> known_licenses().of("CC BY-SA 4.0, MIT")
        ('CC-BY-SA-4.0', 'MIT')
        """
        if written not in self._found:
            self._found[written] = self._search(written)
        return self._found[written]

    def _search(self, written: str) -> tuple[str, ...] | None:
        ids = {_folded(name): key for key, each in self.licenses.items() for name in (key, *each.aliases)}
        whole = ids.get(_folded(written))
        if whole is not None:
            return (whole,)
        found = [ids.get(_folded(part)) for part in _BETWEEN.split(written.strip())]
        known = [each for each in found if each is not None]
        return tuple(dict.fromkeys(known)) if known and len(known) == len(found) else None

    def of_model(self, label: str) -> ModelTerms | None:
        """Return the terms of the model that an engine's label names, None if it is not known."""
        if label not in self._found_models:
            fits = (each for each in self.models if any(fnmatchcase(label.lower(), one.lower()) for one in each.match))
            self._found_models[label] = next(fits, None)
        return self._found_models[label]

    def forbids_business(self, ids: Iterable[str]) -> bool:
        """Say whether one of the licences excludes commercial use."""
        return any(self.licenses[key].is_non_commercial for key in ids)

    def forbids_changes(self, ids: Iterable[str]) -> bool:
        """Say whether one of the licences forbids to pass on what is changed."""
        return any(self.licenses[key].is_no_derivatives for key in ids)


def known_licenses() -> LicenseBook:
    """Return what ``conf/export/licenses.yaml`` says."""
    return parse_licenses(read_conf(FILE), f"conf/{FILE}")


def parse_licenses(text: str, path: str, known: LicenseBook | None = None) -> LicenseBook:
    """Read a file of licences and models.

    Args:
        text: the file's content: YAML with the keys ``licenses`` and ``models``.
        path: its name, for errors.
        known: a book that is in the result, too, behind what the file says.

    Raises:
        BackpromptError: naming the file, the entry and the field that is missing or wrong.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise BackpromptError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(data, dict):
        raise BackpromptError(f"{path}: a file of licences is a mapping with the keys licenses and models")
    licenses, models = data.get("licenses") or {}, data.get("models") or []
    if known is not None and isinstance(licenses, dict) and isinstance(models, list):
        licenses, models = {**known.licenses, **licenses}, [*models, *known.models]
    try:
        return LicenseBook.model_validate(data | {"licenses": licenses, "models": models})
    except ValidationError as error:
        raise BackpromptError(_explain(error, path)) from error


def with_notes(book: LicenseBook, notes: Mapping[str, str]) -> LicenseBook:
    """Return the book with licences of which the user states in a sentence what he relies on."""
    empty = [key for key, text in notes.items() if not text]
    if empty:
        raise BackpromptError(f"--license-note {empty[0]}=: say in a sentence what you rely on and what it obliges to")
    for key in notes:
        if book.of(key) is not None:
            raise BackpromptError(
                f"--license-note {key}: what it obliges to is known already; --licenses FILE can say otherwise"
            )
    own = {key: License(name=key, obligations=text) for key, text in notes.items()}
    return LicenseBook(licenses=book.licenses | own, models=book.models)


def with_models(book: LicenseBook, models: Mapping[str, str]) -> LicenseBook:
    """Return the book with the licences of more models, by pattern."""
    added = []
    for pattern, written in models.items():
        ids = book.of(written)
        if ids is None or len(ids) != 1:
            raise BackpromptError(
                f"--model-license {pattern}={written}: the licence is not known. Name one of conf/{FILE}, or say what "
                f"it obliges to: --license-note '{written}=TEXT'"
            )
        added.append(ModelTerms(match=(pattern,), license=ids[0]))
    return LicenseBook(licenses=book.licenses, models=(*added, *book.models))


def _folded(text: str) -> str:
    return re.sub(r"[\s_-]+", "-", text.strip().lower())


def _explain(error: ValidationError, path: str) -> str:
    problems = []
    for each in error.errors():
        where = ".".join(map(str, each["loc"]))
        problem = "is missing" if each["type"] == "missing" else each["msg"].removeprefix("Value error, ")
        problems.append(f"{path}: {where}: {problem}" if where else f"{path}: {problem}")
    return "\n".join(problems)
