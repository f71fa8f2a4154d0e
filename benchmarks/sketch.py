"""Sketching of documents for deduplication: ours against datasketch, same texts, one core, one run.

    python benchmarks/sketch.py [FOLDER ...]

Both sketch the same documents with the same 9-character shingles: ours into 256 bins by one-permutation hashing, from
Arrow's buffers, folding included; datasketch into 256 permutations, from shingles that were cut and folded before the
clock starts. Rounds alternate; the least time of three counts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
from datasketch import MinHash

from udfs import minhash
from udfs.minhash import SketchPlan

ROOT = Path(__file__).resolve().parents[1]
CHARS, SIZE, ROUNDS, DOCUMENTS = 9, 256, 3, 400


def documents(folders: list[Path]) -> list[str]:
    files = [str(file) for folder in folders for file in sorted(folder.rglob("*.parquet"))]
    return ds.dataset(files).to_table(columns=["text"]).column("text").to_pylist()


def shingles(text: str) -> list[bytes]:
    folded = " ".join("".join(char if char.isalnum() else " " for char in text.casefold()).split())
    return [folded[at : at + CHARS].encode() for at in range(max(1, len(folded) - CHARS + 1))]


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    texts = documents([Path(each) for each in sys.argv[1:]] or [ROOT / "data" / "demo"])
    few = texts[:: max(1, len(texts) // DOCUMENTS)][:DOCUMENTS]  # datasketch would take minutes for all
    arrow = pa.array(texts, pa.large_string())
    cut = [shingles(text) for text in few]
    plan = SketchPlan((CHARS,) * 5, SIZE, *minhash.optimal_bands(0.8, SIZE, (0.05, 0.95)))
    minhash.sketch(arrow[:2], None, plan)  # compiles

    def theirs() -> None:
        for each in cut:
            MinHash(num_perm=SIZE).update_batch(each)

    ours_s, theirs_s = [], []
    for _ in range(ROUNDS):
        ours_s.append(seconds(lambda: minhash.sketch(arrow, None, plan)))
        theirs_s.append(seconds(theirs))
    ours, peer = len(texts) / min(ours_s), len(few) / min(theirs_s)
    print(f"{len(texts):,} documents, mean {sum(map(len, texts)) / len(texts):,.0f} characters, {SIZE} hash values")
    print(f"ours                       {ours:>10,.0f} documents/s")
    print(f"datasketch {version('datasketch'):<15} {peer:>10,.0f} documents/s")
    print(f"ratio                      {ours / peer:>10,.1f}")


if __name__ == "__main__":
    main()
