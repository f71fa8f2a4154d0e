"""Which split a pair falls into: 90 % train, 5 % validation, 5 % test of each source and language, groups undivided.

Pairs that are alike, or parts of one thing, make a group, and a group has one split. A batch is placed in three steps:

1. ``group`` finds the groups that a batch makes with itself and with pairs that have a split. A group takes the split
   that one of its pairs has. A pair between two splits is in neither: it is told so, and links nothing.
2. New groups are placed, the largest first, where a source and language lack most; then groups are moved and exchanged
   where that brings shares nearer.
3. Pairs that are alone bring each source and language to its shares.

A source and language is called a stratum here. Its shares are within one row if at least a tenth of the rows that each
batch brings it, and two more, are alone, and no rows joined a group of validation or test beyond those shares.
Otherwise they are the nearest that exchanging any two groups reaches, which is hardly ever not the nearest of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs import clusters

SPLITS: Final = ("train", "validation", "test")
# In twentieths, so that counts are compared without rounding.
SHARES: Final = (18, 1, 1)
WHOLE: Final = sum(SHARES)
# Of a stratum that groups keep from its shares: shapes of groups that are tried, and how often.
_MOST_SHAPES: Final = 40
_MOST_EXCHANGES: Final = 100

Stratum = tuple[str, str]
"""Source and language."""

FACT: Final = pa.schema(
    [
        pa.field("doc_id", pa.string()),
        pa.field("root", pa.binary()),  # name of the component of similar documents; null: like no other
        pa.field("content", pa.binary()),  # equal for equal folded texts; null with ``root``
        pa.field("signature", pa.binary()),  # as ``udfs.minhash`` makes it; null with ``root``
        pa.field("part", pa.string()),  # name of what it is a part of; null: of nothing, or told in another row
        pa.field("is_new", pa.bool_()),  # of this batch; others have been placed
        pa.field("split", pa.string()),  # the one it has; null: none yet
        pa.field("split_group", pa.string()),  # null with ``split``
    ]
)
"""What is known of a document; there may be several rows of one."""

GROUPED: Final = pa.schema(
    [
        pa.field("doc_id", pa.string()),
        pa.field("split_group", pa.string()),
        pa.field("split", pa.string()),  # null: the group has none yet
        pa.field("between", pa.string()),  # the pairs of two splits that it is like; null: it is in a group
    ]
)


def group(facts: pa.Table, least_similarity: float) -> pa.Table:
    """Find the groups of a batch.

    Documents are of one group if a chain of similar documents and common parts joins them. Where a chain joins
    documents of two splits, new ones are taken in the order of their ids, those with a split first, and one that is
    like documents of two splits by then, or a part of what they are parts of, is left out.

    Args:
        facts: ``FACT`` columns of all documents of the components; new ones, and those with a split they are like.
        least_similarity: least similarity of documents that are alike.

    Returns:
        ``GROUPED`` rows of the new documents that are not alone.
    """
    found = _documents(facts)
    rows: list[tuple[str, str | None, str | None, str | None]] = []
    for members in found.components():
        splits = {each for row in members if (each := found.splits[row]) is not None}
        if len(splits) < 2:
            rows += _as_one(found, members, next(iter(splits), None))
        else:
            rows += _as_placed(found, members, least_similarity)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(GROUPED)
    return pa.table([pa.array(list(column), pa.string()) for column in columns], schema=GROUPED)


@dataclass(frozen=True, slots=True)
class Balance:
    """How a batch is spread over splits."""

    groups: dict[str, str]
    """Split of each new group."""
    alone: dict[Stratum, tuple[int, int, int]]
    """Of the rows of each stratum that are alone, how many go to each of SPLITS."""


def balance(
    counts: Mapping[Stratum, Sequence[int]],
    groups: Mapping[str, Mapping[Stratum, int]],
    alone: Mapping[Stratum, int],
) -> Balance:
    """Place new groups and rows that are alone so that every stratum comes as near to its shares as it can.

    Args:
        counts: rows of each stratum in each of SPLITS so far, those included that join a group with a split.
        groups: rows of each stratum in each new group.
        alone: rows of each stratum that are in no group.
    """
    totals = {stratum: sum(of_split) for stratum, of_split in counts.items()}
    for stratum, rows in [*alone.items(), *(pair for each in groups.values() for pair in each.items())]:
        totals[stratum] = totals.get(stratum, 0) + rows
    held = {stratum: list(counts.get(stratum, (0, 0, 0))) for stratum in totals}
    placed: dict[str, str] = {}
    for name in sorted(groups, key=lambda each: (-sum(groups[each].values()), each)):
        at = _best_split(groups[name], held, totals)
        placed[name] = SPLITS[at]
        for stratum, rows in groups[name].items():
            held[stratum][at] += rows
    of_stratum: dict[Stratum, list[str]] = {}
    for name in sorted(groups):
        for stratum in groups[name]:
            of_stratum.setdefault(stratum, []).append(name)
    for stratum in sorted(of_stratum):
        _exchange(stratum, {name: groups[name] for name in of_stratum[stratum]}, placed, held, totals)
    return Balance(placed, {stratum: fill(held[stratum], rows) for stratum, rows in alone.items()})


def strata(rows: Iterable[tuple[str, str, str | None, str | None, int]]) -> tuple[
    dict[Stratum, list[int]], dict[str, dict[Stratum, int]], dict[Stratum, int]
]:  # fmt: skip
    """Sort counted rows into the arguments of ``balance``.

    Args:
        rows: source, language, split (null: none yet), group (null: alone), how many rows.
    """
    counts: dict[Stratum, list[int]] = {}
    groups: dict[str, dict[Stratum, int]] = {}
    alone: dict[Stratum, int] = {}
    for source, language, split, name, size in rows:
        stratum = (source, language)
        if split is not None:
            counts.setdefault(stratum, [0, 0, 0])[SPLITS.index(split)] += size
        elif name is not None:
            of_group = groups.setdefault(name, {})
            of_group[stratum] = of_group.get(stratum, 0) + size
        else:
            alone[stratum] = alone.get(stratum, 0) + size
    return counts, groups, alone


def fill(counts: Sequence[int], rows: int) -> tuple[int, int, int]:
    """Return how many of ``rows`` go to each of SPLITS so that no share is further off than need be.

    >>> fill((0, 0, 0), 40)
    (36, 2, 2)
    >>> fill((30, 0, 0), 10)
    (6, 2, 2)
    """
    total = sum(counts) + rows
    _, *small = (
        {max(0, share * total // WHOLE - count), max(0, -(-share * total // WHOLE) - count)}
        for share, count in zip(SHARES, counts, strict=True)
    )
    options = [(rows - v - t, v, t) for v in sorted(small[0]) for t in sorted(small[1]) if v + t <= rows]
    if options:
        return min(options, key=lambda each: _off(counts, each, total))
    # Too few to make good what groups took: to whichever lacks most, one by one.
    added = [0, 0, 0]
    for _ in range(rows):
        lacks = [share * total - WHOLE * (n + a) for share, n, a in zip(SHARES, counts, added, strict=True)]
        added[lacks.index(max(lacks))] += 1
    return added[0], added[1], added[2]


def _off(counts: Sequence[int], added: Sequence[int], total: int) -> tuple[int, int, int]:
    """How far shares are off, in twentieths of a row: the furthest, all, and the test share for an order of its own."""
    each = [abs(WHOLE * (n + a) - share * total) for share, n, a in zip(SHARES, counts, added, strict=True)]
    return max(each), sum(each), added[2]


def _best_split(
    rows: Mapping[Stratum, int], held: Mapping[Stratum, Sequence[int]], totals: Mapping[Stratum, int]
) -> int:
    """Return the place in SPLITS of the one that a new group's strata lack most."""

    def fits(at: int, spare: int) -> bool:
        return all(
            WHOLE * (held[stratum][at] + more - spare) <= SHARES[at] * totals[stratum] for stratum, more in rows.items()
        )

    def lack(at: int) -> int:
        # Against the rows placed so far: of groups of one size, every twentieth goes to each of the small splits.
        return sum(
            more * (SHARES[at] * (sum(held[stratum]) + more) - WHOLE * held[stratum][at])
            for stratum, more in rows.items()
        )

    options = [at for at in (1, 2) if fits(at, 0)]
    if fits(0, 1):
        options.insert(0, 0)
    # One row too many is better than what would be too many in train.
    options = options or [at for at in (1, 2) if fits(at, 1)] or [0]
    return max(options, key=lack)


