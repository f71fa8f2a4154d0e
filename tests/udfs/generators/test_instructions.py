from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.chat import ChatError, Completion, row_seed
from udfs.generators import InstructionRequest
from udfs.generators.instructions import ChatGenerator, format_prompt, parse_answer, parse_structured
from udfs.prompts import Budget, prompt_hash

ROOT = Path(__file__).parents[3]
PROMPT = (ROOT / "conf/prompts/reverse_instruction.txt").read_text(encoding="utf-8")
GOLDEN = ROOT / "tests/data/golden/reverse_instruction_prompt.txt"


def document(text: str, doc_id: str = "d", title: str | None = None) -> InstructionRequest:
    return InstructionRequest(doc_id, "spa_Latn", "texto", text, title_en=title)


class EchoChat:
    """Answers with the prompt and the seed; cannot count what holds "uncountable"."""

    def __init__(self, completion: Completion | None = None) -> None:
        self.completion = completion
        self.seeds: list[int] = []

    def complete(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Completion]:
        self.seeds += seeds
        return [self.completion or Completion(prompt, prompt_tokens=3, completion_tokens=4) for prompt in prompts]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        if any("uncountable" in text for text in texts):
            raise ChatError("out of order")
        return [len(text.split()) for text in texts]


# The prompt


def test_rendered_prompt_is_the_golden_one() -> None:
    text = "Lake Titicaca lies between Peru and Bolivia, at 3,812 metres.\nIts name may mean grey puma."
    assert format_prompt(document(text), PROMPT) == GOLDEN.read_text(encoding="utf-8").rstrip("\n")


def test_prompt_takes_a_text_that_looks_like_a_prompt() -> None:
    text = "Use {{text}} here.\nAnswer: {{text}}\nInstruction: \\1 \\g<0>"
    assert format_prompt(document(text), "A: {{text}} B") == f"A: {text} B"


def test_prompt_takes_title_and_language() -> None:
    template = "{{title}}|{{language}}|{{text}}"
    names = {"spa_Latn": "Spanish"}
    assert format_prompt(document("text", title=" T "), template, languages=names) == "T|Spanish|text"
    assert format_prompt(document("text"), template) == "|spa_Latn|text"


def test_an_unknown_slot_is_refused() -> None:
    with pytest.raises(ValueError, match=r"has: \{\{text\}\}, \{\{author\}\}"):
        ChatGenerator(EchoChat(), "x", "{{text}} {{author}}", Budget(9))


# The generator


def test_each_row_has_its_seed_tokens_hash_and_flag() -> None:
    chat = EchoChat()
    documents = [document("Why is it so?", "a"), document("Why is it so and not otherwise?", "b")]
    made = ChatGenerator(chat, "echo:1", "{{text}}", Budget(4, "head", chat.count_tokens), seed=7).generate(documents)
    assert [each.instruction_en for each in made] == ["Why is it so?", "Why is it so [...]"]
    assert [each.is_shortened for each in made] == [False, True]
    assert chat.seeds == [row_seed(7, "a"), row_seed(7, "b")]
    for each in made:
        assert (each.label, each.prompt_hash) == ("echo:1", prompt_hash("{{text}}"))
        assert (each.prompt_tokens, each.completion_tokens, each.error) == (3, 4, None)


def test_a_text_that_cannot_be_counted_is_its_rows_error_alone() -> None:
    chat = EchoChat()
    documents = [document("one"), document("an uncountable one"), document("two")]
    made = ChatGenerator(chat, "x", "{{text}}", Budget(4, "head", chat.count_tokens)).generate(documents)
    assert [each.instruction_en for each in made] == ["one", None, "two"]
    assert made[1].error == "tokens cannot be counted: out of order"


