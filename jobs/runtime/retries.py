"""Rows that are sent through a stage again, as those whose engine failed.

A retry is entered in the table ``retries`` before its rows leave the stage's table, and marked on that table when they
are gone, and again when the stage has made them anew: whatever is killed in between, the next run goes on from there.
The new rows are appended, so the stages after it get them as they get all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Final
from uuid import uuid4

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from jobs.runtime import removals
from jobs.runtime.errors import BackpromptError
from jobs.runtime.ingest import newest_rows
from jobs.runtime.lake import Lake
from jobs.runtime.ledger import entered, withdraw
from jobs.runtime.reasons import Reason
from jobs.runtime.schema import ROW_KEY

TABLE: Final = "retries"
SCHEMA: Final = StructType(
    [
        StructField("retry_id", StringType(), False),
        StructField("stage", StringType(), False),
        StructField("generation", LongType(), False),  # of the stage's table; void once that is made again
        StructField("batch_id", LongType(), False),  # of the rows that are made anew; below 0, apart from a stream's
        StructField("doc_id", StringType(), False),
        StructField("document_batch", LongType(), False),
        StructField("asked_at", TimestampType(), False),
    ]
)
# A removal's entries in ``runs`` have -1.
_FIRST_BATCH: Final = -2


@dataclass(frozen=True, slots=True)
class Retry:
    """Rows of one stage that are to be made anew."""

    retry_id: str
    stage: str
    batch_id: int

    def rows(self, upstream: DataFrame, lake: Lake) -> DataFrame:
        """Return the rows of the table before the stage that the retry is of. Columns: those of ``upstream``."""
        is_alive = F.size("rejected_for") == 0
        return upstream.where(is_alive).join(F.broadcast(self._keys(lake)), ROW_KEY, how="left_semi")

    def finish(self, lake: Lake) -> None:
        """Note that the stage has made the rows anew."""
        lake.set_properties(TABLE, {f"done.{self.retry_id}": "true"})

    def take_out(self, lake: Lake) -> None:
        """Take the rows out of the stage's table; a repeat does nothing more."""
        mine = self._keys(lake)
        rows = lake.read(self.stage).where(F.size("rejected_for") > 0).join(mine, ROW_KEY, how="left_semi")
        withdraw(lake, self.stage, rows, f"retry/{self.retry_id}", self.retry_id)
        same = "old.doc_id = gone.doc_id AND old.document_batch = gone.document_batch AND size(old.rejected_for) > 0"
        lake.delta(self.stage).alias("old").merge(mine.alias("gone"), same).whenMatchedDelete().execute()
        lake.set_properties(TABLE, {f"out.{self.retry_id}": "true"})

    def _keys(self, lake: Lake) -> DataFrame:
        return lake.read(TABLE, SCHEMA).where(F.col("retry_id") == self.retry_id).select(*ROW_KEY)


def ask(lake: Lake, pattern: str) -> Mapping[str, int]:
    """Have the next run send rows through again that were rejected for a reason.

    Args:
        lake: the lake; nobody else writes it.
        pattern: a reason, or ``engine.*`` for all that start so.

    Returns:
        How many rows, by stage. Of a document that has a newer revision none are taken.

    Raises:
        BackpromptError: if no such reason can be tried again.
    """
    codes = [reason.value for reason in Reason if fnmatchcase(reason.value, pattern)]
    by_stage = {code: _stage_of(code) for code in codes}
    if not any(by_stage.values()):
        asked = "is none that a stage gives" if not codes else "says no more than the same settings would say again"
        known = ", ".join(reason.value for reason in Reason if _stage_of(reason.value))
        raise BackpromptError(f"--reason {pattern}: {asked}. Those that can be tried again: {known}")
    removals.complete_unfinished(lake)
    lake.ensure(TABLE, SCHEMA, {}, partition_by=())
    for retry in unfinished(lake):
        _complete(lake, retry)
    newest = newest_rows(lake)
    counts: dict[str, int] = {}
    for stage in dict.fromkeys(filter(None, by_stage.values())):
        if not lake.exists(stage):
            continue
        mine = [code for code, owner in by_stage.items() if owner == stage]
        wanted = F.arrays_overlap("rejected_for", F.array(*map(F.lit, mine)))
        # Of a batch that was killed before it was entered nothing is taken: the next run finishes it first.
        rows = lake.read(stage).where(wanted).join(entered(lake, stage), "batch_id", how="left_semi")
        rows = rows.select(*ROW_KEY).join(newest, ROW_KEY, how="left_semi")
        counts[stage] = _enter(lake, stage, rows)
    for retry in unfinished(lake):
        _complete(lake, retry)
    return {stage: count for stage, count in counts.items() if count}


def unfinished(lake: Lake, stage: str | None = None) -> Iterator[Retry]:
    """Yield the retries whose rows were not made anew yet, oldest first; with ``stage``, those that wait for it."""
    if not lake.exists(TABLE):
        return
    properties = lake.properties(TABLE)
    asked = lake.read(TABLE, SCHEMA).groupBy("retry_id", "stage", "generation", "batch_id").count()
    for row in asked.orderBy(F.desc("batch_id")).collect():
        retry = Retry(row["retry_id"], row["stage"], row["batch_id"])
        is_void = str(row["generation"]) != lake.properties(retry.stage)["generation"]
        if f"done.{retry.retry_id}" not in properties and not is_void and stage in (None, retry.stage):
            if stage is not None:
                _complete(lake, retry)
            yield retry


def _complete(lake: Lake, retry: Retry) -> None:
    if f"out.{retry.retry_id}" not in lake.properties(TABLE):
        retry.take_out(lake)


def _enter(lake: Lake, stage: str, rows: DataFrame) -> int:
    retry_id, asked_at = uuid4().hex, datetime.now(UTC)
    last = (lake.read(TABLE).agg(F.min("batch_id")).first() or [None])[0]
    batch_id = _FIRST_BATCH if last is None else last - 1
    entered = rows.distinct().select(
        F.lit(retry_id).alias("retry_id"),
        F.lit(stage).alias("stage"),
        F.lit(int(lake.properties(stage)["generation"])).cast("long").alias("generation"),
        F.lit(batch_id).cast("long").alias("batch_id"),
        *ROW_KEY,
        F.lit(asked_at).alias("asked_at"),
    )
    lake.append(entered.select(*SCHEMA.fieldNames()), TABLE, f"retry/{retry_id}", 0)
    return lake.read(TABLE).where(F.col("retry_id") == retry_id).count()


def _stage_of(code: str) -> str | None:
    """Return the stage that gives a reason, if trying again can give another result."""
    if code.startswith("engine."):
        return code.removeprefix("engine.").removesuffix("_failed")
    return None
