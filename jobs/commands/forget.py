"""``backprompt forget``: take documents out of a lake for good."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table

from jobs.runtime import removals
from jobs.runtime.console import printable
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.recipe import FIRST
from jobs.runtime.removals import REMOVALS, Removed

_SHOWN: Final = 20
_DOC_ID: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What one ``forget`` did."""

    documents: int
    """Documents that were in the lake."""
    rows: dict[str, int]
    """Rows taken out, by table."""
    unknown_ids: tuple[str, ...] = ()
    """Ids that the lake did not hold; remembered, so they will not be taken in either."""
    unknown_urls: tuple[str, ...] = ()
    """URLs that no document of the lake has; nothing is remembered of them."""
    completed: tuple[Removed, ...] = field(default=())
    """Removals that were interrupted before, and are complete now."""


def forget(lake: Lake, ids: Path | None = None, urls: Path | None = None) -> Forgotten:
    """Take the documents that a file names out of every table, and never take them in again.

    Args:
        lake: a lake that no other process writes.
        ids: file of ids of documents or pairs, one a line.
        urls: file of URLs, one a line, compared with ``documents.url`` as they stand.

    Raises:
        BackpromptError: if neither or both files are named, one cannot be read or holds nothing, or the lake has no
            documents.
    """
    if ids is not None and urls is None:
        wanted = _read(ids, "--ids", _check_id)
    elif urls is not None and ids is None:
        wanted = _read(urls, "--urls", _check_url)
    else:
        raise BackpromptError("forget takes either --ids FILE or --urls FILE")
    documents = lake.read(FIRST)
    completed = tuple(removals.complete_unfinished(lake))
    values = lake.spark.createDataFrame([(each,) for each in wanted], "value string")
    if ids is not None:
        removed = removals.remove(lake, values.withColumnRenamed("value", "doc_id"), "forgotten")
        entries = _entries(lake, removed.removal_id)
        unknown = entries.where(F.col("document_batch") < 0).select("doc_id").orderBy("doc_id").collect()
        count = entries.where(F.col("document_batch") >= 0).count()
        return Forgotten(count, removed.rows, tuple(row["doc_id"] for row in unknown), completed=completed)
    found = documents.join(values, documents["url"] == values["value"])
    met = {row["value"] for row in found.select("value").distinct().collect()}
    missed = tuple(each for each in wanted if each not in met)
    if not met:
        return Forgotten(0, {}, unknown_urls=missed, completed=completed)
    removed = removals.remove(lake, found.select("doc_id"), "forgotten")
    return Forgotten(_entries(lake, removed.removal_id).count(), removed.rows, unknown_urls=missed, completed=completed)


def print_forgotten(out: Console, forgotten: Forgotten) -> None:
    """Print what was taken out where, and what was not found."""
    for earlier in forgotten.completed:
        out.print("A removal that was interrupted before is complete now:", markup=False)
        _print_rows(out, earlier.rows)
    out.print(f"{forgotten.documents:,} documents forgotten.", markup=False)
    if forgotten.rows:
        _print_rows(out, forgotten.rows)
    _print_unknown(out, forgotten.unknown_ids, "ids the lake does not hold; they will not be taken in")
    _print_unknown(out, forgotten.unknown_urls, "URLs that no document of the lake has; nothing is remembered of them")


def print_purged(out: Console, files: Mapping[str, int | None]) -> None:
    """Print how many files a vacuum or purge deleted."""
    counts = [count for count in files.values() if count is not None]
    told = f"{sum(counts):,} files deleted" if len(counts) == len(files) else "Files deleted"
    out.print(f"{told} in {len(files)} tables.", markup=False)


def _print_rows(out: Console, rows: Mapping[str, int]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("table")
    table.add_column("rows taken out", justify="right")
    for name, count in reversed(list(rows.items())):
        table.add_row(name, f"{count:,}")
    out.print(table)


def _print_unknown(out: Console, values: tuple[str, ...], what: str) -> None:
    if not values:
        return
    out.print(f"{len(values):,} {what}:", markup=False)
    for value in values[:_SHOWN]:
        out.print(f"  {printable(value)}", markup=False, soft_wrap=True)
    if len(values) > _SHOWN:
        out.print(f"  and {len(values) - _SHOWN:,} more", markup=False)


def _entries(lake: Lake, removal_id: str) -> DataFrame:
    return lake.read(removals.TABLE, REMOVALS).where(F.col("removal_id") == removal_id)


def _read(file: Path, option: str, check: Callable[[str], str]) -> list[str]:
    """Return the values of a file, each once, in the order of the file."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BackpromptError(f"{option} {file}: cannot be read as UTF-8 text: {error}") from error
    values: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        value = line.strip()
        if not value:
            continue
        problem = check(value)
        if problem:
            raise BackpromptError(f"{option} {file}, line {number}: {value[:100]!r} {problem}")
        values[value] = None
    if not values:
        raise BackpromptError(f"{option} {file}: the file names nothing; write one a line")
    return list(values)


def _check_id(value: str) -> str:
    if _DOC_ID.fullmatch(value):
        return ""
    return (
        "is no id of a document, which is 64 digits and letters a to f: take doc_id or pair_id from a table, or name "
        "addresses with --urls"
    )


def _check_url(value: str) -> str:
    return "is an id: name ids with --ids" if _DOC_ID.fullmatch(value) else ""
