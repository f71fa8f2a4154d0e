"""Translation engines behind one small protocol.

A settings model says which engine and how; ``open()`` makes the engine on the executor, once a Python worker.
Languages are GlotLID codes such as ``spa_Latn``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from udfs.engines import Answer


class Translator(Protocol):
    """Translates batches of texts."""

    def label(self, source: str, target: str) -> str:
        """Return kind, model and version for this direction, as stored on every row it translates."""
        ...

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Answer]:
        """Translate ``texts`` from ``source`` to ``target``; same length, same order, no exception for a bad text."""
        ...
