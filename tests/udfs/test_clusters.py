"""Grouping, linking and choosing against a plain implementation."""

from __future__ import annotations

import random
from collections import defaultdict

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dedup_oracle import entries, plain
from udfs import clusters, dedup_batches
from udfs.dedup_blocks import pack
from udfs.minhash import SketchPlan

WORDS = ["alpha", "beta", "gamma", "delta", "omega", "kappa", "sigma", "theta", "lambda", "zeta"]
CORPORA = st.lists(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), max_size=30)


def decided(new: pa.Table, old: pa.Table | None, threshold: float, cuts: int = 1) -> pa.Table:
    """The same by the kernels, the postings cut in as many pieces and shuffled."""
    tables = [(new, False)]
    if old is not None:
        again = set(new["doc_id"].to_pylist())
        tables.append((old.filter(pa.array([one not in again for one in old["doc_id"].to_pylist()], pa.bool_())), True))
    blocks = []
    for table, flag in tables:
        size = max(1, -(-len(table) // cuts))
        for batch in table.to_batches(max_chunksize=size):
            blocks += dedup_batches.post(64, flag, pack(pa.Table.from_batches([batch])))
    random.Random(cuts).shuffle(blocks)
    schema = pa.schema([("a", pa.binary()), ("b", pa.binary())])
    linked = pa.Table.from_batches(dedup_batches.unpacked_links(dedup_batches.link(blocks)), schema)
    candidates = pa.concat_tables(_candidates(table, flag) for table, flag in tables)
    wanted = set(linked["a"].to_pylist()) | set(linked["b"].to_pylist())
    chosen = candidates.filter(
        pa.array([content in wanted for content in candidates["content"].to_pylist()], pa.bool_())
    )
    return clusters.decide_linked(chosen, linked, threshold)


def _candidates(table: pa.Table, is_indexed: bool) -> pa.Table:
    made = dedup_batches.candidates(dedup_batches.KeepRule(), None, is_indexed, pack(table))
    return pa.Table.from_batches(made, clusters.CANDIDATE)


def as_dict(table: pa.Table) -> dict[str, tuple[str | None, str, int]]:
    return {row["doc_id"]: (row["duplicate_of"], row["cluster_id"], row["cluster_size"]) for row in table.to_pylist()}


@settings(deadline=None)
@given(CORPORA, st.sampled_from([0.5, 0.7, 0.9]), st.integers(1, 5))
def test_a_batch_is_decided_as_by_the_plain_way(texts: list[str], threshold: float, cuts: int) -> None:
    new = entries(texts)
    assert as_dict(decided(new, None, threshold, cuts)) == plain(new, None, threshold)


@settings(deadline=None)
@given(CORPORA, CORPORA, st.integers(0, 20), st.integers(1, 5))
def test_a_second_batch_is_decided_as_by_the_plain_way(
    before: list[str], texts: list[str], again: int, cuts: int
) -> None:
    first = entries(before)
    gone = {one for one, (like, _, _) in plain(first, None, 0.7).items() if like}
    old = first.filter(pa.array([one not in gone for one in first["doc_id"].to_pylist()], pa.bool_()))
    new = entries(texts, first=max(0, len(before) - again))
    assert as_dict(decided(new, old, 0.7, cuts)) == plain(new, old, 0.7)


def test_the_ends_of_a_chain_both_stay_when_they_come_first() -> None:
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnop", k=9)) for _ in range(60)]
    a, c = words[:46], words[4:50]
    b = words[2:48]
    texts = [" ".join(a) + " xy", " ".join(c) + " xyz", " ".join(b)]
    result = {
        row["doc_id"]: row for row in decided(entries(texts, SketchPlan((5,) * 5, 256, 64, 4)), None, 0.86).to_pylist()
    }
    assert [result[f"d00{i}"]["is_duplicate"] for i in range(3)] == [False, False, True]
    assert result["d002"]["duplicate_of"] in ("d000", "d001")
    assert {row["cluster_size"] for row in result.values()} == {3}


def test_exact_similarity_decides_where_sets_are_held() -> None:
    texts = ["one two three four five six", "one two three four five sax", "other words altogether here"]
    new = entries(texts, exact=True)
    row = next(row for row in decided(new, None, 0.5).to_pylist() if row["is_duplicate"])
    shingles = [{t[i : i + 3] for i in range(len(t) - 2)} for t in texts[:2]]
    assert row["similarity"] == len(shingles[0] & shingles[1]) / len(shingles[0] | shingles[1])


def test_a_skewed_bucket_costs_a_link_a_member() -> None:
    count = 200_000
    found = np.zeros(count, clusters.POSTING)
    found["high"] = np.random.default_rng(0).permutation(count)
    found["low"] = 7
    left, right = clusters.link(found, np.zeros(count, np.bool_))
    assert len(left) == count - 1
    assert (left["high"].astype(np.int64) == 0).all()
    assert len(np.unique(right["high"])) == count - 1


def test_equal_texts_are_one_node() -> None:
    new = entries(["the very same words again"] * 20_000 + ["something else entirely"])
    postings = clusters.postings(new["content"].combine_chunks(), new["keys"].combine_chunks())
    assert len(postings) == 2 * 16 + 1
    result = decided(new, None, 0.8)
    assert result["is_duplicate"].to_pylist().count(False) == 1
    assert set(result["cluster_size"].to_pylist()) == {20_000}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60))
@settings(deadline=None)
def test_components_are_those_of_a_search(edges: list[tuple[int, int]]) -> None:
    left, right = (np.array([edge[i] for edge in edges], np.int64) for i in (0, 1))
    near = defaultdict(set)
    for a, b in edges:
        near[a].add(b)
        near[b].add(a)
    for start, label in enumerate(clusters.components(left, right, 31).tolist()):
        reached, queue = {start}, [start]
        while queue:
            fresh = near[queue.pop()] - reached
            reached |= fresh
            queue += fresh
        assert label == min(reached)
