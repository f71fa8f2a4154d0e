"""Sampling by a hash of the id: the same documents on every machine, in every order, for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

# 13 hexadecimal digits: as many bits as a double holds exactly, so that every engine divides to the same number.
POSITION_DIGITS: Final = 13
POSITION_STEPS: Final = 16**POSITION_DIGITS
SEPARATOR: Final = "\x1f"
_HALVINGS: Final = 60


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


def shares(available: Mapping[str, int], weights: Mapping[str, float], total: int) -> dict[str, int]:
    """Divide a number of documents among sources by weight; what one cannot fill goes to the others.

    Documents are dealt one by one: the next goes to the source whose place ``(documents it has + 1) / weight`` is
    smallest and that has one left. So a larger total takes from no source, and a source that grows takes from the
    others only what it had left to them.

    Args:
        available: documents that each source has.
        weights: a positive number for each source.
        total: how many to give.

    Returns:
        A number for each source, at most what it has; ``min(total, all that there are)`` together.

    >>> shares({"wikipedia": 1000, "web": 1000, "news": 10}, {"wikipedia": 2, "web": 1, "news": 1}, 100)
    {'wikipedia': 60, 'web': 30, 'news': 10}
    """
    wanted = min(total, sum(available.values()))

    def dealt(level: float) -> dict[str, int]:
        return {name: min(number, int(level * weights[name])) for name, number in available.items()}

    # The level that all sources are dealt up to is found by halving, so that millions are not dealt one by one.
    low, high = 0.0, max((number / weights[name] for name, number in available.items()), default=0.0)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(dealt(middle).values()) <= wanted else (low, middle)
    given = dealt(low)
    for _ in range(wanted - sum(given.values())):
        names = [name for name in available if given[name] < available[name]]
        given[min(names, key=lambda name: ((given[name] + 1) / weights[name], name))] += 1
    return given
