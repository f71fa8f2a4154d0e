"""Archives and Parquet files that are cut off or damaged, of every source that reads files."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import re
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from jobs.runtime.errors import BackpromptError
from jobs.sources import SOURCES, AnySource, despite_damage, read
from udfs.warc import RECORD_START

RECORDS = 400
NEWLINE = b"\n"
TEXT = re.compile(r"text (\d+) ")
PACKERS = {
    "gz": gzip.compress,
    "bz2": partial(bz2.compress, compresslevel=1),
    "xz": partial(lzma.compress, preset=0),
    "zst": lambda content: pa.compress(content, codec="zstd", asbytes=True),
}


def text(number):
    """A text that no packer makes much smaller, so that half an archive is about half of the records."""
    return f"text {number} {random.Random(number).randbytes(400).hex()}"


def json_line(**values):
    return json.dumps(values).encode() + b"\n"


def pair(number):
    return json_line(inputs=f"Q{number}", targets=text(number))


def answered(number):
    answer = {"message_id": f"b{number}", "role": "assistant", "text": text(number), "lang": "es", "replies": []}
    prompt = {"message_id": f"a{number}", "role": "prompter", "text": f"Q{number}", "lang": "es", "replies": [answer]}
    return json_line(prompt=prompt)


def wiki_page(number):
    return (
        f"<page><title>P{number}</title><ns>0</ns><id>{number}</id><revision><id>1</id><timestamp>2024-01-01T00:00:00Z"
        f"</timestamp><text>{text(number)}</text></revision></page>"
    ).encode()


def web_record(number, is_wet):
    body = text(number) if is_wet else f"<html><body><p>{text(number)}</p></body></html>"
    if not is_wet:
        body = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{body}"
    kinds = ("conversion", "text/plain") if is_wet else ("response", "application/http; msgtype=response")
    return (
        f"WARC/1.0\r\nWARC-Type: {kinds[0]}\r\nWARC-Target-URI: http://a/{number}\r\n"
        "WARC-Date: 2024-01-01T00:00:00Z\r\n"
        f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{number:012}>\r\nContent-Type: {kinds[1]}\r\n"
        f"Content-Length: {len(body.encode())}\r\n\r\n{body}\r\n\r\n"
    ).encode()


@dataclass(frozen=True)
class Form:
    """How a source writes records into a file."""

    kind: str
    name: str
    """Of the damaged file."""
    other: str
    """Of its neighbour."""
    record: object
    separator: bytes = b"\n"
    start: bytes = b""
    end: bytes = b""
    more: dict = field(default_factory=dict)
    is_by_member: bool = False

    def file(self, name, numbers):
        pack = PACKERS[name.rpartition(".")[2]]
        records = [self.record(number) for number in numbers]
        if self.is_by_member:  # as web archives are: a gzip member a record
            return b"".join(map(pack, records))
        return pack(self.start + b"".join(records) + self.end)


LINES = Form(
    "jsonl",
    "a.jsonl.gz",
    "b.jsonl.gz",
    lambda number: json_line(text=text(number), id=number),
    more={"license": "x", "language": "cat_Latn"},
)
FORMS = [
    LINES,
    Form(
        "c4",
        "c4-af.tfrecord-00000-of-00002.json.gz",
        "c4-af.tfrecord-00001-of-00002.json.gz",
        lambda number: json_line(text=text(number), url=f"http://a/{number}", timestamp="2019"),
    ),
    Form(
        "oscar",
        "af_meta_part_1.jsonl.zst",
        "af_meta_part_2.jsonl.gz",
        lambda number: json_line(content=text(number), warc_headers={"warc-record-id": f"<urn:{number}>"}),
        more={"license": "x"},
    ),
    Form(
        "oscar",
        "af.txt.gz",
        "eu.txt.gz",
        lambda number: text(number).encode() + b"\n\n",
        b"\n\n",
        more={"license": "x"},
    ),
    Form(
        "culturax",
        "ca/a.jsonl.zst",
        "ca/b.jsonl.gz",
        lambda number: json_line(text=text(number), url=f"http://a/{number}", timestamp="2019", source="mC4"),
        more={"license": "x"},
    ),
    Form(
        "cc100",
        "am.txt.xz",
        "ka.txt.xz",
        lambda number: text(number).encode() + b"\n\n",
        b"\n\n",
        more={"license": "x"},
    ),
    Form("wikipedia-dump", "eswiki.xml.bz2", "frwiki.xml.bz2", wiki_page, b"</page>", b"<mediawiki>", b"</mediawiki>"),
    Form(
        "common-crawl",
        "a.warc.wet.gz",
        "b.warc.wet.gz",
        lambda number: web_record(number, is_wet=True),
        RECORD_START.encode(),
        more={"language": "eng_Latn"},
        is_by_member=True,
    ),
    Form(
        "common-crawl",
        "a.warc.gz",
        "b.warc.gz",
        lambda number: web_record(number, is_wet=False),
        RECORD_START.encode(),
        more={"language": "eng_Latn", "main_content": False},
        is_by_member=True,
    ),
    Form(
        "wikihow",
        "a.jsonl.gz",
        "b.jsonl.gz",
        lambda number: json_line(
            title=f"T{number}", steps=[{"title": text(number), "text": text(number)}], language="french"
        ),
    ),
    Form("xp3", "fr/a.jsonl.gz", "fr/b.jsonl.gz", pair),
    Form("oasst", "a.trees.jsonl.gz", "b.trees.jsonl.gz", answered),
    Form("flan", "a.jsonl.gz", "b.jsonl.gz", pair),
    Form(
        "instructions",
        "a.jsonl.bz2",
        "b.jsonl.gz",
        lambda number: json_line(instruction=f"Q{number}", response=text(number)),
        more={"license": "x", "language": "eng_Latn"},
    ),
]
PARQUET = {
    "culturax": {"ca": lambda number: {"text": text(number), "url": f"http://a/{number}", "timestamp": "2019"}},
    "wikipedia-parquet": {
        "20231101.ca": lambda number: {
            "id": str(number), "url": f"http://a/{number}", "title": f"T{number}", "text": text(number)
        }
    },
}  # fmt: skip


def source(kind, path, **more):
    return TypeAdapter(AnySource).validate_python({"kind": kind, "path": str(path)} | more)


def read_all(spark, languages, settings):
    rows = despite_damage(
        spark, settings, languages, lambda known: read(spark, known, languages, seed=0).collect(), only=()
    )
    alive = sorted((row["origin"], int(TEXT.search(row["text"])[1])) for row in rows if not row["rejected_for"])
    return alive, [row for row in rows if row["rejected_for"]]


def unpacked(name, packed):
    """What comes out of a file that is cut off."""
    stream = pa.BufferReader(packed)
    if name.endswith(".zst"):
        opened = pa.CompressedInputStream(stream, "zstd")
        step = opened.read
    else:
        opened = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}[name.rpartition(".")[2]](stream)
        step = opened.read1
    made = bytearray()
    try:
        while some := step(1):
            made += some
    except (EOFError, OSError):
        pass
    return bytes(made)


def write(folder, name, content):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def test_every_source_that_reads_archives_is_here():
    whole_files = {"natural-instructions"}  # a task a file, see test_pair_sources
    assert {form.kind for form in FORMS} | set(PARQUET) | whole_files == set(SOURCES)


# The others share a reader with one of these.
FIRST_OF_READER = {"am.txt.xz", "eswiki.xml.bz2", "a.warc.wet.gz", "a.trees.jsonl.gz"}


@pytest.mark.parametrize(
    "form",
    [pytest.param(form, marks=[] if form.name in FIRST_OF_READER else pytest.mark.slow) for form in FORMS],
    ids=lambda form: f"{form.kind} {form.name}",
)
def test_records_before_the_cut_are_taken_and_the_cut_is_a_rejected_row(spark, languages, tmp_path, form):
    if form.kind == "common-crawl":
        pytest.importorskip("resiliparse")
    content, expected = write_cut(tmp_path, form, form.name, range(RECORDS))
    write(tmp_path, form.other, form.file(form.other, range(1000, 1003)))

    alive, rejected = read_all(spark, languages, source(form.kind, tmp_path, **form.more))

    assert alive == sorted(expected + [(form.other, number) for number in range(1000, 1003)])
    assert 50 < len(expected) < RECORDS
    (row,) = rejected
    check_row(row, form.name, content)


def test_every_packing_beside_each_other(spark, languages, tmp_path):
    contents, expected = {}, []
    for part, suffix in enumerate(PACKERS):
        name = f"a.jsonl.{suffix}"
        contents[name], some = write_cut(tmp_path, LINES, name, range(part * RECORDS, (part + 1) * RECORDS))
        assert some
        expected += some
        write(tmp_path, f"b.jsonl.{suffix}", LINES.file(name, [1_000_000 + part]))
        expected.append((f"b.jsonl.{suffix}", 1_000_000 + part))
        write(tmp_path, f"none.jsonl.{suffix}", LINES.record(1))
        contents[f"none.jsonl.{suffix}"] = b""

    alive, rejected = read_all(spark, languages, source("jsonl", tmp_path, **LINES.more))

    assert alive == sorted(expected)
    assert len(rejected) == len(contents)
    for row in rejected:
        check_row(row, row["origin"], contents[row["origin"]])


def write_cut(folder, form, name, numbers):
    """Write a part of a file; return what can be read of it, and the records that are there as a whole."""
    whole = form.file(name, numbers)
    cut = whole[: len(whole) * 8 // 10]
    write(folder, name, cut)
    content = unpacked(name, cut)
    return content, [(name, number) for number in numbers[: content.count(form.separator)]]


def check_row(row, name, content):
    assert (row["origin"], row["text"], row["rejected_for"]) == (name, "", ["source.unreadable"])
    place = f"{name}, line {content.count(NEWLINE) + 1}"
    assert row["detail"].startswith(f"{place}: the file is damaged or cut off after {len(content):,} unpacked bytes (")


@pytest.mark.parametrize("kind", PARQUET)
def test_row_groups_that_can_be_read_are_taken(spark, languages, tmp_path, kind):
    ((folder, record),) = PARQUET[kind].items()
    (tmp_path / folder).mkdir()
    for name, numbers in (("broken", range(30)), ("cut", range(100, 130)), ("whole", range(200, 203))):
        table = pa.Table.from_pylist([record(number) for number in numbers])
        pq.write_table(table, tmp_path / folder / f"{name}.parquet", row_group_size=10, use_dictionary=False)
    broken, cut = (tmp_path / folder / f"{name}.parquet" for name in ("broken", "cut"))
    metadata = pq.ParquetFile(broken).metadata
    column = metadata.schema.names.index("text")
    content = bytearray(broken.read_bytes())
    start = metadata.row_group(1).column(column).data_page_offset
    content[start : start + 300] = b"\xff" * 300
    broken.write_bytes(content)
    cut.write_bytes(cut.read_bytes()[:2_000])
    settings = source(kind, tmp_path, **({"license": "x"} if kind == "culturax" else {}))

    alive, rejected = read_all(spark, languages, settings)

    taken = [(broken, number) for number in (*range(10), *range(20, 30))]
    taken += [(tmp_path / folder / "whole.parquet", number) for number in range(200, 203)]
    assert alive == sorted((str(path.relative_to(tmp_path)), number) for path, number in taken)
    details = sorted(row["detail"] for row in rejected)
    assert len(details) == 2
    assert details[0].startswith(
        f"{folder}/broken.parquet, row group 2 of 3: the file is damaged, 10 rows cannot be read ("
    )
    assert details[1].startswith(f"{folder}/cut.parquet: the file is damaged or cut off (")
    assert {row["language"] for row in rejected} == {"cat_Latn"}

    # With no other file there is nothing to take, nor to learn the columns from.
    (tmp_path / folder / "whole.parquet").unlink()
    broken.unlink()
    alive, rejected = read_all(spark, languages, settings)
    assert (alive, len(rejected)) == ([], 1)


def test_a_damaged_file_that_is_not_wanted_gives_no_row(spark, languages, tmp_path):
    form = next(form for form in FORMS if form.name == "am.txt.xz")
    for name in ("am.txt.xz", "ka.txt.xz"):
        write_cut(tmp_path, form, name, range(20))
    settings = source("cc100", tmp_path, license="x", languages=["amh_Ethi"])

    _, rejected = read_all(spark, languages, settings)

    assert [row["origin"] for row in rejected] == ["am.txt.xz"]


def test_files_that_python_cannot_open_are_one_clear_error(spark, languages, tmp_path, monkeypatch):
    """As in a store whose keys Spark alone was given."""
    write_cut(tmp_path, LINES, "a.jsonl.gz", range(20))
    settings = source("jsonl", tmp_path, **LINES.more)

    def fail(batches, **_):
        raise PermissionError("no way in")
        yield from batches

    monkeypatch.setattr("jobs.sources.damage.find_damage", fail)
    with pytest.raises(BackpromptError, match=r"a\.jsonl\.gz is damaged or cut off .* Python cannot open") as raised:
        read_all(spark, languages, settings)
    assert "PermissionError: no way in" in str(raised.value)
    assert "Traceback" not in str(raised.value)
