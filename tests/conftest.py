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

pytest_plugins = ["tests.browser"]
ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tests" / "data"
SAMPLES = ROOT / "data" / "samples"
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
# Two test processes share the cores; torch would start as many threads in each as there are.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if "BACKPROMPT_APERTIUM" not in os.environ and (ROOT / ".apertium").is_dir():
    os.environ["BACKPROMPT_APERTIUM"] = str(ROOT / ".apertium")

# Files whose tests look at the same lake: in one process, so that it is made once.
_ON_ONE_LAKE = {
    "tests/e2e/test_demo.py": "finished",
    "tests/e2e/test_export.py": "finished",
    "tests/e2e/test_notebook.py": "finished",
    "tests/e2e/test_report.py": "finished",
    "tests/test_readme.py": "finished",
    "tests/jobs/explore/test_explore.py": "finished",
    "tests/e2e/test_determinism.py": "small",
    "tests/e2e/test_forget.py": "small",
    "tests/e2e/test_translation_cache.py": "small",
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file, and of the files that share a lake, in one process."""
    from xdist.scheduler import LoadFileScheduling

    class ByLake(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return _ON_ONE_LAKE.get(file, file)

    return ByLake(config, log)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two cores, two shuffle partitions, no UI, Delta, a warehouse of its own."""
    from jobs.runtime.session import get_session

    folder = tmp_path_factory.mktemp("spark")
    session = get_session(
        log_file=folder / "spark.log",
        conf={
            "spark.master": "local[2]",
            "spark.driver.memory": "3g",
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            # Without a run's own options: over hundreds of tests Java's second compiler pays.
            "spark.driver.extraJavaOptions": f"-Dderby.system.home={folder}",
            # What Delta and Spark remember of tables and queries that are over fills the memory over hundreds of lakes.
            "spark.databricks.delta.delta.log.cacheSize": "30",
            # Logs of a few entries, files of a few rows: nothing is won by reading them in parallel, or by skipping.
            "spark.databricks.delta.snapshotPartitions": "1",
            "spark.databricks.delta.stats.skipping": "false",
            "spark.sql.ui.retainedExecutions": "10",
            "spark.ui.retainedJobs": "10",
            "spark.ui.retainedStages": "10",
            "spark.log.level": "ERROR",
            # Tables of a few rows: compiling a plan, or making it anew under way, takes longer than running it. Runs
            # in processes of their own have a user's settings.
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
            "spark.sql.adaptive.enabled": "false",
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
