from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.prompts import CUT_MARK, Budget, Rule, check_prompt, fill, prompt_hash, shorten, shorten_all

PROMPTS = Path(__file__).parents[2] / "conf/prompts"


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def lumpy(texts: Sequence[str]) -> list[int]:
    """Count as a tokenizer does that knows one script only: a token a byte of the others."""
    return [len(text.encode()) - text.count(" ") for text in texts]


def test_prompt_hash_is_that_of_the_file() -> None:
    for file in PROMPTS.glob("*.txt"):
        assert prompt_hash(file.read_text(encoding="utf-8")) == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("prompt", ["no slot", "{{text}} and {{text}}", "{{text}} {{author}}", "{{ text }}", "{{}}"])
def test_bad_prompts_are_refused(prompt: str) -> None:
    with pytest.raises(ValueError, match=r"slot \{\{text\}\} once, may have \{\{title\}\}, and no other"):
        check_prompt(prompt, optional=("title",))


def test_required_slots_are_all_needed() -> None:
    check_prompt("{{a}} {{b}} {{c}} {{c}}", optional=("c",), required=("a", "b"))
    with pytest.raises(ValueError, match=r"\{\{a\}\} and \{\{b\}\} once"):
        check_prompt("{{a}}", required=("a", "b"))


def test_packaged_prompts_are_good() -> None:
    check_prompt((PROMPTS / "reverse_instruction.txt").read_text(encoding="utf-8"))
    check_prompt(
        (PROMPTS / "translate.txt").read_text(encoding="utf-8"), required=("text", "source_language", "target_language")
    )


def test_fill_takes_values_as_they_are() -> None:
    filled = fill("{{a}} {{b}} {{a}}\n\n", {"a": r"\1 {{b}}", "b": "{{a}}\n", "unused": "x"})
    assert filled == "\\1 {{b}} {{a}}\n \\1 {{b}}"


@settings(deadline=None)
@given(st.text(), st.integers(min_value=1, max_value=60))
def test_shortening_keeps_a_head(text: str, limit: int) -> None:
    short = shorten(text, limit)
    if len(text) <= limit:
        assert short == text
    else:
        assert short.endswith(CUT_MARK)
        assert text.startswith(short.removesuffix(CUT_MARK))
        assert len(short) <= limit + len(CUT_MARK)


def test_shortening_cuts_between_words() -> None:
    assert shorten("one two three", 7) == "one two [...]"
    assert shorten("one two three", 6) == "one [...]"
    assert shorten("x" * 20, 5) == "xxxxx [...]"
    assert shorten("one two three four", 11, "head_and_tail") == "one [...] four"
    assert shorten("one two three four", 12, "head_and_tail") == "one [...] four"
    assert shorten("one two three four", 17, "head_and_tail") == "one two [...] four"
    assert shorten("abcdefghij", 1, "head_and_tail") == "a [...] "


@settings(deadline=None)
@given(
    st.lists(st.text(st.sampled_from("ab é漢\n"), max_size=80), max_size=5),
    st.integers(min_value=1, max_value=30),
    st.sampled_from(["head", "head_and_tail"]),
    st.sampled_from([None, words, lumpy]),
)
def test_shortened_texts_are_parts_within_the_budget(texts: list[str], limit: int, rule: Rule, count) -> None:
    shortened = shorten_all(texts, Budget(limit, rule, count))
    measure = count or (lambda parts: [len(part) for part in parts])
    assert len(shortened) == len(texts)
    for text, short in zip(texts, shortened, strict=True):
        if measure([text])[0] <= limit:
            assert short == text
            continue
        head, tail = short.split(CUT_MARK)
        assert text.startswith(head)
        assert text.endswith(tail.removeprefix(" "))
        assert sum(measure([head, tail.removeprefix(" ")])) <= limit
        # One by one gives the same.
        assert shorten_all([text], Budget(limit, rule, count)) == [short]


def test_shortening_uses_the_budget_up() -> None:
    text = " ".join(f"word{at}" for at in range(5_000))
    head = shorten_all([text], Budget(1_000, "head", words))[0]
    assert 985 <= len(head.removesuffix(CUT_MARK).split()) <= 1_000
    both = shorten_all([text], Budget(1_000, "head_and_tail", words))[0]
    head, tail = both.split(CUT_MARK)
    assert 490 <= len(head.split()) <= 500
    assert 490 <= len(tail.split()) <= 500
    assert tail.endswith("word4999")


def test_few_tokenizations_are_needed() -> None:
    calls = 0

    def count(texts: Sequence[str]) -> list[int]:
        nonlocal calls
        calls += 1
        return words(texts)

    texts = [" ".join(["word"] * size) for size in (10, 2_000, 9_000)]
    shorten_all(texts, Budget(500, "head", count))
    assert calls <= 16
