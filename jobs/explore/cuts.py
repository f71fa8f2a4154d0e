"""What is asked of ``backprompt explore``: which settings of which stages, read and checked before a table is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml
from pydantic import ValidationError

from jobs.runtime.errors import BackpromptError
from jobs.runtime.recipe import FIRST, flatten
from jobs.runtime.thresholds import SWITCHES, THRESHOLDS
from jobs.stages import STAGES
from jobs.stages.base import StageSettings
from udfs.settings import nested

IDENTIFIER: Final = "identifier"
_NOT_READ: Final[Mapping[str, Mapping[str, Any]]] = {"decontaminate": {"sets": [{"name": "any", "path": "any"}]}}
"""Settings without a default that no rule reads, by stage."""
MAX_CUTS: Final = 50
"""Each takes a place in the plan of one pass over a table."""


@dataclass(frozen=True, slots=True)
class Change:
    """Another value of one setting."""

    stage: str
    setting: str
    """With a dot for one inside another."""
    value: Any
    """As YAML gives it."""

    def __str__(self) -> str:
        return f"{self.stage}.{self.setting}={json.dumps(self.value, ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class Cut:
    """One set of changes that are looked at together."""

    changes: tuple[Change, ...]

    def __str__(self) -> str:
        return ", ".join(map(str, self.changes))

    def of(self, stage: str) -> tuple[Change, ...]:
        """Return the changes of a stage."""
        return tuple(each for each in self.changes if each.stage == stage)


def parse_set(text: str, option: str = "--set") -> Change:
    """Read ``STAGE.SETTING=VALUE``; the value is written as in a recipe.

    Raises:
        BackpromptError: if it is not of that form, or there is no such stage or setting, or it cannot be tried.
    """
    stage, setting, value = _parts(text, option)
    return Change(stage, setting, _yaml(value, text, option))


def parse_sweep(text: str) -> tuple[Change, ...]:
    """Read ``STAGE.SETTING=VALUE,VALUE,...``: one change for each value.

    Raises:
        BackpromptError: as ``parse_set``.
    """
    stage, setting, values = _parts(text, "--sweep")
    found = _yaml(f"[{values}]", text, "--sweep")
    if not found:
        raise BackpromptError(f"--sweep {text}: name at least one value: STAGE.SETTING=VALUE,VALUE")
    return tuple(Change(stage, setting, value) for value in found)


def cuts_of(sets: Sequence[Change], sweeps: Sequence[Sequence[Change]]) -> tuple[Cut, ...]:
    """Return the cuts that are asked for: all that is set together; with sweeps, once for each of their values.

    Raises:
        BackpromptError: if a setting is given twice, or there are more than MAX_CUTS.
    """
    named = [(each.stage, each.setting) for each in sets] + [(sweep[0].stage, sweep[0].setting) for sweep in sweeps]
    for name in named:
        if named.count(name) > 1:
            raise BackpromptError(f"{'.'.join(name)} is given twice: name each setting once, in --set or --sweep")
    cuts = [Cut((*sets, each)) for sweep in sweeps for each in sweep] or ([Cut(tuple(sets))] if sets else [])
    if len(cuts) > MAX_CUTS:
        raise BackpromptError(f"{len(cuts)} values are more than one look takes: sweep at most {MAX_CUTS}")
    return tuple(cuts)


def recut_settings(stage: str) -> tuple[str, ...]:
    """Return the settings of a stage that can be tried on its table."""
    if STAGES[stage].rules is None:
        return ()
    names = [each.setting for each in THRESHOLDS if each.stage == stage and each.is_recut]
    names += [setting for name, setting, *_ in SWITCHES if name == stage]
    return tuple(dict.fromkeys(names))


def made_with(stage: str, flat: Mapping[str, Any]) -> StageSettings:
    """Return the settings that a table was made with, as far as its rules read them; the others have their defaults.

    Args:
        stage: its name.
        flat: the property ``settings`` of the table.

    Raises:
        BackpromptError: if this version does not know a value of them.
    """
    # An identifier of another kind has other settings.
    kept = {key: value for key, value in flat.items() if key in recut_settings(stage) or _is_identifier(key)}
    return _validated(stage, nested(kept), f"table {stage} was made with settings that this version does not know")


def changed(settings: StageSettings, stage: str, changes: Iterable[Change]) -> StageSettings:
    """Return a stage's settings with changes.

    Raises:
        BackpromptError: for a value that the setting does not take.
    """
    flat = flattened(settings)
    asked = list(changes)
    for each in asked:
        if _is_identifier(each.setting) and each.setting not in flat:
            kind = flat[f"{IDENTIFIER}.kind"]
            raise BackpromptError(f"{each.stage}.{each.setting}: the identifier {kind} has no such setting")
        for number in _numbers(each.value):
            if not math.isfinite(number):
                raise BackpromptError(f"{each}: the value must be a finite number")
    flat |= {each.setting: each.value for each in asked}
    found = _validated(stage, nested(flat), ", ".join(map(str, asked)))
    return found.model_copy(update={name: getattr(settings, name) for name in _NOT_READ.get(stage, ())})


def depends_on_more(settings: StageSettings, changes: Iterable[Change]) -> str:
    """Return why changes cannot be tried on the table of a stage with such settings; "" if they can."""
    if getattr(settings, "identify_lines", False) and any(_is_identifier(each.setting) for each in changes):
        return (
            "with identify_lines the identifier also judged single lines, and what it found of them is not stored; "
            "run the stage with the new setting"
        )
    return ""


def differences(before: Mapping[str, Any], now: Mapping[str, Any], stage: str) -> tuple[list[Change], list[str]]:
    """Return how a recipe's settings of a stage differ from those of its table: what can be tried, and other names."""
    names = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    known = set(recut_settings(stage)) & before.keys() & now.keys()
    if any(_is_identifier(key) and key not in known for key in names):  # another engine, or it looks at other text
        known = {key for key in known if not _is_identifier(key)}
    return [Change(stage, key, now[key]) for key in names if key in known], [key for key in names if key not in known]


