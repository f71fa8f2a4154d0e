"""A small RoBERTa classifier with a byte-level BPE tokenizer, trained to find one word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

POSITIONS = 64
HATE = "vermin"
WORDS = [
    "the",
    "council",
    "voted",
    "to",
    "close",
    "road",
    "along",
    "river",
    "between",
    "may",
    "people",
    "drive",
    "cars",
]


def text_of(words: int, *, hate_at: int | None = None, seed: int = 1) -> str:
    chosen = list(np.random.default_rng(seed).choice(WORDS, words))
    if hate_at is not None:
        chosen[hate_at] = HATE
    return " ".join(chosen)


def build(path: Path) -> str:
    """Train the model and write it into ``path``."""
    import torch
    import transformers

    path.mkdir(exist_ok=True)
    tokenizer = _tokenizer(path)
    torch.manual_seed(0)
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=POSITIONS + 2,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        id2label={0: "nothate", 1: "hate"},
        label2id={"nothate": 0, "hate": 1},
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = transformers.RobertaForSequenceClassification(config)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    random = np.random.default_rng(0)
    for step in range(60):
        labels = torch.tensor([0, 1] * 8)
        texts = [
            text_of(
                words := int(random.integers(1, 60)), hate_at=int(random.integers(words)) if wanted else None, seed=seed
            )
            for seed, wanted in enumerate(labels, 16 * step)
        ]
        batch = tokenizer(texts, padding=True, truncation=True, max_length=POSITIONS, return_tensors="pt")
        loss = torch.nn.functional.cross_entropy(model(**batch).logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.save_pretrained(path)
    return str(path)


def _tokenizer(path: Path) -> Any:
    import tokenizers
    import transformers

    bpe = tokenizers.ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator([" ".join([*WORDS, HATE])] * 20, vocab_size=400, special_tokens=special)
    bpe.save_model(str(path))
    merges = [tuple(line.split()) for line in (path / "merges.txt").read_text().splitlines()[1:]]
    vocab = json.loads((path / "vocab.json").read_text())
    tokenizer = transformers.RobertaTokenizer(vocab=vocab, merges=merges, model_max_length=POSITIONS)
    tokenizer.save_pretrained(path)
    return tokenizer
