"""A key stays in its environment variable: a whole run against a server that repeats it in its errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from jobs.runtime.lake import Lake
from jobs.runtime.maintenance import tables
from tests.conftest import ROOT

KEY = "sk-test-0123456789abcdef"
RECIPE = """
name: secrets
languages: [eng_Latn]
sources:
  - kind: jsonl
    name: own
    path: corpus.jsonl
    license: CC0-1.0
    language: eng_Latn
    columns: {{text: body, id: id}}
stages:
  clean: {{min_chars: 20}}
  translate:
  instruct: {{engine: {{kind: openai, base_url: "{url}", model: tiny-instruct, max_retries: 0}}}}
  back_translate:
  screen:
  group:
  pairs:
"""
TEXT = "The old harbour was built by merchants who had come from the north of the country long ago."


def test_a_key_is_in_no_table_file_or_message(spark, tmp_path):
    rows = [{"id": "good", "body": TEXT}, {"id": "bad", "body": f"{TEXT} FAULT-echo is what the server is asked for."}]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    server = [sys.executable, str(ROOT / "tests/udfs/generators/openai_server.py"), "--key", KEY]
    with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as serving:
        try:
            url = f"http://127.0.0.1:{int(serving.stdout.readline())}/v1"
            (tmp_path / "own.yaml").write_text(RECIPE.format(url=url), encoding="utf-8")
            done = subprocess.run(
                [sys.executable, "-m", "jobs", "run", "--recipe", str(tmp_path / "own.yaml"), "--lake", "lake"],
                cwd=tmp_path,
                env={**os.environ, "OPENAI_API_KEY": KEY, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            serving.kill()
    assert done.returncode == 0, done.stderr
    lake = Lake(spark, str(tmp_path / "lake"))
    details = {row["corpus_key"]: row["detail"] for row in lake.read("instruct").collect()}
    assert details["good"] is None
    assert "you sent Bearer ***" in details["bad"], "the server repeated the key, and the message was cleared of it"

    held = [done.stdout, done.stderr]
    held += [str(row) for table in tables(lake) for row in lake.read(table).collect()]
    held += [str(lake.properties(table)) for table in tables(lake)]
    files = [file for file in Path(tmp_path).rglob("*") if file.is_file() and file.suffix != ".parquet"]
    assert [file for file in files if file.parts[-2] == "_logs"], "the log is among them"
    held += [file.read_bytes().decode("utf-8", errors="replace") for file in files]
    assert not [text for text in held if KEY in text]
