"""What a user can get wrong: one clear message that says what to do, exit code 2, no traceback."""

import json
import shutil
from pathlib import Path

import pytest

from jobs.__main__ import main
from jobs.runtime.lake import Lake

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

    def test_parquet_cut_in_half(self, capsys, tmp_path):
        shutil.copytree(Path(__file__).parents[2] / "data" / "demo" / "wikipedia" / "it", tmp_path / "corpus" / "it")
        file = tmp_path / "corpus" / "it" / "train-00000.parquet"
        file.write_bytes(file.read_bytes()[:3000])
        err = self.run(capsys, tmp_path, write_recipe(tmp_path, "wikipedia-parquet", more=""))
        assert "train-00000.parquet" in err

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

    def test_broken_records_are_rejected_and_their_neighbours_go_on(self, tmp_path, spark):
        text = "Aquest és un text prou llarg perquè es pugui processar sense cap problema, amb moltes paraules. " * 3
        corpus(
            tmp_path,
            json.dumps({"id": 1, "body": text}),
            "{this is no JSON",
            json.dumps({"id": 2}),
            "",
            json.dumps({"id": 3, "body": "Curt."}),
        )
        recipe = write_recipe(tmp_path)
        assert main(["run", "--recipe", str(recipe), "--lake", str(tmp_path / "lake"), "--stages", "..clean"]) == 0
        lake = Lake(spark, str(tmp_path / "lake"))
        rows = {tuple(row["rejected_for"]) for row in lake.read("documents").collect()}
        assert rows == {(), ("source.unreadable",), ("source.missing_text",)}
        assert lake.read("clean").orderBy("text_chars").first()["rejected_for"] == ["clean.too_short"]


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
