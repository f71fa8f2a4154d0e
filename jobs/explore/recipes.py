"""A recipe with other thresholds, as a small file that extends the one it differs from; and what the change costs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from jobs.explore.cuts import IDENTIFIER, Cut, changed, flattened
from jobs.explore.data import Cost
from jobs.runtime.errors import BackpromptError
from jobs.runtime.recipe import FIRST, LoadedRecipe, load_recipe, parse_recipe
from jobs.runtime.recipe_file import EXTENDS
from jobs.runtime.translation_cache import is_cached
from jobs.stages import STAGES
from udfs.settings import nested


def write_recipe(file: Path, reference: str, cut: Cut) -> None:
    """Write a recipe that extends another one and differs from it by a cut's settings alone.

    Args:
        file: the new recipe; it keeps the name of the other, as it is for the same lake.
        reference: the other: a file, or the name of a recipe in ``conf/``.
        cut: the settings.

    Raises:
        BackpromptError: if the file is there already or cannot be written, or the recipes would not fit.
    """
    if file.exists():
        raise BackpromptError(f"--write {file}: is there already; choose another name, or take it away first")
    text = recipe_text(file, reference, cut)
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise BackpromptError(f"--write {file}: cannot be written: {error.strerror}") from error


def recipe_text(file: Path, reference: str, cut: Cut) -> str:
    """Return the text of such a recipe; arguments and errors as ``write_recipe``."""
    base = load_recipe(reference)
    flat: dict[str, Any] = {}
    for each in cut.changes:
        if each.stage not in base.order:
            raise BackpromptError(f"--write {file}: recipe {base.name} has no stage {each.stage}")
        flat[f"{each.stage}.{each.setting}"] = each.value
        if each.setting.startswith(f"{IDENTIFIER}."):
            # Named too, so that it is clear whose settings they are where the other recipe leaves the default.
            flat[f"{each.stage}.{IDENTIFIER}.kind"] = flattened(base.settings(each.stage))[f"{IDENTIFIER}.kind"]
    content = {EXTENDS: _reference_from(file, reference), "stages": nested(flat)}
    text = (
        "# Thresholds chosen with `backprompt explore`; all else is that of the recipe it extends.\n"
        + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    )
    _check(file, parse_recipe(text, str(file)), base, cut)
    return text


def cost(order: Sequence[str], cut: Cut, recipe: LoadedRecipe | None, rows_in: Mapping[str, int]) -> Cost | None:
    """Return what it takes to bring a lake to a cut; None if it changes nothing.

    Args:
        order: names of the lake's tables, ``documents`` first.
        cut: the settings.
        recipe: that of the lake; None if it is not at hand: stages then count with their default settings.
        rows_in: rows that each stage has taken in.
    """
    first = next((name for name in order if cut.of(name)), None)
    if first is None:
        return None
    stages = [name for name in order[order.index(first) :] if name != FIRST]
    cached, engines = [], []
    for name in stages:
        settings = recipe.settings(name) if recipe and name in recipe.order else STAGES[name].settings.model_construct()
        if is_cached(name, settings):
            cached.append(name)
        elif any(getattr(settings, engine) is not None for engine in STAGES[name].engines):
            engines.append(name)
    return Cost(first, stages, {name: rows_in.get(name, 0) for name in stages}, cached, engines)


def _reference_from(file: Path, reference: str) -> str:
    """Return how a recipe beside ``file`` names the other one."""
    if not Path(reference).is_file():
        return reference.removesuffix(".yaml")
    # In POSIX form, and never a bare name, which could be that of a recipe in conf/.
    path = os.path.relpath(Path(reference).absolute(), file.absolute().parent)
    return path if os.sep in path else f".{os.sep}{path}"


def _check(file: Path, made: LoadedRecipe, base: LoadedRecipe, cut: Cut) -> None:
    """Make sure that a recipe is another one but for a cut, and that it is that cut."""
    for name in base.order:
        wanted, found = base.decisive(name), made.decisive(name)
        if changes := cut.of(name):
            wanted, found = flattened(changed(base.settings(name), name, changes)), flattened(made.settings(name))
        differing = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
        if differing:
            raise BackpromptError(
                f"--write {file}: {name} would differ in {', '.join(differing)} from what was looked at, as a recipe "
                f"keeps the entries of {base.name}'s maps. Name these entries with the values that they have"
            )
