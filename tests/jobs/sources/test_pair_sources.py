"""Corpora that hold pairs, read on real samples and on what can be wrong with them."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter

import pytest
from pydantic import TypeAdapter
from pyspark.sql import functions as F

from jobs.runtime.errors import BackpromptError
from jobs.sources import AnySource, read
from udfs.sampling import document_id, position


@pytest.fixture(scope="session")
def pairs(data):
    return data / "pairs"


def source(kind, path, **more):
    values = {"kind": kind, "path": str(path)} | ({"license": "CC0-1.0"} if kind == "instructions" else {}) | more
    return TypeAdapter(AnySource).validate_python(values)


def rows_of(spark, languages, settings, seed=0, **more):
    return [row.asDict(recursive=True) for row in read(spark, settings, languages, seed=seed, **more).collect()]


def alive(rows):
    return [row for row in rows if not row["rejected_for"]]


def write(path, *records):
    lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in records]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


# Real samples ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "folder", "more", "expected"),
    [
        # Eleven files of three articles.
        ("wikihow", "wikihow", {}, {None: 33}),
        # Three tasks of 60 instances, and one of six that names no language.
        ("natural-instructions", "natural_instructions", {}, {None: 180, "source.unknown_language": 6}),
        # 60 trees: messages of prompters with an answer; counted in test_pair_formats from the parents of all answers.
        ("oasst", "oasst/oasst_en.trees.jsonl.gz", {}, {None: 152}),
        ("oasst", "oasst/oasst_en.trees.jsonl.gz", {"answers": "all", "max_level": 1}, {None: 201}),
        # Two files of 150 lines.
        ("flan", "flan_v2_cot", {}, {None: 300}),
        # 96 lines, of which two stand twice.
        (
            "instructions",
            "p3",
            {
                "columns": {"instruction": "prompt", "context": None, "response": "completion", "subsource": "_file"},
                "language": "eng_Latn",
            },
            {None: 94},
        ),
    ],
)
def test_counts_of_the_real_samples(spark, languages, pairs, kind, folder, more, expected):
    rows = rows_of(spark, languages, source(kind, pairs / folder, **more))
    assert Counter(next(iter(row["rejected_for"]), None) for row in rows) == expected
    for row in alive(rows):
        assert row["instruction"].strip()
        assert row["text"].strip()
        assert all(row[name] for name in ("doc_id", "language", "source", "origin", "license", "genre")) or kind == (
            "instructions"
        )
    assert len({row["doc_id"] for row in rows}) == len(rows)


def test_a_conversation_is_a_column(spark, languages, pairs):
    rows = rows_of(spark, languages, source("oasst", pairs / "oasst" / "oasst_en_roots.jsonl.gz"))
    assert rows
    for row in rows:
        roles = [each["role"] for each in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert (row["instruction"], row["text"]) == tuple(each["content"] for each in row["messages"][-2:])


def test_the_folders_of_xp3(spark, languages, tmp_path):
    write(tmp_path / "fr" / "xp3_GEM_x_fr.jsonl", {"inputs": "Q", "targets": "R"})
    write(tmp_path / "merged_ak.jsonl", {"inputs": "Q", "targets": "A"})
    write(tmp_path / "code" / "merged_code.jsonl", {"inputs": "def", "targets": "f()"})
    rows = rows_of(spark, languages, source("xp3", tmp_path))
    assert sorted((row["language"], row["text"]) for row in rows) == [("aka_Latn", "A"), ("fra_Latn", "R")]
    assert {row["instruction_language"] for row in rows} == {"mul_Zyyy"}


def flat_messages():
    common = {"message_tree_id": "a", "tree_state": "ready_for_export", "lang": "es", "review_result": True}
    said = [("a", None, "prompter"), ("b", "a", "assistant"), ("c", "b", "prompter"), ("d", "c", "assistant")]
    return [
        common | {"message_id": name, "parent_id": parent, "role": role, "text": name.upper(), "deleted": False}
        for name, parent, role in said
    ]


def test_messages_in_any_order_and_file_give_the_pairs_of_their_tree(spark, languages, tmp_path):
    a, b, c, d = flat_messages()
    write(tmp_path / "one.messages.jsonl", d, b, {"message_id": "e"}, b'{"message_id": "f', c)
    write(tmp_path / "two.messages.jsonl", a)
    write(tmp_path / "two.trees.jsonl", {"prompt": {}})
    rows = rows_of(spark, languages, source("oasst", tmp_path, form="messages"))
    assert sorted((row["corpus_key"], row["instruction"], row["text"]) for row in alive(rows)) == [
        ("b", "A", "B"), ("d", "C", "D"),
    ]  # fmt: skip
    details = sorted(row["detail"] for row in rows if row["rejected_for"])
    assert [detail[:55] for detail in details] == [
        "one.messages.jsonl, line 3: there is no field message_t",
        "one.messages.jsonl, line 4: not JSON: Unterminated stri",
    ]


# What a row is known by -----------------------------------------------------------------------------------------


def test_the_revision_follows_instruction_and_conversation(spark, languages, tmp_path):
    columns = {"id": "id", "subsource": None, "context": None}
    record = {"id": "1", "instruction": "Why?", "response": "So."}

    def row(**change):
        path = write(tmp_path / "a.jsonl", record | change)
        (found,) = rows_of(spark, languages, source("instructions", path, columns=columns, language="eng_Latn"))
        return found

    first, second = row(), row(instruction="How?")
    assert first["doc_id"] == second["doc_id"] == document_id("instructions", "1")
    assert first["revision"] != second["revision"]
    assert first["revision"] == hashlib.sha256(b"\x1fSo.\x1fWhy?\x1f\x1f").hexdigest()
    # Without a key of their own, two pairs with one answer are two rows.
    path = write(tmp_path / "b.jsonl", record, record | {"instruction": "How?"}, record)
    rows = rows_of(spark, languages, source("instructions", path, columns={"subsource": None}, language="eng_Latn"))
    assert len(alive(rows)) == len(rows) == 2


def test_samples_do_not_hang_on_files(spark, languages, tmp_path):
    def records(language):
        return [{"inputs": f"{language} {number}", "targets": "R"} for number in range(40)]

    for layout, files in (("one", 1), ("three", 3)):
        for code in ("fr", "es"):
            for part in range(files):
                write(tmp_path / layout / code / f"{part}.jsonl", *records(code)[part::files])
    caps = {"max_documents_per_language": 15, "max_pairs": 20}
    layouts = [source("xp3", tmp_path / layout, **caps) for layout in ("one", "three")]
    one, three = ({row["instruction"] for row in rows_of(spark, languages, each, seed=5)} for each in layouts)
    assert one == three

    def place(name):
        key = hashlib.sha256(f"\x1fR\x1f{name}\x1f\x1f".encode()).hexdigest()
        return position(document_id("xp3", key), 5)

    first = [sorted((each["inputs"] for each in records(code)), key=place)[:15] for code in ("fr", "es")]
    assert one == set(sorted(first[0] + first[1], key=place)[:20])


def test_both_parts_of_flan_have_their_number(spark, languages, tmp_path):
    main = [{"inputs": f"m {number}", "targets": "R", "task": f"t{number % 3}"} for number in range(30)]
    cot = [{"inputs": f"c {number}", "targets": "R", "task": "cot_x"} for number in range(30)]
    write(tmp_path / "a.jsonl", *main, *cot)
    rows = rows_of(spark, languages, source("flan", tmp_path, max_documents_per_part=12, licenses={"cot/cot_x": "MIT"}))
    assert Counter(row["subsource"].split("/")[0] for row in rows) == {"main": 12, "cot": 12}
    assert {row["license"] for row in rows if row["instruction"].startswith("c")} == {"MIT"}


# What can be wrong ------------------------------------------------------------------------------------------------

ANSWER = {"message_id": "b", "role": "assistant", "text": "B", "lang": "es", "replies": []}
GOOD = {
    "wikihow": {"title": "T", "steps": [{"title": "a", "text": "b"}], "language": "french"},
    "xp3": {"inputs": "Q", "targets": "R"},
    "oasst": {"prompt": {"message_id": "a", "role": "prompter", "text": "A", "lang": "es", "replies": [ANSWER]}},
    "flan": {"inputs": "Q", "targets": "R"},
    "instructions": {"instruction": "Q", "response": "R"},
}
MORE = {"xp3": {"language": "fra_Latn"}, "instructions": {"language": "eng_Latn"}}


def good(kind, number):
    text = json.dumps(GOOD[kind])
    for old, new in (('"T"', f'"T{number}"'), ('"Q"', f'"Q{number}"'), ('"b", "role"', f'"b{number}", "role"')):
        text = text.replace(old, new)
    return text.encode()


@pytest.mark.parametrize("kind", GOOD)
def test_broken_records_are_rejected_with_their_place_and_neighbours_go_on(spark, languages, tmp_path, kind):
    line = good(kind, 2)
    wrong_type = line.replace(b'"b"', b'["b"]').replace(b'"R"', b'["R"]').replace(b'"B"', b'["B"]')
    broken = [line[:-3], b'{"x": 1}', line.replace(b'"', b"'"), wrong_type]
    broken += [line[:-1] + b', "z": "caf\xe9"}', line[:-1] + b', "z": "' + b"x" * 5_000 + b'"}']
    write(tmp_path / "a.jsonl", good(kind, 1), *broken, b"", good(kind, 3))
    (tmp_path / "empty.jsonl").write_bytes(b"")

    rows = rows_of(spark, languages, source(kind, tmp_path, max_record_bytes=2_000, **MORE.get(kind, {})))

    assert len(alive(rows)) == 2
    rejected = sorted((row["detail"], row["text"], row["rejected_for"]) for row in rows if row["rejected_for"])
    places = [detail.split(":")[0].split(", message")[0] for detail, _, _ in rejected]
    assert places == [f"a.jsonl, line {number}" for number in range(2, 8)]
    assert "not UTF-8" in rejected[4][0]
    assert [reasons for _, _, reasons in rejected] == [["source.unreadable"]] * 5 + [["source.too_large"]]
    assert len(rejected[5][1]) == 1_000


@pytest.mark.parametrize("kind", [*GOOD, "natural-instructions"])
def test_a_wrong_corpus_is_one_clear_error(spark, languages, tmp_path, kind):
    settings = MORE.get(kind, {})
    with pytest.raises(BackpromptError, match=r"nowhere: there is nothing\. Expected: "):
        read(spark, source(kind, tmp_path / "nowhere", **settings), languages)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.md").write_text("x")
    with pytest.raises(BackpromptError, match=r"holds 1 other files, such as notes\.md\. Expected: "):
        read(spark, source(kind, tmp_path / "other", **settings), languages)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.json").write_bytes(b"")
    with pytest.raises(BackpromptError, match="holds no files that have content"):
        read(spark, source(kind, tmp_path / "empty", **settings), languages)
    if kind == "natural-instructions":
        return  # its files are read one by one: another one is rejected, see below
    write(tmp_path / "wrong" / "a.jsonl", {"text": "a document", "url": "x"})
    with pytest.raises(
        BackpromptError, match=r"none of the first records of .* has the fields .* Fields there: text, url"
    ):
        read(spark, source(kind, tmp_path / "wrong", **settings), languages)


def test_damaged_tasks_are_rejected_and_others_go_on(spark, languages, pairs, tmp_path):
    content = (pairs / "natural_instructions" / "task1147_country_currency.json").read_bytes()
    (tmp_path / "task1_a.json").write_bytes(content)
    (tmp_path / "task2_b.json.gz").write_bytes(gzip.compress(content)[:-400])
    (tmp_path / "task3_c.json").write_bytes(b"[]")
    (tmp_path / "task4_d.json").write_bytes(content + b" " * 20_000)
    rows = rows_of(spark, languages, source("natural-instructions", tmp_path, max_file_bytes=20_000))
    by_file = Counter((row["origin"], bool(row["rejected_for"])) for row in rows)
    assert by_file["task1_a.json", False] == 60
    assert 0 < by_file["task2_b.json.gz", False] < 60
    assert by_file["task2_b.json.gz", True] >= 1
    details = [row["detail"] for row in rows if row["rejected_for"]]
    assert "task3_c.json: the file is no JSON object" in details
    assert f"task4_d.json: a file of {len(content) + 20_000:,} bytes, more than max_file_bytes" in details


def test_a_record_of_100_megabytes(spark, languages, tmp_path):
    long = json.dumps({"inputs": "Q", "targets": "x" * 100_000_000}).encode()
    write(tmp_path / "fr" / "a.jsonl", good("xp3", 1), long, good("xp3", 2))
    docs = read(spark, source("xp3", tmp_path), languages, seed=0)
    found = docs.select(F.length("text").alias("chars"), "rejected_for", "detail").collect()
    assert sorted((row["chars"], *row["rejected_for"]) for row in found) == [(1,), (1,), (1_000, "source.too_large")]
    assert any(f"line 2: {len(long):,} bytes, more than max_record_bytes" in (row["detail"] or "") for row in found)
