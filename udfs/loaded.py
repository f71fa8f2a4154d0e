"""The engines that a process has loaded: each once, on the task's own devices, freed when other work begins.

Spark keeps a Python worker for many tasks. What a task opens stays open for those that follow in the same stage; the
first task of another stage closes it, so that no two stages' models share a GPU's memory. A worker that gets no further
task is ended by Spark after a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

_ENGINES: dict[tuple[Any, ...], Any] = {}
_OWNER: list[Hashable] = []


def open_for(owner: Hashable, opener: Callable[..., Any], *arguments: Any) -> Any:
    """Return ``opener(*arguments)``, made once for its owner.

    Args:
        owner: what the engine works for: a stage and the devices of its task. What was opened for another, and can be
            closed, is closed first; so a worker that is given another GPU leaves nothing on the first.
        opener: makes the engine.
        arguments: of ``opener``; hashable.
    """
    if [owner] != _OWNER:
        close_all()
        _OWNER[:] = [owner]
    key = (opener, *arguments)
    if key not in _ENGINES:
        _ENGINES[key] = opener(*arguments)
    return _ENGINES[key]


def close_all() -> None:
    """Close every engine that has something to close; the others hold little, and stay."""
    for key in [key for key, engine in _ENGINES.items() if hasattr(engine, "close")]:
        _ENGINES.pop(key).close()
