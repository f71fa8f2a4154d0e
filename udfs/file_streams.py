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

from udfs.records import KEPT_BYTES, CorpusFile

HUB: Final = "hf://"
_BLOCK_BYTES: Final = 2**20
_BATCH_BYTES: Final = 16 * 2**20
_BATCH_ROWS: Final = 200
_DAMAGES: Final = (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, pa.ArrowInvalid)
_DAMAGE_WORDS: Final = re.compile(r"Invalid data stream|ZSTD decompress|[Tt]runcated compressed stream")
_SCHEMA: Final = pa.schema(
    [
        ("value", pa.binary()),
        ("piece_bytes", pa.int64()),
        ("file_path", pa.string()),
        ("file_block_start", pa.int64()),
    ]
)


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
        max_bytes: of a longer piece the beginning alone is kept.
        hub_address: of the Hugging Face Hub; None: its own.

    Yields:
        Batches of value (binary), piece_bytes (of the whole piece), file_path (the file's ``uri``) and
        file_block_start (0).

    Raises:
        DamagedFileError: if an archive is cut off or damaged.
    """
    for batch in batches:
        for number in batch.column("id").to_pylist():
            file = files[number]
            pieces: list[tuple[bytes, int]] = []
            held = 0
            for piece in _pieces_of(file.path, separator, max_bytes, hub_address):
                pieces.append(piece)
                held += len(piece[0])
                if held > _BATCH_BYTES or len(pieces) == _BATCH_ROWS:
                    yield _batch(pieces, file)
                    pieces, held = [], 0
            if pieces:
                yield _batch(pieces, file)


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


def _pieces_of(path: str, separator: bytes, max_bytes: int, hub_address: str | None) -> Iterator[tuple[bytes, int]]:
    """Yield the pieces of a file and their bytes; of one that is longer than ``max_bytes`` the beginning."""
    kept_bytes = min(KEPT_BYTES, max_bytes)
    held = bytearray()
    # Of a piece that is too long: its beginning, and how many of its bytes are held no more.
    beginning, passed = b"", 0

    def cut(rest: bytes) -> tuple[bytes, int]:
        size = passed + len(rest)
        return (beginning or rest[:kept_bytes] if size > max_bytes else rest), size

    for block in _blocks(path, hub_address):
        held += block
        *pieces, rest = bytes(held).split(separator)
        for piece in pieces:
            yield cut(piece)
            beginning, passed = b"", 0
        held = bytearray(rest)
        if passed + len(held) > max_bytes + len(separator):
            beginning = beginning or bytes(held[:kept_bytes])
            # A separator may stand across the end of the block.
            passed += len(held) - len(separator)
            held = held[-len(separator) :]
    if held or passed:
        yield cut(bytes(held))


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


def _batch(pieces: Sequence[tuple[bytes, int]], file: CorpusFile) -> pa.RecordBatch:
    columns = [
        pa.array([value for value, _ in pieces], pa.binary()),
        pa.array([size for _, size in pieces], pa.int64()),
        pa.array([file.uri] * len(pieces)),
        pa.array([0] * len(pieces), pa.int64()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_SCHEMA)
