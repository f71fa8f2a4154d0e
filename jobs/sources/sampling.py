"""Sampling of documents by a hash of their id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.runtime.reasons import Reason
from udfs.sampling import POSITION_DIGITS, POSITION_STEPS, SEPARATOR

# Buckets of positions a language's documents are counted in, to find the bucket in which a limit is reached.
_BUCKETS: Final = 2**16


@dataclass(frozen=True, slots=True)
class SampleSize:
    """How much of a source is taken, language by language."""

    rate: float = 1.0
    """Share of the documents."""
    cap: int | None = None
    """At most so many of a language; None: no limit."""
    caps: Mapping[str, int] = field(default_factory=dict)
    """Caps of single languages, over ``cap``; 0 takes none."""
    floor: int = 0
    """At least so many of a language, or all that it has, whatever the rate."""
    smallest: int = 0
    """Languages that have fewer are left out."""

    @property
    def is_whole(self) -> bool:
        """Say whether everything is taken."""
        return self.rate == 1.0 and not self.is_counted

    @property
    def is_counted(self) -> bool:
        """Say whether a language's documents must be counted."""
        is_floored = self.floor > 0 and self.rate < 1.0
        return self.cap is not None or bool(self.caps) or is_floored or self.smallest > 0


def sampling_position(doc_id: str, seed: int) -> Column:
    """Return ``udfs.sampling.position`` of a column of ids, a double in [0, 1)."""
    digest = F.sha2(F.concat(F.lit(f"{seed}{SEPARATOR}"), F.col(doc_id)), 256)
    return F.conv(F.substring(digest, 1, POSITION_DIGITS), 16, 10).cast("double") / F.lit(float(POSITION_STEPS))


def is_sampled() -> Column:
    """Say of a row whether it has a place in the order; what could not be read has no key of its own to get one by.

    Input columns: rejected_for.
    """
    return ~F.exists("rejected_for", lambda reason: reason.isin(*_UNREAD))


def sample(docs: DataFrame, seed: int, size: SampleSize, group: Sequence[str] = ("language", "source")) -> DataFrame:
    """Keep the documents of each language and source that stand first in the order of their positions.

    First are those with a position below the rate, or the first ``floor`` if those are more; of these at most the
    cap; and none of a language that has fewer than ``smallest``. The choice depends on ids and seed alone, not on
    partitions or order, and on other documents only by how many stand before one. A larger rate, cap or floor keeps
    the same documents and more. An id that stands twice counts once. Records that could not be read have no key of
    their own to draw lots with: they are kept, and not counted, so that sampling hides none.

    Where documents are counted the input is computed twice: what it is made of is read twice.

    Args:
        docs: documents, those that could not be read too.
        seed: of the order.
        size: how much is taken of each group.
        group: columns that tell the groups whose documents are counted apart; ``language`` among them if it has caps.

    Input columns: doc_id, language, source, rejected_for. Output columns: those of ``docs``.
    """
    if size.is_whole:
        return docs
    placed = docs.withColumn("_position", F.when(is_sampled(), sampling_position("doc_id", seed)))
    is_below_rate = F.col("_position") < size.rate
    if not size.is_counted:
        return placed.where(F.col("_position").isNull() | is_below_rate).select(*docs.columns)
    placed = placed.withColumn("_bucket", F.floor(F.col("_position") * _BUCKETS))
    # A language's limits are known as a bucket, and a number of documents within it: ranks are taken inside buckets,
    # among a few documents each, and only of those up to the bucket, so that the corpus is neither sorted nor shuffled.
    limits = placed.transform(_limits, size, group)
    near = placed.join(F.broadcast(limits), list(group), how="left").where(
        F.col("_position").isNull()
        | ((F.col("_documents") >= size.smallest) & _is_up_to("cap") & (is_below_rate | _is_up_to("floor")))
    )
    in_bucket = Window.partitionBy(*group, "_bucket").orderBy("_position", "doc_id")
    ranked = near.withColumn("_rank", F.dense_rank().over(in_bucket))
    is_chosen = _is_within("cap") & (is_below_rate | _is_within("floor"))
    return ranked.where(F.col("_position").isNull() | is_chosen).select(*docs.columns)


# Rejected before the corpus's own key is known.
_UNREAD: Final = (Reason.UNREADABLE.value, Reason.TOO_LARGE.value)


def _limits(placed: DataFrame, size: SampleSize, group: Sequence[str]) -> DataFrame:
    """Return where each group reaches its cap and its floor.

    Input columns: those of group, _position, _bucket. Output columns: those of group, _documents (ids of the
    group), and for cap and floor _last_cap (the bucket that reaches it; null if none does) and _left_cap (how many
    ids of that bucket are within it).
    """
    counts = (
        placed.where(F.col("_position").isNotNull())
        .groupBy(*group, "_bucket")
        .agg(F.count_distinct("_position").alias("_ids"))
    )
    upwards = Window.partitionBy(*group).orderBy("_bucket")
    running = counts.withColumn("_running", F.sum("_ids").over(upwards)).withColumns(
        {"_limit_cap": _cap(size), "_limit_floor": F.lit(size.floor)}
    )
    summed = [F.sum("_ids").alias("_documents")]
    for name in ("cap", "floor"):
        limit = F.col(f"_limit_{name}")
        reached = F.when(F.col("_running") >= limit, F.struct("_bucket", limit - (F.col("_running") - F.col("_ids"))))
        summed.append(F.min(reached).alias(f"_reached_{name}"))
    found = running.groupBy(*group).agg(*summed)
    return found.select(
        *group,
        "_documents",
        *[F.col(f"_reached_{name}")["_bucket"].alias(f"_last_{name}") for name in ("cap", "floor")],
        *[F.col(f"_reached_{name}")["col2"].alias(f"_left_{name}") for name in ("cap", "floor")],
    )


def _cap(size: SampleSize) -> Column:
    cap = F.lit(size.cap).cast("long")
    for language, other in sorted(size.caps.items()):
        cap = F.when(F.col("language") == language, F.lit(other).cast("long")).otherwise(cap)
    return cap


def _is_up_to(limit: str) -> Column:
    last = F.col(f"_last_{limit}")
    return last.isNull() | (F.col("_bucket") <= last)


def _is_within(limit: str) -> Column:
    last = F.col(f"_last_{limit}")
    return (
        last.isNull()
        | (F.col("_bucket") < last)
        | ((F.col("_bucket") == last) & (F.col("_rank") <= F.col(f"_left_{limit}")))
    )
