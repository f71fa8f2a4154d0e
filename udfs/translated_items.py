"""Items of evaluation sets in a machine's translation of them: the share of an item's words found in one stretch.

A translation of a translated item has many of its words, in other forms and another order, and hardly ever eight in a
row. So words are compared by their first four letters, each counts once, and order counts for nothing. A word weighs
log(1 + items / items that hold it), as rare ones tell more; those that more than 25 items hold, and more than one in a
hundred, count for nothing. Of an item at least six words must be found, in a stretch at most a quarter
longer than the item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from udfs.minhash import compiled

Stems = npt.NDArray[np.uint64]
"""Hashes of the first letters of a text's words, in order; 0 for shorter words."""

STEM_LETTERS: Final = 4
MIN_FOUND: Final = 6
_COMMON_ITEMS: Final = 25
_COMMON_SHARE: Final = 0.01
_STRETCH: Final = 1.25


@dataclass(frozen=True)
class TranslatedItems:
    """The words of items.

    Attributes:
        stems: uint64, sorted, of words that count.
        weights: float64, same shape.
        first: int64, one longer: where each stem's items begin in ``items``.
        items: int32, numbers of the items that hold a stem.
        totals: float64, shape (items,), what an item's words weigh; 0 for items that are not looked for.
        tokens: int32, same shape, their length.
    """

    stems: Stems
    weights: npt.NDArray[np.float64]
    first: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]
    totals: npt.NDArray[np.float64]
    tokens: npt.NDArray[np.int32]

    @classmethod
    def of(cls, words: Sequence[tuple[int, Stems]], tokens: npt.NDArray[np.int32]) -> TranslatedItems:
        """Index items.

        Args:
            words: number and stems of each item that is looked for.
            tokens: int32, shape (items,), the length of all items.
        """
        distinct = [np.unique(stems[stems != 0]) for _, stems in words]
        held = np.concatenate([np.zeros(0, np.uint64), *distinct])
        owners = np.repeat(np.array([item for item, _ in words], np.int32), [len(each) for each in distinct])
        stems, at, counts = np.unique(held, return_inverse=True, return_counts=True)
        is_telling = counts <= max(_COMMON_ITEMS, _COMMON_SHARE * len(words))
        order = np.argsort(at, kind="stable")
        order = order[is_telling[at[order]]]
        weights = np.log1p(len(words) / counts)
        totals = np.zeros(len(tokens))
        np.add.at(totals, owners[order], weights[at[order]])
        first = np.concatenate([[0], np.cumsum(counts[is_telling])])
        return cls(stems[is_telling], weights[is_telling], first, owners[order], totals, tokens)

    def find(
        self, stems: Stems, set_of: npt.NDArray[np.int32], is_wanted: npt.NDArray[np.bool_]
    ) -> tuple[int, float, int, int] | None:
        """Return the item of which most is found in a text, its share of 0 to 1, and the stretch's first and last word.

        Args:
            stems: of the text.
            set_of: shape (items,), the set of each item.
            is_wanted: shape (sets,), of which sets to look for items.
        """
        if not len(self.stems):
            return None
        place = np.minimum(np.searchsorted(self.stems, stems), len(self.stems) - 1)
        met = np.flatnonzero(self.stems[place] == stems)
        number = place[met]
        many = self.first[number + 1] - self.first[number]
        ends = np.cumsum(many)
        spans = np.arange(ends[-1] if len(ends) else 0) + np.repeat(self.first[number] - ends + many, many)
        items = self.items[spans]
        wanted = np.flatnonzero(is_wanted[set_of[items]])
        order = wanted[np.argsort(items[wanted], kind="stable")]
        item, share, start, end = _most_found(
            items[order], np.repeat(met, many)[order], np.repeat(number, many)[order], self.weights, self.totals,
            self.tokens,
        )  # fmt: skip
        return None if item < 0 else (int(item), float(share), int(start), int(end))


@compiled
def _most_found(items: Any, places: Any, stems: Any, weights: Any, totals: Any, tokens: Any) -> Any:
    """Go through the words found, by item and place, with a stretch that moves along."""
    times = np.zeros(len(weights), np.int64)
    best, best_item, best_start, best_end = 0.0, -1, 0, 0
    begin = 0
    while begin < len(items):
        item, end = items[begin], begin
        while end < len(items) and items[end] == item:
            end += 1
        first, found, weight = begin, 0, 0.0
        for i in range(begin, end if end - begin >= MIN_FOUND else begin):
            if times[stems[i]] == 0:
                found += 1
                weight += weights[stems[i]]
            times[stems[i]] += 1
            while places[i] - places[first] + 1 > _STRETCH * tokens[item]:
                times[stems[first]] -= 1
                if times[stems[first]] == 0:
                    found -= 1
                    weight -= weights[stems[first]]
                first += 1
            if found >= MIN_FOUND and weight > best * totals[item]:
                best, best_item = min(1.0, weight / totals[item]), item
                best_start, best_end = places[first], places[i]
        for i in range(first, end):
            times[stems[i]] = 0
        begin = end
    return best_item, best, best_start, best_end
