"""Which split a pair falls into: 90 % train, 5 % validation, 5 % test within one row, at every length."""

from __future__ import annotations

from typing import Final

# Twenty positions: 18 train, one validation, one test, the two as far apart as can be, so that any run of them has
# the shares within one row.
CYCLE: Final = ("train",) * 4 + ("validation",) + ("train",) * 9 + ("test",) + ("train",) * 5


def split_of(position: int) -> str:
    """Return the split of the pair at ``position`` (0, 1, ...) in the order of its source and language."""
    return CYCLE[position % len(CYCLE)]
