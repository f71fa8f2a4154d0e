from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from udfs.splits import CYCLE, split_of


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_any_run_of_places_has_the_shares_within_one_row(start, length):
    counts = Counter(split_of(position) for position in range(length))
    for split, share in (("train", 0.9), ("validation", 0.05), ("test", 0.05)):
        assert abs(counts[split] - share * length) <= 1


def test_cycle_is_90_5_5():
    assert Counter(CYCLE) == {"train": 18, "validation": 1, "test": 1}
