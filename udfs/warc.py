"""Records of web archives (WARC 1.0 and 1.1, ISO 28500) and of Common Crawl's WET files: pages as records."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from udfs.arrow import with_columns
from udfs.records import (
    NOT_A_PAGE,
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

RECORD_START: Final = "\r\n\r\nWARC/1."
"""What archives are split at: a record's end and the next one's first line, but for the minor version."""

_VERSION: Final = b"WARC/1."
_HEADER_END: Final = b"\r\n\r\n"
_IDENTIFIED_LANGUAGE: Final = "WARC-Identified-Content-Language"
_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_FOUND: Final = 200
_EXTRACTED_WET: Final = (".wet", ".wet.gz", ".wet.bz2")


@dataclass(frozen=True, slots=True)
class ArchiveFormat:
    """What the records of an archive are read for."""

    languages: Mapping[str, str]
    """GlotLID codes by the codes of ``WARC-Identified-Content-Language``."""
    max_record_bytes: int
    """Most bytes of a page once it is unpacked."""


class _BrokenRecord(ValueError):
    pass


def is_wet(origin: str) -> bool:
    """Say whether a file holds texts that were taken out of pages, not the pages."""
    return origin.endswith(_EXTRACTED_WET)


def read_archives(
    batches: Iterable[pa.RecordBatch], files: Mapping[str, CorpusFile], form: ArchiveFormat
) -> Iterator[pa.RecordBatch]:
    """Turn pieces of archives into pages, those of WARC still HTML.

    Args:
        batches: what stands between two ``RECORD_START``, as ``numbered_pieces`` takes it.
        files: the files by their address.
        form: what the records are read for.

    Yields:
        Batches of ``RECORD_FIELDS``: a row a page; a rejected one for what a server sent that is no page, and for a
        record that is broken. Requests, metadata and other records that hold no answer of a server give none.
    """
    for pieces in numbered_pieces(batches):
        found = (parse_record(piece, files[piece.address], form) for piece in pieces)
        yield record_batch(record for record in found if record is not None)


def parse_record(piece: Piece, file: CorpusFile, form: ArchiveFormat) -> Record | None:
    """Return the page in a piece of an archive, a rejected record if it is none, or None if it is not about a page.

    Args:
        piece: a record's bytes; of the first in a file all of them, of others those after ``WARC/1.``.
        file: its file.
        form: what the record is read for.
    """
    where = place(file, piece.start, piece.number, "record")
    try:
        return _parse(piece, file, where, form)
    except (OSError, ValueError) as error:  # fastwarc raises OSError for what it cannot parse
        text, _ = decode(piece.value.strip())
        return Record(
            language=file.language,
            origin=file.origin,
            identity=text,
            text=text,
            reason=UNREADABLE,
            detail=f"{where}: {error}",
        )


def _parse(piece: Piece, file: CorpusFile, where: str, form: ArchiveFormat) -> Record | None:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    content = piece.value if piece.value.startswith(_VERSION) else _VERSION + piece.value
    found: Any = next(iter(ArchiveIterator(io.BytesIO(content), parse_http=True, auto_decode="all")), None)
    if found is None:
        raise _BrokenRecord("not a record of an archive")
    wanted = WarcRecordType.conversion if is_wet(file.origin) else WarcRecordType.response
    if found.record_type not in (WarcRecordType.conversion, WarcRecordType.response):
        return None
    if not piece.is_cut:
        _check_length(content, found.headers.get("Content-Length"))
    record = _described(found, file, form)
    if found.record_type != wanted:
        kind = "a page in a file that is named .wet" if is_wet(file.origin) else "a text in a file not named .wet"
        return _rejected(record, NOT_A_PAGE, f"{where}: {kind}")
    if wanted == WarcRecordType.response and (problem := _no_page(found)):
        return _rejected(record, NOT_A_PAGE, f"{where}: {problem}")
    # A few bytes may unpack to many.
    body = found.reader.read(form.max_record_bytes + 1)
    if piece.is_cut or len(body) > form.max_record_bytes:
        large = too_large(body, max(piece.size, len(body)), file, where)
        return _rejected(record, large.reason, large.detail, large.text)
    if wanted == WarcRecordType.conversion:
        text, problem = decode(body)
    else:
        text, problem = _decoded(body, found.http_charset)
    if problem:
        return _rejected(record, UNREADABLE, f"{where}: {problem}", text)
    record.text = text
    if record.language is None:
        code = found.headers.get(_IDENTIFIED_LANGUAGE)
        return _rejected(record, UNLISTED_LANGUAGE, f"{where}: {_IDENTIFIED_LANGUAGE} is {code!r}", text)
    return record


def _described(found: Any, file: CorpusFile, form: ArchiveFormat) -> Record:
    headers = found.headers
    # wget puts addresses in angle brackets.
    url = (headers.get("WARC-Target-URI") or "").strip("<>") or None
    # The language with the most text comes first.
    code = (headers.get(_IDENTIFIED_LANGUAGE) or "").split(",")[0].strip()
    return Record(
        language=file.language or form.languages.get(code),
        corpus_key=url,
        origin=file.origin,
        identity=found.record_id,
        url=url,
        date=headers.get("WARC-Date"),
        metadata=to_metadata(
            {"warc_record_id": headers.get("WARC-Record-ID"), "languages": headers.get(_IDENTIFIED_LANGUAGE)}
        ),
    )


def _no_page(found: Any) -> str | None:
    if not found.is_http or found.http_headers is None:
        return "no answer of a web server"
    if found.http_headers.status_code != _FOUND:
        return f"the server answered {found.http_headers.status_code}"
    kind = found.http_content_type or "unknown"
    return None if kind in _HTML else f"the content is of type {kind}"


def _check_length(content: bytes, stated: str | None) -> None:
    """Refuse a record that is shorter or longer than it says: it was cut, or another record begins inside it."""
    there = len(content) - (content.index(_HEADER_END) + len(_HEADER_END))
    if stated is None or not stated.isdecimal():
        raise _BrokenRecord(f"its Content-Length is {stated!r}")
    if there < int(stated):
        raise _BrokenRecord(f"the record has {there} of {stated} bytes")
    if content[len(content) - there + int(stated) :].strip():
        raise _BrokenRecord(f"the record has {there} bytes and says {stated}")


def _rejected(record: Record, reason: str | None, detail: str | None, text: str | None = None) -> Record:
    record.reason, record.detail, record.text = reason, detail, text
    # Without what it might hold, it shall not stand in the place of the page under its address.
    record.identity = f"{record.corpus_key} {record.identity}"
    record.corpus_key = None
    return record


def _decoded(body: bytes, charset: str | None) -> tuple[str, str | None]:
    """Return a page's text, in the encoding that the server states, else the one that the page shows."""
    from resiliparse.parse.encoding import detect_encoding

    for encoding in (charset, detect_encoding(body)):
        try:
            if encoding:
                return body.decode(encoding), None
        except (LookupError, UnicodeDecodeError):
            continue
    return body.decode("utf-8", errors="replace"), "the page is in no encoding that it or its server states"


