"""The translation cache: what an engine has translated once is taken from a table the next time.

It belongs to the lake and to no life of a stage's table, so it outlasts rebuilds. An entry is found by a hash of the
text, the languages and the engine's settings, and used only by an engine of the same label: the label names the
installed version, which the settings do not. Entries hold no source text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType

from jobs.runtime.lake import Lake
from jobs.runtime.ledger import BatchId
from jobs.runtime.schema import HEALTH
from jobs.stages import back_translate, translate
from jobs.stages.base import Resources, StageSettings
from jobs.stages.translate import CACHED

TABLE: Final = "translation_cache"
CACHE: Final = StructType(
    [
        StructField("cache_key", StringType(), False),  # hash of text, languages and the engine's settings, hex
        StructField("engine", StringType(), False),  # engine label, as on the rows it translated
        StructField("source_language", StringType(), False),
        StructField("target_language", StringType(), False),
        StructField("translation", StringType(), False),
        StructField("health", HEALTH, True),  # faults of the translation, as the engine reported them
        StructField("doc_id", StringType(), False),  # the document it was translated for first
        StructField("app_id", StringType(), False),  # which life of which stage wrote it,
        StructField("batch_id", LongType(), False),  # in which batch
    ]
)
# A batch reads no more than the directions that it has documents of.
PARTITION_BY: Final = ("source_language", "target_language")
_NAME: Final = ("cache_key", "engine")
_CACHED: Final = (*_NAME, "translation", "health")
# The keys of so many documents fit any driver; Spark itself knows nothing of a batch's size beforehand.
_MOST_TO_BROADCAST: Final = 200_000

Requests = Callable[[DataFrame, Any, Resources, bool], DataFrame]
_REQUESTS: Final[Mapping[str, Requests]] = {
    translate.STAGE.name: translate.requests,
    back_translate.STAGE.name: back_translate.requests,
}


def is_cached(stage: str, settings: StageSettings) -> bool:
    """Say whether a stage keeps its translations."""
    return stage in _REQUESTS and bool(getattr(settings, "cache", False))


def ensure(lake: Lake) -> None:
    """Make the table if it is not there."""
    lake.ensure(TABLE, CACHE, {}, PARTITION_BY)


def empty(lake: Lake) -> None:
    """Take all entries out: every text is translated anew from now on."""
    if lake.exists(TABLE):
        lake.delta(TABLE).delete()


def forget(lake: Lake, docs: DataFrame) -> int:
    """Take out what was translated for documents, in any revision, by any engine, at any time.

    By the documents' ids and not by their texts: an entry may stem from a text that settings of the past made, which no
    table holds any more. Where two documents share a text, its entry goes with the one it was translated for.

    Args:
        lake: where the cache is.
        docs: column doc_id.

    Returns:
        How many entries were taken out.
    """
    if not lake.exists(TABLE):
        return 0
    gone = docs.select("doc_id").distinct()
    merge = lake.delta(TABLE).alias("entry").merge(gone.alias("gone"), "entry.doc_id = gone.doc_id")
    removed = merge.whenMatchedDelete().execute().first()
    return int(removed["num_deleted_rows"]) if removed else 0


@dataclass(frozen=True, slots=True)
class BatchCache:
    """The cache as one batch of a stage sees it: without what the batch itself wrote, so that a replay counts the same.

    Args:
        lake: where the table is; made by ``ensure``.
        settings: of the stage, one for which ``is_cached`` is true.
        resources: of the recipe.
        batch: which batch of which stage.
        came_in: rows and characters by language of the batch, as ``ledger.count_rows`` gives them.
    """

    lake: Lake
    settings: StageSettings
    resources: Resources
    batch: BatchId
    came_in: Mapping[str, tuple[int, int]]

    def look_up(self, docs: DataFrame, spread: DataFrame) -> DataFrame:
        """Put beside documents what is known of their texts.

        Texts are hashed where they are read; hashes and found translations are all that is moved.

        Args:
            docs: the batch's documents.
            spread: the same, as they go to the engine: partitioned by doc_id.

        Output columns: those of ``spread`` and, unless the cache is empty, CACHED; null where nothing is known.
        """
        earlier = self._earlier()
        if earlier.isEmpty():
            return spread
        keys = self._requests(docs, is_written=False).select("doc_id", "cache_key")
        if sum(rows for rows, _ in self.came_in.values()) <= _MOST_TO_BROADCAST:
            keys = F.broadcast(keys)
        known = earlier.select(*_CACHED).join(keys, "cache_key")
        # By document: with two revisions of one in the batch, each sees the entries of both and takes its own.
        found = known.groupBy("doc_id").agg(F.collect_list(F.struct(*_CACHED)).alias(CACHED))
        # A hash join, as a sort would move the documents' texts once more.
        return spread.join(found.hint("shuffle_hash"), "doc_id", how="left")

    def remember(self, written: DataFrame) -> dict[str, tuple[int, int]]:
        """Keep what the batch has translated, once, and count.

        A run that is killed before has lost no more than the entries, and those only if the batch is not run again.

        Args:
            written: the batch's rows as they are in the stage's table.

        Returns:
            Texts that were found in the cache and texts that were not, by language. A text that stands in the batch
            twice counts twice.
        """
        earlier = self._earlier().select(*_NAME, F.lit(True).alias("is_known"))
        asked = self._requests(written, is_written=True).join(earlier, list(_NAME), how="left")
        is_new = F.col("is_known").isNull()
        counts = asked.groupBy("language").agg(F.count_if(~is_new).alias("hits"), F.count_if(is_new).alias("misses"))
        tally = {row["language"]: (row["hits"], row["misses"]) for row in counts.collect()}
        if any(misses for _, misses in tally.values()):
            # What failed has no translation: it is tried again the next time.
            new = asked.where(is_new & F.col("translation").isNotNull())
            entries = (
                new.groupBy(*_NAME, *PARTITION_BY)
                .agg(F.min_by(F.struct("doc_id", "translation", "health"), "doc_id").alias("first"))
                .select(*_NAME, *PARTITION_BY, "first.*")
                .withColumns({"app_id": F.lit(self.batch.app_id), "batch_id": F.lit(self.batch.batch_id).cast("long")})
            )
            app_id = f"{self.batch.app_id}/{TABLE}"
            self.lake.append(entries.select(*CACHE.fieldNames()), TABLE, app_id, self.batch.version)
        return {language: tally.get(language, (0, 0)) for language in self.came_in}

    def _earlier(self) -> DataFrame:
        """Return the entries that others wrote, in the directions that the batch has."""
        into_pivot = self.batch.stage == translate.STAGE.name
        own, other = PARTITION_BY if into_pivot else PARTITION_BY[::-1]
        is_wanted = F.col(own).isin(*self.came_in) & (F.col(other) == self.resources.pivot)
        is_own = (F.col("app_id") == self.batch.app_id) & (F.col("batch_id") == self.batch.batch_id)
        return self.lake.read(TABLE, CACHE).where(is_wanted & ~is_own)

    def _requests(self, docs: DataFrame, is_written: bool) -> DataFrame:
        return _REQUESTS[self.batch.stage](docs, self.settings, self.resources, is_written)
