"""The steps of deduplication as functions over Arrow batches, as ``mapInArrow`` calls them.

They are apart from ``jobs.stages.dedup`` so that a worker loads no more than they need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udfs import clusters, minhash
from udfs.arrow_bytes import binary_parts, binary_rows, ragged_rows, words
from udfs.dedup_blocks import BLOCK, ENTRY, empty_block, pack, repacked, unpack, unpack_some
from udfs.key_filter import KeyFilter, id_hashes
from udfs.minhash import SketchPlan

_ENTRIES_PER_PACK: Final = 4_096
_ENTRIES_PER_POST: Final = 20_000
LINKS_PER_ROW: Final = 4_096
_NULL_ID: Final = id_hashes(pa.array([""])).view(np.int64)[0]
_LAST_DATE: Final = "\U0010ffff"  # a document without a date comes after all that have one


@dataclass(frozen=True, slots=True)
class KeepRule:
    """Which document of a cluster stays."""

    by_date: bool = False
    """The earliest date, as text, before the greatest length."""
    sources: tuple[str, ...] | None = None
    """Sources by preference, before all else; others come after them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a new batch looks for in an index."""

    keys: KeyFilter
    ids: KeyFilter
    doc_ids: pa.Array
    scopes: frozenset[str | None]

    def repeated(self) -> pa.Array:
        """Return the ids that are null or name more than one document, ascending, null last."""
        if len(self.ids.keys) == len(self.doc_ids) and not self.doc_ids.null_count:
            return self.doc_ids.slice(0, 0)
        found = pc.value_counts(self.doc_ids)
        ids, counts = found.field("values"), found.field("counts")
        chosen = ids.filter(pc.or_(pc.is_null(ids), pc.greater(counts, 1)))
        return chosen.take(pc.sort_indices(chosen))


def sketch(plan: SketchPlan, exact: bool, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn documents into blocks of entries.

    Input columns: doc_id, revision, scope, source, date, text (not null). Output columns: those of ``BLOCK``.
    """
    yield from _packed(entries(plan, exact, batches))


