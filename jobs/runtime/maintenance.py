"""What keeps a lake's files in order: files that no version needs any more are deleted, small ones are put together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Final

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.runtime import lease, ledger, removals, retries, translation_cache
from jobs.runtime.accounting import tables_in_order
from jobs.runtime.batches import INDEXED, SPLITS_TABLE, index_table
from jobs.runtime.dedup_index import PARQUET
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.recipe import FIRST
from jobs.runtime.schema import REVIEWS_TABLE
from jobs.runtime.session import changed_settings
from jobs.stages import STAGES, dedup_lines

WEEK_HOURS: Final = 168
FILES_PER_PARTITION: Final = 8
"""A partition may have so many files before it pays to put them together."""
SMALL_BYTES: Final = 32 << 20
"""Smaller files are put together ..."""
LARGE_BYTES: Final = 64 << 20
"""... up to this size: a stage that is rebuilt reads whole files, and its batches must stay bounded."""

_INDEXES: Final = tuple(index_table(name) for name in (dedup_lines.STAGE.name, *INDEXED))
_TABLES: Final = (
    *(FIRST, *STAGES, *_INDEXES, SPLITS_TABLE),
    *(ledger.TABLE, removals.TABLE, retries.TABLE, translation_cache.TABLE, lease.TABLE, REVIEWS_TABLE),
)


def tables(lake: Lake) -> list[str]:
    """Return the names of the tables that the lake has, state included."""
    return [name for name in _TABLES if lake.exists(name)]


# Rows that wait ----------------------------------------------------------------------------------------------------


def waiting(lake: Lake) -> dict[str, int]:
    """Return how many rows of the table before it each stage has still to take in, by ``runs``; none are left out."""
    rows = ledger.waiting_rows(tuple(tables_in_order(lake)), ledger.tallies(lake))
    return {stage: sum(by_language.values()) for stage, by_language in rows.items()}


def behind(lake: Lake) -> list[str]:
    """Return the stages whose streams still need files of the table before as they were written.

    Told from the streams' own positions: a row that is taken out waits no more, and its file is still to be read.
    A stage that has not begun reads the table as it is when it begins.

    Raises:
        BackpromptError: if the checkpoint of a stage that has begun is not where the lake's checkpoints are.
    """
    return [name for before, name in pairwise(tables_in_order(lake)) if _is_behind(lake, before, name)]


def _is_behind(lake: Lake, upstream: str, stage: str) -> bool:
    folder = lake.checkpoint(replace(ledger.present_life(lake, stage), batch_id=0).app_id)
    offsets = _numbered(lake.spark, f"{folder}/offsets")
    if not offsets:
        if not ledger.entered(lake, stage).where(F.col("batch_id") >= 0).isEmpty():
            raise BackpromptError(
                f"Stage {stage} of {lake} has no checkpoint in {folder}, so it cannot be told which files it still "
                "needs. Name the folder of the checkpoints that the runs used with --checkpoints."
            )
        return False
    last = max(offsets)
    if last not in _numbered(lake.spark, f"{folder}/commits"):
        return True  # the batch is done again
    position = json.loads(offsets[last].splitlines()[-1])
    if position["isStartingVersion"]:
        return True
    return _has_appends(lake, upstream, since=position["reservoirVersion"])


def _numbered(spark: SparkSession, folder: str) -> dict[int, str]:
    """Return the files of a stream's log by their numbers, none if it has not begun."""
    try:
        rows = spark.read.text(folder, wholetext=True).select("_metadata.file_name", "value").collect()
    except AnalysisException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            return {}
        raise
    return {int(row["file_name"]): row["value"] for row in rows if row["file_name"].isdigit()}


def _has_appends(lake: Lake, table: str, since: int) -> bool:
    """Say whether rows were appended in a version or later; whatever else changes a table is not read as new rows."""
    delta = lake.delta(table)
    newest = delta.history(1).first()
    assert newest is not None, f"table {table} has no history"
    if newest["version"] < since:
        return False
    commits = delta.history(newest["version"] - since + 1).select("operation", "operationMetrics").collect()
    return any(row["operation"] == "WRITE" and row["operationMetrics"].get("numFiles") != "0" for row in commits)


def _refuse_while_behind(lake: Lake, what: str) -> None:
    late = behind(lake)
    if late:
        rows = waiting(lake)
        listed = ", ".join(f"{name} ({rows[name]:,} rows)" if name in rows else name for name in late)
        raise BackpromptError(
            f"Lake {lake}: {what} would delete files that stages have yet to read: {listed}. Nothing was deleted. Run "
            "'backprompt run' first, with all stages, and then this again."
        )


# Vacuum ------------------------------------------------------------------------------------------------------------


