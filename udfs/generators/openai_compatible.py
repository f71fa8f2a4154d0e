"""Instructions by any server with an OpenAI-compatible API: vLLM, ollama, llama.cpp, a gateway, a provider."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from udfs.engines import Answer, EngineUnavailable
from udfs.generators import Generated, InstructionRequest
from udfs.settings import HIDDEN, OPERATIONAL, Settings

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletion

SLOT: Final = "{{text}}"
CUT_MARK: Final = " [...]"
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ANY_SLOT: Final = re.compile(r"\{\{\s*(\w*)\s*\}\}")
# What a server of one's own takes in place of a key; the client insists on one.
_NO_KEY: Final = "none"
_MODELS_NAMED: Final = 5
_ERROR_CHARS: Final = 300

# Some chat templates open the reasoning themselves, so that the answer holds the closing tag alone.
_END_OF_REASONING: Final = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_REASONING: Final = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
# A base model goes on with the next example of the prompt.
_NEXT_EXAMPLE: Final = re.compile(r"\n\s*(?:Answer:|> What kind of instruction\b)")
_FENCE: Final = re.compile(r"^```\w*\n?|\n?```$")
_NAME_OF_ANSWER: Final = re.compile(
    r"^[\s*_#>]*(?:(?:sure|certainly|of course)[!,.]*\s+)?(?:here(?:['’]s| is)\s+)?"
    r"(?:(?:an?|the|one)\s+)?(?:(?:possible|likely|most likely|suitable)\s+)?"
    r"instruction(?:\s+(?:is|could be|would be|might be))?\s*[*_]*\s*:\s*[*_]*\s*",
    re.IGNORECASE,
)
_QUOTES: Final = (('"', '"'), ("'", "'"), ("“", "”"), ("«", "»"), ("‘", "’"), ("`", "`"), ("**", "**"))
_REFUSAL: Final = re.compile(
    r"(?:i['’]?m|i am) (?:very )?sorry\b|sorry, (?:but )?i\b|as an ai\b|"
    r"(?:unfortunately, )?i (?:can ?not|can['’]t|could not|am unable to|['’]m unable to|am not able to|won['’]t) "
    r"(?:help|assist|provide|create|generate|fulfil|comply|answer|write|determine|produce|process)\b",
    re.IGNORECASE,
)


class OpenAICompatibleSettings(Settings):
    """A language model behind an OpenAI-compatible API, your own (vLLM, ollama, llama.cpp) or a provider's.

    Its key is read from an environment variable of the machine that makes the request: on a cluster, set it for the
    executors (``spark.executorEnv.OPENAI_API_KEY``). It is neither stored nor logged.
    """

    kind: Literal["openai"] = "openai"
    base_url: str = Field(json_schema_extra=OPERATIONAL)
    """Address of the API up to the version, such as ``http://localhost:8000/v1``; no key or password is part of it."""
    model: str
    """Name of the model, as the server knows it."""
    prompt: str = Field("reverse_instruction", pattern=r"^\w[\w.-]*$")
    """Prompt: a name in ``conf/prompts``, or a file beside the recipe, with the slot ``{{text}}``."""
    temperature: float | None = Field(0.0, ge=0)
    """0 takes the likeliest token each time, as MURI does. null: the server's own, for models that refuse the field."""
    max_tokens: int = Field(256, ge=1)
    """Most tokens of an answer; an instruction cut by it is an error of its row. Raise it for models that reason."""
    token_limit_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", json_schema_extra=OPERATIONAL
    )
    """Name under which the server takes ``max_tokens``; some providers know only the newer one."""
    max_document_chars: int = Field(6_000, ge=100)
    """Characters of the English text that the model sees; a longer text is cut at the last blank before, marked
    ``[...]``. The pair's output stays whole."""
    api_key_env: str = Field("OPENAI_API_KEY", json_schema_extra=OPERATIONAL)
    """Name of the environment variable that holds the key; unset is fine for a server that asks for none."""
    concurrency: int = Field(8, ge=1, json_schema_extra=OPERATIONAL)
    """Requests under way at once, for each Spark task."""
    timeout_seconds: float = Field(120.0, gt=0, json_schema_extra=OPERATIONAL)
    """Longest wait for one answer."""
    max_retries: int = Field(5, ge=0, json_schema_extra=OPERATIONAL)
    """Tries after the first where the server is busy, fails or drops the connection; waits grow, ``Retry-After`` of up
    to two minutes is kept."""

    @field_validator("base_url")
    @classmethod
    def _holds_no_secret(cls, value: str) -> str:
        address = urlsplit(value)
        if address.username or address.password or address.query:
            raise PydanticCustomError(
                HIDDEN,
                "an address with a password or a query is not taken, as messages show addresses: put the key into an "
                "environment variable, and the variable's name into api_key_env",
            )
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
    def label(self) -> str:
        """Return what is stored on every row: ``openai:MODEL``."""
        return f"openai:{self.model}"

    def check(self) -> None:
        """Ask the server for its models, and for one token if the model is not among them.

        Raises:
            EngineUnavailable: if no server answers, it refuses the key, or does not serve the model.
        """
        import openai

        served: list[str] = []
        try:
            with _connect(self) as client:
                served = _served_models(client)
                if self.model not in served:
                    _complete(self, client, "Hello", 1)
        except openai.APIConnectionError as error:
            raise EngineUnavailable(
                f"No server answers at {self.base_url} ({_line(error, self)}). Start one, for example "
                f"'vllm serve {self.model}' or 'ollama serve', or correct base_url of the engine"
            ) from error
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            has_key = "is refused" if os.environ.get(self.api_key_env) else "is not set"
            raise EngineUnavailable(
                f"{self.base_url} wants a key, and environment variable {self.api_key_env} {has_key}: "
                f"export {self.api_key_env}=..., or name another variable as api_key_env"
            ) from error
        except (openai.NotFoundError, openai.BadRequestError, openai.UnprocessableEntityError) as error:
            named = ", ".join(served[:_MODELS_NAMED]) or "none"
            raise EngineUnavailable(
                f"{self.base_url} does not serve model {self.model!r} ({_line(error, self)}). "
                f"Models it names: {named}. Correct model of the engine, or load it there"
            ) from error
        except openai.APIStatusError as error:
            raise EngineUnavailable(f"{self.base_url} fails ({_line(error, self)}): look at its log") from error
        except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:
            raise EngineUnavailable(
                f"{self.base_url} is not an OpenAI-compatible API ({_line(error, self)}). "
                "base_url ends with the version, as in http://localhost:8000/v1"
            ) from error

    def open(self, prompt: str) -> OpenAICompatibleGenerator:
        """Return the generator.

        Args:
            prompt: text of the prompt that the setting ``prompt`` names, read by the driver: executors need no
                ``conf`` folder.

        Raises:
            ValueError: if the prompt lacks the slot ``{{text}}``, or has another.
        """
        return OpenAICompatibleGenerator(self, prompt)


