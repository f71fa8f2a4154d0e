from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from udfs.engines import EngineUnavailable
from udfs.generators import InstructionRequest
from udfs.generators.openai_compatible import (
    CUT_MARK,
    OpenAICompatibleSettings,
    check_prompt,
    format_prompt,
    parse_answer,
    prompt_hash,
    shorten,
)

ROOT = Path(__file__).parents[3]
PROMPT = (ROOT / "conf/prompts/reverse_instruction.txt").read_text(encoding="utf-8")
GOLDEN = ROOT / "tests/data/golden/reverse_instruction_prompt.txt"
MODEL = "tiny-instruct"
KEY = "sk-test-0123456789"


def document(text: str, doc_id: str = "d") -> InstructionRequest:
    return InstructionRequest(doc_id, "spa_Latn", "texto", text)


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    program = [sys.executable, str(Path(__file__).with_name("openai_server.py")), *arguments]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def settings(server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., OpenAICompatibleSettings]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def make(**values: object) -> OpenAICompatibleSettings:
        defaults = {"kind": "openai", "base_url": server, "model": MODEL, "timeout_seconds": 2, "max_retries": 2}
        return OpenAICompatibleSettings.model_validate(defaults | values)

    return make


# The prompt


def test_rendered_prompt_is_the_golden_one() -> None:
    text = "Lake Titicaca lies between Peru and Bolivia, at 3,812 metres.\nIts name may mean grey puma."
    assert format_prompt(document(text), PROMPT, 6_000) == GOLDEN.read_text(encoding="utf-8").rstrip("\n")


def test_prompt_takes_a_text_that_looks_like_a_prompt() -> None:
    text = "Use {{text}} here.\nAnswer: {{text}}\nInstruction: \\1 \\g<0>"
    assert format_prompt(document(text), "A: {{text}} B", 1_000) == f"A: {text} B"


def test_prompt_hash_is_that_of_the_file() -> None:
    file = (ROOT / "conf/prompts/reverse_instruction.txt").read_bytes()
    assert prompt_hash(PROMPT) == hashlib.sha256(file).hexdigest()


@pytest.mark.parametrize("prompt", ["no slot", "{{text}} and {{text}}", "{{text}} {{title}}", "{{ text }}", "{{}}"])
def test_bad_prompts_are_refused(prompt: str, settings: Callable[..., OpenAICompatibleSettings]) -> None:
    with pytest.raises(ValueError, match=r"slot \{\{text\}\} once"):
        settings().open(prompt)


def test_packaged_prompts_are_good() -> None:
    check_prompt(PROMPT)


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


@given(st.text())
def test_parse_answer_gives_one_line_or_an_error(text: str) -> None:
    answer = parse_answer(text)
    assert (answer.text is None) != (answer.error is None)
    if answer.text is not None:
        assert answer.text == " ".join(answer.text.split())
        assert parse_answer(answer.text).text in (answer.text, None)


# The server


def test_instructions_come_in_order_with_their_tokens(settings: Callable[..., OpenAICompatibleSettings]) -> None:
    documents = [document(f"number{at} is here", f"d{at}") for at in range(40)]
    made = settings(concurrency=7).open(PROMPT).generate(documents)
    for at, each in enumerate(made):
        assert each.instruction_en == f"What does a text say that begins with number{at}?"
        assert each.label == f"openai:{MODEL}"
        assert each.prompt_hash == prompt_hash(PROMPT)
        assert each.prompt_tokens == len(format_prompt(documents[at], PROMPT, 6_000).split())
        assert each.completion_tokens == 10
        assert (each.instruction_src, each.error) == (None, None)


def test_no_documents_need_no_server(settings: Callable[..., OpenAICompatibleSettings]) -> None:
    assert settings(base_url="http://127.0.0.1:9/v1").open(PROMPT).generate([]) == []


def test_concurrency_is_bounded() -> None:
    with serving() as url:
        settings = OpenAICompatibleSettings(base_url=url, model=MODEL, concurrency=3)
        settings.open(PROMPT).generate([document("FAULT-pause") for _ in range(9)])
        with urllib.request.urlopen(url.replace("/v1", "/most_under_way")) as answer:
            assert json.load(answer) == {"most_under_way": 3}


