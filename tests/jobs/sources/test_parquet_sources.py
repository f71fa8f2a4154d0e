"""Wikipedia as Parquet, and CulturaX."""

from __future__ import annotations

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.runtime.errors import BackpromptError
from jobs.sources import explain_read_error, read
from jobs.sources.culturax import CulturaxSettings
from jobs.sources.wikipedia import WikipediaParquetSettings


def write(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def wikipedia(path, ids, texts, **columns):
    titles = [f"Title {number}" for number in ids]
    write(path, **{"id": ids, "url": [f"u{number}" for number in ids], "title": titles, "text": texts} | columns)


def culturax(path, urls, texts, **columns):
    defaults = {"text": texts, "timestamp": ["2020-01-01"] * len(urls), "url": urls, "source": ["mC4"] * len(urls)}
    write(path, **defaults | columns)


def sha256(*parts):
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def not_utf8(texts):
    """Return a string column with the bytes as they are, which pyarrow does not check."""
    return pa.array(texts, pa.binary()).view(pa.string())


# Wikipedia -------------------------------------------------------------------------------------------------------


def test_real_wikipedia_rows(spark, languages, data):
    settings = WikipediaParquetSettings(path=str(data / "wikipedia" / "parquet"))
    rows = read(spark, settings, languages).collect()
    real = pq.read_table(data / "wikipedia" / "parquet" / "20231101.es").to_pylist()

    assert {row["language"] for row in rows} == {"cat_Latn", "spa_Latn"}
    found = {row["url"]: row for row in rows}
    for page in real:
        row = found[page["url"]]
        assert row["doc_id"] == sha256("wikipedia", f"es:{page['id']}")
        assert row["revision"] == sha256(page["title"], page["text"])
        assert (row["title"], row["text"], row["corpus_key"]) == (page["title"], page["text"], f"es:{page['id']}")
        assert row["origin"] == "20231101.es/train-00000-of-00001.parquet"
        assert (row["rejected_for"], row["detail"], row["subsource"], row["date"]) == ([], None, None, None)


def test_ids_are_the_same_wherever_the_corpus_lies(spark, languages, data):
    whole = read(
        spark, WikipediaParquetSettings(path=f"file://{data}/wikipedia/parquet/"), languages, only=["spa_Latn"]
    )
    folder = WikipediaParquetSettings(path=str(data / "wikipedia" / "parquet" / "20231101.es"))
    file = WikipediaParquetSettings(
        path=f"{folder.path}/train-00000-of-00001.parquet", language="spa_Latn", name="wiki"
    )

    ids = {row["doc_id"] for row in whole.select("doc_id").collect()}
    assert len(ids) == 5
    assert {row["doc_id"] for row in read(spark, folder, languages).select("doc_id").collect()} == ids
    named = read(spark, file, languages).select("doc_id", "origin").collect()
    assert not ids & {row["doc_id"] for row in named}
    assert {row["origin"] for row in named} == {"train-00000-of-00001.parquet"}


def test_rows_that_cannot_be_used_are_rejected_and_their_neighbours_go_on(spark, languages, tmp_path):
    texts = ["good", None, "  \n\u3000", "nul \x00 inside", "last"]
    wikipedia(tmp_path / "ca" / "a.parquet", [1, 2, 3, 4, 5], texts)
    wikipedia(tmp_path / "ca" / "b.parquet", [6, 7], not_utf8([b"caf\xe9", b"fine"]))

    rows = {
        row["corpus_key"]: row for row in read(spark, WikipediaParquetSettings(path=str(tmp_path)), languages).collect()
    }

    assert {key: row["rejected_for"] for key, row in rows.items()} == {
        "ca:1": [],
        "ca:2": ["source.missing_text"],
        "ca:3": ["source.missing_text"],
        "ca:4": [],
        "ca:5": [],
        "ca:6": ["source.unreadable"],
        "ca:7": [],
    }
    assert rows["ca:2"]["text"] == ""
    assert rows["ca:4"]["text"] == "nul \x00 inside"
    assert rows["ca:6"]["text"] == "caf\N{REPLACEMENT CHARACTER}"
    assert rows["ca:6"]["detail"] == "ca/b.parquet, row 1: column text is not UTF-8"


def test_text_of_a_hundred_megabytes_is_rejected_and_its_neighbours_go_on(spark, languages, tmp_path):
    wikipedia(tmp_path / "ca" / "a.parquet", ["1", "2", "3"], ["Un.", "x" * 100_000_000, "Tres."])

    rows = read(spark, WikipediaParquetSettings(path=str(tmp_path)), languages).collect()

    assert {row["corpus_key"]: (row["text"], row["rejected_for"], row["detail"]) for row in rows} == {
        "ca:1": ("Un.", [], None),
        "ca:2": (
            "x" * 1_000,
            ["source.too_large"],
            "ca/a.parquet, row 2: text has 100,000,000 bytes, more than max_record_bytes",
        ),
        "ca:3": ("Tres.", [], None),
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no files that have content. Expected: Parquet files (id, url, title, text)"),
        (b"PAR1", "ca/a.parquet is damaged or cut off"),
        (None, "there is nothing. Expected: Parquet files"),
    ],
    ids=["empty", "cut", "wrong folder"],
)
def test_what_is_no_wikipedia_is_said(spark, languages, tmp_path, content, words):
    if content is not None:
        (tmp_path / "ca").mkdir()
        (tmp_path / "ca" / "a.parquet").write_bytes(content)
    path = tmp_path if content is not None else tmp_path / "nowhere"

    with pytest.raises(BackpromptError) as raised:
        read(spark, WikipediaParquetSettings(path=str(path)), languages)

    assert str(raised.value).startswith("Source wikipedia: ")
    assert words in str(raised.value)


