"""Instructions by a chat model: a prompt a document, and what is read out of the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import Field

from udfs.chat import ChatError, ChatModel, Completion, row_seed, without_reasoning
from udfs.engines import Answer
from udfs.generators import Generated, InstructionRequest
from udfs.prompts import Budget, Rule, check_prompt, fill, prompt_hash, shorten_all
from udfs.rates import EngineSettings

OPTIONAL_SLOTS: Final = ("title", "language")
"""Slots that a prompt may have beside ``{{text}}``: the English title ("" without one), the document's language."""

# What a structured answer looks like.
JSON_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"instruction": {"type": "string"}},
    "required": ["instruction"],
    "additionalProperties": False,
}
_ERROR_CHARS: Final = 300

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


class InstructionSettings(EngineSettings):
    """What every chat model that writes instructions is asked with."""

    prompt: str = Field("reverse_instruction", pattern=r"^\w[\w.-]*$")
    """Prompt: a name in ``conf/prompts``, or a file beside the recipe, with the slot ``{{text}}``; ``{{title}}`` (in
    English) and ``{{language}}`` (the source's, by its English name) are filled too."""
    shortening: Rule = "head"
    """What the prompt takes of a text that is too long for its budget: its ``head``, or ``head_and_tail``, half
    of each; cut at blanks, marked ``[...]``. The pair's output stays whole."""


class LocalModelSettings(InstructionSettings):
    """What every chat model that is run in the task's own process is told."""

    model: str
    """Folder of the model, the same path on every machine, or its name on the Hugging Face Hub."""
    revision: str | None = None
    """Branch, tag or commit on the Hub; a commit, so that it stays the same. null: the newest."""
    use_chat_template: bool = True
    """Put the prompt into the model's chat template, as one message of a user. false: send it as it is, for models
    that only continue texts."""
    temperature: float = Field(0.0, ge=0)
    """0 takes the likeliest token each time, as MURI does."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Tokens are drawn from the likeliest ones that together have this probability."""
    seed: int = 0
    """Where tokens are drawn, each row draws its own, by a seed made of this one and its ``doc_id``."""
    max_tokens: int = Field(256, ge=1)
    """Most tokens of an answer; an instruction cut by it is an error of its row. Raise it for models that reason."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer; they are not part of it."""
    max_document_tokens: int = Field(1_500, ge=20)
    """Tokens of the English text that the model sees."""

    @property
    def name(self) -> str:
        """Return the model's name with its revision, as labels have it."""
        return self.model + (f"@{self.revision}" if self.revision else "")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked for one document."""

    text: str
    is_shortened: bool
    """Whether the document was too long for the prompt's budget."""


