"""Plain text in which blank lines stand between documents: CC-100, and OSCAR before 22.01."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import pyarrow as pa

from udfs.records import (
    MAX_RECORD_BYTES,
    UNREADABLE,
    CorpusFile,
    Record,
    decode,
    numbered_pieces,
    place,
    record_batch,
    too_large,
)

BLANK_LINE: Final = "\n\n"
"""What documents end with."""


def read_text_documents(batches: Iterable[pa.RecordBatch], files: Mapping[str, CorpusFile]) -> Iterator[pa.RecordBatch]:
    """Turn what stands between blank lines into records: a document each, its paragraphs lines.

    Args:
        batches: value (binary), what stands between two blank lines; file_path; file_block_start (bytes). Pieces of a
            file in its order.
        files: the files by their address.

    Yields:
        Batches of ``RECORD_FIELDS``, a row a piece that is not blank. A document has no key: its content is its own.
    """
    for rows in numbered_pieces(batches):
        yield record_batch(
            parse_document(value, files[address], place(files[address], start, number, "document"))
            for value, address, start, number in rows
            if value.strip()
        )


def parse_document(value: bytes, file: CorpusFile, where: str) -> Record:
    """Return the document in a piece, a rejected one if it is not UTF-8 or too long.

    Args:
        value: the bytes between two blank lines.
        file: their file.
        where: their place, for the detail of a rejection.
    """
    if len(value) > MAX_RECORD_BYTES:
        return too_large(value, file, where)
    text, problem = decode(value.removeprefix(b"\xef\xbb\xbf"))
    # A third line end in a row begins the piece; where a split falls decides which of the two pieces has it.
    text = text.strip("\r\n")
    record = Record(language=file.language, origin=file.origin, identity=text, text=text)
    if problem:
        record.reason, record.detail = UNREADABLE, f"{where}: {problem}"
    return record
