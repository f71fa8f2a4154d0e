"""docs/planning.md names every option of the command and every key of the recipe that it is about."""

from __future__ import annotations

import re

import pytest

from jobs import __main__
from jobs.runtime.planning import LEAST_SAMPLED, MOST_SAMPLED, SHARE, TRIED
from jobs.runtime.recipe import parse_recipe
from jobs.stages.base import Expected
from tests.conftest import ROOT
from udfs.rates import Rates

TEXT = (ROOT / "docs" / "planning.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*Rates.model_fields, *Expected.model_fields])
def test_every_key_is_there(name: str) -> None:
    assert re.search(rf"\b{name}\b", TEXT)


def test_every_option_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        __main__.main(["plan", "--help"])
    options = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    assert {"--share", "--save"} <= options
    missing = {option for option in options - {"--help", "--conf", "--log", "--debug"} if option not in TEXT}
    assert not missing


def test_numbers_are_those_of_the_code() -> None:
    for number in (f"{LEAST_SAMPLED:,}", f"{MOST_SAMPLED:,}", f"{TRIED:,}", f"`--share {SHARE}`"):
        assert number in TEXT
    assert f"{Rates().characters_per_token:g}" in TEXT


def test_the_examples_are_recipes() -> None:
    pieces = re.findall(r"```yaml\nstages:\n(.*?)```", TEXT, flags=re.DOTALL)
    assert len(pieces) == 2
    for piece in pieces:
        stages = "".join(
            piece if piece.startswith(f"  {name}:") else f"  {name}:\n"
            for name in ("clean", "translate", "instruct", "back_translate", "screen", "group", "pairs")
        )
        source = "{kind: jsonl, path: x, license: CC0-1.0, language: spa_Latn, columns: {text: body}}"
        loaded = parse_recipe(f"name: own\nsources: [{source}]\nstages:\n{stages}", "own.yaml")
        used = [
            settings.expected or settings.engine.rates
            for _, settings in loaded.stages()
            if "engine" in type(settings).model_fields
        ]
        assert any(used)