def test_wikipedia_without_its_columns_is_said(spark, languages, tmp_path):
    write(tmp_path / "ca" / "a.parquet", id=["1"], url=["u"], text=["a"])
    settings = WikipediaParquetSettings(path=str(tmp_path))

    with pytest.raises(BackpromptError, match=r"have no column title. Columns there: id \(string\), url"):
        read(spark, settings, languages)

    write(tmp_path / "ca" / "a.parquet", id=["1"], url=["u"], title=[7], text=["a"])
    with pytest.raises(BackpromptError, match=r"column title in the files of .* is bigint, not string"):
        read(spark, settings, languages)


def test_same_id_with_other_content_is_rejected_and_copies_collapse(spark, languages, tmp_path):
    wikipedia(tmp_path / "ca" / "a.parquet", [1, 2, 3], ["one", "two", "three"])
    wikipedia(tmp_path / "ca" / "b.parquet", [1, 2, 2], ["one", "TWO", "other"])
    wikipedia(tmp_path / "es" / "c.parquet", [1], ["uno"])

    docs = read(spark, WikipediaParquetSettings(path=str(tmp_path)), languages)
    rows = sorted((row["corpus_key"], row["revision"], row["rejected_for"], row["origin"]) for row in docs.collect())

    twos = sorted(sha256("Title 2", text) for text in ("two", "TWO", "other"))
    origins = {sha256("Title 2", "two"): "ca/a.parquet"}
    assert rows == [
        ("ca:1", sha256("Title 1", "one"), [], "ca/a.parquet"),
        *[
            ("ca:2", revision, ["source.duplicate_id"] if place else [], origins.get(revision, "ca/b.parquet"))
            for place, revision in enumerate(twos)
        ],
        ("ca:3", sha256("Title 3", "three"), [], "ca/a.parquet"),
        ("es:1", sha256("Title 1", "uno"), [], "es/c.parquet"),
    ]
    assert sorted(map(tuple, docs.repartition(7, "text").collect())) == sorted(map(tuple, docs.collect()))


