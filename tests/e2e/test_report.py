"""`backprompt report` over the demo's lake, opened in a browser; and over lakes that lack things."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import Browser

from jobs.__main__ import main
from jobs.commands.report import Options as ReportOptions
from jobs.commands.report import gather
from jobs.report.page import render
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.schema import PAIRS, REVIEWS, REVIEWS_TABLE, RUNS
from tests.browser import errors_of
from tests.jobs.export.lakes import RUN, make_lake
from tests.jobs.runtime.test_spending import recipe as priced


def test_the_report_of_the_demo_opens_in_a_browser(
    finished: SimpleNamespace,
    browser: Browser,
    tmp_path: Path,
) -> None:
    output = tmp_path / "report.html"
    assert main(["report", "--lake", str(finished.path), "--output", str(output), "--samples", "1"]) == 0
    page = browser.new_context(viewport={"width": 360, "height": 740}).new_page()
    errors, asked = errors_of(page), []  # type: tuple[list[str], list[str]]
    page.on("request", lambda each: asked.append(each.url))
    page.goto(output.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert errors == []
    assert [url for url in asked if not url.startswith("data:")] == [output.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    pairs = finished.lake.read("pairs", PAIRS)
    counts = {row["language"]: row["count"] for row in pairs.groupBy("language").count().collect()}
    for language in counts:
        assert page.locator("#samples details.group summary").filter(has_text=language).count() == 1
    assert f"{sum(counts.values()):,}" in page.locator("#summary .facts").inner_text()
    reasons = page.locator("#rejections details.group > summary").all_inner_texts()
    assert any(text.startswith("translate.unsupported_language") for text in reasons)
    assert page.locator("#duplicates .empty").count() == 0
    assert page.locator("#review .empty").count() == 1
    page.context.close()


def test_a_lake_without_pairs_and_runs_still_gives_a_report_with_what_reviewers_said(
    spark: Any, finished: SimpleNamespace, tmp_path: Path
) -> None:
    for name in ("documents", "clean"):
        shutil.copytree(finished.path / name, tmp_path / "lake" / name)
    lake = Lake(spark, str(tmp_path / "lake"))
    lake.ensure(REVIEWS_TABLE, REVIEWS, {}, partition_by=())
    constant = {"kind": "muri", "language": "spa_Latn", "source": "wikipedia", "shown_hash": "h", "seed": 0,
                "guideline_hash": "g", "saved_at": datetime(2024, 1, 1, tzinfo=UTC)}  # fmt: skip
    made = [
        {**constant, "reviewer": reviewer, "pair_id": pair, "marks": {"alignment": mark, "charm": 1}}
        for reviewer in ("Ada", "Ben")
        for pair, mark in (("p", 1), ("q", 2))
    ]
    rows = [tuple(each.get(name) for name in REVIEWS.fieldNames()) for each in made]
    lake.append(spark.createDataFrame(rows, REVIEWS), REVIEWS_TABLE, "test", 0)
    data = gather(lake, ReportOptions(samples=1))
    assert (data.pairs.count, data.pair_samples, data.efforts, data.clusters) == (0, [], (), {})
    assert {each.stage for each in data.scores} == {"clean"}
    assert any(each.kept for each in data.scores)
    figures, alphas, unknown = data.reviews
    assert figures.rows[0] == ["Spanish (spa_Latn)", "1.50", "2", "2"]
    assert alphas.rows[0] == ["Spanish (spa_Latn)", "1.00", "2", "2"]
    assert unknown.rows == [("muri.charm",)]


def test_cost_is_that_of_the_tables_as_they_are_in_its_currency(spark: Any, tmp_path: Path) -> None:
    lake = make_lake(spark, tmp_path / "lake", [])
    recipe = priced(instruct=", rates: {price_per_million_prompt_tokens: 3, currency: EUR}")
    batches = [
        {**RUN, "stage": "instruct", "generation": generation, "prompt_tokens": tokens}
        for generation, tokens in ((0, 7_000_000), (1, 2_000_000))
    ]
    rows = [tuple(each[name] for name in RUNS.fieldNames()) for each in (RUN, *batches)]
    lake.append(spark.createDataFrame(rows, RUNS), "runs", "test", 0)

    with pytest.raises(BackpromptError, match=r"--recipe priced.yaml is the recipe priced, and the tables .* by small"):
        gather(lake, ReportOptions(recipe=recipe))
    recipe.name = "small"
    data = gather(lake, ReportOptions(samples=1, recipe=recipe))
    assert [(each.stage, each.cost) for each in data.efforts] == [("documents", None), ("instruct", 6.0)]
    assert "cost, EUR" in render(data)


def test_what_cannot_be_is_said(finished: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    for lake, output, message in (
        (tmp_path / "empty", tmp_path / "a.html", "has no table documents"),
        (tmp_path / "none", tmp_path / "a.html", "There is no lake"),
        (finished.path, tmp_path, "name a file in a folder that is there"),
        (finished.path, tmp_path / "no" / "a.html", "name a file in a folder that is there"),
    ):
        assert main(["report", "--lake", str(lake), "--output", str(output)]) == 2
        assert message in capsys.readouterr().err
    assert main(["report", "--lake", str(finished.path), "--output", str(tmp_path / "a.html"), "--parser", "nope"]) == 2
    assert "nope" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.html"))
