"""Rows for tests: the columns a test names, the others filled from the schema."""

from __future__ import annotations

import hashlib
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import ArrayType, StructType

from jobs.runtime.schema import DOCUMENTS, TAIL, join_columns

_DEFAULTS: dict[str, Any] = {
    "revision": "0",
    "language": "cat_Latn",
    "source": "test",
    "origin": "test.jsonl",
    "license": "CC0-1.0",
    "text": "Un text.",
    "document_batch": 0,
    "batch_id": 0,
}


def documents(spark: SparkSession, rows: list[dict[str, Any]], *adds: StructType) -> DataFrame:
    """Return alive documents with the columns of ``adds``; ``doc_id`` follows from the place unless named."""
    schema = join_columns(DOCUMENTS, *adds, TAIL)
    filled = []
    for place, row in enumerate(rows):
        values = {"doc_id": hashlib.sha256(str(place).encode()).hexdigest(), **_DEFAULTS, **row}
        values.setdefault("text_chars", len(values["text"]))
        values.setdefault("rejected_for", [])
        unknown = values.keys() - set(schema.fieldNames())
        assert not unknown, f"no such columns: {unknown}"
        empty = {field.name: [] if isinstance(field.dataType, ArrayType) else None for field in schema.fields}
        filled.append(tuple((empty | values)[name] for name in schema.fieldNames()))
    return spark.createDataFrame(filled, schema)
