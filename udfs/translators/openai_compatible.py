"""Translation by a chat model on any server with an OpenAI-compatible API, asked with a prompt a segment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from pydantic import Field, model_validator

from udfs.chat import ChatError, ChatModel, Completion, row_seed, without_reasoning
from udfs.engines import Answer, EngineUnavailable
from udfs.openai_pool import OpenAIServerSettings, open_chat
from udfs.prompts import TokenCounter, check_prompt, fill, prompt_hash
from udfs.segments import Segmented, segment_all
from udfs.translation_health import combine, measure

SLOTS: Final = ("text", "source_language", "target_language")
"""Slots that a prompt must have, each once; languages are filled in by their English names."""

_HASH_DIGITS: Final = 12
_LANGUAGES_NAMED: Final = 10
_ERROR_CHARS: Final = 300
# The segment, source and target of each request; the same one is asked for once.
_Segment = tuple[str, str, str]

_FENCE: Final = re.compile(r"^```\w*\n?|\n?```$")
_ANNOUNCEMENT: Final = re.compile(
    r"(?:(?:sure|certainly|of course)[!,.]*\s+)?here(?:['’]s| is) (?:the|a|my|your) (?:\w+ )?translation\b"
    r"[^\n]*:\s*\n+",
    re.IGNORECASE,
)
# What the prompt calls the segment and its translation.
_NAME: Final = re.compile(r"[*_]*(?:text|translation)[*_]*\s*:[*_]*\s*", re.IGNORECASE)
_NAME_CHARS: Final = 30
_REMARK: Final = re.compile(
    r"\n\s*\n\s*[*_(\[]*(?:note|notes|explanation|literally|alternatively|translator['’]s note)\b.*",
    re.IGNORECASE | re.DOTALL,
)
_QUOTES: Final = (('"', '"'), ("“", "”"), ("«", "»"), ("„", "“"), ("「", "」"), ("`", "`"))
_QUOTE_MARKS: Final = tuple({mark for pair in _QUOTES for mark in pair})
_REFUSAL: Final = re.compile(
    r"(?:i['’]?m (?:very )?sorry,? but |sorry, but |unfortunately, )?"
    r"i(?: can ?not| can['’]t| am unable to|['’]m unable to) (?:translate|assist with|help with|fulfil|comply with)"
    r" (?:that|this|the|your)\b[^\n]{0,120}$",
    re.IGNORECASE,
)


class OpenAITranslatorSettings(OpenAIServerSettings):
    """A language model behind an OpenAI-compatible API, as a translator between any two languages that have a name.

    Its key is read from an environment variable of the machine that makes the request, see the generator of this kind.
    """

    kind: Literal["openai"] = "openai"
    prompt: str = Field("translate", pattern=r"^\w[\w.-]*$")
    """Prompt: a name in ``conf/prompts``, or a file beside the recipe, with the slots ``{{text}}``,
    ``{{source_language}}`` and ``{{target_language}}``."""
    max_tokens: int = Field(2_048, ge=1)
    """Most tokens of a segment's translation; one that reaches it counts as truncated. Raise it for models that
    reason."""
    max_segment_chars: int = Field(1_500, ge=50)
    """Most characters of a segment, where ``max_segment_tokens`` is not set. Longer texts are cut at sentences and put
    together again."""
    max_segment_tokens: int | None = Field(None, ge=16)
    """Most tokens of a segment, as ``tokenizer`` counts them. null: ``max_segment_chars``."""

    @model_validator(mode="after")
    def _tokens_need_a_tokenizer(self) -> OpenAITranslatorSettings:
        if (self.max_segment_tokens is None) != (self.tokenizer is None):
            raise ValueError("max_segment_tokens and tokenizer go together: set both, or neither")
        return self

    def supports(self, source: str, target: str, names: Mapping[str, str] | None = None) -> bool:
        """Tell whether a direction can be asked for; how well the model knows the languages is another matter.

        Args:
            source: GlotLID code.
            target: GlotLID code.
            names: English names by language code; None takes any language to have one.
        """
        return source != target and (names is None or (source in names and target in names))

    def check(self, pairs: Sequence[tuple[str, str]], names: Mapping[str, str] | None = None) -> None:
        """Ask every server for its models, and for one token if the model is not among them.

        Args:
            pairs: source and target, GlotLID codes.
            names: English names by language code.

        Raises:
            EngineUnavailable: if a language has no name, or a server does not answer, refuses the key, does not serve
                the model or counts no tokens.
        """
        if names is not None:
            nameless = sorted({code for pair in pairs for code in pair if code not in names})
            if nameless:
                raise EngineUnavailable(
                    f"{', '.join(nameless[:_LANGUAGES_NAMED])}: without a name in conf/languages.csv, no prompt can "
                    "ask for them"
                )
        self.check_servers()

    def open(self, prompt: str, names: Mapping[str, str] | None = None) -> OpenAITranslator:
        """Return the translator.

        Args:
            prompt: text of the prompt that the setting ``prompt`` names, read by the driver.
            names: English names by language code; a code without one stands for itself.

        Raises:
            ValueError: if the prompt lacks a slot, or has one that is not known.
            EngineUnavailable: if the tokenizer is not on this machine.
        """
        chat = open_chat(self)
        return OpenAITranslator(self, chat, None if self.tokenizer is None else chat.count_tokens, prompt, names or {})


class OpenAITranslator:
    """Translates texts segment by segment; a failure is its text's alone."""

    def __init__(
        self,
        settings: OpenAITranslatorSettings,
        chat: ChatModel,
        count_tokens: TokenCounter | None,
        template: str,
        names: Mapping[str, str],
    ) -> None:
        """Check the prompt.

        Args:
            settings: of the engine.
            chat: the model.
            count_tokens: counts a segment's tokens; None for characters.
            template: text of the prompt.
            names: English names by language code.

        Raises:
            ValueError: if the prompt lacks a slot, or has one that is not known.
        """
        check_prompt(template, required=SLOTS)
        self._settings = settings
        self._chat = chat
        self._count_tokens = count_tokens
        self._template = template
        self._names = names

    def label(self, source: str, target: str) -> str:  # noqa: ARG002 - one model and prompt for all directions
        """Return kind, model and the prompt's hash, ``openai:MODEL:1a2b3c4d5e6f``: another prompt, another engine."""
        return f"{self._settings.label}:{prompt_hash(self._template)[:_HASH_DIGITS]}"

    def translate(self, texts: Sequence[str], sources: Sequence[str], targets: Sequence[str]) -> list[Answer]:
        """Translate texts of any directions; same length, same order, an error for a text that fails.

        Text without letters comes back as it is. The health of an answer counts the segments of its text.

        Args:
            texts: any texts.
            sources: GlotLID code of each text.
            targets: GlotLID code each text is wanted in.
        """
        cut = self._cut(texts, sources)
        wanted: dict[_Segment, None] = {}
        for each, source, target in zip(cut, sources, targets, strict=True):
            if isinstance(each, Segmented):
                wanted.update(dict.fromkeys((segment, source, target) for segment in each.segments))
        done = dict(zip(wanted, self._ask(list(wanted)), strict=True))
        return [
            Answer(None, f"tokens cannot be counted: {each}")
            if isinstance(each, ChatError)
            else _assemble(
                each, [(segment, done[segment, source, target]) for segment in each.segments], source, target
            )
            for each, source, target in zip(cut, sources, targets, strict=True)
        ]

    def _cut(self, texts: Sequence[str], sources: Sequence[str]) -> list[Segmented | ChatError]:
        """Return the texts in segments; an error where a text's tokens cannot be counted."""
        try:
            return list(segment_all(texts, sources, self._count, self._limit))
        except ChatError as error:
            if len(texts) == 1:
                return [error]
            return [self._cut([text], [source])[0] for text, source in zip(texts, sources, strict=True)]

    @property
    def _limit(self) -> int:
        return self._settings.max_segment_tokens or self._settings.max_segment_chars

    def _count(self, texts: list[str]) -> list[int]:
        return [len(text) for text in texts] if self._count_tokens is None else self._count_tokens(texts)

    def _ask(self, segments: Sequence[_Segment]) -> list[Completion]:
        seed = self._settings.seed or 0
        prompts = [format_prompt(segment, self._template, self._names) for segment in segments]
        # A segment's own seed: the same wherever it stands.
        return self._chat.complete(prompts, [row_seed(seed, "\n".join(segment)) for segment in segments])


