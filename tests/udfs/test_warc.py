"""Records of web archives, without Spark: what is a page, and what is wrong with one."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

pytest.importorskip("fastwarc")
pytest.importorskip("resiliparse")

from udfs.records import CorpusFile, Piece
from udfs.warc import RECORD_START, ArchiveFormat, html_to_text, parse_record

DATA = Path(__file__).resolve().parents[1] / "data" / "web" / "warc"
MAX_BYTES = 1_000_000
FORM = ArchiveFormat({"yor": "yor_Latn", "eng": "eng_Latn"}, MAX_BYTES)
WARC = CorpusFile("u", "p", "a.warc.gz", "eng_Latn")
WET = CorpusFile("u", "p", "a.warc.wet.gz")
HTML = b"<html><body><p>Good day.</p></body></html>"


def http(body=HTML, status="200 OK", kind="text/html; charset=utf-8"):
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n\r\n".encode() + body


def record(block, kind="response", length=None, **headers):
    lines = {
        "WARC-Type": kind,
        "WARC-Record-ID": "<urn:uuid:1>",
        "WARC-Target-URI": "http://a/",
        "WARC-Date": "2026-01-01T00:00:00Z",
        "Content-Type": "application/http;msgtype=response" if kind == "response" else "text/plain",
        "Content-Length": str(len(block) if length is None else length),
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"WARC/1.0\r\n{text}\r\n".encode() + block


def parse(value, file=WARC, size=None):
    return parse_record(Piece(value, size or len(value), file.uri, 0, 7), file, FORM)


@pytest.mark.parametrize(("name", "pages", "others"), [("dolma-sample-0000", 22, 26), ("jwarc-cc", 1, 0)])
def test_pages_of_real_archives(name, pages, others):
    # dolma-sample: 22 requests, a warcinfo, a metadata and two resource records beside the pages.
    pieces = gzip.decompress((DATA / f"{name}.warc.gz").read_bytes()).split(RECORD_START.encode())
    found = Counter(
        None if (row := parse(piece)) is None else row.reason or "page" for piece in pieces if piece.strip()
    )

    assert found == Counter({"page": pages, None: others})


def test_a_page_has_the_address_and_date_of_its_record():
    piece = record(http(), WARC_Target_URI="<http://a/b>", WARC_Identified_Content_Language="yor,eng")
    found = parse(piece.removeprefix(b"WARC/1."), CorpusFile("u", "p", "a.warc.gz"))

    assert (found.corpus_key, found.url, found.date) == ("http://a/b", "http://a/b", "2026-01-01T00:00:00Z")
    assert (found.language, found.text, found.reason) == ("yor_Latn", HTML.decode(), None)


def test_texts_of_wet_files_are_taken_as_they_are():
    found = parse(record("Ẹ káàárọ̀".encode(), "conversion", WARC_Identified_Content_Language="yor"), WET)

    assert (found.text, found.language, found.reason) == ("Ẹ káàárọ̀", "yor_Latn", None)


@pytest.mark.parametrize(
    ("piece", "file", "reason", "words"),
    [
        (record(http(kind="application/pdf")), WARC, "source.not_a_page", "the content is of type application/pdf"),
        (record(http(kind="text/plain")), WARC, "source.not_a_page", "the content is of type text/plain"),
        (record(http(status="404 Not Found")), WARC, "source.not_a_page", "the server answered 404"),
        (record(b"text", "conversion"), WARC, "source.not_a_page", "a text in a file not named .wet"),
        (record(http()), WET, "source.not_a_page", "a page in a file that is named .wet"),
        (record(http(b"caf\xe9 \x81\xff")), WARC, None, None),
        (record(b"caf\xe9", "conversion"), WET, "source.unreadable", "byte 4 is not UTF-8"),
        (record(http(), length=9999), WARC, "source.unreadable", "bytes"),
        (record(http(), length=60), WARC, "source.unreadable", "and says 60"),
        (record(http(), length="many"), WARC, "source.unreadable", "Content-Length is 'many'"),
        (record(http(), Content_Length=None), WARC, "source.unreadable", "Content-Length is None"),
        (b"rubbish", WARC, "source.unreadable", "Invalid"),
        (record(b"text", "conversion"), WET, "source.unknown_language", "is None"),
        (
            record(b"text", "conversion", WARC_Identified_Content_Language="tlh"),
            WET,
            "source.unknown_language",
            "WARC-Identified-Content-Language is 'tlh'",
        ),
        (
            record(http(gzip.compress(b"x" * (MAX_BYTES + 1)), kind="text/html\r\nContent-Encoding: gzip")),
            WARC,
            "source.too_large",
            "1,000,001 bytes, more than max_record_bytes",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_no_page_says_why_and_where(piece, file, reason, words):
    found = parse(piece, file)

    assert found.reason == reason
    if reason:
        assert found.detail.startswith(f"{file.origin}, record 7: ")
        assert words in found.detail
        # A page that cannot be read does not stand in the place of one that can.
        assert found.corpus_key is None


def test_a_page_that_is_too_large_says_its_address():
    found = parse(record(http(b"x" * MAX_BYTES), length=10**9)[:60_000], size=10**9)

    assert (found.reason, found.url, found.text) == ("source.too_large", "http://a/", "x" * 1_000)
    assert found.detail == "a.warc.gz, record 7: 1,000,000,000 bytes, more than max_record_bytes"


@pytest.mark.parametrize("kind", ["request", "metadata", "warcinfo", "resource", "revisit"])
def test_records_that_are_about_no_page_give_none(kind):
    assert parse(record(b"fields: 1", kind)) is None


def test_encodings_of_server_and_page():
    text = "<p>Привет, как дела сегодня? Хорошо, спасибо.</p>"

    stated = parse(record(http(text.encode("cp1251"), kind="text/html; charset=windows-1251")))
    shown = parse(record(http(f"<meta charset=windows-1251>{text}".encode("cp1251"), kind="text/html")))

    assert stated.text == text
    assert shown.text.endswith(text)


def rows_of(**columns):
    size = len(columns["text"])
    defaults = {
        "rejected_for": pa.array([[]] * size, pa.list_(pa.string())),
        "detail": pa.array([None] * size, pa.string()),
        "origin": ["a.warc.gz"] * size,
        "url": ["http://a/"] * size,
    }
    return pa.record_batch(defaults | columns)


def test_html_becomes_text_and_other_rows_stay():
    page = (
        "<html><body><nav><a href=/>Home</a></nav><article><h1>Day</h1><p>Good &amp; long.</p></article></body></html>"
    )
    batch = rows_of(
        text=[page, page, page],
        origin=["a.warc.gz", "a.warc.wet.gz", "a.warc.gz"],
        rejected_for=pa.array([[], [], ["source.unreadable"]], pa.list_(pa.string())),
    )

    (found,) = html_to_text([batch], batch.schema.names, is_main_content_only=True)

    assert found.column("text").to_pylist() == ["Day\n\nGood & long.", page, page]


def test_real_page_keeps_its_text_and_loses_its_menu():
    piece = gzip.decompress((DATA / "jwarc-cc.warc.gz").read_bytes())
    batch = rows_of(text=[parse(piece).text])

    (main,) = html_to_text([batch], batch.schema.names, is_main_content_only=True)
    (whole,) = html_to_text([batch], batch.schema.names, is_main_content_only=False)

    main, whole = main.column("text")[0].as_py(), whole.column("text")[0].as_py()
    assert "<" not in whole
    assert 0 < len(main) < len(whole)
