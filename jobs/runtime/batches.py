"""How one batch of each kind of stage is written: once, whatever is killed in between.

Every write is a single Delta commit that carries the stage's application id and the batch's number, so a batch that is
run again after a crash repeats no write that was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.runtime.lake import Lake
from jobs.runtime.ledger import BatchId, Ledger, count_rows
from jobs.runtime.reasons import Reason
from jobs.runtime.schema import SPLITS
from jobs.stages import STAGES, dedup, pairs
from jobs.stages.base import Resources, Stage, StageSettings, flag

SPLITS_TABLE: Final = "splits"
INDEX_TABLE: Final = "dedup_index"


@dataclass(frozen=True, slots=True)
class Work:
    """One batch of a stage: everything its writer needs."""

    lake: Lake
    stage: Stage
    settings: StageSettings
    resources: Resources
    columns: tuple[str, ...]
    batch: BatchId
    docs: DataFrame
    """Alive rows of the table before."""
    rows_per_file: int

    def append(self, rows: DataFrame, table: str) -> None:
        """Append rows to a table of the stage, once, with the batch's number on them."""
        app_id = f"{self.batch.app_id}/{table}"
        self.lake.append(self.numbered(rows), table, app_id, self.batch.batch_id, self.rows_per_file)

    def numbered(self, rows: DataFrame) -> DataFrame:
        """Put the batch's number on rows, in place of the number of the batch before it in the way."""
        return rows.withColumn("batch_id", F.lit(self.batch.batch_id).cast("long"))

    def written(self) -> DataFrame:
        """Return the batch's rows as they are in the stage's table."""
        return self.lake.read(self.stage.name).where(F.col("batch_id") == self.batch.batch_id)


def write_records(work: Work) -> DataFrame:
    """Run the stage's function over the batch and append its rows."""
    tasks = work.settings.tasks or int(work.docs.sparkSession.conf.get("spark.sql.shuffle.partitions") or 2)
    # By id, so that every task gets its share of each language whatever the files before it hold.
    spread = work.docs.repartition(tasks, "doc_id")
    transform = work.stage.transform
    assert transform is not None, f"stage {work.stage.name} has neither a transform nor a writer"
    rows = transform(spread, work.settings, work.resources)
    work.append(rows.select(*work.columns), work.stage.name)
    return work.written()


def write_deduplicated(work: Work) -> DataFrame:
    """Compare the batch with itself and with what earlier batches kept; append its rows, and its kept index entries.

    The index is read up to the batch before, so a batch that is run again decides the same.
    """
    settings = work.settings
    assert isinstance(settings, dedup.DedupSettings)
    docs = work.docs.transform(with_newest)
    index = work.lake.read(INDEX_TABLE, dedup.INDEX).where(F.col("batch_id") < work.batch.batch_id)
    old = None if index.isEmpty() else index.drop("batch_id")
    new = dedup.sketch(docs.where("is_newest"), settings).persist()
    decisions = dedup.decide(new, old, settings).persist()
    try:
        work.append(dedup.kept_entries(new, decisions), INDEX_TABLE)
        newest = dedup.with_decisions(docs.where("is_newest"), decisions)
        is_older = ~F.col("is_newest")
        older = docs.where(is_older).withColumns({name: F.lit(None) for name in work.stage.adds.fieldNames()})
        rows = newest.unionByName(flag(older, is_older, Reason.SUPERSEDED))
        work.append(rows.select(*work.columns), work.stage.name)
        if old is not None:
            _drop_superseded_entries(work)
    finally:
        decisions.unpersist()
        new.unpersist()
    return work.written()


def _drop_superseded_entries(work: Work) -> None:
    """Take the entries of earlier revisions of the batch's documents out of the index.

    A replay decides the same without them: a document's own earlier revisions never count.
    """
    ids = work.docs.select("doc_id").distinct().alias("new")
    is_earlier = f"entry.doc_id = new.doc_id AND entry.batch_id < {work.batch.batch_id}"
    work.lake.delta(INDEX_TABLE).alias("entry").merge(ids, is_earlier).whenMatchedDelete().execute()


