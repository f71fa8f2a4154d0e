"""Records as they come out of a corpus, before they are documents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

UNKNOWN_LANGUAGE: Final = "und_Zzzz"
"""Language of a rejected row whose language is not known: ISO 639's "undetermined", ISO 15924's "uncoded script"."""
MIXED_LANGUAGE: Final = "mul_Zyyy"
"""Language of an instruction in more than one: ISO 639's "multiple languages", ISO 15924's "undetermined script"."""

# Values of jobs.runtime.reasons.Reason, which code on executors does not import.
UNREADABLE: Final = "source.unreadable"
UNLISTED_LANGUAGE: Final = "source.unknown_language"
TOO_LARGE: Final = "source.too_large"
FLAGGED: Final = "source.flagged"
NOT_A_PAGE: Final = "source.not_a_page"

MAX_RECORD_BYTES: Final = 16 * 2**20
"""Longest record of a web corpus that is read. Pages are cut at 1 or 5 MiB by crawlers; what is longer is no text."""
_KEPT_CHARS: Final = 1_000


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """One file of a corpus."""

    uri: str
    """Its address as Spark's ``_metadata.file_path`` gives it, percent-encoded."""
    path: str
    """Its address as Spark's readers take it."""
    origin: str
    """Its path relative to the corpus."""
    language: str | None = None
    """GlotLID code of its rows, where folder, name or settings say it."""
    edition: str | None = None
    """The corpus's own code for that language."""


@dataclass(slots=True)
class Record:
    """One record of a corpus; with a ``reason``, a rejected one, which keeps what could be read of it."""

    language: str | None = None
    subsource: str | None = None
    corpus_key: str | None = None
    """The corpus's own key: page id, URL."""
    origin: str | None = None
    identity: str | None = None
    """What tells it from others in its file if it has neither key nor text."""
    url: str | None = None
    date: str | None = None
    title: str | None = None
    text: str | None = None
    instruction: str | None = None
    """The instruction that the text answers, where the corpus holds pairs."""
    instruction_language: str | None = None
    """GlotLID code of the instruction, or MIXED_LANGUAGE; None: that of the text."""
    messages: str | None = None
    """The conversation that ends with the text: JSON, a list of objects with ``role`` and ``content``."""
    part_of: str | None = None
    """The corpus's own key of what the record is a part of, such as a conversation tree."""
    license: str | None = None
    """Licence of this record, where it says its own."""
    reason: str | None = None
    detail: str | None = None


RECORD_FIELDS: Final = tuple(Record.__dataclass_fields__)


def record_batch(records: Iterable[Record]) -> pa.RecordBatch:
    """Return records as an Arrow batch of ``RECORD_FIELDS``, all of them strings."""
    rows = list(records)
    columns: list[Any] = [pa.array([getattr(row, name) for row in rows], pa.string()) for name in RECORD_FIELDS]
    return pa.RecordBatch.from_arrays(columns, names=list(RECORD_FIELDS))


def pieces(batch: pa.RecordBatch) -> Iterator[tuple[bytes, str, int]]:
    """Yield the rows of a batch with columns value, file_path and file_block_start."""
    columns = (batch.column(name).to_pylist() for name in ("value", "file_path", "file_block_start"))
    return zip(*columns, strict=True)


def numbered_pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[list[tuple[bytes, str, int, int]]]:
    """Yield for each batch its pieces: value, file_path, file_block_start, and their number in that part, from 1."""
    part, number = None, 0
    for batch in batches:
        rows = []
        for value, address, start in pieces(batch):
            part, number = (address, start), number + 1 if part == (address, start) else 1
            rows.append((value, address, start, number))
        yield rows


def decode(data: bytes) -> tuple[str, str | None]:
    """Return the text of UTF-8 bytes, and None or what is wrong with them; wrong bytes become U+FFFD."""
    try:
        return data.decode("utf-8"), None
    except UnicodeDecodeError as error:
        return data.decode("utf-8", errors="replace"), f"byte {error.start + 1} is not UTF-8"


def too_large(value: bytes, file: CorpusFile, where: str) -> Record:
    """Return the rejected record for one that is longer than ``MAX_RECORD_BYTES``; it keeps its beginning.

    Args:
        value: its bytes, or as many of them as were read.
        file: its file.
        where: its place.
    """
    return Record(
        language=file.language,
        origin=file.origin,
        identity=hashlib.sha256(value).hexdigest(),
        text=decode(value[: 4 * _KEPT_CHARS])[0][:_KEPT_CHARS],
        reason=TOO_LARGE,
        detail=f"{where}: longer than {MAX_RECORD_BYTES:,} bytes",
    )


def place(file: CorpusFile, start: int, line: int | None = None, unit: str = "line") -> str:
    """Say where a record stands, ``"ca/part.jsonl, line 17"``.

    Args:
        file: its file.
        start: first byte of the part of the file that the task reads; lines are counted from there.
        line: number of its line in that part, from 1; None where a record is no line.
        unit: what is counted where it is not lines.
    """
    after = f" after byte {start}" if start else ""
    return f"{file.origin}, {unit} {line}{after}" if line is not None else f"{file.origin}{',' if after else ''}{after}"
