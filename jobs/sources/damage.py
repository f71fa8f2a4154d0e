"""Damaged files of a corpus: which they are, and how far each can be read."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pyspark.sql import SparkSession

from jobs.sources.base import SourceSettings
from jobs.sources.read_errors import UnreadableFileError, first_line
from jobs.sources.text import read_by_python
from udfs.file_streams import find_damage
from udfs.records import CorpusFile, Damage

_LOG = logging.getLogger(__name__)

_MAY_BE_DAMAGED: Final = re.compile(r"\.(?:gz|bz2|zst|xz|parquet)$")


def damaged_files(
    spark: SparkSession, settings: SourceSettings, files: Sequence[CorpusFile], error: UnreadableFileError
) -> tuple[CorpusFile, ...]:
    """Find the damaged files of a corpus, by reading its archives and Parquet files to their ends.

    Spark's readers say no more than that one file is damaged, and end the job. So this is asked behind such an error
    alone: corpora whose files are whole are not read twice.

    Args:
        spark: the session.
        settings: the source's settings, for messages.
        files: the files that are read.
        error: why they are looked at.

    Returns:
        The damaged files with their ``damage``, one at least.

    Raises:
        UnreadableFileError: ``error``, if no file is damaged, or with the reason if Python cannot open them.
    """
    packed = [file for file in files if _MAY_BE_DAMAGED.search(file.path)]
    if not packed:
        raise error
    schema = "id long, `where` string, cause string, row_groups array<int>"
    try:
        found = read_by_python(spark, packed, find_damage, schema).collect()
    except Exception as failed:  # whatever a file system throws
        raise UnreadableFileError(
            f"{error} What stands before the damage cannot be taken, as Python cannot open the files of "
            f"{settings.path} ({_cause(failed)})."
        ) from failed
    if not found:
        raise error
    damaged = []
    for row in sorted(found):
        file, damage = packed[row["id"]], Damage(row["where"], row["cause"], tuple(row["row_groups"]))
        what = damage.describe(file.origin)
        _LOG.warning("Source %s: %s. What can be read of it is taken; fetch it again.", settings.name, what)
        damaged.append(replace(file, damage=damage))
    return tuple(damaged)


def _cause(failed: Exception) -> str:
    """Return the last line of Python's own traceback, where an executor sent one."""
    lines = [line.strip() for line in str(failed).splitlines()]
    return next((line for line in lines if re.match(r"\w+(?:\.\w+)*(?:Error|Exception): ", line)), first_line(failed))
