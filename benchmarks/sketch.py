"""Sketching of documents for deduplication: ours against datasketch and rensa, same texts, one core, one run.

    python benchmarks/sketch.py [--rensa PYTHON] [FOLDER ...]

All sketch the same documents with the same 9-character shingles: ours into 256 bins by one-permutation hashing, from
Arrow's buffers, folding included; the others from shingles that were cut and folded before the clock starts,
datasketch into 256 permutations, rensa into 256 and into 128, which its users take. Rensa runs in the interpreter
PYTHON, which has it. Rounds alternate; the least time of three counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections import defaultdict
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


RENSA = """
import json, sys, time
from importlib.metadata import version
from rensa import RMinHash
texts = json.load(sys.stdin)
def once(size):
    start = time.perf_counter()
    for each in texts:
        RMinHash(num_perm=size, seed=1).update(each)
    return time.perf_counter() - start
once(128)
print(json.dumps([version("rensa"), {size: once(size) for size in (128, 256)}]))
"""


def rensa(python: str, cut: list[list[bytes]]) -> tuple[str, dict[str, float]]:
    """Version of rensa, and seconds by the number of permutations."""
    texts = json.dumps([[each.decode() for each in shingles] for shingles in cut])
    done = subprocess.run([python, "-c", RENSA], input=texts, capture_output=True, text=True, check=True)
    name, times = json.loads(done.stdout)
    return name, times


def main() -> None:
    cli = argparse.ArgumentParser()
    cli.add_argument("--rensa", metavar="PYTHON", help="interpreter that has rensa")
    cli.add_argument("folders", nargs="*", type=Path, default=[ROOT / "data" / "demo"])
    args = cli.parse_args()
    texts = documents(args.folders)
    few = texts[:: max(1, len(texts) // DOCUMENTS)][:DOCUMENTS]  # datasketch would take minutes for all
    arrow = pa.array(texts, pa.large_string())
    cut = [shingles(text) for text in few]
    plan = SketchPlan((CHARS,) * 5, SIZE, *minhash.optimal_bands(0.8, SIZE, (0.05, 0.95)))
    minhash.sketch(arrow[:2], None, plan)  # compiles

    def theirs() -> None:
        for each in cut:
            MinHash(num_perm=SIZE).update_batch(each)

    ours_s: list[float] = []
    peers_s: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        ours_s.append(seconds(lambda: minhash.sketch(arrow, None, plan)))
        peers_s[f"datasketch {version('datasketch')}, {SIZE}"].append(seconds(theirs))
        if args.rensa:
            name, times = rensa(args.rensa, cut)
            for size, spent in times.items():
                peers_s[f"rensa {name}, {size}"].append(spent)
    ours = len(texts) / min(ours_s)
    print(f"{len(texts):,} documents, mean {sum(map(len, texts)) / len(texts):,.0f} characters, {SIZE} hash values")
    print(f"{'':<26}{'documents/s':>12}{'ours over it':>14}")
    print(f"{'ours':<26}{ours:>12,.0f}")
    for name, spent in peers_s.items():
        print(f"{name:<26}{len(few) / min(spent):>12,.0f}{ours * min(spent) / len(few):>14,.1f}")


if __name__ == "__main__":
    main()
