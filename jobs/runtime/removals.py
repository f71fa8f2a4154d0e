"""Documents that are taken out of a lake: which, why, and how they leave every table.

A removal is one commit to the table ``removals``. From then on its rows are void: no stage takes them in, wherever they
still stand. What follows takes them out of the tables one by one; every step may be repeated, so a removal that is
killed half-way is completed by the next command that writes the lake.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import Final, Literal
from uuid import uuid4

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from jobs.runtime import ledger, translation_cache
from jobs.runtime.dedup_index import DedupIndex
from jobs.runtime.lake import Lake
from jobs.runtime.recipe import FIRST, LAST
from jobs.runtime.schema import REVIEWS_TABLE, ROW_KEY
from jobs.stages import STAGES, dedup_lines

TABLE: Final = "removals"
# No text and no address: what is forgotten is known by a hash alone.
REMOVALS: Final = StructType(
    [
        StructField("removal_id", StringType(), False),
        StructField("doc_id", StringType(), False),
        StructField("source", StringType(), True),  # null for a document that the lake did not hold
        StructField("reason", StringType(), False),  # "forgotten" or "missing"
        # The newest of the document's rows; those up to it are void. -1 if the lake did not hold the document.
        StructField("document_batch", LongType(), False),
        StructField("removed_at", TimestampType(), False),
    ]
)
RemovalReason = Literal["forgotten", "missing"]
"""``forgotten``: for good, never taken in again. ``missing``: gone from its corpus; may come back as a new document."""

_NOT_HELD: Final = -1
_COUNTED: Final = ("language", "rejected_for", "text_chars")
_IS_VOID: Final = "held.doc_id = gone.doc_id AND held.document_batch <= gone.document_batch"
_IS_PAIR: Final = "held.pair_id = gone.doc_id"
_IS_REVIEW: Final = "held.pair_id = gone.doc_id OR held.other_pair_id = gone.doc_id"


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal took out."""

    removal_id: str
    rows: dict[str, int]
    """Rows by table, entries by index; without those that an earlier, interrupted attempt took out."""


def remove(lake: Lake, rows: DataFrame, reason: RemovalReason) -> Removed:
    """Take documents out of every table.

    Ids that the lake does not hold are remembered if they are to be forgotten, else passed over.

    Args:
        lake: where the tables are; no other process writes it.
        rows: column doc_id.
        reason: why; with ``forgotten`` a document loses its split too.
    """
    removal_id = uuid4().hex
    lake.ensure(TABLE, REMOVALS, {}, partition_by=())
    ids = rows.select("doc_id").distinct()
    entries = ids.join(_held(lake, ids), "doc_id", how="left").withColumn(
        "document_batch", F.coalesce("document_batch", F.lit(_NOT_HELD).cast("long"))
    )
    is_held = F.col("document_batch") > _NOT_HELD
    if reason == "missing":
        entries = entries.where(is_held)
    else:
        before = _all(lake).where(F.col("reason") == reason).select("doc_id", F.lit(True).alias("is_known")).distinct()
        entries = entries.join(before, "doc_id", how="left").where(is_held | F.col("is_known").isNull())
    entries = entries.withColumns(
        {
            "removal_id": F.lit(removal_id),
            "reason": F.lit(reason),
            "removed_at": F.lit(datetime.now(UTC)),
        }
    )
    lake.append(entries.select(*REMOVALS.fieldNames()), TABLE, f"removal/{removal_id}", 0)
    return complete(lake, removal_id)


