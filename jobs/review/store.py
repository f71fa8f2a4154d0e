"""What reviewers have marked: kept in memory for the page, and in the lake's table ``reviews`` for good.

Saving is one append to the table for all that came in meanwhile, so that its log stays short however many reviewers
there are. A review counts as saved once its append is done, not before.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from uuid import uuid4

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.review.guideline import Kind
from jobs.review.sample import Item
from jobs.runtime import maintenance
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.schema import REVIEWS, REVIEWS_TABLE

_LOG = logging.getLogger(__name__)
_KEY: Final = ("kind", "compared_with", "reviewer", "pair_id", "shown_hash")
_GATHER_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 3.0
_COMPACT_EVERY: Final = 100
"""Appends after which the table's small files are put together."""


@dataclass(frozen=True, slots=True)
class Review:
    """What a reviewer holds of an item."""

    reviewer: str
    item: Item
    marks: Mapping[str, int] = field(default_factory=dict)
    """Value by criterion; of a comparison, 1 where the lake's own pair is better than the other."""
    comment: str = ""
    is_swapped: bool | None = None


@dataclass(frozen=True, slots=True)
class Reviewing:
    """What all reviews of one page have in common."""

    kind: Kind
    seed: int
    guideline_hash: str
    compared_with: str | None = None


def latest(reviews: DataFrame) -> DataFrame:
    """Keep what each reviewer said last of each pair. Input and output columns: those of REVIEWS, any others."""
    newest = Window.partitionBy(*_KEY).orderBy(F.col("saved_at").desc())
    return reviews.withColumn("_nth", F.row_number().over(newest)).where("_nth = 1").drop("_nth")


def reviewed(lake: Lake, reviewing: Reviewing) -> DataFrame | None:
    """Return the pairs of a sample that somebody has reviewed, None if there are no reviews. Output column: pair_id."""
    if not lake.exists(REVIEWS_TABLE):
        return None
    alike = (F.col("kind") == reviewing.kind) & (F.col("seed") == reviewing.seed)
    alike &= F.col("compared_with").eqNullSafe(F.lit(reviewing.compared_with))
    return lake.read(REVIEWS_TABLE, REVIEWS).where(alike).select("pair_id").distinct()


