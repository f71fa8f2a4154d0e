"""``backprompt recipes`` and ``backprompt explain``: what there is, and what every setting means."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticUndefined
from rich.console import Console

from jobs.runtime.recipe import FIRST, LoadedRecipe, packaged_recipes
from udfs.settings import Settings


def print_recipes(out: Console) -> None:
    """Print the recipes that come with Backprompt."""
    for name, recipe in packaged_recipes().items():
        out.print(f"{name:<15} {recipe.description}", markup=False)
    out.print("\nbackprompt explain NAME shows the stages and every setting of one.", markup=False)


def print_explanation(out: Console, recipe: LoadedRecipe) -> None:
    """Print a recipe's corpora and stages in order, with every setting, its default and its meaning."""
    settings = recipe.recipe
    out.print(f"{settings.name}: {settings.description}", markup=False, style="bold")
    out.print(f"{settings.path}, seed {settings.seed}, pivot {settings.pivot}\n", markup=False)
    out.print(f"{FIRST}: take documents from the corpora", markup=False, style="bold")
    for source in settings.sources:
        out.print(f"  source {source.name} ({source.kind})", markup=False)
        _print_settings(out, source, "    ")
    for stage, own in recipe.stages():
        summary = (own.__doc__ or "").strip().splitlines()[0]
        out.print(f"\n{stage.name}: {summary}", markup=False, style="bold")
        out.print(f"  reads {recipe.upstream(stage.name)}", markup=False)
        _print_settings(out, own, "  ")


def _print_settings(out: Console, settings: Settings, indent: str) -> None:
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, Settings):
            kind = getattr(value, "kind", "")
            out.print(f"{indent}{name}: {kind}  {_one_line(field.description)}", markup=False, soft_wrap=True)
            _print_settings(out, value, indent + "  ")
            continue
        default = field.get_default(call_default_factory=True, validated_data={})
        if name == "kind":
            continue
        state = "required" if default is PydanticUndefined else f"default {_plain(default)}"
        mark = f"{_plain(value)} ({state})" if default != value else f"{_plain(value)} (default)"
        out.print(f"{indent}{name}: {mark}  {_one_line(field.description)}", markup=False, soft_wrap=True)


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())
