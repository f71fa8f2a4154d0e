"""What starts Spark's Python workers on one machine: a process that has loaded the heavy libraries forks each of them.

Named by ``spark.python.daemon.module``. Without it every worker loads numba and its compiled code anew, which is most
of the time of a small job.
"""

from __future__ import annotations

from contextlib import suppress

from pyspark.daemon import manager


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


if __name__ == "__main__":
    # A head start and no more: whoever needs what does not load meets the error itself, and can name it.
    with suppress(Exception):
        _load()
    manager()  # type: ignore[no-untyped-call]
