"""The table ``runs``: what every batch of every stage took in and gave, by language."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.runtime.lake import Lake
from jobs.runtime.schema import RUNS
from jobs.stages.base import Stage

TABLE: Final = "runs"
WITHDRAWN: Final = -1
"""Batch number of rows of ``runs`` that take others back."""


@dataclass(slots=True)
class Tally:
    """Sums over batches: one cell of the funnel."""

    rows_in: int = 0
    alive: int = 0
    rejected: int = 0
    characters: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    engines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchId:
    """Which batch of which stage, in which life of its table."""

    recipe: str
    stage: str
    fingerprint: str
    generation: int
    batch_id: int

    @property
    def app_id(self) -> str:
        """Return the application id under which Delta remembers the stage's batches."""
        stream = f"{self.recipe}/{self.stage}/{self.fingerprint}/{self.generation}"
        # Retries count below 0, beside the stream, and Delta takes no version that is not above the last one.
        return f"{stream}/again" if self.batch_id < 0 else stream

    @property
    def version(self) -> int:
        """Return the number under which Delta remembers this batch."""
        return abs(self.batch_id)


def count_rows(docs: DataFrame) -> dict[str, tuple[int, int]]:
    """Return rows and characters by language. Input columns: language, text_chars."""
    counts = docs.groupBy("language").agg(F.count("*").alias("rows"), F.sum("text_chars").alias("characters"))
    return {row["language"]: (row["rows"], row["characters"] or 0) for row in counts.collect()}


def summarise(
    written: DataFrame,
    rows_in: dict[str, tuple[int, int]],
    batch: BatchId,
    run_id: str,
    labels: Iterable[str],
    looked_up: Mapping[str, tuple[int, int]] | None = None,
) -> DataFrame:
    """Return what one batch wrote as rows of RUNS.

    Args:
        written: the batch's rows as they are in the stage's table, alive and rejected.
        rows_in: rows and characters by language that came in, counted upstream.
        batch: which batch.
        run_id: which run.
        labels: columns of ``written`` that hold engine labels.
        looked_up: texts found in the translation cache, and texts not found, by language; None for a stage without.
    """
    spark = written.sparkSession
    came_in = spark.createDataFrame(
        [
            (language, *counts, *(looked_up or {}).get(language, (None, None)))
            for language, counts in sorted(rows_in.items())
        ],
        "language string, rows_in long, characters long, cache_hits long, cache_misses long",
    )
    alive = F.size("rejected_for") == 0
    engines = [F.collect_set(label) for label in labels]
    has_tokens = "prompt_tokens" in written.columns and batch.stage == "instruct"
    counted = written.groupBy("language").agg(
        F.count_if(alive).alias("rows_alive"),
        F.count_if(~alive).alias("rows_rejected"),
        (F.sort_array(F.array_distinct(F.concat(*engines))) if engines else F.array().cast("array<string>")).alias(
            "engines"
        ),
        (F.sum("prompt_tokens") if has_tokens else F.lit(None)).cast("long").alias("prompt_tokens"),
        (F.sum("completion_tokens") if has_tokens else F.lit(None)).cast("long").alias("completion_tokens"),
    )
    reasons = (
        written.select("language", F.explode("rejected_for").alias("reason"))
        .groupBy("language", "reason")
        .count()
        .groupBy("language")
        .agg(F.map_from_entries(F.sort_array(F.collect_list(F.struct("reason", "count")))).alias("reasons"))
    )
    zero = F.lit(0).cast("long")
    return (
        came_in.join(counted, "language", how="full")
        .join(reasons, "language", how="left")
        .select(
            F.lit(run_id).alias("run_id"),
            F.lit(batch.recipe).alias("recipe"),
            F.lit(batch.stage).alias("stage"),
            F.lit(batch.fingerprint).alias("fingerprint"),
            F.lit(batch.generation).cast("long").alias("generation"),
            F.lit(batch.batch_id).cast("long").alias("batch_id"),
            "language",
            *(F.coalesce(name, zero).alias(name) for name in ("rows_in", "rows_alive", "rows_rejected")),
            F.coalesce("reasons", F.create_map().cast("map<string,bigint>")).alias("reasons"),
            F.coalesce("characters", zero).alias("characters"),
            "prompt_tokens",
            "completion_tokens",
            "cache_hits",
            "cache_misses",
            F.coalesce("engines", F.array().cast("array<string>")).alias("engines"),
        )
    )