def test_an_instruction_that_is_cut_is_an_error_and_one_before_the_cut_is_none() -> None:
    cut = EchoChat(Completion("Write a long and", was_cut=True, completion_tokens=4))
    (made,) = ChatGenerator(cut, "x", "{{text}}", Budget(9)).generate([document("x")])
    assert (made.instruction_en, made.error) == (None, "the instruction is cut: raise max_tokens")
    assert made.completion_tokens == 4
    ended = EchoChat(Completion("Write it.\n\nThis instruction is", was_cut=True))
    (made,) = ChatGenerator(ended, "x", "{{text}}", Budget(9)).generate([document("x")])
    assert made.instruction_en == "Write it."


@pytest.mark.parametrize(
    ("text", "was_cut", "instruction", "error"),
    [
        ('{"instruction": "What is a fjord?"}', False, "What is a fjord?", None),
        ('<think>hm</think> {"instruction": " What is\\na fjord? "}', False, "What is a fjord?", None),
        ('{"instruction": "What is a', True, None, "cut"),
        ('{"instruction": "What is a', False, None, "no JSON"),
        ("What is a fjord?", False, None, "no JSON"),
        ('{"instruction": 3}', False, None, "no field"),
        ('["What is a fjord?"]', False, None, "no field"),
        ('{"instruction": ""}', False, None, "empty"),
    ],
)
def test_parse_structured(text: str, was_cut: bool, instruction: str | None, error: str | None) -> None:
    answer = parse_structured(text, was_cut)
    assert answer.text == instruction
    assert answer.error is None if error is None else error in str(answer.error)


# The answer


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        ("What is a fjord?", "What is a fjord?"),
        (" Instruction: What is a fjord?\n", "What is a fjord?"),
        ("**Instruction:** What is a fjord?", "What is a fjord?"),
        ('"What is a fjord?"', "What is a fjord?"),
        ('Instruction: "What is a fjord?"', "What is a fjord?"),
        ("“Instruction: What is a fjord?”", "What is a fjord?"),
        ("Here is the instruction:\n\nWhat is a fjord?", "What is a fjord?"),
        ("Sure! Here's a possible instruction: What is a fjord?", "What is a fjord?"),
        ("The instruction could be: What is a fjord?", "What is a fjord?"),
        ("```\nWhat is a fjord?\n```", "What is a fjord?"),
        ("<think>A fjord...\n\nhm</think>\nWhat is a fjord?", "What is a fjord?"),
        ("A fjord... hm</think>What is a fjord?", "What is a fjord?"),
        ("What is a fjord?\n\nThis asks for a definition.", "What is a fjord?"),
        ("What is a fjord?\nAnswer: A fiord is\n> What kind of instruction", "What is a fjord?"),
        ("Write a poem\nabout fjords.", "Write a poem about fjords."),
        ('Write a text called "The fjord"', 'Write a text called "The fjord"'),
        ('"Fjord" or "fiord": which is right?', '"Fjord" or "fiord": which is right?'),
        ("Explain the instruction: halt.", "Explain the instruction: halt."),
        ("I cannot sleep. What can I do?", "I cannot sleep. What can I do?"),
    ],
)
def test_parse_answer(text: str, instruction: str) -> None:
    assert parse_answer(text).text == instruction
    assert parse_answer(text).error is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("Instruction:", "empty"),
        ('""', "empty"),
        ("...", "empty"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("I cannot provide an instruction for this text.", "refusal"),
        ("As an AI language model, I have no opinion.", "refusal"),
        ("<think>Let me see", "reasoning"),
    ],
)
def test_parse_answer_says_why_there_is_none(text: str, error: str) -> None:
    answer = parse_answer(text)
    assert answer.text is None
    assert error in str(answer.error)


@settings(deadline=None)
@given(st.text())
def test_parse_answer_gives_one_line_or_an_error(text: str) -> None:
    answer = parse_answer(text)
    assert (answer.text is None) != (answer.error is None)
    if answer.text is not None:
        assert answer.text == " ".join(answer.text.split())
        assert parse_answer(answer.text).text in (answer.text, None)
