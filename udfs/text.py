"""Cleaning of one document's text: normalisation, boilerplate and repeated lines, and the measures rules look at."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Final

# Characters that carry no text: C0 and C1 controls but tab and line feed, soft hyphen, byte order mark, bidi
# overrides and embeddings, and lone surrogates. The joiners U+200C and U+200D stay: Persian, Hindi and others are
# misspelt without them. So do the marks U+200E and U+200F, without which mixed right-to-left text reads wrongly.
_DROPPED: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\ufeff\u200b\u202a-\u202e\u2060-\u2064\ufff9-\ufffb\ud800-\udfff]"
)
_LINE_ENDS: Final = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_BLANKS: Final = re.compile(r"[^\S\n]+")
_EMPTY_LINES: Final = re.compile(r"\n{3,}")

# Short lines a site puts around a text: the line holds one of these phrases and little else. Only phrases that no
# author's own short line is likely to hold.
_PHRASES: Final = (
    # English
    "all rights reserved", "privacy policy", "terms of use", "accept cookies", "uses cookies", "skip to content",
    "share on facebook", "share on twitter", "log in to comment", "leave a comment", "subscribe to our newsletter",
    # Spanish
    "todos los derechos reservados", "política de privacidad", "aviso legal", "aceptar cookies", "utiliza cookies",
    "compartir en facebook", "compartir en twitter", "iniciar sesión", "dejar un comentario",
    # Catalan
    "tots els drets reservats", "política de privadesa", "avís legal", "accepta les galetes", "comparteix a facebook",
    "inicia la sessió", "feu un comentari",
    # Galician
    "todos os dereitos reservados", "política de privacidade", "compartir no facebook", "iniciar sesión",
    # Portuguese
    "todos os direitos reservados", "aceitar cookies", "compartilhar no facebook", "partilhar no facebook",
    "iniciar sessão", "deixe um comentário",
    # Italian
    "tutti i diritti riservati", "informativa sulla privacy", "accetta i cookie", "condividi su facebook",
    "lascia un commento",
    # French
    "tous droits réservés", "politique de confidentialité", "mentions légales", "accepter les cookies",
    "partager sur facebook", "laisser un commentaire", "se connecter pour commenter",
    # Esperanto
    "ĉiuj rajtoj rezervitaj", "konsenti kuketojn", "kunhavigi ĉe facebook",
)  # fmt: skip
_PHRASE: Final = re.compile("|".join(map(re.escape, _PHRASES)))
_PHRASE_LINE_CHARS: Final = 120
_ADDRESS_LINE: Final = re.compile(
    r"\W*(?:(?:https?://|www\.)\S+|[\w.+-]+@[\w-]+\.[\w.]+)(?:\W+(?:https?://|www\.)\S+)*\W*"
)
# Three or more short entries between the separators that menus and breadcrumbs use.
_MENU_LINE: Final = re.compile(r"[^|»›•·>]{1,30}(?:\s[|»›•·>]\s?[^|»›•·>]{1,30}){2,}")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A cleaned text and what was measured on the way. Characters are Unicode code points; shares are 0 to 1."""

    text: str
    removed_lines: int
    removed_chars: int
    repeated_line_share: float
    repeated_ngram_share: float
    symbol_share: float


def normalise(text: str) -> str:
    """Return ``text`` in NFC, one kind of line end and blank, and without characters that carry no text.

    Runs of blanks become one space, blanks at line ends go, more than one empty line becomes one. Doing it twice is
    doing it once.
    """
    text = _LINE_ENDS.sub("\n", text)
    text = unicodedata.normalize("NFC", _DROPPED.sub("", text))
    lines = (line.strip() for line in _BLANKS.sub(" ", text).split("\n"))
    return _EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip()


def is_boilerplate(line: str) -> bool:
    """Say whether a line is site furniture: an address alone, a menu, a cookie, copyright or sharing notice."""
    if not line:
        return False
    if len(line) <= _PHRASE_LINE_CHARS and _PHRASE.search(line.casefold()):
        return True
    return bool(_ADDRESS_LINE.fullmatch(line) or _MENU_LINE.fullmatch(line))


def clean(text: str, min_repeated_line_chars: int) -> Cleaned:
    """Normalise a text and take out boilerplate lines and later copies of a line.

    Args:
        text: any text.
        min_repeated_line_chars: a later copy of a line is removed if the line is at least this long; shorter ones
            (refrains, headings, table cells) stay.

    Returns:
        The cleaned text and its measures. ``repeated_line_share`` is measured before the lines are taken out, the
        other shares on the cleaned text.
    """
    normalised = normalise(text)
    kept: list[str] = []
    seen: set[str] = set()
    removed_lines = removed_chars = repeated_chars = 0
    for line in normalised.split("\n"):
        key = line.casefold()
        is_repeated = bool(line) and key in seen
        seen.add(key)
        if is_repeated:
            repeated_chars += len(line)
        if is_boilerplate(line) or (is_repeated and len(line) >= min_repeated_line_chars):
            removed_lines += 1
            removed_chars += len(line)
        else:
            kept.append(line)
    result = _EMPTY_LINES.sub("\n\n", "\n".join(kept)).strip() if removed_lines else normalised
    return Cleaned(
        text=result,
        removed_lines=removed_lines,
        removed_chars=removed_chars,
        repeated_line_share=repeated_chars / len(normalised) if normalised else 0.0,
        repeated_ngram_share=repeated_ngram_share(result),
        symbol_share=symbol_share(result),
    )


def repeated_ngram_share(text: str, size: int = 4) -> float:
    """Return the share of words that lie in copies of the most frequent word ``size``-gram (Rae et al. 2021, A1.1).

    Texts of fewer than ``10 * size`` words, and those in scripts that do not separate words, give 0.
    """
    words = text.split()
    if len(words) < 10 * size:
        return 0.0
    grams = Counter(zip(*(words[start:] for start in range(size)), strict=False))
    count = max(grams.values())
    return min(1.0, count * size / len(words)) if count > 1 else 0.0


def symbol_share(text: str) -> float:
    """Return the share of punctuation and symbol characters (Unicode categories P and S) in ``text``."""
    if not text:
        return 0.0
    # Marks (vowel signs of Indic scripts) are no word characters for `re`, so the category decides.
    others = Counter(re.findall(r"[^\w\s]", text))
    return sum(count for char, count in others.items() if unicodedata.category(char)[0] in "PS") / len(text)
