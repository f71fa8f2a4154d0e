"""Instructions by a chat model in this process, run by Hugging Face transformers on a GPU or a CPU.

For small models and machines without a server; a server (``kind: openai``) or vLLM answers many times faster, as they
put a new prompt in the place of each one that ends.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from udfs import devices
from udfs.chat import Completion
from udfs.engines import EngineUnavailable
from udfs.generators.instructions import ChatGenerator, LocalModelSettings
from udfs.prompts import Budget
from udfs.settings import OPERATIONAL
from udfs.token_batches import pack

if TYPE_CHECKING:
    import torch

_INSTALL: Final = "pip install 'backprompt[transformers]'"
# As torch's allocators and cuBLAS word it where they raise no OutOfMemoryError.
_OUT_OF_MEMORY: Final = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
_ERROR_CHARS: Final = 300


class TransformersGeneratorSettings(LocalModelSettings):
    """A chat model run in the task's own process by transformers, in batches of like length."""

    kind: Literal["transformers"] = "transformers"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Numbers to compute in. ``auto``: bfloat16 on a GPU that has it, else float32."""
    batch_tokens: int = Field(16_384, ge=1, json_schema_extra=OPERATIONAL)
    """Most tokens of a batch, padding and answers to come included. Halved by itself where memory runs out."""
    batch_rows: int = Field(64, ge=1, json_schema_extra=OPERATIONAL)
    """Most prompts of a batch."""
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", json_schema_extra=OPERATIONAL)
    """``auto``: the task's own GPU if there is one, else the CPU. ``cpu``, ``cuda`` or ``cuda:1`` say it outright."""

    def check(self) -> None:
        """Read the model's configuration and tokenizer, and fill its chat template; weights are not loaded.

        Raises:
            EngineUnavailable: if the packages or the model are not there, it is no language model, has no chat
                template, or is too large for the GPU of this machine.
        """
        if not (find_spec("torch") and find_spec("transformers")):
            raise EngineUnavailable(f"transformers and torch are not installed: {_INSTALL}")
        config, tokenizer = read_model(self.model, self.revision)
        _require_language_model(self.model, config)
        if self.use_chat_template:
            require_chat_template(self.model, tokenizer)
        if Path(self.model).is_dir() and not devices.weights_bytes(Path(self.model)):
            raise EngineUnavailable(f"{self.model} has no weights: neither *.safetensors nor *.bin is in the folder")
        device = devices.choose(self.device)
        # The driver may be a small machine without a GPU; executors look again when they load.
        if device.kind == "cuda":
            _require_memory(self, config, device)

    def open(
        self,
        prompt: str,
        languages: Mapping[str, str] | None = None,
        resources: Mapping[str, Sequence[str]] | None = None,
    ) -> ChatGenerator:
        """Load the model and return the generator.

        Args:
            prompt: text of the prompt that the setting ``prompt`` names.
            languages: English names by language code, for the slot ``{{language}}``.
            resources: what Spark gave the task, see ``udfs.devices.choose``.

        Raises:
            ValueError: if the prompt lacks the slot ``{{text}}``, or has one that is not known.
            EngineUnavailable: if the model cannot be loaded here.
        """
        chat = TransformersChat(self, devices.choose(self.device, resources))
        return ChatGenerator(
            chat,
            f"transformers-{version('transformers')}:{self.name}",
            prompt,
            Budget(self.max_document_tokens, self.shortening, chat.count_tokens),
            seed=self.seed,
            languages=languages,
        )