class OpenAICompatibleGenerator:
    """Sends one request a document, some at a time; a failure is its row's alone."""

    def __init__(self, settings: OpenAICompatibleSettings, prompt: str) -> None:
        check_prompt(prompt)
        self._settings = settings
        self._prompt = prompt
        self._blank = Generated(settings.label, prompt_hash=prompt_hash(prompt))
        self._client = _connect(settings)

    def generate(self, requests: Sequence[InstructionRequest]) -> list[Generated]:
        """Return one result a request, same order."""
        if not requests:
            return []
        with ThreadPoolExecutor(min(self._settings.concurrency, len(requests))) as pool:
            return list(pool.map(self._generate, requests))

    def _generate(self, request: InstructionRequest) -> Generated:
        import openai

        content = format_prompt(request, self._prompt, self._settings.max_document_chars)
        try:
            completion = _complete(self._settings, self._client, content, self._settings.max_tokens)
        except openai.OpenAIError as error:
            return replace(self._blank, error=_line(error, self._settings))
        except ValueError as error:
            return replace(self._blank, error=f"the server's answer is no JSON: {_line(error, self._settings)}")
        usage = getattr(completion, "usage", None)
        answer = _read(completion)
        return replace(
            self._blank,
            instruction_en=answer.text,
            error=answer.error,
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
        )


def _connect(settings: OpenAICompatibleSettings) -> OpenAI:
    from openai import OpenAI

    return OpenAI(
        api_key=os.environ.get(settings.api_key_env) or _NO_KEY,
        base_url=settings.base_url,
        timeout=settings.timeout_seconds,
        max_retries=settings.max_retries,
    )


def _served_models(client: OpenAI) -> list[str]:
    from openai import NotFoundError

    try:
        return [model.id for model in client.models.list()]
    except NotFoundError:  # gateways that serve completions alone
        return []


