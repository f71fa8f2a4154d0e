"""The floor: near-duplicate removal as one script of plain Spark and numba would have it.

Sketch every document; drop all but one of the documents of equal folded text; put the rest into buckets, one row a
band and document; link the members of a bucket; verify, cluster and choose in the driver; write what is kept.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.near_duplicates import baseline_kernel as kernel
from benchmarks.near_duplicates import yardstick
from benchmarks.near_duplicates.peers import Late, Run, Work

BINS = 256
MISS_WEIGHT = 0.9
_LONG_OFFSETS = pa.large_binary()


def baseline(run: Run) -> Work:
    """Start Spark with settings for the size of these corpora; options: ``cores``, ``partitions``."""
    spark = _session(run.options.get("cores", "2"), run.options.get("partitions", "4"))
    output = run.folder / "out"

    def work() -> Iterable[str]:
        _deduplicate(spark, run.documents, output, run.threshold)
        return Late(lambda: _ids(output))

    return work


def _ids(output: Path) -> Iterable[str]:
    yield from pq.read_table(output, columns=["doc_id"])["doc_id"].to_pylist()


def _session(cores: str, partitions: str) -> SparkSession:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.memory", "6g")
        .config("spark.sql.shuffle.partitions", partitions)
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "2000")
        .config("spark.sql.files.maxPartitionBytes", "32m")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )
    spark.range(1).count()
    return spark


def _deduplicate(spark: SparkSession, documents: Path, output: Path, threshold: float) -> None:
    docs = spark.read.parquet(str(documents))
    sketches = _sketch(docs, threshold).persist()
    first_of_equal = sketches.groupBy("content").agg(F.min("node").alias("first"), F.count("*").alias("equal"))
    copies = (
        sketches.join(F.broadcast(first_of_equal.where("equal > 1")), on="content", how="inner")
        .where("node != first")
        .select("node")
        .persist()
    )
    distinct = sketches.join(F.broadcast(copies), on="node", how="left_anti")
    removed = _similar(spark, _links(distinct), sketches, threshold).union(copies).persist()
    removed.count()
    kept = docs.withColumn("node", F.xxhash64("doc_id")).join(F.broadcast(removed), on="node", how="left_anti")
    kept.drop("node").write.parquet(str(output))


def _sketch(docs: DataFrame, threshold: float) -> DataFrame:
    """Return node (hash of doc_id), content (hash of the folded text), bands (keys), signature (a byte a bin)."""
    bands, rows = kernel.choose_bands(threshold, BINS, MISS_WEIGHT)

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        table = yardstick.folding_table()
        for batch in batches:
            text = batch.column("text").cast(pa.large_string())
            count = len(text)
            _, offsets, data = text.buffers()
            places = np.frombuffer(offsets, np.int64)[text.offset : text.offset + count + 1]
            least, content = np.empty((count, BINS), np.uint32), np.empty(count, np.uint64)
            codes = np.frombuffer(data or b"\0", np.uint8)
            kernel.sketch(codes, places, table, yardstick.SHINGLE_CHARS, least, content)
            kernel.densify(least)
            keys = np.empty((count, bands), np.int64)
            kernel.band_keys(least, rows, keys)
            signature = pa.py_buffer(least.astype(np.uint8).tobytes())
            yield pa.record_batch(
                {
                    "node": batch.column("node"),
                    "content": pa.array(content.view(np.int64)),
                    "bands": pa.ListArray.from_arrays(
                        np.arange(0, count * bands + 1, bands, dtype=np.int32), keys.ravel()
                    ),
                    "signature": pa.Array.from_buffers(pa.binary(BINS), count, [None, signature]).cast(pa.binary()),
                }
            )

    schema = "node long, content long, bands array<long>, signature binary"
    return docs.select(F.xxhash64("doc_id").alias("node"), "text").mapInArrow(run, schema)


def _links(sketches: DataFrame) -> DataFrame:
    """Link every member of a bucket to the bucket's smallest: low, high."""
    keyed = sketches.select("node", F.explode("bands").alias("key"))
    buckets = keyed.groupBy("key").agg(F.collect_list("node").alias("nodes")).where(F.size("nodes") > 1)
    linked = buckets.select(F.array_min("nodes").alias("low"), F.explode("nodes").alias("high"))
    return linked.where("low < high").distinct()


def _similar(spark: SparkSession, links: DataFrame, sketches: DataFrame, threshold: float) -> DataFrame:
    """Return the nodes that go because a kept one of their component is like them."""
    found = links.toArrow()
    low, high = (np.asarray(found[name].combine_chunks()) for name in ("low", "high"))
    nodes, places = np.unique(np.concatenate([low, high]), return_inverse=True)
    if len(nodes) == 0:
        return spark.createDataFrame([], "node long")
    low, high = np.unique(np.stack([places[: len(low)], places[len(low) :]]), axis=1)
    wanted = F.broadcast(spark.createDataFrame(pa.table({"node": nodes})))
    linked = sketches.select("node", "signature").join(wanted, on="node", how="left_semi").toArrow()
    signatures = _matrix(linked.sort_by("node")["signature"])
    # Bytes that must agree; one in 256 of the others does so by chance.
    need = int(np.ceil(BINS * (threshold + (1 - threshold) / 256)))
    is_like = kernel.agreement(low, high, signatures) >= need
    label = kernel.components(low[is_like], high[is_like], len(nodes))
    order = np.lexsort([np.arange(len(nodes)), label])
    starts = np.append(np.flatnonzero(np.append(True, np.diff(label[order]) != 0)), len(nodes))
    is_kept = kernel.survivors(starts, signatures[order], need)
    return spark.createDataFrame(pa.table({"node": nodes[order][~is_kept]}))


def _matrix(signatures: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    values = signatures.combine_chunks().cast(_LONG_OFFSETS)
    offsets = np.frombuffer(values.buffers()[1], np.int64)[values.offset : values.offset + len(values) + 1]
    return np.frombuffer(values.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].reshape(-1, BINS)
