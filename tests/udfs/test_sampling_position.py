from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.sampling import position

SEEDS = st.integers(-(2**63), 2**63)


@pytest.mark.parametrize(
    ("doc_id", "seed", "expected"),
    [
        ("", 0, 0.04341421078100938),
        ("a", 0, 0.9342673977842337),
        ("a", 1, 0.6666373332821356),
        ("wikipedia\x1fca:1", 42, 0.3701749530247518),
    ],
)
def test_positions_never_change(doc_id, seed, expected):
    assert position(doc_id, seed) == expected


@given(st.text(), SEEDS)
def test_position_is_a_fraction_of_52_bits(doc_id, seed):
    found = position(doc_id, seed)

    assert 0 <= found < 1
    assert (found * 2**52).is_integer()


@given(st.sets(st.text(), max_size=50), SEEDS, st.floats(0, 1), st.floats(0, 1))
def test_larger_rate_takes_a_superset(doc_ids, seed, one, other):
    low, high = sorted((one, other))

    assert {each for each in doc_ids if position(each, seed) < low} <= {
        each for each in doc_ids if position(each, seed) < high
    }


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 0.9])
def test_share_taken_is_the_rate(rate):
    ids = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(20_000)]

    taken = sum(position(doc_id, 7) < rate for doc_id in ids)

    # Five standard deviations of a binomial.
    assert abs(taken - rate * len(ids)) < 5 * (len(ids) * rate * (1 - rate)) ** 0.5
