from __future__ import annotations

import bz2
import gzip
import hashlib
import json

import pytest
from pydantic import TypeAdapter, ValidationError

from jobs.runtime.errors import BackpromptError
from jobs.sources import SOURCES, AnySource, read
from jobs.sources.jsonl import JsonlSettings


def settings(path, **more):
    return JsonlSettings(**{"path": str(path), "license": "CC0-1.0", "language": "cat_Latn"} | more)


def lines(*records):
    return "".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records).encode()


def test_fields_by_the_recipes_names(spark, languages, tmp_path):
    record = {"body": "Hola.", "headline": "H", "meta": {"id": 7, "url": "http://a"}, "when": "1999", "part": "news"}
    (tmp_path / "a.jsonl").write_bytes(lines(record))
    columns = {
        "text": "body",
        "title": "headline",
        "id": "meta.id",
        "url": "meta.url",
        "date": "when",
        "subsource": "part",
    }

    (row,) = read(spark, settings(tmp_path, columns=columns, name="mine", genres={"news": "news"}), languages).collect()

    assert row.asDict() == {
        "doc_id": hashlib.sha256(b"mine\x1f7").hexdigest(),
        "revision": hashlib.sha256(b"H\x1fHola.").hexdigest(),
        "language": "cat_Latn",
        "source": "mine",
        "subsource": "news",
        "corpus_key": "7",
        "origin": "a.jsonl",
        "license": "CC0-1.0",
        "url": "http://a",
        "genre": "news",
        "date": "1999",
        "title": "H",
        "text": "Hola.",
        "text_chars": 5,
        "instruction": None,
        "instruction_language": None,
        "messages": None,
        "source_metadata": None,
        "part_of": None,
        "rejected_for": [],
        "detail": None,
    }


@pytest.mark.parametrize("suffix", [".jsonl", ".json.gz", ".ndjson.bz2", ".jsonl.zst"])
def test_broken_lines_are_rejected_and_their_neighbours_go_on(spark, languages, tmp_path, suffix):
    if suffix.endswith(".zst") and spark.version < "4":
        pytest.skip("the Hadoop of Spark 3.5 reads zstd with a native library alone")
    content = (
        lines({"text": "first"}, '{"text": "cut', {"n": 1}, {"text": ["a"]}, "", {"text": "nul \x00"})
        + b'{"text": "caf\xe9"}\n'
        + lines('{"text": "\\ud800"}', {"n": 2}, {"text": "last"})
    )
    packed = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstd}.get(f".{suffix.rsplit('.', 1)[1]}", bytes)(
        content
    )
    (tmp_path / f"a{suffix}").write_bytes(packed)

    rows = read(spark, settings(tmp_path), languages).collect()

    assert sorted((row["text"], *row["rejected_for"]) for row in rows) == [
        ("", "source.missing_text"),
        ("", "source.missing_text"),
        ("first",),
        ("last",),
        ("nul \x00",),
        ('{"text": "\\ud800"}', "source.unreadable"),
        ('{"text": "caf\N{REPLACEMENT CHARACTER}"}', "source.unreadable"),
        ('{"text": "cut', "source.unreadable"),
        ('{"text": ["a"]}', "source.unreadable"),
    ]
    details = {row["text"]: row["detail"] for row in rows}
    assert details['{"text": "cut'].startswith(f"a{suffix}, line 2: not JSON: ")
    assert details['{"text": ["a"]}'] == f"a{suffix}, line 4: text is a list, not a string"
    assert details['{"text": "\\ud800"}'].startswith(f"a{suffix}, line 8: text has half a surrogate pair")


def zstd(content):
    import pyarrow as pa

    return pa.compress(content, codec="zstd", asbytes=True)


