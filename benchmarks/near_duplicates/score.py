"""Scores the ids that tools kept against the planted truth.

Three measures of similarity are scored apart: ``char9`` and ``word5``, which the corpus holds (``yardstick``), and
``folded``: nine characters in every script, as the project itself folds them.

- recall at t: of the planted pairs with similarity of at least t, the share of which at most one was kept.
- false removals at t: removed documents whose most similar kept document is below t - 0.1. Kept documents are those
  of the same language; for a document under 20 folded characters, those of all languages, as so little text may be
  equal in several. A text without letters is never a false removal: it equals every other one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.near_duplicates.corpus import HOT
from benchmarks.near_duplicates.yardstick import SHINGLE_CHARS, Shingles, character_shingles, fold, word_shingles
from udfs import minhash

THRESHOLDS = (0.8, 0.7)
TOLERANCE = 0.1
SHORT_CHARS = 20
# A short text has under 20 shingles; one that it is like to 0.6 has under 34, so this many characters hold them all
# unless most of them are no letters, which the corpus does not make.
_LIKE_SHORT_CHARS = 200
_TEXTS_LOOKED_UP = 2000  # of a tool; above that a sample, scaled
_PLAN = minhash.SketchPlan((SHINGLE_CHARS,) * 5, 256, 1, 1)


def folded_shingles(text: str) -> npt.NDArray[np.uint32]:
    """Return the shingles of a text as the project folds it: sorted distinct hashes, uint32."""
    return np.frombuffer(minhash.shingle_sets(pa.array([text]), _PLAN)[0].as_buffer(), np.uint32)


MEASURES: dict[str, Callable[[str], Shingles]] = {
    "char9": character_shingles,
    "word5": word_shingles,
    "folded": folded_shingles,
}


@dataclass(frozen=True, slots=True)
class Truth:
    """A corpus with its planted pairs.

    ``a`` and ``b`` are places of documents, int64; ``similarity`` holds that of each pair by each measure, float64.
    """

    ids: npt.NDArray[Any]
    languages: npt.NDArray[Any]
    texts: pa.Array
    kinds: npt.NDArray[Any]
    a: npt.NDArray[np.int64]
    b: npt.NDArray[np.int64]
    similarity: dict[str, npt.NDArray[np.float64]]


def load(corpus: Path) -> Truth:
    """Read a corpus and what is planted in it.

    Raises:
        FileNotFoundError: if the corpus was made without its planted pairs.
    """
    if not (corpus / "pairs.parquet").exists():
        raise FileNotFoundError(f"{corpus} has no pairs.parquet: it was made with --no-truth, and cannot be scored.")
    docs, pairs, plan = (pq.read_table(corpus / f"{name}.parquet") for name in ("docs", "pairs", "plan"))
    ids = docs["doc_id"].to_numpy()
    order = np.argsort(ids)

    def places(named: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        return order[np.searchsorted(ids, named.to_numpy(), sorter=order)]

    kinds = np.empty(len(ids), object)
    kinds[places(plan["doc_id"])] = plan["kind"].to_numpy()
    a, b = places(pairs["a"]), places(pairs["b"])
    similarity = {name: pairs[name].to_numpy() for name in ("char9", "word5")}
    texts = docs["text"].cast(pa.large_string()).combine_chunks()  # plain strings end at 2 GiB
    similarity["folded"] = _folded_similarity(texts, a, b)
    return Truth(ids, docs["language"].to_numpy(), texts, kinds, a, b, similarity)


def _folded_similarity(texts: pa.Array, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    needed, places = np.unique(np.concatenate([a, b]), return_inverse=True)
    sets = [folded_shingles(text) for text in texts.take(pa.array(needed)).to_pylist()]
    return np.array(
        [minhash.set_similarity(sets[x], sets[y]) for x, y in zip(places[: len(a)], places[len(a) :], strict=True)],
        np.float64,
    )


def score(truth: Truth, kept_by: Mapping[str, Iterable[str]]) -> dict[str, dict[str, Any]]:
    """Score the ids that each tool kept.

    All tools are scored in one pass over the texts, which is what takes the time.

    Returns:
        For each tool kept, removed, hot_kept; and ``recall_MEASURE_THRESHOLD`` and ``false_MEASURE_THRESHOLD``.

    Raises:
        ValueError: if a tool kept a document that the corpus does not have.
    """
    is_kept, scores = {}, {}
    for tool, ids in kept_by.items():
        wanted = np.unique(np.array(list(ids), object).astype(str))
        is_kept[tool] = np.isin(truth.ids.astype(str), wanted)
        if is_kept[tool].sum() != len(wanted):
            strange = np.setdiff1d(wanted, truth.ids.astype(str))
            raise ValueError(f"{tool} kept {len(strange)} documents that the corpus does not have, as {strange[0]}")
        scores[tool] = {
            "kept": int(is_kept[tool].sum()),
            "removed": int((~is_kept[tool]).sum()),
            "hot_kept": int((is_kept[tool] & (truth.kinds == HOT)).sum()),
        }
    for measure, shingles in MEASURES.items():
        similarity = truth.similarity[measure]
        best = _best_kept(truth, is_kept, similarity, shingles)
        for tool, kept in is_kept.items():
            for threshold in THRESHOLDS:
                true = similarity >= threshold
                both = kept[truth.a[true]] & kept[truth.b[true]]
                scores[tool][f"recall_{measure}_{threshold}"] = round(1 - float(both.mean()), 4) if len(both) else None
                false = sum(times for nearest, times in best[tool] if nearest < threshold - TOLERANCE)
                scores[tool][f"false_{measure}_{threshold}"] = round(false)
    return scores


def _best_kept(
    truth: Truth,
    is_kept: Mapping[str, npt.NDArray[np.bool_]],
    similarity: npt.NDArray[np.float64],
    shingles: Callable[[str], Shingles],
) -> dict[str, list[tuple[float, float]]]:
    """For each tool, the similarity of removed documents to the kept one nearest to them, and how many have it.

    Documents that are near enough to a kept one of their planted cluster are left out: they are no false removals.
    """
    enough = max(THRESHOLDS) - TOLERANCE
    doubtful: dict[str, dict[tuple[str, str], int]] = {}
    for tool, kept in is_kept.items():
        best = np.where(kept, 1.0, 0.0)
        only_a, only_b = kept[truth.a] & ~kept[truth.b], kept[truth.b] & ~kept[truth.a]
        np.maximum.at(best, truth.b[only_a], similarity[only_a])
        np.maximum.at(best, truth.a[only_b], similarity[only_b])
        places = np.flatnonzero(best < enough)
        doubtful[tool] = {}
        for place, text in zip(places, truth.texts.take(pa.array(places)).to_pylist(), strict=True):
            key = (truth.languages[place], text)  # equal texts, the hot one above all, are looked up once
            doubtful[tool][key] = doubtful[tool].get(key, 0) + 1
    samples = {tool: _sample(list(texts)) for tool, texts in doubtful.items()}
    nearest = _nearest_kept(truth, is_kept, samples, shingles)
    return {
        tool: [
            (nearest[tool][key], doubtful[tool][key] * len(doubtful[tool]) / len(sample)) for key in sample
        ]
        for tool, sample in samples.items()
    }  # fmt: skip


def _sample(keys: list[tuple[str, str]]) -> list[tuple[str, str]]:
    if len(keys) <= _TEXTS_LOOKED_UP:
        return keys
    return [keys[i] for i in np.linspace(0, len(keys) - 1, _TEXTS_LOOKED_UP).astype(int)]


def _nearest_kept(
    truth: Truth,
    is_kept: Mapping[str, npt.NDArray[np.bool_]],
    samples: Mapping[str, list[tuple[str, str]]],
    shingles: Callable[[str], Shingles],
) -> dict[str, dict[tuple[str, str], float]]:
    """Compare every text looked up with every kept document it could be like, by tool."""
    nearest: dict[str, dict[tuple[str, str], float]] = {tool: {} for tool in samples}
    lengths = pc.utf8_length(truth.texts).to_numpy()
    wanted = sorted({key for sample in samples.values() for key in sample})
    long, short, empty = [], [], []
    for key in wanted:
        chars = len(fold(key[1]))
        (empty if chars == 0 else short if chars < SHORT_CHARS else long).append(key)
    groups = [
        ([key for key in long if key[0] == language], truth.languages == language)
        for language in sorted({key[0] for key in long})
    ]
    groups.append((short, lengths < _LIKE_SHORT_CHARS))
    for keys, is_in_pool in groups:
        compared = _Lookup([shingles(text) for _, text in keys])
        pool: dict[str, list[int]] = {}  # equal texts once
        places = np.flatnonzero(is_in_pool & np.any(list(is_kept.values()), axis=0)) if keys else np.zeros(0, np.int64)
        for place, text in zip(places, truth.texts.take(pa.array(places)).to_pylist(), strict=True):
            pool.setdefault(text, []).append(place)
        best = {tool: np.zeros(len(keys)) for tool in samples}
        for text, at in pool.items():
            similarities = compared.similarities(shingles(text))
            for tool, kept in is_kept.items():
                if kept[at].any():
                    np.maximum(best[tool], similarities, out=best[tool])
        for tool in samples:
            nearest[tool].update(zip(keys, best[tool].tolist(), strict=True))
    for tool in samples:
        nearest[tool].update(dict.fromkeys(empty, 1.0))
    return nearest


class _Lookup:
    """Compares one set of shingles with many at a time."""

    def __init__(self, sets: list[Shingles]):
        self.sizes = np.array([len(each) for each in sets], np.int64)
        values = np.concatenate(sets) if sets else np.zeros(0, np.uint64)
        owners = np.repeat(np.arange(len(sets)), self.sizes)
        order = np.argsort(values, kind="stable")
        self.owners = owners[order]
        self.distinct, starts = np.unique(values[order], return_index=True)
        self.starts = np.append(starts, len(values))

    def similarities(self, shingles: Shingles) -> npt.NDArray[np.float64]:
        """Return the Jaccard similarity of a set to each of those held, float64."""
        if len(self.distinct) == 0 or len(shingles) == 0:
            return np.zeros(len(self.sizes))
        found = np.minimum(np.searchsorted(self.distinct, shingles), len(self.distinct) - 1)
        found = found[self.distinct[found] == shingles]
        starts, counts = self.starts[found], self.starts[found + 1] - self.starts[found]
        # Places of all owners of the shingles found: one run of consecutive numbers a shingle.
        places = np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts)
        shared = np.bincount(self.owners[places], minlength=len(self.sizes))
        return shared / (self.sizes + len(shingles) - shared)
