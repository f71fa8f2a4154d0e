"""Is it an instruction? On real instructions and on real sentences, headings and titles."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.runtime.conf import screening_lists
from jobs.stages.screen import ScreenSettings
from udfs.generators import template
from udfs.screening.instructions import SCORES, compiled, ends_as_question
from udfs.screening.lists import InstructionWords

SAMPLES = Path(__file__).parents[2] / "data" / "screening" / "instructions.tsv"
LIMIT = ScreenSettings().min_instruction_score
RULE = compiled(screening_lists().words)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("What are the main components of Apache Kafka?", "question"),
        ("How do I make a sourdough starter from scratch?", "question"),
        ("Explain the concept of heterotopia as described by Michel Foucault.", "imperative"),
        ("Please describe the pottery of the region.", "imperative"),
        ("Carefully read it. Then list three ideas.", "imperative"),
        ("Name two rivers of Georgia.", "imperative"),
        ("As a pirate captain, write a speech to your crew.", "imperative"),
        ("Do not explain it, show it.", "imperative"),
        ('Outline "The Name of the Rose".', "imperative"),
        ("You have to describe the shamisen.", "request"),
        ('I want to read a journalistic text with this title: "Floods in Porto".', "request"),
        ("Could you explain how tides work", "request"),
        ("In this task, you are given a country name.", "task"),
        ("how to bake bread without yeast", "unmarked_question"),
        ("What is the capital of Georgia", "unmarked_question"),
        ("who's the author of Tirant lo Blanc", "unmarked_question"),
        ("bread recipe without yeast", "fragment"),
        ("Name of the rose", "fragment"),
        ("Design features of Gothic churches", "fragment"),
        ("Report of the Commission", "fragment"),
        ("The history of the Catalan language", "fragment"),
        ("", "fragment"),
        ("Share prices fell here early Monday.", "statement"),
        ("Write is a river in Russia.", "statement"),
        ("I want to thank the committee for its work.", "statement"),
        ("What he did was wrong.", "statement"),
        ("In 1990, was named the best museum of the country", "statement"),
        ("The town council voted to close the road.", "statement"),
    ],
)
def test_form(text, form):
    assert RULE.form(text) == (form, SCORES[form])


def test_a_statement_may_lead_to_the_question():
    assert RULE.form("I am planning a trip to Seattle. Can you make a plan for me?") == ("question", 0.8)
    assert RULE.form("The train was late. Nobody knew why.") == ("statement", 0.0)


def test_wordings_of_the_template_engine_are_instructions():
    groups = [
        template._BIOGRAPHY,
        template._WHO,
        template._DESCRIPTION,
        template._TITLED,
        *template._OF_SOURCE.values(),
    ]
    wordings = [wording.format(topic="Lake Titicaca", verb="was") for group in groups for wording, _ in group]
    assert len(wordings) > 20
    assert [wording for wording in wordings if RULE.form(wording)[1] < 1] == []


def test_real_instructions_and_real_sentences(capsys):
    counts = Counter()
    with SAMPLES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            counts[row["part"], row["is_instruction"] == "1", RULE.form(row["text"])[1] >= LIMIT] += 1
    right, wrong, missed = (counts["held_out", *each] for each in ((True, True), (False, True), (True, False)))
    with capsys.disabled():
        print(f"\nheld-out: precision {right / (right + wrong):.3f}, recall {right / (right + missed):.3f}; {counts}")
    assert right + missed > 70
    assert right / (right + wrong) >= 0.96
    assert right / (right + missed) >= 0.96
    assert counts["held_out", False, False] > 400
    assert counts["tuned", True, True] >= 0.98 * (counts["tuned", True, True] + counts["tuned", True, False])


@given(st.text(max_size=80))
def test_score_is_that_of_a_form(text):
    form, score = RULE.form(text)
    assert score in (SCORES[form], 0.8)
    assert 0 <= score <= 1


@given(st.text(alphabet="abc ,.", max_size=40))
def test_a_question_mark_makes_a_question(text):
    assert RULE.form(text.replace(".", ",") + "x?") == ("question", 1.0)


def test_question_marks_of_the_world():
    assert all(map(ends_as_question, ["Qui?", "谁？", "من هو؟", "Ո՞վ է սա՞ ՞", '"Why?"', "为什么？」"]))
    assert not any(map(ends_as_question, ["", "Qui.", "Why? Because."]))


def test_without_lists_nothing_is_an_imperative():
    assert compiled(InstructionWords()).form("Describe it.") == ("statement", 0.0)
