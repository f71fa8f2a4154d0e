"""Index entries in blocks: how they are stored and travel.

Deduplication handles very many narrow entries. Spark pays for every row and column that it moves between its own format
and Arrow's, so entries go in blocks of some hundred, a row each, of which it sees no more than the bytes.

An entry is a row of ``ENTRY``; a block is a row of ``BLOCK``, all its entries of one scope. ``keys`` and ``ids`` lie
apart from the rest, so that an index is searched without opening the blocks in which nothing is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udfs.arrow_bytes import cut_rows, wide, words
from udfs.key_filter import id_hashes

Places = npt.NDArray[np.int64]
ENTRY: Final = pa.schema(
    [
        pa.field("doc_id", pa.string()),
        pa.field("revision", pa.string()),
        pa.field("scope", pa.string()),  # documents of different scopes are never compared
        pa.field("source", pa.string()),
        pa.field("date", pa.string()),
        pa.field("chars", pa.int64()),  # characters that count: letters, marks, digits, single gaps
        pa.field("content", pa.binary()),  # 16 bytes, equal for equal folded texts of a scope
        pa.field("keys", pa.binary()),  # band keys, 8 bytes each, little-endian
        pa.field("signature", pa.binary()),  # 4 bits for each of 2 x bins
        pa.field("shingles", pa.binary()),  # 4 bytes a shingle; null where similarity is estimated
    ]
)
BLOCK: Final = pa.schema(
    [
        pa.field("scope", pa.string()),
        pa.field("block", pa.string()),  # name, a hash of the entries it was made of
        pa.field("entries", pa.int32()),
        pa.field("ids", pa.binary()),  # a hash of each doc_id, 8 bytes each, little-endian
        pa.field("keys", pa.binary()),  # of all entries, one after another
        pa.field("payload", pa.binary()),  # Arrow stream: the other columns, and how many keys each entry has
    ]
)
# Spark puts up to 10,000 rows into one Arrow batch, whose binary columns must stay below 2 GiB.
_BLOCK_BYTES: Final = 1 << 17
_PAYLOAD: Final = pa.schema([*(ENTRY.field(name) for name in ENTRY.names if name not in ("scope", "keys")),
                             pa.field("key_count", pa.int32())])  # fmt: skip


def pack(entries: pa.Table) -> Iterator[pa.RecordBatch]:
    """Put entries into blocks; columns of ``ENTRY`` to columns of ``BLOCK``, a batch a scope."""
    table = entries.combine_chunks()
    scopes = pc.unique(table["scope"]).to_pylist() if len(table) else []
    for scope in sorted(scopes, key=lambda each: (each is not None, each)):
        chosen = table
        if len(scopes) > 1:
            is_scope = pc.is_null(table["scope"]) if scope is None else pc.equal(table["scope"], scope)
            chosen = table.filter(is_scope).combine_chunks()
        rows = max(1, _BLOCK_BYTES * len(chosen) // max(1, chosen.nbytes))
        yield _blocks([_packed(scope, chosen.slice(at, rows)) for at in range(0, len(chosen), rows)])


def unpack(blocks: pa.RecordBatch, rows: Iterable[int] | None = None) -> pa.Table:
    """Return the entries of blocks, or of those at the places ``rows``; columns of ``ENTRY``."""
    chosen = range(len(blocks)) if rows is None else rows
    scopes, keys, payloads = blocks.column("scope"), blocks.column("keys"), blocks.column("payload")
    return pa.concat_tables(
        [ENTRY.empty_table(), *(_unpacked(scopes[row], keys[row], payloads[row].as_buffer()) for row in chosen)]
    )


def unpack_some(blocks: pa.RecordBatch, key_places: Places, id_places: Places) -> pa.Table:
    """Return the entries that have a key, or an id, at one of the places; columns of ``ENTRY``.

    Places are those in all ``keys``, or all ``ids``, of the blocks one after another, ascending.
    """
    keys, key_bounds = words(blocks.column("keys"))
    id_bounds = words(blocks.column("ids"))[1]
    key_blocks, id_blocks = (np.searchsorted(bounds, places, "right") - 1
                             for bounds, places in ((key_bounds, key_places), (id_bounds, id_places)))  # fmt: skip
    touched = np.union1d(key_blocks, id_blocks)
    key_cuts, id_cuts = (np.searchsorted(each, np.append(touched, len(blocks))) for each in (key_blocks, id_blocks))
    chosen, flat, counts = [], [], []
    for at, row in enumerate(touched.tolist()):
        held = pa.ipc.open_stream(blocks.column("payload")[row].as_buffer()).read_next_batch()
        ends = key_bounds[row] + np.cumsum(held.column("key_count"))
        with_key = np.searchsorted(ends, key_places[key_cuts[at] : key_cuts[at + 1]], "right")
        rows = np.union1d(with_key, id_places[id_cuts[at] : id_cuts[at + 1]] - id_bounds[row])
        chosen.append(held.take(pa.array(rows)))
        counts.append(np.asarray(chosen[-1].column("key_count")))
        flat += [keys[end - count : end] for end, count in zip(ends[rows], counts[-1], strict=True)]
    if not chosen:
        return ENTRY.empty_table()
    table = pa.Table.from_batches(chosen)
    scopes = np.repeat(touched, [len(each) for each in chosen])
    table = table.append_column("scope", blocks.column("scope").take(pa.array(scopes)))
    table = table.append_column("keys", cut_rows(np.concatenate(flat), np.concatenate(counts)))
    return table.select(ENTRY.names).cast(ENTRY)


def empty_block() -> pa.RecordBatch:
    """Return one block without entries; columns of ``BLOCK``."""
    return _blocks([_packed(None, ENTRY.empty_table())])


def repacked(block: pa.RecordBatch, entries: pa.Table) -> pa.RecordBatch:
    """Return a block of the same scope and name with other entries."""
    scope, _, *rest = _packed(block.column("scope")[0].as_py(), entries)
    return _blocks([(scope, block.column("block")[0].as_py(), *rest)])


def _blocks(made: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = [pa.array(column, field.type) for column, field in zip(zip(*made, strict=True), BLOCK, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=BLOCK)


def _packed(scope: str | None, entries: pa.Table) -> tuple[Any, ...]:
    entries = entries.combine_chunks()
    keys = wide(entries["keys"])
    flat, bounds = words(keys)
    ids = id_hashes(entries["doc_id"]).tobytes()
    columns = {name: entries[name] for name in _PAYLOAD.names if name != "key_count"}
    columns["key_count"] = pa.array(np.diff(bounds), pa.int32())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _PAYLOAD) as stream:
        stream.write_table(pa.table(columns, schema=_PAYLOAD))
    payload = sink.getvalue().to_pybytes()
    return scope, blake2b(payload, digest_size=16).hexdigest(), len(entries), ids, flat.tobytes(), payload


def _unpacked(scope: pa.Scalar, keys: pa.Scalar, payload: pa.Buffer) -> pa.Table:
    held = pa.ipc.open_stream(payload).read_all()
    offsets = np.zeros(len(held) + 1, np.int64)
    np.cumsum(np.asarray(held["key_count"]), out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets * 8), keys.as_buffer()]
    columns = {name: held[name] for name in held.column_names if name != "key_count"}
    columns["keys"] = pa.Array.from_buffers(pa.large_binary(), len(held), buffers).cast(pa.binary())
    columns["scope"] = pa.repeat(scope, len(held)).cast(pa.string())
    return pa.table({name: columns[name] for name in ENTRY.names}, schema=ENTRY)
