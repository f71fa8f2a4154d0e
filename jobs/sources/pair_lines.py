"""Reading of corpora that hold pairs, one record a line."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pyspark.sql import DataFrame, SparkSession

from jobs.runtime.errors import BackpromptError
from jobs.sources.base import RECORD_SCHEMA, PairSourceSettings
from jobs.sources.jsonl import list_keys, probe_keys
from jobs.sources.text import read_pieces
from udfs.pairs.lines import PairFormat, read_pairs
from udfs.records import CorpusFile


def read_pair_lines(
    spark: SparkSession,
    files: Sequence[CorpusFile],
    settings: PairSourceSettings,
    form: PairFormat,
    fields: Sequence[Sequence[str]],
) -> DataFrame:
    """Read lines as records.

    Args:
        spark: the session.
        files: the files; a file without a language takes it from the records.
        settings: the source's settings.
        form: how the corpus writes pairs.
        fields: of JSON lines, fields that one of the first must have: all of one of these lists.

    Returns:
        Columns RECORD_FIELDS.

    Raises:
        BackpromptError: if none of the first lines has the fields.
    """
    lines = read_checked(spark, files, settings, fields)
    return lines.mapInArrow(partial(read_pairs, files={file.uri: file for file in files}, form=form), RECORD_SCHEMA)


def read_checked(
    spark: SparkSession, files: Sequence[CorpusFile], settings: PairSourceSettings, fields: Sequence[Sequence[str]]
) -> DataFrame:
    """Read lines as ``read_pieces`` does.

    Raises:
        BackpromptError: as ``read_pair_lines``.
    """
    lines = read_pieces(spark, files, settings.max_record_bytes)
    if fields:
        _check_fields(lines, settings, fields)
    return lines


def _check_fields(lines: DataFrame, settings: PairSourceSettings, fields: Sequence[Sequence[str]]) -> None:
    found = probe_keys(lines, settings)
    if found and not any(set(names) <= keys for keys in found for names in fields):
        wanted = ", or ".join(" and ".join(names) for names in fields)
        raise BackpromptError(
            f"Source {settings.name}: none of the first records of {settings.path} has the fields {wanted}. "
            f"Fields there: {list_keys(found)}. Is it another corpus, or another kind?"
        )
