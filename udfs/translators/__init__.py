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

    def translate(self, texts: Sequence[str], sources: Sequence[str], targets: Sequence[str]) -> list[Answer]:
        """Translate texts, each from its own language into its own; same length, same order.

        A whole batch of mixed directions in one call, so that an engine may sort and pack all of it. No exception for
        a bad text: its answer has an error.
        """
        ...
