"""Any text classification model of transformers, such as the hate speech model of MURI (Vidgen et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from pydantic import Field

from udfs.encoders import EncoderSettings, Resources, Runtime, load, load_tokenizer, max_tokens, require_packages
from udfs.engines import EngineUnavailable

if TYPE_CHECKING:
    import torch

_EXTRA: Final = "transformers"
_LABELS_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Scored:
    """What a classifier thinks of one text."""

    score: float
    """Highest probability of the wanted label in any window, 0 to 1; 0 for a text without a word."""
    windows: int
    """Windows that the text was read in."""


class TransformersClassifierSettings(EncoderSettings):
    """A text classification model of transformers, read in windows over the whole text, its highest score kept.

    The default is MURI's, for English texts: what it is given are instruction and output in English.
    """

    kind: Literal["transformers"] = "transformers"
    model: str = "facebook/roberta-hate-speech-dynabench-r4-target"
    """Folder of the model, or its name on the Hugging Face hub."""
    revision: str | None = None
    """Commit, tag or branch of a model on the hub; name a commit, so that the model stays the same."""
    wanted_label: str = "hate"
    """Label whose probability is the score, as the model's ``config.json`` writes it."""
    window_tokens: int | None = Field(None, ge=16)
    """Tokens of a window, special ones included; unset: the most that the model takes."""
    overlap_tokens: int = Field(64, ge=0)
    """Tokens that a window shares with the one before, so that no sentence is only seen cut."""

    @property
    def label(self) -> str:
        """Return what is stored on every row: ``transformers:MODEL``, and the revision if one is named."""
        return f"transformers:{self.model}" + (f"@{self.revision}" if self.revision else "")

    def check(self) -> None:
        """Read the model's configuration and tokenizer; its weights are not loaded.

        Raises:
            EngineUnavailable: if a package is missing, the model cannot be read, or it has no such label.
        """
        require_packages(_EXTRA, "torch", "transformers")
        self._parts()

    def open(self, resources: Resources = None) -> TransformersClassifier:
        """Load the model.

        Args:
            resources: what Spark gave the task.

        Raises:
            EngineUnavailable: see ``check``; also if its device is missing or too small, or the window is.
        """
        require_packages(_EXTRA, "torch", "transformers")
        from transformers import AutoModelForSequenceClassification

        config, tokenizer = self._parts()
        runtime = Runtime.of(self, resources)
        model = load(
            "weights",
            self.model,
            lambda: AutoModelForSequenceClassification.from_pretrained(
                self.model, config=config, dtype=runtime.dtype, **self._source()
            ),
        )
        return TransformersClassifier(self, runtime, tokenizer, runtime.place(model, self.label))

    def _parts(self) -> tuple[Any, Any]:
        """Return the configuration, which has the wanted label, and the tokenizer."""
        from transformers import AutoConfig

        config = load("configuration", self.model, lambda: AutoConfig.from_pretrained(self.model, **self._source()))
        self._index(config)
        return config, load_tokenizer(self.model, config, **self._source())

    def _source(self) -> dict[str, Any]:
        return {"revision": self.revision} if self.revision else {}

    def _index(self, config: Any) -> int:
        """Return the place of the wanted label among the model's."""
        labels = {int(index): str(label) for index, label in config.id2label.items()}
        for index, label in labels.items():
            if label == self.wanted_label:
                return index
        named = ", ".join([labels[index] for index in sorted(labels)][:_LABELS_NAMED])
        raise EngineUnavailable(
            f"{self.model} has no label {self.wanted_label!r}; it has: {named}. Correct wanted_label of the engine"
        )


class TransformersClassifier:
    """Scores texts of any length."""

    def __init__(self, settings: TransformersClassifierSettings, runtime: Runtime, tokenizer: Any, model: Any) -> None:
        self.label = settings.label
        self._runtime = runtime
        self._tokenizer = tokenizer
        self._model = model
        self._wanted = settings._index(model.config)
        # One output, or several labels that do not exclude each other, are a probability each.
        self._is_binary = model.config.num_labels == 1 or model.config.problem_type == "multi_label_classification"
        limit = max_tokens(tokenizer, model)
        self._window = min(settings.window_tokens or limit, limit)
        self._overlap = settings.overlap_tokens
        room = self._window - tokenizer.num_special_tokens_to_add()
        if self._overlap >= room:
            raise EngineUnavailable(
                f"A window of {self.label} has room for {room} tokens, fewer than overlap_tokens and one: "
                f"set overlap_tokens below {room}"
            )

    def close(self) -> None:
        """Free the weights."""
        self._model = None
        self._runtime.free()

    def score(self, texts: Sequence[str]) -> list[Scored]:
        """Return one result a text, same order; special tokens written out in a text are text."""
        filled = [index for index, text in enumerate(texts) if text.strip()]
        windows, owners = self._windows([texts[index] for index in filled])
        scores = self._runtime.run(windows, self._tokenizer.pad_token_id or 0, self._forward)
        best = np.zeros(len(texts), np.float32)
        counts = np.zeros(len(texts), np.int64)
        places = np.asarray(filled, np.int64)[owners]
        np.maximum.at(best, places, scores.reshape(-1))
        np.add.at(counts, places, 1)
        return [Scored(float(score), int(count)) for score, count in zip(best, counts, strict=True)]

    def _windows(self, texts: list[str]) -> tuple[list[list[int]], list[int]]:
        """Return the token ids of all windows, and of which text each is."""
        if not texts:
            return [], []
        encoded = self._tokenizer(
            texts,
            truncation=True,
            max_length=self._window,
            stride=self._overlap,
            return_overflowing_tokens=True,
            return_attention_mask=False,
            split_special_tokens=True,
        )
        return encoded["input_ids"], encoded["overflow_to_sample_mapping"]

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        logits = self._model(input_ids=ids, attention_mask=mask).logits.float()
        probabilities = logits.sigmoid() if self._is_binary else logits.softmax(dim=-1)
        return probabilities[:, self._wanted : self._wanted + 1]  # type: ignore[no-any-return]
