"""From band keys to kept documents: grouping, linking, connected components and the choice of survivors.

A node is a distinct content, named by the 16 bytes of its content hash; equal texts are one node from the start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udfs.arrow_bytes import binary_parts, fixed_rows, ragged_words, wide, words
from udfs.minhash import Bytes, Ints, as_words, compiled, set_similarity, similarities, similarity

NODE_BYTES: Final = 16
# One band key of one node: the key, then the two halves of the content hash.
POSTING: Final = np.dtype([("key", "<u8"), ("high", ">u8"), ("low", ">u8")])
# Indexed nodes of one bucket that each new node is compared with. They are unlike each other, so there are few,
# save for pages of one template; without a bound those would cost the product of old and new.
MAX_INDEXED_LINKS: Final = 32


# What the choice of survivors reads of each document, and what it says of it.
CANDIDATE: Final = pa.schema(
    [
        pa.field("doc_id", pa.string()),
        pa.field("content", pa.binary()),
        pa.field("signature", pa.binary()),
        pa.field("shingles", pa.binary()),  # null where similarity is estimated
        pa.field("is_indexed", pa.bool_()),  # kept by an earlier batch
        pa.field("preference", pa.int32()),  # less is better; then comes the date, the greater length, the id
        pa.field("date", pa.string()),
        pa.field("chars", pa.int64()),
    ]
)
DECISION: Final = pa.schema(
    [
        pa.field("doc_id", pa.string()),
        pa.field("duplicate_of", pa.string()),
        pa.field("cluster_id", pa.string()),
        pa.field("cluster_size", pa.int64()),
        pa.field("similarity", pa.float64()),
        pa.field("is_duplicate", pa.bool_()),
    ]
)
_KEEP_ORDER: Final = [("is_indexed", "descending"), ("preference", "ascending"), ("date", "ascending"),
                      ("chars", "descending"), ("doc_id", "ascending")]  # fmt: skip


def postings(content: pa.Array, keys: pa.Array) -> npt.NDArray[Any]:
    """Lay out the band keys of a batch of index entries.

    A content met more than once gives its keys once, and its first key twice: enough for the bucket to see that the
    content is shared, and little enough for a batch of equal texts.

    Args:
        content: binary, 16 bytes each.
        keys: binary, 8 bytes a key, little-endian, at least one key each.

    Returns:
        ``POSTING``, one-dimensional.
    """
    places, _ = number_nodes(content)
    _, first = np.unique(places, return_index=True)
    again = np.setdiff1d(np.arange(len(places)), first)
    _, second = np.unique(places[again], return_index=True)
    flat, bounds = words(keys)
    counts = np.diff(bounds)
    owners = np.concatenate([np.repeat(first, counts[first]), again[second]])
    chosen = np.concatenate([_spans(bounds[:-1][first], counts[first]), bounds[:-1][again[second]]])
    result = np.empty(len(owners), POSTING)
    result["key"] = flat[chosen]
    halves = node_array(content)
    result["high"], result["low"] = halves["high"][owners], halves["low"][owners]
    return result


def split(found: npt.NDArray[Any], buckets: int) -> tuple[npt.NDArray[Any], Ints]:
    """Sort postings by the bucket that their key falls in, a power of two of them.

    Returns:
        ``POSTING``, and int64 of shape (buckets + 1,), where each bucket begins.
    """
    order, bounds = _by_bucket(found["key"], np.uint64(buckets - 1))
    return found[order], np.asarray(bounds)


def link(found: npt.NDArray[Any], is_indexed: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Link the nodes that share a band key: new ones to the smallest new one, and to the indexed ones.

    Args:
        found: ``POSTING``, one-dimensional, all postings of each key in it.
        is_indexed: bool, same shape: the posting is of an earlier batch.

    Returns:
        Two arrays of nodes (fields ``high`` and ``low``), the ends of the links, each link once. A node linked to
        itself is the content of several documents.
    """
    order = np.argsort(found["key"])
    keys = found["key"][order]
    shared = np.zeros(len(keys), np.bool_)
    equal = keys[1:] == keys[:-1]
    shared[1:] |= equal
    shared[:-1] |= equal
    order, keys = order[shared], keys[shared]
    high, low = found["high"][order].astype(np.uint64), found["low"][order].astype(np.uint64)
    left, right = _links(keys, high, low, is_indexed[order])
    pairs = np.empty(len(left), [("a", np.uint64), ("b", np.uint64), ("c", np.uint64), ("d", np.uint64)])
    pairs["a"], pairs["b"], pairs["c"], pairs["d"] = high[left], low[left], high[right], low[right]
    _, first = np.unique(_pair_hashes(high[left], low[left], high[right], low[right]), return_index=True)
    halves = np.empty(len(high), [("high", ">u8"), ("low", ">u8")])
    halves["high"], halves["low"] = high, low
    return halves[left[first]], halves[right[first]]


