"""Plain text in which blank lines stand between documents: CC-100, and OSCAR before 22.01."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import pyarrow as pa

from udfs.records import (
    UNREADABLE,
    CorpusFile,
    Piece,
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
        batches: what stands between two blank lines, as ``numbered_pieces`` takes it.
        files: the files by their address.

    Yields:
        Batches of ``RECORD_FIELDS``, a row a piece that is not blank. A document has no key: its content is its own.
    """
    for pieces in numbered_pieces(batches):
        yield record_batch(parse_document(piece, files[piece.address]) for piece in pieces)


def parse_document(piece: Piece, file: CorpusFile) -> Record:
    """Return the document in a piece of a file, a rejected one if it is not UTF-8 or too large."""
    where = place(file, piece.start, piece.number, "document")
    if piece.is_cut:
        return too_large(piece.value, piece.size, file, where)
    text, problem = decode(piece.value.removeprefix(b"\xef\xbb\xbf"))
    # A third line end in a row begins the piece; where a split falls decides which of the two pieces has it.
    text = text.strip("\r\n")
    record = Record(language=file.language, origin=file.origin, identity=text, text=text)
    if problem:
        record.reason, record.detail = UNREADABLE, f"{where}: {problem}"
    return record
