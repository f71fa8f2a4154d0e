from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.sampling import position, shares

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


# Shares ----------------------------------------------------------------------------------------------------------

_sources = st.dictionaries(
    st.sampled_from("abcde"), st.tuples(st.integers(0, 60), st.sampled_from([0.1, 0.5, 1.0, 2.0, 3.7])), min_size=1
)


def dealt(available, weights, total):
    """The rule in words: one document after the other to the source whose next one stands first."""
    given_ = dict.fromkeys(available, 0)
    for _ in range(min(total, sum(available.values()))):
        left = [name for name in available if given_[name] < available[name]]
        given_[min(left, key=lambda name: ((given_[name] + 1) / weights[name], name))] += 1
    return given_


@given(_sources, st.integers(0, 400))
def test_shares_are_dealt_one_by_one(sources, total):
    available = {name: number for name, (number, _) in sources.items()}
    weights = {name: weight for name, (_, weight) in sources.items()}

    found = shares(available, weights, total)

    assert sum(found.values()) == min(total, sum(available.values()))
    assert all(found[name] <= available[name] for name in available)
    exact = dealt(available, weights, total)
    # Two sources may stand at the same place but for what a double cannot hold.
    assert all(abs(found[name] - exact[name]) <= 1 for name in available)


@given(_sources, st.integers(0, 400), st.integers(0, 50))
def test_a_larger_total_takes_from_no_source(sources, total, more):
    available = {name: number for name, (number, _) in sources.items()}
    weights = dict.fromkeys(available, 1.0)

    small, large = shares(available, weights, total), shares(available, weights, total + more)

    assert all(small[name] <= large[name] for name in available)


@given(_sources, st.integers(0, 400), st.integers(1, 50))
def test_a_source_that_grows_loses_nothing(sources, total, growth):
    available = {name: number for name, (number, _) in sources.items()}
    weights = dict.fromkeys(available, 1.0)
    name = min(available)

    before = shares(available, weights, total)
    after = shares(available | {name: available[name] + growth}, weights, total)

    assert after[name] >= before[name]
    assert all(after[other] <= before[other] for other in available if other != name)


def test_millions_are_shared_at_once():
    assert shares({"a": 10**9, "b": 10**9, "c": 7}, {"a": 3.0, "b": 1.0, "c": 9.0}, 4_000_007) == {
        "a": 3_000_000,
        "b": 1_000_000,
        "c": 7,
    }