def decide_linked(candidates: pa.Table, links: pa.Table, threshold: float) -> pa.Table:
    """Verify links, find the components and choose survivors, all in this process.

    Args:
        candidates: ``CANDIDATE`` columns of every document whose content is in a link.
        links: columns ``a`` and ``b``, contents.
        threshold: least similarity of duplicates.

    Returns:
        As ``decide_components``.
    """
    ordered = candidates.sort_by(_KEEP_ORDER)
    nodes, distinct = number_nodes(ordered["content"])
    sketches = Sketched.of(ordered, nodes, len(distinct))
    left, right = _verified(sketches, links, distinct, threshold)
    return _decide(ordered, nodes, sketches, components(left, right, len(distinct)), threshold)


def root_linked(candidates: pa.Table, links: pa.Table, threshold: float) -> pa.Table:
    """Verify links and find the components, all in this process.

    Args:
        candidates: as ``decide_linked``.
        links: as ``decide_linked``.
        threshold: least similarity of neighbours in a component.

    Returns:
        The candidates and ``root``, binary, the name of the component.
    """
    nodes, distinct = number_nodes(candidates["content"])
    left, right = _verified(Sketched.of(candidates, nodes, len(distinct)), links, distinct, threshold)
    roots = distinct.take(pa.array(components(left, right, len(distinct))[nodes])).cast(pa.binary())
    return candidates.append_column("root", roots)


def decide_components(candidates: pa.Table, threshold: float) -> pa.Table:
    """Choose survivors inside components.

    In the order of the rule a document stays unless one that stays is at least as similar as the threshold. So the
    ends of a chain A-B-C, unlike each other, both stay unless B comes before them.

    Args:
        candidates: ``CANDIDATE`` columns and ``root``, the name of the component, of all documents of the components.
        threshold: least similarity of duplicates.

    Returns:
        ``DECISION`` rows, one for each new document in a cluster of two or more.
    """
    ordered = candidates.sort_by(_KEEP_ORDER)
    nodes, distinct = number_nodes(ordered["content"])
    roots, _ = number_nodes(ordered["root"])
    component = np.empty(len(distinct), np.int64)
    component[nodes] = roots
    return _decide(ordered, nodes, Sketched.of(ordered, nodes, len(distinct)), component, threshold)


def _verified(sketches: Sketched, links: pa.Table, distinct: pa.Array, threshold: float) -> tuple[Ints, Ints]:
    """Return the ends, as numbers of nodes, of the links whose ends are alike."""
    left, right = (np.asarray(pc.index_in(wide(links[name]), distinct)).astype(np.int64) for name in ("a", "b"))
    linked = left != right
    left, right = left[linked], right[linked]
    alike = sketches.pairs(left, right) >= threshold
    return left[alike], right[alike]


def _decide(ordered: pa.Table, nodes: Ints, sketches: Sketched, component: Ints, threshold: float) -> pa.Table:
    """Decide over documents in keep order; nodes are numbered in the order of their best documents."""
    _, best = np.unique(nodes, return_index=True)
    is_indexed = np.asarray(ordered["is_indexed"]).astype(np.bool_)
    order = np.argsort(component, kind="stable")
    starts = np.append(np.flatnonzero(np.diff(component[order], prepend=-1)), len(order))
    like, similar = sketches.survivors(order, starts, is_indexed[best], threshold)
    chosen = best[like[nodes]]
    rows = np.arange(len(nodes))
    is_duplicate = chosen != rows
    groups = component[nodes]
    sizes = np.bincount(groups, minlength=1)[groups] if len(groups) else groups
    by_name = np.asarray(pc.sort_indices(ordered["doc_id"]))
    _, first = np.unique(groups[by_name], return_index=True)
    smallest = np.zeros(int(groups.max(initial=0)) + 1, np.int64)
    smallest[groups[by_name][first]] = by_name[first]
    told = pa.array(~is_indexed & (sizes > 1))
    names = ordered["doc_id"].combine_chunks()
    return pa.table(
        {
            "doc_id": names,
            "duplicate_of": pc.if_else(
                pa.array(is_duplicate), names.take(pa.array(chosen)), pa.scalar(None, pa.string())
            ),
            "cluster_id": names.take(pa.array(smallest[groups])),
            "cluster_size": pa.array(sizes, pa.int64()),
            "similarity": pc.if_else(pa.array(is_duplicate), pa.array(similar[nodes]), pa.scalar(None, pa.float64())),
            "is_duplicate": pa.array(is_duplicate),
        },
        schema=DECISION,
    ).filter(told)