@pytest.mark.parametrize("fault", ["429", "500", "drop"])
def test_a_fault_that_passes_is_tried_again(fault: str, settings: Callable[..., OpenAICompatibleSettings]) -> None:
    started = time.monotonic()
    (made,) = settings().open(PROMPT).generate([document(f"FAULT-{fault}-ONCE")])
    assert made.instruction_en == f"What does a text say that begins with FAULT-{fault}-ONCE?"
    if fault == "429":
        assert time.monotonic() - started >= 1.0  # what Retry-After asked for


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("429", "slow down"),
        ("500", "out of memory"),
        ("slow", "timed out"),
        ("drop", "Connection error"),
        ("json", "is no JSON"),
        ("html", "holds no choice"),
        ("nochoice", "holds no choice"),
        ("empty", "empty answer"),
        ("refuse", "refusal"),
        ("cut", "raise max_tokens"),
        ("null", "content_filter"),
    ],
)
def test_a_fault_is_its_rows_alone(fault: str, error: str, settings: Callable[..., OpenAICompatibleSettings]) -> None:
    generator = settings(max_retries=0, timeout_seconds=1).open(PROMPT)
    before, bad, after = generator.generate([document("one"), document(f"FAULT-{fault}"), document("two")])
    assert before.instruction_en == "What does a text say that begins with one?"
    assert after.instruction_en == "What does a text say that begins with two?"
    assert bad.instruction_en is None
    assert bad.error
    assert error in bad.error
    assert "\n" not in bad.error


# The check


def test_check_finds_the_model(settings: Callable[..., OpenAICompatibleSettings]) -> None:
    settings().check()


def test_check_asks_for_a_token_where_models_are_not_listed() -> None:
    with serving("--no-list") as url:
        OpenAICompatibleSettings(base_url=url, model=MODEL).check()
        with pytest.raises(EngineUnavailable, match="does not serve model 'other'"):
            OpenAICompatibleSettings(base_url=url, model="other").check()


def test_check_names_the_models_there_are(settings: Callable[..., OpenAICompatibleSettings]) -> None:
    with pytest.raises(EngineUnavailable, match=f"does not serve model 'other'.*Models it names: {MODEL}"):
        settings(model="other").check()


def test_check_says_that_nothing_answers(settings: Callable[..., OpenAICompatibleSettings]) -> None:
    with pytest.raises(EngineUnavailable, match=r"No server answers at http://127\.0\.0\.1:9/v1"):
        settings(base_url="http://127.0.0.1:9/v1", max_retries=0).check()


def test_check_says_that_it_is_another_server(settings: Callable[..., OpenAICompatibleSettings], server: str) -> None:
    with pytest.raises(EngineUnavailable, match="does not serve model"):
        settings(base_url=server.removesuffix("/v1")).check()


def test_key_comes_from_the_variable_and_shows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving("--key", KEY, "--no-list") as url:
        settings = OpenAICompatibleSettings(base_url=url, model=MODEL, api_key_env="BACKPROMPT_TEST_KEY")
        monkeypatch.delenv("BACKPROMPT_TEST_KEY", raising=False)
        with pytest.raises(EngineUnavailable, match="BACKPROMPT_TEST_KEY is not set"):
            settings.check()
        monkeypatch.setenv("BACKPROMPT_TEST_KEY", "sk-wrong")
        with pytest.raises(EngineUnavailable, match="is refused") as refused:
            settings.check()
        (made,) = settings.open(PROMPT).generate([document("one")])
        assert "sk-wrong" not in f"{refused.value} {made.error} {settings}"
        assert "bad key Bearer ***" in str(made.error)
        monkeypatch.setenv("BACKPROMPT_TEST_KEY", KEY)
        settings.check()
        assert settings.open(PROMPT).generate([document("one")])[0].error is None


# The settings


def test_only_what_changes_the_answer_is_decisive() -> None:
    settings = OpenAICompatibleSettings(base_url="http://x/v1", model="m")
    assert set(settings.decisive()) == {"kind", "model", "prompt", "temperature", "max_tokens", "max_document_chars"}


def test_settings_are_hashable_and_refuse_unknown_keys() -> None:
    assert hash(OpenAICompatibleSettings(base_url="http://x/v1", model="m"))
    with pytest.raises(ValidationError, match="api_key"):
        OpenAICompatibleSettings.model_validate({"base_url": "http://x/v1", "model": "m", "api_key": "sk-1"})
