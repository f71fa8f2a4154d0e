"""Which of very many 64-bit hashes are among some wanted ones: the look-up of a batch's keys in an index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.minhash import Bytes, Words, absorb, buffers, compiled

_LARGEST_BITMAP: Final = 27  # bits of its index: 16 MiB
_SMALLEST_BITMAP: Final = 13


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """A set of hashes that is asked for many more than it holds.

    Attributes:
        keys: uint64, shape (n,), sorted, distinct.
        bitmap: uint8; bit i says whether a key starts with the bits i. It answers most questions from the cache.
        shift: bits of a hash below those that index the bitmap.
    """

    keys: Words
    bitmap: Bytes
    shift: int

    @classmethod
    def of(cls, keys: npt.NDArray[np.uint64]) -> KeyFilter:
        """Make a filter of hashes, uint64, in any order, repeated or not."""
        distinct = np.unique(keys)
        # About 16 bits a key: one in 16 of those that are not wanted comes through to the search.
        bits = min(_LARGEST_BITMAP, max(_SMALLEST_BITMAP, len(distinct).bit_length() + 4))
        bitmap = np.zeros(1 << bits >> 3, np.uint8)
        places = distinct >> np.uint64(64 - bits)
        np.bitwise_or.at(bitmap, places >> np.uint64(3), np.uint8(1) << (places & np.uint64(7)).astype(np.uint8))
        return cls(distinct, bitmap, 64 - bits)

    def found(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Return the places of the hashes that are wanted, int64, ascending."""
        return np.asarray(_found(hashes, self.keys, self.bitmap, np.uint64(self.shift)))


def id_hashes(ids: pa.Array) -> Words:
    """Hash strings to 64 bits, uint64, shape (n,); a null like the empty string. Constants are fixed."""
    data, offsets = buffers(ids)
    return np.asarray(_hash_rows(data, offsets))


@compiled
def _found(hashes: Any, keys: Any, bitmap: Any, shift: Any) -> Any:
    places = np.empty(64, np.int64)
    count = 0
    for i in range(len(hashes)):
        x = hashes[i]
        place = x >> shift
        if bitmap[place >> np.uint64(3)] >> (place & np.uint64(7)) & np.uint64(1):
            at = np.searchsorted(keys, x)
            if at < len(keys) and keys[at] == x:
                if count == len(places):
                    places = np.concatenate((places, np.empty(len(places), np.int64)))
                places[count] = i
                count += 1
    return places[:count].copy()


@compiled
def _hash_rows(data: Any, offsets: Any) -> Any:
    result = np.empty(len(offsets) - 1, np.uint64)
    for row in range(len(result)):
        first, second = np.uint64(0x8EBC6AF09C88C6E3), np.uint64(0xE7037ED1A0B428DB)
        for at in range(offsets[row], offsets[row + 1]):
            first, second = absorb(first, second, np.uint64(data[at]))
        result[row] = first ^ second
    return result
