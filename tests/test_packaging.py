"""The zip for `--py-files` holds all that executors and drivers import."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_zip_is_complete_and_runs_on_its_own(tmp_path):
    subprocess.run([sys.executable, ROOT / "scripts" / "zip_for_spark.py", tmp_path], check=True, capture_output=True)
    archive = tmp_path / "backprompt.zip"
    names = set(zipfile.ZipFile(archive).namelist())
    for package in ("jobs", "udfs", "conf"):
        for file in (ROOT / package).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                relative = file.relative_to(ROOT)
                assert str(Path("jobs", relative) if package == "conf" else relative) in names
    code = (
        "from jobs.runtime.recipe import load_recipe; from jobs.stages import dedup; print(load_recipe('demo').order)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(archive)!r}); {code}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "pairs" in done.stdout


def test_zip_is_reproducible(tmp_path):
    for name in ("a", "b"):
        subprocess.run(
            [sys.executable, ROOT / "scripts" / "zip_for_spark.py", tmp_path / name], check=True, capture_output=True
        )
    assert (tmp_path / "a" / "backprompt.zip").read_bytes() == (tmp_path / "b" / "backprompt.zip").read_bytes()


def test_udfs_import_no_jobs_and_kernels_no_pyspark():
    for file in (ROOT / "udfs").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "import pyspark" not in text, file
        assert "from pyspark" not in text, file
        assert "from jobs" not in text, file
        assert "import jobs" not in text, file
