"""A small COMET-kiwi checkpoint in Unbabel's layout, the same on every machine and for every version of transformers.

Run in an environment with unbabel-comet, this file prints the scores that the package gives, by variant:

    python -m venv /tmp/comet && /tmp/comet/bin/pip install unbabel-comet==2.2.7
    /tmp/comet/bin/python tests/udfs/quality/tiny_kiwi.py > tests/udfs/quality/tiny_kiwi_scores.json
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml

LETTERS = "abcdefghijklmnopqrstuvwxyzéñáíóúü.,?!"
PIECES = ["▁", *LETTERS, *(f"▁{letter}" for letter in LETTERS), "▁the", "▁el", "▁la", "ing", "ción", "er", "os"]
POSITIONS = 64
UNITS = 16
LAYERS = 3
PAIRS = [
    ("el consejo votó a favor.", "the council voted in favour."),
    ("¿qué?", "what?"),
    ("la calle del río", "the river road " * 9),
    ("una frase muy larga que no termina, " * 3, "a sentence. " * 3),
    ("x " * 200, "y"),
    ("y", "x " * 200),
    ("x " * 200, "y " * 200),
    ("de mayo a septiembre", "de mayo a septiembre"),
]
ENCODER: dict[str, Any] = {
    "vocab_size": 4 + len(PIECES) + 1,
    "hidden_size": UNITS,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": POSITIONS + 2,
    "type_vocab_size": 1,
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "layer_norm_eps": 1e-5,
}
HYPERPARAMETERS: dict[str, Any] = {
    "class_identifier": "unified_metric",
    "encoder_model": "XLM-RoBERTa",
    "sent_layer": "mix",
    "layer_transformation": "sparsemax",
    "layer_norm": False,
    "word_layer": 2,
    "hidden_sizes": [20, 12],
    "activations": "Tanh",
    "final_activation": None,
    "input_segments": ["mt", "src"],
    "word_level_training": False,
    "dropout": 0.1,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "sparsemax": {},
    "softmax": {"layer_transformation": "softmax"},
    "sparsemax_patch": {"layer_transformation": "sparsemax_patch"},
    "layer_norm": {"layer_norm": True},
    "one layer": {"sent_layer": 1},
    "word level": {"word_level_training": True, "error_labels": ["minor", "major"]},
    "sigmoid": {"activations": "Sigmoid", "final_activation": "Sigmoid", "hidden_sizes": [8]},
    "xl": {"encoder_model": "XLM-RoBERTa-XL"},
}


def build(folder: Path, **changes: Any) -> Path:
    """Write a checkpoint and, in ``encoder``, its encoder's configuration and tokenizer; return the folder."""
    import torch

    hyperparameters = {**HYPERPARAMETERS, "pretrained_model": str(folder / "encoder"), **changes}
    _write_encoder(folder / "encoder", is_xl=hyperparameters["encoder_model"].endswith("XL"))
    (folder / "checkpoints").mkdir()
    (folder / "hparams.yaml").write_text(yaml.safe_dump(hyperparameters), encoding="utf-8")
    # As in the published model, the checkpoint itself says sparsemax where the patch is in the other file.
    inner = dict(hyperparameters)
    inner["layer_transformation"] = inner["layer_transformation"].removesuffix("_patch")
    inner.pop("class_identifier")
    state = {name: torch.from_numpy(_values(name, shape)) for name, shape in _shapes(hyperparameters).items()}
    content = {"state_dict": state, "hyper_parameters": inner, "pytorch-lightning_version": "2.0.0", "epoch": 1}
    torch.save(content, folder / "checkpoints" / "model.ckpt")
    return folder


def _write_encoder(folder: Path, is_xl: bool) -> None:
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    folder.mkdir(parents=True)
    kind = transformers.XLMRobertaXLConfig if is_xl else transformers.XLMRobertaConfig
    kind(**ENCODER).save_pretrained(folder)
    vocabulary = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocabulary += [(piece, -float(20 - 5 * len(piece))) for piece in PIECES] + [("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": POSITIONS, "bos_token": "<s>"}
    settings |= {"eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>"}
    settings |= {"cls_token": "<s>", "mask_token": "<mask>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def _shapes(hyperparameters: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the weights of a checkpoint by name; those of the layout that the package has written since 2022."""
    inner, is_xl = ENCODER["intermediate_size"], hyperparameters["encoder_model"].endswith("XL")
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.model.embeddings.word_embeddings.weight": (ENCODER["vocab_size"], UNITS),
        "encoder.model.embeddings.position_embeddings.weight": (POSITIONS + 2, UNITS),
        "encoder.model.embeddings.token_type_embeddings.weight": (1, UNITS),
    }

    def linear(name: str, rows: int, columns: int) -> None:
        shapes.update({f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)})

    def norm(name: str) -> None:
        shapes.update({f"{name}.weight": (UNITS,), f"{name}.bias": (UNITS,)})

    if is_xl:
        norm("encoder.model.encoder.LayerNorm")
    else:
        norm("encoder.model.embeddings.LayerNorm")
    for index in range(LAYERS):
        layer = f"encoder.model.encoder.layer.{index}"
        for part in ("query", "key", "value"):
            linear(f"{layer}.attention.self.{part}", UNITS, UNITS)
        linear(f"{layer}.attention.output.dense", UNITS, UNITS)
        linear(f"{layer}.intermediate.dense", inner, UNITS)
        linear(f"{layer}.output.dense", UNITS, inner)
        norm(f"{layer}.attention.self_attn_layer_norm" if is_xl else f"{layer}.attention.output.LayerNorm")
        norm(f"{layer}.LayerNorm" if is_xl else f"{layer}.output.LayerNorm")
    size = UNITS
    for place, hidden in enumerate([*hyperparameters["hidden_sizes"], 1]):
        linear(f"estimator.ff.{3 * place}", hidden, size)
        size = hidden
    if hyperparameters["sent_layer"] == "mix":
        shapes |= {f"layerwise_attention.scalar_parameters.{index}": (1,) for index in range(LAYERS + 1)}
        shapes |= {"layerwise_attention.gamma": (1,), "layerwise_attention.dropout_mask": (LAYERS + 1,)}
        shapes["layerwise_attention.dropout_fill"] = (LAYERS + 1,)
    if hyperparameters["word_level_training"]:
        linear("hidden2tag", 3, UNITS)
    return shapes


def _values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers that hang on the name alone."""
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    values = random.normal(0.0, 0.5, shape)
    is_gain = "LayerNorm.weight" in name or "layer_norm.weight" in name or name.endswith("gamma")
    return (1.0 + 0.2 * values if is_gain else values).astype(np.float32)


def _package_scores() -> dict[str, list[float]]:
    """Return what unbabel-comet makes of the pairs, each alone, by variant."""
    from comet import load_from_checkpoint

    scores = {}
    for name, changes in VARIANTS.items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = build(Path(temporary) / "model", **changes)
            model = load_from_checkpoint(str(folder / "checkpoints" / "model.ckpt"), strict=True)
            model.eval()
            found = []
            for source, translation in PAIRS:
                (inputs,) = model.prepare_sample([{"src": source, "mt": translation}], stage="predict")
                found.append(round(model(**inputs).score.item(), 6))
            scores[name] = found
    return scores


if __name__ == "__main__":
    json.dump(_package_scores(), sys.stdout, indent=1)
