"""A small multilingual MiniLM: XLM-R's tokenizer type, a BERT encoder, mean pooling."""

from __future__ import annotations

import json
from pathlib import Path

LIMIT = 32
UNITS = 24
TEXTS = ["the river road", "", "a", "the council voted to close the road " * 9, "río, calle", " \n", "qué?"]


def build(path: Path) -> str:
    """Write the model, with random weights, below ``path``; its folder."""
    import sentence_transformers
    import torch
    import transformers
    from sentence_transformers.sentence_transformer.modules import Pooling
    from tokenizers import SentencePieceUnigramTokenizer

    pieces = SentencePieceUnigramTokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pieces.train_from_iterator(
        TEXTS * 20, vocab_size=80, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    vocabulary = [tuple(each) for each in json.loads(pieces.to_str())["model"]["vocab"]]
    tokenizer = transformers.XLMRobertaTokenizer(vocab=vocabulary, model_max_length=LIMIT)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=UNITS,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=64,
        pad_token_id=tokenizer.pad_token_id,
    )
    transformers.BertModel(config).save_pretrained(path / "encoder")
    tokenizer.save_pretrained(path / "encoder")
    encoder = sentence_transformers.base.modules.Transformer(str(path / "encoder"))
    model = sentence_transformers.SentenceTransformer(modules=[encoder, Pooling(UNITS, pooling_mode="mean")])
    model.max_seq_length = LIMIT
    model.save(str(path / "model"))
    return str(path / "model")
