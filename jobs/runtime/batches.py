"""How one batch of each kind of stage is written: once, whatever is killed in between.

Every write is a single Delta commit that carries the stage's application id and the batch's number, so a batch that is
run again after a crash repeats no write that was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import MapType, StructType

from jobs.runtime import ledger, removals, translation_cache
from jobs.runtime.dedup_index import DedupIndex
from jobs.runtime.errors import BackpromptError
from jobs.runtime.failures import FailureRate
from jobs.runtime.ingest import newest_revision, newest_rows
from jobs.runtime.lake import Lake
from jobs.runtime.ledger import BatchId, Ledger, Tally, count_incoming
from jobs.runtime.reasons import Reason
from jobs.runtime.recipe import FIRST, LAST
from jobs.runtime.schema import PAIRS, ROW_KEY, SPLITS
from jobs.runtime.translation_cache import BatchCache
from jobs.stages import STAGES, dedup, dedup_lines, group, pairs
from jobs.stages.base import HOLDS_PAIR, EngineStageSettings, Resources, Stage, StageSettings, flag, pass_pairs

SPLITS_TABLE: Final = "splits"
_MAPS: Final = frozenset(field.name for field in PAIRS.fields if isinstance(field.dataType, MapType))


INDEXED: Final = (*dedup.TARGETS, group.STAGE.name)
"""Stages that compare with an index of earlier batches."""


def index_table(stage: str) -> str:
    """Return the name of a deduplicating stage's index."""
    return f"{stage}_index"


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
    failures: FailureRate | None
    """Counts what the stage's engine fails on; None if that is not to stop the run."""
    cache: BatchCache | None = None
    """What was translated before; None for a stage that keeps no translations."""
    may_be_repeated: bool = True
    """Whether a run may have been killed in this batch; only the first that a run works on can be one."""
    holds_pairs: bool = True
    """Whether rows of the batch may hold their instruction already."""
    holds_documents: bool = True
    """Whether rows of the batch may lack it."""

    def parted(self, docs: DataFrame) -> tuple[DataFrame, DataFrame | None]:
        """Return the rows that the stage works on, and those that pass it, with its columns; None if it takes all."""
        if self.stage.of_pairs is None or not self.holds_pairs:
            return docs, None
        passing = pass_pairs(docs.where(HOLDS_PAIR), self.stage, self.settings, self.resources)
        return docs.where(f"NOT ({HOLDS_PAIR})"), passing.select(*self.columns)

    def append(self, rows: DataFrame, table: str) -> None:
        """Append rows to a table of the stage, once, with the batch's number on them."""
        app_id = f"{self.batch.app_id}/{table}"
        self.lake.append(self.numbered(rows), table, app_id, self.batch.version, self.rows_per_file)

    def numbered(self, rows: DataFrame) -> DataFrame:
        """Put the batch's number on rows, in place of the number of the batch before it in the way."""
        return rows.withColumn("batch_id", F.lit(self.batch.batch_id).cast("long"))

    def written(self) -> DataFrame:
        """Return the batch's rows as they are in the stage's table."""
        return self.lake.read(self.stage.name).where(F.col("batch_id") == self.batch.batch_id)

    def is_written(self) -> bool:
        """Say whether the batch's rows are in the stage's table: it is run again after a crash."""
        return self.may_be_repeated and not self.written().isEmpty()


def write_records(work: Work) -> DataFrame:
    """Run the stage's function over the batch and append its rows."""
    tasks = work.settings.tasks or int(work.docs.sparkSession.conf.get("spark.sql.shuffle.partitions") or 2)
    docs, passing = work.parted(work.docs)
    if passing is not None and not work.holds_documents:
        work.append(passing, work.stage.name)  # a stage's function would load its engines for no row
        return work.written()
    # By id, so that every task gets its share of each language whatever the files before it hold.
    spread = docs.repartition(tasks, "doc_id")
    if work.cache:
        # Spark joins in no fewer than its own number of shuffle partitions; an engine may need fewer tasks.
        spread = work.cache.look_up(docs, spread).coalesce(tasks)
    transform = work.stage.transform
    assert transform is not None, f"stage {work.stage.name} has neither a transform nor a writer"
    rows = transform(spread, work.settings, work.resources).select(*work.columns)
    if work.failures and isinstance(work.settings, EngineStageSettings):
        _append_checked(work, rows, passing, work.failures, work.settings.max_failure_rate)
    else:
        work.append(_with(rows, passing), work.stage.name)
    return work.written()


def _with(rows: DataFrame, passing: DataFrame | None) -> DataFrame:
    return rows if passing is None else rows.unionByName(passing)


