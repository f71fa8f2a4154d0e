"""Packing: every sequence once, no batch above its budget, none that could have been left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.token_batches import pack

LENGTHS = st.lists(st.integers(0, 300), max_size=60)


@given(LENGTHS, st.integers(1, 500), st.integers(1, 20))
def test_within_the_budget_and_complete(lengths, max_tokens, max_rows):
    batches = pack(lengths, max_tokens, max_rows)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or (len(batch) * longest <= max_tokens and len(batch) <= max_rows)
    in_order = [lengths[index] for batch in batches for index in batch]
    assert in_order == sorted(lengths, reverse=True)


@given(LENGTHS, st.integers(1, 500), st.integers(1, 20))
def test_a_batch_is_filled_before_the_next_begins(lengths, max_tokens, max_rows):
    batches = pack(lengths, max_tokens, max_rows)
    for batch in batches[:-1]:
        longest = max(1, lengths[batch[0]])
        assert len(batch) == max_rows or (len(batch) + 1) * longest > max_tokens


def test_equal_lengths_keep_their_order():
    assert pack([5, 5, 5, 5], max_tokens=10, max_rows=9) == [[0, 1], [2, 3]]


def test_one_above_the_budget_is_alone():
    assert pack([3, 50, 3], max_tokens=6, max_rows=9) == [[1], [0, 2]]


@pytest.mark.parametrize(("tokens", "rows"), [(0, 1), (1, 0)])
def test_senseless_limits(tokens, rows):
    with pytest.raises(ValueError, match="at least 1"):
        pack([1], tokens, rows)
