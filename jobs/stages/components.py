"""Connected components of a graph that does not fit one machine (Kiveris et al. 2014, alternating algorithm)."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

# Rounds needed grow with the logarithm of the nodes; more than this means that the input changes while it is read.
_MAX_ROUNDS = 60


def connected_components(edges: DataFrame) -> DataFrame:
    """Find connected components by alternating large-star and small-star.

    Runs a job a round and cuts the lineage after each, so the plan does not grow.

    Input columns: a, b (any type with an order), not null; loops and repeats do no harm.
    Output columns: node, root (the smallest node of its component); one row for each node that an edge joins to
    another one.

    Raises:
        RuntimeError: if the rounds do not end.
    """
    current = _oriented(edges).localCheckpoint()
    before = None
    for _ in range(_MAX_ROUNDS):
        current = _small_star(_large_star(current)).localCheckpoint()
        # A sum of hashes beside the count: the count alone can stand still while edges still move.
        now = current.agg(F.count("*"), F.sum(F.xxhash64("a", "b").cast("decimal(38,0)"))).first()
        if now == before:
            return current.select(F.col("b").alias("node"), F.col("a").alias("root")).union(
                current.select(F.col("a").alias("node"), F.col("a").alias("root")).distinct()
            )
        before = now
    raise RuntimeError(
        f"Connected components did not settle in {_MAX_ROUNDS} rounds; is the input read anew each time?"
    )


def _oriented(edges: DataFrame) -> DataFrame:
    """Edges from the smaller node, a, to the greater, b."""
    return edges.where("a <> b").select(F.least("a", "b").alias("a"), F.greatest("a", "b").alias("b")).distinct()


def _large_star(edges: DataFrame) -> DataFrame:
    """Join each node's greater neighbours to the least of its neighbours and itself."""
    both = edges.select(F.col("a").alias("u"), F.col("b").alias("v")).union(edges.select("b", "a"))
    least = both.groupBy("u").agg(F.min("v").alias("m")).select("u", F.least("u", "m").alias("m"))
    return (
        both.where("v > u")
        .join(least, on="u", how="inner")
        .select(F.col("m").alias("a"), F.col("v").alias("b"))
        .distinct()
    )


def _small_star(edges: DataFrame) -> DataFrame:
    """Join each node and its smaller neighbours to the least of them."""
    least = edges.groupBy("b").agg(F.min("a").alias("m"))
    moved = edges.join(least, on="b", how="inner").where("a <> m").select(F.col("m").alias("a"), F.col("a").alias("b"))
    return moved.union(least.select(F.col("m").alias("a"), "b")).distinct()