def _parts(text: str, option: str) -> tuple[str, str, str]:
    name, equals, value = text.partition("=")
    stage, dot, setting = (part.strip() for part in name.partition("."))
    if not (equals and dot and stage and setting and value.strip()):
        raise BackpromptError(f"{option} {text}: write STAGE.SETTING=VALUE, such as screen.max_hate_score=0.3")
    if stage not in STAGES:
        stages = [each for each in STAGES if recut_settings(each)]
        also = "its corpora are read again by 'backprompt run'" if stage == FIRST else f"there are {', '.join(stages)}"
        raise BackpromptError(f"{option} {text}: no stage {stage!r} can be looked at; {also}")
    known = recut_settings(stage)
    if setting not in known:
        raise BackpromptError(f"{option} {text}: {_why_not(stage, setting, known)}")
    return stage, setting, value


def _why_not(stage: str, setting: str, known: Sequence[str]) -> str:
    allowed = f"Of {stage} can be tried: {', '.join(known)}" if known else f"No setting of {stage} can be tried"
    if any((each.stage, each.setting) == (stage, setting) for each in THRESHOLDS):
        return (
            f"which rows are duplicates follows from comparing them, and only the similarity of those found is stored. "
            f"'backprompt clusters --table {stage}' shows them; to change it, run with --rebuild {stage}"
        )
    if setting.partition(".")[0] in STAGES[stage].settings.model_fields:
        return (
            f"{setting} decides what the stage writes, not what it makes of stored scores: to change it, run with "
            f"--rebuild {stage}. {allowed}"
        )
    return f"stage {stage} has no setting {setting!r}. {allowed}"


def _yaml(value: str, text: str, option: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise BackpromptError(f"{option} {text}: the value is not YAML: {getattr(error, 'problem', error)}") from error


def _is_identifier(key: str) -> bool:
    return key.startswith(f"{IDENTIFIER}.")


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, Mapping):
        yield from _numbers(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _numbers(each)


def _validated(stage: str, values: Mapping[str, Any], about: str) -> StageSettings:
    try:
        return STAGES[stage].settings.model_validate({**values, **_NOT_READ.get(stage, {})})
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise BackpromptError(f"{about}: {'; '.join(problems)}") from error


def flattened(settings: StageSettings) -> dict[str, Any]:
    """Return settings as table properties name them."""
    return flatten(settings.decisive())