@dataclass(frozen=True, slots=True)
class Sketched:
    """The sketches of nodes: signatures, or whole sets of shingles where similarity is to be exact.

    ``signatures`` is uint8 of shape (nodes, bins); ``sets`` and ``bounds`` are the concatenated sorted shingle hashes,
    uint32, and where each node's begin, int64 of shape (nodes + 1,).
    """

    signatures: Bytes
    sets: npt.NDArray[np.uint32] | None = None
    bounds: Ints | None = None

    @classmethod
    def of(cls, candidates: pa.Table, nodes: Ints, count: int) -> Sketched:
        """Take the sketches of nodes from a table of documents, of which row i has node ``nodes[i]``."""
        _, first = np.unique(nodes, return_index=True)
        rows = pa.array(first)
        signatures = candidates["signature"].combine_chunks().take(rows)
        width = len(signatures[0].as_py()) if count else 8
        shingles = candidates["shingles"].combine_chunks().take(rows)
        if shingles.null_count:
            return cls(fixed_rows(signatures, width))
        return cls(fixed_rows(signatures, width), *ragged_words(shingles))

    def pairs(self, left: Ints, right: Ints) -> npt.NDArray[np.float64]:
        """Similarity of each pair of nodes, float64, shape (pairs,)."""
        if self.sets is None or self.bounds is None:
            return np.asarray(_pairs(as_words(self.signatures), left, right))
        return np.asarray(_set_pairs(self.sets, self.bounds, left, right))

    def survivors(
        self, order: Ints, starts: Ints, is_fixed: npt.NDArray[np.bool_], threshold: float
    ) -> tuple[Ints, npt.NDArray[np.float64]]:
        """For each node the kept node it is like, itself if it is kept, and their similarity."""
        if self.sets is None or self.bounds is None:
            like, similar = _survivors(as_words(self.signatures), order, starts, is_fixed, threshold)
        else:
            like, similar = _set_survivors(self.sets, self.bounds, order, starts, is_fixed, threshold)
        return np.asarray(like), np.asarray(similar)


def pair_similarities(
    left: pa.Array, right: pa.Array, left_sets: pa.Array, right_sets: pa.Array
) -> npt.NDArray[np.float64]:
    """Similarity of pairs, from their signatures, or from their sets of shingles where those are not null.

    Args:
        left: binary, signatures of one width; at least one.
        right: binary, the signatures that they are compared with.
        left_sets: binary, sorted 32-bit shingle hashes, all null or none.
        right_sets: binary, those of the other side.

    Returns:
        float64, shape (pairs,).
    """
    count = len(left)
    places = np.arange(count)
    if left_sets.null_count:
        width = len(left[0].as_py())
        return similarities(fixed_rows(left, width), fixed_rows(right, width))
    both = pa.concat_arrays([wide(left_sets), wide(right_sets)])
    return np.asarray(_set_pairs(*ragged_words(both), places, places + count))


def components(left: Ints, right: Ints, size: int) -> Ints:
    """Connected components by union-find; for each node the smallest node of its component, int64, shape (size,)."""
    return np.asarray(_components(left, right, size))


def node_array(content: pa.Array) -> npt.NDArray[Any]:
    """View binary values of 16 bytes as nodes, fields ``high`` and ``low``, big-endian so that bytes sort alike."""
    data, offsets = binary_parts(content)
    kind = np.dtype([("high", ">u8"), ("low", ">u8")])
    return data[offsets[0] : offsets[-1]].view(kind)


def number_nodes(contents: pa.ChunkedArray) -> tuple[Ints, pa.Array]:
    """Number contents from 0 in the order they come; each row's number, int64, and the content of each number."""
    coded = wide(contents).dictionary_encode()
    return np.asarray(coded.indices).astype(np.int64), coded.dictionary


