"""Reading of text files in pieces, with the place of each."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.sources.files import literal
from udfs.records import CorpusFile


def read_pieces(spark: SparkSession, files: Sequence[CorpusFile], separator: str | None = None) -> DataFrame:
    r"""Read files as pieces between separators.

    Plain and bzip2 files are split over tasks. Hadoop's reader neither loses nor cuts a piece at a split, with
    separators of several bytes too; up to Hadoop 3.3.4 (Spark 3.5) it gives a piece twice where its separator stands
    just behind the border of a bzip2 block (HADOOP-18321). Sources drop such copies as rows with the same id and
    content.

    Args:
        spark: the session.
        files: the files.
        separator: what ends a piece; None: ends of lines.

    Returns:
        Columns value (binary: bytes as they stand in the file, which may not be UTF-8), file_path, file_block_start,
        file_block_length, file_size (bytes). Rows of a part of a file come together and in order.
    """
    reader = spark.read.option("recursiveFileLookup", "true")
    if separator is not None:
        reader = reader.option("lineSep", separator)
    return reader.text([literal(file.path) for file in files]).select(
        F.col("value").cast("binary").alias("value"),
        *(f"_metadata.{name}" for name in ("file_path", "file_block_start", "file_block_length", "file_size")),
    )