def complete(lake: Lake, removal_id: str) -> Removed:
    """Take the rows of a removal out of every table, from the last to the first, and mark it as done.

    Every step may have been made before. The first table goes last, as a table's rows say how much the next one took
    in, which ``runs`` is put right by.
    """
    removal = _all(lake).where(F.col("removal_id") == removal_id)
    if removal.isEmpty():
        return Removed(removal_id, {})
    gone = removal.where(F.col("document_batch") > _NOT_HELD).select(*ROW_KEY)
    removed: dict[str, int] = {}
    if not gone.isEmpty():
        removed[translation_cache.TABLE] = translation_cache.forget(lake, gone)
        for name in reversed((FIRST, *STAGES)):
            if lake.exists(name):
                removed |= _take_rows(lake, name, gone, removal_id)
                removed |= _take_from_index(lake, name, gone)
    forgotten = removal.where(F.col("reason") == "forgotten").select("doc_id")
    removed |= _take_splits(lake, forgotten)
    if lake.exists(REVIEWS_TABLE):  # a reviewer's comment may quote the text
        removed[REVIEWS_TABLE] = _delete(lake, REVIEWS_TABLE, forgotten, _IS_REVIEW)
    lake.set_properties(TABLE, {_mark(removal_id): "true"})
    return Removed(removal_id, {table: count for table, count in removed.items() if count})


def unfinished(lake: Lake) -> list[str]:
    """Return the removals that were interrupted, in the order in which they were begun."""
    if not lake.exists(TABLE):
        return []
    begun = _all(lake).groupBy("removal_id").agg(F.min("removed_at").alias("at")).orderBy("at", "removal_id").collect()
    marks = lake.properties(TABLE)
    return [row["removal_id"] for row in begun if _mark(row["removal_id"]) not in marks]


def complete_unfinished(lake: Lake) -> list[Removed]:
    """Complete the removals that were interrupted; what a command that writes the lake does first."""
    return [complete(lake, removal_id) for removal_id in unfinished(lake)]


def all_removals(lake: Lake) -> DataFrame | None:
    """Return the table, None if nothing was ever removed. Output columns: REMOVALS."""
    return _all(lake) if lake.exists(TABLE) else None


def void(docs: DataFrame, removals: DataFrame) -> DataFrame:
    """Leave out the rows that a removal voids: a stream may still bring rows of before it.

    Input columns: doc_id, document_batch, any others; of ``removals``: doc_id, document_batch.
    Output columns: those of ``docs``.
    """
    gone = removals.where(F.col("document_batch") > _NOT_HELD).select(*ROW_KEY)
    # Texts stay where they are: ids and numbers of what was removed are small beside them.
    return docs.alias("held").join(F.broadcast(gone).alias("gone"), F.expr(_IS_VOID), how="left_anti")


def forgotten_ids(lake: Lake) -> DataFrame | None:
    """Return the documents that are never to be taken in again; None if there are none. Output columns: doc_id."""
    if not lake.exists(TABLE):
        return None
    return _all(lake).where(F.col("reason") == "forgotten").select("doc_id").distinct()


def newest_batch(lake: Lake) -> int:
    """Return the greatest number of a batch of ``documents`` that a removal voids; -1 if there is none.

    Its rows may all be gone, and no later batch may have its number: that batch would be void too.
    """
    if not lake.exists(TABLE):
        return _NOT_HELD
    newest = (_all(lake).agg(F.max("document_batch")).first() or [None])[0]
    return _NOT_HELD if newest is None else int(newest)


# --------------------------------------------------------------------------------------------------------------------


def _all(lake: Lake) -> DataFrame:
    return lake.read(TABLE, REMOVALS)


def _mark(removal_id: str) -> str:
    return f"done.{removal_id}"


def _held(lake: Lake, ids: DataFrame) -> DataFrame:
    """Find documents in all tables, as a rebuild that was killed leaves some in later tables alone.

    Output columns: doc_id, source, document_batch (the newest).
    """
    tables = [FIRST, *(name for name in STAGES if name != LAST and lake.exists(name))]
    found = (lake.read(name).select("doc_id", "source", "document_batch") for name in tables)
    rows = reduce(DataFrame.union, (each.join(ids, "doc_id", how="left_semi") for each in found))
    return rows.groupBy("doc_id").agg(
        F.max_by("source", "document_batch").alias("source"), F.max("document_batch").alias("document_batch")
    )


