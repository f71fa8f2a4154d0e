"""The code blocks of the documentation, and the recipes that their stages make."""

from __future__ import annotations

import re
from pathlib import Path

from jobs.runtime.recipe import LoadedRecipe, parse_recipe

ROOT = Path(__file__).resolve().parents[1]
_STAGE = re.compile(r"^(  (\w+):.*\n(?:    .*\n)*)", re.MULTILINE)


def blocks(page: str) -> list[tuple[str, str]]:
    """Return kind and text of a page's code blocks, in order; ``page`` is relative to the repository."""
    return re.findall(r"```(\w+)\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def of_kind(page: str, kind: str) -> list[str]:
    """Return the texts of a page's blocks of one kind."""
    return [text for found, text in blocks(page) if found == kind]


def commands(page: str) -> list[str]:
    """Return the shell commands of a page, one a line, without their comments."""
    lines = "\n".join(of_kind(page, "sh")).replace("\\\n", " ").splitlines()
    return [line.split(" #")[0].strip() for line in lines if line.strip()]


def with_stages(part: str) -> LoadedRecipe:
    """Return the README's whole recipe with the stages of ``part`` in place of its own.

    Args:
        part: one stage or more, in their order, indented as below ``stages:``.
    """
    whole = of_kind("README.md", "yaml")[0]
    stages = _STAGE.findall(part)
    assert "".join(text for text, _ in stages) == part, "something stands outside of the stages"
    for text, name in stages:
        own = next(text for text, own in _STAGE.findall(whole[whole.index("stages:") :]) if own == name)
        whole = whole.replace(own, text)
    recipe = parse_recipe(whole, "/r/my-corpus.yaml")
    assert [name for name in recipe.order if name in {name for _, name in stages}] == [name for _, name in stages]
    return recipe


def broken_links(page: str) -> list[str]:
    """Return the targets of a page's links that are not there: headings, files, headings in them."""
    return [target for target in re.findall(r"\]\(([^)]+)\)", _prose(page)) if not _leads_somewhere(page, target)]


def _prose(page: str) -> str:
    return re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)


def _leads_somewhere(page: str, target: str) -> bool:
    if "://" in target:
        return True
    name, _, heading = target.partition("#")
    path = ((ROOT / page).parent / name).resolve() if name else ROOT / page
    if not path.exists() or not heading:
        return path.exists()
    lines = _prose(str(path.relative_to(ROOT))).splitlines()
    return heading in {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in lines if line.startswith("#")
    }
