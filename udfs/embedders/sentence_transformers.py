"""Sentence embeddings by any model of sentence-transformers (Reimers and Gurevych 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from udfs.encoders import EncoderSettings, Resources, Runtime, load, require_packages
from udfs.engines import EngineUnavailable

if TYPE_CHECKING:
    import torch

_EXTRA: Final = "sentence-transformers"


class SentenceTransformersSettings(EncoderSettings):
    """A sentence embedding model; texts above its own limit are embedded by their start."""

    kind: Literal["sentence-transformers"] = "sentence-transformers"
    model: str = "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"
    """Folder of the model, or its name on the Hugging Face hub. The default knows 50 languages and reads 128 tokens."""
    revision: str | None = None
    """Commit, tag or branch of a model on the hub; name a commit, so that the model stays the same."""
    prompt: str = ""
    """Put in front of each text, as some models want: ``"query: "`` for the E5 family."""

    @property
    def label(self) -> str:
        """Return what is stored beside the vectors: kind, model, and the revision if one is named."""
        return f"sentence-transformers:{self.model}" + (f"@{self.revision}" if self.revision else "")

    def check(self) -> None:
        """Test that there is such a model; its weights are not loaded.

        Raises:
            EngineUnavailable: if a package is missing, or the model cannot be read or is of another kind.
        """
        require_packages(_EXTRA, "torch", "sentence_transformers")
        from sentence_transformers.util import is_sentence_transformer_model

        # Of any other encoder the library would take the mean over the tokens, which says little of a sentence.
        if not load(
            "modules.json", self.model, lambda: is_sentence_transformer_model(self.model, revision=self.revision)
        ):
            raise EngineUnavailable(
                f"{self.model} is no model of sentence-transformers, or cannot be read: there is no modules.json. "
                "Correct model of the engine; 'hf download NAME' puts one into the cache"
            )

    def open(self, resources: Resources = None) -> SentenceTransformersEmbedder:
        """Load the model.

        Args:
            resources: what Spark gave the task.

        Raises:
            EngineUnavailable: see ``check``; also if its device is missing or too small.
        """
        self.check()
        from sentence_transformers import SentenceTransformer

        runtime = Runtime.of(self, resources)
        model = load(
            "weights",
            self.model,
            lambda: SentenceTransformer(
                self.model, device="cpu", revision=self.revision, model_kwargs={"dtype": runtime.dtype}
            ),
        )
        return SentenceTransformersEmbedder(self, runtime, runtime.place(model, self.label))


class SentenceTransformersEmbedder:
    """Embeds texts in batches of like length."""

    def __init__(self, settings: SentenceTransformersSettings, runtime: Runtime, model: Any) -> None:
        self.label = settings.label
        self.dimensions = int(model.get_embedding_dimension())
        self._prompt = settings.prompt
        self._runtime = runtime
        self._model = model

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors, float32 of length 1, shape (len(texts), dimensions), in order; zeros for no text."""
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        filled = [index for index, text in enumerate(texts) if text.strip()]
        if not filled:
            return vectors
        lines = [self._prompt + texts[index] for index in filled]

        def work(batch: list[int]) -> torch.Tensor:
            found: torch.Tensor = self._model.encode(
                [lines[index] for index in batch],
                prompt="",  # else a model's default prompt would come before ours
                batch_size=len(batch),
                show_progress_bar=False,
                convert_to_tensor=True,
            )
            return found

        found = self._runtime.in_batches(self._lengths(lines), work)
        # In float32 whatever the model's numbers: bfloat16 has lengths of 1 to within a percent only.
        vectors[filled] = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return vectors

    def _lengths(self, lines: list[str]) -> list[int]:
        """Return the tokens of each text that the model reads."""
        tokenizer = self._model.tokenizer
        encoded = tokenizer(
            lines,
            truncation=True,
            max_length=self._model.max_seq_length or tokenizer.model_max_length,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        return [len(ids) for ids in encoded["input_ids"]]
