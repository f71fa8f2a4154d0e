"""The index that later batches are deduplicated against: a Delta table of blocks of entries."""

from __future__ import annotations

from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

from jobs.runtime.lake import Lake
from jobs.stages.dedup import BLOCKS
from udfs import dedup_batches

INDEX: Final = StructType([*BLOCKS.fields, StructField("batch_id", LongType(), False)])
# A batch reads no more than the scopes that it has documents of.
PARTITION_BY: Final = ("scope",)
# Hashes cannot be compressed. Small row groups are what one file is read by in several tasks, in little memory.
PARQUET: Final = {
    "compression": "uncompressed",
    "parquet.block.size": str(16 << 20),
    "parquet.block.size.row.check.min": "16",
}
_NAMES: Final = "batch_id long, block string, doc_id string"


class DedupIndex:
    """Entries of the documents that were kept, with the batch that wrote them.

    Args:
        lake: where the table is.
        table: its name; made by ``Lake.ensure`` with INDEX and PARTITION_BY.
    """

    def __init__(self, lake: Lake, table: str) -> None:
        self.lake, self.table = lake, table

    def before(self, batch_id: int) -> DataFrame | None:
        """Return the entries of earlier batches, so that a batch that is run again decides the same; None before any.

        Output columns: INDEX.
        """
        if batch_id == 0:
            return None
        return self.lake.read(self.table, INDEX).where(F.col("batch_id") < batch_id)

    def append(self, blocks: DataFrame, app_id: str, batch_id: int) -> None:
        """Add a batch's entries, once. Input columns: BLOCKS."""
        numbered = blocks.withColumn("batch_id", F.lit(batch_id).cast("long"))
        self.lake.append(numbered, self.table, app_id, batch_id, options=PARQUET)

    def forget(self, ids: DataFrame, before: int | None = None) -> int:
        """Take documents out; their copies that come later are new documents then.

        Args:
            ids: column doc_id.
            before: only entries of batches before this one; None: all.

        Returns:
            How many entries were taken out.
        """
        index = self.lake.read(self.table, INDEX)
        if before is not None:
            index = index.where(F.col("batch_id") < before)
        gone = _names(index).join(ids.select("doc_id").distinct(), on="doc_id", how="left_semi")
        touched = gone.groupBy("batch_id", "block").agg(F.collect_set("doc_id").alias("gone"))
        schema = StructType([*INDEX.fields, StructField("removed", LongType())])
        rewritten = index.join(touched, ["batch_id", "block"]).select(*INDEX.fieldNames(), "gone")
        rewritten = rewritten.mapInArrow(dedup_batches.rewritten, schema).persist()
        try:
            removed = (rewritten.agg(F.sum("removed")).first() or [0])[0] or 0
            if removed:
                self._replace_blocks(rewritten)
        finally:
            rewritten.unpersist()
        return int(removed)

    def ids(self) -> DataFrame:
        """Return whose entries there are. Output columns: doc_id, as often as the document has an entry."""
        return _names(self.lake.read(self.table, INDEX)).select("doc_id")

    def _replace_blocks(self, rewritten: DataFrame) -> None:
        same = "old.batch_id = new.batch_id AND old.block = new.block AND old.scope <=> new.scope"
        values = {name: f"new.{name}" for name in ("entries", "ids", "keys", "payload")}
        (
            self.lake.delta(self.table)
            .alias("old")
            .merge(rewritten.alias("new"), same)
            .whenMatchedDelete("new.entries = 0")
            .whenMatchedUpdate(set=values)
            .execute()
        )


def _names(index: DataFrame) -> DataFrame:
    columns = index.select("batch_id", "block", *(each for each in BLOCKS.fieldNames() if each != "block"))
    return columns.mapInArrow(dedup_batches.names_in_blocks, _NAMES)
