"""What an instruction looks like, and whether it asks for a task whose text is not there."""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

FormatProblem = Literal["empty", "markup", "address", "line_break"]
FORMAT_PROBLEMS: Final[tuple[FormatProblem, ...]] = get_args(FormatProblem)
"""``empty``: no letter or digit. ``markup``: tags, wikitext or Markdown links. ``address``: of the web, or of mail."""

# Titles in quotation marks are names, not requests.
QUOTED: Final = re.compile(r"\"[^\"]*\"|“[^”]*”|«[^»]*»|„[^“”]*[“”]|「[^」]*」|『[^』]*』")
# MURI drops instructions that contain "summarize" or "translate": the text to work on is not in the pair.
_SUMMARY: Final = re.compile(r"\b(?:summari[sz]\w*|summary|summaries|tl;?dr)\b", re.IGNORECASE)
_TRANSLATION: Final = re.compile(r"\btranslat(?:e|es|ed|ing|ion|ions)\b", re.IGNORECASE)
_ALPHANUMERIC: Final = re.compile(r"[^\W_]")
_MARKUP: Final = re.compile(
    r"</?[a-z][a-z0-9]*(?:\s[^<>]*)?/?>|<!--|\{\{|\}\}|\[\[|\]\]|\[[^\[\]]{2,}\]\(|&(?:[a-z]{2,8}|#\d+);|'''",
    re.IGNORECASE,
)
# "Who runs booking.com?" is a question about a name; a path or a scheme makes an address of it.
_ADDRESS: Final = re.compile(
    r"\b(?:https?|ftp)://|\bwww\.\w|\b[\w.+-]+@[\w-]+\.\w{2,}|\b[\w-]+\.(?:com|org|net)/\w", re.IGNORECASE
)
_LINE_BREAK: Final = re.compile(r"[\n\r\u2028\u2029]")


def format_problems(instruction: str) -> list[FormatProblem]:
    """Return what is wrong with an instruction's form, in the order of FORMAT_PROBLEMS; [] if nothing is."""
    if not _ALPHANUMERIC.search(instruction):
        return ["empty"]
    found: list[FormatProblem] = []
    if _MARKUP.search(instruction):
        found.append("markup")
    if _ADDRESS.search(instruction):
        found.append("address")
    if _LINE_BREAK.search(instruction):
        found.append("line_break")
    return found


def asked_task(instruction_en: str) -> str | None:
    """Say whether an English instruction asks to summarise or translate a text (MURI, section 3.1, step 5).

    Returns:
        ``"summary"``, ``"translation"`` or None.
    """
    asked = QUOTED.sub("", instruction_en)
    if _SUMMARY.search(asked):
        return "summary"
    return "translation" if _TRANSLATION.search(asked) else None
