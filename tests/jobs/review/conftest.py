"""Pairs to review."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.runtime.lake import Lake
from jobs.runtime.schema import PAIRS


def pair(number: int, language: str = "spa_Latn", source: str = "wikipedia", **values: Any) -> dict[str, Any]:
    row = {
        "pair_id": f"{language}-{source}-{number}",
        "revision": "r",
        "language": language,
        "source": source,
        "instruction": f"¿Qué es la cosa número {number}?",
        "output": f"La cosa número {number} es de {source}.",
        "split": "train",
        "split_group": str(number),
        "license": "CC-BY-SA-4.0",
        "origin": "file.jsonl",
        "generator": "g",
        "batch_id": 0,
        **values,
    }
    return {**row, "output_chars": len(row["output"])}


@pytest.fixture(scope="session")
def pairs_of(spark):
    def make(rows: list[dict[str, Any]]):
        names = PAIRS.fieldNames()
        return spark.createDataFrame([tuple(row.get(name) for name in names) for row in rows], PAIRS)

    return make


@pytest.fixture(scope="session")
def lake_of(spark, pairs_of):
    def make(folder, rows: list[dict[str, Any]]) -> Lake:
        lake = Lake(spark, str(folder))
        lake.create()
        lake.ensure("pairs", PAIRS, {})
        lake.append(pairs_of(rows).coalesce(1), "pairs", "test", 0)
        return lake

    return make
