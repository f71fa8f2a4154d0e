"""OSCAR, C4, CC-100 and web archives: real samples, counted by hand, and what is wrong with a corpus."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import shutil

import pytest
from pyspark.sql import functions as F

from jobs.runtime.errors import BackpromptError
from jobs.sources import read
from jobs.sources.c4 import C4Settings
from jobs.sources.cc100 import Cc100Settings
from jobs.sources.common_crawl import CommonCrawlSettings
from jobs.sources.jsonl import JsonlSettings
from jobs.sources.oscar import OscarSettings
from jobs.sources.text import read_pieces
from udfs.records import CorpusFile

# One byte more than is read.
TOO_LARGE = 100 * 2**20
PAGE = {
    "content": "Dagsê.\nLekker dag.",
    "warc_headers": {
        "warc-record-id": "<urn:uuid:1>",
        "warc-target-uri": "http://a/",
        "warc-date": "2022-11-26T17:25:57Z",
        "content-type": "text/plain",
        "warc-identified-content-language": "afr,nld",
    },
    "metadata": {
        "identification": {"label": "af", "prob": 0.67},
        "harmful_pp": 4063.18,
        "tlsh": "tlsh:T1",
        "quality_warnings": ["short_sentences", "header"],
        "categories": None,
        "sentence_identifications": [{"label": "af", "prob": 0.7}, None],
    },
}


def page(number, **changes):
    changed = json.loads(json.dumps(PAGE)) | changes
    changed["warc_headers"]["warc-record-id"] = f"<urn:uuid:{number}>"
    return json.dumps(changed).encode()


def oscar(path, **more):
    return OscarSettings(**{"path": str(path), "license": "CC0-1.0"} | more)


def cc100(path, **more):
    return Cc100Settings(**{"path": str(path), "license": "unknown"} | more)


def sha256(*parts):
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def counted(rows):
    """Rows by language and reason."""
    found = {}
    for row in rows:
        key = (row["language"], *row["rejected_for"])
        found[key] = found.get(key, 0) + 1
    return found


# Real samples ----------------------------------------------------------------------------------------------------


def test_real_oscar_2019(spark, languages, data):
    rows = read(spark, oscar(data / "web" / "oscar2019"), languages).collect()

    # Two documents in each file, a blank line between them.
    assert counted(rows) == dict.fromkeys(
        [("eus_Latn",), ("kir_Cyrl",), ("mya_Mymr",), ("sin_Sinh",), ("swh_Latn",)], 2
    )
    texts = gzip.decompress((data / "web" / "oscar2019" / "sw.txt.gz").read_bytes()).decode().split("\n\n")
    assert sorted(row["text"] for row in rows if row["language"] == "swh_Latn") == sorted(
        text.strip("\n") for text in texts
    )
    assert {row["doc_id"] for row in rows} == {sha256("oscar", sha256("", row["text"])) for row in rows}


def test_real_c4_and_mc4(spark, languages, data):
    english = read(spark, C4Settings(path=str(data / "web" / "c4"), language="eng_Latn"), languages).collect()
    afrikaans = read(spark, C4Settings(path=str(data / "web" / "mc4"), name="mc4"), languages).collect()

    assert (counted(english), counted(afrikaans)) == ({("eng_Latn",): 3}, {("afr_Latn",): 3})
    (file,) = (data / "web" / "mc4").iterdir()
    for record in map(json.loads, gzip.decompress(file.read_bytes()).splitlines()):
        (row,) = [row for row in afrikaans if row["url"] == record["url"]]
        assert (row["text"], row["date"], row["license"]) == (record["text"], record["timestamp"], "ODC-BY")
        assert row["doc_id"] == sha256("mc4", record["url"])


@pytest.mark.parametrize("suffix", [".txt", ".txt.xz", ".txt.gz"])
def test_real_cc100(spark, languages, data, tmp_path, suffix):
    pack = {".txt": bytes, ".txt.xz": lzma.compress, ".txt.gz": gzip.compress}[suffix]
    for code in ("am", "ka"):
        (tmp_path / f"{code}{suffix}").write_bytes(pack((data / "web" / "cc100" / f"{code}.txt").read_bytes()))

    rows = read(spark, cc100(tmp_path), languages).collect()

    assert counted(rows) == {("amh_Ethi",): 2, ("kat_Geor",): 1}
    # The Amharic ones have two paragraphs each, the Georgian one five.
    assert sorted(row["text"].count("\n") + 1 for row in rows) == [2, 2, 5]


def test_real_web_archives(spark, languages, data):
    pytest.importorskip("resiliparse")
    settings = CommonCrawlSettings(path=str(data / "web" / "warc"), language="eng_Latn")

    rows = read(spark, settings, languages).collect()

    # 22 pages of one archive and one of the other; requests and records about the crawl are no rows.
    assert counted(rows) == {("eng_Latn",): 23}
    found = {row["url"]: row for row in rows}
    row = found["https://soldaini.net/"]
    assert (row["doc_id"], row["origin"]) == (sha256("common-crawl", row["url"]), "dolma-sample-0000.warc.gz")
    assert row["source_metadata"]["warc_record_id"].startswith("<urn:uuid:")
    assert "<" not in found["http://commoncrawl.org/"]["text"]


# OSCAR 23.01 -----------------------------------------------------------------------------------------------------


def test_oscar_2301_and_its_warnings(spark, languages, tmp_path):
    (tmp_path / "af_meta").mkdir()
    noisy = PAGE["metadata"] | {"quality_warnings": ["tiny", "noisy"]}
    clean = PAGE["metadata"] | {"quality_warnings": None}
    lines = [page(1), page(2, metadata=noisy), page(3, metadata=clean), page(4, metadata={"quality_warnings": "tiny"})]
    (tmp_path / "af_meta" / "af_meta_part_1.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines)))
    settings = oscar(tmp_path, refuse_warnings=["noisy", "tiny", "adult"])

    rows = {row["corpus_key"] or row["detail"]: row for row in read(spark, settings, languages).collect()}

    where = "af_meta/af_meta_part_1.jsonl.gz, line"
    unread = f"{where} 4: metadata.quality_warnings is a string, not a list of strings"
    assert {key: row["rejected_for"] for key, row in rows.items()} == {
        "<urn:uuid:1>": [],
        "<urn:uuid:2>": ["source.flagged"],
        "<urn:uuid:3>": [],
        unread: ["source.unreadable"],
    }
    assert rows["<urn:uuid:2>"]["detail"] == f"{where} 2: the corpus warns: noisy, tiny"
    first = rows["<urn:uuid:1>"]
    assert first["doc_id"] == sha256("oscar", "<urn:uuid:1>")
    assert (first["url"], first["date"], first["language"]) == ("http://a/", "2022-11-26T17:25:57Z", "afr_Latn")
    assert first["text"] == PAGE["content"]
    assert first["source_metadata"] == {
        "quality_warnings": '["short_sentences", "header"]',
        "harmful_pp": "4063.18",
        "tlsh": "tlsh:T1",
        "identification_label": "af",
        "identification_prob": "0.67",
        "sentence_labels": '{"af": 1, "null": 1}',
    }
    assert rows["<urn:uuid:2>"]["source_metadata"]["quality_warnings"] == '["tiny", "noisy"]'
    assert rows[unread]["source_metadata"] is None


# What is wrong with a corpus -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "lines"),
    [
        ("af.jsonl", oscar, [page(1), page(9)[:50], page(9, content=7), b'{"content": "no id"}', page(2)]),
        (
            "c4-af.tfrecord-00000-of-00064.json",
            lambda path: C4Settings(path=str(path)),
            [
                b'{"text": "a", "url": "u", "timestamp": "t"}',
                b'{"text": "cut',
                b'{"text": ["a"], "url": "v"}',
                b'{"url": "w"}',
                b'{"text": "b", "url": "x"}',
            ],
        ),
    ],
    ids=["oscar", "c4"],
)
def test_broken_lines_are_rejected_with_their_place(spark, languages, tmp_path, name, settings, lines):
    broken = [*lines[:-1], b'{"text": "caf\xe9"}', b"x" * TOO_LARGE, lines[-1]]
    (tmp_path / name).write_bytes(b"\n".join(broken) + b"\n")
    (tmp_path / f"b{name}").write_bytes(b"")

    rows = read(spark, settings(tmp_path), languages).select("text", "rejected_for", "detail").collect()

    reasons = {row["detail"].split(":")[0]: row["rejected_for"] for row in rows if row["detail"]}
    assert reasons == {
        f"{name}, line 2": ["source.unreadable"],
        f"{name}, line 3": ["source.unreadable"],
        f"{name}, line 5": ["source.unreadable"],
        f"{name}, line 6": ["source.too_large"],
    }
    # The neighbours, and the one that lacks a field: without a key it is known by its content, without text it is not.
    alive = 3 if name == "af.jsonl" else 2
    assert sum(not row["rejected_for"] for row in rows) == alive
    assert sum(row["rejected_for"] == ["source.missing_text"] for row in rows) == 3 - alive
    assert max(len(row["text"]) for row in rows) <= 1000


@pytest.mark.parametrize("suffix", [".txt", ".txt.xz"])
def test_broken_documents_of_plain_text(spark, languages, tmp_path, suffix):
    pack = lzma.compress if suffix.endswith("xz") else bytes
    content = b"first\nparagraph\n\n\ncaf\xe9\n\n" + b"x" * (17 * 2**20) + b"\n\nlast"
    (tmp_path / f"am{suffix}").write_bytes(pack(content))

    rows = read(spark, cc100(tmp_path), languages).collect()

    assert {row["detail"] or row["text"]: row["rejected_for"] for row in rows} == {
        "first\nparagraph": [],
        f"am{suffix}, document 2: byte 5 is not UTF-8": ["source.unreadable"],
        f"am{suffix}, document 3: 17,825,792 bytes, more than max_record_bytes": ["source.too_large"],
        "last": [],
    }


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (oscar, "Expected: OSCAR's JSON lines"),
        (lambda path: C4Settings(path=str(path)), "Expected: JSON lines"),
        (cc100, "Expected: plain text named after its language"),
        (lambda path: CommonCrawlSettings(path=str(path), language="eng_Latn"), "Expected: archives such as"),
    ],
    ids=["oscar", "c4", "cc100", "common-crawl"],
)
def test_wrong_folder_is_one_clear_error(spark, languages, tmp_path, settings, words):
    pytest.importorskip("resiliparse")
    (tmp_path / "a.csv").write_text("a,b")

    for path, there in ((tmp_path, "1 other files, such as a.csv"), (tmp_path / "none", "there is nothing")):
        with pytest.raises(BackpromptError, match=words) as raised:
            read(spark, settings(path), languages)
        assert there in str(raised.value)


def test_broken_record_of_an_archive(spark, languages, data, tmp_path):
    pytest.importorskip("resiliparse")
    records = gzip.decompress((data / "web" / "warc" / "dolma-sample-0000.warc.gz").read_bytes()).split(
        b"\r\n\r\nWARC/1."
    )
    # The first page, after a record about the crawl and its request, loses its end.
    records[2] = records[2][:-1000]
    (tmp_path / "a.warc").write_bytes(b"\r\n\r\nWARC/1.".join(records))

    rows = read(spark, CommonCrawlSettings(path=str(tmp_path), language="eng_Latn"), languages).collect()

    assert counted(rows) == {("eng_Latn",): 21, ("eng_Latn", "source.unreadable"): 1}
    (detail,) = [row["detail"] for row in rows if row["detail"]]
    assert detail.startswith("a.warc, record 3: the record has ")


# Reading in parallel ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.bz2"])
def test_one_large_file_of_lines_is_read_by_several_tasks(spark, languages, tmp_path, suffix):
    texts = [hashlib.sha512(str(number).encode()).hexdigest() * 2 for number in range(2_000)]
    content = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)
    # bzip2's blocks are what can be split: at its lowest level they are of 100 kB.
    packed = bz2.compress(content, 1) if suffix.endswith("bz2") else content
    (tmp_path / f"a{suffix}").write_bytes(packed)

    with small_parts(spark, len(packed) // 4):
        docs = read(spark, JsonlSettings(path=str(tmp_path), license="x", language="cat_Latn"), languages)
        path = tmp_path / f"a{suffix}"
        lines = read_pieces(spark, [CorpusFile(path.as_uri(), str(path), path.name)], 2**20)
        parts = lines.select("file_block_start", F.spark_partition_id()).distinct().count()
        rows = docs.collect()

    assert parts >= 3
    assert sorted(row["text"] for row in rows) == sorted(texts)


@pytest.mark.parametrize("part_bytes", [40, 41])
def test_splits_neither_lose_nor_cut_documents(spark, languages, tmp_path, part_bytes):
    # Line ends in any number, so that some split falls into each of them.
    texts = [f"document {number}\n{'x' * (number % 7)}y" for number in range(20)]
    (tmp_path / "am.txt").write_text("".join(text + "\n" * (2 + number % 4) for number, text in enumerate(texts)))

    with small_parts(spark, part_bytes):
        rows = read(spark, cc100(tmp_path), languages).collect()

    assert sorted(row["text"] for row in rows) == sorted(texts)


class small_parts:  # noqa: N801
    """Spark reads files in parts of so many bytes."""

    def __init__(self, spark, size):
        self.spark, self.size = spark, size

    def __enter__(self):
        self.spark.conf.set("spark.sql.files.maxPartitionBytes", str(self.size))
        self.spark.conf.set("spark.sql.files.openCostInBytes", "0")

    def __exit__(self, *_):
        self.spark.conf.unset("spark.sql.files.maxPartitionBytes")
        self.spark.conf.unset("spark.sql.files.openCostInBytes")


def test_mixed_forms_of_one_corpus(spark, languages, data, tmp_path):
    shutil.copy(data / "web" / "oscar2019" / "eu.txt.gz", tmp_path)
    (tmp_path / "af.jsonl").write_bytes(page(1))

    assert counted(read(spark, oscar(tmp_path), languages).collect()) == {("eus_Latn",): 2, ("afr_Latn",): 1}