def _append_checked(
    work: Work, rows: DataFrame, passing: DataFrame | None, failures: FailureRate, max_failure_rate: float
) -> None:
    """Append an engine's rows unless it failed on too many; kept meanwhile, so that no row is made twice."""
    if work.is_written():
        return  # a batch that is run again after a crash costs no model work
    kept = rows.persist(StorageLevel.DISK_ONLY)
    try:
        failures.check(kept, work.stage.name, max_failure_rate)
        work.append(_with(kept, passing), work.stage.name)
    finally:
        kept.unpersist()


def write_deduplicated(work: Work) -> DataFrame:
    """Compare the batch with itself and with what earlier batches kept; append its rows, and its kept index entries.

    Run again after a crash, what stands in the table decides: a document that others were duplicates of may have been
    removed meanwhile.
    """
    settings, target = work.settings, dedup.TARGETS[work.stage.name]
    assert isinstance(settings, dedup.DedupSettings)
    docs = work.docs.transform(with_newest)
    compared, passing = work.parted(docs.where("is_newest"))
    index = DedupIndex(work.lake, index_table(work.stage.name))
    new = dedup.sketch(compared.withColumn(target.column, settings.compared(target.column)), settings, target.column)
    new = new.persist()
    superseded: int | None = None
    try:
        if work.is_written():
            is_duplicate = F.array_contains("rejected_for", target.duplicate.value)
            entries = dedup.without(new, work.written().where(is_duplicate).select("doc_id"))
        else:
            decisions = dedup.decide(new, index.before(work.batch.batch_id), settings)
            newest = dedup.with_decisions(compared, decisions, target.duplicate, target.column, prefix=target.prefix)
            older = _superseded(docs, work.stage.adds, target.superseded)
            rows = newest.select(*work.columns).unionByName(older.select(*work.columns))
            work.append(_with(rows, passing), work.stage.name)
            entries, superseded = dedup.kept_entries(new, decisions), decisions.superseded
        index.append(entries, f"{work.batch.app_id}/{index.table}", work.batch.batch_id)
        if superseded != 0:
            index.forget(docs, before=work.batch.batch_id)
    finally:
        new.unpersist()
    return work.written()


def write_grouped(work: Work) -> DataFrame:
    """Give the batch's rows their splits; append the rows, then the splits, then the index entries.

    Splits and entries are made of the rows as they stand, so a batch that is run again after a crash decides nothing
    anew.
    """
    settings = work.settings
    assert isinstance(settings, group.GroupSettings)
    docs = work.docs.transform(with_newest)
    newest = docs.where("is_newest")
    index = DedupIndex(work.lake, index_table(work.stage.name))
    assigned = work.lake.read(SPLITS_TABLE, SPLITS)
    blocks = group.sketch(newest, settings).persist()
    superseded: int | None = None
    try:
        if not work.is_written():
            earlier = work.lake.read(work.stage.name).where(F.size("rejected_for") == 0).select(*group.PARTS)
            found = group.find_groups(newest, blocks, index.before(work.batch.batch_id), earlier, assigned, settings)
            rows = group.with_splits(newest, found.rows, assigned, work.resources.seed).select(*work.columns)
            older = _superseded(docs, work.stage.adds, Reason.SUPERSEDED_GROUP)
            work.append(rows.unionByName(older.select(*work.columns)), work.stage.name)
            superseded = found.superseded
        written = work.written()
        work.lake.append(
            group.splits_of(written, assigned), SPLITS_TABLE, f"{work.batch.app_id}/{SPLITS_TABLE}", work.batch.version
        )
        rejected = written.where(F.array_contains("rejected_for", Reason.BETWEEN_SPLITS.value)).select("doc_id")
        index.append(dedup.without(blocks, rejected), f"{work.batch.app_id}/{index.table}", work.batch.batch_id)
        if superseded != 0:
            index.forget(docs, before=work.batch.batch_id)
    finally:
        blocks.unpersist()
    return work.written()


def write_line_deduplicated(work: Work) -> DataFrame:
    """Take lines that many documents share out of the batch's texts; append its rows, and who holds which line.

    What is taken out follows from this batch's holders and those of earlier ones, so a batch that is run again decides
    the same.
    """
    settings = work.settings
    assert isinstance(settings, dedup_lines.DedupLinesSettings)
    docs = work.docs.transform(with_newest)
    newest, passing = work.parted(docs.where("is_newest").drop("is_newest"))
    table = index_table(work.stage.name)
    holders = dedup_lines.line_holders(newest, settings)
    work.append(holders, table)
    index, number = work.lake.read(table, dedup_lines.LINE_INDEX), work.batch.batch_id
    new, old = index.where(F.col("batch_id") == number), index.where(F.col("batch_id") < number)
    rows = dedup_lines.remove_lines(newest, dedup_lines.repeated_lines(new, old, settings), settings)
    older = _superseded(docs, work.stage.adds, Reason.SUPERSEDED_LINES)
    rows = rows.select(*work.columns).unionByName(older.select(*work.columns))
    work.append(_with(rows, passing), work.stage.name)
    return work.written()


