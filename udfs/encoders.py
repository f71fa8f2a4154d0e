"""What engines on encoder models share: where they run, loading with clear errors, and batches of like length."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import Field

from udfs.devices import Device, choose, choose_dtype, count_load, require_memory
from udfs.engines import EngineUnavailable
from udfs.rates import EngineSettings
from udfs.settings import OPERATIONAL
from udfs.token_batches import pack

if TYPE_CHECKING:
    import torch

_BATCH_TOKENS: Final = {"cpu": 2_048, "cuda": 32_768}
# Tokenizers of models without a limit say so with 10^30.
_NO_LIMIT: Final = 1_000_000
_ERROR_CHARS: Final = 300

Resources = Mapping[str, Sequence[str]] | None
"""Addresses by resource name that Spark gave the task, as ``{"gpu": ["1"]}``."""


class EncoderSettings(EngineSettings):
    """Where and in which numbers an encoder model runs."""

    dtype: str = Field("auto", pattern=r"^(auto|float32|float16|bfloat16)$")
    """Numbers that the model computes in; ``auto``: bfloat16 on a GPU that has it, else float32."""
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", json_schema_extra=OPERATIONAL)
    """``auto``: the GPU Spark gave the task, else the first one, else the CPU; or ``cpu``, ``cuda``, ``cuda:1``."""
    batch_tokens: int | None = Field(None, ge=1, json_schema_extra=OPERATIONAL)
    """Tokens of a batch, padding included; unset: 2048 on a CPU, 32768 on a GPU. Halved where memory ends."""
    batch_rows: int = Field(512, ge=1, json_schema_extra=OPERATIONAL)
    """Most sequences of a batch."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The device, numbers and batch sizes that an engine of this process has."""

    device: Device
    dtype: torch.dtype
    batch_tokens: int
    batch_rows: int

    @classmethod
    def of(cls, settings: EncoderSettings, resources: Resources) -> Runtime:
        """Return what the settings mean on this machine.

        Raises:
            EngineUnavailable: if there is no such device.
        """
        import torch

        device = choose(settings.device, resources)
        dtype = getattr(torch, choose_dtype(settings.dtype, device))
        return cls(device, dtype, settings.batch_tokens or _BATCH_TOKENS[device.kind], settings.batch_rows)

    def place(self, model: Any, name: str) -> Any:
        """Return a loaded model on its device, ready to be asked, and enter it as loaded.

        Args:
            model: a torch module on the CPU.
            name: the engine's label.

        Raises:
            EngineUnavailable: if the device has not the memory.
        """
        if self.device.kind != "cpu":
            size = sum(each.numel() * each.element_size() for each in model.parameters())
            require_memory(size, self.device, name)
        count_load(name)
        return model.to(str(self.device)).eval()

    def free(self) -> None:
        """Give the memory of models that nothing refers to any more back to the device."""
        import torch

        gc.collect()
        if self.device.kind == "cuda":
            torch.cuda.empty_cache()

    def run(
        self,
        rows: Sequence[Sequence[int]],
        padding: int,
        forward: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    ) -> np.ndarray:
        """Run token sequences of any lengths through a model, those of like length together.

        Args:
            rows: token ids of each sequence, none of them empty.
            padding: id that fills up a batch on the right.
            forward: the model: ids and mask, both int64 of shape (rows, tokens), to values of shape (rows, values).

        Returns:
            The values, float32, shape (len(rows), values), in the order of ``rows``; shape (0, 0) for none.
        """
        import torch

        def work(batch: list[int]) -> torch.Tensor:
            longest = max(len(rows[index]) for index in batch)
            ids = torch.full((len(batch), longest), padding, dtype=torch.long)
            mask = torch.zeros_like(ids)
            for place, index in enumerate(batch):
                ids[place, : len(rows[index])] = torch.as_tensor(rows[index])
                mask[place, : len(rows[index])] = 1
            return forward(ids.to(str(self.device)), mask.to(str(self.device)))

        return self.in_batches([len(row) for row in rows], work)

    def in_batches(self, lengths: Sequence[int], work: Callable[[list[int]], torch.Tensor]) -> np.ndarray:
        """Return what ``work`` makes of batches of indices, in the order of ``lengths``; see ``run``.

        A batch that memory does not hold is tried again in halves; a single sequence that it does not hold is an
        error: nothing can be done but to choose another device.
        """
        import torch

        values: list[Any] = [None] * len(lengths)
        waiting = pack(lengths, self.batch_tokens, self.batch_rows)[::-1]
        with torch.inference_mode():
            while waiting:
                batch = waiting.pop()
                try:
                    found = work(batch).float().cpu().numpy()
                except torch.OutOfMemoryError:
                    if len(batch) == 1:
                        raise
                    torch.cuda.empty_cache()
                    waiting += [batch[len(batch) // 2 :], batch[: len(batch) // 2]]
                    continue
                for index, value in zip(batch, found, strict=True):
                    values[index] = value
        return np.stack(values).astype(np.float32, copy=False) if values else np.empty((0, 0), np.float32)


def require_packages(extra: str, *modules: str) -> None:
    """See that modules can be imported.

    Raises:
        EngineUnavailable: if one cannot; it names the extra of Backprompt that brings it.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise EngineUnavailable(
                f"The package {error.name or module} is not installed: pip install 'backprompt[{extra}]'"
            ) from error


def load(what: str, model: str, loader: Callable[[], Any]) -> Any:
    """Return what ``loader`` reads from a folder or the Hugging Face hub.

    Args:
        what: what is read, such as ``configuration``, for the message.
        model: folder or name on the hub, for the message.
        loader: a call of ``from_pretrained``.

    Raises:
        EngineUnavailable: if it is not there, cannot be reached, or does not fit this version of the library.
    """
    try:
        return loader()
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise EngineUnavailable(
            f"The {what} of {model} cannot be read ({one_line(error)}). Name a folder that every machine sees, or a "
            f"model on the Hugging Face hub, which 'hf download {model}' puts into the cache"
        ) from error


def load_tokenizer(model: str, config: Any, **source: Any) -> Any:
    """Return the tokenizer of a model.

    transformers makes one without a vocabulary where the files are missing, and a tokenizer of another model gives ids
    that the weights have no place for; both are refused here.

    Args:
        model: folder or name on the hub.
        config: the model's configuration.
        source: what else ``from_pretrained`` is given, such as the revision.

    Raises:
        EngineUnavailable: if it cannot be read, or is not that of the model.
    """
    from transformers import AutoTokenizer

    tokenizer = load("tokenizer", model, lambda: AutoTokenizer.from_pretrained(model, **source))
    if not getattr(tokenizer, "is_fast", False) or len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise EngineUnavailable(f"The tokenizer of {model} cannot be read: its files (tokenizer.json) are missing")
    if len(tokenizer) > config.vocab_size:
        raise EngineUnavailable(
            f"The tokenizer of {model} is that of another model: it has {len(tokenizer)} tokens, the model "
            f"{config.vocab_size}"
        )
    return tokenizer


def max_tokens(tokenizer: Any, model: Any) -> int:
    """Return the longest sequence that a model takes, special tokens included.

    The tokenizer's limit and the model's positions count, whichever is lower: RoBERTa's 514 positions begin behind that
    of the padding, so that 512 are left. Models without positions and limit take 512, as most were trained with.
    """
    limits = [tokenizer.model_max_length] if tokenizer.model_max_length < _NO_LIMIT else []
    for name, module in model.named_modules():
        if name.rpartition(".")[2] == "position_embeddings" and hasattr(module, "num_embeddings"):
            padding = getattr(module, "padding_idx", None)
            limits.append(module.num_embeddings - (0 if padding is None else padding + 1))
    return int(min(limits, default=512))


def one_line(error: BaseException) -> str:
    """Return an error's message as one line of at most 300 characters."""
    return " ".join(str(error).split())[:_ERROR_CHARS] or type(error).__name__
