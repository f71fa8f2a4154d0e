"""The real Apertium, and a watch on processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from udfs.translators.apertium import PREFIX_VARIABLE, ApertiumSettings, ApertiumTranslator

ROOT = Path(__file__).resolve().parents[3]


def children() -> set[int]:
    """Ids of this process's children, the dead but unreaped ones included."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has just ended; its children are another's now
            found |= {int(word) for word in (thread / "children").read_text().split()}
    return found


@pytest.fixture(autouse=True)
def _no_process_left() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


@pytest.fixture(scope="session")
def prefix() -> str:
    """Where Apertium is; a test that needs it fails without it."""
    unpacked = ROOT / ".apertium"
    chosen = os.environ.get(PREFIX_VARIABLE) or (str(unpacked) if unpacked.is_dir() else "/")
    if not Path(chosen, "usr/bin/apertium-wblank-mode").is_file():
        pytest.fail("These tests need Apertium. Type: make apertium", pytrace=False)
    return chosen


@pytest.fixture(scope="session")
def apertium(prefix: str) -> ApertiumTranslator:
    return ApertiumSettings(prefix=prefix).open()
