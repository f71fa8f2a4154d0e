"""Whether a lake's tables are those that a recipe would add to."""

from __future__ import annotations

import json
from collections.abc import Collection

from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.recipe import FIRST, LoadedRecipe


def rebuilt_stages(recipe: LoadedRecipe, start: str | None) -> tuple[str, ...]:
    """Return the stages whose tables ``--rebuild START`` makes again; none for None.

    Raises:
        BackpromptError: if the recipe has no such stage.
    """
    if start is None:
        return ()
    if start not in recipe.order:
        raise BackpromptError(f"--rebuild {start}: the recipe has the stages {', '.join(recipe.order)}")
    return tuple(recipe.order[recipe.order.index(start) :])


def check_tables(recipe: LoadedRecipe, lake: Lake, rebuilt: Collection[str] = ()) -> None:
    """Refuse to add to tables of another recipe, of other settings, or made from a table that is no more.

    Args:
        recipe: a checked recipe.
        lake: where the tables are; one without tables fits every recipe.
        rebuilt: stages whose tables are made again.

    Raises:
        BackpromptError: if a table does not fit.
    """
    for name in recipe.order:
        if name in rebuilt or not lake.exists(name):
            continue
        properties = lake.properties(name)
        if properties["recipe"] != recipe.name:
            raise BackpromptError(
                f"Lake {lake} holds the tables of recipe {properties['recipe']}, not of {recipe.name}: use another lake"
            )
        changes = _changes(recipe, lake, name, properties)
        if changes:
            raise BackpromptError(
                f"Table {name} of {lake} was made with other settings: {'; '.join(changes)}. Add --rebuild "
                f"{name} to process again from there on (what the tables hold now stays reachable as their earlier "
                "versions), set the old value, or use another lake."
            )


def _changes(recipe: LoadedRecipe, lake: Lake, name: str, properties: dict[str, str]) -> list[str]:
    before, now = lake.settings(name), recipe.decisive(name)
    shared_sources = {key.split(".")[1] for key in before if key.startswith("sources.")}
    changes = [
        f"{key} was {_show(before.get(key))}, is now {_show(now.get(key))}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and _is_compared(key, shared_sources, now)
    ]
    if name == FIRST:
        return changes
    upstream = recipe.upstream(name)
    if properties["upstream"] != upstream:
        changes.append(f"it was made from {properties['upstream']}, is now made from {upstream}")
    elif not lake.exists(upstream):
        changes.append(f"table {upstream}, which it was made from, is gone")
    elif properties["upstream_generation"] != lake.properties(upstream)["generation"]:
        changes.append(f"table {upstream}, which it was made from, has been made again")
    return changes


def _is_compared(key: str, shared_sources: set[str], now: dict[str, object]) -> bool:
    """Say whether a changed setting matters: corpora may come and go, one that stays must stay what it is."""
    if not key.startswith("sources."):
        return True
    name = key.split(".")[1]
    return name in shared_sources and any(other.startswith(f"sources.{name}.") for other in now)


def _show(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if value is not None else "not set"