def _spans(starts: Ints, counts: Ints) -> Ints:
    """The numbers ``starts[i] .. starts[i] + counts[i] - 1`` for each i, one after another."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + counts, counts)


@compiled
def _links(keys: Any, high: Any, low: Any, is_indexed: Any) -> Any:
    """Links of sorted postings, as places in them."""
    left = np.empty(2 * len(keys) + 16, np.int64)
    right = np.empty(2 * len(keys) + 16, np.int64)
    count, start = 0, 0
    while start < len(keys):
        end = start + 1
        while end < len(keys) and keys[end] == keys[start]:
            end += 1
        members = start + _ranking(high[start:end], low[start:end])
        needed = count + (end - start) * (MAX_INDEXED_LINKS + 2)
        if needed > len(left):
            left, right = _grown(left, needed), _grown(right, needed)
        count = _link_bucket(members, high, low, is_indexed, left, right, count)
        start = end
    return left[:count], right[:count]


@compiled
def _by_bucket(keys: Any, mask: Any) -> Any:
    """Places in order of the bucket, and where each bucket begins."""
    bounds = np.zeros(mask + np.uint64(2), np.int64)
    for i in range(len(keys)):
        bounds[np.int64(keys[i] & mask) + 1] += 1
    for at in range(len(bounds) - 1):
        bounds[at + 1] += bounds[at]
    free = bounds[:-1].copy()
    order = np.empty(len(keys), np.int64)
    for i in range(len(keys)):
        bucket = np.int64(keys[i] & mask)
        order[free[bucket]] = i
        free[bucket] += 1
    return order, bounds


@compiled
def _ranking(high: Any, low: Any) -> Any:
    """Places in order of (high, low)."""
    order = np.argsort(high)
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and high[order[end]] == high[order[start]]:
            end += 1
        if end - start > 1:
            order[start:end] = order[start:end][np.argsort(low[order[start:end]])]
        start = end
    return order


@compiled
def _grown(values: Any, needed: Any) -> Any:
    result = np.empty(2 * needed, np.int64)
    result[: len(values)] = values
    return result


@compiled
def _link_bucket(members: Any, high: Any, low: Any, is_indexed: Any, left: Any, right: Any, count: Any) -> Any:
    centre, indexed = -1, np.empty(MAX_INDEXED_LINKS, np.int64)
    held = 0
    for i in range(len(members)):
        if is_indexed[members[i]] and held < MAX_INDEXED_LINKS:
            indexed[held] = members[i]
            held += 1
    for i in range(len(members)):
        one = members[i]
        before = members[i - 1]
        if i > 0 and high[one] == high[before] and low[one] == low[before]:
            left[count], right[count] = one, one
            count += 1
            if is_indexed[one] or not is_indexed[before]:
                continue
        if is_indexed[one]:
            continue
        if centre < 0:
            centre = one
        else:
            left[count], right[count] = centre, one
            count += 1
        for j in range(held):
            left[count], right[count] = indexed[j], one
            count += 1
    return count


@compiled
def _pair_hashes(a: Any, b: Any, c: Any, d: Any) -> Any:
    result = np.empty(len(a), np.uint64)
    for i in range(len(a)):
        h = a[i] ^ (b[i] << np.uint64(1))
        h = (h ^ (h >> np.uint64(29))) * np.uint64(0xD6E8FEB86659FD93)
        result[i] = h + (c[i] ^ (d[i] << np.uint64(1)))
    return result


@compiled
def _components(left: Any, right: Any, size: Any) -> Any:
    parent = np.arange(size)
    for i in range(len(left)):
        a, b = _root(parent, left[i]), _root(parent, right[i])
        if a < b:
            parent[b] = a
        else:
            parent[a] = b
    for i in range(size):
        parent[i] = _root(parent, i)
    return parent


@compiled
def _root(parent: Any, node: Any) -> Any:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@compiled
def _pairs(signatures: Any, left: Any, right: Any) -> Any:
    result = np.empty(len(left), np.float64)
    for i in range(len(left)):
        result[i] = similarity(signatures[left[i]], signatures[right[i]])
    return result


@compiled
def _set_pairs(sets: Any, bounds: Any, left: Any, right: Any) -> Any:
    result = np.empty(len(left), np.float64)
    for i in range(len(left)):
        a, b = left[i], right[i]
        result[i] = set_similarity(sets[bounds[a] : bounds[a + 1]], sets[bounds[b] : bounds[b + 1]])
    return result


@compiled
def _survivors(signatures: Any, order: Any, starts: Any, is_fixed: Any, threshold: Any) -> Any:
    like, similar = np.arange(len(order)), np.ones(len(order), np.float64)
    kept = np.empty(len(order), np.int64)
    for group in range(len(starts) - 1):
        held = 0
        for i in range(starts[group], starts[group + 1]):
            node = order[i]
            if not is_fixed[node]:
                for j in range(held):
                    value = similarity(signatures[node], signatures[kept[j]])
                    if value >= threshold:
                        like[node], similar[node] = kept[j], value
                        break
            if like[node] == node:
                kept[held] = node
                held += 1
    return like, similar


@compiled
def _set_survivors(sets: Any, bounds: Any, order: Any, starts: Any, is_fixed: Any, threshold: Any) -> Any:
    like, similar = np.arange(len(order)), np.ones(len(order), np.float64)
    kept = np.empty(len(order), np.int64)
    for group in range(len(starts) - 1):
        held = 0
        for i in range(starts[group], starts[group + 1]):
            node = order[i]
            mine = sets[bounds[node] : bounds[node + 1]]
            if not is_fixed[node]:
                for j in range(held):
                    value = set_similarity(mine, sets[bounds[kept[j]] : bounds[kept[j] + 1]])
                    if value >= threshold:
                        like[node], similar[node] = kept[j], value
                        break
            if like[node] == node:
                kept[held] = node
                held += 1
    return like, similar