class ChatGenerator:
    """Asks a chat model for one instruction a document; a failure is its row's alone."""

    def __init__(
        self,
        chat: ChatModel,
        label: str,
        template: str,
        budget: Budget,
        *,
        seed: int = 0,
        languages: Mapping[str, str] | None = None,
        is_structured: bool = False,
    ) -> None:
        """Check the prompt.

        Args:
            chat: the model.
            label: what is stored on every row.
            template: text of the prompt.
            budget: what a prompt takes of a document.
            seed: of the engine; each row has its own, made of this one and its ``doc_id``.
            languages: English names by language code; a code without one stands for itself.
            is_structured: whether answers are JSON, as ``JSON_SCHEMA`` says.

        Raises:
            ValueError: if the prompt lacks the slot ``{{text}}``, or has one that is not known.
        """
        check_prompt(template, OPTIONAL_SLOTS)
        self._chat = chat
        self._template = template
        self._budget = budget
        self._seed = seed
        self._languages = languages or {}
        self._is_structured = is_structured
        self._blank = Generated(label, prompt_hash=prompt_hash(template))

    def generate(self, requests: Sequence[InstructionRequest]) -> list[Generated]:
        """Return one result a request, same order."""
        made = [self._blank] * len(requests)
        rows: list[int] = []
        prompts: list[str] = []
        for row, prompt in enumerate(self.prompts(requests)):
            if isinstance(prompt, ChatError):
                made[row] = replace(self._blank, error=f"tokens cannot be counted: {prompt}")
                continue
            made[row] = replace(self._blank, is_shortened=prompt.is_shortened)
            prompts.append(prompt.text)
            rows.append(row)
        seeds = [row_seed(self._seed, requests[row].doc_id) for row in rows]
        completions = self._chat.complete(prompts, seeds) if rows else []
        for row, completion in zip(rows, completions, strict=True):
            made[row] = self._read(made[row], completion)
        return made

    def prompts(self, requests: Sequence[InstructionRequest]) -> list[Prompt | ChatError]:
        """Return what the model is asked for each request; an error where a text's tokens cannot be counted."""
        found: list[Prompt | ChatError] = []
        for request, shortened in zip(requests, self._shorten(requests), strict=True):
            if isinstance(shortened, ChatError):
                found.append(shortened)
                continue
            text = format_prompt(request, self._template, shortened, self._languages)
            found.append(Prompt(text, is_shortened=shortened != request.text_en.strip()))
        return found

    def close(self) -> None:
        """Give back what the model holds, such as a GPU's memory; the generator is not used after it."""
        close = getattr(self._chat, "close", None)
        if close is not None:
            close()

    def _shorten(self, requests: Sequence[InstructionRequest]) -> list[str | ChatError]:
        """Return what the prompts take of the texts; an error where a text's tokens cannot be counted."""
        texts = [request.text_en.strip() for request in requests]
        try:
            return list(shorten_all(texts, self._budget))
        except ChatError:
            return [self._shorten_alone(text) for text in texts]

    def _shorten_alone(self, text: str) -> str | ChatError:
        try:
            return shorten_all([text], self._budget)[0]
        except ChatError as error:
            return error

    def _read(self, blank: Generated, completion: Completion) -> Generated:
        if completion.text is None:
            answer = Answer(None, completion.error)
        elif self._is_structured:
            answer = parse_structured(completion.text, completion.was_cut)
        else:
            answer = parse_answer(completion.text)
            if completion.was_cut and answer.text and " ".join(completion.text.split()).endswith(answer.text):
                answer = Answer(None, "the instruction is cut: raise max_tokens")
        return replace(
            blank,
            instruction_en=answer.text,
            error=answer.error,
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
        )


def format_prompt(
    request: InstructionRequest, template: str, text: str | None = None, languages: Mapping[str, str] | None = None
) -> str:
    """Return the prompt for one document (MURI, Table 7).

    Args:
        request: the document.
        template: text with the slot ``{{text}}``.
        text: what the prompt takes of the document's English text; None for all of it.
        languages: English names by language code.
    """
    values = {
        "text": request.text_en.strip() if text is None else text,
        "title": (request.title_en or "").strip(),
        "language": (languages or {}).get(request.language, request.language),
    }
    return fill(template, values)


def parse_answer(text: str) -> Answer:
    """Return the instruction in a model's answer, or why there is none.

    Taken off are reasoning between ``<think>`` tags, code fences, announcements ("Here is the instruction:"),
    ``Instruction:``, quotation marks around the whole, and what comes after: explanations, further examples.
    Line breaks within the instruction become blanks.
    """
    answer = without_reasoning(text)
    if answer is None:
        return Answer(None, "the answer ends within its reasoning: raise max_tokens")
    text = _FENCE.sub("", _NEXT_EXAMPLE.split("\n" + answer.strip(), maxsplit=1)[0].strip()).strip()
    paragraphs = [paragraph for paragraph in re.split(r"\n\s*\n", text) if paragraph.strip()]
    while len(paragraphs) > 1 and paragraphs[0].rstrip(" *_").endswith(":"):
        paragraphs.pop(0)
    instruction = _unwrapped(" ".join(paragraphs[0].split())) if paragraphs else ""
    if not any(map(str.isalpha, instruction)):
        return Answer(None, "empty answer")
    if _REFUSAL.match(instruction):
        return Answer(None, f"refusal: {instruction[:_ERROR_CHARS]}")
    return Answer(instruction)


def parse_structured(text: str, was_cut: bool = False) -> Answer:
    """Return the instruction in an answer that is JSON as ``JSON_SCHEMA`` says, or why there is none."""
    try:
        value = json.loads(without_reasoning(text) or "")
    except ValueError:
        return Answer(None, "the instruction is cut: raise max_tokens" if was_cut else "the answer is no JSON")
    instruction = value.get("instruction") if isinstance(value, dict) else None
    if not isinstance(instruction, str):
        return Answer(None, "the answer has no field 'instruction' with a text")
    return parse_answer(instruction)


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
