"""What starts Spark's Python workers on one machine, named by ``spark.python.daemon.module``.

Each worker is forked from this process, which has loaded the heavy libraries: else every worker loads numba and its
compiled code anew, which is most of the time of a small job.
"""

from __future__ import annotations

import gc
import sys
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path


def _drop_archives() -> None:
    """Take Spark's own archives off the path where its Python package is installed beside them.

    Spark has every task forget what is known of the path, and Python then reads an archive's directory again: some
    0.15 s a task for those of Spark, one of them a jar without any Python in it.
    """
    # pyspark/jars/*.jar and pyspark/python/lib/*.zip
    left = [each for each in sys.path if not {"jars", "lib"} & {Path(each).parent.name} or "pyspark" not in each]
    if PathFinder.find_spec("pyspark", left) and PathFinder.find_spec("py4j", left):
        sys.path[:] = left
        for known in [each for each in sys.path_importer_cache if each not in left]:
            del sys.path_importer_cache[known]


def _load() -> None:
    import pyarrow as pa
    import pyarrow.compute
    import pyspark.sql.pandas.serializers
    import pyspark.worker  # noqa: F401

    from udfs import dedup_batches
    from udfs.minhash import SketchPlan

    names = ["doc_id", "revision", "scope", "source", "date", "text"]
    batch = pa.RecordBatch.from_arrays([pa.array(["some words"] * 2, pa.string())] * len(names), names=names)
    blocks = list(dedup_batches.sketch(SketchPlan((9, 5, 6, 6, 9), 256, 25, 10), False, [batch]))
    list(dedup_batches.link(dedup_batches.post(64, False, blocks)))
    sought = dedup_batches.wanted_of(pa.Table.from_batches(list(dedup_batches.wanted(blocks))))
    list(dedup_batches.probe(sought, blocks))


if __name__ == "__main__":
    _drop_archives()
    # A head start and no more: whoever needs what does not load meets the error itself, and can name it.
    with suppress(Exception):
        _load()
    gc.freeze()  # every worker collects garbage after every task, and need not go through all this again
    from pyspark.daemon import manager

    manager()  # type: ignore[no-untyped-call]
