"""Reading of text files in pieces, with the place of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.sources import hub
from jobs.sources.base import RECORD_SCHEMA
from jobs.sources.files import literal
from udfs.file_streams import DamagedFileError, stream_pieces
from udfs.records import KEPT_BYTES, CorpusFile
from udfs.text_documents import BLANK_LINE, read_text_documents

TEXT_PARTS: Final = r"(?:\.gz|\.bz2|\.zst|\.xz)?"
"""Pattern of what may stand behind the ending of a text file: how it is packed."""

_UNKNOWN_TO_SPARK: Final = ".xz"
_BZIP2_MAGIC: Final = b"BZh"


def read_pieces(
    spark: SparkSession, files: Sequence[CorpusFile], max_record_bytes: int, separator: str | None = None
) -> DataFrame:
    r"""Read files as pieces between separators.

    Plain and bzip2 files are split over tasks. Hadoop's reader neither loses nor cuts a piece at a split, with
    separators of several bytes too; up to Hadoop 3.3.4 (Spark 3.5) it gives a piece twice where its separator stands
    just behind the border of a bzip2 block (HADOOP-18321). Sources drop such copies as rows with the same id and
    content. Files that Hadoop cannot read (xz, those of the Hugging Face Hub, those that are known to be damaged) are
    read by Python, one a task; of damaged ones the pieces that end before the damage.

    Args:
        spark: the session.
        files: the files.
        max_record_bytes: of a longer piece the beginning alone goes on, so that no more reaches Python.
        separator: what ends a piece; None: ends of lines.

    Returns:
        Columns value (binary: bytes as they stand in the file, which may not be UTF-8), piece_bytes (of the whole
        piece, more than value has of one that is too long), file_path, file_block_start, file_block_length, file_size
        (bytes). Rows of a part of a file come together and in order.

    Raises:
        DamagedFileError: if a local file is named .bz2 and is something else.
    """
    streamed = [file for file in files if _is_streamed(file)]
    read = [file for file in files if file not in streamed]
    _refuse_misnamed(read)
    parts = []
    if read:
        reader = spark.read.option("recursiveFileLookup", "true")
        if separator is not None:
            reader = reader.option("lineSep", separator)
        value = F.col("value").cast("binary")
        size = F.octet_length(value)
        beginning = F.substring(value, 1, min(KEPT_BYTES, max_record_bytes))
        parts.append(
            reader.text([literal(file.path) for file in read]).select(
                F.when(size > max_record_bytes, beginning).otherwise(value).alias("value"),
                size.cast("long").alias("piece_bytes"),
                *(f"_metadata.{name}" for name in ("file_path", "file_block_start", "file_block_length", "file_size")),
            )
        )
    if streamed:
        pieces = partial(stream_pieces, separator=(separator or "\n").encode(), max_bytes=max_record_bytes)
        schema = "value binary, piece_bytes long, file_path string, file_block_start long"
        whole = read_by_python(spark, streamed, pieces, schema)
        # A file is one part there, which is told by its end being at its start.
        parts.append(whole.withColumns({name: F.lit(0).cast("long") for name in ("file_block_length", "file_size")}))
    return parts[0] if len(parts) == 1 else parts[0].unionByName(parts[1])


def read_by_python(
    spark: SparkSession, files: Sequence[CorpusFile], kernel: Callable[..., Iterator[Any]], schema: str
) -> DataFrame:
    """Read files with a kernel of ``udfs.file_streams``, each in a task of its own.

    Args:
        spark: the session.
        files: the files.
        kernel: takes batches with the column id, numbers of files, and ``files``.
        schema: what it yields.
    """
    numbers = spark.range(0, len(files), 1, numPartitions=len(files))
    return numbers.mapInArrow(partial(kernel, files=tuple(files), hub_address=hub.address()), schema)


def _is_streamed(file: CorpusFile) -> bool:
    return hub.is_on_hub(file.path) or file.path.endswith(_UNKNOWN_TO_SPARK) or file.damage is not None


def _refuse_misnamed(files: Sequence[CorpusFile]) -> None:
    """Refuse local files that are named .bz2 and are something else: Hadoop reads such a file as empty."""
    for file in files:
        local = Path(file.path.removeprefix("file:"))
        if not file.path.startswith("file:") or local.suffix != ".bz2" or not local.is_file():
            continue
        with local.open("rb") as stream:
            start = stream.read(len(_BZIP2_MAGIC))
        if start and start != _BZIP2_MAGIC:
            raise DamagedFileError(str(local), ValueError("named .bz2 but is not bzip2"))


def read_documents(spark: SparkSession, files: Sequence[CorpusFile], max_record_bytes: int) -> DataFrame:
    """Read plain text in which blank lines stand between documents; of larger ones the beginning, rejected.

    Returns:
        Columns RECORD_FIELDS, a row a document.
    """
    pieces = read_pieces(spark, files, max_record_bytes, BLANK_LINE)
    parse = partial(read_text_documents, files={file.uri: file for file in files})
    return pieces.mapInArrow(parse, RECORD_SCHEMA)