class TransformersChat:
    """A chat model on one device.

    Greedy answers, and drawn ones too, do not depend on which prompts share a batch, but for rounding: in 16 bits, two
    tokens that are all but equally likely can change places.
    """

    def __init__(self, settings: TransformersGeneratorSettings, device: devices.Device) -> None:
        """Load the model.

        Raises:
            EngineUnavailable: if it is not there or does not fit.
        """
        try:
            import torch
            from transformers import AutoModelForCausalLM, GenerationConfig
        except ImportError as error:
            raise EngineUnavailable(f"transformers and torch are not installed: {_INSTALL}") from error
        config, self._tokenizer = read_model(settings.model, settings.revision)
        _require_memory(settings, config, device)
        self._settings = settings
        self._device = torch.device(str(device))
        dtype = getattr(torch, devices.choose_dtype(settings.dtype, device))
        # With a device map, weights go from the file to the GPU and are never whole in the machine's memory.
        device_map = {"": str(device)} if device.kind == "cuda" and find_spec("accelerate") else None
        model: Any = AutoModelForCausalLM.from_pretrained(
            settings.model, revision=settings.revision, dtype=dtype, device_map=device_map
        )
        self._model: Any = (model if device_map else model.to(self._device)).eval()
        devices.count_load(settings.model)
        own = self._model.generation_config
        self._ends = _ends(own.eos_token_id, self._tokenizer.eos_token_id)
        self._pad = next(
            (each for each in (self._tokenizer.pad_token_id, own.pad_token_id, *self._ends) if each is not None), 0
        )
        # Models bring decoding settings of their own (a temperature, a top_p); the recipe's alone shall count.
        self._model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False,
            max_new_tokens=settings.max_tokens,
            eos_token_id=list(self._ends) or None,
            pad_token_id=self._pad,
            stop_strings=list(settings.stop) or None,
        )
        self._context = getattr(config.get_text_config(), "max_position_embeddings", None)
        self._batch_tokens = settings.batch_tokens

    def complete(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Completion]:
        """Answer each prompt; same length, same order."""
        answers: dict[int, Completion] = {}
        inputs: dict[int, list[int]] = {}
        for row, prompt in enumerate(prompts):
            encoded = self._encode(prompt)
            if isinstance(encoded, Completion):
                answers[row] = encoded
            else:
                inputs[row] = encoded
        while waiting := [row for row in inputs if row not in answers]:
            # Packed anew for each batch, as the budget may have been halved by the one before.
            lengths = [len(inputs[row]) + self._settings.max_tokens for row in waiting]
            batch = [waiting[at] for at in pack(lengths, self._batch_tokens, self._settings.batch_rows)[0]]
            completions = self._run([inputs[row] for row in batch], [seeds[row] for row in batch])
            if completions is not None:
                answers.update(zip(batch, completions, strict=True))
            elif len(batch) == 1:
                length = len(inputs[batch[0]])
                answers[batch[0]] = Completion(
                    None, f"out of memory: a prompt of {length} tokens", prompt_tokens=length
                )
            else:
                longest = max(len(inputs[row]) for row in batch) + self._settings.max_tokens
                self._batch_tokens = max(len(batch) // 2 * longest, 1)
        return [answers[row] for row in range(len(prompts))]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each text, none added at its ends."""
        if not texts:
            return []
        encoded = self._tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def close(self) -> None:
        """Give the device's memory back."""
        import torch

        self._model = None
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _encode(self, prompt: str) -> list[int] | Completion:
        """Return a prompt's tokens, or why it cannot be asked.

        What looks like a control token in a document (``</s>``, ``<|im_end|>``) is encoded as text: a page of the web
        must not end the user's message and begin another.
        """
        try:
            if self._settings.use_chat_template:
                ids = self._tokenizer.apply_chat_template(
                    [{"role": "user", "content": prompt}],
                    add_generation_prompt=True,
                    return_dict=False,
                    sanitize_control_tokens=True,
                )
            else:
                ids = self._tokenizer(prompt, split_special_tokens=True, verbose=False)["input_ids"]
        except Exception as error:  # a model's own template may raise anything
            return Completion(None, f"the prompt cannot be encoded: {_line(error)}")
        length = len(ids)
        if self._context and length + self._settings.max_tokens > self._context:
            return Completion(
                None,
                f"the prompt's {length} tokens and max_tokens ({self._settings.max_tokens}) are more than the "
                f"{self._context} that the model takes: lower max_document_tokens",
                prompt_tokens=length,
            )
        return list(ids)

    def _run(self, inputs: Sequence[Sequence[int]], seeds: Sequence[int]) -> list[Completion] | None:
        """Answer one batch; None if memory ran out."""
        import torch

        width = max(map(len, inputs))
        try:
            ids = torch.full((len(inputs), width), self._pad, dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, tokens in enumerate(inputs):
                # Padded on the left, so that every prompt ends where its answer begins.
                ids[row, width - len(tokens) :] = torch.tensor(tokens)
                mask[row, width - len(tokens) :] = 1
            with torch.inference_mode():
                generated = self._model.generate(
                    ids.to(self._device),
                    attention_mask=mask.to(self._device),
                    logits_processor=self._sampling(seeds),
                    tokenizer=self._tokenizer,
                )
            outputs: list[list[int]] = generated[:, width:].tolist()
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
        else:
            return [self._read(len(tokens), output) for tokens, output in zip(inputs, outputs, strict=True)]
        # Outside the handler: its traceback holds the tensors of the batch.
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _sampling(self, seeds: Sequence[int]) -> Any:
        from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

        settings = self._settings
        processors = LogitsProcessorList()
        if settings.temperature:
            processors.append(TemperatureLogitsWarper(settings.temperature))
            if settings.top_p < 1:
                processors.append(TopPLogitsWarper(settings.top_p))
            processors.append(_row_sampler(seeds, self._device))
        return processors

    def _read(self, prompt_tokens: int, output: Sequence[int]) -> Completion:
        """Return the answer in what was generated for one row: its tokens, an end token, padding."""
        end = next((at for at, token in enumerate(output) if token in self._ends or token == self._pad), len(output))
        text = str(self._tokenizer.decode(output[:end], skip_special_tokens=True))
        stops = [at for stop in self._settings.stop if (at := text.find(stop)) >= 0]
        has_ended = bool(stops) or end < len(output)
        return Completion(
            text[: min(stops)] if stops else text,
            was_cut=not has_ended,
            prompt_tokens=prompt_tokens,
            # The end token was generated too; after a stop text there is none.
            completion_tokens=end + (has_ended and not stops),
        )


def _row_sampler(seeds: Sequence[int], device: torch.device) -> Any:
    """Return a processor of logits after which the likeliest token is one drawn by the row's own generator.

    A token's probability divided by an exponential variable is greatest for each token with its own probability
    (exponential races, or the Gumbel-max trick; vLLM draws so). ``multinomial`` would draw for all rows from one
    generator, and a row's tokens then depend on its neighbours.
    """
    import torch
    from transformers import LogitsProcessor

    generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    class RowSampler(LogitsProcessor):
        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
            noise = torch.empty_like(scores)
            for row, generator in enumerate(generators):
                noise[row].exponential_(generator=generator)
            # A zero, should one be drawn, would let a token win that top_p has ruled out.
            return scores - noise.clamp_min_(torch.finfo(noise.dtype).tiny).log_()

    return RowSampler()


def read_model(model: str, revision: str | None) -> tuple[Any, Any]:
    """Return a model's configuration and tokenizer.

    Raises:
        EngineUnavailable: if they are neither in a folder nor on the Hub.
    """
    from transformers import AutoConfig, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(model, revision=revision)
        tokenizer = AutoTokenizer.from_pretrained(model, revision=revision)
    except (OSError, ValueError) as error:
        raise EngineUnavailable(
            f"Model {model!r} cannot be read ({_line(error)}). Set model of the engine to a folder that is there on "
            "every machine, or to a name on the Hugging Face Hub (HF_TOKEN holds the token for gated ones)"
        ) from error
    return config, tokenizer


def _require_language_model(model: str, config: Any) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise EngineUnavailable(
            f"{model} is of type {config.model_type}, which continues no text: name an instruction-tuned language model"
        )


def require_chat_template(model: str, tokenizer: Any) -> None:
    """Raise ``EngineUnavailable`` if a model has no chat template, or one that fails."""
    if not tokenizer.chat_template:
        raise EngineUnavailable(
            f"{model} has no chat template. Name an instruction-tuned model, or set use_chat_template: false to send "
            "the prompt as it is"
        )
    try:
        tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}], add_generation_prompt=True)
    except Exception as error:  # a model's own template may raise anything
        raise EngineUnavailable(f"The chat template of {model} does not work: {_line(error)}") from error


def _require_memory(settings: TransformersGeneratorSettings, config: Any, device: devices.Device) -> None:
    """Raise ``EngineUnavailable`` if a model that is here as a folder does not fit on the device."""
    folder = Path(settings.model)
    if folder.is_dir():
        stored = devices.DTYPE_BYTES.get(str(getattr(config, "dtype", None)).removeprefix("torch."), 4)
        loaded = devices.DTYPE_BYTES[devices.choose_dtype(settings.dtype, device)]
        devices.require_memory(devices.weights_bytes(folder) * loaded // stored, device, settings.model)


def _ends(*given: int | Sequence[int] | None) -> tuple[int, ...]:
    """Return the end tokens of a model: one, several or none, as its files name them."""
    found = [token for each in given if each is not None for token in ([each] if isinstance(each, int) else each)]
    return tuple(dict.fromkeys(found))


def _is_out_of_memory(error: RuntimeError) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY)


def _line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:_ERROR_CHARS]
