from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.runtime.lake import Lake
from jobs.runtime.pipeline import Options, Outcome, run
from jobs.runtime.recipe import load_recipe
from tests.conftest import copy_demo


@dataclass
class Recorder:
    """A reporter that remembers."""

    notes: list[str] = field(default_factory=list)
    expected: dict[str, int | None] = field(default_factory=dict)
    batches: dict[str, list[int]] = field(default_factory=dict)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def stage_started(self, stage: str, expected: int | None) -> None:
        self.expected[stage] = expected
        self.batches[stage] = []

    def batch_done(self, stage: str, rows: int) -> None:
        self.batches[stage].append(rows)

    def stage_done(self, stage: str) -> None:
        pass


def run_recipe(spark, recipe: Path | str, lake: Path | str, **options) -> tuple[Outcome, Recorder]:
    recorder = Recorder()
    return run(spark, load_recipe(str(recipe)), Lake(spark, str(lake)), Options(**options), recorder), recorder


@pytest.fixture(scope="session")
def finished(spark, tmp_path_factory):
    """The demo over a part of its documents, run once for all tests that only look."""
    project = tmp_path_factory.mktemp("demo")
    recipe = copy_demo(project)
    outcome, recorder = run_recipe(spark, recipe, project / "lake")
    return SimpleNamespace(
        project=project,
        recipe=recipe,
        path=project / "lake",
        lake=Lake(spark, str(project / "lake")),
        outcome=outcome,
        recorder=recorder,
    )
