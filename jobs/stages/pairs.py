"""Turn grouped documents into pairs, each in the split that its group has."""

from __future__ import annotations

from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from jobs.runtime.schema import PAIRS
from jobs.stages.base import Stage, StageSettings
from udfs.settings import OPERATIONAL


class PairsSettings(StageSettings):
    """Write the pairs: instruction and answer in the document's language, with split and lineage."""

    max_files_per_batch: int | None = Field(10_000, ge=1, json_schema_extra=OPERATIONAL)
    """Files of the table before it that one batch reads: so many that pairs are merged in one go."""


def to_pairs(docs: DataFrame) -> DataFrame:
    """Return one pair a document. Input columns: the record after ``group``. Output columns: PAIRS."""
    return (
        docs.drop("instruction")  # the source's own stands in instruction_src too
        .withColumn("pair_id", F.col("doc_id"))
        .withColumnsRenamed({"instruction_src": "instruction", "text": "output", "text_chars": "output_chars"})
        .select(*PAIRS.fieldNames())
    )


STAGE = Stage(
    name="pairs",
    settings=PairsSettings,
    adds=StructType(),
    needs=("instruction_src", "flagged_words", "split_group"),
    labels=("translator", "generator", "back_translator"),
)
