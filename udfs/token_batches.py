"""Packing of sequences into batches of like length, by the tokens that a padded batch holds."""

from __future__ import annotations

from collections.abc import Sequence


def pack(lengths: Sequence[int], max_tokens: int, max_rows: int) -> list[list[int]]:
    """Return batches of indices in which rows times the longest row is at most ``max_tokens``.

    Longest first: the batch that needs the most memory then comes first, and not after hours of work.

    Args:
        lengths: tokens of each sequence, >= 0.
        max_tokens: budget of a batch, padding included, >= 1. A sequence above it is a batch of its own.
        max_rows: most sequences of a batch, >= 1.

    Returns:
        Batches, each index in exactly one; equal lengths keep their order.

    Raises:
        ValueError: if a limit is below one.

    >>> pack([3, 9, 4, 100], max_tokens=12, max_rows=8)
    [[3], [1], [2, 0]]
    """
    if max_tokens < 1 or max_rows < 1:
        raise ValueError(f"limits of a batch must be at least 1, not {max_tokens} tokens and {max_rows} rows")
    batches: list[list[int]] = []
    room = 0
    for index in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        if not room:
            batches.append([])
            room = min(max_rows, max(1, max_tokens // max(1, lengths[index])))
        batches[-1].append(index)
        room -= 1
    return batches
