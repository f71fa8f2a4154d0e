"""Sketches of texts for near-duplicate search, from Arrow's buffers and without a Python object per shingle.

A text is folded (``udfs.folding``), cut into overlapping windows of characters, and each window hashed. One hash
serves as the permutation (one-permutation hashing; Li, Owen and Zhang 2012): its top bits choose a bin, others a
value, and each bin keeps its least value. From the bins come

- the signature, four bits a bin with empty bins marked, from which similarity is estimated without densification;
- the band keys, from bins taken in pairs and densified so that empty bins meet as often as full ones
  (optimal densification; Shrivastava 2017). Two texts that share a band key are candidates.

All hash constants are fixed: a stored sketch can be compared with one made by any later version of this module.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs import folding

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Kernel = TypeVar("Kernel", bound=Callable[..., Any])

# Stored beside sketches; raised when the same text would get another sketch.
SKETCH_VERSION: Final = 2
MAX_SHINGLE_CHARS: Final = 32
CONTENT_BYTES: Final = 16

_U = np.uint64
_BASE = _U(0x9E3779B97F4A7C15)  # of the rolling polynomial; odd, so that it has an inverse modulo 2**64
_MIX = _U(0xD6E8FEB86659FD93)
_MIX_2 = _U(0xA0761D6478BD642F)
_MIX_3 = _U(0xE7037ED1A0B428DB)
_WHOLE = _U(0x8EBC6AF09C88C6E3)  # marks the one shingle of a text shorter than its window
_RAW = _U(0x589965CC75374CC3)  # marks the content of a text without letters, compared by its bytes
_NO_VALUE = np.uint32(0x7FFFFFFF)  # of an empty bin; values have 31 bits
_NO_PAIR = np.uint32(0xFFFFFFFE)  # of two empty bins
_VALUE_MASK = _U(0x7FFFFFFF)
_LEVELS = np.uint32(15)  # of a value in the signature; 0 marks an empty bin
_EXPANDED = np.uint32(folding.EXPANDED)
_LENGTH_BITS = np.uint32(folding.LENGTH_BITS)
_LENGTH_MASK = np.uint32((1 << folding.LENGTH_BITS) - 1)
_CODE_MASK = np.uint32(folding.CODE_MASK)
_CLASS_MASK = np.uint32(7 << folding.CLASS_SHIFT)
_CLASS_SHIFT = np.uint32(folding.CLASS_SHIFT)
_GAP = np.uint32(folding.GAP)
_REPLACEMENT = np.uint32(0xFFFD)
_LAST_CODE = np.uint32(folding.CODE_POINTS - 1)
_ONE = _U(1)
_M3, _M4, _M5, _M6 = (np.uint32(mask) for mask in (0x07, 0x0F, 0x1F, 0x3F))  # payload bits of UTF-8 bytes
_S6, _S12, _S18 = (np.uint32(shift) for shift in (6, 12, 18))
# Read-only like every view of Arrow's memory: numba compiles anew for an array that may be written to.
_NO_BYTES = np.frombuffer(b"\0", np.uint8)
_BLOCK = 2048  # folded characters worked on at a time; keeps the scratch in the first-level cache
_HISTORY = MAX_SHINGLE_CHARS
_FIRST = _U(_HISTORY + 1)
_GROUP = _U(8)  # characters between two samples of the rolling hash that make the content hash


@dataclass(frozen=True, slots=True)
class SketchPlan:
    """What a sketch is made of.

    ``shingle_chars`` is the length of a shingle by the script of its last character, in the order of
    ``folding.CLASSES``, each from 1 to 32.
    ``bins`` is a power of two from 32 to 1024: the bytes of a signature, and the bins that band keys draw on;
    ``bands * rows_per_band`` must not exceed it.
    """

    shingle_chars: tuple[int, int, int, int, int]
    bins: int
    bands: int
    rows_per_band: int

    def __post_init__(self) -> None:
        """Refuse a plan that cannot be carried out."""
        if not all(1 <= size <= MAX_SHINGLE_CHARS for size in self.shingle_chars):
            raise ValueError(f"shingle_chars is {self.shingle_chars}; each must be from 1 to {MAX_SHINGLE_CHARS}")
        if self.bins not in (32, 64, 128, 256, 512, 1024):
            raise ValueError(f"bins is {self.bins}; allowed are 32, 64, 128, 256, 512 and 1024")
        if self.bands < 1 or self.rows_per_band < 1 or self.bands * self.rows_per_band > self.bins:
            raise ValueError(
                f"bands x rows_per_band is {self.bands} x {self.rows_per_band}; both must be 1 or more and their "
                f"product at most bins, {self.bins}"
            )


@dataclass(frozen=True, slots=True)
class Sketches:
    """Sketches of a batch of texts, one row a text.

    Attributes:
        content: uint8, shape (n, 16). Equal exactly for texts that fold to the same characters in the same scope;
            a text without letters, marks or digits is compared by its bytes.
        keys: int64, shape (n, bands). Rows of ``key_counts`` 1 hold their one key first.
        key_counts: int64, shape (n,): ``bands``, or 1 for a text with at most one shingle, which can be like another
            only by being equal.
        signatures: uint8, shape (n, bins).
        lengths: int64, shape (n,). Folded characters.
    """

    content: Bytes
    keys: Ints
    key_counts: Ints
    signatures: Bytes
    lengths: Ints


def sketch(texts: pa.Array, scopes: pa.Array | None, plan: SketchPlan) -> Sketches:
    """Sketch texts.

    Args:
        texts: string or large_string; a null is read as the empty text.
        scopes: string or None; texts of different scopes are never alike, nor of the same content.
        plan: what the sketch is made of.

    Returns:
        Sketches in the order of ``texts``.
    """
    data, offsets = buffers(texts)
    count = len(texts)
    table, expansions = folding.load()
    result = Sketches(
        content=np.empty((count, CONTENT_BYTES), np.uint8),
        keys=np.zeros((count, plan.bands), np.int64),
        key_counts=np.empty(count, np.int64),
        signatures=np.empty((count, plan.bins), np.uint8),
        lengths=np.empty(count, np.int64),
    )
    _sketch_all(
        data, offsets, scope_seeds(scopes, count), table, expansions, _sizes(plan), _probes(plan.bins),
        plan.rows_per_band, result.content.view(np.uint64), result.keys, result.key_counts, result.signatures,
        result.lengths,
    )  # fmt: skip
    return result


def shingle_sets(texts: pa.Array, plan: SketchPlan) -> pa.Array:
    """Return each text's set of shingles, for exact similarity.

    Returns:
        large_binary, each value the sorted distinct 32-bit hashes of the text's shingles, little-endian; empty for a
        text without letters, marks or digits.
    """
    data, offsets = buffers(texts)
    table, expansions = folding.load()
    sizes = _sizes(plan)
    sets = [
        _shingle_set(data, offsets[i], offsets[i + 1], table, expansions, sizes).tobytes() for i in range(len(texts))
    ]
    return pa.array(sets, pa.large_binary())


def buffers(texts: pa.Array) -> tuple[Bytes, Words]:
    """Return the UTF-8 bytes of a string or binary array and its ``len + 1`` offsets, without copying the bytes."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    wide = pa.types.is_large_string(texts.type) or pa.types.is_large_binary(texts.type)
    if texts.null_count:
        texts = texts.fill_null("" if pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type) else b"")
    _, offsets, data = texts.buffers()
    if offsets is None or offsets.size == 0:
        return _NO_BYTES, np.zeros(len(texts) + 1, np.uint64)
    kind = np.dtype(np.int64 if wide else np.int32)
    bounds = np.frombuffer(offsets, kind, len(texts) + 1, texts.offset * kind.itemsize).astype(np.uint64)
    return (np.frombuffer(data, np.uint8) if data is not None and data.size else _NO_BYTES), bounds


