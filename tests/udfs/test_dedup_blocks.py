"""Blocks of entries, and the look-up in them: what goes in comes out, what is found is what a plain search finds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs import dedup_batches
from udfs.dedup_blocks import ENTRY, empty_block, pack, repacked, unpack, unpack_some
from udfs.key_filter import KeyFilter, id_hashes

HASHES = st.integers(0, 2**64 - 1)


def entry_table(rows: list[tuple[str, str | None, list[int]]]) -> pa.Table:
    """Entries of ids, scopes and band keys; the rest is filled in from the id."""
    ids = [doc_id for doc_id, _, _ in rows]
    columns = {
        "doc_id": ids,
        "revision": [None] * len(rows),
        "scope": [scope for _, scope, _ in rows],
        "source": ids,
        "date": [None] * len(rows),
        "chars": [len(doc_id) for doc_id in ids],
        "content": [doc_id.encode().ljust(16, b"-")[:16] for doc_id in ids],
        "keys": [np.array(keys, np.uint64).tobytes() for _, _, keys in rows],
        "signature": [doc_id.encode() for doc_id in ids],
        "shingles": [None] * len(rows),
    }
    return pa.table({name: pa.array(values, ENTRY.field(name).type) for name, values in columns.items()}, schema=ENTRY)


ROWS = st.lists(
    st.tuples(st.uuids().map(str), st.sampled_from([None, "a", "b"]), st.lists(st.integers(0, 40), max_size=5)),
    max_size=40,
)


@given(st.lists(HASHES, max_size=300), st.lists(HASHES, max_size=300), st.lists(st.integers(0, 2**16), max_size=300))
@settings(deadline=None)
def test_a_filter_finds_what_a_plain_search_finds(wanted, others, close):
    # Hashes that differ in their last bits alone go past the bitmap.
    asked = np.array([*wanted, *others, *[(each ^ 1) for each in wanted], *close], np.uint64)
    found = KeyFilter.of(np.array(wanted, np.uint64)).found(asked)
    assert found.tolist() == np.flatnonzero(np.isin(asked, np.array(wanted, np.uint64))).tolist()


@given(ROWS)
@settings(deadline=None)
def test_what_is_packed_is_unpacked(rows):
    table = entry_table(rows)
    held = [unpack(block) for block in pack(table)]
    assert sorted(pa.concat_tables([ENTRY.empty_table(), *held]).to_pylist(), key=str) == sorted(
        table.to_pylist(), key=str
    )


@given(ROWS, st.lists(st.integers(0, 40), max_size=6), st.data())
@settings(deadline=None)
def test_only_entries_with_a_wanted_key_or_id_are_opened(rows, keys, data):
    table = entry_table(rows)
    ids = data.draw(st.lists(st.sampled_from([row[0] for row in rows]), max_size=3)) if rows else []
    # A block a row or two, so that most look-ups go over several.
    blocks = [block for at in range(0, len(rows), 2) for block in pack(table.slice(at, 2))]
    sought = KeyFilter.of(np.array(keys, np.uint64)), KeyFilter.of(id_hashes(pa.array(ids, pa.string())))
    batch = pa.Table.from_batches([empty_block(), *blocks]).combine_chunks().to_batches()[0]
    places = [
        each.found(np.frombuffer(b"".join(batch.column(name).to_pylist()), np.uint64))
        for each, name in zip(sought, ("keys", "ids"), strict=True)
    ]
    found = unpack_some(batch, *places)
    expected = [row["doc_id"] for row in table.to_pylist() if row["doc_id"] in ids or _has(row["keys"], keys)]
    assert sorted(found["doc_id"].to_pylist()) == sorted(expected)
    by_id = {row["doc_id"]: row for row in table.to_pylist()}
    assert all(row == by_id[row["doc_id"]] for row in found.to_pylist())


def _has(keys: bytes, wanted: list[int]) -> bool:
    return bool(np.isin(np.frombuffer(keys, np.uint64), np.array(wanted, np.uint64)).any())


def test_a_block_that_loses_entries_keeps_its_name():
    (block,) = pack(entry_table([("a", None, [1]), ("b", None, [2])]))
    left = repacked(block, unpack(block).slice(0, 1))
    assert left.column("block") == block.column("block")
    assert unpack(left)["doc_id"].to_pylist() == ["a"]


@pytest.mark.parametrize(
    ("ids", "repeated"),
    [(["a", "b"], []), (["b", "a", "b", "a", "c"], ["a", "b"]), (["a", None], [None]), ([None, "a", "a"], ["a", None])],
)
def test_ids_that_repeat_or_lack_are_named(ids, repeated):
    rows = [(each or "", None, [1]) for each in ids]
    table = entry_table(rows).set_column(0, "doc_id", pa.array(ids, pa.string()))
    gathered = pa.Table.from_batches([row for block in pack(table) for row in dedup_batches.wanted([block])])
    assert dedup_batches.wanted_of(gathered).repeated().to_pylist() == repeated
