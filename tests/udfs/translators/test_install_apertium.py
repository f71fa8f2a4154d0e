"""What scripts/install-apertium.sh says where there is nothing to download."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from udfs.translators import apertium as engine

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "install-apertium.sh"
# All but apt and dpkg; neither network nor package lists are needed.
TOOLS = ["sh", "sed", "awk", "grep", "rm", "mkdir", "dirname", "ls", "ln", "cat", "mktemp", "mv"]


@pytest.fixture
def no_apt(tmp_path: Path) -> dict[str, str]:
    """The environment of a system that is not Debian."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in TOOLS:
        (programs / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
    return {"PATH": str(programs)}


def install(*arguments: object, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [shutil.which("sh") or "/bin/sh", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def test_the_script_and_the_engine_agree():
    script = SCRIPT.read_text("utf-8")
    listed = {name: set(re.search(rf'^{name}="(.*)"$', script, re.MULTILINE)[1].split()) for name in ("PAIRS", "MODES")}
    assert listed["MODES"] == set(engine._MODES)
    assert listed["PAIRS"] == {mode.package for mode in engine._MODES.values()}


def test_without_apt_it_names_the_image(no_apt, tmp_path):
    outcome = install("folder", env=no_apt, cwd=tmp_path)
    assert outcome.returncode == 2
    assert "docker build -t backprompt . && docker run" in outcome.stderr
    assert not (tmp_path / "folder").exists()


def test_a_whole_folder_is_left_alone(no_apt, tmp_path):
    folder = tmp_path / "a folder"
    script = SCRIPT.read_text("utf-8")
    for program in re.search(r'^PROGRAMS="(.*)"$', script, re.MULTILINE)[1].split():
        put(folder / "usr/bin" / program).chmod(0o755)
    for mode in engine._MODES:
        put(folder / "usr/share/apertium/modes" / f"{mode}.mode")
    put(folder / "packages.tsv")
    outcome = install(folder, env=no_apt, cwd=tmp_path)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert "already in place" in outcome.stdout
    (folder / "usr/share/apertium/modes/en-eo.mode").unlink()
    assert install(folder, env=no_apt, cwd=tmp_path).returncode == 2


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("keep")
    outcome = install("mine", env=dict(os.environ), cwd=tmp_path)
    assert outcome.returncode == 2
    assert "mine is in the way" in outcome.stderr
    assert (tmp_path / "mine" / "file").read_text() == "keep"


@pytest.mark.parametrize("arguments", [("a", "b"), ("--force",)], ids=["two folders", "unknown option"])
def test_wrong_usage(arguments, tmp_path):
    outcome = install(*arguments, env=dict(os.environ), cwd=tmp_path)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("usage: ")


def test_help_is_the_head_of_the_file(tmp_path):
    outcome = install("--help", env=dict(os.environ), cwd=tmp_path)
    assert outcome.returncode == 0
    assert "[FOLDER]" in outcome.stdout
    assert "set -eu" not in outcome.stdout
