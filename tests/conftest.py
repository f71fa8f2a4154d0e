"""Fixtures for all tests: one local Spark with Delta, fresh lakes, builders, the real Apertium."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.runtime.lake import Lake
from jobs.runtime.pipeline import Options, Outcome, run
from jobs.runtime.recipe import load_recipe

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tests" / "data"
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
if "BACKPROMPT_APERTIUM" not in os.environ and (ROOT / ".apertium").is_dir():
    os.environ["BACKPROMPT_APERTIUM"] = str(ROOT / ".apertium")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two cores, two shuffle partitions, no UI, Delta, a warehouse of its own."""
    from jobs.runtime.session import LOCAL_JAVA_OPTIONS, get_session

    folder = tmp_path_factory.mktemp("spark")
    session = get_session(
        log_file=folder / "spark.log",
        conf={
            "spark.master": "local[2]",
            "spark.driver.memory": "3g",
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            "spark.driver.extraJavaOptions": f"{LOCAL_JAVA_OPTIONS} -Dderby.system.home={folder}",
            "spark.log.level": "ERROR",
        },
        app_name="backprompt-tests",
    )
    yield session
    session.stop()


@pytest.fixture(autouse=True)
def _no_views_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test's temporary views are gone before the next one."""
    yield
    if "spark" in request.fixturenames:
        session = request.getfixturevalue("spark")
        for table in session.catalog.listTables():
            if table.isTemporary:
                session.catalog.dropTempView(table.name)


def copy_demo(project: Path) -> Path:
    """Copy the demo's recipe, with few documents a language, into ``project``; return the recipe's path."""
    (project / "conf").mkdir(parents=True)
    shutil.copytree(ROOT / "data" / "demo", project / "data" / "demo")
    text = (ROOT / "conf" / "demo.yaml").read_text(encoding="utf-8")
    recipe = project / "conf" / "demo.yaml"
    recipe.write_text(
        text.replace("max_documents_per_language: 100", "max_documents_per_language: 6").replace(
            "max_documents_per_language: 120", "max_documents_per_language: 8"
        ),
        encoding="utf-8",
    )
    return recipe


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
