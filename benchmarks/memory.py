"""A lake of generated pairs with the tables of some stages, and the memory that a command takes over it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from jobs.runtime.conf import language_table
from jobs.runtime.lake import Lake
from jobs.runtime.recipe import load_recipe
from jobs.runtime.schema import DOCUMENTS, PAIRS, RUNS, TAIL, join_columns
from jobs.runtime.session import get_session

LANGUAGES = 200
_SAMPLES_A_SECOND = 2
_RECIPE = "muri"  # whose settings and columns the tables have
_TABLES = ("documents", "clean", "dedup", "screen", "pairs")
_SOURCES = {"wikipedia": "wikipedia-parquet", "culturax": "culturax", "xp3": "xp3"}
_DUPLICATES_EACH = 20
_VERBS = ["Write", "Describe", "Explain", "List", "Summarise", "Find"]
_NOUNS = ["a story", "the process", "the rules", "five examples", "a recipe", "how it works"]


def generated_lake(work: Path, pairs: int) -> Path:
    """Return a lake of so many pairs, some 2 KB each, in 200 languages; made if it is not there."""
    folder = work.absolute() / f"lake-{pairs}"
    if not (folder / "_made").exists():
        shutil.rmtree(folder, ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
        # In a process of its own, whose memory is not the command's.
        subprocess.run([sys.executable, "-m", "benchmarks.memory", str(folder), str(pairs)], check=True)
        (folder / "_made").touch()
    return folder


def measure(command: Sequence[str]) -> tuple[float, float]:
    """Run a command; return its seconds, and the most memory in GiB that it and its children had at once.

    Pages that processes share, such as those of forked workers, are counted once. Ends this program if the command
    fails.
    """
    started, most = time.monotonic(), 0
    process = psutil.Popen(command)
    while process.poll() is None:
        most = max(most, sum(map(_bytes, [process, *_children(process)])))
        time.sleep(1 / _SAMPLES_A_SECOND)
    if process.returncode:
        sys.exit(process.returncode)
    return time.monotonic() - started, most / 2**30


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def _bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:  # ended meanwhile; the others count
        return 0


def _make(folder: Path, pairs: int) -> None:
    spark = get_session(folder.parent / "make.log")
    lake, recipe = Lake(spark, str(folder)), load_recipe(_RECIPE)
    rows = _rows(spark, pairs)
    for before, name in zip(("", *_TABLES), _TABLES, strict=False):
        settings = recipe.decisive(name)
        if name == "documents":
            settings = {f"sources.{source}.kind": kind for source, kind in _SOURCES.items()} | {"pivot": "eng_Latn"}
        own = {"documents": join_columns(DOCUMENTS, TAIL), "pairs": PAIRS}
        schema = own[name] if name in own else recipe.schema(name)
        properties = {"recipe": "generated", "fingerprint": "0" * 16, "generation": "0"}
        properties |= {"settings": json.dumps(settings)} | ({"upstream": before} if before else {})
        lake.ensure(name, schema, properties)
        lake.append(_filled(rows if name == "pairs" else _rejected(rows, name), schema), name, "generated", 0)
    lake.ensure("runs", RUNS, {}, partition_by=())
    lake.append(_filled(_batches(rows), RUNS), "runs", "generated", 0)
    spark.stop()


def _rows(spark: SparkSession, pairs: int) -> DataFrame:
    """Return the columns of all tables."""
    table = language_table()
    codes = [code for code in table if table.get(code).wikipedia][:LANGUAGES]

    def drawn(salt: int, among: int) -> Column:
        return F.pmod(F.xxhash64("id", F.lit(salt)), F.lit(among)).cast("int")

    def pick(values: list[str], salt: int) -> Column:
        return F.element_at(F.array(*map(F.lit, values)), drawn(salt, len(values)) + 1)

    def words(count: Column, salt: int, of: str = "id") -> Column:
        made = F.transform(F.sequence(F.lit(1), count), lambda at: F.hex(F.xxhash64(of, at, F.lit(salt))))
        return F.array_join(made, " ")

    # Every twentieth document repeats the one behind it, but for its last words.
    is_duplicate = (F.col("id") % _DUPLICATES_EACH == 0) & (F.col("id") + 1 < pairs)
    rows = spark.range(0, pairs, 1, 16).withColumn("told", F.when(is_duplicate, F.col("id") + 1).otherwise(F.col("id")))
    key = F.sha2(F.col("id").cast("string"), 256)
    kept = F.sha2(F.col("told").cast("string"), 256)
    many = F.pmod(F.xxhash64("told", F.lit(4)), F.lit(220)).cast("int") + 10
    text = F.concat_ws(" ", words(many, 5, "told"), words(F.lit(1), 6))
    instruction = F.concat_ws(" ", pick(_VERBS, 7), pick(_NOUNS, 8), F.lit("about"), words(drawn(9, 10) + 1, 10))
    has_repeat = F.col("id") % _DUPLICATES_EACH < 2
    translator, score = "ctranslate2-4.8.5:google/madlad400-3b-mt:int8", F.pmod(F.xxhash64("id"), F.lit(100)) / 100
    values = {
        "pair_id": key, "doc_id": key, "revision": F.lit("0"), "language": pick(codes, 1),
        "source": pick(list(_SOURCES), 2), "split": pick(["train"] * 18 + ["validation", "test"], 3),
        "split_group": key, "license": F.lit("CC-BY-SA-4.0"), "origin": F.lit("part-0.parquet"),
        "instruction": instruction, "instruction_src": instruction, "instruction_en": instruction,
        "output": text, "text": text, "text_en": text, "text_chars": F.char_length(text),
        "output_chars": F.char_length(text), "instruction_chars": F.char_length(instruction),
        "translator": F.lit(translator), "back_translator": F.lit(translator),
        "generator": F.lit("openai:mistralai/Mixtral-8x7B-Instruct-v0.1"),
        "duplicate_of": F.when(is_duplicate, kept), "similarity": F.when(is_duplicate, F.lit(0.9)),
        "cluster_id": F.when(has_repeat, kept), "cluster_size": F.when(has_repeat, F.lit(2)),
        "document_batch": F.lit(0), "batch_id": F.lit(0),
        **dict.fromkeys(
            ("repeated_line_share", "symbol_share", "script_share", "hate_score", "translation_quality",
             "instruction_score", "copied_share", "answer_share", "semantic_similarity", "document_language_score"),
            score,
        ),
    }  # fmt: skip
    return rows.select(*(column.alias(name) for name, column in values.items()))


def _rejected(rows: DataFrame, stage: str) -> DataFrame:
    """Return a stage's rows: none holds its instruction, and some are rejected."""
    reasons = {
        "clean": F.when(F.col("symbol_share") > 0.9, F.lit("clean.symbols")),
        "dedup": F.when(F.col("duplicate_of").isNotNull(), F.lit("dedup.duplicate")),
        "screen": F.when(F.col("hate_score") > 0.5, F.lit("screen.hate")),
    }
    reason = reasons.get(stage, F.lit(None).cast("string"))
    return rows.drop("instruction").withColumn("rejected_for", F.array_compact(F.array(reason)))


