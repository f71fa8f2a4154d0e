from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest
from pydantic import ValidationError

from udfs.chat import ChatError, Completion
from udfs.engines import EngineUnavailable
from udfs.openai_pool import (
    NoCompletionError,
    OpenAIChat,
    OpenAIServerSettings,
    ServerPool,
    completion_fields,
    open_chat,
)
from udfs.openai_pool import _retry_after as retry_after

MODEL = "tiny-instruct"
DEAD = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def settings_of(*urls: str, **values: Any) -> OpenAIServerSettings:
    defaults = {"base_url": list(urls), "model": MODEL, "timeout_seconds": 5, "max_retries": 2}
    return OpenAIServerSettings.model_validate(defaults | values)


def ask(settings: OpenAIServerSettings, *prompts: str) -> list[Completion]:
    return OpenAIChat(settings).complete(prompts, [0] * len(prompts))


# Several servers


def test_requests_are_shared_out_and_bounded_in_total(start_chat_server) -> None:
    servers = [start_chat_server("--delay", "0.05") for _ in range(3)]
    answers = ask(settings_of(*(server.url for server in servers), concurrency=6), *[f"number{at}" for at in range(60)])
    assert [answer.text for answer in answers] == [
        f'Instruction: "What does a text say that begins with number{at}?"' for at in range(60)
    ]
    counters = [server.counters() for server in servers]
    assert sum(each["requests"] for each in counters) == 60
    # Six under way among three servers: two each.
    assert all(each["most_under_way"] <= 3 for each in counters)
    assert all(each["requests"] >= 12 for each in counters)


def test_a_slow_server_gets_fewer(start_chat_server) -> None:
    slow, fast = start_chat_server("--delay", "0.4"), start_chat_server("--delay", "0.02")
    assert all(answer.text for answer in ask(settings_of(slow.url, fast.url, concurrency=4), *["x"] * 40))
    assert slow.counters()["requests"] * 2 < fast.counters()["requests"]


def test_a_server_that_dies_amid_its_answers_is_survived(start_chat_server) -> None:
    dying = start_chat_server("--die-after", "5", "--delay", "0.05")
    living = start_chat_server("--delay", "0.05")
    # Without retries: going on to another server is none.
    answers = ask(settings_of(dying.url, living.url, concurrency=6, max_retries=0), *[f"n{at}" for at in range(40)])
    assert [answer.error for answer in answers] == [None] * 40
    assert dying.process.wait(5) == 1


def test_a_server_that_comes_back_is_asked_again(start_chat_server) -> None:
    dying, living = start_chat_server("--delay", "0.01"), start_chat_server("--delay", "0.01")
    chat = OpenAIChat(settings_of(dying.url, living.url, concurrency=4, max_retries=0))
    port = dying.port
    dying.kill()
    assert all(answer.text for answer in chat.complete(["x"] * 12, [0] * 12))
    revived = start_chat_server("--port", port)
    ends = time.monotonic() + 20
    while not revived.counters()["requests"] and time.monotonic() < ends:
        assert all(answer.text for answer in chat.complete(["x"] * 8, [0] * 8))
        time.sleep(0.1)
    assert revived.counters()["requests"]
    # Well again, it has its share.
    before = revived.counters()["requests"]
    chat.complete(["x"] * 20, [0] * 20)
    assert revived.counters()["requests"] - before >= 5


@pytest.mark.parametrize("status", ["401", "404", "500", "503"])
def test_a_server_that_fails_at_once_draws_no_requests(status: str, start_chat_server) -> None:
    """The one that refuses is always the least busy."""
    failing, living = start_chat_server("--fail", status), start_chat_server("--delay", "0.05")
    answers = ask(settings_of(failing.url, living.url, concurrency=4, max_retries=0), *["x"] * 40)
    assert [answer.error for answer in answers] == [None] * 40
    assert failing.counters()["requests"] <= 8