def with_newest(docs: DataFrame) -> DataFrame:
    """Add is_newest: false for a revision that another in the same batch replaces. Input columns: the record."""
    newest = Window.partitionBy("doc_id").orderBy(F.desc("document_batch"))
    return docs.withColumn("is_newest", F.row_number().over(newest) == 1)


def write_pairs(work: Work) -> DataFrame:
    """Give new documents their split, then merge the pairs: a changed one is replaced and keeps its split."""
    docs = work.docs.transform(with_newest).where("is_newest").drop("is_newest")
    assigned = work.lake.read(SPLITS_TABLE, SPLITS)
    new = pairs.assign_splits(docs, assigned, work.resources.seed)
    work.lake.append(new, SPLITS_TABLE, f"{work.batch.app_id}/{SPLITS_TABLE}", work.batch.batch_id)
    # Read again: whether a DataFrame made before the append sees it depends on how the table was named.
    rows = pairs.to_pairs(work.numbered(docs), work.lake.read(SPLITS_TABLE, SPLITS))
    changed = " OR ".join(
        f"NOT (pair.`{name}` <=> new.`{name}`)" for name in work.columns if name not in ("pair_id", "batch_id")
    )
    (
        work.lake.delta(work.stage.name)
        .alias("pair")
        .merge(rows.select(*work.columns).alias("new"), "pair.pair_id = new.pair_id")
        .whenMatchedUpdateAll(condition=changed)
        .whenNotMatchedInsertAll()
        .execute()
    )
    # Not by the batch's number: a pair that did not change keeps the number of the batch that made it.
    ids = docs.select(F.col("doc_id").alias("pair_id"))
    standing = work.lake.read(work.stage.name).join(ids, "pair_id", how="left_semi")
    return standing.withColumn("rejected_for", F.array().cast("array<string>"))


WRITERS: dict[str, Callable[[Work], DataFrame]] = {"dedup": write_deduplicated, "pairs": write_pairs}
"""Stages with state of their own; every other stage is written by `write_records`."""


@dataclass(frozen=True, slots=True)
class BatchProcessor:
    """What a stream calls for each batch. Plain data, so that a Spark Connect session can send it to its server."""

    location: str
    stage: str
    settings: StageSettings
    resources: Resources
    columns: tuple[str, ...]
    life: BatchId
    run_id: str
    rows_per_file: int

    def __call__(self, docs: DataFrame, batch_id: int) -> None:
        """Write one batch and enter it in ``runs``."""
        listener = _LISTENERS.get(self.life.app_id)
        try:
            rows = self._process(docs, batch_id)
        except Exception as error:
            if listener:
                listener.failures.append(error)
            raise
        if listener:
            listener.count(rows)

    def _process(self, docs: DataFrame, batch_id: int) -> int:
        started_at = datetime.now(UTC)
        lake = Lake(docs.sparkSession, self.location)
        stage = STAGES[self.stage]
        batch = replace(self.life, batch_id=batch_id)
        came_in = count_rows(docs)
        if not came_in:
            return 0
        work = Work(lake, stage, self.settings, self.resources, self.columns, batch, docs, self.rows_per_file)
        # Read back rather than computed twice; after a crash this is all that is left to do.
        written = WRITERS.get(self.stage, write_records)(work)
        Ledger(lake, batch.recipe, self.run_id).record(written, came_in, batch, stage, started_at)
        return sum(rows for rows, _ in came_in.values())


@dataclass(frozen=True, slots=True)
class _Listener:
    count: Callable[[int], None]
    failures: list[Exception]


# A batch runs in this process but in a session, sometimes a thread, of its own; a processor holds no live objects.
_LISTENERS: Final[dict[str, _Listener]] = {}


@contextmanager
def listening(app_id: str, count: Callable[[int], None]) -> Iterator[list[Exception]]:
    """Hear, meanwhile, of the batches of one stage: ``count(rows)`` after each; yields what they raised."""
    listener = _LISTENERS[app_id] = _Listener(count, [])
    try:
        yield listener.failures
    finally:
        del _LISTENERS[app_id]