def _take_rows(lake: Lake, table: str, gone: DataFrame, removal_id: str) -> dict[str, int]:
    """Take a stage's rows out, and off the account of the table in ``runs``."""
    condition = _IS_PAIR if table == LAST else _IS_VOID
    standing = _standing(lake, table, gone, condition)
    count = standing.count()
    if table != LAST and not count:
        return {}
    counted = _taken_in_for_pairs(lake, gone) if table == LAST else _as_they_came(lake, table, standing)
    ledger.withdraw(lake, table, counted, f"removal/{removal_id}", removal_id)
    return {table: _delete(lake, table, gone, condition, count)}


def _take_from_index(lake: Lake, stage: str, gone: DataFrame) -> dict[str, int]:
    """Take documents out of what later batches of a stage are compared with."""
    from jobs.runtime.batches import INDEXED, index_table  # which asks this module what is void

    index = index_table(stage)
    if stage in INDEXED and lake.exists(index):
        return {index: DedupIndex(lake, index).forget(gone)}
    if stage == dedup_lines.STAGE.name and lake.exists(index):
        holders = gone.select(F.xxhash64("doc_id").alias("document")).distinct()
        return {index: _delete(lake, index, holders, "held.document = gone.document")}
    return {}


def _take_splits(lake: Lake, forgotten: DataFrame) -> dict[str, int]:
    """Take splits out, also of documents that went missing before. Input columns: doc_id."""
    from jobs.runtime.batches import SPLITS_TABLE

    if not lake.exists(SPLITS_TABLE):
        return {}
    return {SPLITS_TABLE: _delete(lake, SPLITS_TABLE, forgotten, _IS_PAIR)}


def _standing(lake: Lake, table: str, gone: DataFrame, condition: str) -> DataFrame:
    """Return the rows (``held``) of a table that fit one of ``gone``."""
    return lake.read(table).alias("held").join(gone.alias("gone"), F.expr(condition), how="left_semi")


def _delete(lake: Lake, table: str, gone: DataFrame, condition: str, count: int | None = None) -> int:
    """Delete the rows (``held``) that fit one of ``gone``; how many there were, counted here if it is not known."""
    if count is None:
        count = _standing(lake, table, gone, condition).count()
    if count:  # else there would be a commit for nothing
        lake.delta(table).alias("held").merge(gone.alias("gone"), condition).whenMatchedDelete().execute()
    return count


def _as_they_came(lake: Lake, table: str, rows: DataFrame) -> DataFrame:
    """Return rows of a table as ``runs`` counted them: with the length of the text that came in.

    A batch that was killed before it was entered is left out: it is entered later, without what is gone by then.

    Output columns: language, rejected_for, text_chars.
    """
    entered = rows.join(ledger.entered(lake, table).select("batch_id"), "batch_id", how="left_semi")
    if table != FIRST:
        before = lake.read(lake.properties(table)["upstream"]).where(F.size("rejected_for") == 0)
        came = before.select(*ROW_KEY, F.col("text_chars").alias("came_chars"))
        entered = entered.join(came, ROW_KEY, how="left").withColumn(
            "text_chars", F.coalesce("came_chars", "text_chars")
        )
    return entered.select(*_COUNTED)


def _taken_in_for_pairs(lake: Lake, gone: DataFrame) -> DataFrame:
    """Return the rows that ``pairs`` took in, of which a pair does not tell: it stands for all its revisions.

    Output columns: language, rejected_for, text_chars.
    """
    upstream = lake.properties(LAST)["upstream"]
    alive = _standing(lake, upstream, gone, _IS_VOID).where(F.size("rejected_for") == 0)
    last = ledger.entered(lake, LAST).agg(F.max("started_at").alias("last_started_at"))
    # The batches of the table before that were there when the last one of ``pairs`` began.
    taken = ledger.entered(lake, upstream).join(last, F.col("started_at") <= F.col("last_started_at"))
    return alive.join(taken.select("batch_id"), "batch_id", how="left_semi").select(*_COUNTED)