# CulturaX --------------------------------------------------------------------------------------------------------


def test_real_culturax_rows_of_both_formats(spark, languages, data):
    settings = CulturaxSettings(
        path=str(data / "culturax"),
        license="unknown",
        licenses={"ParlaMint-ES-GA": "CC BY 4.0", "softcatala-web-dataset": "CC BY-SA 4.0"},
        genres={"ParlaMint-ES-GA": "speech"},
    )
    rows = read(spark, settings, languages).collect()

    by_language = {}
    for row in rows:
        by_language.setdefault((row["language"], row["license"], row["genre"]), []).append(row)
    assert {key: len(found) for key, found in by_language.items()} == {
        ("cat_Latn", "CC BY-SA 4.0", "web"): 6,
        ("epo_Latn", "unknown", "web"): 5,
        ("glg_Latn", "CC BY 4.0", "speech"): 5,
    }
    lines = (data / "culturax" / "eo" / "eo_part_00000.jsonl").read_text(encoding="utf-8").splitlines()
    for page in map(json.loads, lines):
        (row,) = [row for row in rows if row["url"] == page["url"]]
        assert row["doc_id"] == sha256("culturax", page["url"])
        assert (row["text"], row["date"], row["subsource"]) == (page["text"], page["timestamp"], page["source"])
        assert (row["title"], row["origin"]) == (None, "eo/eo_part_00000.jsonl")


def test_page_without_address_is_known_by_its_content(spark, languages, tmp_path):
    culturax(tmp_path / "ca" / "a.parquet", pa.array([None, None, None, None], pa.string()), ["a", "a", "b", ""])

    rows = read(spark, CulturaxSettings(path=str(tmp_path), license="x"), languages).collect()

    alive = {row["text"]: row["doc_id"] for row in rows if not row["rejected_for"]}
    assert alive == {text: sha256("culturax", sha256("", text)) for text in ("a", "b")}
    assert sorted(row["rejected_for"] for row in rows) == [[], [], ["source.missing_text"]]


def test_language_of_a_column(spark, languages, tmp_path):
    codes = ["ca", "als", "xx", None, "glg_Latn", "es"]
    culturax(tmp_path / "a.parquet", [f"u{number}" for number in range(6)], ["text"] * 6, lang=codes)
    settings = CulturaxSettings(path=str(tmp_path), license="x", language_column="lang")

    rows = read(spark, settings, languages, only=["cat_Latn", "gsw_Latn", "glg_Latn"]).collect()

    assert {row["url"]: (row["language"], row["rejected_for"], row["detail"]) for row in rows} == {
        "u0": ("cat_Latn", [], None),
        "u1": ("gsw_Latn", [], None),
        "u2": ("und_Zzzz", ["source.unknown_language"], "a.parquet, row 3: lang is xx"),
        "u3": ("und_Zzzz", ["source.unknown_language"], "a.parquet, row 4: lang is null"),
        "u4": ("glg_Latn", [], None),
    }


@pytest.mark.parametrize(
    "path",
    [
        "ca/a.parquet",
        "language=ca/a.parquet",
        "20231101.ca/train-00000-of-00001.parquet",
        "cat_Latn/a.parquet",
        "ca/train/a.parquet",
        # No folder is a language: the name of the file says it, as CulturaX's do.
        "x [1] {2} é+%20/ca_part_00000.parquet",
    ],
)
def test_language_of_a_path(spark, languages, tmp_path, path):
    culturax(tmp_path / path, ["u"], ["text"])

    (row,) = read(spark, CulturaxSettings(path=str(tmp_path), license="x"), languages).collect()

    assert (row["language"], row["origin"]) == ("cat_Latn", path)


