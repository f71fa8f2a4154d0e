"""Data sets of the Hugging Face Hub by their name: paths such as ``hf://datasets/uonlp/CulturaX/ca``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from jobs.runtime.errors import BackpromptError
from udfs.file_streams import HUB, hub

EXTRA: Final = "huggingface"


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a data set."""

    path: str
    """``hf://datasets/organisation/name/folder/file``."""
    bytes: int
    version: str
    """Hash of its content."""


def is_on_hub(path: str) -> bool:
    """Say whether a path is of the Hub."""
    return path.startswith(HUB)


def address() -> str | None:
    """Return the address of the Hub that the driver is set to (``HF_ENDPOINT``); executors are told it."""
    return os.environ.get("HF_ENDPOINT") or None


def list_hub(path: str, source: str) -> list[HubFile]:
    """Return the files below a path of the Hub, sorted.

    Args:
        path: ``hf://datasets/organisation/name``, with ``@revision`` behind the name, and a folder, file or pattern.
        source: name of the source, for errors.

    Raises:
        BackpromptError: if the package is missing, or the Hub does not show it.
    """
    try:
        from huggingface_hub.errors import HfHubHTTPError
    except ModuleNotFoundError as error:
        raise BackpromptError(
            f"Source {source}: {path} is on the Hugging Face Hub, which takes a package that is not installed: "
            f"pip install 'backprompt[{EXTRA}]', here and on every executor"
        ) from error
    try:
        system = hub(address())
        found = system.glob(path, detail=True) if "*" in path else system.find(path, detail=True)
    except FileNotFoundError:
        found = {}
    except (HfHubHTTPError, OSError, ValueError, NotImplementedError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BackpromptError(f"Source {source}: {path} cannot be listed: {reason}") from error
    files = [HubFile(f"{HUB}{name}", info["size"], _version(info)) for name, info in found.items() if _is_file(info)]
    if not files:
        raise BackpromptError(
            f"Source {source}: {path}: the Hugging Face Hub shows nothing there. Check the name and the folder; for a "
            "data set with conditions, accept them on its page and set HF_TOKEN, here and on every executor"
        )
    return sorted(files, key=lambda file: file.path)


def _is_file(info: dict[str, object]) -> bool:
    return info["type"] == "file" and bool(info["size"])


def _version(info: dict[str, object]) -> str:
    return str(info.get("blob_id") or info.get("last_commit") or "")
