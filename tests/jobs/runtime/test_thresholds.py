"""Every threshold names columns, a setting and a reason that are there."""

from __future__ import annotations

import pytest

from jobs.runtime.recipe import flatten
from jobs.runtime.schema import record
from jobs.runtime.thresholds import SCORES, SWITCHES, THRESHOLDS, Threshold, of_stage
from jobs.stages import STAGES
from udfs.settings import Settings


def setting_names(model: type[Settings], prefix: str = "") -> set[str]:
    names: set[str] = set()
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Settings):
            names |= setting_names(kind, f"{prefix}{name}.")
        else:
            names.add(prefix + name)
    return names


@pytest.mark.parametrize("each", THRESHOLDS, ids=lambda each: f"{each.stage}-{each.setting}-{each.score}")
def test_a_threshold_names_what_is_there(each: Threshold) -> None:
    stage = STAGES[each.stage]
    before = list(STAGES)[: list(STAGES).index(each.stage) + 1]
    columns = set(record(STAGES[name].adds for name in before).fieldNames())
    assert each.columns
    assert each.columns <= columns
    assert each.setting in setting_names(stage.settings)
    assert each.asked_by is None or each.asked_by[0] in setting_names(stage.settings)
    assert each.reason.value.startswith(f"{each.stage}.")
    assert each.low < each.high
    assert each.scale == "linear" or each.low > 0


NO_LIMITS = {
    *("max_files_per_batch", "max_failure_rate", "max_driver_links", "max_looked_up", "max_ngrams"),
    # What is looked at, and what counts as found in it.
    *("min_repeated_line_chars", "min_documents", "min_unit_chars", "min_given_chars"),
    *("min_words", "min_found_words", "max_items_per_ngram"),
}
"""Settings with a name as of a limit that bound no stored score."""


@pytest.mark.parametrize("stage", STAGES)
def test_every_number_that_bounds_a_stored_score_is_listed(stage: str) -> None:
    names = setting_names(STAGES[stage].settings) - NO_LIMITS
    bounds = {name for name in names if name.rpartition(".")[2].startswith(("min_", "max_"))}
    bounds -= {setting for name, setting, *_ in SWITCHES if name == stage}
    assert {each.setting for each in of_stage(stage)} - {"threshold"} == bounds


def test_scores_without_one_limit_are_columns() -> None:
    for stage, column, _ in SCORES:
        assert column in STAGES[stage].adds.fieldNames()


def test_the_limit_is_that_of_the_settings() -> None:
    hate = next(each for each in THRESHOLDS if each.setting == "max_hate_score")
    assert hate.limit({"max_hate_score": 0.3}) == 0.3
    assert hate.limit({}) is None
    ratio = next(each for each in THRESHOLDS if each.setting == "health.min_length_ratio")
    assert ratio.limit({"health.min_length_ratio": 0.2, "health.reject": ["empty"]}) is None
    assert ratio.limit({"health.min_length_ratio": 0.2, "health.reject": ["length_ratio"]}) == 0.2
    assert "min_chars" in flatten(STAGES["clean"].settings().decisive())