def format_prompt(segment: _Segment, template: str, names: Mapping[str, str]) -> str:
    """Return the prompt for one segment.

    Args:
        segment: text, source and target language codes.
        template: text with the slots ``SLOTS``.
        names: English names by language code; a code without one stands for itself.
    """
    text, source, target = segment
    values = {
        "text": text,
        "source_language": names.get(source, source),
        "target_language": names.get(target, target),
    }
    return fill(template, values)


def parse_answer(text: str, source: str) -> Answer:
    """Return the translation in a model's answer, in one line as segments are; "" if there is nothing in it.

    Taken off are reasoning between ``<think>`` tags, and what the segment itself has not: code fences, announcements
    ("Here is the translation:"), quotation marks around the whole, remarks after it.

    Args:
        text: the model's answer.
        source: the segment.
    """
    answer = without_reasoning(text)
    if answer is None:
        return Answer(None, "the answer ends within its reasoning: raise max_tokens")
    answer = answer.strip()
    if "```" not in source:
        answer = _FENCE.sub("", answer).strip()
    announcement = _ANNOUNCEMENT.match(answer)
    answer = answer[announcement.end() :] if announcement else answer
    if ":" not in source[:_NAME_CHARS]:
        answer = _NAME.sub("", answer, count=1) if _NAME.match(answer) else answer
    answer = " ".join(_REMARK.sub("", answer).split())
    if not source.startswith(_QUOTE_MARKS):
        for left, right in _QUOTES:
            inner = answer[len(left) : len(answer) - len(right)]
            if answer.startswith(left) and answer.endswith(right) and left not in inner and right not in inner:
                answer = inner.strip()
                break
    if _REFUSAL.match(answer):
        return Answer(None, f"refusal: {answer[:_ERROR_CHARS]}")
    return Answer(answer)


def _assemble(cut: Segmented, parts: Sequence[tuple[str, Completion]], source: str, target: str) -> Answer:
    """Return the text put together from its segments, with the health of each; an error if one of them has one."""
    translations = []
    health = []
    for segment, completion in parts:
        answer = Answer(None, completion.error)
        if completion.text is not None:
            answer = parse_answer(completion.text, segment)
        if answer.text is None:
            return answer
        translations.append(answer.text)
        health.append(measure(segment, answer.text, not completion.was_cut, source, target))
    return Answer(cut.join(translations, target), None, combine(health))