def html_to_text(
    batches: Iterable[pa.RecordBatch], order: Sequence[str], is_main_content_only: bool
) -> Iterator[pa.RecordBatch]:
    """Turn the HTML of rows that are alive into text; those of WET files are text.

    Args:
        batches: text, rejected_for, detail, origin, url and any other columns.
        order: names of all columns, in order.
        is_main_content_only: leave out menus, headers, footers and asides, by Resiliparse's rules.

    Yields:
        The batches with the text replaced. A page that the parser fails on is rejected and keeps its HTML.
    """
    from resiliparse.extract.html2text import extract_plain_text

    for batch in batches:
        texts, origins = batch.column("text").to_pylist(), batch.column("origin").to_pylist()
        reasons, details = batch.column("rejected_for").to_pylist(), batch.column("detail").to_pylist()
        for row, html in enumerate(texts):
            if reasons[row] or html is None or is_wet(origins[row]):
                continue
            try:
                texts[row] = extract_plain_text(
                    html, main_content=is_main_content_only, list_bullets=False, alt_texts=False
                )
            except Exception as error:  # whatever one page does to the parser, the others go on
                reasons[row] = [UNREADABLE]
                url = batch.column("url")[row].as_py()
                details[row] = f"{origins[row]}: page {url}: the HTML parser failed: {type(error).__name__}: {error}"
        columns = {
            "text": pa.array(texts, pa.string()),
            "rejected_for": pa.array(reasons, pa.list_(pa.string())),
            "detail": pa.array(details, pa.string()),
        }
        yield with_columns(batch, columns, order)
