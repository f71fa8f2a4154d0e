"""What may be asked, and what is refused before a table is read."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.explore.cuts import (
    MAX_CUTS,
    Change,
    Cut,
    changed,
    cuts_of,
    depends_on_more,
    differences,
    flattened,
    made_with,
    parse_set,
    parse_sweep,
    recut_settings,
)
from jobs.runtime.errors import BackpromptError
from jobs.runtime.thresholds import SWITCHES, THRESHOLDS
from jobs.stages import STAGES
from jobs.stages.clean import CleanSettings


def refused(ask: Any, *arguments: Any) -> str:
    with pytest.raises(BackpromptError) as caught:
        ask(*arguments)
    return str(caught.value)


def test_a_value_is_written_as_in_a_recipe() -> None:
    assert parse_set("screen.max_hate_score=0.3") == Change("screen", "max_hate_score", 0.3)
    assert parse_set("screen.min_quality = null") == Change("screen", "min_quality", None)
    assert parse_set("translate.health.reject=[empty, copied]").value == ["empty", "copied"]
    scores = parse_set("clean.identifier.min_score_by_language={yor_Latn: 0.3}")
    assert (scores.setting, scores.value) == ("identifier.min_score_by_language", {"yor_Latn": 0.3})


def test_a_sweep_is_a_cut_for_each_value_on_top_of_what_is_set() -> None:
    fixed = parse_set("clean.min_chars=100")
    sweep = parse_sweep("screen.min_quality=0.5,0.6")
    assert [each.value for each in sweep] == [0.5, 0.6]
    assert cuts_of([fixed], [sweep]) == tuple(Cut((fixed, each)) for each in sweep)
    assert cuts_of([fixed], []) == (Cut((fixed,)),)
    assert cuts_of([], []) == ()
    assert [each.value for each in parse_sweep("translate.health.reject=[empty],[]")] == [["empty"], []]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max_hate_score=0.3", "write STAGE.SETTING=VALUE"),
        ("screen.max_hate_score", "write STAGE.SETTING=VALUE"),
        ("screen.max_hate_score=", "write STAGE.SETTING=VALUE"),
        ("screem.max_hate_score=0.3", "no stage 'screem'"),
        ("documents.seed=3", "no stage 'documents'"),
        ("screen.max_hat_score=0.3", "has no setting 'max_hat_score'. Of screen can be tried: "),
        ("clean.around_body=false", "decides what the stage writes"),
        ("screen.hate.model=x", "decides what the stage writes"),
        ("dedup.threshold=0.9", "only the similarity of those found is stored"),
        ("dedup.bins=64", "No setting of dedup can be tried"),
        ("pairs.x=1", "no setting 'x'"),
        ("screen.max_hate_score=[0.3", "not YAML"),
    ],
)
def test_what_cannot_be_tried_is_refused(text: str, told: str) -> None:
    assert told in refused(parse_set, text)


def test_a_setting_is_named_once_and_sweeps_are_bounded() -> None:
    one, sweep = parse_set("clean.min_chars=100"), parse_sweep("clean.min_chars=1,2")
    assert "given twice" in refused(cuts_of, [one, one], [])
    assert "given twice" in refused(cuts_of, [one], [sweep])
    many = parse_sweep("clean.min_chars=" + ",".join(map(str, range(MAX_CUTS + 1))))
    assert f"at most {MAX_CUTS}" in refused(cuts_of, [], [many])


@pytest.mark.parametrize(
    ("stage", "setting", "value", "told"),
    [
        ("screen", "max_hate_score", "much", "should be a valid number"),
        ("screen", "max_hate_score", 3, "less than or equal to 1"),
        ("screen", "min_quality", float("nan"), "finite"),
        ("clean", "min_chars", 0.5, "valid integer"),
        ("translate", "health.reject", ["emty"], "health.reject.0"),
        ("clean", "identifier.siblings", "match", "py3langid has no such setting"),
    ],
)
def test_a_value_that_the_setting_does_not_take_is_refused(stage: str, setting: str, value: Any, told: str) -> None:
    settings = STAGES[stage].settings()
    assert told in refused(changed, settings, stage, [Change(stage, setting, value)])


def test_a_changed_setting_is_the_only_one() -> None:
    for stage in STAGES:
        for setting in recut_settings(stage):
            if setting in (flat := flattened(settings := made_with(stage, {}))):
                assert changed(settings, stage, [Change(stage, setting, flat[setting])]) == settings
    other = changed(CleanSettings(), "clean", [Change("clean", "identifier.min_score", 0.5)])
    assert other == CleanSettings(identifier={"kind": "py3langid", "min_score": 0.5})


def test_the_settings_of_a_table_are_read_back_as_far_as_rules_read_them() -> None:
    made = CleanSettings(
        min_chars=7, identifier={"kind": "glotlid", "model": "m.bin", "min_score_by_language": {"yor_Latn": 0.1}}
    )
    stored = flattened(made) | {"version": 1, "prompt x.y": "0", "gone": 3}
    assert made_with("clean", stored) == made
    assert "does not know" in refused(made_with, "clean", {"min_chars": "few"})


def test_what_was_found_of_single_lines_is_not_stored() -> None:
    asked = [Change("clean", "identifier.min_score", 0.5)]
    assert depends_on_more(CleanSettings(), asked) == ""
    assert "identify_lines" in depends_on_more(CleanSettings(identify_lines=True), asked)
    assert depends_on_more(CleanSettings(identify_lines=True), [Change("clean", "min_chars", 5)]) == ""


def test_a_recipe_differs_in_what_can_be_tried_and_in_more() -> None:
    before = flattened(CleanSettings())
    changes, others = differences(before, before | {"min_chars": 5, "around_body": False, "version": 9}, "clean")
    assert changes == [Change("clean", "min_chars", 5)]
    assert others == ["around_body", "version"]
    surer = before | {"identifier.min_score": 0.99}
    assert differences(before, surer, "clean") == ([Change("clean", "identifier.min_score", 0.99)], [])
    other = {key: value for key, value in surer.items() if key != "identifier.min_score_of_candidates"}
    other |= {"identifier.kind": "glotlid", "identifier.siblings": "match", "min_chars": 5}
    changes, others = differences(before, other, "clean")
    assert changes == [Change("clean", "min_chars", 5)]
    assert "identifier.min_score" in others, "what another engine found is not stored"
    older = {key: value for key, value in before.items() if key != "min_chars"}
    assert differences(older, before, "clean") == ([], ["min_chars"])


def test_every_stage_with_rules_can_be_tried_by_every_threshold_it_has() -> None:
    listed = {each.stage for each in THRESHOLDS if each.is_recut} | {stage for stage, *_ in SWITCHES}
    assert listed == {name for name, stage in STAGES.items() if stage.rules is not None}
    for stage, setting, column, _ in SWITCHES:
        assert setting in recut_settings(stage)
        assert column in STAGES[stage].adds.fieldNames()
