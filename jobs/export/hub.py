"""Upload an export to the Hugging Face Hub."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jobs.export.storage import CARD, LICENSE
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import is_local

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
EXTRA: Final = "huggingface"
_OURS: Final = ("data/**", "recipe/**")
"""An export's folders: an earlier export's files in them are taken out."""


def open_hub(repository: str, folder: str) -> HfApi:
    """Return the way to the Hub, before an export is begun that could not be uploaded.

    The token is that of ``HF_TOKEN``, or of ``hf auth login``.

    Raises:
        BackpromptError: if the package or the token is missing, the name is none, or the folder is not of this machine.
    """
    if not is_local(folder):
        raise BackpromptError(f"--push uploads from a folder of this machine, and --to {folder} is none")
    try:
        from huggingface_hub import HfApi, get_token
    except ModuleNotFoundError as error:
        raise BackpromptError(
            f"--push takes a package that is not installed: pip install 'backprompt[{EXTRA}]'"
        ) from error
    if not _REPOSITORY.fullmatch(repository):
        raise BackpromptError(f"--push {repository}: write ORGANISATION/NAME, of letters, digits, '-', '_' and '.'")
    if not get_token():
        raise BackpromptError(
            "--push needs a token of the Hub with the right to write: set HF_TOKEN, or run hf auth login"
        )
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)


def push(api: HfApi, repository: str, folder: str, is_public: bool) -> str:
    """Upload an export: its data in few commits, then its card; return the address.

    A new repository is private unless ``is_public``; one that is there keeps what it is. Files of an earlier export
    that this one lacks are deleted; other files stay. A repeat after a failure uploads what is missing.

    Raises:
        BackpromptError: if the Hub refuses; the export in ``folder`` is whole.
    """
    from huggingface_hub import DatasetCard
    from huggingface_hub.errors import HfHubHTTPError

    # The HTTP client's own base class, under whatever name the client is installed: a closed port raises no other.
    unreachable: type[Exception] = next(each for each in HfHubHTTPError.__mro__ if each.__name__ == "HTTPError")
    card = DatasetCard.load(Path(folder) / CARD)
    try:
        card.validate()
        api.create_repo(repository, repo_type="dataset", private=not is_public, exist_ok=True)
        # In batches of some hundred files a commit. The card goes last, as what it names must be there.
        api.upload_folder(
            repo_id=repository,
            repo_type="dataset",
            folder_path=folder,
            commit_message="Upload the data",
            allow_patterns=[*_OURS, LICENSE],
            delete_patterns=list(_OURS),
        )
        api.upload_file(
            repo_id=repository,
            repo_type="dataset",
            path_or_fileobj=Path(folder) / CARD,
            path_in_repo=CARD,
            commit_message="Upload the card",
        )
    except (unreachable, OSError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BackpromptError(
            f"--push {repository}: {reason}. The export in {folder} is whole; to upload it: "
            f"hf upload {repository} {folder} --repo-type dataset{'' if is_public else ' --private'}"
        ) from error
    return f"{api.endpoint}/datasets/{repository}"
