"""What formats with a record a line share: the loop over lines, checked values, conversations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import pyarrow as pa

from udfs.json_lines import UnreadableLine, kind_of, lone_surrogate
from udfs.records import (
    UNLISTED_LANGUAGE,
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

USER: Final = "user"
ASSISTANT: Final = "assistant"


class PairFormat(Protocol):
    """How a corpus writes pairs."""

    def parse(self, line: str, file: CorpusFile, where: str, /) -> Iterable[Record]:
        """Return the pairs on a line, with rejected records for those that cannot be used.

        Args:
            line: the line.
            file: its file.
            where: its place, for the details of rejections.

        Raises:
            UnreadableLine: if nothing on the line can be used.
        """
        ...


class UnlistedLanguage(ValueError):
    """A record names a language that the table does not have; the message says which."""


def read_pairs(
    batches: Iterable[pa.RecordBatch], files: Mapping[str, CorpusFile], form: PairFormat
) -> Iterator[pa.RecordBatch]:
    """Turn lines into records.

    Args:
        batches: lines, as ``numbered_pieces`` takes them.
        files: the files by their address.
        form: how the corpus writes pairs.

    Yields:
        Batches of ``RECORD_FIELDS``; a row for a line that cannot be used, none for a blank one.
    """
    for lines in numbered_pieces(batches):
        yield record_batch(record for line in lines for record in parse_line(line, files[line.address], form))


def parse_line(line: Piece, file: CorpusFile, form: PairFormat) -> list[Record]:
    """Return the records on a line."""
    where = place(file, line.start, line.number)
    if line.is_cut:
        return [too_large(line.value, line.size, file, where)]
    text, problem = decode(line.value.removeprefix(b"\xef\xbb\xbf"))
    if problem:
        return [rejected(text, file, where, problem)]
    try:
        return list(form.parse(text, file, where))
    except UnlistedLanguage as error:
        return [rejected(text, file, where, str(error), UNLISTED_LANGUAGE)]
    except UnreadableLine as error:
        return [rejected(text, file, where, str(error))]


def rejected(text: str, file: CorpusFile, where: str, problem: str, reason: str = UNREADABLE) -> Record:
    """Return the record of what cannot be used, which keeps its text."""
    return Record(
        language=file.language,
        origin=file.origin,
        identity=f"{where}\n{text}",
        text=text,
        reason=reason,
        detail=f"{where}: {problem}",
    )


def text_of(fields: Mapping[str, Any], key: str) -> str | None:
    """Return the text under a key; None if there is none, or it is blank.

    Raises:
        UnreadableLine: if it is no text.
    """
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise UnreadableLine(f"{key} is {kind_of(value)}, not a string")
    if value is not None and (at := lone_surrogate(value)) is not None:
        raise UnreadableLine(f"{key} has half a surrogate pair at character {at + 1}")
    return value if value and value.strip() else None


def needed_text(fields: Mapping[str, Any], key: str) -> str:
    """Return the text under a key.

    Raises:
        UnreadableLine: if there is none.
    """
    value = text_of(fields, key)
    if value is None:
        raise UnreadableLine(f"{key} is empty" if key in fields else f"there is no field {key}")
    return value


def key_of(fields: Mapping[str, Any], name: str) -> str | None:
    """Return a record's own key, a string or a number; None if it has none.

    Raises:
        UnreadableLine: if it is something else.
    """
    value = fields.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_of(fields, name)


def conversation(messages: Sequence[tuple[str, str]]) -> str:
    """Return a conversation, of roles and what they say, as records hold it."""
    return json.dumps([{"role": role, "content": content} for role, content in messages], ensure_ascii=False)
