"""Records as they come out of a corpus, before they are documents."""

from __future__ import annotations

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


def decode(data: bytes) -> tuple[str, str | None]:
    """Return the text of UTF-8 bytes, and None or what is wrong with them; wrong bytes become U+FFFD."""
    try:
        return data.decode("utf-8"), None
    except UnicodeDecodeError as error:
        return data.decode("utf-8", errors="replace"), f"byte {error.start + 1} is not UTF-8"


def place(file: CorpusFile, start: int, line: int | None = None) -> str:
    """Say where a record stands, ``"ca/part.jsonl, line 17"``.

    Args:
        file: its file.
        start: first byte of the part of the file that the task reads; lines are counted from there.
        line: number of its line in that part, from 1; None where a record is no line.
    """
    after = f" after byte {start}" if start else ""
    return f"{file.origin}, line {line}{after}" if line is not None else f"{file.origin}{',' if after else ''}{after}"
