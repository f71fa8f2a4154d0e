"""Alpha of the worked examples in Krippendorff (2011), Computing Krippendorff's Alpha-Reliability."""

from collections import Counter

import pytest

from jobs.review.agreement import agreement

# Section C and D: four observers, twelve units, five values, missing marks.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
# Section A: two observers, ten units, two values.
BINARY = [[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]


def units(observers):
    columns = zip(*observers, strict=True)
    return Counter(tuple(sorted(mark for mark in marks if mark is not None)) for marks in columns)


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_that_of_the_published_example(level, alpha):
    found = agreement(units(OBSERVERS), (1, 2, 3, 4, 5), level)
    assert found.alpha == pytest.approx(alpha, abs=0.0005)
    assert found.reason == ""


def test_alpha_is_that_of_the_published_example_of_two_values():
    assert agreement(units(BINARY), (0, 1), "nominal").alpha == pytest.approx(0.095, abs=0.0005)


def test_values_that_nobody_gave_do_not_matter():
    wide = agreement(units(OBSERVERS), tuple(range(-3, 9)), "ordinal")
    assert wide.alpha == pytest.approx(0.815, abs=0.0005)


@pytest.mark.parametrize(
    ("marks", "reason"),
    [
        ({(3,): 20, (4,): 10}, "not defined: no pair was marked by two reviewers"),
        ({}, "not defined: no pair was marked by two reviewers"),
        ({(5, 5): 30, (1,): 2}, "not defined: all marks are the same"),
    ],
)
def test_where_alpha_is_not_defined_it_is_said_why(marks, reason):
    found = agreement(marks, (1, 2, 3, 4, 5), "ordinal")
    assert (found.alpha, found.reason) == (None, reason)