def test_a_request_that_no_server_takes_is_its_own_alone(start_chat_server) -> None:
    servers = [start_chat_server() for _ in range(2)]
    for fault in ("FAULT-500", "FAULT-drop", "FAULT-echo"):
        settings = settings_of(*(server.url for server in servers), max_retries=0)
        before, bad, after = ask(settings, "one", f"Answer: {fault}", "two")
        assert (before.error, after.error) == (None, None)
        assert bad.text is None
        assert bad.error


def test_a_bad_request_is_not_sent_again(start_chat_server) -> None:
    servers = [start_chat_server() for _ in range(2)]
    (bad,) = ask(settings_of(*(server.url for server in servers)), "Answer: FAULT-echo")
    assert "400" in str(bad.error)
    assert sum(server.counters()["requests"] for server in servers) == 1


def test_a_request_that_takes_too_long_counts_its_tries(start_chat_server) -> None:
    servers = [start_chat_server() for _ in range(3)]
    settings = settings_of(*(server.url for server in servers), timeout_seconds=0.5, max_retries=1)
    (bad,) = ask(settings, "Answer: FAULT-slow")
    assert "timed out" in str(bad.error)
    assert sum(server.counters()["requests"] for server in servers) == 2


def test_none_left_is_an_error_after_the_tries() -> None:
    started = time.monotonic()
    (bad,) = ask(settings_of(DEAD, "http://127.0.0.1:10/v1", max_retries=1), "x")
    assert bad.error == "Connection error."
    assert time.monotonic() - started >= 0.3


# Faults of one server


@pytest.mark.parametrize("fault", ["429", "500", "drop", "half", "json", "html", "nochoice", "gateway", "busy"])
def test_a_fault_that_passes_is_tried_again(fault: str, start_chat_server) -> None:
    (answer,) = ask(settings_of(start_chat_server().url, max_retries=1), f"Answer: FAULT-{fault}-ONCE")
    assert answer.error is None


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("429", "slow down"),
        ("half", "Connection error"),
        ("json", "is no JSON"),
        ("html", "holds no choice"),
        ("nochoice", "holds no choice"),
        ("null", "content_filter"),
    ],
)
def test_a_fault_that_stays_is_an_error_in_one_line(fault: str, error: str, start_chat_server) -> None:
    (answer,) = ask(settings_of(start_chat_server().url, max_retries=0), f"Answer: FAULT-{fault}")
    assert answer.text is None
    assert error in str(answer.error)
    assert "\n" not in str(answer.error)


def test_nobody_waits_for_a_quota_of_tomorrow(start_chat_server) -> None:
    started = time.monotonic()
    (answer,) = ask(settings_of(start_chat_server().url), "Answer: FAULT-quota")
    assert "no more today" in str(answer.error)
    assert time.monotonic() - started < 5


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after(None, "3") == 3
    assert retry_after("1500", "3") == 1.5
    assert retry_after(None, formatdate(time.time() + 60, usegmt=True)) == pytest.approx(60, abs=2)
    assert retry_after(None, formatdate(time.time() - 60, usegmt=True)) == 0
    assert retry_after(None, None) is None
    assert retry_after(None, "soon") is None
    assert retry_after("soon", None) is None


