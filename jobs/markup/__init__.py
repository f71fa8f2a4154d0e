"""Texts of any language on a page: direction, language tag, and the reader's own fonts by script."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from udfs.languages import LanguageTable

# ISO 15924 codes of scripts that run from right to left. Where the language tells, its direction is set rather than
# found from the first letter, which may be that of a foreign name.
RIGHT_TO_LEFT: Final = frozenset({"Arab", "Hebr", "Syrc", "Thaa", "Nkoo", "Adlm", "Rohg", "Mand", "Samr", "Yezi"})


def text_attributes(languages: LanguageTable, code: str) -> dict[str, str]:
    """Return ``lang``, ``dir`` and ``class`` of an HTML element with a text in a language.

    Args:
        languages: the table of languages.
        code: a GlotLID code; one that is not known keeps its letters, and finds its own direction.
    """
    language, _, script = code.partition("_")
    tag = language
    if code in languages:
        known = languages.get(code)
        tag, script = (known.bcp47 or (language,))[0], known.script
    if script and "-" not in tag:
        tag = f"{tag}-{script}"
    direction = "rtl" if script in RIGHT_TO_LEFT else "auto"
    return {"lang": tag, "dir": direction, "class": f"script-{script}" if script.isalpha() else ""}


def script_fonts() -> str:
    """Return the style sheet of the classes that ``text_attributes`` gives."""
    return files(__name__).joinpath("scripts.css").read_text(encoding="utf-8")