_Shape = tuple[tuple[Stratum, int], ...]


def _exchange(
    stratum: Stratum,
    groups: Mapping[str, Mapping[Stratum, int]],
    placed: dict[str, str],
    held: Mapping[Stratum, list[int]],
    totals: Mapping[Stratum, int],
) -> None:
    """Move new groups of a stratum, or exchange two, while that takes rows from where there are too many.

    ``groups``, in the order of their names, are those of the stratum. Groups of one shape and split are alike, so one
    of each is tried, of the smallest shapes. Changes ``placed`` and ``held``.
    """
    if not _too_many(held[stratum], totals[stratum]):
        return
    names: dict[tuple[_Shape, int], list[str]] = {}
    for name, of_group in groups.items():
        shape = tuple(sorted(of_group.items()))
        names.setdefault((shape, SPLITS.index(placed[name])), []).append(name)
    shapes = sorted({shape for shape, _ in names}, key=lambda shape: (dict(shape)[stratum], shape))[:_MOST_SHAPES]

    def gain(moves: Iterable[tuple[_Shape, int, int]]) -> int:
        changed: dict[Stratum, list[int]] = {}
        for shape, start, end in moves:
            for each, rows in shape:
                counts = changed.setdefault(each, list(held[each]))
                counts[start] -= rows
                counts[end] += rows
        return sum(
            _too_many(held[each], totals[each]) - _too_many(counts, totals[each]) for each, counts in changed.items()
        )

    for _ in range(_MOST_EXCHANGES):
        there = [(shape, at) for shape in shapes for at in range(len(SPLITS)) if names.get((shape, at))]
        options = [((shape, at, to),) for shape, at in there for to in range(len(SPLITS)) if to != at]
        pairs = [((a, at, to), (b, to, at)) for a, at in there for b, to in there if at < to and a != b]
        best = max([*options, *pairs], key=gain, default=())
        if gain(best) <= 0:
            return
        for shape, start, end in best:
            name = names[shape, start].pop()
            names.setdefault((shape, end), []).append(name)
            placed[name] = SPLITS[end]
            for each, rows in shape:
                held[each][start] -= rows
                held[each][end] += rows


