"""Lines of JSON: one object a line, its fields found by name or by a dotted path."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from udfs.records import (
    FLAGGED,
    UNLISTED_LANGUAGE,
    UNREADABLE,
    CorpusFile,
    Piece,
    Record,
    decode,
    numbered_pieces,
    place,
    record_batch,
    to_metadata,
    too_large,
)

_KINDS: Final = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "true or false",  # before int, which bool is one of
    int: "a number",
    float: "a number",
    type(None): "null",
}
# Keys and dates are taken as written; text in another type is a sign of a broken record.
_MAY_BE_NUMBERS: Final = frozenset({"id", "date"})


@dataclass(frozen=True, slots=True)
class LineFormat:
    """Which field of the objects holds what."""

    columns: Mapping[str, str]
    """Key or dotted path in the object, by ``text``, ``title``, ``id``, ``url``, ``date``, ``language``,
    ``subsource``; those that the corpus lacks are left out."""
    languages: Mapping[str, str]
    """GlotLID codes by the codes that the field ``language`` holds."""
    warnings: tuple[str, ...] = ()
    """Dotted paths of lists in which the corpus warns of a record; not all records have them."""
    refused: frozenset[str] = frozenset()
    """Warnings for which a record is rejected."""
    metadata: tuple[tuple[str, str], ...] = ()
    """Names and dotted paths of what the corpus says of a record besides."""
    counted: tuple[tuple[str, str, str], ...] = ()
    """The same of lists of objects that are long, with the key whose values are counted: ``{"af": 12, "null": 1}``."""


class UnreadableLine(ValueError):
    """A record cannot be used; the message says why."""


def read_lines(
    batches: Iterable[pa.RecordBatch], files: Mapping[str, CorpusFile], form: LineFormat
) -> Iterator[pa.RecordBatch]:
    """Turn lines of JSON into records.

    Args:
        batches: lines, as ``numbered_pieces`` takes them.
        files: the files by their address.
        form: which field holds what.

    Yields:
        Batches of ``RECORD_FIELDS``, a row a line that is not blank.
    """
    for lines in numbered_pieces(batches):
        yield record_batch(parse_line(line, files[line.address], form) for line in lines)


def parse_line(line: Piece, file: CorpusFile, form: LineFormat) -> Record:
    """Return the record on a line, a rejected one if the line cannot be read.

    Args:
        line: the line.
        file: its file.
        form: which field holds what.
    """
    where = place(file, line.start, line.number)
    if line.is_cut:
        return too_large(line.value, line.size, file, where)
    text, problem = decode(line.value.removeprefix(b"\xef\xbb\xbf"))
    record = Record(language=file.language, origin=file.origin, identity=text)
    try:
        if problem:
            raise UnreadableLine(problem)
        fields = load_object(text)
        values = {field: _value(fields, key, field) for field, key in form.columns.items()}
        warnings = sorted({warning for key in form.warnings for warning in _warnings(fields, key)} & form.refused)
    except UnreadableLine as error:
        record.text, record.reason, record.detail = text, UNREADABLE, f"{where}: {error}"
        return record
    record.corpus_key = values.get("id") or values.get("url")
    record.subsource = values.get("subsource")
    record.url = values.get("url")
    record.date = values.get("date")
    record.title = values.get("title")
    record.text = values.get("text")
    record.metadata = to_metadata(
        {name: _find(fields, key) for name, key in form.metadata}
        | {name: _counts(_find(fields, key), inner) for name, key, inner in form.counted}
    )
    if "language" in form.columns and file.language is None:
        code = values["language"]
        record.language = form.languages.get(code or "")
        if record.language is None:
            record.reason = UNLISTED_LANGUAGE
            record.detail = f"{where}: {form.columns['language']} is {code!r}"
    if warnings and record.reason is None:
        record.reason, record.detail = FLAGGED, f"{where}: the corpus warns: {', '.join(warnings)}"
    return record


def keys_of(line: bytes) -> set[str]:
    """Return the keys of the object on a line, those of objects in it as dotted paths; none if it is unreadable."""
    text, problem = decode(line.removeprefix(b"\xef\xbb\xbf"))
    try:
        return set() if problem else set(_walk(load_object(text)))
    except UnreadableLine:
        return set()


def _walk(value: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, inner in value.items():
        yield prefix + key
        if isinstance(inner, dict):
            yield from _walk(inner, f"{prefix}{key}.")


def load_object(text: str) -> dict[str, Any]:
    """Return the JSON object that a text is.

    Raises:
        UnreadableLine: if it is none.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UnreadableLine(f"not JSON: {error.msg}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise UnreadableLine(f"not JSON that can be read: {error}") from error
    if not isinstance(value, dict):
        raise UnreadableLine(f"the line is {kind_of(value)}, not an object")
    return value


def _value(record: Mapping[str, Any], key: str, field: str) -> str | None:
    value = _find(record, key)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and field in _MAY_BE_NUMBERS:
        return str(value)
    if value is not None and not isinstance(value, str):
        raise UnreadableLine(f"{key} is {kind_of(value)}, not a string")
    if value is not None and (at := lone_surrogate(value)) is not None:
        raise UnreadableLine(f"{key} has half a surrogate pair at character {at + 1}")
    return value


def _warnings(record: Mapping[str, Any], key: str) -> list[str]:
    value = _find(record, key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UnreadableLine(f"{key} is {kind_of(value)}, not a list of strings")
    return value


def _counts(items: Any, key: str) -> dict[str, int] | None:
    """Return how often each value stands under a key of a list's objects; None if it is no list of such."""
    if not isinstance(items, list) or not items:
        return None
    found = Counter(str(each.get(key)) if isinstance(each, dict) else "null" for each in items)
    return dict(sorted(found.items()))


def _find(record: Mapping[str, Any], key: str) -> Any:
    if key in record:
        return record[key]
    head, dot, rest = key.partition(".")
    inner = record.get(head) if dot else None
    return _find(inner, rest) if isinstance(inner, dict) else None


def kind_of(value: Any) -> str:
    """Say what kind of JSON a value is, for a person."""
    return next(name for kind, name in _KINDS.items() if isinstance(value, kind))


def lone_surrogate(text: str) -> int | None:
    """Return where a text holds half a surrogate pair, which UTF-8 cannot write; None if nowhere."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return error.start
    return None
