"""What every engine has in common: one answer a text, in order, and a clear word when it cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from udfs.translation_health import Health


class EngineUnavailable(Exception):
    """An engine of the recipe cannot be used on this machine; the message says what to install or to write."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine gave for one text.

    ``text`` is None exactly when the engine failed on this text; ``error`` then says why in one line. ``health`` is
    what a translation model's answer shows of its soundness; None from engines that measure none.
    """

    text: str | None
    error: str | None = None
    health: Health | None = None
