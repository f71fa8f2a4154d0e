"""Sampling of documents by a hash of their id."""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.runtime.reasons import Reason
from udfs.sampling import POSITION_DIGITS, POSITION_STEPS, SEPARATOR

# Buckets of positions a language's documents are counted in, to find the bucket in which its cap is reached.
_BUCKETS: Final = 2**16


def sampling_position(doc_id: str, seed: int) -> Column:
    """Return ``udfs.sampling.position`` of a column of ids, a double in [0, 1)."""
    digest = F.sha2(F.concat(F.lit(f"{seed}{SEPARATOR}"), F.col(doc_id)), 256)
    return F.conv(F.substring(digest, 1, POSITION_DIGITS), 16, 10).cast("double") / F.lit(float(POSITION_STEPS))


def sample(docs: DataFrame, seed: int, rate: float = 1.0, cap: int | None = None) -> DataFrame:
    """Keep the documents whose position is below ``rate``, and of these at most ``cap`` a language and source.

    The choice depends on ids and seed alone: not on partitions, order or other documents but for the cap, which
    takes the smallest positions. A larger rate or cap keeps the same documents and more. An id that stands twice
    counts once towards the cap. Records that could not be read have no key of their own to draw lots with: they are
    kept, and not counted, so that sampling hides none.

    With a cap the input is computed twice: what it is made of is read twice.

    Input columns: doc_id, language, source, rejected_for. Output columns: those of ``docs``.
    """
    is_unreadable = F.array_contains("rejected_for", Reason.UNREADABLE.value)
    if rate < 1.0:
        docs = docs.where(is_unreadable | (sampling_position("doc_id", seed) < rate))
    return docs if cap is None else keep_first(docs, seed, cap, F.concat_ws(SEPARATOR, "language", "source"))


def keep_first(docs: DataFrame, seed: int, cap: int, group: Column) -> DataFrame:
    """Keep, for each value of a column, the ``cap`` ids with the smallest positions, and what could not be read.

    Input columns: doc_id, rejected_for, those of ``group``. Output columns: those of ``docs``.
    """
    is_unreadable = F.array_contains("rejected_for", Reason.UNREADABLE.value)
    docs, columns = docs.withColumn("_group", group), docs.columns
    placed = docs.withColumn("_position", F.when(~is_unreadable, sampling_position("doc_id", seed)))
    bucket = F.floor(F.col("_position") * _BUCKETS)
    # The exact ranks are taken among the documents up to the bucket that reaches the cap, so that few rows of whole
    # documents are shuffled and sorted, not the corpus.
    last = placed.withColumn("_bucket", bucket).transform(_last_bucket, cap)
    near = placed.join(F.broadcast(last), "_group", how="left").where(
        F.col("_position").isNull() | F.col("_last").isNull() | (bucket <= F.col("_last"))
    )
    is_counted = F.col("_position").isNotNull()
    order = Window.partitionBy("_group", is_counted).orderBy("_position", "doc_id")
    ranked = near.withColumn("_rank", F.when(is_counted, F.dense_rank().over(order)))
    return ranked.where(F.col("_rank").isNull() | (F.col("_rank") <= cap)).select(*columns)


def _last_bucket(placed: DataFrame, cap: int) -> DataFrame:
    """Return the bucket in which each group's count of ids reaches ``cap``; no row where it does not.

    Input columns: _group, _position, _bucket. Output columns: _group, _last.
    """
    counts = (
        placed.where(F.col("_position").isNotNull())
        .groupBy("_group", "_bucket")
        .agg(F.count_distinct("_position").alias("_ids"))
    )
    upwards = Window.partitionBy("_group").orderBy("_bucket")
    running = counts.withColumn("_running", F.sum("_ids").over(upwards))
    return running.where(F.col("_running") >= cap).groupBy("_group").agg(F.min("_bucket").alias("_last"))