def _superseded(docs: DataFrame, adds: StructType, reason: Reason) -> DataFrame:
    """Return the revisions that another in the same batch replaces, with that as their reason."""
    is_older = ~F.col("is_newest")
    nothing = {each.name: F.lit(None).cast(each.dataType) for each in adds.fields}
    return flag(docs.where(is_older).withColumns(nothing), is_older, reason)


def with_newest(docs: DataFrame) -> DataFrame:
    """Add is_newest: false for a revision that another in the same batch replaces. Input columns: the record."""
    # Documents with two revisions in one batch are few; sorting all rows to find them would move every text.
    repeated = docs.groupBy("doc_id").agg(F.max("document_batch").alias("_newest"), F.count("*").alias("_revisions"))
    repeated = repeated.where("_revisions > 1").select("doc_id", "_newest")
    is_newest = F.col("_newest").isNull() | (F.col("document_batch") == F.col("_newest"))
    return docs.join(F.broadcast(repeated), "doc_id", how="left").withColumn("is_newest", is_newest).drop("_newest")


def write_pairs(work: Work) -> DataFrame:
    """Merge the pairs: a changed one is replaced."""
    docs = work.docs.transform(with_newest).where("is_newest").drop("is_newest")
    # A row that comes late, after a retry or a run in parts, is not to replace the pair of a newer revision.
    docs = docs.join(newest_rows(work.lake), ROW_KEY, how="left_semi")
    rows = pairs.to_pairs(work.numbered(docs))
    changed = " OR ".join(_differ(name) for name in work.columns if name not in ("pair_id", "batch_id"))
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


def _differ(column: str) -> str:
    """Return the condition under which a pair and a new one differ in a column."""
    # Spark does not compare maps.
    sides = [f"map_entries({side}.`{column}`)" if column in _MAPS else f"{side}.`{column}`" for side in ("pair", "new")]
    return f"NOT ({' <=> '.join(sides)})"


def drop_superseded_pairs(lake: Lake) -> None:
    """Take out pairs of a document whose newest revision was rejected on its way; all stages must be up to date."""
    newest = newest_revision(lake.read(FIRST))
    old = lake.read(LAST).select(F.col("pair_id").alias("doc_id"), "revision").join(newest, "doc_id")
    old = old.where("revision <> newest_revision").select(F.col("doc_id").alias("pair_id"), "revision")
    if not old.isEmpty():
        same = "pair.pair_id = old.pair_id AND pair.revision = old.revision"
        lake.delta(LAST).alias("pair").merge(old.alias("old"), same).whenMatchedDelete().execute()


