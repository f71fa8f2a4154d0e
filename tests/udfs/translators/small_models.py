"""Translation models of the real architectures and tokenizer types, made on the spot: random weights, no network.

Their output is noise, but the same noise in every engine that computes the same thing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sentencepiece

LANGUAGES = {"spa_Latn": "es", "eng_Latn": "en", "fra_Latn": "fr", "rus_Cyrl": "ru"}
TEXTS = [
    "La casa que vimos ayer cerca del río era de mis abuelos. Tenía un jardín muy grande, con árboles y flores.",
    "The house that we saw yesterday near the river was my grandparents'. It had a big garden with trees and flowers.",
    "La maison que nous avons vue hier près de la rivière appartenait à mes grands-parents. Elle avait un jardin.",
    "Дом, который мы видели вчера у реки, принадлежал моим бабушке и дедушке. У него был большой сад.",
    "¿Quién vive allí ahora? Nadie lo sabe; dicen que fue vendida en 1987 por 12 500 pesetas.",
]
_VOCABULARY = 480


def _train(prefix: Path, model_type: str, **options: Any) -> sentencepiece.SentencePieceProcessor:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 4),
        model_prefix=str(prefix),
        vocab_size=_VOCABULARY,
        model_type=model_type,
        hard_vocab_limit=False,
        character_coverage=1.0,
        minloglevel=2,
        **options,
    )
    Path(f"{prefix}.vocab").unlink()
    return sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")


def _write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")


def _save(model: Any, folder: Path) -> Path:
    """Spread the weights, so that outputs differ by input and the end token comes now and then."""
    import torch

    generator = torch.Generator().manual_seed(3)
    config = model.config
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and "embed_positions" not in name:
                has_tokens = len(weight) == config.vocab_size
                weight.normal_(0, 1.0 if has_tokens else 0.6, generator=generator)
                if has_tokens and "lm_head" not in name:
                    # As in every trained model: padding, from which Marian's decoder starts, is embedded as nothing.
                    weight[config.pad_token_id] = 0
        model.lm_head.weight[config.eos_token_id] *= 2.5
    model.save_pretrained(folder)
    return folder


def madlad(folder: Path, languages: Iterable[str] = LANGUAGES.values()) -> Path:
    """A T5 v1.1 with SentencePiece (unigram, byte fallback), ``<2xx>`` tags and MADLAD's unusual control tokens."""
    from transformers import T5Config, T5ForConditionalGeneration

    folder.mkdir(parents=True)
    tags = [f"<2{code}>" for code in languages]
    # MADLAD's decoder starts from <unk>, and <s> is its padding.
    pieces = _train(
        folder / "spiece", "unigram", unk_id=0, bos_id=1, eos_id=2, pad_id=-1, user_defined_symbols=tags,
        byte_fallback=True, max_sentencepiece_length=8,
    )  # fmt: skip
    control = {"unk_token": "<unk>", "pad_token": "<s>", "bos_token": "<s>", "eos_token": "</s>"}
    _write(folder / "tokenizer_config.json", {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, **control})
    config = T5Config(
        vocab_size=pieces.get_piece_size(), d_model=32, d_kv=16, d_ff=64, num_layers=2,
        num_decoder_layers=2, num_heads=2, feed_forward_proj="gated-gelu", tie_word_embeddings=False,
        decoder_start_token_id=0, pad_token_id=1, eos_token_id=2, dropout_rate=0.0,
    )  # fmt: skip
    return _save(T5ForConditionalGeneration(config), folder)


def nllb(folder: Path) -> Path:
    """An M2M100 with NLLB's tokenizer: SentencePiece (BPE) and language codes as tokens behind its pieces."""
    from transformers import AutoTokenizer, M2M100Config, M2M100ForConditionalGeneration

    folder.mkdir(parents=True)
    _train(folder / "sentencepiece.bpe", "bpe", unk_id=0, bos_id=1, eos_id=2, pad_id=-1)
    _write(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "NllbTokenizer", "additional_special_tokens": list(LANGUAGES), "src_lang": "eng_Latn"},
    )
    config = M2M100Config(
        vocab_size=len(AutoTokenizer.from_pretrained(folder)), d_model=32, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64,
        max_position_embeddings=256, bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2,
        dropout=0.0, scale_embedding=True, tie_word_embeddings=False,
    )  # fmt: skip
    return _save(M2M100ForConditionalGeneration(config), folder)


def marian(folder: Path, targets: Iterable[str] = ("eng", "fra")) -> Path:
    """A Marian model with two SentencePiece files, its own vocabulary, and ``>>xxx<<`` tags if it has ``targets``."""
    from transformers import MarianConfig, MarianMTModel

    folder.mkdir(parents=True)
    pieces = set()
    for side in ("source", "target"):
        coder = _train(folder / side, "unigram", unk_id=0, bos_id=-1, eos_id=1, pad_id=-1, max_sentencepiece_length=8)
        pieces |= {coder.id_to_piece(index) for index in range(2, coder.get_piece_size())}
        (folder / f"{side}.model").rename(folder / f"{side}.spm")
    tokens = ["</s>", "<unk>", *(f">>{code}<<" for code in targets), *sorted(pieces), "<pad>"]
    _write(folder / "vocab.json", {token: index for index, token in enumerate(tokens)})
    _write(folder / "tokenizer_config.json", {"tokenizer_class": "MarianTokenizer", "source_lang": "es"})
    pad = len(tokens) - 1
    config = MarianConfig(
        vocab_size=len(tokens), d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=256,
        pad_token_id=pad, eos_token_id=0, forced_eos_token_id=None, bos_token_id=None,
        decoder_start_token_id=pad, dropout=0.0, scale_embedding=True, activation_function="swish",
        tie_word_embeddings=False,
    )  # fmt: skip
    return _save(MarianMTModel(config), folder)
