"""Servers with an OpenAI-compatible API, one or many, asked as if they were one.

A request goes to the server with the fewest under way. A server that fails is left alone for a pause that grows, its
requests go to the others, and then one request at a time asks it again until it answers. Only when no server is left to
turn to does a request wait and count its tries.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import random
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from udfs.chat import ChatError, Completion
from udfs.engines import EngineUnavailable
from udfs.prompts import TokenCounter
from udfs.rates import EngineSettings
from udfs.settings import HIDDEN, OPERATIONAL

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletion

Result = TypeVar("Result")

ON_SERVER: Final = "server"
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VERSION: Final = re.compile(r"/v\d+\w*/?$")
# What a server of one's own takes in place of a key; the client insists on one.
_NO_KEY: Final = "none"
_MODELS_NAMED: Final = 5
_ERROR_CHARS: Final = 300

# A host that is gone does not refuse a connection, it says nothing. Servers accept within milliseconds, however busy.
_CONNECT_SECONDS: Final = 10.0
_FIRST_WAIT_SECONDS: Final = 0.5
_LONGEST_WAIT_SECONDS: Final = 8.0
# A server asks for more than this when a day's quota is used up: no row should wait for that.
_LONGEST_RETRY_AFTER_SECONDS: Final = 120.0
_LONGEST_PAUSE_SECONDS: Final = 60.0

_PASSES_WITH_TIME: Final = frozenset({408, 409, 425, 429})
# The server is at fault and not the request, and will be a second later: a wrong key, or another model loaded.
_REFUSALS: Final = frozenset({401, 403, 404})


class NoCompletionError(ValueError):
    """An answer is not what a completion looks like: no JSON, or none of its fields."""


class OpenAIServerSettings(EngineSettings):
    """Where a model is served, and how it is asked.

    Its key is read from an environment variable of the machine that makes the request: on a cluster, set it for the
    executors (``spark.executorEnv.OPENAI_API_KEY``). It is neither stored nor logged.
    """

    base_url: str | tuple[str, ...] = Field(json_schema_extra=OPERATIONAL)
    """Address of the API up to the version, such as ``http://localhost:8000/v1``, or a list of them: servers of the
    same model, one a GPU or a node, among which requests are shared out. No key or password is part of it."""
    model: str
    """Name of the model, as the server knows it."""
    temperature: float | None = Field(0.0, ge=0)
    """0 takes the likeliest token each time, as MURI does. null: the server's own, for models that refuse the field."""
    top_p: float | None = Field(None, gt=0, le=1)
    """Tokens are drawn from the likeliest ones that together have this probability. null: the server's own."""
    seed: int | None = 0
    """Where tokens are drawn (``temperature`` above 0), each row is asked for with a seed made of this one and its
    ``doc_id``. null: none is sent, for servers that refuse the field."""
    max_tokens: int = Field(256, ge=1)
    """Most tokens of an answer. Raise it for models that reason."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer; they are not part of it. Servers take up to four."""
    token_limit_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", json_schema_extra=OPERATIONAL
    )
    """Name under which the server takes ``max_tokens``; some providers know only the newer one."""
    tokenizer: str | None = Field(None, json_schema_extra=OPERATIONAL)
    """What counts tokens: ``server`` (vLLM and llama-server answer at ``/tokenize``), or the folder or file of the
    model's ``tokenizer.json``, the same path on every machine. null: characters are counted."""
    api_key_env: str = Field("OPENAI_API_KEY", json_schema_extra=OPERATIONAL)
    """Name of the environment variable that holds the key; unset is fine for a server that asks for none."""
    concurrency: int = Field(8, ge=1, json_schema_extra=OPERATIONAL)
    """Requests under way at once, for each Spark task, at all servers together."""
    timeout_seconds: float = Field(120.0, gt=0, json_schema_extra=OPERATIONAL)
    """Longest wait for one answer."""
    max_retries: int = Field(5, ge=0, json_schema_extra=OPERATIONAL)
    """Tries after the first where every server is busy, fails or drops the connection; waits grow, ``Retry-After`` of
    up to two minutes is kept. Going on to another server is no try."""

    @field_validator("base_url")
    @classmethod
    def _is_addresses(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        addresses = [value] if isinstance(value, str) else value
        for each in addresses:
            address = urlsplit(each)
            if address.username or address.password or address.query:
                raise PydanticCustomError(
                    HIDDEN,
                    "an address with a password or a query is not taken, as messages show addresses: put the key into "
                    "an environment variable, and the variable's name into api_key_env",
                )
        if not addresses or len({each.rstrip("/") for each in addresses}) != len(addresses):
            raise ValueError("one address at least, and none twice")
        return value

    @field_validator("api_key_env")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not _VARIABLE.fullmatch(value):
            raise PydanticCustomError(
                HIDDEN,
                "not the name of an environment variable. The key itself does not go into a recipe: export it, as in "
                "OPENAI_API_KEY=..., and name the variable here",
            )
        return value

    @property
    def base_urls(self) -> tuple[str, ...]:
        """Return the addresses, one or more."""
        return (self.base_url,) if isinstance(self.base_url, str) else self.base_url

    @property
    def label(self) -> str:
        """Return what is stored on every row: ``openai:MODEL``."""
        return f"openai:{self.model}"

    def check_servers(self, response_format: dict[str, Any] | None = None) -> None:
        """Ask every server for its models, and for one token if the model is not among them; count a text's tokens.

        Args:
            response_format: the form of JSON that answers will be wanted in; each server is asked for such an answer.

        Raises:
            EngineUnavailable: if one does not answer, refuses the key, does not serve the model, gives no JSON or
                counts no tokens.
        """
        for url in self.base_urls:
            self._check_server(url, response_format)
        if self.tokenizer:
            try:
                open_chat(self).count_tokens(["Hello"])
            except ChatError as error:
                raise EngineUnavailable(
                    f"A server counts no tokens ({error}): set tokenizer of the engine to the folder of the model's "
                    "tokenizer.json, or to null and give the limit in characters"
                ) from error

    def _check_server(self, url: str, response_format: dict[str, Any] | None) -> None:
        import openai

        served: list[str] = []
        try:
            with connect(self, url, self.max_retries) as client:
                served = _served_models(client)
                if self.model not in served:
                    client.chat.completions.create(**completion_fields(self, "Hello", max_tokens=1))
                if response_format:
                    _require_json(
                        url, _complete(client, completion_fields(self, "Hello", response_format=response_format))
                    )
        except openai.APIConnectionError as error:
            raise EngineUnavailable(
                f"No server answers at {url} ({error_line(error, self)}). Start one, for example "
                f"'vllm serve {self.model}' or 'ollama serve', or correct base_url of the engine"
            ) from error
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            has_key = "is refused" if os.environ.get(self.api_key_env) else "is not set"
            raise EngineUnavailable(
                f"{url} wants a key, and environment variable {self.api_key_env} {has_key}: "
                f"export {self.api_key_env}=..., or name another variable as api_key_env"
            ) from error
        except (openai.NotFoundError, openai.BadRequestError, openai.UnprocessableEntityError) as error:
            named = ", ".join(served[:_MODELS_NAMED]) or "none"
            raise EngineUnavailable(
                f"{url} does not serve model {self.model!r} ({error_line(error, self)}). "
                f"Models it names: {named}. Correct model of the engine, or load it there"
            ) from error
        except openai.APIStatusError as error:
            raise EngineUnavailable(f"{url} fails ({error_line(error, self)}): look at its log") from error
        except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:
            raise EngineUnavailable(
                f"{url} is not an OpenAI-compatible API ({error_line(error, self)}). "
                "base_url ends with the version, as in http://localhost:8000/v1"
            ) from error


@dataclass(eq=False, slots=True)
class _Server:
    """One server, as the pool knows it."""

    url: str
    client: OpenAI
    under_way: int = 0
    failures: int = 0
    """In a row; 0 once it has answered."""
    paused_until: float = 0.0
    """By ``time.monotonic``."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """What an error says of the server and of the request."""

    is_servers: bool
    """The server failed; another one may not."""
    passes: bool
    """The same server may answer the same request later."""
    retry_after: float | None = None
    """Seconds, as the server asked for."""
    was_slow: bool = False
    """It took the whole of ``timeout_seconds``: going on to another server counts as a try, or a request that is too
    much for all of them would go round them for hours."""


_REQUEST_IS_BAD: Final = _Failure(is_servers=False, passes=False)


@dataclass(slots=True)
class ServerPool:
    """The servers of one engine; used by many threads at once."""

    settings: OpenAIServerSettings
    _servers: list[_Server] = field(init=False)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _turn: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        self._servers = [_Server(url, connect(self.settings, url, max_retries=0)) for url in self.settings.base_urls]
        # Python workers are started together: without this, each would begin with the first server.
        self._turn = itertools.count(os.getpid())

    def ask(self, request: Callable[[OpenAI], Result]) -> Result:
        """Return what ``request`` gets from one of the servers.

        Args:
            request: asks through a client; may be called several times, for different servers.

        Raises:
            openai.OpenAIError: if it is the request that is bad, or no server has answered it.
            ValueError: likewise, where answers were unreadable.
        """
        from openai import OpenAIError

        failed: set[_Server] = set()
        retries = 0
        while True:
            server = self._take(failed)
            try:
                result = request(server.client)
            except (OpenAIError, ValueError) as error:
                failure = _classify(error)
                self._give_back(server, failure)
                failed.add(server)
                may_move = failure.is_servers and self._has_another(failed)
                if may_move and not failure.was_slow:
                    continue
                if not (failure.passes or may_move) or retries >= self.settings.max_retries:
                    raise
                if not may_move:
                    time.sleep(_wait_seconds(retries, failure.retry_after))
                retries += 1
            except BaseException:
                self._give_back(server, _REQUEST_IS_BAD)
                raise
            else:
                self._give_back(server, None)
                return result

    def _take(self, failed: set[_Server]) -> _Server:
        """Return the server to ask, counted as under way.

        Of the well ones the least busy, one that has not failed this request before one that has; without any, the one
        whose pause ends first.
        """
        with self._lock:
            first = next(self._turn) % len(self._servers)
            servers = self._servers[first:] + self._servers[:first]
            well = [server for server in servers if self._is_well(server)]
            if well:
                chosen = min(well, key=lambda server: (server in failed, server.under_way))
            else:
                chosen = min(servers, key=lambda server: (server.paused_until, server.under_way))
            chosen.under_way += 1
            return chosen

    def _give_back(self, server: _Server, failure: _Failure | None) -> None:
        with self._lock:
            server.under_way -= 1
            now = time.monotonic()
            if failure is None:
                server.failures, server.paused_until = 0, 0.0
            elif failure.is_servers and now >= server.paused_until:
                # Requests that were under way with the first to fail say nothing new: the pause grows by those that
                # were sent after it.
                pause = min(_FIRST_WAIT_SECONDS * 2.0 ** min(server.failures, 30), _LONGEST_PAUSE_SECONDS)
                server.failures += 1
                server.paused_until = now + max(pause, min(failure.retry_after or 0.0, _LONGEST_RETRY_AFTER_SECONDS))

    def _has_another(self, failed: set[_Server]) -> bool:
        """Say whether there is a well server that has not failed this request."""
        with self._lock:
            return any(self._is_well(server) for server in self._servers if server not in failed)

    @staticmethod
    def _is_well(server: _Server) -> bool:
        """Say whether a server may be sent a request: one that failed last is asked by one at a time."""
        return time.monotonic() >= server.paused_until and not (server.failures and server.under_way)


class OpenAIChat:
    """A model behind OpenAI-compatible servers: one request a prompt, some at a time."""

    def __init__(self, settings: OpenAIServerSettings, response_format: dict[str, Any] | None = None) -> None:
        """Make the clients; nothing is sent.

        Args:
            settings: of the servers.
            response_format: what the answer must look like, as the API's field of that name.
        """
        self._settings = settings
        self._response_format = response_format
        self._pool = ServerPool(settings)
        self._count = None if settings.tokenizer in (None, ON_SERVER) else load_tokenizer(settings.tokenizer or "")

    def complete(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Completion]:
        """Answer each prompt; same length, same order; what fails is its prompt's alone."""
        return self._map(self._complete, prompts, seeds)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each text, none added at its ends.

        Raises:
            ChatError: if the server does not count.
        """
        if self._count is not None:
            return self._count(texts)
        return self._map(self._count_on_server, texts)

    def _map(self, function: Callable[..., Result], *rows: Sequence[Any]) -> list[Result]:
        if not rows[0]:
            return []
        with ThreadPoolExecutor(min(self._settings.concurrency, len(rows[0]))) as threads:
            return list(threads.map(function, *rows))

    def _complete(self, prompt: str, seed: int) -> Completion:
        from openai import OpenAIError

        fields = completion_fields(self._settings, prompt, seed=seed, response_format=self._response_format)
        try:
            return self._pool.ask(partial(_complete, fields=fields))
        except NoCompletionError as error:
            return Completion(None, error_line(error, self._settings))
        except OpenAIError as error:
            return Completion(None, error_line(error, self._settings))
        except ValueError as error:
            return Completion(None, f"the server's answer is no JSON: {error_line(error, self._settings)}")

    def _count_on_server(self, text: str) -> int:
        from openai import OpenAIError

        try:
            return self._pool.ask(partial(_count_tokens, text=text, model=self._settings.model))
        except (OpenAIError, ValueError) as error:
            raise ChatError(f"/tokenize: {error_line(error, self._settings)}") from error


def open_chat(settings: OpenAIServerSettings, response_format: dict[str, Any] | None = None) -> OpenAIChat:
    """Return the model, for an engine's ``open``.

    Raises:
        EngineUnavailable: if its tokenizer is not on this machine.
    """
    try:
        return OpenAIChat(settings, response_format)
    except ChatError as error:
        raise EngineUnavailable(
            f"Tokens cannot be counted ({error}). Set tokenizer of the engine to the folder of the model's "
            "tokenizer.json, the same path on every machine, or to null and give the limit in characters"
        ) from error


def connect(settings: OpenAIServerSettings, url: str, max_retries: int) -> OpenAI:
    """Return a client of one server."""
    from openai import OpenAI, Timeout

    return OpenAI(
        api_key=os.environ.get(settings.api_key_env) or _NO_KEY,
        base_url=url,
        timeout=Timeout(settings.timeout_seconds, connect=min(_CONNECT_SECONDS, settings.timeout_seconds)),
        max_retries=max_retries,
    )


def completion_fields(
    settings: OpenAIServerSettings,
    content: str,
    *,
    max_tokens: int | None = None,
    seed: int | None = None,
    response_format: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the fields of a request; those at the server's own are left out, as some servers refuse what they lack."""
    is_sampled = bool(settings.temperature) and settings.seed is not None
    fields = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "seed": seed if is_sampled else None,
        "stop": list(settings.stop) or None,
        "response_format": response_format,
        settings.token_limit_field: max_tokens or settings.max_tokens,
    }
    messages = [{"role": "user", "content": content}]
    given = {name: value for name, value in fields.items() if value is not None}
    return {"model": settings.model, "messages": messages, **given}


