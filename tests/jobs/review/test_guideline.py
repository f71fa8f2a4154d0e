import shutil

import pytest

from jobs.review.guideline import KINDS, load_guideline, load_texts
from jobs.runtime.conf import conf_root
from jobs.runtime.errors import BackpromptError


@pytest.fixture
def translated(tmp_path):
    shutil.copy(conf_root() / "review" / "quality.yaml", tmp_path)
    return tmp_path


def change(folder, old, new, name="quality.yaml"):
    text = (folder / name).read_text("utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new), "utf-8")


def test_the_criteria_and_scales_are_those_of_the_papers():
    likert = [1, 2, 3, 4, 5]
    assert load_guideline("muri").skeleton() == [
        "muri",
        ("alignment", "ordinal", likert, [None]),
        ("instruction_format", "nominal", [0, 1], [0]),
        ("instruction_correctness", "ordinal", likert, [None]),
        ("output_correctness", "ordinal", likert, [None]),
        ("informational_sufficiency", "ordinal", likert, [None]),
    ]
    assert [each.name for each in load_guideline("quality").criteria] == ["valid_task", "acceptable_output"]
    assert load_guideline("compare").criteria[0].values == (-1, 0, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_point_can_be_marked_by_one_key(kind):
    for criterion in load_guideline(kind).criteria:
        assert len(set(criterion.values)) == len(criterion.points) <= 9
        for figure in criterion.figures:
            assert figure.share_of in (None, *criterion.values)


def test_a_translation_changes_the_words_alone(translated):
    change(translated, "Is the instruction a task that makes sense?", "És una tasca amb sentit?")
    (translated / "page.yaml").write_text("next: Següent\nrow: 'Parell {row} de {rows}'\n", "utf-8")
    texts = load_texts("quality", translated)
    assert texts.guideline.criteria[0].question == "És una tasca amb sentit?"
    assert texts.guideline.skeleton() == load_guideline("quality").skeleton()
    assert (texts.page["next"], texts.page["previous"]) == ("Següent", "Previous")
    assert texts.guideline_hash != load_texts("quality").guideline_hash


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("value: 1", "value: 2", "is no translation of conf/review/quality.yaml"),
        ("name: valid_task", "name: other", "'other'"),
        ("level: nominal", "level: wordy", "criteria.0.level"),
        ("criteria:", "questions:", "criteria: Field required"),
        ("title: Are", "title: [Are", "quality.yaml is not YAML"),
    ],
)
def test_what_is_no_translation_is_refused(translated, old, new, says):
    change(translated, old, new)
    with pytest.raises(BackpromptError) as caught:
        load_texts("quality", translated)
    assert str(translated / "quality.yaml") in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(("text", "says"), [("nest: x", "nest is not known"), ("row: '{pair}'", "in braces may stand")])
def test_unknown_words_of_the_page_are_refused(tmp_path, text, says):
    (tmp_path / "page.yaml").write_text(text, "utf-8")
    with pytest.raises(BackpromptError, match=says):
        load_texts("muri", tmp_path)


def test_a_folder_without_translations_is_refused(tmp_path):
    with pytest.raises(BackpromptError, match=r"there is no muri.yaml and no page.yaml in it"):
        load_texts("muri", tmp_path)
