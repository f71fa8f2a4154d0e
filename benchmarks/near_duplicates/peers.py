"""Other tools, each called as its documentation says, on the same corpus.

Each function starts a tool (imports, a Spark session) and returns its work; the work returns the ids that it kept.
Heavy imports are inside, since each tool has an environment of its own.
"""

from __future__ import annotations

import os
import runpy
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.near_duplicates.yardstick import SHINGLE_CHARS, folding_table

PERMUTATIONS = 128
_BATCH = 1000
_FEW = 8  # partitions of a Spark that is tuned to the size of these corpora


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a tool.

    ``folder`` is an empty one for its files; ``options`` are those given with the tool's name.
    """

    corpus: Path
    threshold: float
    folder: Path
    options: Mapping[str, str]

    @property
    def documents(self) -> Path:
        """Return the folder of the documents' Parquet files."""
        return self.corpus / "docs.parquet"


Work = Callable[[], Iterable[str]]


class Late:
    """Ids that are read from a tool's output only when they are asked for, after the clock has stopped."""

    def __init__(self, read: Callable[[], Iterable[str]]):
        self.read = read

    def __iter__(self) -> Any:
        return iter(self.read())


def datasketch_char(run: Run) -> Work:
    """Datasketch's MinHashLSH over character shingles, one core."""
    from datasketch import MinHash, MinHashLSH

    shingles = _character_shingles()

    def work() -> list[str]:
        ids, texts = _read(run)
        index, kept = MinHashLSH(threshold=run.threshold, num_perm=PERMUTATIONS), []
        for start in range(0, len(texts), _BATCH):
            sets = [{shingle.encode() for shingle in shingles(text)} for text in texts[start : start + _BATCH]]
            for doc_id, sketch in zip(
                ids[start : start + _BATCH], MinHash.bulk(sets, num_perm=PERMUTATIONS), strict=True
            ):
                if not index.query(sketch):
                    index.insert(doc_id, sketch)
                    kept.append(doc_id)
        return kept

    return work


def rensa_char(run: Run) -> Work:
    """Rensa's RMinHashDeduplicator over character shingles, one core."""
    from rensa import RMinHashDeduplicator

    shingles = _character_shingles()

    def work() -> list[str]:
        ids, texts = _read(run)
        deduplicator = RMinHashDeduplicator(threshold=run.threshold, num_perm=PERMUTATIONS, use_lsh=True)
        is_new = deduplicator.add_pairs((doc_id, shingles(text)) for doc_id, text in zip(ids, texts, strict=True))
        return [doc_id for doc_id, new in zip(ids, is_new, strict=True) if new]

    return work


def text_dedup(run: Run) -> Work:
    """text-dedup's MinHash command over word shingles, two processes."""
    from text_dedup.minhash import main

    def work() -> Iterable[str]:
        arguments = {
            "path": "parquet", "data_files": f"{run.documents}/*.parquet", "split": "train",
            "cache_dir": f"{run.folder}/cache", "output": f"{run.folder}/out", "column": "text", "ngram": "5",
            "min_length": "1", "threshold": str(run.threshold), "hash_func": "xxh3", "hash_bits": "32", "num_proc": "2",
        }  # fmt: skip
        main([part for key, value in arguments.items() for part in (f"--{key}", value)], standalone_mode=False)
        return Late(lambda: __import__("datasets").load_from_disk(f"{run.folder}/out")["doc_id"][:])

    return work