class Ledger:
    """Writes and reads ``runs``."""

    def __init__(self, lake: Lake, recipe: str, run_id: str) -> None:
        self.lake, self.recipe, self.run_id = lake, recipe, run_id

    def ensure(self) -> None:
        """Make the table if it is not there."""
        self.lake.ensure(TABLE, RUNS, {}, partition_by=())

    def record(
        self,
        written: DataFrame,
        rows_in: dict[str, tuple[int, int]],
        batch: BatchId,
        stage: Stage | None,
        started_at: datetime,
        looked_up: Mapping[str, tuple[int, int]] | None = None,
    ) -> dict[str, Tally]:
        """Append the batch to ``runs``, once; what was entered, by language, without reasons and engines."""
        found = summarise(written, rows_in, batch, self.run_id, stage.labels if stage else (), looked_up).collect()
        seconds = (datetime.now(UTC) - started_at).total_seconds()
        rest = {"started_at": started_at, "batch_seconds": seconds}
        rows = [tuple((row.asDict() | rest)[name] for name in RUNS.fieldNames()) for row in found]
        entries = self.lake.spark.createDataFrame(rows, RUNS)
        # Two or three rows: one task and one file.
        self.lake.append(entries.coalesce(1), TABLE, f"runs/{batch.app_id}", batch.version)
        return {
            row["language"]: Tally(row["rows_in"], row["rows_alive"], row["rows_rejected"], row["characters"])
            for row in found
        }


def present_life(lake: Lake, stage: str) -> BatchId:
    """Return what names the batches of a stage's present table; its batch number is of no account."""
    properties = lake.properties(stage)
    return BatchId(properties["recipe"], stage, properties["fingerprint"], int(properties["generation"]), WITHDRAWN)


def entered(lake: Lake, stage: str) -> DataFrame:
    """Return the batches of a stage's present table that are entered. Output columns: batch_id, started_at."""
    is_present = (F.col("stage") == stage) & (F.col("generation") == int(lake.properties(stage)["generation"]))
    runs = lake.read(TABLE, RUNS).where(is_present & (F.col("batch_id") != WITHDRAWN))
    return runs.groupBy("batch_id").agg(F.min("started_at").alias("started_at"))


def is_entered(lake: Lake, batch: BatchId) -> bool:
    """Say whether a batch is entered, which is the last that is done of it."""
    is_of_table = (F.col("stage") == batch.stage) & (F.col("generation") == batch.generation)
    return not lake.read(TABLE, RUNS).where(is_of_table & (F.col("batch_id") == batch.batch_id)).isEmpty()


def withdraw(lake: Lake, stage: str, rows: DataFrame, app_id: str, run_id: str) -> None:
    """Take rows that are about to leave a stage's table off its account in ``runs``, once for each ``app_id``.

    Args:
        lake: the lake.
        stage: name of the stage and its table.
        rows: rows of the table, alive or rejected.
        app_id: name of what takes them out; a repeat with the same one does nothing.
        run_id: what ``runs`` has for it.
    """
    counts = count_rows(rows)
    if not counts:
        return
    gone = summarise(rows, counts, present_life(lake, stage), run_id, ())
    signs = {name: -F.col(name) for name in ("rows_in", "rows_alive", "rows_rejected", "characters")}
    signs["reasons"] = F.transform_values("reasons", lambda _, count: -count)
    nothing = F.lit(None).cast("long")
    signs |= {"prompt_tokens": nothing, "completion_tokens": nothing}  # they were spent all the same
    signs |= {"started_at": F.lit(datetime.now(UTC)), "batch_seconds": F.lit(0.0)}
    lake.append(gone.withColumns(signs).select(*RUNS.fieldNames()).coalesce(1), TABLE, f"{app_id}/{stage}", 0)


def tallies(lake: Lake) -> dict[str, dict[str, Tally]]:
    """Return the funnel of a lake: stage -> language -> sums over the batches of the table's present life."""
    runs = _present(lake)
    sums = runs.groupBy("stage", "language").agg(
        *(F.sum(name).alias(name) for name in ("rows_in", "rows_alive", "rows_rejected", "characters")),
        F.sort_array(F.array_distinct(F.flatten(F.collect_list("engines")))).alias("engines"),
    )
    reasons = (
        runs.select("stage", "language", F.explode("reasons").alias("reason", "count"))
        .groupBy("stage", "language", "reason")
        .agg(F.sum("count").alias("count"))
        .where("count <> 0")  # rows that were all taken back
    )
    funnel: dict[str, dict[str, Tally]] = defaultdict(dict)
    for row in sums.collect():
        funnel[row["stage"]][row["language"]] = Tally(
            row["rows_in"], row["rows_alive"], row["rows_rejected"], row["characters"], engines=tuple(row["engines"])
        )
    for row in reasons.orderBy("reason").collect():
        funnel[row["stage"]][row["language"]].reasons[row["reason"]] = row["count"]
    return dict(funnel)


def seconds_by_stage(lake: Lake) -> dict[str, float]:
    """Return the seconds each stage worked, over the batches of its table's present life."""
    batches = _present(lake).dropDuplicates(["stage", "batch_id"])
    rows = batches.groupBy("stage").agg(F.sum("batch_seconds").alias("seconds")).collect()
    return {row["stage"]: row["seconds"] for row in rows}


def _present(lake: Lake) -> DataFrame:
    runs = lake.read(TABLE, RUNS)
    newest = runs.groupBy("stage").agg(F.max("generation").alias("generation"))
    return runs.join(newest, ["stage", "generation"], how="left_semi")