def _complete(settings: OpenAICompatibleSettings, client: OpenAI, content: str, max_tokens: int) -> ChatCompletion:
    from openai import omit

    is_old_name = settings.token_limit_field == "max_tokens"
    return client.chat.completions.create(
        model=settings.model,
        messages=[{"role": "user", "content": content}],
        temperature=omit if settings.temperature is None else settings.temperature,
        max_tokens=max_tokens if is_old_name else omit,
        max_completion_tokens=omit if is_old_name else max_tokens,
    )


def check_prompt(template: str) -> None:
    """Raise ``ValueError`` unless ``template`` has the slot ``{{text}}`` once and no other slot."""
    slots = _ANY_SLOT.findall(template)
    if slots != ["text"] or SLOT not in template:
        found = ", ".join(f"{{{{{slot}}}}}" for slot in slots) or "none"
        raise ValueError(f"a prompt has the slot {SLOT} once and no other; this one has: {found}")


def prompt_hash(template: str) -> str:
    """Return the sha256 of a prompt's text, hex, as stored on every row."""
    return hashlib.sha256(template.encode("utf-8")).hexdigest()


def format_prompt(request: InstructionRequest, template: str, max_document_chars: int) -> str:
    """Return the prompt for one document (MURI, Table 7).

    Args:
        request: the document; its English text is used.
        template: text with the slot ``{{text}}``.
        max_document_chars: a longer text is cut at the last blank before this many characters, marked ``[...]``.
    """
    before, _, after = template.rstrip("\n").partition(SLOT)
    return before + shorten(request.text_en.strip(), max_document_chars) + after


def shorten(text: str, max_chars: int) -> str:
    """Return the head of ``text``, cut at the last blank within ``max_chars`` characters and marked; or all of it.

    >>> shorten("one two three", 9)
    'one two [...]'
    """
    if len(text) <= max_chars:
        return text
    head = text[:max_chars]
    words = head.rsplit(maxsplit=1)
    is_word_cut = not text[max_chars].isspace() and len(words) > 1
    return (words[0] if is_word_cut else head).rstrip() + CUT_MARK


def parse_answer(text: str) -> Answer:
    """Return the instruction in a model's answer, or why there is none.

    Taken off are reasoning between ``<think>`` tags, code fences, announcements ("Here is the instruction:"),
    ``Instruction:``, quotation marks around the whole, and what comes after: explanations, further examples.
    Line breaks within the instruction become blanks.
    """
    text = _END_OF_REASONING.split(text)[-1]
    if _REASONING.search(text):
        return Answer(None, "the answer ends within its reasoning: raise max_tokens")
    text = _FENCE.sub("", _NEXT_EXAMPLE.split("\n" + text.strip(), maxsplit=1)[0].strip()).strip()
    paragraphs = [paragraph for paragraph in re.split(r"\n\s*\n", text) if paragraph.strip()]
    while len(paragraphs) > 1 and paragraphs[0].rstrip(" *_").endswith(":"):
        paragraphs.pop(0)
    instruction = _unwrapped(" ".join(paragraphs[0].split())) if paragraphs else ""
    if not any(map(str.isalpha, instruction)):
        return Answer(None, "empty answer")
    if _REFUSAL.match(instruction):
        return Answer(None, f"refusal: {instruction[:_ERROR_CHARS]}")
    return Answer(instruction)


def _unwrapped(line: str) -> str:
    """Take names and quotation marks off a line until there are none."""
    while True:
        bare = _NAME_OF_ANSWER.sub("", line).strip()
        for left, right in _QUOTES:
            inner = bare[len(left) : len(bare) - len(right)]
            if bare.startswith(left) and bare.endswith(right) and inner and left not in inner and right not in inner:
                bare = inner.strip()
        if bare == line:
            return line
        line = bare


def _read(completion: ChatCompletion) -> Answer:
    choices = getattr(completion, "choices", None)
    if not choices or getattr(choices[0], "message", None) is None:
        return Answer(None, "the server's answer holds no choice")
    choice = choices[0]
    content = choice.message.content
    if not isinstance(content, str):
        return Answer(
            None, choice.message.refusal or f"the answer holds no text (finish reason {choice.finish_reason})"
        )
    answer = parse_answer(content)
    was_cut = choice.finish_reason == "length"
    if was_cut and answer.text and " ".join(content.split()).endswith(answer.text):
        return Answer(None, "the instruction is cut: raise max_tokens")
    return answer


def _line(error: Exception, settings: OpenAICompatibleSettings) -> str:
    """Return an error in one line, without the key, which a server may repeat."""
    message = " ".join(str(error).split()) or type(error).__name__
    key = os.environ.get(settings.api_key_env)
    return (message.replace(key, "***") if key else message)[:_ERROR_CHARS]
