"""What reviewers are asked: the guidelines of ``conf/review/``, and translations of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from jobs.runtime.conf import read_conf
from jobs.runtime.errors import BackpromptError

Kind = Literal["muri", "quality", "compare"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Level = Literal["nominal", "ordinal", "interval"]
"""Level of measurement of a scale, as Krippendorff's alpha takes it."""
_Text = Annotated[str, Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Point(_Model):
    """One point of a scale."""

    value: int
    label: _Text
    """What stands on the button."""
    meaning: _Text
    short: str = ""
    """A word or two for a point whose label is a number."""

    @property
    def explanation(self) -> str:
        """All that is said of the point besides its label."""
        return f"{self.short}: {self.meaning}" if self.short else self.meaning


class Figure(_Model):
    """What the marks of a criterion are summed up to: their mean, or the share of one point."""

    label: _Text
    share_of: int | None = None


class Criterion(_Model):
    """What is asked about each pair, and the scale of the answer."""

    name: _Text
    question: _Text
    level: Level
    points: Annotated[tuple[Point, ...], Field(min_length=2, max_length=9)]
    figures: Annotated[tuple[Figure, ...], Field(min_length=1)]

    @property
    def values(self) -> tuple[int, ...]:
        """The scale's values, upwards."""
        return tuple(sorted(point.value for point in self.points))


class Guideline(_Model):
    """What a reviewer is told and asked."""

    kind: Kind
    title: _Text
    task: _Text
    advice: tuple[_Text, ...]
    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1)]

    def skeleton(self) -> list[object]:
        """Return all that a translation must leave as it is."""
        return [
            self.kind,
            *(
                (each.name, each.level, [point.value for point in each.points], [f.share_of for f in each.figures])
                for each in self.criteria
            ),
        ]


@dataclass(frozen=True, slots=True)
class Texts:
    """All words of the page."""

    guideline: Guideline
    guideline_hash: str
    """sha256 of the guideline file, hex: marks given under other words can be told apart."""
    page: Mapping[str, str]


@cache
def load_guideline(kind: Kind) -> Guideline:
    """Return a guideline of ``conf/review/``."""
    return _parse(read_conf(f"review/{kind}.yaml"), f"conf/review/{kind}.yaml")


def load_texts(kind: Kind, folder: Path | None = None) -> Texts:
    """Return the words of the page, from ``folder`` where it has them.

    Args:
        kind: what is asked.
        folder: translations of files of ``conf/review/``, under their names; those it lacks are in English.

    Raises:
        BackpromptError: if the folder is not there, has none of the files, or a file is no translation of ours.
    """
    names = (f"{kind}.yaml", "page.yaml")
    if folder is not None and not any((folder / name).is_file() for name in names):
        raise BackpromptError(f"--texts {folder}: there is no {' and no '.join(names)} in it")
    own = load_guideline(kind)
    text, where = _read(names[0], folder)
    guideline = _parse(text, where)
    if guideline.skeleton() != own.skeleton():
        raise BackpromptError(
            f"{where} is no translation of conf/review/{names[0]}: kind, names, levels, values and share_of must stay "
            f"as they are, in the same order. They are {guideline.skeleton()}, and should be {own.skeleton()}."
        )
    page_text, page_where = _read(names[1], folder)
    return Texts(guideline, hashlib.sha256(text.encode()).hexdigest(), _parse_page(page_text, page_where))


def _read(name: str, folder: Path | None) -> tuple[str, str]:
    if folder is None or not (folder / name).is_file():
        return read_conf(f"review/{name}"), f"conf/review/{name}"
    try:
        return (folder / name).read_text(encoding="utf-8"), str(folder / name)
    except (OSError, UnicodeDecodeError) as error:
        raise BackpromptError(f"{folder / name} cannot be read: {error}") from error


def _parse(text: str, where: str) -> Guideline:
    try:
        return Guideline.model_validate(_yaml(text, where))
    except ValidationError as error:
        raise BackpromptError(f"{where}: {_problems(error)}") from error


def _parse_page(text: str, where: str) -> dict[str, str]:
    try:
        words = TypeAdapter(dict[str, _Text]).validate_python(_yaml(text, where))
    except ValidationError as error:
        raise BackpromptError(f"{where}: {_problems(error)}") from error
    own: dict[str, str] = yaml.safe_load(read_conf("review/page.yaml"))
    unknown = words.keys() - own.keys()
    if unknown:
        raise BackpromptError(f"{where}: {', '.join(sorted(unknown))} is not known; known are {', '.join(own)}")
    for key, value in words.items():
        try:
            value.format_map(dict.fromkeys(_NAMES, ""))
        except (KeyError, ValueError, IndexError) as error:
            raise BackpromptError(f"{where}: {key}: {value!r} is not understood ({error!r}); in braces may stand "
                                  f"{', '.join(_NAMES)}") from error  # fmt: skip
    return own | words


_NAMES: Final = ("row", "rows", "done", "chars", "error")


def _yaml(text: str, where: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BackpromptError(f"{where} is not YAML: {' '.join(str(error).split())}") from error


def _problems(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}" for each in error.errors())
