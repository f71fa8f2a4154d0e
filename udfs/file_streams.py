"""Files that Spark has no reader for, read by Python: xz, and those of the Hugging Face Hub.

A file is read as a stream, by one task, so that a task holds a piece and a block of the archive, not the file.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import IO, Any, Final, cast

import pyarrow as pa

from udfs.records import CorpusFile

HUB: Final = "hf://"
_BLOCK_BYTES: Final = 2**20
_BATCH_BYTES: Final = 16 * 2**20
_BATCH_ROWS: Final = 200
_DAMAGES: Final = (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, pa.ArrowInvalid)
_DAMAGE_WORDS: Final = re.compile(r"Invalid data stream|ZSTD decompress|[Tt]runcated compressed stream")
_SCHEMA: Final = pa.schema([("value", pa.binary()), ("file_path", pa.string()), ("file_block_start", pa.int64())])


class DamagedFileError(OSError):
    """A file is cut off or no archive; worded as Spark words it, for ``explain_read_error``."""

    def __init__(self, path: str, cause: BaseException) -> None:
        super().__init__(f"Error while reading file {path}. Truncated source: {type(cause).__name__}: {cause}")


def stream_pieces(
    batches: Iterable[pa.RecordBatch],
    files: Sequence[CorpusFile],
    separator: bytes,
    max_bytes: int,
    hub_address: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """Read files as pieces between separators.

    Args:
        batches: id (long): numbers of files.
        files: the files by number.
        separator: what ends a piece.
        max_bytes: more than that of a piece is passed over.
        hub_address: of the Hugging Face Hub; None: its own.

    Yields:
        Batches of value (binary), file_path (the file's ``uri``) and file_block_start (0).

    Raises:
        DamagedFileError: if an archive is cut off or damaged.
    """
    for batch in batches:
        for number in batch.column("id").to_pylist():
            file = files[number]
            values: list[bytes] = []
            held = 0
            for value in _pieces_of(file.path, separator, max_bytes, hub_address):
                values.append(value)
                held += len(value)
                if held > _BATCH_BYTES or len(values) == _BATCH_ROWS:
                    yield _batch(values, file)
                    values, held = [], 0
            if values:
                yield _batch(values, file)


def stream_rows(
    batches: Iterable[pa.RecordBatch],
    files: Sequence[CorpusFile],
    columns: Mapping[str, str],
    hub_address: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """Read Parquet files, their columns as strings.

    Args:
        batches: id (long): numbers of files.
        files: the files by number.
        columns: the file's column by the name that it gets; null where a file lacks it.
        hub_address: of the Hugging Face Hub; None: its own.

    Yields:
        Batches of file_path, row_index (long) and ``columns``.

    Raises:
        DamagedFileError: if a file is no Parquet file, or cut off.
    """
    from pyarrow import parquet

    for batch in batches:
        for number in batch.column("id").to_pylist():
            file, row = files[number], 0
            try:
                with open_file(file.path, hub_address) as stream:
                    table = parquet.ParquetFile(stream)
                    there = [column for column in columns.values() if column in table.schema_arrow.names]
                    for rows in table.iter_batches(batch_size=_BATCH_ROWS, columns=there):
                        arrays = [
                            rows.column(column).cast(pa.string())
                            if column in there
                            else pa.nulls(len(rows), pa.string())
                            for column in columns.values()
                        ]
                        places = [pa.array([file.uri] * len(rows)), pa.array(range(row, row + len(rows)), pa.int64())]
                        names = ["file_path", "row_index", *columns]
                        yield pa.RecordBatch.from_arrays([*places, *arrays], names=names)
                        row += len(rows)
            except _DAMAGES as error:
                raise DamagedFileError(file.path, error) from error


def open_file(path: str, hub_address: str | None = None) -> IO[bytes]:
    """Open a file on a disk, on the Hugging Face Hub, or in a store that Arrow knows (S3, Azure, GCS, HDFS).

    Stores are entered with the credentials that the machine has: Spark's own settings do not reach Python.
    """
    if path.startswith(HUB):
        return cast(IO[bytes], hub(hub_address).open(path, "rb", block_size=_BATCH_BYTES))
    if path.startswith("dbfs:/"):
        return open("/dbfs/" + path.removeprefix("dbfs:").lstrip("/"), "rb")
    if path.startswith("file:") or "://" not in path:
        return open("/" + path.removeprefix("file:").lstrip("/"), "rb")
    from pyarrow import fs

    system, inside = fs.FileSystem.from_uri(path.replace("s3a://", "s3://", 1))
    return cast(IO[bytes], system.open_input_file(inside))


def hub(address: str | None = None) -> Any:
    """Return the file system of the Hugging Face Hub, entered with ``HF_TOKEN`` or what ``hf auth login`` stored.

    Args:
        address: of the Hub, or of a mirror; None: its own.

    Raises:
        ModuleNotFoundError: if ``huggingface_hub`` is not installed.
    """
    from huggingface_hub import HfFileSystem

    system = HfFileSystem(endpoint=address)
    # It is one for the whole process, and would remember what a file was in an earlier run.
    system.invalidate_cache()
    return system


def _pieces_of(path: str, separator: bytes, max_bytes: int, hub_address: str | None) -> Iterator[bytes]:
    """Yield the pieces of a file; of one that is longer than ``max_bytes`` its first ``max_bytes + 1`` bytes."""
    held, seen_long = bytearray(), False
    for block in _blocks(path, hub_address):
        held += block
        *pieces, rest = bytes(held).split(separator)
        for piece in pieces:
            if not seen_long:
                yield piece[: max_bytes + 1]
            seen_long = False
        held = bytearray(rest)
        if len(held) > max_bytes + len(separator):
            if not seen_long:
                yield bytes(held[: max_bytes + 1])
            seen_long = True
            # A separator may stand across the end of the block.
            held = held[-len(separator) :]
    if held and not seen_long:
        yield bytes(held[: max_bytes + 1])


def _blocks(path: str, hub_address: str | None) -> Iterator[bytes]:
    with ExitStack() as stack:
        try:
            stream = _unpacked(stack.enter_context(open_file(path, hub_address)), path)
            while block := stream.read(_BLOCK_BYTES):
                yield block
        except _DAMAGES as error:
            raise DamagedFileError(path, error) from error
        except OSError as error:
            # bz2 and Arrow's zstd have no errors of their own.
            if not _DAMAGE_WORDS.search(str(error)):
                raise
            raise DamagedFileError(path, error) from error


def _unpacked(stream: IO[bytes], path: str) -> Any:
    suffix = path.rpartition(".")[2]
    if suffix == "zst":
        return pa.CompressedInputStream(stream, "zstd")
    openers: dict[str, Any] = {"xz": lzma.open, "gz": gzip.open, "bz2": bz2.open}
    return openers[suffix](stream) if suffix in openers else stream


def _batch(values: Sequence[bytes], file: CorpusFile) -> pa.RecordBatch:
    columns = [
        pa.array(values, pa.binary()),
        pa.array([file.uri] * len(values)),
        pa.array([0] * len(values), pa.int64()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)
