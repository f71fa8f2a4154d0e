"""Sampling by a hash of the id: the same documents on every machine, in every order, for ever."""

from __future__ import annotations

import hashlib
from typing import Final

# 13 hexadecimal digits: as many bits as a double holds exactly, so that every engine divides to the same number.
POSITION_DIGITS: Final = 13
POSITION_STEPS: Final = 16**POSITION_DIGITS
SEPARATOR: Final = "\x1f"


def position(doc_id: str, seed: int) -> float:
    r"""Return a document's place in the order of a sample.

    The first 52 bits of ``sha256(seed + "\x1f" + doc_id)``, as a fraction. Uniform over documents, independent
    between seeds. A sample of rate r takes the documents below r, so a larger rate takes a superset.

    Args:
        doc_id: the document's id.
        seed: the sample's seed.

    Returns:
        A number in [0, 1).

    >>> round(position("", 0), 6)
    0.043414
    """
    digest = hashlib.sha256(f"{seed}{SEPARATOR}{doc_id}".encode()).hexdigest()
    return int(digest[:POSITION_DIGITS], 16) / POSITION_STEPS


def document_id(name: str, key: str) -> str:
    """Return the id of a document: a hash of the source's name and the corpus's own key, as sources compute it."""
    return hashlib.sha256(f"{name}{SEPARATOR}{key}".encode()).hexdigest()
