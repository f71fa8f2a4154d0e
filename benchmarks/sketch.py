"""Sketching of documents for deduplication: ours against datasketch and rensa, same texts, one core, one run.

    python benchmarks/sketch.py [--rensa PYTHON] [FOLDER ...]

All sketch the same documents with the same 9-character shingles: ours into 256 bins by one-permutation hashing, from
texts in Arrow's buffers, folding included; the others from shingles that were cut and folded before the clock starts,
rensa, which runs in the interpreter PYTHON, also from texts that it folds and cuts in Python. Datasketch makes 256
permutations, rensa 256 and 128, which its users take. Rounds alternate; the least time of three counts.
"""

from __future__ import annotations

import argparse
import inspect
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


def shingles(text: str) -> list[str]:
    folded = " ".join("".join(char if char.isalnum() else " " for char in text.casefold()).split())
    return [folded[at : at + CHARS] for at in range(max(1, len(folded) - CHARS + 1))]


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# Rensa's interpreter has nothing of this project: it is handed the text of what it shares with it.
RENSA = (
    f"CHARS = {CHARS}\n"
    + inspect.getsource(shingles)
    + """
import json, sys, time
from importlib.metadata import version
from rensa import RMinHash
texts = json.load(sys.stdin)
cut = [shingles(text) for text in texts]
def once(size, of_texts):
    start = time.perf_counter()
    for at in range(len(texts)):
        made = RMinHash(num_perm=size, seed=1)
        made.update(shingles(texts[at]) if of_texts else cut[at])
        made.digest()
    return time.perf_counter() - start
once(128, False)
times = {f"{size}, {'texts' if of_texts else 'shingles'}": once(size, of_texts)
         for size in (128, 256) for of_texts in (False, True)}
print(json.dumps([version("rensa"), times]))
"""
)


def rensa(python: str, texts: list[str]) -> tuple[str, dict[str, float]]:
    """Version of rensa, and seconds by the number of permutations and what it is given."""
    done = subprocess.run([python, "-c", RENSA], input=json.dumps(texts), capture_output=True, text=True, check=True)
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
    cut = [[each.encode() for each in shingles(text)] for text in few]
    plan = SketchPlan((CHARS,) * 5, SIZE, *minhash.optimal_bands(0.8, SIZE, (0.05, 0.95)))
    minhash.sketch(arrow[:2], None, plan)  # compiles

    def theirs() -> None:
        for each in cut:
            MinHash(num_perm=SIZE).update_batch(each)

    ours_s: list[float] = []
    peers_s: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        ours_s.append(seconds(lambda: minhash.sketch(arrow, None, plan)))
        peers_s[f"datasketch {version('datasketch')}, {SIZE}, shingles"].append(seconds(theirs))
        if args.rensa:
            name, times = rensa(args.rensa, few)
            for kind, spent in times.items():
                peers_s[f"rensa {name}, {kind}"].append(spent)
    ours = len(texts) / min(ours_s)
    print(f"{len(texts):,} documents, mean {sum(map(len, texts)) / len(texts):,.0f} characters, {SIZE} hash values")
    print(f"{'':<32}{'documents/s':>12}{'ours over it':>14}")
    print(f"{'ours, texts':<32}{ours:>12,.0f}")
    for name, spent in peers_s.items():
        print(f"{name:<32}{len(few) / min(spent):>12,.0f}{ours * min(spent) / len(few):>14,.1f}")


if __name__ == "__main__":
    main()
