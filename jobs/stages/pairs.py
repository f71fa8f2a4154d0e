"""Turn screened documents into pairs, each in a split of its own (90/5/5 by source and language, as MURI-IT is)."""

from __future__ import annotations

from pydantic import Field
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from jobs.runtime.schema import PAIRS, SPLITS
from jobs.sources.sampling import sampling_position
from jobs.stages.base import Stage, StageSettings
from udfs.settings import OPERATIONAL
from udfs.splits import CYCLE


class PairsSettings(StageSettings):
    """Write the pairs: instruction and answer in the document's language, with split and lineage."""

    max_files_per_batch: int | None = Field(10_000, ge=1, json_schema_extra=OPERATIONAL)
    """Files of the table before it that one batch reads: so many that splits do not depend on files."""


def assign_splits(docs: DataFrame, assigned: DataFrame, seed: int) -> DataFrame:
    """Give every document without a split the next places in its source's and language's cycle.

    The order within a batch is that of a seeded hash of the id, so it does not depend on partitions.

    Input columns: doc_id, language, source; of ``assigned``: SPLITS.
    Output columns: SPLITS, for documents that ``assigned`` lacks.
    """
    taken = assigned.groupBy("source", "language").agg((F.max("split_position") + 1).alias("taken"))
    order = Window.partitionBy("source", "language").orderBy(sampling_position("doc_id", seed), "doc_id")
    position = F.coalesce("taken", F.lit(0)) + F.row_number().over(order) - 1
    cycle = F.array(*map(F.lit, CYCLE))
    return (
        docs.select(F.col("doc_id").alias("pair_id"), "doc_id", "language", "source")
        .dropDuplicates(["pair_id"])
        .join(assigned.select("pair_id"), "pair_id", how="left_anti")
        .join(taken, ["source", "language"], how="left")
        .withColumn("split_position", position.cast("long"))
        .withColumn("split", F.element_at(cycle, (F.col("split_position") % len(CYCLE) + 1).cast("int")))
        .select(*SPLITS.fieldNames())
    )


def to_pairs(docs: DataFrame, splits: DataFrame) -> DataFrame:
    """Return one pair a document. Input columns: the record after ``screen``; SPLITS. Output columns: PAIRS."""
    return (
        docs.drop("instruction")  # the source's own stands in instruction_src too
        .withColumn("pair_id", F.col("doc_id"))
        .join(splits.select("pair_id", "split", "split_position"), "pair_id", how="inner")
        .withColumnsRenamed({"instruction_src": "instruction", "text": "output", "text_chars": "output_chars"})
        .select(*PAIRS.fieldNames())
    )


STAGE = Stage(
    name="pairs",
    settings=PairsSettings,
    adds=StructType(),
    needs=("instruction_src", "flagged_words"),
    labels=("translator", "generator", "back_translator"),
)
