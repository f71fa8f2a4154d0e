"""COMET-kiwi, reference-free translation quality (Rei et al. 2022), from Unbabel's own checkpoints.

The package unbabel-comet (2.2.7) asks for numpy below 2, transformers below 5 and huggingface-hub below 1, so that it
cannot stand beside current engines. A model of the kind ``unified_metric`` is an encoder, a weighted mix of its layers
and a small head; this module reads these from the checkpoint. Its scores are those of the package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from udfs.encoders import EncoderSettings, Resources, Runtime, load, load_tokenizer, one_line, require_packages
from udfs.engines import EngineUnavailable
from udfs.quality import Estimate
from udfs.settings import OPERATIONAL

if TYPE_CHECKING:
    import torch

_EXTRA: Final = "comet"
_HYPERPARAMETERS: Final = "hparams.yaml"
_CHECKPOINT: Final = "checkpoints/model.ckpt"
_ENCODER: Final = "encoder.model."
_HEAD: Final = "estimator.ff."
_MIX: Final = "layerwise_attention."
# A model trained as if with sparsemax, by a fault of the package then, with softmax indeed.
_SOFTMAX_INDEED: Final = "sparsemax_patch"
_ENCODERS: Final = ("XLM-RoBERTa", "XLM-RoBERTa-XL")
_NORM_EPSILON: Final = 1e-12


class CometKiwiSettings(EncoderSettings):
    """A COMET model that compares translation and source, such as wmt22-cometkiwi-da (0.6 billion parameters).

    Its licence is CC BY-NC-SA; on the Hugging Face hub it is given after its terms are accepted and ``hf auth login``.
    """

    kind: Literal["comet-kiwi"] = "comet-kiwi"
    model: str = "Unbabel/wmt22-cometkiwi-da"
    """Folder with ``hparams.yaml`` and ``checkpoints/model.ckpt``, or the model's name on the Hugging Face hub."""
    revision: str | None = None
    """Commit, tag or branch of a model on the hub; name a commit, so that the model stays the same."""
    encoder: str | None = None
    """Folder or hub name of the encoder's configuration and tokenizer, its weights not needed; unset: the one that
    ``hparams.yaml`` names, microsoft/infoxlm-large for wmt22-cometkiwi-da."""
    allow_pickle: bool = Field(False, json_schema_extra=OPERATIONAL)
    """Load a checkpoint that holds more than numbers and text; such a file can run any program, so trust its source."""

    @property
    def label(self) -> str:
        """Return what is stored on every row: kind, model, and the revision if one is named."""
        return f"comet-kiwi:{self.model}" + (f"@{self.revision}" if self.revision else "")

    def check(self) -> None:
        """Read the model's hyperparameters and its encoder's configuration and tokenizer; no weights are loaded.

        Raises:
            EngineUnavailable: if a package is missing, a file cannot be read, or the model is of another kind.
        """
        require_packages(_EXTRA, "torch", "transformers", "yaml")
        self._parts()

    def open(self, resources: Resources = None) -> CometKiwi:
        """Load the model.

        Args:
            resources: what Spark gave the task.

        Raises:
            EngineUnavailable: see ``check``; also if the checkpoint is not whole, or its device missing or too small.
        """
        require_packages(_EXTRA, "torch", "transformers", "yaml")
        from transformers import MODEL_MAPPING

        hyperparameters, config, tokenizer = self._parts()
        architecture: Any = MODEL_MAPPING[type(config)]
        runtime = Runtime.of(self, resources)
        checkpoint = load("checkpoint", self.model, lambda: self._read_checkpoint(self._file(_CHECKPOINT)))
        state: Mapping[str, torch.Tensor] = checkpoint["state_dict"]
        # The package takes a model as the checkpoint describes it, and only its kind from the other file.
        hyperparameters = {**hyperparameters, **checkpoint.get("hyper_parameters", {}), **_patch(hyperparameters)}
        encoder, info = load(
            "weights",
            self.model,
            lambda: architecture.from_pretrained(
                None,
                config=config,
                state_dict=_below(_ENCODER, state),
                add_pooling_layer=False,
                dtype=runtime.dtype,
                output_loading_info=True,
            ),
        )
        if info["missing_keys"]:
            named = ", ".join(sorted(info["missing_keys"])[:3])
            raise EngineUnavailable(f"The checkpoint of {self.model} lacks weights of its encoder: {named}")
        head = load("weights", self.model, lambda: _Head.read(hyperparameters, state, config.num_hidden_layers + 1))
        return CometKiwi(self.label, runtime, tokenizer, runtime.place(encoder, self.label), head)

    def _parts(self) -> tuple[dict[str, Any], Any, Any]:
        """Return the hyperparameters, and the encoder's configuration and tokenizer."""
        import yaml
        from transformers import AutoConfig

        def read() -> dict[str, Any]:
            with self._file(_HYPERPARAMETERS).open(encoding="utf-8") as file:
                return dict(yaml.safe_load(file))

        hyperparameters = load(_HYPERPARAMETERS, self.model, read)
        _require_kiwi(self.model, hyperparameters)
        name = self.encoder or str(hyperparameters["pretrained_model"])
        config = load("configuration", name, lambda: AutoConfig.from_pretrained(name))
        return hyperparameters, config, load_tokenizer(name, config)

    def _file(self, name: str) -> Path:
        """Return a file of the model, fetched from the hub if it is no folder."""
        folder = Path(self.model)
        if folder.is_dir():
            return folder / name
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(self.model, name, revision=self.revision))

    def _read_checkpoint(self, path: Path) -> Any:
        import pickle

        import torch

        try:
            return torch.load(path, map_location="cpu", mmap=True, weights_only=not self.allow_pickle)
        except pickle.UnpicklingError as error:
            raise ValueError(
                f"it holds more than numbers and text: {one_line(error)[:100]}. If you trust where it comes from, set "
                "allow_pickle: true"
            ) from error


