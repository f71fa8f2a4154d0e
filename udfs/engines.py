"""What every engine has in common: one answer a text, in order, and a clear word when it cannot be used."""

from __future__ import annotations

from dataclasses import dataclass


class EngineUnavailable(Exception):
    """An engine of the recipe cannot be used on this machine; the message says what to install or to write."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine gave for one text.

    ``text`` is None exactly when the engine failed on this text; ``error`` then says why in one line.
    """

    text: str | None
    error: str | None = None