def _too_many(counts: Sequence[int], total: int) -> int:
    """How far shares will be off because some hold too many rows already, in twentieths of a row; 0 up to one row."""
    over = sum(max(0, WHOLE * count - share * total) for share, count in zip(SHARES, counts, strict=True))
    return max(0, over - WHOLE)


# --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Documents:
    """Documents by number, in the order of their ids."""

    ids: list[str]
    is_new: list[bool]
    splits: list[str | None]
    groups: list[str | None]
    parts: list[frozenset[str]]
    roots: list[bytes | None]
    contents: list[bytes | None]
    signatures: pa.ChunkedArray
    """Of the facts: few are needed, and all would be many bytes as Python's."""
    signature_rows: list[int | None]

    def components(self) -> Iterator[list[int]]:
        """Yield the documents that roots and parts join, two or more, one of them new."""
        size = len(self.ids)
        places: dict[bytes | str, int] = {}
        left, right = [], []
        for row, (root, parts) in enumerate(zip(self.roots, self.parts, strict=True)):
            names: list[bytes | str] = [*parts] if root is None else [root, *parts]
            for name in names:
                left.append(row)
                right.append(places.setdefault(name, size + len(places)))
        labels = clusters.components(np.array(left, np.int64), np.array(right, np.int64), size + len(places))[:size]
        order = np.argsort(labels, kind="stable")
        starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
        for members in np.split(order, starts[1:]) if size else ():
            rows = members.tolist()
            if len(rows) > 1 and any(self.is_new[row] for row in rows):
                yield rows


