"""Translation models through transformers and torch: no conversion, and the reference for the other engine."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

from udfs.devices import DTYPE_BYTES, Device, choose, choose_dtype, count_load, require_memory, weights_bytes
from udfs.engines import EngineUnavailable
from udfs.translators.seq2seq import (
    Codec,
    Output,
    Request,
    Seq2SeqSettings,
    Seq2SeqTranslator,
    fetch_model,
    local_folder,
    open_codec,
    require,
)

EXTRA: Final = "transformers"
_CPU_BATCH_TOKENS: Final = 2048
_GPU_BATCH_TOKENS: Final = 16384


class TransformersTranslatorSettings(Seq2SeqSettings):
    """MADLAD-400, NLLB-200, M2M-100 and OPUS-MT through transformers: slower than CTranslate2, no conversion."""

    kind: Literal["transformers"] = "transformers"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Numbers that the model computes in; ``auto``: bfloat16 on a GPU that has it, else float32."""

    def check(self, pairs: Sequence[tuple[str, str]], codes: Mapping[str, str]) -> None:
        """Test that packages, tokenizer and model are there and the languages covered; loads no weights.

        Args:
            pairs: source and target, GlotLID codes.
            codes: the column ``scheme()`` of the language table.

        Raises:
            EngineUnavailable: with what to install or to write.
        """
        for name in ("torch", "transformers", "sentencex"):
            require(name, EXTRA)
        self.check_languages(pairs, codes)
        folder = local_folder(self.model, self.revision, ("config.json",))
        if Path(self.model).expanduser().is_dir() and not weights_bytes(folder):
            raise EngineUnavailable(f"There are no weights (*.safetensors, *.bin) in {folder}.")

    def open(
        self, codes: Mapping[str, str], resources: Mapping[str, Sequence[str]] | None = None
    ) -> TransformersTranslator:
        """Load the model.

        Args:
            codes: the column ``scheme()`` of the language table, the model's code by GlotLID code.
            resources: addresses of the task's GPUs, ``{"gpu": ["0"]}``; None without Spark's resources.

        Raises:
            EngineUnavailable: a package, the model or a device is missing, or the memory is too small.
        """
        torch, transformers = require("torch", EXTRA), require("transformers", EXTRA)
        device = choose(self.device, resources)
        dtype = choose_dtype(self.dtype, device)
        folder = fetch_model(self.model, self.revision)
        tokenizer_folder = self.tokenizer_folder() if self.tokenizer else folder
        codec = open_codec(self.resolved_family(), tokenizer_folder, self.codes(codes))
        stored = str(transformers.AutoConfig.from_pretrained(folder).dtype or "float32").removeprefix("torch.")
        require_memory(weights_bytes(folder) * DTYPE_BYTES[dtype] // DTYPE_BYTES.get(stored, 4), device, self.model)
        logging.getLogger("transformers").setLevel(logging.ERROR)
        transformers.utils.logging.disable_progress_bar()
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=getattr(torch, dtype))
        vocabulary = transformers.AutoTokenizer.from_pretrained(tokenizer_folder).get_vocab()
        return TransformersTranslator(self, codec, model.to(str(device)).eval(), vocabulary, device, dtype)


class TransformersTranslator(Seq2SeqTranslator):
    """A loaded model with its vocabulary, ids by piece."""

    def __init__(
        self,
        settings: TransformersTranslatorSettings,
        codec: Codec,
        model: Any,
        vocabulary: Mapping[str, int],
        device: Device,
        dtype: str,
    ) -> None:
        revision = f"@{settings.revision}" if settings.revision else ""
        name = f"transformers-{version('transformers')}:{settings.model}{revision}:{dtype}"
        super().__init__(settings, codec, name, _CPU_BATCH_TOKENS if device.kind == "cpu" else _GPU_BATCH_TOKENS)
        self._model = model
        self._device = str(device)
        self._ids = vocabulary
        self._tokens = {index: piece for piece, index in vocabulary.items()}
        config = model.config
        self._end, self._pad, self._start = config.eos_token_id, config.pad_token_id, config.decoder_start_token_id
        self._unknown = vocabulary["<unk>"]
        # The folder's own defaults (beams, lengths, forced tokens) would fill in for what the settings leave out.
        model.generation_config = type(model.generation_config)(
            eos_token_id=self._end, pad_token_id=self._pad, decoder_start_token_id=self._start
        )
        count_load(name)

    def generate(self, batch: Sequence[Request]) -> list[Output]:
        """Translate one batch."""
        import torch

        longest = max(len(each.source) for each in batch)
        sources = torch.full((len(batch), longest), self._pad)
        mask = torch.zeros((len(batch), longest), dtype=torch.long)
        for row, each in enumerate(batch):
            sources[row, : len(each.source)] = torch.tensor(self._to_ids(each.source))
            mask[row, : len(each.source)] = 1
        # A family forces the same number of tokens in every row: one or none.
        starts = torch.tensor([[self._start, *self._to_ids(each.forced)] for each in batch])
        limit = max(each.limit for each in batch) + 1
        if self.settings.decoding.strategy == "sampling":
            torch.manual_seed(_seed(self.settings.decoding.seed, batch))
        with torch.inference_mode():
            made = self._model.generate(
                sources.to(self._device),
                attention_mask=mask.to(self._device),
                decoder_input_ids=starts.to(self._device),
                max_new_tokens=limit,
                **({"min_new_tokens": limit} if self.has_forced_lengths else {}),
                **self._options(),
            )
        return [self._output(row) for row in made[:, starts.shape[1] :].tolist()]

    def recover(self) -> None:
        """Give torch's cached blocks back to the device."""
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def close(self) -> None:
        """Free the weights."""
        del self._model
        self.recover()

    def _options(self) -> dict[str, Any]:
        decoding = self.settings.decoding
        options: dict[str, Any] = {
            "do_sample": decoding.strategy == "sampling",
            "num_beams": decoding.beam_size if decoding.strategy == "beam" else 1,
            "repetition_penalty": decoding.repetition_penalty,
            "no_repeat_ngram_size": decoding.no_repeat_ngram_size,
        }
        if decoding.strategy == "beam":
            options["length_penalty"] = decoding.length_penalty
        if decoding.strategy == "sampling":
            options |= {"top_p": decoding.top_p, "top_k": decoding.top_k, "temperature": decoding.temperature}
        if self.codec.family == "marian":
            # It starts the output and has a score, but was never trained.
            options["bad_words_ids"] = [[self._pad]]
        return options

    def _to_ids(self, pieces: Sequence[str]) -> list[int]:
        return [self._ids.get(piece, self._unknown) for piece in pieces]

    def _output(self, ids: Sequence[int]) -> Output:
        ended = self._end in ids
        kept = ids[: ids.index(self._end)] if ended else ids
        return Output([self._tokens.get(each, "<unk>") for each in kept], ended)


def _seed(seed: int, batch: Sequence[Request]) -> int:
    """Return a seed of the batch's own, so that it is translated alike whatever came before."""
    text = "\n".join(" ".join(each.source) for each in batch)
    return int.from_bytes(hashlib.sha256(f"{seed}\n{text}".encode()).digest()[:7])