class CometKiwi:
    """Estimates the quality of translations."""

    def __init__(self, label: str, runtime: Runtime, tokenizer: Any, encoder: Any, head: _Head) -> None:
        self.label = label
        self._runtime = runtime
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._head = head.to(runtime)
        self._max_tokens = encoder.config.max_position_embeddings - 2

    def close(self) -> None:
        """Free the weights."""
        self._encoder = None
        del self._head
        self._runtime.free()

    def estimate(self, sources: Sequence[str], translations: Sequence[str]) -> list[Estimate]:
        """Return one estimate a pair, same order.

        The model reads 512 tokens of a pair, the translation first; what comes after does not count. It was made for
        sentences: give it sentences or short texts.
        """
        pairs = list(zip(sources, translations, strict=True))
        filled = [index for index, (source, translation) in enumerate(pairs) if source.strip() and translation.strip()]
        estimates = [Estimate(None)] * len(pairs)
        if filled:
            rows, cuts = self._rows([pairs[index] for index in filled])
            scores = self._runtime.run(rows, self._tokenizer.pad_token_id, self._forward)[:, 0]
            for index, score, is_cut in zip(filled, scores, cuts, strict=True):
                estimates[index] = Estimate(float(score), is_cut)
        return estimates

    def _rows(self, pairs: list[tuple[str, str]]) -> tuple[list[list[int]], list[bool]]:
        """Return the token ids of ``<s> translation </s></s> source </s>``, and whether each was cut."""
        start, end = self._tokenizer.cls_token_id, self._tokenizer.sep_token_id
        of_sources = self._ids([source for source, _ in pairs])
        of_translations = self._ids([translation for _, translation in pairs])
        # The package cuts each text to the limit less the special tokens of both before it joins them.
        most = self._max_tokens - 4
        rows, cuts = [], []
        for source, translation in zip(of_sources, of_translations, strict=True):
            row = [start, *translation[:most], end, end, *source[:most], end]
            rows.append(row[: self._max_tokens])
            cuts.append(len(row) > self._max_tokens or max(len(source), len(translation)) > most)
        return rows, cuts

    def _ids(self, texts: list[str]) -> list[list[int]]:
        encoded = self._tokenizer(
            texts, add_special_tokens=False, return_attention_mask=False, truncation=True, max_length=self._max_tokens
        )
        return encoded["input_ids"]  # type: ignore[no-any-return]

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        layers = self._encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        return self._head.score(layers, mask)


