"""Uploads to a stand-in of the Hugging Face Hub."""

from __future__ import annotations

import importlib.util
import logging
import socket
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

from jobs.export import hub
from jobs.runtime.errors import BackpromptError
from tests.conftest import ROOT

_SPEC = importlib.util.spec_from_file_location("hub_server", ROOT / "tests" / "jobs" / "sources" / "hub_server.py")
hub_server = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(hub_server)

CARD = "---\nlanguage:\n- ca\ntags:\n- backprompt\n---\n\n# Pairs\n"
SECRET = "right"


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        file = tmp_path / "export" / "data" / "cat" / f"train-0000{number}-of-00003.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"PAR1" + bytes([number]) * 40)
    (tmp_path / "export" / "recipe").mkdir()
    (tmp_path / "export" / "recipe" / "settings.yaml").write_text("recipe: demo\n", encoding="utf-8")
    (tmp_path / "export" / "README.md").write_text(CARD, encoding="utf-8")
    return str(tmp_path / "export")


@pytest.fixture
def server(monkeypatch):
    from huggingface_hub import constants

    with hub_server.HubServer({}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        # Read when the package was imported, maybe by another test.
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setenv("HF_TOKEN", SECRET)
        yield server


def contents(server, name):
    return {path.removeprefix(f"{name}/") for path in server.files if path.startswith(f"{name}/")}


def test_data_goes_first_and_the_card_last_in_two_commits(server, folder):
    address = hub.push(hub.open_hub("lab/pairs", folder), "lab/pairs", folder, is_public=False)

    assert address == f"{server.address}/datasets/lab/pairs"
    assert [message for message, _, _ in server.commits] == ["Upload the data", "Upload the card"]
    assert server.commits[1][1] == ["README.md"]
    assert len(server.commits[0][1]) == 4
    assert server.files["lab/pairs/README.md"].decode() == CARD
    assert server.files["lab/pairs/data/cat/train-00002-of-00003.parquet"].endswith(b"\x02")
    assert "POST /api/validate-yaml" in server.asked
    asked = server.repositories["lab/pairs"]
    assert asked.get("visibility") == "private" or asked.get("private") is True


def test_a_public_repository_is_asked_for(server, folder):
    hub.push(hub.open_hub("lab/open", folder), "lab/open", folder, is_public=True)

    asked = server.repositories["lab/open"]
    assert asked.get("visibility") == "public" or asked.get("private") is False


@pytest.mark.parametrize(
    ("is_public", "end"), [(False, "--repo-type dataset --private"), (True, "--repo-type dataset")]
)
def test_a_hub_that_cannot_be_reached_is_said_with_what_to_do(monkeypatch, folder, is_public, end):
    with socket.socket() as taken:  # bound and not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("HF_TOKEN", SECRET)
        api = hub.open_hub("lab/pairs", folder)
        with pytest.raises(BackpromptError, match=r"--push lab/pairs: .*is whole; to upload it: ") as raised:
            hub.push(api, "lab/pairs", folder, is_public)
    assert str(raised.value).endswith(end)


def test_the_page_of_licences_goes_with_the_data(server, folder):
    (Path(folder) / "LICENSE.md").write_text("# Licences\n", encoding="utf-8")

    hub.push(hub.open_hub("lab/pairs", folder), "lab/pairs", folder, is_public=False)

    assert "LICENSE.md" in server.commits[0][1]


def test_what_an_earlier_export_left_is_deleted_and_other_files_stay(server, folder):
    server.repositories["lab/pairs"] = {}
    server.files["lab/pairs/data/cat/train-00000-of-00001.parquet"] = b"PAR1"
    server.files["lab/pairs/images/logo.png"] = b"png"

    hub.push(hub.open_hub("lab/pairs", folder), "lab/pairs", folder, is_public=False)

    assert server.commits[0][2] == ["data/cat/train-00000-of-00001.parquet"]
    assert contents(server, "lab/pairs") == {
        "README.md",
        "images/logo.png",
        "recipe/settings.yaml",
        *(f"data/cat/train-0000{number}-of-00003.parquet" for number in range(3)),
    }


def test_a_card_that_the_hub_refuses_uploads_nothing(server, folder):
    server.refuses = '"language" must be an array'

    with pytest.raises(BackpromptError, match=r"(?s)--push lab/pairs: .*language.*is whole; to upload it: hf upload"):
        hub.push(hub.open_hub("lab/pairs", folder), "lab/pairs", folder, is_public=False)

    assert (server.commits, server.repositories) == ([], {})


def test_without_its_data_no_card_is_uploaded(server, folder):
    server.broken_after = 0

    with pytest.raises(BackpromptError, match=r"The export in .* is whole"):
        hub.push(hub.open_hub("lab/pairs", folder), "lab/pairs", folder, is_public=False)

    assert contents(server, "lab/pairs") == set()


def test_a_wrong_token_is_not_repeated(server, folder, monkeypatch, capfd, caplog):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong-and-secret")
    caplog.set_level(logging.DEBUG)

    with pytest.raises(BackpromptError) as raised:
        hub.push(hub.open_hub("lab/pairs", folder), "lab/pairs", folder, is_public=False)

    said = str(raised.value) + "".join(capfd.readouterr()) + caplog.text
    assert "hf_wrong-and-secret" not in said
    assert "--push lab/pairs" in str(raised.value)


@pytest.mark.parametrize(
    ("repository", "to", "problem"),
    [
        ("pairs", "/tmp/export", "write ORGANISATION/NAME"),
        ("lab/a b", "/tmp/export", "write ORGANISATION/NAME"),
        ("lab/pairs", "s3a://bucket/export", "from a folder of this machine"),
    ],
)
def test_what_cannot_be_uploaded_is_said_before(server, repository, to, problem):
    with pytest.raises(BackpromptError, match=problem):
        hub.open_hub(repository, to)


def test_a_missing_token_is_said_before(server, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(BackpromptError, match="set HF_TOKEN"):
        hub.open_hub("lab/pairs", "/tmp/export")