def load_tokenizer(path: str) -> TokenCounter:
    """Return a counter of the tokens of a ``tokenizer.json``.

    Args:
        path: the file or its folder.

    Raises:
        ChatError: if it or the package that reads it is not there.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ChatError("to read it: pip install 'backprompt[server]'") from error
    file = Path(path)
    file = file / "tokenizer.json" if file.is_dir() else file
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the package raises nothing more special
        raise ChatError(f"{file}: {' '.join(str(error).split())}") from error
    # A tokenizer.json may say that texts are cut or padded, which is for training.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [len(each) for each in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def error_line(error: Exception, settings: OpenAIServerSettings) -> str:
    """Return an error in one line, without the key, which a server may repeat."""
    message = " ".join(str(error).split()) or type(error).__name__
    key = os.environ.get(settings.api_key_env)
    return (message.replace(key, "***") if key else message)[:_ERROR_CHARS]


def _served_models(client: OpenAI) -> list[str]:
    """Return the models that a server names; none where it has no list or a broken one, as some gateways do."""
    from openai import APIStatusError, AuthenticationError, PermissionDeniedError

    try:
        return [model.id for model in client.models.list()]
    except (AuthenticationError, PermissionDeniedError):
        raise
    except APIStatusError:
        return []


def _complete(client: OpenAI, fields: dict[str, Any]) -> Completion:
    """Ask one server.

    Raises:
        openai.OpenAIError: as the client does.
        ValueError: if what comes back is no JSON, or no completion (NoCompletionError).
    """
    answer: ChatCompletion = client.chat.completions.create(**fields)
    choices = getattr(answer, "choices", None)
    if not isinstance(choices, list) or not choices or getattr(choices[0], "message", None) is None:
        raise NoCompletionError("the server's answer holds no choice")
    usage = getattr(answer, "usage", None)
    message, reason = choices[0].message, choices[0].finish_reason
    text = message.content
    error = None
    if not isinstance(text, str):
        text = None
        error = message.refusal or (
            "the answer ends within its reasoning: raise max_tokens"
            if reason == "length"
            else f"the answer holds no text (finish reason {reason})"
        )
    return Completion(
        text,
        error,
        was_cut=reason == "length",
        prompt_tokens=getattr(usage, "prompt_tokens", None),
        completion_tokens=getattr(usage, "completion_tokens", None),
    )


def _require_json(url: str, completion: Completion) -> None:
    # Some servers take the field and do nothing about it. What comes after a brace may be cut.
    if not (completion.text or "{").lstrip().startswith("{"):
        raise EngineUnavailable(
            f"{url} does not keep to response_format (asked for JSON, it says {(completion.text or '')[:40]!r}): "
            "set structured: false"
        )


def _count_tokens(client: OpenAI, text: str, model: str) -> int:
    """Ask one server for a text's tokens, as vLLM (``prompt``) and llama-server (``content``) are asked."""
    url = _VERSION.sub("", str(client.base_url)).rstrip("/") + "/tokenize"
    body = {"model": model, "prompt": text, "content": text, "add_special_tokens": False, "add_special": False}
    answer = client.post(url, cast_to=object, body=body)
    tokens = answer.get("tokens") if isinstance(answer, dict) else None
    if not isinstance(tokens, list):
        raise NoCompletionError("the server's answer holds no tokens")
    return len(tokens)


