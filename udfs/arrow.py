"""Small helpers between Arrow batches and Python rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa


def with_columns(batch: pa.RecordBatch, columns: Mapping[str, pa.Array], order: Sequence[str]) -> pa.RecordBatch:
    """Return ``batch`` with ``columns`` replaced or added, its columns in ``order``.

    Args:
        batch: any batch.
        columns: new columns, each as long as the batch.
        order: names of all columns of the result.
    """
    arrays = [columns[name] if name in columns else batch.column(name) for name in order]
    return pa.RecordBatch.from_arrays(arrays, names=list(order))
