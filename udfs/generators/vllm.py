"""Instructions by a chat model in this process, run by vLLM's offline engine: one engine a GPU task. Experimental.

Its calls are checked against the signatures of vLLM 0.33, but no GPU with vLLM was at hand to run them. The servers of
``vllm serve`` (``kind: openai``) are the first choice: they outlive a task and are shared by all.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Final, Literal

from pydantic import Field

from udfs import devices
from udfs.chat import Completion
from udfs.engines import EngineUnavailable
from udfs.generators.instructions import JSON_SCHEMA, ChatGenerator, LocalModelSettings
from udfs.prompts import Budget
from udfs.settings import OPERATIONAL

_INSTALL: Final = "pip install 'backprompt[vllm]'"
_VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_ERROR_CHARS: Final = 300


class VllmGeneratorSettings(LocalModelSettings):
    """A chat model run in the task's own process by vLLM, on the task's GPUs. Experimental."""

    kind: Literal["vllm"] = "vllm"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Numbers to compute in. ``auto``: those of the model's files."""
    quantization: str | None = None
    """How weights are quantized, by vLLM's name for it, such as ``fp8``. null: as the model's files say."""
    structured: bool = False
    """Let the model write nothing but JSON with one field, ``instruction``."""
    max_model_len: int | None = Field(None, ge=64, json_schema_extra=OPERATIONAL)
    """Most tokens of prompt and answer together; a lower limit lets more prompts run at once. null: the model's."""
    tensor_parallel_size: int = Field(1, ge=1, json_schema_extra=OPERATIONAL)
    """GPUs over which one model is spread; a task must have as many (``spark.task.resource.gpu.amount``)."""
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1, json_schema_extra=OPERATIONAL)
    """Share of each GPU's memory that vLLM takes when it starts."""

    def check(self) -> None:
        """Read the model's configuration and tokenizer; weights are not loaded.

        Raises:
            EngineUnavailable: if vLLM or the model is not there, it has no chat template, or cannot be spread over so
                many GPUs.
        """
        if not find_spec("vllm"):
            raise EngineUnavailable(f"vLLM is not installed: {_INSTALL}")
        from udfs.generators.transformers import read_model, require_chat_template

        config, tokenizer = read_model(self.model, self.revision)
        if self.use_chat_template:
            require_chat_template(self.model, tokenizer)
        heads = getattr(config.get_text_config(), "num_attention_heads", None)
        if heads and heads % self.tensor_parallel_size:
            raise EngineUnavailable(
                f"{self.model} has {heads} attention heads, which cannot be spread over {self.tensor_parallel_size} "
                "GPUs evenly: set tensor_parallel_size to a divisor"
            )

    def open(
        self,
        prompt: str,
        languages: Mapping[str, str] | None = None,
        resources: Mapping[str, Sequence[str]] | None = None,
    ) -> ChatGenerator:
        """Start the engine and return the generator.

        Args:
            prompt: text of the prompt that the setting ``prompt`` names.
            languages: English names by language code, for the slot ``{{language}}``.
            resources: addresses by resource name, as Spark gave them to the task: ``{"gpu": ["0", "1"]}``.

        Raises:
            ValueError: if the prompt lacks the slot ``{{text}}``, or has one that is not known.
            EngineUnavailable: if vLLM is not installed, or the task has fewer GPUs than the model is spread over.
        """
        if not find_spec("vllm"):
            raise EngineUnavailable(f"vLLM is not installed: {_INSTALL}")
        show_gpus((resources or {}).get("gpu", ()), self.tensor_parallel_size)
        chat = VllmChat(self)
        return ChatGenerator(
            chat,
            f"vllm-{version('vllm')}:{self.name}",
            prompt,
            Budget(self.max_document_tokens, self.shortening, chat.count_tokens),
            seed=self.seed,
            languages=languages,
            is_structured=self.structured,
        )


