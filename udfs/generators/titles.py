"""What a title is good for: no title at all, an instruction by itself, or something to write a text under."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Title pages that name no text of their own: lists, indexes, and pages that only tell namesakes apart. Looked for in
# the title as it is and in its English translation, at the start or in brackets at the end.
_LIST_OPENINGS: Final = (
    "list of", "lists of", "index of", "outline of", "timeline of", "category:", "portal:", "template:", "file:",
    "anexo:", "annex:", "lista de", "lista da", "lista do", "lista dos", "lista das", "llista de", "llista d'",
    "liste de", "liste des", "liste d'", "lista di", "lista dei", "lista degli", "lista delle", "elenco di",
    "elenco dei", "listo de", "categoría:", "categoria:", "catégorie:", "kategorio:", "liste der", "список ",
)  # fmt: skip
_NAMESAKES: Final = re.compile(
    r"\((?:disambiguation|desambiguación|desambiguació|desambiguação|homónimos|homonymie|disambigua|apartigilo|"
    r"begriffsklärung|homonymy)\)\s*$",
    re.IGNORECASE,
)
_ADDRESS: Final = re.compile(r"https?://|www\.|^\S+\.(?:com|org|net|html?|php)$", re.IGNORECASE)
_MARKUP: Final = re.compile(r"[{}<>|\\*\n\t]|\[\[|\]\]|\]\(|={2,}|&\w+;|''|^#")
# What Apertium puts before a word that it could not generate.
_UNGENERATED: Final = re.compile(r"(?<!\S)[#@](?=\w)")
_LETTER: Final = re.compile(r"[^\W\d_]")
_MONTHS: Final = (
    "january|february|march|april|may|june|july|august|september|october|november|december|"
    "jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec"
)
# What is left of an English date once numbers are out of it: "12 of May", "the 1990s", "4th century BC".
_DATE_WORDS: Final = re.compile(
    rf"(?:{_MONTHS}|years?|decade|century|centuries|millennium|day|the|of|in|on|at|from|until|to|and|st|nd|rd|th|s|"
    r"(?-i:[IVXLC]+|AD|BC|BCE)|monday|tuesday|wednesday|thursday|friday|saturday|sunday)",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[^\W\d_]+")
_OPEN_ENDS: Final = tuple("-–—/&+(,;:…")
_PAIRS: Final = (("(", ")"), ("[", "]"), ("«", "»"), ("“", "”"), ("¿", "?"))
_LOW_QUOTE: Final = "„"  # closed by “ in German
# A text hardly longer than its title tells no more than the title.
_MIN_TEXT_PER_TITLE: Final = 3
_MAX_MARKUP_SHARE: Final = 0.4
_SHOUTED_WORDS: Final = 3

# Parts of a title that a translation must not touch: numbers, abbreviations, a ruler's number.
_DIGITS: Final = re.compile(r"\d+")
_FIXED: Final = re.compile(r"\b[A-Z][A-Z0-9]+\b|(?<=\w )[IVX]+(?=(?:er|re|e|ème)?\b)")

_QUESTION_MARKS: Final = ("?", "？", "؟", "՞")
# Openings after which only an account of how a thing is done can follow, by language code without script. Romance
# languages ask with the same word for many things ("Cómo Roma cayó"), so an infinitive must follow.
_IBERIAN_INFINITIVE: Final = r"(?:n[oã]o?\s+|non\s+)?(?:\w+[aeií]r|\w+por|pôr)(?:-?(?:se|l[oae]s?|l+es?|me|te|nos))?\b"
_HOW_TO: Final = {
    "eng": r"how\s+to\s+\w",
    "spa": rf"¿?c[óo]mo\s+{_IBERIAN_INFINITIVE}",
    "glg": rf"¿?c[óo]mo\s+{_IBERIAN_INFINITIVE}",
    "por": rf"como\s+(?:se\s+)?{_IBERIAN_INFINITIVE}",
    "cat": r"com\s+(?:no\s+)?(?:(?:s|l|m|t|n)['’])?\w+(?:[aei]r|re)(?:-\w+|['’]\w+)?(?!\w)",
    "ita": r"come\s+(?:non\s+)?\w+(?:[aeir]re|[aei]r(?:si|lo|la|li|le|ci|ne|gli))\b",
    "fra": r"comment\s+(?:ne\s+pas\s+|bien\s+|(?:se|en|y)\s+|[sn]['’])*\w+(?:er|ir|re)\b",
    "epo": r"kiel\s+(?:ne\s+)?\w+i\b",
    "deu": r"wie\s+(?:man|du|sie|ich)\b",
    "rus": r"как\s+(?:не\s+)?\w+(?:ть|ти|чь)(?:ся|сь)?\b",
}
# Titles of how-to pages without their opening, where the source says that this is what its pages are.
_BARE_INFINITIVE: Final = {
    "spa": r"\w+[aei]r(?:se|lo|la|los|las|le|les)?\b",
    "glg": r"\w+[aei]r(?:se|lo|la|los|las|lle|lles)?\b",
    "por": r"(?:\w+[aei]r|\w+por|pôr)(?:-se)?\b",
    "cat": r"\w+(?:[aei]r|re)(?:-se|-lo|-la|-ne)?(?![\w-])",
    "ita": r"\w+(?:are|ere|ire|rre|arsi|ersi|irsi)\b",
    "fra": r"(?:se\s+|s['’])?\w+(?:er|ir|re)\b",
    "epo": r"\w+i\b",
    "rus": r"\w+(?:ть|ти|чь)(?:ся|сь)?\b",
}


def is_usable(title: str, title_en: str, text: str, max_chars: int) -> bool:
    """Say whether a title can stand in an instruction.

    Refused are titles over ``max_chars`` characters, numbers and dates, addresses, lists, indexes and pages that tell
    namesakes apart, titles that were cut, that hold markup, whose numbers and abbreviations did not survive their
    translation, and those of texts that hardly say more than the title.

    Args:
        title: the title in the source language.
        title_en: its English translation; the title itself where the source is English.
        text: the text in the source language.
        max_chars: most characters of either title.
    """
    if max(len(title), len(title_en)) > max_chars or len(text) < _MIN_TEXT_PER_TITLE * len(title):
        return False
    return (
        all(_is_name(each) and not _is_broken(each) for each in (title, title_en))
        and not _is_date(title_en)
        and _survived(title, title_en)
    )


def is_question(title: str) -> bool:
    """Say whether a title is a question: it ends with a question mark of any script."""
    return title.rstrip("\"'”’») ")[-1:] in _QUESTION_MARKS


def is_how_to(title: str, language: str) -> bool:
    """Say whether a title opens as one of a how-to text does in its language ("Cómo lavar ...", "How to ...")."""
    return _opens_with(_HOW_TO, title, language)


def is_task(title: str, language: str) -> bool:
    """Say whether a title names a task by its infinitive ("Lavar un jersey"), as pages of how-to sources do."""
    return _opens_with(_BARE_INFINITIVE, title, language)


def _opens_with(patterns: dict[str, str], title: str, language: str) -> bool:
    pattern = patterns.get(language.partition("_")[0])
    return pattern is not None and re.match(pattern, title.strip(), re.IGNORECASE) is not None


def _is_name(title: str) -> bool:
    lowered = title.casefold().replace("’", "'")
    return (
        _LETTER.search(title) is not None
        and not lowered.startswith(_LIST_OPENINGS)
        and not _NAMESAKES.search(title)
        and not _ADDRESS.search(title)
    )


def _is_broken(title: str) -> bool:
    """Say whether a title was cut or is markup rather than words."""
    unclosed = [left for left, right in _PAIRS if title.count(left) > title.count(right)]
    if title.count('"') % 2 or (unclosed and _LOW_QUOTE not in title):
        return True
    if title[-1:] in _OPEN_ENDS or title.endswith("..."):
        return True
    symbols = sum(unicodedata.category(char)[0] in "PS" for char in title)
    return bool(_MARKUP.search(title)) or symbols > _MAX_MARKUP_SHARE * len(title)


def _is_date(title_en: str) -> bool:
    words = _WORD.findall(title_en)
    has_number = any(map(str.isdigit, title_en)) or "century" in title_en.casefold() or len(words) == 1
    return has_number and all(_DATE_WORDS.fullmatch(word) for word in words)


def _survived(title: str, title_en: str) -> bool:
    """Say whether numbers and abbreviations came through translation (an engine may take "IDLE" for a verb)."""
    if sorted(map(int, _DIGITS.findall(title))) != sorted(map(int, _DIGITS.findall(title_en))):
        return False
    if _UNGENERATED.search(title_en) and not _UNGENERATED.search(title):
        return False
    # A headline in capitals holds no more abbreviations than another.
    if title.isupper() and len(title.split()) >= _SHOUTED_WORDS:
        return True
    known = {word.casefold() for word in re.findall(r"\w+", title_en)}
    return all(word.casefold() in known for word in _FIXED.findall(title))
