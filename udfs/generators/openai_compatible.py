"""Instructions by any server with an OpenAI-compatible API: vLLM, ollama, llama.cpp, a gateway, a provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from udfs.generators.instructions import JSON_SCHEMA, ChatGenerator, InstructionSettings
from udfs.openai_pool import OpenAIChat, OpenAIServerSettings, open_chat
from udfs.prompts import Budget

_RESPONSE_FORMAT: Final[dict[str, Any]] = {
    "type": "json_schema",
    "json_schema": {"name": "instruction", "strict": True, "schema": JSON_SCHEMA},
}


class OpenAICompatibleSettings(InstructionSettings, OpenAIServerSettings):
    """A language model behind an OpenAI-compatible API, your own (vLLM, ollama, llama.cpp) or a provider's.

    Its key is read from an environment variable of the machine that makes the request: on a cluster, set it for the
    executors (``spark.executorEnv.OPENAI_API_KEY``). It is neither stored nor logged.
    """

    kind: Literal["openai"] = "openai"
    max_document_chars: int = Field(6_000, ge=100)
    """Characters of the English text that the model sees, where ``max_document_tokens`` is not set."""
    max_document_tokens: int | None = Field(None, ge=20)
    """Tokens of the English text that the model sees, as ``tokenizer`` counts them. null: ``max_document_chars``."""
    structured: bool = False
    """Ask for JSON with one field, ``instruction``, by the API's ``response_format`` of type ``json_schema``; not every
    server has it. Any other answer is an error of its row."""

    @model_validator(mode="after")
    def _tokens_need_a_tokenizer(self) -> OpenAICompatibleSettings:
        if (self.max_document_tokens is None) != (self.tokenizer is None):
            raise ValueError("max_document_tokens and tokenizer go together: set both, or neither")
        return self

    def check(self) -> None:
        """Ask every server for its models, and for one token if the model is not among them.

        Raises:
            EngineUnavailable: if a server does not answer, refuses the key, does not serve the model, or lacks what the
                settings ask of it: structured answers, the count of tokens.
        """
        self.check_servers(_RESPONSE_FORMAT if self.structured else None)

    def open(self, prompt: str, languages: Mapping[str, str] | None = None) -> ChatGenerator:
        """Return the generator.

        Args:
            prompt: text of the prompt that the setting ``prompt`` names, read by the driver: executors need no
                ``conf`` folder.
            languages: English names by language code, for the slot ``{{language}}``.

        Raises:
            ValueError: if the prompt lacks the slot ``{{text}}``, or has one that is not known.
            EngineUnavailable: if the tokenizer is not on this machine.
        """
        chat = open_chat(self, _RESPONSE_FORMAT if self.structured else None)
        return ChatGenerator(
            chat,
            self.label,
            prompt,
            self._budget(chat),
            seed=self.seed or 0,
            languages=languages,
            is_structured=self.structured,
        )

    def _budget(self, chat: OpenAIChat) -> Budget:
        if self.max_document_tokens is None:
            return Budget(self.max_document_chars, self.shortening)
        return Budget(self.max_document_tokens, self.shortening, chat.count_tokens)
