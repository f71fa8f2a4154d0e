from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "generators" / "openai_server.py"


@dataclass
class ChatServer:
    """A process of ``generators/openai_server.py``."""

    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> str:
        return self.url.removesuffix("/v1").rpartition(":")[2]

    def counters(self) -> dict[str, int]:
        with urllib.request.urlopen(self.url.replace("/v1", "/most_under_way")) as answer:
            return json.load(answer)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start_chat_server() -> Iterator[Callable[..., ChatServer]]:
    """A function that starts a server with the program's arguments; all end with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> ChatServer:
        process = subprocess.Popen([sys.executable, str(PROGRAM), *arguments], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return ChatServer(process, f"http://127.0.0.1:{int(process.stdout.readline())}/v1")

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
