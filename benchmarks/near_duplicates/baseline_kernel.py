"""Compiled kernels of the baseline: UTF-8 bytes to a densified one-permutation MinHash, and what follows from it.

One-permutation hashing: Li, Owen and Zhang 2012; optimal densification: Shrivastava 2017.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

EMPTY = np.uint32(0xFFFFFFFF)
GAP = np.uint32(32)
U = np.uint64
BASE, SPREAD, SEED = U(0x9E3779B97F4A7C15), U(0xD6E8FEB86659FD93), U(0xA0761D6478BD642F)


@nb.njit(inline="always")
def _mix(x: Any) -> Any:
    x ^= x >> U(32)
    x *= SPREAD
    x ^= x >> U(32)
    x *= SPREAD
    return x ^ (x >> U(32))


@nb.njit(cache=True, nogil=True)
def sketch(data: Any, offsets: Any, table: Any, size: Any, least: Any, content: Any) -> None:
    """Fill the bins of each text, and a hash of the whole folded text.

    Args:
        data: UTF-8 bytes, uint8.
        offsets: of the texts in ``data``, int64, shape (n + 1,).
        table: what each code point of the BMP folds to, uint32; 0 is dropped, 32 is a gap.
        size: characters in a shingle.
        least: result, uint32, shape (n, bins), bins a power of two.
        content: result, uint64, shape (n,).
    """
    shift, bins = U(64), least.shape[1]
    while bins > 1:
        shift -= U(1)
        bins >>= 1
    drop = U(1)
    for _ in range(size):
        drop *= BASE
    ring = np.zeros(size, np.uint64)
    for doc in range(len(offsets) - 1):
        row = least[doc]
        row[:] = EMPTY
        i, end = offsets[doc], offsets[doc + 1]
        rolling, whole, seen, at, gap = U(0), U(0), 0, 0, False
        ring[:] = U(0)
        while i < end:
            code, i = _decode(data, i)
            if code < np.uint32(0x10000):
                code = table[code]
            if code == np.uint32(0):
                continue
            if code == GAP:
                gap = seen > 0
                continue
            for _ in range(2 if gap else 1):
                char = U(GAP if gap else code) * SPREAD + U(1)
                gap = False
                rolling = rolling * BASE + char - ring[at] * drop
                ring[at] = char
                at = at + 1 if at + 1 < size else 0
                whole = (whole ^ char) * SEED
                whole ^= whole >> U(29)
                seen += 1
                if seen >= size:
                    x = _mix(rolling)
                    value, b = np.uint32(x), x >> shift
                    if value < row[b]:
                        row[b] = value
        if 0 < seen < size:
            x = _mix(rolling ^ SEED)
            row[x >> shift] = np.uint32(x)
        content[doc] = _mix(whole ^ U(seen))


@nb.njit(inline="always")
def _decode(data: Any, i: Any) -> Any:
    six = np.uint32(63)
    byte = np.uint32(data[i])
    if byte < 0x80:
        return byte, i + 1
    if byte < 0xE0:
        return (byte & np.uint32(31)) << np.uint32(6) | np.uint32(data[i + 1]) & six, i + 2
    low = np.uint32(data[i + 2]) & six
    if byte < 0xF0:
        return (byte & np.uint32(15)) << np.uint32(12) | (np.uint32(data[i + 1]) & six) << np.uint32(6) | low, i + 3
    high = (byte & np.uint32(7)) << np.uint32(18) | (np.uint32(data[i + 1]) & six) << np.uint32(12)
    return high | low << np.uint32(6) | np.uint32(data[i + 3]) & six, i + 4


@nb.njit(cache=True, nogil=True)
def densify(least: Any) -> None:
    """Fill each empty bin from a full one, drawn by the bin's own sequence; a text without shingles stays empty."""
    bins = least.shape[1]
    mask = U(bins - 1)
    original = np.empty(bins, np.uint32)
    for doc in range(least.shape[0]):
        row = least[doc]
        filled = 0
        for b in range(bins):
            original[b] = row[b]
            filled += row[b] != EMPTY
        if filled == 0 or filled == bins:
            continue
        for b in range(bins):
            if original[b] == EMPTY:
                attempt = U(1)
                j = _mix(U(b) * BASE + attempt * SEED) & mask
                while original[j] == EMPTY:
                    attempt += U(1)
                    j = _mix(U(b) * BASE + attempt * SEED) & mask
                row[b] = original[j]


@nb.njit(cache=True, nogil=True)
def band_keys(least: Any, rows: Any, keys: Any) -> None:
    """Hash ``rows`` bins at a time to the keys, int64, shape (n, bands)."""
    for doc in range(keys.shape[0]):
        for band in range(keys.shape[1]):
            h = U(band + 1) * SEED
            for k in range(band * rows, band * rows + rows):
                h = _mix(h ^ U(least[doc, k])) * BASE
            keys[doc, band] = np.int64(h)


@nb.njit(cache=True, nogil=True)
def components(a: Any, b: Any, size: Any) -> Any:
    """Label each of ``size`` nodes with the smallest one that the edges connect it to."""
    parent = np.arange(size)
    for i in range(len(a)):
        x, y = a[i], b[i]
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        while parent[y] != y:
            parent[y] = parent[parent[y]]
            y = parent[y]
        if x < y:
            parent[y] = x
        elif y < x:
            parent[x] = y
    for i in range(size):
        x = i
        while parent[x] != x:
            x = parent[x]
        parent[i] = x
    return parent


@nb.njit(cache=True, nogil=True)
def agreement(a: Any, b: Any, signatures: Any) -> Any:
    """Count the equal bytes of the signatures of each pair (a[i], b[i])."""
    same = np.zeros(len(a), np.int64)
    for i in range(len(a)):
        for k in range(signatures.shape[1]):
            same[i] += signatures[a[i], k] == signatures[b[i], k]
    return same


@nb.njit(cache=True, nogil=True)
def survivors(starts: Any, signatures: Any, need: Any) -> Any:
    """Keep, in each group ``starts[g]:starts[g + 1]``, the rows that share under ``need`` bytes with those kept."""
    kept = np.zeros(signatures.shape[0], np.bool_)
    for g in range(len(starts) - 1):
        for i in range(starts[g], starts[g + 1]):
            is_alone = True
            for j in range(starts[g], i):
                if kept[j]:
                    same = 0
                    for k in range(signatures.shape[1]):
                        same += signatures[i, k] == signatures[j, k]
                    if same >= need:
                        is_alone = False
                        break
            kept[i] = is_alone
    return kept


def choose_bands(threshold: float, bins: int, miss_weight: float) -> tuple[int, int]:
    """Return the bands and rows with the least weighted area of false and of missed candidates."""
    s = (np.arange(2000) + 0.5) / 2000
    best = (np.inf, 1, 1)
    for rows in range(1, bins + 1):
        bands = bins // rows
        hit = 1 - (1 - s**rows) ** bands
        error = (1 - miss_weight) * hit[s < threshold].sum() + miss_weight * (1 - hit[s >= threshold]).sum()
        best = min(best, (error, bands, rows))
    return best[1], best[2]