def entries(plan: SketchPlan, exact: bool, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn documents into entries. Input columns: as ``sketch``. Output columns: those of ``ENTRY``."""
    for batch in batches:
        texts = batch.column("text")
        made = minhash.sketch(texts, batch.column("scope"), plan)
        columns = {name: batch.column(name) for name in ("doc_id", "revision", "scope", "source", "date")}
        columns["chars"] = pa.array(made.lengths, pa.int64())
        columns["content"] = binary_rows(made.content)
        columns["keys"] = ragged_rows(made.keys, made.key_counts)
        columns["signature"] = binary_rows(made.signatures)
        sets = minhash.shingle_sets(texts, plan).cast(pa.binary()) if exact else pa.nulls(len(batch), pa.binary())
        columns["shingles"] = sets
        yield pa.RecordBatch.from_arrays([columns[name] for name in ENTRY.names], schema=ENTRY)


def unpacked(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn blocks into the entries that they hold. Input columns: those of ``BLOCK``. Output: those of ``ENTRY``."""
    for batch in batches:
        yield from unpack(batch).to_batches()


def packed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn entries into blocks. Input columns: those of ``ENTRY``. Output columns: those of ``BLOCK``."""
    yield from _packed(batches)


def without(doc_ids: pa.Array, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Take documents out of blocks, which are packed anew. Input and output columns: those of ``BLOCK``."""
    hashes = KeyFilter.of(id_hashes(doc_ids))
    for batch in batches:
        flat, bounds = words(batch.column("ids"))
        touched = np.unique(np.searchsorted(bounds, hashes.found(flat), "right") - 1)
        untouched = np.setdiff1d(np.arange(len(batch)), touched)
        if len(untouched):
            yield batch.take(pa.array(untouched))
        if len(touched):
            held = unpack(batch, touched)
            yield from pack(held.filter(pc.invert(pc.is_in(held["doc_id"], doc_ids))))


def id_hashes_of(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Give the hash of every id, and that of a null twice more. Input column: ids. Output column: id."""
    for batch in batches:
        hashes = words(batch.column("ids"))[0].view(np.int64)
        nulls = np.repeat(hashes[hashes == _NULL_ID], 2)
        yield pa.RecordBatch.from_arrays([pa.array(np.concatenate([hashes, nulls]))], names=["id"])


def ids_of(hashes: list[int], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Give the ids that have one of the hashes. Input columns: those of ``BLOCK``. Output column: doc_id."""
    for batch in batches:
        held = unpack(batch)
        chosen = np.isin(id_hashes(held["doc_id"]).view(np.int64), hashes)
        yield from held.filter(pa.array(chosen)).select(["doc_id"]).to_batches()


def names_in_blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Say whose entries are in which block. Input columns: those of ``BLOCK``, batch_id.

    Output columns: batch_id, block, doc_id.
    """
    for batch in batches:
        counts = pa.array(np.repeat(np.arange(len(batch)), np.asarray(batch.column("entries"))))
        where = pa.table({name: batch.column(name).take(counts) for name in ("batch_id", "block")})
        yield from where.append_column("doc_id", unpack(batch)["doc_id"]).combine_chunks().to_batches()


def rewritten(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Take documents out of blocks that keep their names.

    Input columns: those of ``BLOCK``, batch_id, gone (list of doc_id). Output columns: those of ``BLOCK``, batch_id,
    removed (how many).
    """
    for batch in batches:
        for row in range(len(batch)):
            block = batch.slice(row, 1)
            held = unpack(block)
            left = held.filter(pc.invert(pc.is_in(held["doc_id"], block.column("gone").flatten())))
            columns = dict(zip(BLOCK.names, repacked(block, left).columns, strict=True))
            columns["batch_id"] = block.column("batch_id")
            columns["removed"] = pa.array([len(held) - len(left)], pa.int64())
            yield pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def wanted(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Gather what a batch looks for in an index. Input columns: those of ``BLOCK``. Output columns: scope, keys, ids.

    ``ids`` is an Arrow stream of the column doc_id.
    """
    for batch in batches:
        if len(batch):
            held = unpack(batch).select(["doc_id"])
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, held.schema) as stream:
                stream.write_table(held)
            keys = np.unique(words(batch.column("keys"))[0])
            yield pa.RecordBatch.from_arrays(
                [pa.array([pc.unique(batch.column("scope")).to_pylist()], pa.list_(pa.string())),
                 pa.array([keys.tobytes()], pa.binary()), pa.array([sink.getvalue().to_pybytes()], pa.binary())],
                names=["scopes", "keys", "ids"],
            )  # fmt: skip


def wanted_of(rows: pa.Table) -> Wanted:
    """Join the rows of ``wanted``."""
    keys = [np.frombuffer(each.as_buffer(), np.uint64) for each in rows["keys"]]
    tables = [pa.ipc.open_stream(each.as_buffer()).read_all() for each in rows["ids"]]
    doc_ids = pa.concat_tables([ENTRY.empty_table().select(["doc_id"]), *tables])["doc_id"].combine_chunks()
    none = np.zeros(0, np.uint64)
    scopes = frozenset(scope for row in rows["scopes"].to_pylist() for scope in row)
    return Wanted(KeyFilter.of(np.concatenate([none, *keys])), KeyFilter.of(id_hashes(doc_ids)), doc_ids, scopes)


def probe(sought: Wanted, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Find the entries of an index that share a key with a new batch and are not of a document in it.

    Input columns: those of ``BLOCK``. Output columns: the same, and superseded: on an empty block for each batch of
    the index that holds some, the number of entries of documents that come again.
    """
    for batch in batches:
        with_key, with_id = (
            those.found(words(batch.column(name))[0]) for name, those in (("keys", sought.keys), ("ids", sought.ids))
        )
        held = unpack_some(batch, with_key, with_id)
        is_void = pc.is_in(held["doc_id"], sought.doc_ids)
        void = pc.sum(is_void).as_py() or 0
        for block in pack(held.filter(pc.invert(is_void))):
            yield block.append_column("superseded", pa.array([0] * len(block), pa.int64()))
        if void:
            yield empty_block().append_column("superseded", pa.array([void], pa.int64()))


def count_again(sought: Wanted, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Count the entries of documents that come again. Input column: ids. Output column: superseded."""
    for batch in batches:
        count = len(sought.ids.found(words(batch.column("ids"))[0]))
        yield pa.RecordBatch.from_arrays([pa.array([count], pa.int64())], names=["superseded"])


def post(buckets: int, is_indexed: bool, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn entries into postings, a row a bucket for every 20,000 documents.

    Input columns: those of ``BLOCK``. Output columns: bucket, is_indexed, postings.
    """
    for table in _gathered((unpack(batch) for batch in batches), _ENTRIES_PER_POST):
        found = clusters.postings(table["content"].combine_chunks(), table["keys"].combine_chunks())
        ordered, bounds = clusters.split(found, buckets)
        filled = np.flatnonzero(np.diff(bounds))
        offsets = np.append(bounds[filled], bounds[-1]) * ordered.itemsize
        yield pa.RecordBatch.from_arrays(
            [
                pa.array(filled, pa.int32()),
                pa.repeat(pa.scalar(is_indexed), len(filled)),
                pa.Array.from_buffers(
                    pa.binary(),
                    len(filled),
                    [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(ordered.view(np.uint8))],
                ),
            ],
            names=["bucket", "is_indexed", "postings"],
        )


def link(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Link the contents that share a band key; all postings of a key must be in one partition.

    Input columns: bucket, is_indexed, postings. Output columns: links (how many), a, b (16 bytes a link).
    """
    blocks, flags = [], []
    for batch in batches:
        for postings, is_indexed in zip(batch.column("postings"), batch.column("is_indexed"), strict=True):
            blocks.append(np.frombuffer(postings.as_buffer(), clusters.POSTING))
            flags.append(np.full(len(blocks[-1]), is_indexed.as_py()))
    if blocks:
        left, right = clusters.link(np.concatenate(blocks), np.concatenate(flags))
        starts = range(0, len(left), LINKS_PER_ROW)
        cut = [(left[at : at + LINKS_PER_ROW], right[at : at + LINKS_PER_ROW]) for at in starts]
        yield pa.RecordBatch.from_arrays(
            [
                pa.array([len(a) for a, _ in cut], pa.int64()),
                pa.array([a.tobytes() for a, _ in cut], pa.binary()),
                pa.array([b.tobytes() for _, b in cut], pa.binary()),
            ],
            names=["links", "a", "b"],
        )


def unpacked_links(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn rows of ``link`` into one row a link. Output columns: a, b."""
    for batch in batches:
        yield pa.RecordBatch.from_arrays([contents(batch.column(end)) for end in ("a", "b")], names=["a", "b"])


def contents(rows: pa.Array | pa.ChunkedArray) -> pa.Array:
    """View binary values, contents one after another, as contents: binary of 16 bytes each."""
    data, bounds = binary_parts(rows)
    return binary_rows(data[bounds[0] : bounds[-1]].view(f"V{clusters.NODE_BYTES}"))


def candidates(
    rule: KeepRule, chosen: pa.Array | None, is_indexed: bool, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Say of documents what the choice of survivors needs to know.

    Args:
        rule: who stays.
        chosen: binary, contents; only documents of these. None: all.
        is_indexed: whether they were kept by an earlier batch.
        batches: columns of ``BLOCK``.

    Returns:
        Columns of ``clusters.CANDIDATE``.
    """
    for batch in batches:
        held = unpack(batch)
        if chosen is not None:
            held = held.filter(pc.is_in(held["content"], chosen))
        count = len(held)
        preference, date = pa.repeat(pa.scalar(0, pa.int32()), count), pa.repeat(pa.scalar("", pa.string()), count)
        if rule.sources is not None:
            place = pc.index_in(held["source"], pa.array(rule.sources, pa.string()))
            preference = pc.fill_null(place, len(rule.sources))
        if rule.by_date:
            date = pc.fill_null(held["date"], _LAST_DATE)
        told = {"is_indexed": pa.repeat(pa.scalar(is_indexed), count), "preference": preference, "date": date}
        columns = {name: told.get(name, held[name] if name in held.column_names else None) for name in
                   clusters.CANDIDATE.names}  # fmt: skip
        yield from pa.table(columns, schema=clusters.CANDIDATE).to_batches()


def verify(threshold: float, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Keep the pairs that are at least as similar as the threshold.

    Input columns: a, b, signature_a, signature_b, shingles_a, shingles_b. Output columns: a, b.
    """
    for batch in batches:
        if len(batch):
            similar = clusters.pair_similarities(
                *(batch.column(name) for name in ("signature_a", "signature_b", "shingles_a", "shingles_b"))
            )
            yield batch.select(["a", "b"]).filter(pa.array(similar >= threshold))


def choose(threshold: float, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Choose survivors; all documents of a component must be in one partition.

    Input columns: those of ``clusters.CANDIDATE``, root. Output columns: those of ``clusters.DECISION``.
    """
    held = [batch for batch in batches if len(batch)]
    if held:
        yield from clusters.decide_components(pa.Table.from_batches(held), threshold).combine_chunks().to_batches()


def _packed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for table in _gathered((pa.Table.from_batches([batch]) for batch in batches), _ENTRIES_PER_PACK):
        yield from pack(table)


def _gathered(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Join tables until they have so many rows."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(map(len, held)) >= rows:
            yield pa.concat_tables(held)
            held = []
    if sum(map(len, held)):
        yield pa.concat_tables(held)
