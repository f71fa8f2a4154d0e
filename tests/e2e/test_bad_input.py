"""What a user can get wrong: one clear message that says what to do, exit code 2, no traceback."""

import bz2
import gzip
import json
import random
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.__main__ import main
from jobs.runtime.accounting import check
from jobs.runtime.lake import Lake
from tests.conftest import ROOT

RECIPE = """
name: own
sources:
  - kind: {kind}
    name: own
    path: {path}
    license: CC0-1.0
{more}
stages:
  clean: {{min_chars: 20}}
  dedup:
  translate: {{engine: {{kind: apertium}}}}
  instruct:
  back_translate:
  screen:
  pairs:
"""
JSONL = "    language: cat_Latn\n    columns: {text: body, id: id}"


def write_recipe(folder: Path, kind: str = "jsonl", path: str = "corpus", more: str = JSONL) -> Path:
    recipe = folder / "own.yaml"
    recipe.write_text(RECIPE.format(kind=kind, path=path, more=more))
    return recipe


def corpus(folder: Path, *lines: str) -> None:
    (folder / "corpus").mkdir()
    (folder / "corpus" / "a.jsonl").write_text("\n".join(lines) + "\n")


def zstd(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


def records(name: str) -> list[dict[str, str]]:
    """Return records whose texts no packer makes much smaller."""
    randomness = random.Random(name)
    return [{"url": f"{name}/{number}", "text": randomness.randbytes(300).hex()} for number in range(1_200)]


def refused(capsys, *arguments) -> str:
    code = main([str(argument) for argument in arguments])
    err = capsys.readouterr().err
    assert code == 2, err
    assert "Traceback" not in err
    assert "Exception" not in err
    assert err.startswith("backprompt: ")
    return err


@pytest.mark.usefixtures("spark")
class TestRun:
    def run(self, capsys, tmp_path, recipe):
        return refused(capsys, "run", "--recipe", recipe, "--lake", tmp_path / "lake")

    def test_missing_path(self, capsys, tmp_path):
        err = self.run(capsys, tmp_path, write_recipe(tmp_path))
        assert str(tmp_path / "corpus") in err

    def test_empty_folder(self, capsys, tmp_path):
        (tmp_path / "corpus").mkdir()
        assert str(tmp_path / "corpus") in self.run(capsys, tmp_path, write_recipe(tmp_path))

    def test_empty_corpus(self, capsys, tmp_path):
        corpus(tmp_path)
        (tmp_path / "corpus" / "a.jsonl").write_text("")
        assert str(tmp_path / "corpus") in self.run(capsys, tmp_path, write_recipe(tmp_path))

    def test_unknown_key(self, capsys, tmp_path):
        recipe = write_recipe(tmp_path)
        recipe.write_text(recipe.read_text().replace("min_chars", "minchars"))
        err = self.run(capsys, tmp_path, recipe)
        assert "minchars" in err
        assert "line" in err

    def test_unknown_engine(self, capsys, tmp_path):
        recipe = write_recipe(tmp_path)
        recipe.write_text(recipe.read_text().replace("kind: apertium", "kind: babel"))
        assert "babel" in self.run(capsys, tmp_path, recipe)

    def test_language_that_the_table_lacks(self, capsys, tmp_path):
        corpus(tmp_path, json.dumps({"id": 1, "body": "x"}))
        recipe = write_recipe(tmp_path, more=JSONL.replace("cat_Latn", "catalan"))
        err = self.run(capsys, tmp_path, recipe)
        assert "catalan" in err
        assert "cat_Latn" in err

    def test_lake_that_cannot_be_written(self, capsys, tmp_path):
        corpus(tmp_path, json.dumps({"id": 1, "body": "x"}))
        (tmp_path / "lake").write_text("a file, no folder")
        err = self.run(capsys, tmp_path, write_recipe(tmp_path))
        assert "cannot be written" in err

    def test_apertium_absent(self, capsys, tmp_path, monkeypatch):
        corpus(tmp_path, json.dumps({"id": 1, "body": "x"}))
        monkeypatch.setenv("BACKPROMPT_APERTIUM", str(tmp_path / "nowhere"))
        err = self.run(capsys, tmp_path, write_recipe(tmp_path))
        assert "pertium" in err
        assert "make apertium" in err or "apt-get install" in err
        assert not (tmp_path / "lake" / "documents").exists()

    def test_damaged_files_are_rejected_rows_and_mended_ones_bring_the_rest(self, tmp_path, spark):
        """In one corpus archives and Parquet files that are cut off, and whole ones."""
        folder = tmp_path / "corpus" / "ca"
        folder.mkdir(parents=True)
        whole = {}
        packers = {
            "a.jsonl.gz": gzip.compress,
            "b.jsonl.bz2": partial(bz2.compress, compresslevel=1),
            "c.jsonl.zst": zstd,
        }
        packers["d.jsonl.gz"] = gzip.compress
        for name, pack in packers.items():
            whole[name] = pack("".join(json.dumps(record) + "\n" for record in records(name)).encode())
        pq.write_table(pa.Table.from_pylist(records("e.parquet")), folder / "e.parquet")
        whole["e.parquet"] = (folder / "e.parquet").read_bytes()
        for name, content in whole.items():
            (folder / name).write_bytes(content if name.startswith("d") else content[: len(content) * 2 // 3])
        recipe = write_recipe(tmp_path, "culturax", more="    language: cat_Latn\n    on_missing: remove")
        command = ["run", "--recipe", str(recipe), "--lake", str(tmp_path / "lake"), "--stages", "..clean"]
        lake = Lake(spark, str(tmp_path / "lake"))

        def rows():
            found = lake.read("documents").select("origin", "corpus_key", "rejected_for", "detail").collect()
            assert not [finding for finding in check(lake) if finding.problem]
            return [row for row in found if not row["rejected_for"]], [row for row in found if row["rejected_for"]]

        assert main(command) == 0
        alive, rejected = rows()
        of_file = Counter(row["origin"] for row in alive)
        assert of_file["ca/d.jsonl.gz"] == 1_200
        assert all(500 < of_file[f"ca/{name}"] < 900 for name in whole if name[0] in "abc"), of_file
        assert len({row["corpus_key"] for row in alive}) == len(alive) == of_file.total()
        assert [row["rejected_for"] for row in rejected] == [["source.unreadable"]] * 4
        details = sorted(row["detail"] for row in rejected)
        for name, detail in zip(("a.jsonl.gz", "b.jsonl.bz2", "c.jsonl.zst"), details, strict=False):
            place = f"ca/{name}, line {of_file[f'ca/{name}'] + 1}: the file is damaged or cut off after "
            assert detail.startswith(place), detail
        assert details[3].startswith("ca/e.parquet: the file is damaged or cut off (")
        before = lake.read("documents").count()
        assert main(command) == 0
        assert lake.read("documents").count() == before, "files that did not change are not looked at again"

        # One is cut off a little earlier: what it lost was read once, and is not taken out, as is no other document.
        (folder / "a.jsonl.gz").write_bytes(whole["a.jsonl.gz"][: len(whole["a.jsonl.gz"]) // 2])
        assert main(command) == 0
        assert {row["corpus_key"] for row in rows()[0]} == {row["corpus_key"] for row in alive}

        for name, content in whole.items():
            (folder / name).write_bytes(content)
        assert main(command) == 0
        alive, rejected = rows()
        assert Counter(row["origin"] for row in alive) == {f"ca/{name}": 1_200 for name in whole}
        assert len({row["corpus_key"] for row in alive}) == len(alive)
        # As other records that the corpus no longer holds.
        assert rejected == []

    @pytest.mark.parametrize(
        ("table", "parts"),
        [
            ({"url": ["u"], "body": ["x"]}, ["no column text", "url (string), body (string)"]),
            ({"text": [17], "url": ["u"]}, ["column text", "bigint"]),
        ],
        ids=["missing", "of another type"],
    )
    def test_column(self, capsys, tmp_path, table, parts):
        (tmp_path / "corpus" / "ca").mkdir(parents=True)
        pq.write_table(pa.table(table), tmp_path / "corpus" / "ca" / "a.parquet")
        err = self.run(capsys, tmp_path, write_recipe(tmp_path, "culturax", more=""))
        assert "Source own: " in err
        assert not [part for part in parts if part not in err], err

    def test_lake_of_a_newer_version(self, capsys, tmp_path, spark):
        corpus(tmp_path, json.dumps({"id": 1, "body": "x"}))
        recipe = write_recipe(tmp_path)
        command = ["run", "--recipe", recipe, "--lake", tmp_path / "lake", "--stages", "documents"]
        assert main([str(part) for part in command]) == 0
        Lake(spark, str(tmp_path / "lake")).set_properties("documents", {"format_version": "99"})
        err = refused(capsys, *command)
        assert "written by a newer Backprompt (table format 99" in err
        assert "Upgrade Backprompt" in err

    def test_full_disk(self, capsys, tmp_path, spark):
        """Nothing is lost however often the disk is full, and the same command goes on when it is larger."""
        texts = [random.Random(number).randbytes(400).hex() for number in range(2_000)]
        corpus(tmp_path, *(json.dumps({"id": text[:9], "body": text}) for text in texts))
        recipe = write_recipe(tmp_path, more=JSONL)
        lake = tmp_path / "disk" / "lake"
        lake.parent.mkdir()
        command = ["run", "--recipe", recipe, "--lake", lake, "--stages", "..clean"]
        with disk(lake.parent, "60k") as resize:
            for size in ("60k", "700k", "1500k", "2500k"):
                resize(size)
                err = refused(capsys, *command)
                assert f"No space is left on the disk of {lake}" in err, size
                assert "run the same command again" in err
            resize("64m")
            assert main([str(part) for part in command]) == 0
            found = Lake(spark, str(lake))
            assert found.read("clean").count() == found.read("documents").count() == len(texts)
            assert not [finding for finding in check(found) if finding.problem]

    def test_broken_records_are_rejected_and_their_neighbours_go_on(self, tmp_path, spark):
        shipped = pq.read_table(next((ROOT / "data" / "demo" / "wikipedia" / "ca").glob("*.parquet"))).to_pylist()
        long_enough = [row for row in shipped if len(row["text"]) > 400][:6]
        good = [{"id": row["id"], "body": row["text"], "lang": "cat_Latn"} for row in long_enough]
        long = " ".join(str(number) for number in range(7_000_000))
        assert len(long) > 50_000_000
        broken = [
            b"{this is no JSON",
            json.dumps({"id": "none", "lang": "cat_Latn"}).encode(),
            b"",
            json.dumps({"id": "short", "body": "Curt.", "lang": "cat_Latn"}).encode(),
            json.dumps({"id": "nul", "body": "\x00\x00", "lang": "cat_Latn"}).encode(),
            json.dumps({"id": "nul in a text", "body": good[0]["body"][::-1] + "\x00", "lang": "cat_Latn"}).encode(),
            b'{"id": "half", "body": "\\ud800 and more", "lang": "cat_Latn"}',
            b'{"id": "latin", "body": "caf\xe9", "lang": "cat_Latn"}',
            json.dumps({"id": "klingon", "body": "nuqneH", "lang": "tlh"}).encode(),
            json.dumps({"id": "list", "body": ["a"], "lang": "cat_Latn"}).encode(),
            json.dumps({"id": "long", "body": long, "lang": "cat_Latn"}).encode(),
            json.dumps({**good[1], "body": good[1]["body"] + " Una altra frase."}).encode(),  # one id twice
        ]
        lines = []
        for number, bad in enumerate(broken):
            lines += [bad, json.dumps(good[number % len(good)]).encode()]
        (tmp_path / "corpus").mkdir()
        (tmp_path / "corpus" / "a.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        (tmp_path / "corpus" / "empty.jsonl").write_bytes(b"")
        recipe = write_recipe(tmp_path, more="    columns: {text: body, id: id, language: lang}")
        assert main(["run", "--recipe", str(recipe), "--lake", str(tmp_path / "lake")]) == 0

        lake = Lake(spark, str(tmp_path / "lake"))
        of = {}
        for row in lake.read("documents").collect():
            of.setdefault(row["corpus_key"], []).append(*row["rejected_for"] or ["alive"])
        # What is too large to be read has no key either.
        no_key = of.pop(None)
        assert sorted(no_key) == ["source.too_large", *["source.unreadable"] * (len(no_key) - 1)]
        assert of.pop("none") == ["source.missing_text"]
        assert of.pop("klingon") == ["source.unknown_language"]
        assert sorted(of.pop(good[1]["id"])) == ["alive", "source.duplicate_id"]
        assert {*of} >= {"short", "nul", "nul in a text", *(row["id"] for row in good[2:]), good[0]["id"]}
        clean = {row["corpus_key"]: row["rejected_for"] for row in lake.read("clean").collect()}
        assert clean["short"] == clean["nul"] == ["clean.too_short"]
        assert not [row["id"] for row in good if clean[row["id"]]]
        alive = {row["corpus_key"] for row in lake.read("dedup").where("size(rejected_for) = 0").collect()}
        translated = {row["corpus_key"] for row in lake.read("translate").where("size(rejected_for) = 0").collect()}
        assert translated == alive
        assert not [finding for finding in check(lake) if finding.problem]


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """Mount a small file system; yields what changes its size."""

    def mount(*arguments: str) -> int:
        command = ["mount", "-t", "tmpfs", "-o", *arguments, "tmpfs", str(folder)]
        return subprocess.run(command, check=False, capture_output=True).returncode

    if mount(f"size={size}"):
        pytest.skip("a disk that is full takes the right to mount one")

    def resize(size: str) -> None:
        assert mount(f"remount,size={size}") == 0

    try:
        yield resize
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["run", "--recipe", "nonesuch", "--lake", "x"], "no recipe 'nonesuch'"),
        (["explain", "nonesuch"], "no recipe 'nonesuch'"),
        (["status", "--lake", "/nowhere/at/all"], "no lake /nowhere/at/all"),
        (["run", "--recipe", "demo", "--lake", "x", "--stages", "clean..nope"], "no stage 'nope'"),
        (["run", "--recipe", "demo", "--lake", "x", "--stages", "pairs..clean"], "clean comes before pairs"),
    ],
)
def test_arguments(capsys, arguments, part):
    assert part in refused(capsys, *arguments)


def test_wrong_java_in_a_process_of_its_own(tmp_path):
    import os
    import subprocess
    import sys

    (tmp_path / "bin").mkdir()
    java = tmp_path / "bin" / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "jobs", "status", "--lake", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "JAVA_HOME": str(tmp_path)},
    )
    assert done.returncode == 2
    assert "Java 17 or 21" in done.stderr
    assert "is Java 11" in done.stderr
    assert "Traceback" not in done.stderr
