"""The steps of deduplication as functions over Arrow batches, as ``mapInArrow`` calls them.

They are apart from ``jobs.stages.dedup`` so that a worker loads no more than they need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from udfs import clusters, minhash
from udfs.minhash import SketchPlan

_ENTRY = ["doc_id", "revision", "scope", "source", "date", "chars", "content", "keys", "signature", "shingles"]
_ROWS_PER_BLOCK = 20_000


def sketch(plan: SketchPlan, exact: bool, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn documents into index entries.

    Input columns: doc_id, revision, scope, source, date, text (not null). Output columns: the first five, chars,
    content, keys, signature, shingles.
    """
    for batch in batches:
        texts = batch.column("text")
        made = minhash.sketch(texts, batch.column("scope"), plan)
        sets = minhash.shingle_sets(texts, plan).cast(pa.binary()) if exact else None
        yield pa.RecordBatch.from_arrays(
            [
                *(batch.column(name) for name in ("doc_id", "revision", "scope", "source", "date")),
                pa.array(made.lengths, pa.int64()),
                clusters.binary_rows(made.content),
                clusters.ragged_rows(made.keys, made.key_counts),
                clusters.binary_rows(made.signatures),
                sets if sets is not None else pa.nulls(len(batch), pa.binary()),
            ],
            names=_ENTRY,
        )


def post(buckets: int, is_indexed: bool, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn entries into blocks of postings, one a bucket for every 20,000 documents.

    Input columns: content, keys. Output columns: bucket, is_indexed, postings.
    """
    for table in _gathered(batches, _ROWS_PER_BLOCK):
        found = clusters.postings(table["content"].combine_chunks(), table["keys"].combine_chunks())
        blocks = list(clusters.split(found, buckets))
        yield pa.RecordBatch.from_arrays(
            [
                pa.array([bucket for bucket, _ in blocks], pa.int32()),
                pa.array([is_indexed] * len(blocks), pa.bool_()),
                pa.array([block.tobytes() for _, block in blocks], pa.binary()),
            ],
            names=["bucket", "is_indexed", "postings"],
        )


def _gathered(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= rows:
            yield pa.Table.from_batches(held)
            held = []
    if sum(map(len, held)):
        yield pa.Table.from_batches(held)


def link(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Link the contents that share a band key; all postings of a key must be in one partition.

    Input columns: bucket, is_indexed, postings. Output columns: a, b.
    """
    blocks, flags = [], []
    for batch in batches:
        for postings, is_indexed in zip(batch.column("postings"), batch.column("is_indexed"), strict=True):
            blocks.append(np.frombuffer(postings.as_buffer(), clusters.POSTING))
            flags.append(np.full(len(blocks[-1]), is_indexed.as_py()))
    if blocks:
        left, right = clusters.link(np.concatenate(blocks), np.concatenate(flags))
        yield pa.RecordBatch.from_arrays([clusters.binary_rows(left), clusters.binary_rows(right)], names=["a", "b"])


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
