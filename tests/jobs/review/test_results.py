import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from jobs.commands import review
from jobs.review.results import Result, Summary, summary
from jobs.runtime.schema import REVIEWS
from tests.jobs.review.test_agreement import OBSERVERS

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def reviews_of(spark):
    def make(rows):
        filled = []
        for place, row in enumerate(rows):
            values = {
                "kind": "muri",
                "language": "spa_Latn",
                "source": "wikipedia",
                "shown_hash": "h",
                "seed": 0,
                "guideline_hash": "g",
                "saved_at": START + timedelta(seconds=place),
                **row,
            }
            filled.append(tuple(values.get(name) for name in REVIEWS.fieldNames()))
        return spark.createDataFrame(filled, REVIEWS)

    return make


def rows_of(observers, criterion, **values):
    return [
        {
            "reviewer": f"r{number}",
            "pair_id": f"p{place}{values.get('language', '')}",
            "marks": {criterion: mark},
            **values,
        }
        for number, marks in enumerate(observers)
        for place, mark in enumerate(marks)
        if mark is not None
    ]


def by_name(found):
    return {(each.kind, each.language, each.criterion): each for each in found.results}


def test_averages_shares_and_alpha(reviews_of):
    rows = rows_of(OBSERVERS, "alignment") + rows_of([[1, 1, 0, 1]], "instruction_format", language="cat_Latn")
    rows += rows_of([[5, 5]], "alignment", language="glg_Latn")
    # What was said first does not count, nor does it matter in which order rows come.
    changed = {"reviewer": "r0", "pair_id": "p0", "marks": {"alignment": 5}, "saved_at": START - timedelta(days=1)}
    found = by_name(summary(reviews_of([*rows, changed]).repartition(3)))
    spanish = found["muri", "spa_Latn", "alignment"]
    marks = [mark for observer in OBSERVERS for mark in observer if mark is not None]
    assert (spanish.pairs, spanish.reviewers, spanish.marks) == (12, 4, len(marks))
    assert spanish.mean == pytest.approx(sum(marks) / len(marks))
    assert spanish.shares[3] == pytest.approx(marks.count(3) / len(marks))
    assert spanish.alpha == pytest.approx(0.815, abs=0.0005)
    average = found["muri", "average", "alignment"]
    assert average.mean == pytest.approx((sum(marks) / len(marks) + 5) / 2)  # each language counts the same
    assert (average.pairs, average.reviewers) == (14, 4)
    catalan = found["muri", "cat_Latn", "instruction_format"]
    assert (catalan.shares[0], catalan.mean) == (0.25, 0.75)
    assert (catalan.alpha, catalan.alpha_reason) == (None, "not defined: one reviewer alone")


def test_figures_are_those_of_the_papers_tables(reviews_of):
    rows = rows_of([[1, 1, 0, -1], [1, 0, 0, -1]], "preference", kind="compare", compared_with="lake2")
    rows += rows_of([[1, 1, 1, 0]], "valid_task", kind="quality")
    rows += rows_of([[1, 0, 0, 0]], "acceptable_output", kind="quality")
    # The two questions about one pair come in one row.
    merged = {}
    for row in rows:
        key = row["kind"], row["reviewer"], row["pair_id"]
        merged.setdefault(key, {**row, "marks": {}})["marks"].update(row["marks"])
    found = summary(reviews_of(list(merged.values())))
    figures = {(row["kind"], row["language"]): row["figures"] for row in found.figures()}
    assert figures["quality", "spa_Latn"] == {"Valid tasks": 0.75, "Acceptable outputs": 0.25}
    assert figures["compare", "spa_Latn"] == {"Wins": 3 / 8, "Ties": 3 / 8, "Losses": 2 / 8}
    out = io.StringIO()
    review.print_results(Console(file=out, width=120), found)
    text = out.getvalue()
    for part in ("compare, compared with lake2", "Wins", "0.38", "Krippendorff's alpha", "one reviewer alone"):
        assert part in text
    as_json = json.loads(review.as_json(found))
    assert as_json["results"][0]["shares"] == {"0": 0.25, "1": 0.75}


def test_texts_that_changed_are_other_pairs(reviews_of):
    rows = [{"reviewer": "r0", "pair_id": "p", "shown_hash": text, "marks": {"alignment": 2}} for text in ("a", "b")]
    assert by_name(summary(reviews_of(rows)))["muri", "spa_Latn", "alignment"].pairs == 2


def test_what_is_not_known_is_left_out_and_named(reviews_of):
    rows = rows_of([[1]], "charm") + rows_of([[9]], "alignment", kind="muri", language="cat_Latn")
    found = summary(reviews_of([*rows, {**rows_of([[1]], "x", kind="new")[0]}]))
    assert found.results == ()
    assert found.unknown == ("muri.alignment: a value outside of the scale", "muri.charm", "new.x")


def test_languages_without_agreement_are_listed_by_reason():
    alone, same = "not defined: one reviewer alone", "not defined: all marks are the same"
    made = [
        ("cat_Latn", "alignment", alone), ("cat_Latn", "output_correctness", alone),
        ("glg_Latn", "alignment", alone), ("glg_Latn", "output_correctness", alone),
        ("spa_Latn", "alignment", ""), ("spa_Latn", "output_correctness", same),
    ]  # fmt: skip
    results = tuple(
        Result("muri", None, language, criterion, 2, 2, 4, 1.5, {1: 0.5, 2: 0.5}, None if reason else 0.5, reason)
        for language, criterion, reason in made
    )
    figures, alphas = Summary(results).tables(str.upper)
    assert [row[0] for row in figures.rows] == ["CAT_LATN", "GLG_LATN", "SPA_LATN"]
    assert alphas.notes == [
        "Not defined: all marks are the same: SPA_LATN (output correctness).",
        "Not defined: one reviewer alone: CAT_LATN, GLG_LATN.",
    ]


def test_no_reviews_give_no_results(reviews_of):
    assert summary(reviews_of([])).results == ()
