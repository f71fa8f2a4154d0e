"""The table ``runs``: what every batch of every stage took in and gave, by language."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.runtime.lake import Lake
from jobs.runtime.schema import RUNS
from jobs.stages.base import Stage

TABLE: Final = "runs"


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
        return f"{self.recipe}/{self.stage}/{self.fingerprint}/{self.generation}"


def count_rows(docs: DataFrame) -> dict[str, tuple[int, int]]:
    """Return rows and characters by language. Input columns: language, text_chars."""
    counts = docs.groupBy("language").agg(F.count("*").alias("rows"), F.sum("text_chars").alias("characters"))
    return {row["language"]: (row["rows"], row["characters"] or 0) for row in counts.collect()}


def summarise(
    written: DataFrame, rows_in: dict[str, tuple[int, int]], batch: BatchId, run_id: str, labels: Iterable[str]
) -> DataFrame:
    """Return what one batch wrote as rows of RUNS.

    Args:
        written: the batch's rows as they are in the stage's table, alive and rejected.
        rows_in: rows and characters by language that came in, counted upstream.
        batch: which batch.
        run_id: which run.
        labels: columns of ``written`` that hold engine labels.
    """
    spark = written.sparkSession
    came_in = spark.createDataFrame(
        [(language, rows, characters) for language, (rows, characters) in sorted(rows_in.items())],
        "language string, rows_in long, characters long",
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

    def batches(self, stage: str, generation: int) -> DataFrame:
        """Return the numbers of the stage's batches that are entered. Output columns: batch_id."""
        runs = self.lake.read(TABLE, RUNS)
        is_wanted = (F.col("stage") == stage) & (F.col("generation") == generation)
        return runs.where(is_wanted).select("batch_id").distinct()

    def record(
        self,
        written: DataFrame,
        rows_in: dict[str, tuple[int, int]],
        batch: BatchId,
        stage: Stage | None,
        started_at: datetime,
    ) -> None:
        """Append the batch to ``runs``, once."""
        rows = summarise(written, rows_in, batch, self.run_id, stage.labels if stage else ())
        seconds = (datetime.now(UTC) - started_at).total_seconds()
        rows = rows.withColumns({"started_at": F.lit(started_at), "batch_seconds": F.lit(seconds)})
        # Two or three rows: one task and one file.
        self.lake.append(rows.select(*RUNS.fieldNames()).coalesce(1), TABLE, f"runs/{batch.app_id}", batch.batch_id)


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
