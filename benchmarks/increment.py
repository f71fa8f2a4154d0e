"""What one per cent more documents costs the main job: `backprompt run` from nothing, then again with N/100 new ones.

    python -m benchmarks.increment --documents 1000 4000 16000

Spanish and Catalan documents of the demo's sentences, mixed anew, go through every stage of the demo's recipe,
Apertium included. Each run is a cold process; its CPU seconds are those of the process tree. What Spark itself takes
to start and stop, measured by a run that finds nothing new, is beside them. Model calls are counted from `runs`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.near_duplicates import watch

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = {"es": "spa_Latn", "ca": "cat_Latn"}
SHORTEST = 60  # characters of a line that counts as a sentence
MODEL_STAGES = ("translate", "instruct", "back_translate")
RECIPE = """
name: increment
sources:
{sources}
stages:
  clean: {{min_chars: 200}}
  dedup_lines:
  dedup:
  translate: {{engine: {{kind: apertium}}}}
  instruct: {{engine: {{kind: template}}}}
  back_translate: {{engine: {{kind: apertium}}}}
  screen:
  dedup_instructions:
  dedup_outputs:
  group:
  pairs:
"""
SOURCE = """  - kind: jsonl
    name: {language}
    path: {language}
    license: CC-BY-SA-4.0
    language: {code}
    genre: encyclopedic
    columns: {{id: id, title: title, text: text}}
"""


def sentences() -> dict[str, list[str]]:
    """Sentences by language."""
    found = {}
    for language in LANGUAGES:
        files = sorted((ROOT / "data" / "demo").glob(f"*/{language}/*.parquet"))
        texts = [text for file in files for text in pq.read_table(file, columns=["text"])["text"].to_pylist()]
        found[language] = sorted({line for text in texts for line in text.splitlines() if len(line) >= SHORTEST})
    return found


def write(folder: Path, first: int, last: int, file: str, lines: dict[str, list[str]]) -> None:
    """Write the documents with the numbers from ``first`` to before ``last``, half in each language."""
    for language, pool in lines.items():
        (folder / language).mkdir(parents=True, exist_ok=True)
        with open(folder / language / file, "w", encoding="utf-8") as out:
            for number in range(first, last):
                chance = random.Random(f"{language} {number}")
                if number % len(lines) == list(lines).index(language):
                    row = {"id": str(number), "title": f"{chance.choice(pool).split()[0]} {number}"}
                    out.write(json.dumps({**row, "text": "\n".join(chance.sample(pool, 10))}) + "\n")


def run(folder: Path, lake: Path) -> float:
    """Bring the lake up to date; CPU seconds of that."""
    command = [sys.executable, "-m", "jobs", "run", "--recipe", str(folder / "increment.yaml"), "--lake", str(lake)]
    with open(folder / "run.log", "a", encoding="utf-8") as log:
        usage = watch.run(command, {**os.environ, "PYTHONPATH": str(ROOT)}, ROOT, log, limit_s=6 * 3600)
    if usage.exit_code != 0:
        raise SystemExit(f"{' '.join(command)} failed; see {folder / 'run.log'}")
    return usage.cpu_s


def model_calls(lake: Path) -> dict[str, int]:
    """Rows that each model stage has taken in so far, by `backprompt status`."""
    command = [sys.executable, "-m", "jobs", "status", "--lake", str(lake), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return {stage["stage"]: stage["rows_in"] for stage in json.loads(done.stdout)["stages"]}


def main(argv: Sequence[str] | None = None) -> None:
    cli = argparse.ArgumentParser(prog="python -m benchmarks.increment", description=__doc__.splitlines()[0])
    cli.add_argument("--documents", type=int, nargs="+", default=[1000, 4000])
    cli.add_argument("--work", type=Path, default=ROOT / "build" / "increment")
    args = cli.parse_args(argv)
    lines = sentences()
    heading = ("documents", "new", "CPU s, all", "CPU s, new", "CPU s, nothing", "all / new", "without start", "calls")
    print("| " + " | ".join(heading) + " |\n|" + " --: |" * len(heading))
    for count in args.documents:
        folder, new = args.work / str(count), max(1, count // 100)
        shutil.rmtree(folder, ignore_errors=True)
        write(folder, 0, count, "a.jsonl", lines)
        sources = "".join(SOURCE.format(language=language, code=code) for language, code in LANGUAGES.items())
        (folder / "increment.yaml").write_text(RECIPE.format(sources=sources), encoding="utf-8")
        lake = folder / "lake"
        whole = run(folder, lake)
        before = model_calls(lake)
        write(folder, count, count + new, "b.jsonl", lines)
        some = run(folder, lake)
        nothing = run(folder, lake)
        calls = {stage: after - before[stage] for stage, after in model_calls(lake).items()}
        told = ", ".join(f"{stage} {calls[stage]}" for stage in MODEL_STAGES)
        ratio, bare = whole / some, (whole - nothing) / (some - nothing)
        cells = (
            f"{count:,}",
            f"{new:,}",
            f"{whole:.0f}",
            f"{some:.0f}",
            f"{nothing:.0f}",
            f"{ratio:.1f}",
            f"{bare:.1f}",
        )
        print("| " + " | ".join((*cells, told)) + " |", flush=True)


if __name__ == "__main__":
    main()