class VllmChat:
    """A chat model in an engine of vLLM, which batches by itself."""

    def __init__(self, settings: VllmGeneratorSettings) -> None:
        """Start the engine, which loads the model."""
        from vllm import LLM

        self._settings = settings
        self._llm: Any = LLM(
            model=settings.model,
            revision=settings.revision,
            tokenizer_revision=settings.revision,
            dtype=settings.dtype,
            quantization=settings.quantization,
            tensor_parallel_size=settings.tensor_parallel_size,
            gpu_memory_utilization=settings.gpu_memory_utilization,
            max_model_len=settings.max_model_len,
        )
        devices.count_load(settings.model)
        self._tokenizer: Any = self._llm.get_tokenizer()

    def complete(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Completion]:
        """Answer each prompt; same length, same order.

        vLLM refuses a batch for one prompt that is too long, before it works on any; the batch is then cut in half,
        down to that prompt.
        """
        from vllm.exceptions import VLLMValidationError

        if not prompts:
            return []
        try:
            outputs = self._ask(prompts, seeds)
        except (VLLMValidationError, ValueError) as error:
            if self._llm.llm_engine.has_unfinished_requests():
                # Answers to this batch would turn up among those to the next.
                raise
            if len(prompts) == 1:
                return [Completion(None, (" ".join(str(error).split()) or type(error).__name__)[:_ERROR_CHARS])]
            half = len(prompts) // 2
            return self.complete(prompts[:half], seeds[:half]) + self.complete(prompts[half:], seeds[half:])
        return [_read(output) for output in outputs]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each text, none added at its ends."""
        return [len(self._tokenizer.encode(text, add_special_tokens=False)) for text in texts]

    def close(self) -> None:
        """Stop the engine, which gives the GPU's memory back."""
        engine, self._llm = self._llm, None
        engine.llm_engine.engine_core.shutdown()
        del engine
        gc.collect()

    def _ask(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Any]:
        params = [self._sampling(seed) for seed in seeds]
        if self._settings.use_chat_template:
            conversations = [[{"role": "user", "content": prompt}] for prompt in prompts]
            outputs = self._llm.chat(conversations, sampling_params=params, use_tqdm=False)
        else:
            outputs = self._llm.generate(list(prompts), sampling_params=params, use_tqdm=False)
        if len(outputs) != len(prompts):
            raise RuntimeError(f"vLLM gave {len(outputs)} answers to {len(prompts)} prompts")
        return list(outputs)

    def _sampling(self, seed: int) -> Any:
        from vllm.sampling_params import SamplingParams, StructuredOutputsParams

        settings = self._settings
        return SamplingParams(
            temperature=settings.temperature,
            top_p=settings.top_p,
            seed=seed if settings.temperature else None,
            max_tokens=settings.max_tokens,
            stop=list(settings.stop) or None,
            structured_outputs=StructuredOutputsParams(json=JSON_SCHEMA) if settings.structured else None,
        )


def show_gpus(addresses: Sequence[str], count: int) -> None:
    """Let this process see the task's GPUs alone: vLLM takes the first ones that it sees.

    To be called before anything in the process has used a GPU.

    Args:
        addresses: of the task's GPUs, as Spark gave them; none leaves what the process sees as it is.
        count: GPUs that the model needs.

    Raises:
        EngineUnavailable: if the task has fewer.
    """
    if not addresses:
        return
    if len(addresses) < count:
        raise EngineUnavailable(
            f"The model is spread over {count} GPUs (tensor_parallel_size) and the task has {len(addresses)}: set "
            f"spark.task.resource.gpu.amount={count}, and give executors a multiple of it"
        )
    visible = [each.strip() for each in os.environ.get(_VISIBLE, "").split(",") if each.strip()]
    os.environ[_VISIBLE] = ",".join(_visible_name(address, visible) for address in addresses[:count])


def _visible_name(address: str, visible: Sequence[str]) -> str:
    """Return how CUDA_VISIBLE_DEVICES names an address.

    Cluster managers that hand devices to containers number them anew, others name them as CUDA_VISIBLE_DEVICES does.
    """
    if visible and address not in visible and address.isdecimal() and int(address) < len(visible):
        return visible[int(address)]
    return address


def _read(output: Any) -> Completion:
    answer = output.outputs[0]
    return Completion(
        answer.text,
        was_cut=answer.finish_reason == "length",
        prompt_tokens=len(output.prompt_token_ids),
        completion_tokens=len(answer.token_ids),
    )
