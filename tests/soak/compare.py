"""Two lakes compared row for row and column for column; times, run ids and batch numbers aside."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.runtime.batches import INDEXED
from jobs.runtime.lake import Lake
from jobs.stages.dedup import entries
from tests.soak.processes import STAGES

ASIDE = ("batch_id", "document_batch")
_RUNS_ASIDE = ("run_id", "batch_id", "started_at", "batch_seconds")
TABLES = (*STAGES, "splits", "runs", "translation_cache", "dedup_lines_index", *(f"{name}_index" for name in INDEXED))
# Which of them hold anything depends on what was killed.
NOT_COMPARED = ("lease", "removals", "retries")
_KEYS = {"pairs": ["pair_id"], "splits": ["pair_id"], "dedup_lines_index": ["hash"], "translation_cache": ["cache_key"]}
_RUNS_KEY = ["stage", "language"]


def differences(expected: Lake, found: Lake, tables: tuple[str, ...] = TABLES) -> list[str]:
    """Return what differs, a line each: table, key, column, both values; empty if nothing does."""
    return [*_unknown(found), *(line for table in tables for line in _of_table(expected, found, table))]


def row_counts(lake: Lake) -> dict[str, int]:
    """Return how many rows the tables hold, an index's entries counted."""
    return {table: _comparable(lake, table).count() for table in TABLES}


def _unknown(lake: Lake) -> Iterator[str]:
    for log in sorted(Path(lake.location).glob("*/_delta_log")):
        if log.parent.name not in (*TABLES, *NOT_COMPARED):
            yield f"{log.parent.name}: a table that nothing compares"


def _of_table(expected: Lake, found: Lake, table: str) -> Iterator[str]:
    missing = [str(lake) for lake in (expected, found) if not lake.exists(table)]
    if missing:
        yield f"{table}: no such table in {' and '.join(missing)}"
        return
    key, one, two = _key(table), _comparable(expected, table), _comparable(found, table)
    if one.columns != two.columns:
        yield f"{table}: columns {one.columns} and {two.columns}"
        return
    rows, others = _by_key(one, key), _by_key(two, key)
    for name in sorted(rows.keys() | others.keys(), key=repr):
        left, right = Counter(rows.get(name, [])), Counter(others.get(name, []))
        if left == right:
            continue
        more, less = list((left - right).elements()), list((right - left).elements())
        where = f"{table} {dict(zip(key, name, strict=True))}"
        if len(more) != len(less):
            yield f"{where}: {sum(left.values())} rows and {sum(right.values())}; only there {more} and {less}"[:2000]
            continue
        for a, b in zip(sorted(more, key=repr), sorted(less, key=repr), strict=True):
            for column, was, now in zip(one.columns, a, b, strict=True):
                if was != now:
                    yield f"{where}, column {column}: {_short(was)} and {_short(now)}"


def _key(table: str) -> list[str]:
    return _RUNS_KEY if table == "runs" else _KEYS.get(table, ["doc_id"])


def _comparable(lake: Lake, table: str) -> DataFrame:
    rows = lake.read(table)
    if table == "runs":
        # Of a text that stands in two documents, which batch found it in the cache is free.
        texts = F.col("cache_hits") + F.col("cache_misses")
        return _sums(rows.withColumn("cached_texts", texts).drop("cache_hits", "cache_misses"))
    if table == "translation_cache":
        rows = rows.drop("doc_id")
    if table in {f"{name}_index" for name in INDEXED}:
        # How many entries go into a block is free; what a block is named after is, too.
        rows = entries(rows)
    return rows.select(*sorted(name for name in rows.columns if name not in ASIDE))


def _sums(runs: DataFrame) -> DataFrame:
    """Return what the batches of a stage and language add up to. Which files make a batch is free."""
    group = ["recipe", "stage", "fingerprint", "generation", "language"]
    counts = [name for name in runs.columns if name not in (*group, *_RUNS_ASIDE, "reasons", "engines")]
    sums = runs.groupBy(*group).agg(
        *(F.sum(name).alias(name) for name in counts),
        F.sort_array(F.array_distinct(F.flatten(F.collect_list("engines")))).alias("engines"),
    )
    reasons = (
        runs.select(*group, F.explode("reasons").alias("reason", "count"))
        .groupBy(*group, "reason")
        .agg(F.sum("count").alias("count"))
        .groupBy(*group)
        .agg(F.sort_array(F.collect_list(F.struct("reason", "count"))).alias("reasons"))
    )
    return sums.join(reasons, group, how="left")


def _by_key(rows: DataFrame, key: list[str]) -> dict[tuple[Any, ...], list[tuple[Any, ...]]]:
    places = [rows.columns.index(name) for name in key]
    found: dict[tuple[Any, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows.collect():
        values = tuple(_hashable(value) for value in row)
        found[tuple(values[place] for place in places)].append(values)
    return found


def _hashable(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(map(_hashable, value))
    return bytes(value) if isinstance(value, bytearray) else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + f"... ({len(text)} characters)"