@dataclass(frozen=True)
class _Head:
    """What comes after the encoder: a mix of the first token's vectors of all layers, and a feed-forward network.

    Both in float32 on any device: they are a thousandth of the work, and scores differ in the third digit.
    """

    weights: torch.Tensor
    """Of each layer, embeddings included, shape (layers,)."""
    has_layer_norm: bool
    network: Any

    @classmethod
    def read(cls, hyperparameters: Mapping[str, Any], state: Mapping[str, torch.Tensor], layers: int) -> _Head:
        """Build the head.

        Args:
            hyperparameters: of the checkpoint.
            state: its weights.
            layers: of the encoder, embeddings included.

        Raises:
            ValueError: if a hyperparameter is unknown here.
            KeyError, RuntimeError: if the weights do not fit the hyperparameters.
        """
        import torch

        layer = hyperparameters["sent_layer"]
        if layer == "mix":
            raw = torch.cat([state[f"{_MIX}scalar_parameters.{index}"].float() for index in range(layers)])
            is_sparse = hyperparameters["layer_transformation"] == "sparsemax"
            weights = (sparsemax(raw) if is_sparse else raw.softmax(0)) * state[f"{_MIX}gamma"].float()
        else:
            weights = torch.nn.functional.one_hot(torch.tensor(int(layer)), layers).float()
        network = _feed_forward(hyperparameters, layers_in=state[f"{_HEAD}0.weight"].shape[1])
        network.load_state_dict(_below(_HEAD, state))
        return cls(weights, layer == "mix" and bool(hyperparameters["layer_norm"]), network.float().eval())

    def to(self, runtime: Runtime) -> _Head:
        """Return the head on the device of the encoder."""
        device = str(runtime.device)
        return _Head(self.weights.to(device), self.has_layer_norm, self.network.to(device))

    def score(self, layers: Sequence[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        """Return the scores.

        Args:
            layers: output of each layer of the encoder, shape (rows, tokens, units).
            mask: 1 where there is a token, shape (rows, tokens).

        Returns:
            float32, shape (rows, 1).
        """
        import torch

        vectors = torch.stack([self._first(layer, mask) for layer in layers])
        mixed = torch.einsum("l,lru->ru", self.weights, vectors)
        return self.network(mixed)  # type: ignore[no-any-return]

    def _first(self, layer: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the first token's vectors, of a layer normalised over all units of all tokens if the model does so."""
        first = layer[:, 0].float()
        if not self.has_layer_norm:
            return first
        values = layer.float()
        shown = mask.unsqueeze(-1).float()
        count = mask.sum(1, keepdim=True).float() * values.shape[-1]
        mean = (values * shown).sum((1, 2)).unsqueeze(1) / count
        variance = (((values - mean.unsqueeze(-1)) * shown) ** 2).sum((1, 2)).unsqueeze(1) / count
        return (first - mean) / (variance + _NORM_EPSILON).sqrt()


def sparsemax(values: torch.Tensor) -> torch.Tensor:
    """Return the point of the probability simplex that is nearest to ``values``, shape (n,) (Martins, Astudillo 2016).

    Unlike softmax it gives most entries nothing.
    """
    import torch

    ordered = values.sort(descending=True).values
    sums = ordered.cumsum(0) - 1
    ranks = torch.arange(1, len(values) + 1, device=values.device)
    kept = int((ranks * ordered > sums).sum())
    return (values - sums[kept - 1] / kept).clamp(min=0)


def _feed_forward(hyperparameters: Mapping[str, Any], layers_in: int) -> Any:
    """Return the regression network, in the package's order: its weights are named by their place."""
    from torch import nn

    def activation(name: str) -> nn.Module:
        found = getattr(nn, name.title(), None)
        if found is None:
            raise ValueError(f"unknown activation {name}")
        return found()  # type: ignore[no-any-return]

    modules: list[nn.Module] = []
    size = layers_in
    for hidden in hyperparameters["hidden_sizes"]:
        modules += [nn.Linear(size, hidden), activation(hyperparameters["activations"]), nn.Identity()]
        size = hidden
    modules.append(nn.Linear(size, 1))
    if hyperparameters.get("final_activation"):
        modules.append(activation(hyperparameters["final_activation"]))
    return nn.Sequential(*modules)


def _require_kiwi(model: str, hyperparameters: Mapping[str, Any]) -> None:
    kind = hyperparameters.get("class_identifier")
    encoder = hyperparameters.get("encoder_model")
    segments = hyperparameters.get("input_segments")
    if kind != "unified_metric" or encoder not in _ENCODERS or segments != ["mt", "src"]:
        raise EngineUnavailable(
            f"{model} is no COMET-kiwi model: its hparams.yaml says class_identifier {kind}, encoder_model {encoder}, "
            f"input_segments {segments}, where unified_metric, {' or '.join(_ENCODERS)} and [mt, src] are needed. "
            "wmt22-cometkiwi-da is one"
        )


def _patch(hyperparameters: Mapping[str, Any]) -> dict[str, str]:
    is_patched = hyperparameters.get("layer_transformation") == _SOFTMAX_INDEED
    return {"layer_transformation": "softmax"} if is_patched else {}


def _below(prefix: str, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
