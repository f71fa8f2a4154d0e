"""Near-duplicates decided the plain way, by loops and dicts, from the project's sketches and nothing else of it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa

from udfs import dedup_batches
from udfs.minhash import SketchPlan, as_words, similarity

PLAN = SketchPlan((3, 3, 3, 3, 3), 64, 16, 4)
Decision = tuple[str | None, str, int]  # what it is a duplicate of, its cluster's name, the cluster's size


def entries(
    texts: list[str], plan: SketchPlan = PLAN, exact: bool = False, first: int = 0, scope: str | None = None
) -> pa.Table:
    """Index entries of texts with ids d000, d001, ..., after the scope's name if there is one."""
    count = len(texts)
    empty = pa.nulls(count, pa.string())
    ids = pa.array([f"{scope or ''}d{first + i:03d}" for i in range(count)], pa.string())
    names = ["doc_id", "revision", "scope", "source", "date", "text"]
    scopes = pa.array([scope] * count, pa.string())
    batch = pa.RecordBatch.from_arrays([ids, empty, scopes, empty, empty, pa.array(texts, pa.string())], names=names)
    return pa.Table.from_batches(dedup_batches.entries(plan, exact, [batch]))


def plain(new: pa.Table, old: pa.Table | None, threshold: float) -> dict[str, Decision]:
    """Decide on every new document in a cluster of two or more."""
    docs = [dict(row, old=flag) for flag, table in ((True, old), (False, new)) if table for row in table.to_pylist()]
    again = {doc["doc_id"] for doc in docs if not doc["old"]}
    docs = [doc for doc in docs if not (doc["old"] and doc["doc_id"] in again)]
    docs.sort(key=lambda doc: (not doc["old"], -doc["chars"], doc["doc_id"]))
    signatures = {doc["content"]: as_words(np.frombuffer(doc["signature"], np.uint8)[None])[0] for doc in docs}
    buckets: dict[tuple[int, bytes], dict[bool, set[bytes]]] = defaultdict(lambda: {True: set(), False: set()})
    for doc in docs:
        for at in range(0, len(doc["keys"]), 8):
            buckets[at, doc["keys"][at : at + 8]][doc["old"]].add(doc["content"])
    parent = {content: content for content in signatures}

    def root(content: bytes) -> bytes:
        while parent[content] != content:
            content = parent[content]
        return content

    for bucket in buckets.values():
        fresh = sorted(bucket[False])
        for a, b in [(fresh[0], b) for b in fresh[1:]] + [(a, b) for a in bucket[True] for b in fresh]:
            if a != b and similarity(signatures[a], signatures[b]) >= threshold:
                parent[root(a)] = root(b)
    groups: dict[bytes, list[dict[str, Any]]] = defaultdict(list)
    for doc in docs:
        groups[root(doc["content"])].append(doc)
    decisions: dict[str, Decision] = {}
    for members in groups.values():
        kept: list[dict[str, Any]] = []
        for doc in members:
            like = next((k for k in kept if k["content"] == doc["content"]), None) or next(
                (k for k in kept if similarity(signatures[k["content"]], signatures[doc["content"]]) >= threshold), None
            )
            if doc["old"] or like is None:
                kept.append(doc)
                like = None
            if not doc["old"] and len(members) > 1:
                smallest = min(each["doc_id"] for each in members)
                decisions[doc["doc_id"]] = (like and like["doc_id"], smallest, len(members))
    return decisions
