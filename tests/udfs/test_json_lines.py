from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.json_lines import LineFormat, keys_of, parse_line, read_lines
from udfs.records import UNLISTED_LANGUAGE, UNREADABLE, CorpusFile, Piece

FILE = CorpusFile("u", "p", "ca/a.jsonl", "cat_Latn", "ca")
MIXED = CorpusFile("m", "p", "m.jsonl")
FORM = LineFormat(
    {"text": "text", "title": "meta.title", "id": "id", "url": "url", "date": "when", "subsource": "source"}, {}
)
WITH_LANGUAGE = LineFormat({"text": "text", "language": "lang"}, {"ca": "cat_Latn"})


def parse(line: str | bytes, file: CorpusFile = FILE, form: LineFormat = FORM):
    value = line.encode() if isinstance(line, str) else line
    return parse_line(Piece(value, len(value), file.uri, 0, 7), file, form)


def test_fields_are_found_by_name_and_path():
    found = parse('{"text": "Hola", "meta": {"title": "T"}, "id": 17, "url": "http://a", "when": 2020, "source": "s"}')

    assert (found.text, found.title, found.corpus_key, found.url) == ("Hola", "T", "17", "http://a")
    assert (found.date, found.subsource, found.language, found.reason) == ("2020", "s", "cat_Latn", None)


def test_key_with_a_dot_is_taken_before_a_path():
    assert parse('{"text": "a", "meta.title": "direct", "meta": {"title": "inner"}}').title == "direct"


def test_key_is_the_id_or_else_the_address():
    assert parse('{"text": "a", "url": "http://a"}').corpus_key == "http://a"
    assert parse('{"text": "a"}').corpus_key is None


def test_byte_order_mark_and_line_end_are_no_part_of_the_record():
    assert parse(b'\xef\xbb\xbf{"text": "a"}\r').text == "a"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"text": "a"', "ca/a.jsonl, line 7: not JSON: Expecting ',' delimiter, column 13"),
        ("plain words", "ca/a.jsonl, line 7: not JSON: Expecting value, column 1"),
        ('["text"]', "ca/a.jsonl, line 7: the line is a list, not an object"),
        ("17", "ca/a.jsonl, line 7: the line is a number, not an object"),
        ("null", "ca/a.jsonl, line 7: the line is null, not an object"),
        ('{"text": 12}', "ca/a.jsonl, line 7: text is a number, not a string"),
        ('{"text": 0.0}', "ca/a.jsonl, line 7: text is a number, not a string"),
        ('{"text": true}', "ca/a.jsonl, line 7: text is true or false, not a string"),
        ('{"text": ["a"]}', "ca/a.jsonl, line 7: text is a list, not a string"),
        ('{"text": "a", "id": {"x": 1}}', "ca/a.jsonl, line 7: id is an object, not a string"),
        ('{"text": "a", "meta": {"title": 3}}', "ca/a.jsonl, line 7: meta.title is a number, not a string"),
        (b'{"text": "caf\xe9"}', "ca/a.jsonl, line 7: byte 14 is not UTF-8"),
        ('{"text": "half \\ud83d of it"}', "ca/a.jsonl, line 7: text has half a surrogate pair at character 6"),
        ("[" * 100_000, "ca/a.jsonl, line 7: not JSON that can be read"),
        ('{"text": "a", "id": ' + "9" * 5_000 + "}", "ca/a.jsonl, line 7: not JSON that can be read"),
        ("\x00\x00", "ca/a.jsonl, line 7: not JSON: Expecting value, column 1"),
    ],
)  # fmt: skip
def test_unreadable_line_is_a_rejected_record_that_keeps_its_text(line, problem):
    found = parse(line)

    assert found.reason == UNREADABLE
    assert found.detail.startswith(problem)
    assert found.text == (line.decode(errors="replace") if isinstance(line, bytes) else line)


@pytest.mark.parametrize("line", ['{"title": "no text"}', '{"text": null}', "{}"])
def test_missing_text_is_left_to_the_source(line):
    found = parse(line)

    assert (found.text, found.reason, found.identity) == (None, None, line)


def test_nul_character_in_a_text_is_readable():
    assert parse('{"text": "a\\u0000b"}').text == "a\x00b"


@pytest.mark.parametrize(
    ("line", "language", "reason", "detail"),
    [
        ('{"text": "a", "lang": "ca"}', "cat_Latn", None, None),
        ('{"text": "a", "lang": "xx"}', None, UNLISTED_LANGUAGE, "m.jsonl, line 7: lang is 'xx'"),
        ('{"text": "a"}', None, UNLISTED_LANGUAGE, "m.jsonl, line 7: lang is None"),
    ],
)
def test_language_of_the_record(line, language, reason, detail):
    found = parse(line, MIXED, WITH_LANGUAGE)

    assert (found.language, found.reason, found.detail) == (language, reason, detail)


def test_language_of_the_file_goes_before_the_record():
    assert parse('{"text": "a", "lang": "xx"}', FILE, WITH_LANGUAGE).language == "cat_Latn"


@given(st.binary(max_size=80))
def test_no_bytes_raise(line):
    found = parse(line)

    assert found.reason == UNREADABLE or json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    (found.text or "").encode("utf-8")


def test_lines_are_counted_by_file_and_part():
    def batch(*rows):
        values, paths, starts = zip(*rows, strict=True)
        return pa.RecordBatch.from_pydict(
            {
                "value": list(values),
                "piece_bytes": [len(value) for value in values],
                "file_path": list(paths),
                "file_block_start": list(starts),
            }
        )

    batches = [
        batch((b'{"text": "a"}', "u", 0), (b"", "u", 0), (b"bad", "u", 0)),
        batch((b"bad", "u", 0), (b"bad", "m", 0), (b"bad", "m", 900)),
    ]

    found = [
        detail
        for each in read_lines(batches, {"u": FILE, "m": MIXED}, FORM)
        for detail in each.column("detail").to_pylist()
    ]

    assert [detail and detail.split(": ")[0] for detail in found] == [
        None,
        "ca/a.jsonl, line 3",
        "ca/a.jsonl, line 4",
        "m.jsonl, line 1",
        "m.jsonl, line 1 after byte 900",
    ]


def test_what_the_corpus_says_besides_is_kept_as_text():
    form = LineFormat(
        {"text": "text"},
        {},
        metadata=(("warnings", "meta.warnings"), ("score", "meta.score"), ("hash", "hash"), ("kinds", "meta.kinds")),
        counted=(("labels", "lines", "label"), ("others", "others", "label")),
    )
    said = {"warnings": ["tiny", "ẹ"], "score": 4063.18, "kinds": None}
    lines = [{"label": "nl"}, {"label": "af", "prob": 1}, None, {"label": "af"}]
    record = {"text": "a", "meta": said, "hash": "half \ud83d", "lines": lines, "others": "none"}

    found = parse(json.dumps(record), form=form)

    assert json.loads(found.metadata) == {
        "warnings": '["tiny", "ẹ"]',
        "score": "4063.18",
        "hash": "half \ud83d",
        "labels": '{"af": 2, "nl": 1, "null": 1}',
    }
    assert found.metadata.isascii(), "half of a pair has no UTF-8"
    assert parse('{"text": "a"}', form=form).metadata is None


def test_keys_of():
    assert keys_of(b'{"a": 1, "b": {"c": {"d": 2}}}') == {"a", "b", "b.c", "b.c.d"}
    assert keys_of(b"[1]") == keys_of(b"\xff") == keys_of(b"") == set()
