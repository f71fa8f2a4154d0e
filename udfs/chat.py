"""What every engine that asks a chat model has in common, whatever runs the model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

# Seeds of 31 bits: what every server and library takes, signed or not.
_SEED_BITS: Final = 31
_SEPARATOR: Final = "\x1f"
# Some chat templates open the reasoning themselves, so that the answer holds the closing tag alone.
_END_OF_REASONING: Final = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_REASONING: Final = re.compile(r"<think(?:ing)?>", re.IGNORECASE)


class ChatError(Exception):
    """A model could not be asked; the message says why in one line."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model gave for one prompt.

    ``text`` is None exactly when there is no answer; ``error`` then says why in one line.
    """

    text: str | None
    error: str | None = None
    was_cut: bool = False
    """Whether the answer ended because it had reached its most tokens."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class ChatModel(Protocol):
    """A model that is given one message of a user and answers it."""

    def complete(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Completion]:
        """Answer each prompt; same length, same order, no exception for a bad prompt.

        Args:
            prompts: the messages.
            seeds: a seed a prompt, used where tokens are drawn.
        """
        ...


def row_seed(seed: int, key: str) -> int:
    r"""Return the seed of one row, the same on every machine, in every batch.

    Args:
        seed: the engine's.
        key: what tells rows apart, such as a ``doc_id``.

    Returns:
        The first 31 bits of ``sha256(seed + "\x1f" + key)``.

    >>> row_seed(0, "a") == row_seed(0, "a") != row_seed(1, "a")
    True
    """
    digest = hashlib.sha256(f"{seed}{_SEPARATOR}{key}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> (32 - _SEED_BITS)


def without_reasoning(text: str) -> str | None:
    """Return an answer without what stands between ``<think>`` tags; None if it ends before the reasoning does.

    >>> without_reasoning("<think>Hm.</think> Yes.")
    ' Yes.'
    """
    answer = _END_OF_REASONING.split(text)[-1]
    return None if _REASONING.search(answer) else answer
