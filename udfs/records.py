"""Records as they come out of a corpus, before they are documents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
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

KEPT_BYTES: Final = 2**16
"""So much of a record that is too large goes on to Python: enough for what stands before a page in an archive."""
KEPT_CHARS: Final = 1_000
"""So much of its text does a rejected row keep."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Where a file can no longer be read, and why."""

    where: str
    """``", line 17"``, behind the file's name; empty where nothing of it can be read."""
    cause: str
    row_groups: tuple[int, ...] = ()
    """Of a Parquet file: the row groups that can be read, counted from 0."""

    def describe(self, origin: str) -> str:
        """Say in which file it is, where, and why: ``"ca/part.jsonl.gz, line 17: the file is cut off"``."""
        return f"{origin}{self.where}: the file is {self.cause}"


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
    damage: Damage | None = None
    """None as long as nothing is known of any."""


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
    metadata: str | None = None
    """What the corpus says of the record besides, as ``to_metadata`` writes it."""
    license: str | None = None
    """Licence of this record, where it says its own."""
    reason: str | None = None
    detail: str | None = None


RECORD_FIELDS: Final = tuple(Record.__dataclass_fields__)


def to_metadata(values: Mapping[str, Any]) -> str | None:
    r"""Return what a corpus says of a record as a JSON object of strings, without nulls; None if nothing is left.

    Strings stay what they are, all else is written as JSON.

    >>> to_metadata({"harmful_pp": 4063.18, "categories": None, "quality_warnings": ["tiny", "header"]})
    '{"harmful_pp": "4063.18", "quality_warnings": "[\\"tiny\\", \\"header\\"]"}'
    """
    said = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
        if value is not None
    }
    # In ASCII, as halves of surrogate pairs, which JSON may hold, have no UTF-8.
    return json.dumps(said) if said else None


def record_batch(records: Iterable[Record]) -> pa.RecordBatch:
    """Return records as an Arrow batch of ``RECORD_FIELDS``, all of them strings."""
    rows = list(records)
    columns: list[Any] = [pa.array([getattr(row, name) for row in rows], pa.string()) for name in RECORD_FIELDS]
    return pa.RecordBatch.from_arrays(columns, names=list(RECORD_FIELDS))


@dataclass(frozen=True, slots=True)
class Piece:
    """One record of a text file, as ``jobs.sources.text.read_pieces`` gives it."""

    value: bytes
    """Its bytes, or the beginning of those of a record that is too large."""
    size: int
    """How many bytes it has in the file."""
    address: str
    """Its file's."""
    start: int
    """First byte of the part of the file that the task reads."""
    number: int
    """Its number in that part, from 1."""

    @property
    def is_cut(self) -> bool:
        """Say whether the record is too large to be read."""
        return self.size > len(self.value)


def numbered_pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[list[Piece]]:
    """Yield for each batch its pieces, without blank ones, which count all the same.

    Args:
        batches: value (binary), piece_bytes, file_path, file_block_start (bytes). Pieces of a file in its order.
    """
    names = ("value", "piece_bytes", "file_path", "file_block_start")
    part, number = None, 0
    for batch in batches:
        found = []
        for value, size, address, start in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
            part, number = (address, start), number + 1 if part == (address, start) else 1
            piece = Piece(value, size, address, start, number)
            if piece.is_cut or value.strip():
                found.append(piece)
        yield found


def decode(data: bytes) -> tuple[str, str | None]:
    """Return the text of UTF-8 bytes, and None or what is wrong with them; wrong bytes become U+FFFD."""
    try:
        return data.decode("utf-8"), None
    except UnicodeDecodeError as error:
        return data.decode("utf-8", errors="replace"), f"byte {error.start + 1} is not UTF-8"


def too_large(value: bytes, size: int, file: CorpusFile, where: str) -> Record:
    """Return the rejected record for one that is larger than ``max_record_bytes``; it keeps its beginning.

    Args:
        value: its first bytes.
        size: how many it has.
        file: its file.
        where: its place.
    """
    beginning = value.strip()[: 4 * KEPT_CHARS]  # a character has at most four bytes
    return Record(
        language=file.language,
        origin=file.origin,
        identity=f"{size} bytes, {hashlib.sha256(value).hexdigest()}",
        text=decode(beginning)[0][:KEPT_CHARS],
        reason=TOO_LARGE,
        detail=f"{where}: {size:,} bytes, more than max_record_bytes",
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
