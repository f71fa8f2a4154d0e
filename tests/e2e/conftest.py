"""What several files of whole runs share."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from jobs.runtime.lake import Lake
from tests.conftest import run_recipe
from tests.soak.corpus import Corpus


@pytest.fixture(scope="session")
def small(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A few real documents in two languages, and the lake that one undisturbed run makes of them."""
    folder = tmp_path_factory.mktemp("small")
    corpus = Corpus(folder / "project", documents=5, languages=("ca", "gl"), dumps=False)
    corpus.lay(0)
    run_recipe(spark, corpus.recipe, folder / "lake")
    return SimpleNamespace(corpus=corpus, recipe=corpus.recipe, lake=Lake(spark, str(folder / "lake")))
