"""What the report shows of other thresholds; no Spark."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.__main__ import main
from jobs.commands import report
from jobs.explore.cuts import Change, Cut
from jobs.explore.data import CutResult, Exploration, SampleRow, StageChange
from jobs.report.data import ReportData
from jobs.report.sections import Samples, _other_thresholds
from jobs.runtime.conf import language_table

CUT = Cut((Change("screen", "max_hate_score", 0.3),))
LOST = SampleRow(
    "17", "arb_Arab", "own", ["screen.hate"], {"max_hate_score": 0.4}, {"instruction_en": "Say it.", "text": "نص" * 350}
)


def exploration() -> Exploration:
    change = StageChange(
        "screen", {"max_hate_score": (0.5, 0.3)}, rows=9, alive=8, rejected=1, gained=0, lost=1, still_rejected=0,
        gained_by_reason={}, lost_by_reason={"screen.hate": 1}, missing={}, differing=0, cells=[],
        gained_sample=[], lost_sample=[LOST],
    )  # fmt: skip
    return Exploration("lake", "own", 0, [CutResult(str(CUT), [change], 8, 1, [])], [None], [])


def test_rows_that_change_sides_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def explored(lake: Any, cuts: Any, recipe: Any, sample: int, seed: int, translators: Any) -> Exploration:
        asked.update(recipe=recipe, sample=sample, translators=translators)
        return exploration()

    monkeypatch.setattr(report.explore, "explore", explored)
    recipe: Any = object()
    options = report.Options(samples=2, cuts=(CUT,), recipe=recipe)
    tables, samples = report._other_thresholds(None, options, "eng_Latn", print)  # type: ignore[arg-type]
    assert asked == {"recipe": None, "sample": 2, "translators": recipe}, "what the recipe changes beside is not asked"
    assert [table.title for table in tables] == ["By threshold", "By language and source"]
    (sample,) = samples
    assert sample.texts == [
        ("instruction in the pivot language", "Say it.", "eng_Latn", False),
        ("text", "نص" * 350, "arb_Arab", True),
    ]
    assert ("max_hate_score", "0.400") in sample.facts
    data = ReportData("lake", "own", "now", 0, language_table(), other_thresholds=tables, changed_samples=samples)
    (block,) = (each for each in _other_thresholds(data) if isinstance(each, Samples))
    assert block.heading == "screen.max_hate_score=0.3: rows lost at screen"


def test_the_command_hands_the_recipe_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[report.Options] = []
    monkeypatch.setattr("jobs.__main__._lake", lambda *_: None)
    monkeypatch.setattr(report, "write_report", lambda _lake, _output, options, _out: given.append(options))
    named = ["--lake", "x", "--output", "x.html", "--recipe", "demo"]
    assert main(["report", *named, "--set", "screen.identifier.min_score=0.3"]) == 0
    (options,) = given
    assert options.recipe is not None
    assert options.recipe.name == "demo"
