"""Where the files of ``conf/`` are: in a checkout beside ``jobs/``, in a wheel or zip inside it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import yaml

from udfs.cleaning.lists import CleaningLists
from udfs.languages import LanguageTable
from udfs.screening.lists import ScreeningLists


@cache
def conf_root() -> Traversable:
    """Return the folder with recipes, prompts, word lists and the language table.

    Raises:
        FileNotFoundError: if the installation lacks it.
    """
    packaged = files("jobs") / "conf"
    if packaged.is_dir():
        return packaged
    checkout = Path(__file__).resolve().parents[2] / "conf"
    if checkout.is_dir():
        return checkout
    raise FileNotFoundError("This installation of Backprompt has no conf folder; install it again.")


def read_conf(name: str) -> str:
    """Return the text of ``conf/<name>``, such as ``prompts/reverse_instruction.txt``."""
    return conf_root().joinpath(*name.split("/")).read_text(encoding="utf-8")


@cache
def language_table() -> LanguageTable:
    """Return the language table of ``conf/languages.csv``."""
    return LanguageTable.from_csv(read_conf("languages.csv"))


@cache
def word_lists() -> dict[str, tuple[str, ...]]:
    """Return the entries of ``conf/wordlists/*.txt`` by ISO 639-3 code."""
    folder = conf_root() / "wordlists"
    lists = {}
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        lines = (line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
        lists[file.name.removesuffix(".txt")] = tuple(line for line in lines if line)
    return lists


@cache
def cleaning_lists() -> CleaningLists:
    """Return what ``conf/cleaning/`` says of furniture, personal data and limits by language."""
    return CleaningLists.read(
        yaml.safe_load(read_conf("cleaning/phrases.yaml")),
        yaml.safe_load(read_conf("cleaning/personal_data.yaml")),
        read_conf("cleaning/limits.csv"),
    )


@cache
def screening_lists() -> ScreeningLists:
    """Return what ``conf/screening/`` says of how instructions open and what models write around them."""
    return ScreeningLists.read(
        yaml.safe_load(read_conf("screening/instructions.yaml")), yaml.safe_load(read_conf("screening/phrases.yaml"))
    )