def _batches(rows: DataFrame) -> DataFrame:
    """Return rows of ``runs``: a batch a stage, in every language."""
    entered = {
        "run_id": F.lit("generated"), "recipe": F.lit("generated"), "fingerprint": F.lit("0" * 16),
        "generation": F.lit(0), "batch_id": F.lit(0), "rows_alive": F.col("rows_in") - 1, "rows_rejected": F.lit(1),
        "engines": F.array(F.lit("generated")), "reasons": F.create_map(F.lit("screen.hate"), F.lit(1)),
        "started_at": F.lit(datetime(2026, 1, 1, tzinfo=UTC)), "batch_seconds": F.lit(60.0),
        "prompt_tokens": F.lit(1_000),
    }  # fmt: skip
    counted = rows.groupBy("language").agg(F.count("*").alias("rows_in"), F.sum("text_chars").alias("characters"))
    stages = F.explode(F.array(*map(F.lit, _TABLES))).alias("stage")
    return counted.select("*", stages).withColumns(entered)


def _filled(rows: DataFrame, schema: StructType) -> DataFrame:
    """Return rows with the columns of a table: those that are not generated are empty or null."""
    empty = {field.name: F.lit(None) if field.nullable else F.array() for field in schema.fields}
    return rows.select(
        *(
            (F.col(field.name) if field.name in rows.columns else empty[field.name])
            .cast(field.dataType)
            .alias(field.name)
            for field in schema.fields
        )
    )


if __name__ == "__main__":
    _make(Path(sys.argv[1]), int(sys.argv[2]))
