"""Prompts: files with named slots, known by their hash, filled with texts that are shortened by a stated rule.

Kernels alone: which slots a prompt may have is said by the engine that fills it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

CUT_MARK: Final = " [...]"
_ANY_SLOT: Final = re.compile(r"\{\{\s*(\w*)\s*\}\}")
_SLOT: Final = re.compile(r"\{\{(\w+)\}\}")
# Cuts are looked for to within this share of the text: they fall back to a blank anyhow, and each step nearer costs a
# tokenization.
_CUT_PRECISION: Final = 1 / 256

Rule: TypeAlias = Literal["head", "head_and_tail"]
"""``head``: the text's beginning. ``head_and_tail``: half of the budget for its beginning, half for its end."""

TokenCounter: TypeAlias = Callable[[Sequence[str]], list[int]]
"""Tokens of each text in a model's own tokens, none added at its ends; same length, same order."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of a text a prompt takes, and what is left of a longer one."""

    limit: int
    """Tokens, or Unicode code points where there is no ``count``."""
    rule: Rule = "head"
    count: TokenCounter | None = None


def check_prompt(template: str, optional: Collection[str] = (), required: Collection[str] = ("text",)) -> None:
    """Check a prompt's slots.

    Args:
        template: the prompt.
        optional: slots that it may have, as often as it likes.
        required: slots that it must have, once.

    Raises:
        ValueError: if a required slot is missing or stands twice, or there is another one, or one that is spelled in
            another manner than ``{{name}}``.
    """
    found = [(match.group(), match.group(1)) for match in _ANY_SLOT.finditer(template)]
    names = [name for _, name in found]
    if (
        any(names.count(name) != 1 for name in required)
        or not {*required, *optional}.issuperset(names)
        or any(written != _slot(name) for written, name in found)
    ):
        must = " and ".join(_slot(name) for name in required)
        may = f", may have {', '.join(_slot(name) for name in optional)}," if optional else ""
        has = ", ".join(written for written, _ in found) or "none"
        raise ValueError(f"a prompt has the slot {must} once{may} and no other; this one has: {has}")


def prompt_hash(template: str) -> str:
    """Return the sha256 of a prompt's text, hex, as stored on every row."""
    return hashlib.sha256(template.encode("utf-8")).hexdigest()


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return the prompt with ``values`` in its slots; what looks like a slot within a value stays as it is.

    Args:
        template: a checked prompt; line breaks at its end are left out.
        values: a value for each slot; more are no harm.

    >>> fill("Title: {{title}}, text: {{text}}", {"title": "{{text}}", "text": "x"})
    'Title: {{text}}, text: x'
    """
    return _SLOT.sub(lambda match: values[match.group(1)], template.rstrip("\n"))


def shorten(text: str, max_chars: int, rule: Rule = "head") -> str:
    """Return ``text`` if it has ``max_chars`` characters at most, else what ``rule`` leaves of it, marked ``[...]``.

    Cuts fall on blanks where there are any.

    >>> shorten("one two three", 9)
    'one two [...]'
    >>> shorten("one two three four", 10, "head_and_tail")
    'one [...] four'
    """
    return shorten_all([text], Budget(max_chars, rule))[0]


def shorten_all(texts: Sequence[str], budget: Budget) -> list[str]:
    """Return each text as it is if it is within the budget, else what the budget's rule leaves of it, marked.

    The mark itself is not counted. Texts are shortened side by side, so that the counter is asked for many at once.
    The result depends on the text and the budget alone.

    Args:
        texts: any texts.
        budget: its limit, of 1 or more, in its counter's tokens or in characters.
    """
    over = [row for row, length in enumerate(_lengths(texts, budget)) if length > budget.limit]
    long = [texts[row] for row in over]
    if budget.rule == "head":
        short = [head + CUT_MARK for head in _heads(long, budget.limit, budget.count)]
    else:
        tail_limit = budget.limit // 2
        heads = _heads(long, budget.limit - tail_limit, budget.count)
        tails = _tails(long, tail_limit, budget.count)
        short = [f"{head}{CUT_MARK} {tail}" for head, tail in zip(heads, tails, strict=True)]
    result = list(texts)
    for row, text in zip(over, short, strict=True):
        result[row] = text
    return result


def _slot(name: str) -> str:
    return f"{{{{{name}}}}}"


def _lengths(texts: Sequence[str], budget: Budget) -> list[int]:
    return [len(text) for text in texts] if budget.count is None else budget.count(texts)


def _heads(texts: Sequence[str], limit: int, count: TokenCounter | None) -> list[str]:
    """Return the longest beginnings within the limit, cut at blanks."""
    if count is None:
        return [_head(text, limit) for text in texts]
    return [_head(text, end) for text, end in zip(texts, _ends(texts, limit, count, _head), strict=True)]


def _tails(texts: Sequence[str], limit: int, count: TokenCounter | None) -> list[str]:
    """Return the longest ends within the limit, cut at blanks."""
    if count is None:
        return [_tail(text, limit) for text in texts]
    return [_tail(text, chars) for text, chars in zip(texts, _ends(texts, limit, count, _tail), strict=True)]


def _head(text: str, chars: int) -> str:
    head = text[:chars]
    words = head.rsplit(maxsplit=1)
    is_word_cut = chars < len(text) and not text[chars].isspace() and len(words) > 1
    return (words[0] if is_word_cut else head).rstrip()


def _tail(text: str, chars: int) -> str:
    start = len(text) - chars
    tail = text[start:] if chars else ""
    words = tail.split(maxsplit=1)
    is_word_cut = start > 0 and not text[start - 1].isspace() and len(words) > 1
    return (words[1] if is_word_cut else tail).lstrip()


def _ends(texts: Sequence[str], limit: int, count: TokenCounter, cut: Callable[[str, int], str]) -> list[int]:
    """Return how many characters of each text ``cut`` may keep for ``limit`` tokens, by a search on all at once.

    Tokens are spread evenly over most texts, so every other guess is by proportion; those between halve what is left,
    for the texts of which this is not true.
    """
    low = [0] * len(texts)
    high = [len(text) for text in texts]
    tokens_low = [0] * len(texts)
    tokens_high = count(texts) if texts else []
    by_proportion = True
    while open_rows := [row for row in range(len(texts)) if high[row] - low[row] > max(1, high[row] * _CUT_PRECISION)]:
        guesses = []
        for row in open_rows:
            width = high[row] - low[row]
            share = (limit - tokens_low[row]) / max(tokens_high[row] - tokens_low[row], 1) if by_proportion else 0.5
            guesses.append(low[row] + min(max(int(width * share), 1), width - 1))
        counts = count([cut(texts[row], guess) for row, guess in zip(open_rows, guesses, strict=True)])
        for row, guess, tokens in zip(open_rows, guesses, counts, strict=True):
            if tokens <= limit:
                low[row], tokens_low[row] = guess, tokens
            else:
                high[row], tokens_high[row] = guess, tokens
        by_proportion = not by_proportion
    return low