WRITERS: dict[str, Callable[[Work], DataFrame]] = {
    "dedup_lines": write_line_deduplicated,
    group.STAGE.name: write_grouped,
    **dict.fromkeys(dedup.TARGETS, write_deduplicated),
    "pairs": write_pairs,
}
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
    takes_documents: bool = True
    """Whether the stage can work on rows without an instruction; false if its engines were not looked at."""

    def __call__(self, docs: DataFrame, batch_id: int) -> None:
        """Write one batch and enter it in ``runs``."""
        listener = _LISTENERS.get(self.life.app_id)
        try:
            if listener:
                listener.may_begin()
            failure_rate = listener.failure_rate if listener else FailureRate()
            # A stream that begins with its first batch may have lost its checkpoint.
            may_be_repeated = listener is None or (
                not listener.has_begun and (listener.may_be_repeated or batch_id == 0)
            )
            may_spend = listener.may_spend if listener else None
            entered = self.process(docs, batch_id, failure_rate, may_be_repeated, may_spend)
        except Exception as error:
            if listener:
                listener.failures.append(error)
            raise
        if listener:
            listener.has_begun = True
            listener.count(entered)

    def process(
        self,
        docs: DataFrame,
        batch_id: int,
        failure_rate: FailureRate | None,
        may_be_repeated: bool = True,
        may_spend: Callable[[Mapping[str, tuple[int, int]]], None] | None = None,
    ) -> dict[str, Tally]:
        """Write a batch of rows of the table before and enter it in ``runs``; what was entered, by language.

        Args:
            docs: alive rows of the table before.
            batch_id: the batch's number.
            failure_rate: counts what the stage's engine fails on; None if that is not to stop the run.
            may_be_repeated: whether a run may have been killed in this batch.
            may_spend: called with rows and characters by language of what the stage works on, before it does; may
                raise.
        """
        started_at = datetime.now(UTC)
        lake = Lake(docs.sparkSession, self.location)
        batch = replace(self.life, batch_id=batch_id)
        if may_be_repeated and ledger.is_entered(lake, batch):
            return {}  # all but the stream's own note of it was done; rows may have been taken out since
        voided = removals.all_removals(lake)
        if voided is not None:
            docs = removals.void(docs, voided)
        stage = STAGES[self.stage]
        came_in, without_instruction = count_incoming(docs)
        if not came_in:
            return {}
        documents_in = sum(rows for rows, _ in without_instruction.values())
        if documents_in and not self.takes_documents:
            raise BackpromptError(
                f"Stage {self.stage}: {documents_in:,} rows that came in are documents of an earlier recipe, and all "
                "sources of this one hold pairs, so the stage's engines were not checked. Put the source of the "
                "documents back into the recipe, or use another lake."
            )
        worked_on = came_in if stage.of_pairs is None else without_instruction
        if may_spend and worked_on:
            may_spend(worked_on)
        cache = None
        if documents_in and translation_cache.is_cached(self.stage, self.settings):
            cache = BatchCache(lake, self.settings, self.resources, batch, came_in)
        work = Work(
            lake,
            stage,
            self.settings,
            self.resources,
            self.columns,
            batch,
            docs,
            self.rows_per_file,
            failure_rate,
            cache,
            may_be_repeated,
            holds_pairs=documents_in < sum(rows for rows, _ in came_in.values()),
            holds_documents=documents_in > 0,
        )
        # Read back rather than computed twice; after a crash this is all that is left to do.
        written = WRITERS.get(self.stage, write_records)(work)
        stands = ledger.count(
            written, stage.labels, has_tokens="prompt_tokens" in stage.adds.fieldNames(), stage=self.stage
        )
        self._check_whole(stands, came_in, batch_id)
        looked_up = cache.remember(written) if cache else None
        return Ledger(lake, self.run_id).record(stands, came_in, batch, started_at, looked_up)

    def _check_whole(self, stands: Mapping[str, Tally], came_in: Mapping[str, tuple[int, int]], batch_id: int) -> None:
        """Make sure that what stands under the batch's number is this batch, and not one of another checkpoint."""
        if self.stage == LAST:
            return  # pairs are merged: an older revision's row makes none
        there = {language: tally.alive + tally.rejected for language, tally in stands.items()}
        short = {language: rows for language, (rows, _) in came_in.items() if there.get(language, 0) != rows}
        if short:
            counts = ", ".join(f"{each}: {rows} in, {there.get(each, 0)} there" for each, rows in short.items())
            raise BackpromptError(
                f"Batch {batch_id} of stage {self.stage} was written before with other rows ({counts}). The stream's "
                "checkpoint is not the one that the table was written with: name the right folder with --checkpoints, "
                f"or process again with --rebuild {self.stage}."
            )


@dataclass(slots=True)
class _Listener:
    may_begin: Callable[[], None]
    count: Callable[[dict[str, Tally]], None]
    failures: list[Exception]
    failure_rate: FailureRate
    may_be_repeated: bool
    may_spend: Callable[[Mapping[str, tuple[int, int]]], None] | None = None
    has_begun: bool = False


# A batch runs in this process but in a session, sometimes a thread, of its own; a processor holds no live objects.
_LISTENERS: Final[dict[str, _Listener]] = {}


@contextmanager
def listening(
    app_id: str,
    may_begin: Callable[[], None],
    count: Callable[[dict[str, Tally]], None],
    may_be_repeated: bool = True,
    may_spend: Callable[[Mapping[str, tuple[int, int]]], None] | None = None,
) -> Iterator[list[Exception]]:
    """Hear of the batches of one stage: ``may_begin()``, which may raise, before each, ``count(entered)`` after it.

    ``may_be_repeated`` says whether a run may have ended in the middle of the first of them. ``may_spend``, which may
    raise too, is called with rows and characters by language once these are known, before the batch is worked on.

    Yields what they raised.
    """
    listener = _LISTENERS[app_id] = _Listener(may_begin, count, [], FailureRate(), may_be_repeated, may_spend)
    try:
        yield listener.failures
    finally:
        del _LISTENERS[app_id]