def _documents(facts: pa.Table) -> _Documents:
    """Put together what several rows tell of a document."""
    columns = {name: facts[name].to_pylist() for name in FACT.names if name != "signature"}
    signed = facts["signature"].is_valid().to_pylist()
    ids = sorted(set(columns["doc_id"]))
    number = {doc_id: row for row, doc_id in enumerate(ids)}
    size = len(ids)
    found = _Documents(
        ids,
        is_new=[False] * size,
        splits=[None] * size,
        groups=[None] * size,
        parts=[frozenset()] * size,
        roots=[None] * size,
        contents=[None] * size,
        signatures=facts["signature"],
        signature_rows=[None] * size,
    )
    told = {"split": found.splits, "split_group": found.groups, "root": found.roots, "content": found.contents}
    for at, doc_id in enumerate(columns["doc_id"]):
        row = number[doc_id]
        found.is_new[row] = found.is_new[row] or columns["is_new"][at]
        if columns["part"][at] is not None:
            found.parts[row] |= {columns["part"][at]}
        if signed[at]:
            found.signature_rows[row] = at
        for name, values in told.items():
            if columns[name][at] is not None:
                values[row] = columns[name][at]  # type: ignore[index]
    return found


_Row = tuple[str, str | None, str | None, str | None]


def _as_one(found: _Documents, members: list[int], split: str | None) -> list[_Row]:
    names = [name for row in members if (name := found.groups[row]) is not None]
    name = min(names) if names else found.ids[members[0]]
    return [(found.ids[row], name, split, None) for row in members if found.is_new[row]]


def _as_placed(found: _Documents, members: list[int], least_similarity: float) -> list[_Row]:
    """Take the documents of a component that holds two splits one after another.

    Each is compared with all that are in, as links may have gone by way of one that is left out.
    """
    sketches = _sketches(found, members)
    order = sorted(
        range(len(members)), key=lambda at: (found.is_new[members[at]], found.splits[members[at]] is None, at)
    )
    inside, held = np.empty(len(members), np.int64), 0
    # Those inside by what they are parts of and by their text, as few of a large component have either in common.
    inside_of: dict[bytes | str, list[int]] = {}
    parent = list(range(len(members)))
    split = [found.splits[row] for row in members]
    rejected: list[_Row] = []
    for at in order:
        row = members[at]
        content = found.contents[row]
        names: list[bytes | str] = [*found.parts[row]] if content is None else [content, *found.parts[row]]
        if found.is_new[row]:
            near = _alike(sketches, at, inside[:held], least_similarity)
            near = sorted({*near, *(other for name in names for other in inside_of.get(name, ()))})
            witness = {split[at]: at} if split[at] is not None else {}
            for other in near:
                if (has := split[_top(parent, other)]) is not None:
                    witness.setdefault(has, other)
            if len(witness) > 1:
                told = (f"{found.ids[members[witness[name]]]} in {name}" for name in SPLITS if name in witness)
                rejected.append((found.ids[row], None, None, " and ".join(list(told)[:2])))
                continue
            for other in near:
                parent[_top(parent, other)] = at
            split[at] = next(iter(witness), None)
        inside[held] = at
        held += 1
        for name in names:
            inside_of.setdefault(name, []).append(at)
    joined: dict[int, list[int]] = {}
    for at in sorted(inside[:held].tolist()):
        joined.setdefault(_top(parent, at), []).append(members[at])
    groups = [each for top, rows in joined.items() if len(rows) > 1 or split[top] for each in
              _as_one(found, rows, split[top])]  # fmt: skip
    return groups + rejected


def _sketches(found: _Documents, members: list[int]) -> clusters.Sketched:
    rows = [found.signature_rows[row] for row in members]
    held = [b"" if row is None else found.signatures[row].as_py() for row in rows]
    width = max(8, *map(len, held))
    data = b"".join(each or bytes(width) for each in held)
    return clusters.Sketched(np.frombuffer(data, np.uint8).reshape(len(members), width))


def _alike(sketches: clusters.Sketched, at: int, others: npt.NDArray[np.int64], least: float) -> Iterable[int]:
    """Return those of ``others`` that are like a document."""
    return map(int, others[sketches.pairs(np.full(len(others), at), others) >= least])


def _top(parent: list[int], at: int) -> int:
    while parent[at] != at:
        parent[at] = parent[parent[at]]
        at = parent[at]
    return at
