import os
import stat

import pytest

from jobs.runtime import session
from jobs.runtime.errors import BackpromptError


def fake_java(folder, output, code=0):
    (folder / "bin").mkdir()
    java = folder / "bin" / "java"
    java.write_text(f"#!/bin/sh\necho '{output}' >&2\nexit {code}\n")
    java.chmod(java.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize("line", ['openjdk version "17.0.15" 2025-04-15', 'java version "21" 2023-09-19'])
def test_java_that_fits(tmp_path, monkeypatch, line):
    fake_java(tmp_path, line)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    session.check_java()


@pytest.mark.parametrize(
    ("line", "version"),
    [('java version "1.8.0_401"', "8"), ('openjdk version "11.0.2"', "11"), ('openjdk version "25"', "25")],
)
def test_wrong_java_is_named(tmp_path, monkeypatch, line, version):
    fake_java(tmp_path, line)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(BackpromptError, match=f"is Java {version}"):
        session.check_java()


def test_broken_java_is_named(tmp_path, monkeypatch):
    fake_java(tmp_path, "cannot load", code=1)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(BackpromptError, match="failed: cannot load"):
        session.check_java()


def test_no_java_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackpromptError, match=r"no java is on the PATH.*openjdk-17"):
        session.check_java()


def test_java_home_without_java(tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(BackpromptError, match="has no bin/java"):
        session.check_java()


def test_the_session_that_is_there_is_used(spark):
    assert session.get_session() is spark


def test_output_of_children_goes_to_the_log(tmp_path, capfd):
    log = tmp_path / "deep" / "spark.log"
    with session._child_output_to(log):
        os.system("echo noise; echo more >&2")
    os.system("echo after")
    out, err = capfd.readouterr()
    assert out.strip() == "after"
    assert not err
    assert log.read_text().split() == ["noise", "more"]
