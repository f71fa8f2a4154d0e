"""Writing systems: which script a letter is of, and how much of a text is in one."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Final

# How Unicode's character names begin, by ISO 15924 script.
NAMES: Final = {
    "Arab": ("ARABIC",),
    "Armn": ("ARMENIAN",),
    "Beng": ("BENGALI",),
    "Cans": ("CANADIAN",),
    "Cher": ("CHEROKEE",),
    "Copt": ("COPTIC",),
    "Cyrl": ("CYRILLIC",),
    "Deva": ("DEVANAGARI",),
    "Ethi": ("ETHIOPIC",),
    "Geor": ("GEORGIAN",),
    "Goth": ("GOTHIC",),
    "Grek": ("GREEK",),
    "Gujr": ("GUJARATI",),
    "Guru": ("GURMUKHI",),
    "Hang": ("HANGUL", "CJK"),
    "Hani": ("CJK",),
    "Hans": ("CJK",),
    "Hant": ("CJK", "BOPOMOFO"),
    "Hebr": ("HEBREW",),
    "Java": ("JAVANESE",),
    "Jpan": ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "IDEOGRAPHIC"),
    "Kali": ("KAYAH",),
    "Khmr": ("KHMER",),
    "Knda": ("KANNADA",),
    "Laoo": ("LAO",),
    "Latn": ("LATIN", "MODIFIER"),
    "Limb": ("LIMBU",),
    "Lisu": ("LISU",),
    "Mlym": ("MALAYALAM",),
    "Mong": ("MONGOLIAN",),
    "Mtei": ("MEETEI",),
    "Mymr": ("MYANMAR",),
    "Nkoo": ("NKO",),
    "Olck": ("OL",),
    "Orya": ("ORIYA",),
    "Sinh": ("SINHALA",),
    "Sylo": ("SYLOTI",),
    "Syrc": ("SYRIAC",),
    "Tale": ("TAI",),
    "Taml": ("TAMIL",),
    "Telu": ("TELUGU",),
    "Tfng": ("TIFINAGH",),
    "Tglg": ("TAGALOG",),
    "Thaa": ("THAANA",),
    "Thai": ("THAI",),
    "Tibt": ("TIBETAN",),
    "Vaii": ("VAI",),
    "Wara": ("WARANG",),
    "Yiii": ("YI",),
}


def letters_in(chars: Counter[str], script: str) -> tuple[int, int | None]:
    """Count a text's letters, and those of them in one script.

    Args:
        chars: the text's characters, counted.
        script: ISO 15924 code.

    Returns:
        Letters; letters in the script, or None for a script that this module does not know.
    """
    names = NAMES.get(script)
    found = [(char, count) for char, count in chars.items() if char.isalpha()]
    letters = sum(count for _, count in found)
    if names is None:
        return letters, None
    return letters, sum(count for char, count in found if script_name(char) in names)


@lru_cache(maxsize=8192)
def script_name(char: str) -> str:
    """Return the first word of a character's Unicode name, "" if it has none."""
    return unicodedata.name(char, "").split(" ", 1)[0]