def scope_seeds(scopes: pa.Array | None, count: int) -> Words:
    """Return a 64-bit seed for each row's scope, uint64, shape (count,); 0 without scopes."""
    if scopes is None:
        return np.zeros(count, np.uint64)
    coded = scopes.dictionary_encode()
    seeds = [int.from_bytes(hashlib.blake2b((s or "").encode(), digest_size=8).digest(), "little")
             for s in coded.dictionary.to_pylist()]  # fmt: skip
    places = coded.indices.fill_null(len(seeds)).to_numpy(zero_copy_only=False)
    chosen: Words = np.array([*seeds, 0], np.uint64)[places]
    return chosen


@lru_cache(maxsize=256)
def optimal_bands(threshold: float, size: int, weights: tuple[float, float] = (0.5, 0.5)) -> tuple[int, int]:
    """Choose bands and rows for a threshold.

    Two texts of similarity s share a band with probability ``1 - (1 - s**rows)**bands``. The choice minimises the
    weighted sum of the area under that curve below the threshold and the area above it beyond.

    Args:
        threshold: similarity from which pairs should be found, 0 to 1.
        size: bins at hand; ``bands * rows <= size``.
        weights: of candidates below the threshold, and of missed pairs above it; they sum to 1.

    Returns:
        Bands and rows per band.
    """
    low, high = _gauss(0.0, threshold), _gauss(threshold, 1.0)
    best = (np.inf, 1, 1)
    for bands in range(1, size + 1):
        for rows in range(1, size // bands + 1):
            false = float(low[1] @ (1 - (1 - low[0] ** rows) ** bands))
            missed = float(high[1] @ (1 - high[0] ** rows) ** bands)
            best = min(best, (weights[0] * false + weights[1] * missed, bands, rows))
    return best[1], best[2]


def similarities(left: Bytes, right: Bytes) -> npt.NDArray[np.float64]:
    """Estimate the Jaccard similarity of pairs of signatures.

    Unbiased before it is cut to 0..1: of the bins that at least one of the two texts fills, a share equal to the
    similarity holds the same shingle; the rest agree by chance once in 15 when both are filled.

    Args:
        left: uint8, shape (n, bins).
        right: uint8, shape (n, bins).

    Returns:
        float64, shape (n,).
    """
    return np.asarray(_similarities(as_words(left), as_words(right)))


def as_words(signatures: Bytes) -> Words:
    """View signatures, uint8 of shape (n, bins), as uint64 of shape (n, bins / 8)."""
    return np.ascontiguousarray(signatures).view(np.uint64)


def _gauss(low: float, high: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(128)
    return (high - low) / 2 * nodes + (high + low) / 2, weights * (high - low) / 2


def _sizes(plan: SketchPlan) -> Words:
    return np.array([*plan.shingle_chars, 1, 1, 1], np.uint64)


@lru_cache(maxsize=8)
def _probes(bins: int) -> npt.NDArray[np.uint16]:
    """For each bin the order in which the others are tried when it is empty, uint16, shape (bins, bins)."""
    return np.argsort(_ranks(bins), axis=1, kind="stable").astype(np.uint16)


def compiled(function: Kernel) -> Kernel:
    """Compile with numba, once a machine: the code is kept in numba's cache."""
    return cast("Kernel", nb.njit(cache=True, nogil=True, error_model="numpy")(function))


def inlined(function: Kernel) -> Kernel:
    """Compile into the kernels that call it."""
    return cast("Kernel", nb.njit(cache=True, nogil=True, error_model="numpy", inline="always")(function))


@inlined
def _mixed(x: Any) -> Any:
    x ^= x >> _U(32)
    x *= _MIX
    x ^= x >> _U(32)
    x *= _MIX_2
    return x ^ (x >> _U(32))


@inlined
def _window_hash(x: Any) -> Any:
    # Half a finaliser: only the upper 41 bits of the product are used, and each depends on all bits of x.
    return (x ^ (x >> _U(32))) * _MIX


@compiled
def _ranks(bins: int) -> Any:
    ranks = np.empty((bins, bins), np.uint64)
    for a in range(bins):
        for b in range(bins):
            ranks[a, b] = _mixed(_U(a) * _BASE + _U(b + 1) * _MIX_3)
    return ranks


@inlined
def _put(codes: Any, filled: Any, last: Any, entry: Any) -> Any:
    """Append an entry unless it is dropped or a gap after a gap; the characters held and the last of them."""
    gap = entry == _GAP
    # A gap takes the class of the character before it, and with it the length of the shingle that it ends.
    value = entry | (last & _CLASS_MASK if gap else np.uint32(0))
    keep = (entry != 0) & ~(gap & ((last & _CODE_MASK) == _GAP))
    codes[filled] = value
    return filled + _U(keep), value if keep else last


@compiled
def _fold(data: Any, at: Any, end: Any, table: Any, expansions: Any, codes: Any, filled: Any, last: Any) -> Any:
    """Fold characters into ``codes`` until it is nearly full; where reading stopped, the fill, the last character.

    Places are unsigned: numba then leaves out the test for an index counted from the end.
    """
    limit = _U(len(codes)) - _U(_LENGTH_MASK) - _ONE
    while at < end and filled < limit:
        first = np.uint32(data[at])
        if first < 0x80:
            filled, last = _put(codes, filled, last, table[first])
            at += _ONE
            continue
        size = _ONE + _U(first >= 0xC0) + _U(first >= 0xE0) + _U(first >= 0xF0)
        if at + size > end:
            code = _REPLACEMENT
            size = end - at
        elif size == _U(2):
            code = (first & _M5) << _S6 | np.uint32(data[at + _ONE]) & _M6
        elif size == _U(3):
            code = (first & _M4) << _S12 | (np.uint32(data[at + _ONE]) & _M6) << _S6 | np.uint32(data[at + _U(2)]) & _M6
        elif size == _ONE:
            code = _REPLACEMENT
        else:
            code = (first & _M3) << _S18 | (np.uint32(data[at + _ONE]) & _M6) << _S12
            code |= (np.uint32(data[at + _U(2)]) & _M6) << _S6 | np.uint32(data[at + _U(3)]) & _M6
            code = min(code, _LAST_CODE)
        at += size
        entry = table[code]
        if entry < _EXPANDED:
            filled, last = _put(codes, filled, last, entry)
        else:
            place = (entry ^ _EXPANDED) >> _LENGTH_BITS
            for i in range(entry & _LENGTH_MASK):
                filled, last = _put(codes, filled, last, expansions[place + np.uint32(i)])
    return at, filled, last


@compiled
def _powers(sizes: Any) -> Any:
    powers = np.ones(len(sizes), np.uint64)
    for i in range(len(sizes)):
        for _ in range(sizes[i]):
            powers[i] *= _BASE
    return powers


@compiled
def _roll(codes: Any, ready: Any, prefix: Any, hashes: Any, sizes: Any, powers: Any, done: Any) -> Any:
    """Hash the windows that end in ``codes[:ready]`` into ``hashes``; how many there are.

    ``prefix[_HISTORY]`` is the polynomial of the ``done`` characters so far, with its earlier values before it; the
    values at each further character follow it.
    """
    h = prefix[_HISTORY]
    count = _U(0)
    for j in range(ready):
        code = codes[j]
        h = h * _BASE + _U(code & _CODE_MASK)
        prefix[_FIRST + j] = h
        script = code >> _CLASS_SHIFT
        size = sizes[script]
        hashes[count] = _window_hash(h - prefix[_FIRST + j - size] * powers[script])
        count += _U(done + j + _ONE >= size)
    return count


@compiled
def _keep_least(hashes: Any, count: Any, shift: Any, least: Any) -> None:
    for j in range(count):
        x = hashes[j]
        bin_ = x >> shift
        least[bin_] = min(least[bin_], np.uint32(x >> _U(23) & _VALUE_MASK))


@compiled
def _sketch_all(
    data: Any, offsets: Any, seeds: Any, table: Any, expansions: Any, sizes: Any, probes: Any, rows: Any,
    content: Any, keys: Any, key_counts: Any, signatures: Any, lengths: Any,
) -> None:  # fmt: skip
    bins = signatures.shape[1]
    powers = _powers(sizes)
    codes = np.empty(_BLOCK, np.uint32)
    prefix = np.zeros(_HISTORY + 1 + _BLOCK, np.uint64)
    hashes = np.empty(_BLOCK, np.uint64)
    least = np.empty(2 * bins, np.uint32)
    dense = np.empty(bins, np.uint32)
    for doc in range(len(offsets) - 1):
        start, end = offsets[doc], offsets[doc + 1]
        length, shingles = _digest(
            data, start, end, table, expansions, sizes, powers, codes, prefix, hashes, least, content[doc]
        )
        seal(content[doc], seeds[doc])
        lengths[doc] = length
        _pack(least, signatures[doc])
        if shingles > 1:
            _densify(least, dense, probes)
            _band_keys(dense, rows, seeds[doc], keys[doc])
            key_counts[doc] = keys.shape[1]
        else:
            keys[doc, 0] = np.int64(content[doc, 0])
            key_counts[doc] = 1


@compiled
def _digest(
    data: Any, start: Any, end: Any, table: Any, expansions: Any, sizes: Any, powers: Any,
    codes: Any, prefix: Any, hashes: Any, least: Any, content: Any,
) -> Any:  # fmt: skip
    """Fill the bins and the content hash of one text; its folded length and its shingles, repeated ones included."""
    shift = _U(64)
    for _ in range(_log2(len(least))):
        shift -= _U(1)
    least[:] = _NO_VALUE
    prefix[: _HISTORY + 1] = _U(0)
    first, second = _MIX_2, _MIX_3
    at, filled, last, done, shingles = start, _U(0), _GAP, _U(0), _U(0)
    while True:
        at, filled, last = _fold(data, at, end, table, expansions, codes, filled, last)
        ready = filled - _held(filled, last)
        count = _roll(codes, ready, prefix, hashes, sizes, powers, done)
        _keep_least(hashes, count, shift, least)
        shingles += count
        j = (_GROUP - _ONE) - done % _GROUP
        while j < ready:
            first, second = absorb(first, second, prefix[_FIRST + j])
            j += _GROUP
        done += ready
        whole = prefix[_U(_HISTORY) + ready]
        if at >= end:
            break
        filled = _carry(codes, prefix, filled, ready, last)
    first, second = absorb(first, second, whole)
    if shingles == 0 and done > 0:
        hashes[0] = _window_hash(_mixed(whole ^ _WHOLE))
        _keep_least(hashes, _ONE, shift, least)
        shingles = _ONE
    if done == 0:
        first, second = _RAW, _RAW
        for i in range(start, end):
            first, second = absorb(first, second, _U(data[i]))
    content[0], content[1] = first, second ^ done
    return done, shingles


@inlined
def _held(filled: Any, last: Any) -> Any:
    """A gap that may turn out to end the text waits for what follows."""
    return _U(filled > 0 and (last & _CODE_MASK) == _GAP)


@inlined
def _carry(codes: Any, prefix: Any, filled: Any, ready: Any, last: Any) -> Any:
    """Move what the next block needs to the front; how many characters it starts with."""
    for i in range(_FIRST):
        prefix[i] = prefix[i + ready]
    codes[0] = last
    return filled - ready


@inlined
def absorb(first: Any, second: Any, value: Any) -> Any:
    """Take one more uint64 into the two halves of a hash; the new halves."""
    first = (first ^ value) * _MIX
    second = (second ^ (first >> _U(29)) ^ (value << _U(32) | value >> _U(32))) * _BASE
    return first ^ (first >> _U(32)), second ^ (second >> _U(32))


@compiled
def seal(content: Any, seed: Any) -> None:
    """Finish a content hash with its scope's seed."""
    content[0] = _mixed(content[0] ^ seed)
    content[1] = _mixed(content[1] + content[0] + seed * _BASE)


@compiled
def _log2(x: Any) -> Any:
    power = 0
    while x > 1:
        x >>= 1
        power += 1
    return power


@compiled
def _pack(least: Any, signature: Any) -> None:
    for j in range(_U(len(signature))):
        a, b = least[j + j], least[j + j + _ONE]
        low = np.uint32(0) if a == _NO_VALUE else a % _LEVELS + np.uint32(1)
        high = np.uint32(0) if b == _NO_VALUE else b % _LEVELS + np.uint32(1)
        signature[j] = low | high << np.uint32(4)


@inlined
def _paired(least: Any, j: Any) -> Any:
    # The lesser of two values, with the half it came from, orders the shingles of both halves.
    return min(least[j + j] << np.uint32(1), least[j + j + _ONE] << np.uint32(1) | np.uint32(1))


@compiled
def _densify(least: Any, dense: Any, probes: Any) -> None:
    """Pair the bins, then fill each empty pair from the first full one in its own order of trial."""
    empty = 0
    for j in range(_U(len(dense))):
        dense[j] = _paired(least, j)
        empty += dense[j] >= _NO_PAIR
    if empty == 0:
        return
    for j in range(_U(len(dense))):
        if dense[j] >= _NO_PAIR:
            t = _U(0)
            while _paired(least, _U(probes[j, t])) >= _NO_PAIR:
                t += _ONE
            dense[j] = _paired(least, _U(probes[j, t]))


@compiled
def _band_keys(dense: Any, rows: Any, seed: Any, keys: Any) -> None:
    j = _U(0)
    for band in range(_U(len(keys))):
        h = seed ^ (band + _ONE) * _MIX_3
        for _ in range(rows):
            h = (h ^ _U(dense[j])) * _MIX
            h ^= h >> _U(32)
            j += _ONE
        keys[band] = np.int64(h * _MIX_2)


@compiled
def _shingle_set(data: Any, start: Any, end: Any, table: Any, expansions: Any, sizes: Any) -> Any:
    powers = _powers(sizes)
    codes = np.empty(_BLOCK, np.uint32)
    prefix = np.zeros(_HISTORY + 1 + _BLOCK, np.uint64)
    hashes = np.empty(_BLOCK, np.uint64)
    found = np.empty(end - start + _ONE, np.uint32)
    at, filled, last, done, size = start, _U(0), _GAP, _U(0), _U(0)
    while True:
        at, filled, last = _fold(data, at, end, table, expansions, codes, filled, last)
        ready = filled - _held(filled, last)
        count = _roll(codes, ready, prefix, hashes, sizes, powers, done)
        if size + count > len(found):  # expansions can make a text longer than its bytes
            found = np.concatenate((found, np.empty(size + count, np.uint32)))
        for j in range(count):
            found[size + j] = np.uint32(hashes[j] >> _U(32))
        size += count
        done += ready
        whole = prefix[_U(_HISTORY) + ready]
        if at >= end:
            break
        filled = _carry(codes, prefix, filled, ready, last)
    if size == 0 and done > 0:
        found[0] = np.uint32(_window_hash(_mixed(whole ^ _WHOLE)) >> _U(32))
        size = _ONE
    return np.unique(found[:size])


@inlined
def _bits(x: Any) -> Any:
    """Count of the nibbles of x whose lowest bit is set; x has no other bits."""
    x = (x + (x >> _U(4))) & _U(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * _U(0x0101010101010101)) >> _U(56))


@inlined
def _any_bit(x: Any) -> Any:
    x |= x >> _U(2)
    return (x | (x >> _U(1))) & _U(0x1111111111111111)


@compiled
def similarity(left: Any, right: Any) -> Any:
    """Estimate the Jaccard similarity of two signatures, uint64 of shape (bins / 8,); two empty ones give 0."""
    filled, both, differ = 0, 0, 0
    for j in range(len(left)):
        a, b = left[j], right[j]
        in_a, in_b = _any_bit(a), _any_bit(b)
        filled += _bits(in_a | in_b)
        both += _bits(in_a & in_b)
        differ += _bits(_any_bit(a ^ b) & in_a & in_b)
    if filled == 0:
        return 0.0
    # Of the unequal pairs in bins that both fill, one in 15 agrees by chance.
    same = both - differ * 15.0 / 14.0
    return min(1.0, max(0.0, same / filled))


@compiled
def set_similarity(left: Any, right: Any) -> Any:
    """Jaccard similarity of two sorted arrays of distinct values; two empty ones give 0."""
    i, j, shared = 0, 0, 0
    while i < len(left) and j < len(right):
        a, b = left[i], right[j]
        shared += a == b
        i += a <= b
        j += b <= a
    union = len(left) + len(right) - shared
    return shared / union if union else 0.0


@compiled
def _similarities(left: Any, right: Any) -> Any:
    result = np.empty(len(left), np.float64)
    for i in range(len(left)):
        result[i] = similarity(left[i], right[i])
    return result
