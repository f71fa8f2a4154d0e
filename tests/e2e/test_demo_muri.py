"""The recipe demo-muri over samples of every source, to export and report: what `make demo-muri` does."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub as hub
import pytest
from playwright.sync_api import Browser

from jobs.__main__ import main
from jobs.export.forms import MURI_COLUMNS
from jobs.export.names import DATASET_NAMES, REVERSED
from jobs.runtime.lake import Lake
from jobs.runtime.recipe import load_recipe
from tests.browser import errors_of
from udfs.splits import SHARES, SPLITS, WHOLE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def made(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("demo-muri")
    lake, export, report = folder / "lake", folder / "export", folder / "report.html"
    assert main(["run", "--recipe", "demo-muri", "--lake", str(lake)]) == 0
    assert main(["check", "--lake", str(lake)]) == 0
    options = ["--recipe", "demo-muri", "--allow-stand-in", "--exclude-license", "unknown"]
    assert main(["export", "--lake", str(lake), "--to", str(export), *options]) == 0
    assert main(["report", "--lake", str(lake), "--output", str(report)]) == 0
    tables = Lake(spark, str(lake))
    return SimpleNamespace(
        sources={row["source"] for row in tables.read("documents").select("source").distinct().collect()},
        pairs=tables.read("pairs").select("source", "language", "split").collect(),
        export=export,
        report=report,
    )


def test_languages_scripts_and_sources(made: SimpleNamespace) -> None:
    languages = {row["language"] for row in made.pairs}
    assert len(languages) >= 12
    assert len({language.partition("_")[2] for language in languages}) >= 6
    assert made.sources == {each.name for each in load_recipe("demo-muri").recipe.sources}


def test_shares_of_every_source_and_language(made: SimpleNamespace) -> None:
    counts: defaultdict[Any, Counter[str]] = defaultdict(Counter)
    for row in made.pairs:
        counts[row["source"], row["language"]][row["split"]] += 1
    large = {name: each for name, each in counts.items() if each.total() >= 20}
    assert len(large) >= 10
    for name, each in large.items():
        for split, share in zip(SPLITS, SHARES, strict=True):
            assert abs(each[split] - share * each.total() / WHOLE) <= 1, (name, each)


def test_the_export_has_the_columns_of_muri_it_and_a_card(made: SimpleNamespace, tmp_path: Path) -> None:
    loaded = datasets.load_dataset(str(made.export), cache_dir=str(tmp_path))
    rows = [row for split in loaded.values() for row in split]
    assert all(list(split.features) == list(MURI_COLUMNS) for split in loaded.values())
    assert {row["dataset_name"] for row in rows} == {REVERSED, *DATASET_NAMES.values()}
    assert all(row["input"] and row["output"] and row["language_name"] for row in rows)
    card = hub.DatasetCard.load(made.export / "README.md")
    assert [each["config_name"] for each in card.data.configs][1:] == sorted({row["language"] for row in rows})


def test_the_report_opens_without_an_error(made: SimpleNamespace, browser: Browser) -> None:
    page = browser.new_context().new_page()
    errors = errors_of(page)
    page.goto(made.report.as_uri())
    assert page.locator("#summary .facts").inner_text()
    assert errors == []
    page.context.close()
