"""Views between Arrow's binary columns and numpy arrays, without copying where there is a way."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.minhash import Bytes, Ints, Words


def fixed_rows(column: pa.Array, width: int) -> Bytes:
    """View binary values of one width as uint8 of shape (n, width)."""
    data, offsets = binary_parts(column)
    return data[offsets[0] : offsets[-1]].reshape(-1, width)


def ragged_words(column: pa.Array) -> tuple[npt.NDArray[np.uint32], Ints]:
    """View binary values as 32-bit words; all of them, and where each value's begin."""
    data, offsets = binary_parts(column)
    return data[offsets[0] : offsets[-1]].view(np.uint32), (offsets - offsets[0]) // 4


def binary_rows(values: npt.NDArray[Any]) -> pa.Array:
    """Turn the rows of a C-ordered array, or the items of a structured one, into binary values of one width."""
    width = values.dtype.itemsize * int(np.prod(values.shape[1:], dtype=np.int64))
    offsets = np.arange(len(values) + 1, dtype=np.int64) * width
    made = pa.Array.from_buffers(
        pa.large_binary(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(values))]
    )
    return made.cast(pa.binary())


def ragged_rows(values: Ints, counts: Ints) -> pa.Array:
    """Turn the first ``counts[i]`` values of each row i into binary values, little-endian."""
    return cut_rows(values[np.arange(values.shape[1]) < counts[:, None]], counts)


def cut_rows(values: Ints, counts: Ints) -> pa.Array:
    """Cut values into binary values of ``counts[i]`` each, little-endian."""
    offsets = np.concatenate([[0], np.cumsum(counts)]) * values.dtype.itemsize
    flat = np.ascontiguousarray(values)
    made = pa.Array.from_buffers(pa.large_binary(), len(counts), [None, pa.py_buffer(offsets), pa.py_buffer(flat)])
    return made.cast(pa.binary())


def wide(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a binary column as one large_binary array."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return column.cast(pa.large_binary())


def binary_parts(column: pa.Array | pa.ChunkedArray) -> tuple[Bytes, Ints]:
    """View a binary column as its bytes, uint8, and the n + 1 places where values begin and end, int64."""
    column = wide(column)
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, np.int64, len(column) + 1, column.offset * 8) if offsets else np.zeros(1, np.int64)
    return (np.frombuffer(data, np.uint8) if data is not None and data.size else np.frombuffer(b"", np.uint8)), bounds


def words(column: pa.Array) -> tuple[Words, Ints]:
    """View binary values as 64-bit words; all of them, and where each value's begin."""
    data, offsets = binary_parts(column)
    return data[offsets[0] : offsets[-1]].view(np.uint64), (offsets - offsets[0]) // 8
