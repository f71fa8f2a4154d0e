"""The OpenAI-compatible engine against a server that others wrote: `transformers serve`, on small models."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from udfs import devices
from udfs.engines import EngineUnavailable
from udfs.generators import InstructionRequest
from udfs.generators.openai_compatible import OpenAICompatibleSettings
from udfs.generators.transformers import TransformersChat, TransformersGeneratorSettings
from udfs.openai_pool import OpenAIChat

PROMPTS = ["What is a fjord?", "Write a short text about sourdough.", "x", "Ñandú, 漢字, ไทย", "one two three"]
SEEDS = [11, 12, 13, 14, 15]
_START_SECONDS = 240


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that loads the models it is asked for."""
    for package in ("torch", "transformers", "fastapi", "uvicorn"):
        pytest.importorskip(package, reason=f"`transformers serve` needs {package}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    program = "from transformers.cli.transformers import main; main()"
    arguments = ["serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdout=output,
            stderr=output,
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
        ) as process,
    ):
        try:
            ends = time.monotonic() + _START_SECONDS
            while not _answers(f"http://127.0.0.1:{port}/health"):
                if time.monotonic() > ends or process.poll() is not None:
                    pytest.fail(log.read_text(encoding="utf-8", errors="replace")[-3_000:])
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


@pytest.fixture(scope="module", params=["llama", "mixtral"])
def served(request: pytest.FixtureRequest, server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A model's folder, which is its name too, and the server's address."""
    folder = tmp_path_factory.mktemp("served") / request.param
    shutil.copytree(request.getfixturevalue(f"{request.param}_folder"), folder)
    # Servers keep to the decoding settings of the model's files (repetition_penalty) where a request has none.
    file = folder / "generation_config.json"
    kept = {"bos_token_id", "eos_token_id"}
    values = {name: value for name, value in json.loads(file.read_text(encoding="utf-8")).items() if name in kept}
    file.write_text(json.dumps(values), encoding="utf-8")
    return folder, server


def settings_of(served: tuple[Path, str], **values: Any) -> OpenAICompatibleSettings:
    folder, url = served
    defaults = {"base_url": url, "model": str(folder), "max_tokens": 12, "max_retries": 1, "timeout_seconds": 120}
    return OpenAICompatibleSettings.model_validate(defaults | values)


def test_check_finds_the_model(served: tuple[Path, str]) -> None:
    settings_of(served).check()
    with pytest.raises(EngineUnavailable, match=r"does not serve model|fails"):
        settings_of(served, model="org/other").check()


def test_greedy_answers_are_those_of_the_engine_in_process(served: tuple[Path, str]) -> None:
    folder, _ = served
    local = TransformersGeneratorSettings(model=str(folder), max_tokens=12, device="cpu")
    expected = TransformersChat(local, devices.Device("cpu")).complete(PROMPTS, SEEDS)
    answers = OpenAIChat(settings_of(served, concurrency=3)).complete(PROMPTS, SEEDS)
    for answer, own in zip(answers, expected, strict=True):
        assert answer.error is None
        assert answer.prompt_tokens == own.prompt_tokens
        assert answer.text == own.text
        if own.was_cut:
            assert (answer.completion_tokens, answer.was_cut) == (12, True)


def test_instructions_with_all_fields_that_it_takes(served: tuple[Path, str]) -> None:
    settings = settings_of(served, temperature=0.8, top_p=0.95, seed=5, stop=["###"], tokenizer=None)
    documents = [InstructionRequest(f"d{at}", "spa_Latn", "texto", "word " * at) for at in (1, 5, 3)]
    for made in settings.open("Write. {{text}}").generate(documents):
        assert made.prompt_tokens
        assert made.completion_tokens
        assert bool(made.instruction_en) != bool(made.error)


def test_a_server_that_gives_no_json_is_found_by_the_check(served: tuple[Path, str]) -> None:
    with pytest.raises(EngineUnavailable, match="set structured: false"):
        settings_of(served, structured=True).check()


def test_a_server_that_cannot_count_is_found_by_the_check(served: tuple[Path, str]) -> None:
    folder, _ = served
    with pytest.raises(EngineUnavailable, match="counts no tokens"):
        settings_of(served, tokenizer="server", max_document_tokens=50).check()
    settings_of(served, tokenizer=str(folder), max_document_tokens=50).check()


def test_servers_that_are_gone_are_passed_over(served: tuple[Path, str]) -> None:
    urls = ["http://127.0.0.1:9/v1", served[1], "http://127.0.0.1:10/v1"]
    answers = OpenAIChat(settings_of(served, base_url=urls, concurrency=4, max_retries=0)).complete(PROMPTS, SEEDS)
    assert [answer.error for answer in answers] == [None] * len(PROMPTS)