def purge(lake: Lake) -> dict[str, int | None]:
    """Delete every file that the newest version of each table does not need: no removed text is left in any.

    Earlier versions of the tables cannot be read after that.

    Returns:
        Files deleted by table; None where Delta does not tell.

    Raises:
        BackpromptError: while a stage has files to read; nothing has been deleted then.
    """
    removals.complete_unfinished(lake)
    _refuse_while_behind(lake, "a purge")
    # Not the lease, which is written meanwhile; there is no text in it.
    chosen = [name for name in tables(lake) if name != lease.TABLE]
    for table in chosen:
        _apply_deletions(lake, table)
    return {table: _vacuum(lake, table, 0) for table in chosen}


def vacuum(lake: Lake, hours: float = WEEK_HOURS, force: bool = False) -> dict[str, int | None]:
    """Delete the files that versions of the last ``hours`` do not need.

    Args:
        lake: where the tables are.
        hours: what stays reachable by time travel; whoever reads a table for longer than that loses files under way.
        force: allow less than a week.

    Returns:
        Files deleted by table; None where Delta does not tell.

    Raises:
        BackpromptError: for less than a week without ``force``, or while a stage has files to read.
    """
    if hours < 0 or (hours < WEEK_HOURS and not force):
        raise BackpromptError(
            f"{hours:g} hours: files are kept for {WEEK_HOURS} hours (a week) at least, as someone may be reading the "
            "tables. If nobody is, add --force."
        )
    _refuse_while_behind(lake, "vacuum")
    chosen = [name for name in tables(lake) if name != lease.TABLE or hours >= WEEK_HOURS]
    return {table: _vacuum(lake, table, hours) for table in chosen}


def _vacuum(lake: Lake, table: str, hours: float) -> int | None:
    settings = {
        "spark.databricks.delta.retentionDurationCheck.enabled": str(hours >= WEEK_HOURS).lower(),
        "spark.databricks.delta.vacuum.logging.enabled": "true",
    }
    with changed_settings(lake.spark, settings):
        lake.delta(table).vacuum(hours)
    last = lake.delta(table).history(1).first()
    if last is None or last["operation"] != "VACUUM END":
        return None
    deleted = (last["operationMetrics"] or {}).get("numDeletedFiles")
    return None if deleted is None else int(deleted)


def _apply_deletions(lake: Lake, table: str) -> None:
    """Rewrite files of which rows are only marked as deleted, as tables with deletion vectors have them."""
    found = lake.delta(table).detail().select("tableFeatures").first()
    if found is not None and "deletionVectors" in (found["tableFeatures"] or ()):
        lake.spark.sql(f"REORG TABLE {lake.sql_name(table)} APPLY (PURGE)").collect()


# Compaction --------------------------------------------------------------------------------------------------------


def compact(lake: Lake, tables_to_compact: Iterable[str] | None = None) -> dict[str, tuple[int, int]]:
    """Put small files together where there are many; what the tables hold stays, and no stream reads it again.

    Args:
        lake: where the tables are.
        tables_to_compact: names of tables; None: all.

    Returns:
        By table that had too many: files that went, files that took their place.
    """
    done = {}
    for table in tables(lake) if tables_to_compact is None else tables_to_compact:
        if not _has_many_small_files(lake, table):
            continue
        settings = {
            "spark.databricks.delta.optimize.minFileSize": str(SMALL_BYTES),
            "spark.databricks.delta.optimize.maxFileSize": str(LARGE_BYTES),
        }
        if table in _INDEXES and table != index_table(dedup_lines.STAGE.name):
            settings |= _as_session_settings(PARQUET)
        with changed_settings(lake.spark, settings):
            found = lake.delta(table).optimize().executeCompaction().select("metrics.*").first()
        assert found is not None, f"no metrics of the compaction of {table}"
        if found["numFilesRemoved"]:
            done[table] = (found["numFilesRemoved"], found["numFilesAdded"])
    return done


def _has_many_small_files(lake: Lake, table: str) -> bool:
    """Tell from the table's list of files alone."""
    detail = lake.delta(table).detail().select("numFiles", "sizeInBytes", "partitionColumns").first()
    assert detail is not None, f"no detail of {table}"
    files = detail["numFiles"]
    if files <= FILES_PER_PARTITION or detail["sizeInBytes"] >= files * SMALL_BYTES:
        return False
    if not detail["partitionColumns"]:
        return True
    partitions = {path.rpartition("/")[0] for path in lake.read(table).inputFiles()}
    return bool(files > FILES_PER_PARTITION * len(partitions))


def _as_session_settings(options: Mapping[str, str]) -> dict[str, str]:
    """Return options of a Parquet writer as the session's settings, as a compaction takes no options."""
    names = {"compression": "spark.sql.parquet.compression.codec"}
    return {names.get(key, key): value for key, value in options.items()}
