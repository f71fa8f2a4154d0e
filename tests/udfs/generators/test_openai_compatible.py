from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from udfs.chat import row_seed
from udfs.engines import EngineUnavailable
from udfs.generators import InstructionRequest
from udfs.generators.instructions import format_prompt
from udfs.generators.openai_compatible import OpenAICompatibleSettings
from udfs.prompts import prompt_hash

ROOT = Path(__file__).parents[3]
PROMPT = (ROOT / "conf/prompts/reverse_instruction.txt").read_text(encoding="utf-8")
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


# The server


def test_instructions_come_in_order_with_their_tokens(settings: Callable[..., OpenAICompatibleSettings]) -> None:
    documents = [document(f"number{at} is here", f"d{at}") for at in range(40)]
    made = settings(concurrency=7).open(PROMPT).generate(documents)
    for at, each in enumerate(made):
        assert each.instruction_en == f"What does a text say that begins with number{at}?"
        assert each.label == f"openai:{MODEL}"
        assert each.prompt_hash == prompt_hash(PROMPT)
        assert each.prompt_tokens == len(format_prompt(documents[at], PROMPT).split())
        assert each.completion_tokens == 10
        assert (each.instruction_src, each.error) == (None, None)


def test_no_documents_need_no_server(settings: Callable[..., OpenAICompatibleSettings]) -> None:
    assert settings(base_url="http://127.0.0.1:9/v1").open(PROMPT).generate([]) == []


def test_concurrency_is_bounded() -> None:
    with serving() as url:
        settings = OpenAICompatibleSettings(base_url=url, model=MODEL, concurrency=3)
        settings.open(PROMPT).generate([document("FAULT-pause") for _ in range(9)])
        with urllib.request.urlopen(url.replace("/v1", "/most_under_way")) as answer:
            assert json.load(answer)["most_under_way"] == 3


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


def test_each_document_has_its_seed_where_tokens_are_drawn(settings: Callable[..., OpenAICompatibleSettings]) -> None:
    def fields(**values: object) -> list[dict[str, object]]:
        made = settings(**values).open("SHOW-FIELDS {{text}}").generate([document("x", "a"), document("x", "b")])
        return [json.loads(each.instruction_en or "") for each in made]

    drawn = fields(temperature=0.7, seed=3, top_p=0.9, stop=["###"])
    assert [each["seed"] for each in drawn] == [row_seed(3, "a"), row_seed(3, "b")]
    assert (drawn[0]["top_p"], drawn[0]["stop"]) == (0.9, ["###"])
    assert all("seed" not in each for each in fields())


def test_structured_answers(settings: Callable[..., OpenAICompatibleSettings]) -> None:
    made = settings(structured=True).open(PROMPT).generate([document("fjord"), document("FAULT-cut")])
    assert [each.instruction_en for each in made] == ["What is fjord?", None]
    assert made[1].error == "the instruction is cut: raise max_tokens"


def test_a_long_document_is_shortened_and_flagged(settings: Callable[..., OpenAICompatibleSettings]) -> None:
    texts = ["short", " ".join(f"word{at}" for at in range(60))]
    by_tokens = settings(tokenizer="server", max_document_tokens=20, shortening="head_and_tail")
    by_chars = settings(max_document_chars=100)
    for each, tokens in ((by_tokens, 21), (by_chars, 16)):
        short, long = each.open("{{text}}").generate([document(text) for text in texts])
        assert (short.is_shortened, long.is_shortened) == (False, True)
        assert (short.prompt_tokens, long.prompt_tokens) == (1, tokens)


# The check


def test_check_finds_the_model(settings: Callable[..., OpenAICompatibleSettings]) -> None:
    settings().check()


def test_check_asks_for_a_token_where_models_are_not_listed() -> None:
    with serving("--no-list") as url:
        OpenAICompatibleSettings(base_url=url, model=MODEL).check()
        with pytest.raises(EngineUnavailable, match="does not serve model 'other'"):
            OpenAICompatibleSettings(base_url=url, model="other").check()


def test_check_finds_a_server_that_gives_no_json(settings: Callable[..., OpenAICompatibleSettings]) -> None:
    settings(structured=True).check()
    with serving("--no-json") as url, pytest.raises(EngineUnavailable, match="set structured: false"):
        settings(base_url=url, structured=True).check()


def test_check_asks_for_a_token_where_the_list_is_broken() -> None:
    with serving("--fail-list") as url:
        OpenAICompatibleSettings(base_url=url, model=MODEL, max_retries=0).check()


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
    assert set(settings.decisive()) == {
        "kind",
        "model",
        "prompt",
        "temperature",
        "top_p",
        "seed",
        "max_tokens",
        "stop",
        "shortening",
        "max_document_chars",
        "max_document_tokens",
        "structured",
    }


def test_a_limit_in_tokens_needs_a_tokenizer() -> None:
    for values in ({"max_document_tokens": 100}, {"tokenizer": "server"}):
        with pytest.raises(ValidationError, match="go together"):
            OpenAICompatibleSettings.model_validate({"base_url": "http://x/v1", "model": "m"} | values)


def test_settings_are_hashable_and_refuse_unknown_keys() -> None:
    assert hash(OpenAICompatibleSettings(base_url="http://x/v1", model="m"))
    with pytest.raises(ValidationError, match="api_key"):
        OpenAICompatibleSettings.model_validate({"base_url": "http://x/v1", "model": "m", "api_key": "sk-1"})
