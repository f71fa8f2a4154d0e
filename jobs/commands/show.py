"""``backprompt show``: rows of a table as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pyspark.sql import DataFrame, Row, Window
from pyspark.sql import functions as F
from rich.console import Console

from jobs.runtime.console import print_block
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake

# Texts worth a person's time, in the order of reading; the rest only with --full.
_READ: Final = (
    "title",
    "instruction",
    "instruction_src",
    "instruction_en",
    "output",
    "text",
    "text_en",
    "url",
    "generator",
    "split",
    "duplicate_of",
    "contaminated_span",
    "rejected_for",
    "detail",
)
_SHORT_CHARS: Final = 1_500
_NAMES: Final = ("language", "source", "split", "doc_id", "pair_id", "stage", "batch_id")


def select(rows: DataFrame, language: str | None, reason: str | None, count: int) -> DataFrame:
    """Return the first ``count`` rows in the order of their ids, which are hashes: a fair sample, the same each time.

    Args:
        rows: any table of the lake.
        language: GlotLID code, or None for all.
        reason: a reason; with a final ``*`` all that start so; None for alive and rejected rows alike.
        count: how many.

    Raises:
        BackpromptError: if the table has no such column.
    """
    for column, value, option in (("language", language, "--language"), ("rejected_for", reason, "--reason")):
        if value is not None and column not in rows.columns:
            raise BackpromptError(f"{option} does not fit this table: it has no column {column}")
    if language is not None:
        rows = rows.where(F.col("language") == language)
    if reason is not None and reason.endswith("*"):
        rows = rows.where(F.exists("rejected_for", lambda code: code.startswith(reason[:-1])))
    elif reason is not None:
        rows = rows.where(F.array_contains("rejected_for", reason))
    key = next((name for name in ("doc_id", "pair_id") if name in rows.columns), rows.columns[0])
    return rows.orderBy(key).limit(count)


def print_rows(
    out: Console, lake: Lake, table: str, language: str | None, reason: str | None, count: int, full: bool
) -> None:
    """Print rows of a table, each with its heading and its texts wrapped."""
    rows = select(lake.read(table), language, reason, count).collect()
    if not rows:
        out.print("No rows.", markup=False)
    for row in rows:
        print_row(out, row, full)


def print_row(out: Console, row: Row, full: bool = False) -> None:
    """Print one row: its names as a heading, then its texts; ``full`` shows every column and whole texts."""
    values = row.asDict()
    heading = "  ".join(str(values[name]) for name in _NAMES if values.get(name) is not None)
    is_document = "text" in values or "output" in values
    names = _READ if is_document and not full else [name for name in values if name not in _NAMES]
    print_block(out, heading, _fields(values, names), None if full else 600)
    out.print()


def print_examples(out: Console, pairs: DataFrame, count: int = 5) -> None:
    """Print pairs, each in another language, short ones if there are any. Input columns: PAIRS."""
    is_long = F.col("output_chars") > _SHORT_CHARS
    nth = F.row_number().over(Window.partitionBy("language").orderBy(is_long, "pair_id"))
    picked = pairs.withColumn("nth", nth).where("nth = 1").orderBy("language").limit(count)
    for row in picked.collect():
        fields = [("instruction", row["instruction"]), ("output", row["output"]), ("from", row["url"] or row["origin"])]
        print_block(out, f"{row['language']}  {row['split']}  {row['generator']}", fields, 300)
        out.print()


def _fields(values: dict[str, Any], names: Iterable[str]) -> Iterable[tuple[str, str]]:
    for name in names:
        value = values.get(name)
        if value is None or value == []:
            continue
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