class Store:
    """Reviews of one sample.

    Args:
        lake: where the table is; made if it is not there.
        reviewing: what all reviews have in common.
        items: what is reviewed; reviews of other pairs, or of other texts of these, are left alone.
    """

    def __init__(self, lake: Lake, reviewing: Reviewing, items: Mapping[str, tuple[Item, ...]]) -> None:
        self._lake, self._reviewing = lake, reviewing
        self._app_id, self._version = f"review/{uuid4().hex}", 0
        lake.ensure(REVIEWS_TABLE, REVIEWS, {}, partition_by=())
        maintenance.compact(lake, [REVIEWS_TABLE])
        self._reviews: dict[tuple[str, tuple[str, str]], Review] = {}
        self._saved: dict[tuple[str, tuple[str, str]], Review] = {}
        self._last_saved_at = datetime.min.replace(tzinfo=UTC)
        self._load({item.key: item for each in items.values() for item in each})
        self._reviews |= self._saved
        self._changed = threading.Condition()
        self._waiting: dict[tuple[str, tuple[str, str]], tuple[Review, list[Future[None]]]] = {}
        self._is_closed, self._lost = False, 0
        self.trouble = ""
        """Why the last attempt to save failed; "" where it did not."""
        self._writer = threading.Thread(target=self._write, name="reviews")
        self._writer.start()

    def get(self, reviewer: str, item: Item) -> Review:
        """Return what a reviewer holds of an item, saved or about to be."""
        return self._reviews.get((reviewer, item.key)) or Review(reviewer, item)

    def saved(self, reviewer: str, item: Item) -> Review:
        """Return what the table holds of a reviewer's item."""
        return self._saved.get((reviewer, item.key)) or Review(reviewer, item)

    def save(self, review: Review) -> Future[None]:
        """Take a review in; the future is done once it is in the table."""
        saved: Future[None] = Future()
        key = review.reviewer, review.item.key
        with self._changed:
            if self._is_closed:
                raise RuntimeError("the store is closed")
            self._reviews[key] = review
            # Of what one reviewer did to one pair meanwhile, only the last state is written.
            self._waiting[key] = review, [*self._waiting.get(key, (review, []))[1], saved]
            self._changed.notify()
        return saved

    def close(self) -> None:
        """Save what waits, and stop.

        Raises:
            BackpromptError: if that fails; what waited is lost.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._writer.join()
        if self._lost:
            raise BackpromptError(
                f"Of {self._lost} pairs, what a reviewer marked last could not be saved: {self.trouble}. It has to be "
                "marked again; what the page called saved is saved."
            )

    def _load(self, items: Mapping[tuple[str, str], Item]) -> None:
        spark, reviewing = self._lake.spark, self._reviewing
        if not items:
            return
        wanted = spark.createDataFrame(list(items), "pair_id string, shown_hash string")
        held = self._lake.read(REVIEWS_TABLE, REVIEWS).where(
            (F.col("kind") == reviewing.kind)
            & F.col("compared_with").eqNullSafe(F.lit(reviewing.compared_with))
        )  # fmt: skip
        for row in latest(held.join(F.broadcast(wanted), ["pair_id", "shown_hash"], how="left_semi")).collect():
            item = items[row["pair_id"], row["shown_hash"]]
            self._saved[row["reviewer"], item.key] = Review(
                row["reviewer"], item, dict(row["marks"]), row["comment"] or "", row["is_swapped"]
            )
            self._last_saved_at = max(self._last_saved_at, row["saved_at"].astimezone(UTC))

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if not self._waiting:
                    return
            if not self._is_closed:
                time.sleep(_GATHER_SECONDS)
            with self._changed:
                batch, self._waiting = self._waiting, {}
            error = self._until_done(partial(self._append, [review for review, _ in batch.values()]))
            if error is not None:
                self._lost += len(batch)
            else:
                self._saved |= {key: review for key, (review, _) in batch.items()}
            for _, saved in batch.values():
                for each in saved:
                    each.set_exception(error) if error else each.set_result(None)

    def _until_done(self, append: Callable[[], None]) -> Exception | None:
        """Repeat an append until it goes through; Delta does it once, even if a failed attempt did it after all."""
        while True:
            try:
                append()
            except Exception as error:
                self.trouble = (str(error).strip().splitlines() or [type(error).__name__])[0]
                if self._is_closed:
                    return error
                time.sleep(_RETRY_SECONDS)
            else:
                self.trouble = ""
                self._version += 1
                if self._version % _COMPACT_EVERY == 0:
                    self._compact()
                return None

    def _append(self, reviews: list[Review]) -> None:
        about = self._reviewing
        # A clock that was set back must not make an old state the latest.
        self._last_saved_at = max(datetime.now(UTC), self._last_saved_at + timedelta(microseconds=1))
        rows = [
            {
                "kind": about.kind,
                "language": each.item.pair.language,
                "reviewer": each.reviewer,
                "pair_id": each.item.pair.pair_id,
                "source": each.item.pair.source,
                "other_pair_id": each.item.other.pair_id if each.item.other else None,
                "compared_with": about.compared_with,
                "is_swapped": each.is_swapped,
                "shown_hash": each.item.shown_hash,
                "seed": about.seed,
                "marks": dict(each.marks),
                "comment": each.comment or None,
                "guideline_hash": about.guideline_hash,
                "saved_at": self._last_saved_at,
            }
            for each in reviews
        ]
        frame = self._lake.spark.createDataFrame([tuple(row[n] for n in REVIEWS.fieldNames()) for row in rows], REVIEWS)
        self._lake.append(frame.coalesce(1), REVIEWS_TABLE, self._app_id, self._version)

    def _compact(self) -> None:
        try:
            maintenance.compact(self._lake, [REVIEWS_TABLE])
        except Exception:  # another time: what was saved is saved
            _LOG.warning("the files of table %s were not put together", REVIEWS_TABLE, exc_info=True)