def _classify(error: Exception) -> _Failure:
    import openai

    if isinstance(error, openai.APIStatusError):
        status, headers = error.status_code, error.response.headers
        retry_after = _retry_after(headers.get("retry-after-ms"), headers.get("retry-after"))
        if status in _REFUSALS:
            return _Failure(is_servers=True, passes=False)
        if status not in _PASSES_WITH_TIME and status < 500:
            return _REQUEST_IS_BAD
        is_too_long = retry_after is not None and retry_after > _LONGEST_RETRY_AFTER_SECONDS
        return _Failure(is_servers=True, passes=not is_too_long, retry_after=retry_after)
    # No connection, no answer in time, half an answer, another page's HTML. The client tells the first two apart by
    # the cause alone, whose class belongs to one of two HTTP libraries.
    was_slow = isinstance(error, openai.APITimeoutError) and type(error.__cause__).__name__ != "ConnectTimeout"
    return _Failure(is_servers=True, passes=True, was_slow=was_slow)


def _retry_after(milliseconds: str | None, value: str | None) -> float | None:
    """Return the seconds that the headers ``retry-after-ms`` and ``Retry-After`` (RFC 9110: seconds or a date) ask for.

    None if there is neither, or it cannot be read.
    """
    from email.utils import parsedate_to_datetime

    try:
        if milliseconds is not None:
            seconds = float(milliseconds) / 1000
        elif value is None:
            return None
        elif re.fullmatch(r"\s*[\d.]+\s*", value):
            seconds = float(value)
        else:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return max(seconds, 0.0)


def _wait_seconds(retries: int, retry_after: float | None) -> float:
    """Return how long a request waits: what the server asked for, or twice as long each time, spread by a quarter."""
    if retry_after:
        return retry_after
    return min(_FIRST_WAIT_SECONDS * 2.0 ** min(retries, 30), _LONGEST_WAIT_SECONDS) * (1 - 0.25 * random())