def test_columns_that_are_not_needed_are_not_read(spark, languages, tmp_path, capsys):
    culturax(tmp_path / "ca" / "a.parquet", ["u"], ["text"], embedding=[[1.0, 2.0]])

    read(spark, CulturaxSettings(path=str(tmp_path), license="x"), languages).explain()

    plan = capsys.readouterr().out
    assert "ReadSchema: struct<text:string" in plan
    assert "embedding" not in plan


# What is wrong with a corpus -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"text": ["a"], "content": ["b"]}, ["no column url.", "Columns there: text (string), content (string)"]),
        ({"text": [1], "url": ["u"]}, ["column text in the files of", "is bigint, not string."]),
        (
            {"text": [b"a"], "url": ["u"]},
            ["is binary, not string. If it is text, set spark.sql.parquet.binaryAsString"],
        ),
        ({"text": [["a"]], "url": ["u"]}, ["is array<string>, not string."]),
    ],
    ids=["missing", "number", "binary", "list"],
)
def test_wrong_columns_are_said(spark, languages, tmp_path, columns, words):
    write(tmp_path / "ca" / "a.parquet", **columns)

    with pytest.raises(BackpromptError) as raised:
        read(spark, CulturaxSettings(path=str(tmp_path), license="x"), languages)

    assert str(raised.value).startswith("Source culturax: ")
    assert not [word for word in words if word not in str(raised.value)], raised.value


def test_unknown_folder_is_said_unless_it_is_not_wanted(spark, languages, tmp_path):
    culturax(tmp_path / "ca" / "a.parquet", ["u"], ["text"])
    culturax(tmp_path / "catala" / "a.parquet", ["v"], ["text"])
    settings = CulturaxSettings(path=str(tmp_path), license="x")

    with pytest.raises(BackpromptError, match=r"'catala', for catala/a.parquet, is neither a culturax code") as raised:
        read(spark, settings, languages)

    assert "close to it: ca" in str(raised.value)
    wanted = settings.model_copy(update={"languages": ("cat_Latn",)})
    assert read(spark, wanted, languages).count() == 1


def test_damaged_files_are_named(spark, languages, tmp_path):
    culturax(tmp_path / "whole" / "ca" / "a.parquet", [f"u{number}" for number in range(500)], ["text " * 50] * 500)
    content = (tmp_path / "whole" / "ca" / "a.parquet").read_bytes()
    (tmp_path / "cut" / "ca").mkdir(parents=True)
    (tmp_path / "cut" / "ca" / "b.parquet").write_bytes(content[: len(content) // 2])
    culturax(tmp_path / "mixed" / "ca" / "a.parquet", ["u"], ["text"])
    culturax(tmp_path / "mixed" / "ca" / "b.parquet", ["v"], [17])

    with pytest.raises(BackpromptError, match=r"Source culturax: /.*cut/ca/b.parquet is damaged or cut off"):
        read(spark, CulturaxSettings(path=str(tmp_path / "cut"), license="x"), languages)

    settings = CulturaxSettings(path=str(tmp_path / "mixed"), license="x")
    with pytest.raises(Exception, match=r".") as raised:
        read(spark, settings, languages).collect()
    explained = (
        raised.value if isinstance(raised.value, BackpromptError) else explain_read_error(raised.value, settings)
    )
    assert "column text" in str(explained)
    assert "mixed" in str(explained)


def test_cut_file_among_whole_ones_is_named_when_it_is_read(spark, languages, tmp_path):
    culturax(tmp_path / "ca" / "a.parquet", [f"u{number}" for number in range(500)], ["text " * 50] * 500)
    settings = CulturaxSettings(path=str(tmp_path), license="x")
    docs = read(spark, settings, languages)
    content = (tmp_path / "ca" / "a.parquet").read_bytes()
    (tmp_path / "ca" / "a.parquet").write_bytes(content[:-4] + b"XXXX")

    with pytest.raises(Exception, match=r".") as raised:
        docs.collect()

    assert f"{tmp_path}/ca/a.parquet is damaged or cut off" in str(explain_read_error(raised.value, settings))