def text_dedup_spark(run: Run) -> Work:
    """text-dedup's Spark script over word shingles, with two changes in its favour.

    Its fixed 8192 shuffle partitions, 4096-way repartitions and 256 output folders become 8; and a union-find in the
    driver stands for GraphFrames, whose jar not every Maven mirror has, and which is slower at these sizes.
    """
    from pyspark import SparkConf
    from pyspark.sql.classic.dataframe import DataFrame

    spark = _peer_session({"spark.default.parallelism": str(_FEW), "spark.driver.memory": "6g"})
    put, split = SparkConf.set, DataFrame.repartition

    def put_few(conf: SparkConf, key: str, value: str) -> SparkConf:
        return put(conf, key, str(_FEW) if key.endswith(("shuffle.partitions", "default.parallelism")) else value)

    SparkConf.set = put_few
    DataFrame.repartition = lambda frame, count, *columns: split(frame, min(count, _FEW), *columns)
    sys.modules["graphframes"] = types.SimpleNamespace(GraphFrame=_graph_frame(spark))

    def work() -> Iterable[str]:
        sys.argv = [
            "minhash_spark", "--input", str(run.documents), "--output", f"{run.folder}/out", "--column", "text",
            "--threshold", str(run.threshold), "--min_length", "1", "--checkpoint_dir", f"{run.folder}/checkpoints",
        ]  # fmt: skip
        runpy.run_module("text_dedup.minhash_spark", run_name="__main__")
        return Late(lambda: [row[0] for row in spark.read.parquet(f"{run.folder}/out").select("doc_id").collect()])

    return work


def spark_mllib(run: Run) -> Work:
    """Spark MLlib's MinHashLSH over character shingles.

    It has one hash a table, so far too many pairs are compared: expect no end above a few thousand documents.
    """
    from pyspark.ml.feature import HashingTF, MinHashLSH, NGram
    from pyspark.sql import functions as F

    spark = _peer_session({"spark.sql.shuffle.partitions": str(_FEW), "spark.driver.memory": "8g"})

    def work() -> list[str]:
        docs = spark.read.parquet(str(run.documents))
        folded = F.trim(F.regexp_replace(F.lower("text"), r"[^\p{L}\p{N}\p{M}]+", " "))
        long_enough = docs.select("doc_id", F.split(folded, "").alias("characters")).where(
            F.size("characters") >= SHINGLE_CHARS
        )
        grams = NGram(n=SHINGLE_CHARS, inputCol="characters", outputCol="shingles").transform(long_enough)
        counted = HashingTF(numFeatures=1 << 20, binary=True, inputCol="shingles", outputCol="set").transform(grams)
        vectors = counted.select("doc_id", "set").persist()
        model = MinHashLSH(numHashTables=5, seed=1, inputCol="set", outputCol="hashes").fit(vectors)
        similar = model.approxSimilarityJoin(vectors, vectors, 1 - run.threshold)
        pairs = similar.select(F.col("datasetA.doc_id").alias("a"), F.col("datasetB.doc_id").alias("b")).where("a < b")
        removed: set[str] = set()
        for a, b in sorted((row.a, row.b) for row in pairs.collect()):
            if a not in removed:
                removed.add(b)
        return [row[0] for row in docs.select("doc_id").collect() if row[0] not in removed]

    return work


def _read(run: Run) -> tuple[list[str], list[str]]:
    import pyarrow.parquet as pq

    table = pq.read_table(run.documents, columns=["doc_id", "text"])
    return table["doc_id"].to_pylist(), table["text"].to_pylist()


def _character_shingles() -> Callable[[str], list[str]]:
    folded = {code: int(to) or None for code, to in enumerate(folding_table()) if to != code}

    def shingles(text: str) -> list[str]:
        text = " ".join(text.translate(folded).split())
        return [text[at : at + SHINGLE_CHARS] for at in range(max(1, len(text) - SHINGLE_CHARS + 1))]

    return shingles


def _peer_session(settings: dict[str, str]) -> Any:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.ui.showConsoleProgress", "false")
    for key, value in settings.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.range(1).count()
    return spark


def _graph_frame(spark: Any) -> type:
    class GraphFrame:
        def __init__(self, _vertices: Any, edges: Any):
            self.edges = edges

        def connectedComponents(self) -> Any:  # noqa: N802 the name that GraphFrames gives it
            parent: dict[int, int] = {}

            def root(node: int) -> int:
                while parent.setdefault(node, node) != node:
                    parent[node] = node = parent[parent[node]]
                return node

            for source, target in self.edges.collect():
                low, high = sorted((root(source), root(target)))
                parent[high] = low
            return spark.createDataFrame([(node, root(node)) for node in list(parent)], "id long, component long")

    return GraphFrame
