"""Files that Spark has no reader for, read by Python: xz, those of the Hugging Face Hub, and damaged ones.

A file is read as a stream, by one task, so that a task holds a piece and a block of the archive, not the file.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, repeat
from typing import IO, Any, Final, cast

import pyarrow as pa

from udfs.records import KEPT_BYTES, CorpusFile, Damage

HUB: Final = "hf://"
_BLOCK_BYTES: Final = 2**20
_EVER_SMALLER: Final = (_BLOCK_BYTES, 2**10, 1)
_BATCH_BYTES: Final = 16 * 2**20
_BATCH_ROWS: Final = 200
_DAMAGES: Final = (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, pa.ArrowInvalid)
# bz2 and Arrow's readers have no errors of their own.
_DAMAGE_WORDS: Final = re.compile(
    r"Invalid data stream|decompress(?:ion)? failed|Codec failed|[Tt]runcated|[Cc]orrupt|Invalid BYTE_ARRAY"
    r"|Unexpected end of stream|deserialize thrift|but only got"
)
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
        self.path = path
        self.reason = str(cause).splitlines()[0] if str(cause) else type(cause).__name__


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
        file_block_start (0). Of a file with a ``damage`` the pieces that end before it; the piece that it falls into is
        not among them.

    Raises:
        DamagedFileError: if an archive is cut off or damaged, and that was not known.
    """
    for batch in batches:
        for number in batch.column("id").to_pylist():
            file = files[number]
            pieces: list[tuple[bytes, int]] = []
            held = 0
            for piece in _pieces_before_damage(file, separator, max_bytes, hub_address):
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
        Batches of file_path, row_index (long) and ``columns``. Of a file with a ``damage`` the row groups that can be
        read.

    Raises:
        DamagedFileError: if a file is no Parquet file, cut off or damaged, and that was not known.
    """
    from pyarrow import parquet

    for batch in batches:
        for number in batch.column("id").to_pylist():
            file = files[number]
            with _telling_damage(file.path), open_file(file.path, hub_address) as stream:
                table = parquet.ParquetFile(stream)
                there = [column for column in columns.values() if column in table.schema_arrow.names]
                for group in range(table.num_row_groups) if file.damage is None else file.damage.row_groups:
                    row = sum(table.metadata.row_group(before).num_rows for before in range(group))
                    for rows in table.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group], columns=there):
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


def find_damage(
    batches: Iterable[pa.RecordBatch], files: Sequence[CorpusFile], hub_address: str | None = None
) -> Iterator[pa.RecordBatch]:
    """Read archives and Parquet files to their end, to find those that are damaged.

    Args:
        batches: id (long): numbers of files.
        files: the files by number.
        hub_address: of the Hugging Face Hub; None: its own.

    Yields:
        A batch for each damaged file: id, and the fields of its ``Damage``.
    """
    for batch in batches:
        for number in batch.column("id").to_pylist():
            path = files[number].path
            look = _damage_of_table if path.endswith(".parquet") else _damage_of_archive
            if (damage := look(path, hub_address)) is not None:
                groups = pa.array([list(damage.row_groups)], pa.list_(pa.int32()))
                columns = [pa.array([number], pa.int64()), pa.array([damage.where]), pa.array([damage.cause]), groups]
                yield pa.RecordBatch.from_arrays(columns, names=["id", "where", "cause", "row_groups"])


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


def _damage_of_archive(path: str, hub_address: str | None) -> Damage | None:
    lines = unpacked = 0
    try:
        for block in _blocks_to_the_byte(path, hub_address):
            lines += block.count(b"\n")
            unpacked += len(block)
    except DamagedFileError as error:
        return Damage(f", line {lines + 1}", f"damaged or cut off after {unpacked:,} unpacked bytes ({error.reason})")
    return None


def _damage_of_table(path: str, hub_address: str | None) -> Damage | None:
    from pyarrow import parquet

    readable, broken, reasons = [], [], []
    with open_file(path, hub_address) as stream:
        try:
            with _telling_damage(path):
                table = parquet.ParquetFile(stream)
        except DamagedFileError as error:
            return Damage("", f"damaged or cut off ({error.reason})")
        for group in range(table.num_row_groups):
            try:
                with _telling_damage(path):
                    for _ in table.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group]):
                        pass
            except DamagedFileError as error:
                broken.append(group)
                reasons.append(error.reason)
            else:
                readable.append(group)
        if not broken:
            return None
        rows = sum(table.metadata.row_group(group).num_rows for group in broken)
    named = ", ".join(str(group + 1) for group in broken)
    where = f", row group{'s' if len(broken) > 1 else ''} {named} of {table.num_row_groups}"
    return Damage(where, f"damaged, {rows:,} rows cannot be read ({reasons[0]})", tuple(readable))


def _pieces_before_damage(
    file: CorpusFile, separator: bytes, max_bytes: int, hub_address: str | None
) -> Iterator[tuple[bytes, int]]:
    if file.damage is None:
        yield from _pieces_of(_blocks(file.path, hub_address), separator, max_bytes)
        return
    try:
        yield from _pieces_of(_blocks_to_the_byte(file.path, hub_address), separator, max_bytes)
    except DamagedFileError:
        return


def _pieces_of(blocks: Iterable[bytes], separator: bytes, max_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Yield the pieces of a file and their bytes; of one that is longer than ``max_bytes`` the beginning."""
    kept_bytes = min(KEPT_BYTES, max_bytes)
    held = bytearray()
    # Of a piece that is too long: its beginning, and how many of its bytes are held no more.
    beginning, passed = b"", 0

    def cut(rest: bytes) -> tuple[bytes, int]:
        size = passed + len(rest)
        return (beginning or rest[:kept_bytes] if size > max_bytes else rest), size

    for block in blocks:
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


def _blocks(path: str, hub_address: str | None, sizes: Iterable[int] = repeat(_BLOCK_BYTES)) -> Iterator[bytes]:
    """Yield a file as blocks of at most so many bytes."""
    with _telling_damage(path), open_file(path, hub_address) as packed:
        stream = _unpacked(packed, path)
        for size in sizes:
            # read1 takes no more out of the archive than it is asked for.
            block = stream.read(size) if size == _BLOCK_BYTES else stream.read1(size)
            if not block:
                return
            yield block


def _blocks_to_the_byte(path: str, hub_address: str | None) -> Iterator[bytes]:
    """Yield a file as blocks, and raise DamagedFileError behind the last byte that can be read of it.

    A block in which the damage lies fails as a whole, so that from there on the file is read again in smaller ones.
    """
    done: list[int] = []
    damage: DamagedFileError | None = None
    for size in _EVER_SMALLER:
        before = len(done)
        try:
            for number, block in enumerate(_blocks(path, hub_address, chain(tuple(done), repeat(size)))):
                if number >= before:
                    done.append(size)
                    yield block
        except DamagedFileError as error:
            damage = error
        else:
            return
    assert damage is not None
    raise damage


@contextmanager
def _telling_damage(path: str) -> Iterator[None]:
    """Raise DamagedFileError for the errors of readers that are about a file's content."""
    try:
        yield
    except DamagedFileError:
        raise
    except _DAMAGES as error:
        raise DamagedFileError(path, error) from error
    except OSError as error:
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
