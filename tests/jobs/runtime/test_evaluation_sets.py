"""Evaluation sets in every format they come in; what cannot be read is named with its place."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma

import pyarrow as pa
import pytest
from pyarrow import parquet

from jobs.runtime.errors import BackpromptError
from jobs.runtime.evaluation_sets import read_index, short_items
from jobs.runtime.recipe import parse_recipe
from jobs.stages.decontaminate import DecontaminateSettings
from tests.jobs.runtime.test_recipe import GOOD

QUESTION = "Which of the rivers of this country is the longest one"
CHOICES = ["the one that flows to the north of it", "the one that is frozen for half of the year"]


def rows():
    return [
        {"id": 1, "question": QUESTION, "choices": CHOICES},
        {"id": 2, "question": f'{QUESTION}, "A"?\nOr', "choices": []},
    ]


def separated(delimiter):
    out = io.StringIO()
    writer = csv.DictWriter(out, ["id", "question"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows({name: row[name] for name in ("id", "question")} for row in rows())
    return out.getvalue().encode("utf-8-sig")


def parquet_bytes():
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows()), out)
    return out.getvalue()


LINES = "".join(json.dumps(row) + "\n" for row in rows()).encode()
FILES = {
    "a.jsonl": (LINES, "line 1, question"),
    "a.json": (json.dumps(rows()).encode(), "record 1, question"),
    "b.json": (LINES, "line 1, question"),
    "a.csv": (separated(","), "row 1, question"),
    "a.tsv": (separated("\t"), "row 1, question"),
    "a.parquet": (parquet_bytes(), "row 1, question"),
    "a.txt": (f"{QUESTION}\n\n".encode(), "line 1"),
    "a.jsonl.gz": (gzip.compress(LINES), "line 1, question"),
    "a.jsonl.bz2": (bz2.compress(LINES), "line 1, question"),
    "a.jsonl.xz": (lzma.compress(LINES), "line 1, question"),
    "a.jsonl.zst": (pa.compress(LINES, "zstd", asbytes=True), "line 1, question"),
}


def index_of(folder, name, content, **more):
    (folder / name).write_bytes(content)
    return read_index(DecontaminateSettings(sets=[{"name": "test", "path": str(folder / name), **more}]), "eng_Latn")


def test_short_texts_are_told_of(tmp_path):
    content = b"Yes.\nNo way\nWho was Zola?\nWhat is the capital of Chad?\n"
    told = short_items(index_of(tmp_path, "a.txt", content))
    assert told == [
        "Evaluation set test: of 4 texts 2 are too short to look for, and 1 are looked for as a whole text only"
    ]
    assert short_items(index_of(tmp_path, "b.txt", b"What is the capital of Chad?\n")) == []


@pytest.mark.parametrize("name", FILES)
def test_every_format(tmp_path, name):
    content, place = FILES[name]
    index = index_of(tmp_path, name, content)
    assert index.find(f"Well: {QUESTION.upper()}.", None).item == f"{name}, {place}"
    if "json" in name or "parquet" in name:
        assert index.find(CHOICES[1], None).item.endswith("choices")
        only = index_of(tmp_path, name, content, columns=["question"])
        assert only.find(CHOICES[1], None) is None


@pytest.mark.parametrize(
    ("name", "content", "more", "parts"),
    [
        ("a.jsonl", b'{"q": "a"}\n{"q": \n', {}, ["a.jsonl, line 2: not JSON"]),
        ("a.jsonl", b"[1]\n", {}, ["line 1: neither an object nor a string"]),
        ("a.jsonl", b'{"q": "a"}\n', {"columns": ["p"]}, ["line 1: there is no p; it has q"]),
        ("a.jsonl", b'{"q": 7}\n', {"columns": ["q"]}, ["line 1: q is 7, not a text"]),
        ("a.jsonl", b'{"q": 7}\n', {}, ["holds no text"]),
        ("a.jsonl", b"\xff\xfe\n", {}, ["cannot be read as jsonl", "utf-8"]),
        ("a.jsonl.gz", gzip.compress(LINES)[:60], {}, ["cannot be read as jsonl"]),
        ("a.json", b'[{"q": "a"}', {}, ["the list: not JSON"]),
        ("a.csv", b"a,b\n1,2,3\n", {}, ["row 1: not as many fields"]),
        ("a.parquet", b"PAR1", {}, ["cannot be read as parquet"]),
        ("a.dat", b"x", {}, ["does not say its format", "jsonl, json, csv, tsv, parquet, text"]),
        ("a.txt", b"\n \n", {}, ["holds no text"]),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, more, parts):
    with pytest.raises(BackpromptError) as caught:
        index_of(tmp_path, name, content, **more)
    for part in ["evaluation set test", *parts]:
        assert part in str(caught.value)


def test_missing_files_addresses_and_too_many_ngrams(tmp_path):
    for path, part in ((str(tmp_path / "no.txt"), "there is no file"), ("s3a://b/a.txt", "is an address")):
        with pytest.raises(BackpromptError, match=part):
            read_index(DecontaminateSettings(sets=[{"name": "test", "path": path}]), "eng_Latn")
    (tmp_path / "a.txt").write_text(f"{QUESTION}\n{CHOICES[0]}\n")
    settings = DecontaminateSettings(sets=[{"name": "test", "path": str(tmp_path / "a.txt")}], max_ngrams=4)
    with pytest.raises(BackpromptError, match=r"more than 4 n-grams by test, a.txt, line 2.*raise max_ngrams"):
        read_index(settings, "eng_Latn")


def recipe(path, sets):
    stage = f"  decontaminate: {{sets: {sets}}}\n"
    return parse_recipe(GOOD.replace("  group:\n", f"{stage}  group:\n"), str(path / "r.yaml"))


def test_a_recipe_reads_its_sets_and_their_content_is_a_setting(tmp_path):
    (tmp_path / "sets").mkdir()
    file = tmp_path / "sets" / "a.txt"
    file.write_text(f"{QUESTION}\n")
    sets = "[{name: own, path: sets/a.txt, language: eng_Latn}]"
    loaded = recipe(tmp_path, sets)
    assert loaded.settings("decontaminate").sets[0].path == str(file)
    assert loaded.resources().evaluation_sets.find(QUESTION, "eng_Latn").set_name == "own"
    before = loaded.fingerprint("decontaminate")
    assert recipe(tmp_path, sets).fingerprint("decontaminate") == before
    file.write_text(f"{QUESTION}\n{CHOICES[0]}\n")
    changed = recipe(tmp_path, sets)
    after = changed.fingerprint("decontaminate")
    assert after != before
    assert "content of own" in changed.decisive("decontaminate")
    # Where the file lies does not matter.
    file.rename(tmp_path / "b.txt")
    moved = recipe(tmp_path, "[{name: own, path: b.txt, language: eng_Latn}]")
    assert moved.fingerprint("decontaminate") == after
    with pytest.raises(BackpromptError, match="evaluation set own: there is no file"):
        changed.fingerprint("decontaminate")


@pytest.mark.parametrize(
    ("sets", "parts"),
    [
        ("[]", ["stages.decontaminate.sets", "at least 1"]),
        ("[{name: a, path: a.txt}, {name: a, path: b.txt}]", ["two sets are named a"]),
        ("[{name: a, path: a.txt, language: eng}]", ["line 18", "evaluation set a", "eng_Latn"]),
        ("[{name: a, path: a.txt, colums: [q]}]", ["unknown key", "columns"]),
    ],
)
def test_mistakes_in_the_recipe(tmp_path, sets, parts):
    with pytest.raises(BackpromptError) as caught:
        recipe(tmp_path, sets)
    for part in parts:
        assert part in str(caught.value)
