"""What a run would do, without doing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from pyspark.sql import functions as F

from jobs.runtime.ingest import Ingest
from jobs.sources import AnySource


@dataclass(slots=True)
class Incoming:
    """What one corpus brings in one language."""

    new: int = 0
    """Documents that the lake does not hold."""
    changed: int = 0
    """Documents that it holds in another revision."""
    unchanged: int = 0


@dataclass(slots=True)
class DryRun:
    """What a run would begin with."""

    incoming: dict[str, dict[str, Incoming]] = field(default_factory=dict)
    """By corpus and language; a corpus whose files are those of the last run is left out."""
    waiting: dict[str, dict[str, int]] = field(default_factory=dict)
    """By stage and language: rows of the table before it that it has not seen yet."""


def incoming(ingest: Ingest) -> dict[str, dict[str, Incoming]]:
    """Read the corpora and compare them with the lake; writes nothing."""
    found: dict[str, dict[str, Incoming]] = {}
    for source in ingest.recipe.recipe.sources:
        if ingest.is_unchanged(source):
            continue
        found[source.name] = ingest.despite_damage(source, partial(_count, ingest, source))
    return found


def _count(ingest: Ingest, source: AnySource) -> dict[str, Incoming]:
    known, revision = F.col("known_revision"), F.col("revision")
    counts = (
        ingest.compared(source)
        .groupBy("language")
        .agg(
            F.count_if(known.isNull()).alias("new"),
            F.count_if(known.isNotNull() & (known != revision)).alias("changed"),
            F.count_if(known == revision).alias("unchanged"),
        )
        .orderBy("language")
    )
    return {row["language"]: Incoming(row["new"], row["changed"], row["unchanged"]) for row in counts.collect()}