def test_language_of_the_record(spark, languages, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(
        lines({"text": "a", "lang": "yor"}, {"text": "b", "lang": "zzz"}, {"text": "c", "lang": "fra"})
    )
    chosen = settings(
        tmp_path, language=None, columns={"language": "lang"}, language_codes="iso639_3", languages=["yor_Latn"]
    )

    rows = read(spark, chosen, languages).collect()

    assert sorted((row["text"], row["language"], *row["rejected_for"]) for row in rows) == [
        ("a", "yor_Latn"),
        ("b", "und_Zzzz", "source.unknown_language"),
    ]


def test_settings_language_goes_before_field_and_folder(spark, languages, tmp_path):
    (tmp_path / "es").mkdir()
    (tmp_path / "es" / "a.jsonl").write_bytes(lines({"text": "a", "lang": "fra_Latn"}))
    base = settings(tmp_path, columns={"language": "lang"}, language_codes="wikipedia")

    def language_of(**changes):
        return read(spark, base.model_copy(update=changes), languages).select("language").first()[0]

    assert language_of() == "cat_Latn"
    assert language_of(language=None) == "fra_Latn"
    assert language_of(language=None, columns=JsonlSettings(path="x", license="x").columns) == "spa_Latn"


@pytest.mark.parametrize(
    ("content", "columns", "words"),
    [
        (lines({"body": "a", "meta": {"x": 1}}), {}, ["has a field text.", "Fields there: body, meta, meta.x"]),
        (lines({"text": "a"}), {"id": "doc_id"}, ["has a field doc_id.", "Fields there: text"]),
    ],
    ids=["no text", "no id"],
)
def test_missing_field_is_said(spark, languages, tmp_path, content, columns, words):
    (tmp_path / "a.jsonl").write_bytes(content)

    with pytest.raises(BackpromptError) as raised:
        read(spark, settings(tmp_path, columns=columns), languages)

    assert not [word for word in words if word not in str(raised.value)], raised.value


def test_file_of_broken_lines_alone_is_read_as_rejected_rows(spark, languages, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"one\ntwo\none\n")

    rows = read(spark, settings(tmp_path), languages).collect()

    # The same broken line twice in a file is one row.
    assert sorted((row["text"], *row["rejected_for"]) for row in rows) == [
        ("one", "source.unreadable"),
        ("two", "source.unreadable"),
    ]


def test_cut_archive_is_named(spark, languages, tmp_path):
    content = gzip.compress(
        b"".join(lines({"text": hashlib.sha256(bytes([number])).hexdigest()}) for number in range(200))
    )
    (tmp_path / "a.jsonl.gz").write_bytes(content[: len(content) // 2])
    chosen = settings(tmp_path)

    # The first lines are read at once.
    with pytest.raises(BackpromptError, match=r"Source jsonl: a?.*/.* is damaged or cut off .*Fetch it again"):
        read(spark, chosen, languages)


# Settings --------------------------------------------------------------------------------------------------------


def test_kind_chooses_the_settings_and_every_kind_has_a_module():
    adapter = TypeAdapter(AnySource)
    made = [adapter.validate_python({"kind": kind, "path": "p", "license": "x"}) for kind in SOURCES]

    assert [source.kind for source in made] == list(SOURCES)
    assert [source.name for source in made] == [
        "wikipedia",
        "wikipedia",
        "culturax",
        "oscar",
        "c4",
        "cc100",
        "common-crawl",
        "jsonl",
        "wikihow",
        "natural_instructions",
        "xp3",
        "oasst",
        "flan_v2",
        "instructions",
    ]
    assert all(callable(SOURCES[source.kind].read) for source in made)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"kind": "culturax", "path": "p"}, "license"),
        ({"kind": "jsonl", "path": "p"}, "license"),
        ({"kind": "jsonl", "license": "x"}, "path"),
        ({"kind": "jsonl", "path": "p", "license": "x", "columns": {"txt": "a"}}, "txt"),
        ({"kind": "jsonl", "path": "p", "license": "x", "language_codes": "iso639_2"}, "language_codes"),
        ({"kind": "wikipedia-dump", "path": "p", "sample_rate": 0}, "sample_rate"),
        ({"kind": "wikipedia-dump", "path": "p", "max_documents_per_language": 0}, "max_documents_per_language"),
        ({"kind": "c4", "path": "p", "max_documents": {"cat_Latn": -1}}, "max_documents"),
        ({"kind": "c4", "path": "p", "weight": 0}, "weight"),
        ({"kind": "oscar", "path": "p", "license": "x", "refuse_warnings": ["nsfw"]}, "refuse_warnings"),
        (
            {"kind": "c4", "path": "p", "max_documents_per_language": 3, "min_documents_per_language": 4},
            "is more than max_documents_per_language",
        ),
        ({"kind": "wikipedia-dump", "path": "p", "name": "a\x1fb"}, "name"),
        ({"kind": "wikipedia", "path": "p"}, "wikipedia-dump"),
    ],
)
def test_wrong_settings_are_refused(given, key):
    with pytest.raises(ValidationError, match=key):
        TypeAdapter(AnySource).validate_python(given)


def test_where_and_how_much_is_read_decides_nothing():
    base = settings("a")
    other = base.model_copy(update={"path": "b", "sample_rate": 0.5, "max_documents_per_language": 3})

    assert base.decisive() == other.decisive()
    assert base.decisive() != base.model_copy(update={"license": "other"}).decisive()