def test_pauses_grow_once_for_requests_that_fail_together(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = ServerPool(settings_of(DEAD))
    (server,) = pool._servers
    now = [0.0]
    monkeypatch.setattr("udfs.openai_pool.time.monotonic", lambda: now[0])
    from udfs.openai_pool import _Failure as Failure

    ends = []
    for _ in range(9):
        for _ in range(4):
            server.under_way += 1
            pool._give_back(server, Failure(is_servers=True, passes=True))
        ends.append(server.paused_until - now[0])
        now[0] = server.paused_until
    assert ends == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    server.under_way += 1
    pool._give_back(server, None)
    assert (server.failures, server.paused_until) == (0, 0)


def test_an_error_of_ours_leaves_nothing_under_way() -> None:
    pool = ServerPool(settings_of(DEAD))
    with pytest.raises(KeyError):
        pool.ask(_raise_key_error)
    assert [server.under_way for server in pool._servers] == [0]
    with pytest.raises(NoCompletionError):
        ServerPool(settings_of(DEAD, max_retries=0)).ask(_raise_no_completion)


def _raise_key_error(client: object) -> None:
    raise KeyError("x")


def _raise_no_completion(client: object) -> None:
    raise NoCompletionError("x")


# What is asked


def test_only_fields_that_are_set_are_sent() -> None:
    plain = completion_fields(settings_of(DEAD), "Hello", seed=7)
    messages = [{"role": "user", "content": "Hello"}]
    assert plain == {"model": MODEL, "messages": messages, "temperature": 0.0, "max_tokens": 256}
    settings = settings_of(
        DEAD,
        temperature=0.7,
        top_p=0.9,
        stop=["\n", "Answer:"],
        max_tokens=9,
        token_limit_field="max_completion_tokens",
    )
    assert completion_fields(settings, "Hello", seed=7, response_format={"type": "text"}) == {
        "model": MODEL,
        "messages": messages,
        "temperature": 0.7,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["\n", "Answer:"],
        "response_format": {"type": "text"},
        "max_completion_tokens": 9,
    }
    assert "seed" not in completion_fields(settings_of(DEAD, temperature=0.7, seed=None), "Hello", seed=7)
    assert "temperature" not in completion_fields(settings_of(DEAD, temperature=None), "Hello", seed=7)


# Tokens


def test_the_server_counts_tokens(start_chat_server) -> None:
    chat = OpenAIChat(settings_of(start_chat_server().url, tokenizer="server"))
    assert chat.count_tokens(["one two", "", "three"]) == [2, 0, 1]


def test_check_finds_a_server_that_counts_no_tokens(start_chat_server) -> None:
    server = start_chat_server("--no-tokenize")
    settings_of(server.url).check_servers()
    with pytest.raises(EngineUnavailable, match="set tokenizer of the engine to the folder"):
        settings_of(server.url, tokenizer="server", max_retries=0).check_servers()
    with pytest.raises(ChatError, match=r"/tokenize: .*404"):
        OpenAIChat(settings_of(server.url, tokenizer="server", max_retries=0)).count_tokens(["x"])


def test_a_tokenizer_file_counts_tokens(tmp_path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.models.WordLevel({"one": 0, "two": 1, "?": 2}, unk_token="?")
    tokenizer = tokenizers.Tokenizer(words)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        assert open_chat(settings_of(DEAD, tokenizer=str(path))).count_tokens(["one", "one two two two"]) == [1, 4]
    with pytest.raises(EngineUnavailable, match=r"nowhere.*the same path on every machine"):
        open_chat(settings_of(DEAD, tokenizer=str(tmp_path / "nowhere")))


# The settings


def test_check_asks_every_server(start_chat_server) -> None:
    server = start_chat_server()
    with pytest.raises(EngineUnavailable, match=f"No server answers at {DEAD}"):
        settings_of(server.url, DEAD, max_retries=0).check_servers()


@pytest.mark.parametrize("urls", [[], ["http://a/v1", "http://a/v1/"], ["http://a/v1", "http://u:secret@b/v1"]])
def test_bad_addresses_are_refused(urls: list[str]) -> None:
    with pytest.raises(ValidationError) as refused:
        settings_of(*urls)
    assert refused.value.error_count() == 1


def test_one_address_or_many() -> None:
    assert settings_of(base_url="http://a/v1").base_urls == ("http://a/v1",)
    assert settings_of("http://a/v1", "http://b/v1").base_urls == ("http://a/v1", "http://b/v1")
    assert hash(settings_of("http://a/v1", "http://b/v1"))
