"""Translation engines against the obvious ways to call a model: same weights, texts and decoding, lengths forced.

    python -m benchmarks.engines [--size 60m] [--device cpu] [--paths NAME ...] [--llm]

A T5 v1.1 of the chosen size is built on the spot, with random weights and a SentencePiece vocabulary of the texts, and
translates paragraphs of the demo's Spanish Wikipedia, which come in Arrow batches, in their order. Every path makes
each sequence as long as the longest of its batch may become, and only tokens up to a paragraph's own limit count. So
tokens/s say what a user waits for: useful tokens in the time from text to text, padding and all.

- ours: an engine's ``translate``, with segments, packing, health and layout;
- bare: the same engine on the same packed batches of ready pieces, nothing else; ours over it is our overhead;
- obvious: what a pandas UDF does that calls transformers' ``generate`` on each Arrow batch as it comes;
- row by row: the same, one row a call, on every tenth row.

``--llm`` measures a decoder-only model instead (8B: Llama 3.1's shape): packed batches against those that come.
Needs no pyspark. Paths alternate, and the least time of the rounds counts.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from udfs.segments import segment_all
from udfs.token_batches import pack
from udfs.translators.ctranslate2 import CTranslate2Settings
from udfs.translators.seq2seq import DecodingSettings, Request, Seq2SeqTranslator, open_codec
from udfs.translators.transformers import TransformersTranslatorSettings

ROOT = Path(__file__).resolve().parents[1]
SOURCE, TARGET = "spa_Latn", "eng_Latn"
CODES = {SOURCE: "es", TARGET: "en"}
MAX_SEGMENT_TOKENS = 200
# Output tokens a source token; every limit has 16 more. The most is for whole paragraphs, which the obvious way takes.
DECODING = DecodingSettings(max_output_ratio=1.0, max_output_tokens=2_048)
ROW_BY_ROW_SHARE = 10
T5_SIZES: dict[str, dict[str, int]] = {
    "tiny": {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_heads": 4, "num_layers": 2, "vocab_size": 2_048},
    "60m": {"d_model": 512, "d_kv": 64, "d_ff": 1_024, "num_heads": 8, "num_layers": 7, "vocab_size": 30_720},
    "madlad-3b": {
        "d_model": 1_024,
        "d_kv": 128,
        "d_ff": 8_192,
        "num_heads": 16,
        "num_layers": 32,
        "vocab_size": 256_000,
    },
}
LLM_SIZES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "vocab_size": 2_048},
    "8b": {"hidden_size": 4_096, "intermediate_size": 14_336, "num_hidden_layers": 32, "num_attention_heads": 32,
           "num_key_value_heads": 8, "vocab_size": 128_256},
}  # fmt: skip
PATHS = (
    "ours ctranslate2 int8",
    "ours ctranslate2",
    "ours transformers",
    "bare ctranslate2 int8",
    "bare ctranslate2",
    "bare transformers",
    "obvious",
    "row by row",
)


def paragraphs(folder: Path) -> list[str]:
    """Distinct paragraphs of a folder's documents, in their order."""
    table = ds.dataset([str(file) for file in sorted(folder.rglob("*.parquet"))]).to_table(columns=["text"])
    lines = (line.strip() for text in table.column("text").to_pylist() for line in text.split("\n"))
    return list(dict.fromkeys(line for line in lines if any(map(str.isalpha, line))))


def arrow_batches(folder: Path, count: int, rows: int) -> list[list[str]]:
    """``count`` paragraphs or a few more, in batches of neighbours from all over a folder's documents."""
    texts = paragraphs(folder)
    batches = -(-count // rows)
    starts = (number * max(0, len(texts) - rows) // batches for number in range(batches))
    return [texts[at : at + rows] for at in starts]


def make_model(folder: Path, size: str, texts: Sequence[str], dtype: str, device: str) -> int:
    """Write a T5 v1.1 with MADLAD's tags and random weights into ``folder``; return its number of parameters."""
    import sentencepiece
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    shape = T5_SIZES[size]
    folder.mkdir()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_prefix=str(folder / "spiece"), vocab_size=min(8_000, shape["vocab_size"]),
        hard_vocab_limit=False, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, byte_fallback=True, minloglevel=2,
        character_coverage=0.999, user_defined_symbols=[f"<2{code}>" for code in CODES.values()],
    )  # fmt: skip
    tokens = {"unk_token": "<unk>", "pad_token": "<s>", "bos_token": "<s>", "eos_token": "</s>"}
    tokenizer = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, **tokens}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    config = T5Config(
        **shape, num_decoder_layers=shape["num_layers"], feed_forward_proj="gated-gelu", tie_word_embeddings=False,
        decoder_start_token_id=0, pad_token_id=1, eos_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with torch.device(device):
            model = T5ForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    return sum(each.numel() for each in model.parameters())


def packed(engine: Seq2SeqTranslator, texts: Sequence[str]) -> list[list[Request]]:
    """The batches that the engine makes of an Arrow batch, in pieces, before the clock starts."""
    cut = segment_all(texts, [SOURCE] * len(texts), engine.count_tokens, MAX_SEGMENT_TOKENS)
    segments = dict.fromkeys(segment for each in cut for segment in each.segments)
    requests = [
        Request(tuple(engine.codec.source(pieces, SOURCE, TARGET)), (), DECODING.limit(len(pieces)))
        for pieces in engine.codec.pieces.encode(list(segments))
    ]
    lengths = [len(each.source) for each in requests]
    batches = pack(lengths, engine.batch_tokens, engine.settings.batch_segments)
    return [[requests[at] for at in batch] for batch in batches]


def ours(engine: Seq2SeqTranslator, batches: Sequence[Sequence[str]]) -> None:
    for texts in batches:
        answers = engine.translate(texts, [SOURCE] * len(texts), [TARGET] * len(texts))
        failed = [answer.error for answer in answers if answer.error]
        if failed:
            raise RuntimeError(failed[0])


def bare(engine: Seq2SeqTranslator, batches: Sequence[Sequence[Sequence[Request]]]) -> None:
    for of_arrow_batch in batches:
        for run in engine.start(of_arrow_batch):
            run()


def obvious(model: Any, tokenizer: Any, batches: Sequence[Sequence[str]], device: str) -> None:
    import torch

    tag = f"<2{CODES[TARGET]}> "
    for texts in batches:
        inputs = tokenizer([tag + text for text in texts], return_tensors="pt", padding=True).to(device)
        # The tag and the end are no part of the source that limits count.
        limit = (
            DECODING.limit(max(len(each) for each in tokenizer(list(texts), add_special_tokens=False).input_ids)) + 1
        )
        with torch.inference_mode():
            made = model.generate(**inputs, max_new_tokens=limit, min_new_tokens=limit, do_sample=False, num_beams=1)
        tokenizer.batch_decode(made, skip_special_tokens=True)


@dataclass
class Measured:
    seconds: float
    tokens: int
    gpu: str = ""

    @property
    def speed(self) -> float:
        return self.tokens / self.seconds


class GpuWatch:
    """Samples what the driver says of a GPU while a path works: mean utilisation, highest memory."""

    def __init__(self, device: str) -> None:
        self._is_on = device == "cuda" and find_spec("pynvml") is not None
        self._stop = threading.Event()
        self._samples: list[tuple[int, int]] = []

    def __enter__(self) -> GpuWatch:
        if self._is_on:
            self._thread = threading.Thread(target=self._sample)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_on:
            self._stop.set()
            self._thread.join()

    def __str__(self) -> str:
        if not self._samples:
            return ""
        busy = sum(each for each, _ in self._samples) / len(self._samples)
        return f"{busy:.0f} %, {max(each for _, each in self._samples) / 2**30:.1f} GiB"

    def _sample(self) -> None:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        while not self._stop.wait(0.2):
            self._samples.append(
                (pynvml.nvmlDeviceGetUtilizationRates(handle).gpu, pynvml.nvmlDeviceGetMemoryInfo(handle).used)
            )
        pynvml.nvmlShutdown()


def measure(paths: dict[str, tuple[Callable[[], None], int]], rounds: int, device: str) -> dict[str, Measured]:
    """Run all paths in turn, ``rounds`` times; the least time of each, with the tokens it made."""
    best: dict[str, Measured] = {}
    for _ in range(rounds):
        for name, (work, tokens) in paths.items():
            with GpuWatch(device) as watch:
                start = time.perf_counter()
                work()
                seconds = time.perf_counter() - start
            if name not in best or seconds < best[name].seconds:
                best[name] = Measured(seconds, tokens, str(watch))
    return best


def translation(arguments: argparse.Namespace, work: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    batches = arrow_batches(arguments.data, arguments.texts, arguments.arrow_rows)
    texts = [text for batch in batches for text in batch]
    folder = work / "model"
    parameters = make_model(folder, arguments.size, texts, arguments.dtype, arguments.device)
    common: dict[str, Any] = {
        "model": str(folder), "family": "t5", "max_segment_tokens": MAX_SEGMENT_TOKENS, "decoding": DECODING,
        "device": arguments.device, "batch_tokens": arguments.batch_tokens,
    }  # fmt: skip

    def ctranslate2(compute_type: str) -> Seq2SeqTranslator:
        return CTranslate2Settings(compute_type=compute_type, cache_folder=str(work), **common).open(CODES)

    openers: dict[str, Callable[[], Seq2SeqTranslator]] = {
        "ctranslate2 int8": lambda: ctranslate2("int8" if arguments.device == "cpu" else "int8_bfloat16"),
        "ctranslate2": lambda: ctranslate2(arguments.dtype),
        "transformers": lambda: TransformersTranslatorSettings(dtype=arguments.dtype, **common).open(CODES),
    }
    used = [name for name in openers if any(path in (f"ours {name}", f"bare {name}") for path in arguments.paths)]
    engines = {name: openers[name]() for name in used}
    for engine in engines.values():
        engine.has_forced_lengths = True
    pieces = open_codec("t5", folder, CODES).pieces.encode(texts)
    limits = {text: DECODING.limit(len(each)) for text, each in zip(texts, pieces, strict=True)}
    all_tokens = sum(limits.values())
    some = texts[::ROW_BY_ROW_SHARE]

    plain = tokenizer = None
    if {"obvious", "row by row"} & set(arguments.paths):
        import torch

        plain = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=getattr(torch, arguments.dtype))
        plain, tokenizer = plain.to(arguments.device).eval(), AutoTokenizer.from_pretrained(folder)
    paths: dict[str, tuple[Callable[[], None], int]] = {}
    for name, engine in engines.items():
        ready = [packed(engine, batch) for batch in batches]
        paths[f"ours {name}"] = (lambda engine=engine: ours(engine, batches), all_tokens)
        paths[f"bare {name}"] = (lambda engine=engine, ready=ready: bare(engine, ready), all_tokens)
    paths["obvious"] = (lambda: obvious(plain, tokenizer, batches, arguments.device), all_tokens)
    paths["row by row"] = (
        lambda: obvious(plain, tokenizer, [[text] for text in some], arguments.device),
        sum(limits[text] for text in some),
    )
    chosen = {name: paths[name] for name in arguments.paths}
    for engine in engines.values():
        engine.translate(texts[:4], [SOURCE] * 4, [TARGET] * 4)
    measured = measure(chosen, arguments.rounds, arguments.device)
    print(
        f"T5 v1.1, {parameters / 1e6:.0f} M parameters, {arguments.dtype}, {arguments.device}; {len(texts):,} "
        f"paragraphs, the longest of {max(map(len, pieces)):,} tokens, in batches of {arguments.arrow_rows}; "
        f"{all_tokens:,} tokens out\n"
    )
    report(measured, "obvious")
    for name in used:
        if {f"ours {name}", f"bare {name}"} <= set(measured):
            overhead = measured[f"ours {name}"].seconds / measured[f"bare {name}"].seconds - 1
            print(f"\nOverhead of ours over bare {name}: {100 * overhead:.1f} %", end="")
    print()


def llm(arguments: argparse.Namespace) -> None:
    """A decoder-only model on prompts of real lengths: packed by tokens, and as they come."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    texts = [text for batch in arrow_batches(arguments.data, arguments.texts, arguments.llm_rows) for text in batch]
    vocabulary = LLM_SIZES[arguments.size]["vocab_size"]
    torch.manual_seed(0)
    torch.set_default_dtype(getattr(torch, arguments.dtype))
    try:
        with torch.device(arguments.device):
            model = LlamaForCausalLM(LlamaConfig(**LLM_SIZES[arguments.size], pad_token_id=0)).eval()
    finally:
        torch.set_default_dtype(torch.float32)
    prompts = [torch.randint(3, vocabulary, (max(4, len(text) // 4),)) for text in texts]

    def run(batch: Sequence[torch.Tensor]) -> None:
        longest = max(len(each) for each in batch)
        inputs = torch.zeros((len(batch), longest), dtype=torch.long)
        mask = torch.zeros_like(inputs)
        for row, each in enumerate(batch):
            # Padding stands on the left, as generation goes on at the right.
            inputs[row, longest - len(each) :] = each
            mask[row, longest - len(each) :] = 1
        with torch.inference_mode():
            model.generate(
                inputs.to(arguments.device), attention_mask=mask.to(arguments.device), do_sample=False,
                max_new_tokens=arguments.new_tokens, min_new_tokens=arguments.new_tokens,
            )  # fmt: skip

    budget = arguments.batch_tokens or (2_048 if arguments.device == "cpu" else 65_536)

    def as_packed() -> None:
        # What a row holds at its end is prompt and answer.
        for batch in pack([len(each) + arguments.new_tokens for each in prompts], budget, 512):
            run([prompts[at] for at in batch])

    def as_they_come(rows: int, chosen: Sequence[torch.Tensor]) -> None:
        for at in range(0, len(chosen), rows):
            run(chosen[at : at + rows])

    tokens, some = arguments.new_tokens * len(prompts), prompts[::ROW_BY_ROW_SHARE]
    paths: dict[str, tuple[Callable[[], None], int]] = {
        "packed by tokens": (as_packed, tokens),
        "obvious": (lambda: as_they_come(arguments.llm_rows, prompts), tokens),
        "row by row": (lambda: as_they_come(1, some), arguments.new_tokens * len(some)),
    }
    parameters = sum(each.numel() for each in model.parameters())
    print(
        f"Llama, {parameters / 1e9:.2f} B parameters, {arguments.dtype}, {len(prompts):,} prompts of "
        f"{sum(map(len, prompts)) / len(prompts):.0f} tokens, {arguments.new_tokens} new ones each, obvious batches of "
        f"{arguments.llm_rows}, {arguments.device}\n"
    )
    report(measure(paths, arguments.rounds, arguments.device), "obvious")


def report(measured: dict[str, Measured], base: str) -> None:
    has_gpu = any(each.gpu for each in measured.values())
    print("| path | s | tokens/s | over obvious |" + (" GPU busy, memory |" if has_gpu else ""))
    print("| --- | --: | --: | --: |" + (" --: |" if has_gpu else ""))
    for name, each in measured.items():
        ratio = f"{each.speed / measured[base].speed:.2f}" if base in measured else ""
        print(f"| {name} | {each.seconds:.1f} | {each.speed:,.0f} | {ratio} |" + (f" {each.gpu} |" if has_gpu else ""))


def environment(device: str) -> Iterator[str]:
    import torch

    for name in ("torch", "transformers", "ctranslate2", "sentencepiece", "sentencex"):
        yield f"{name} {version(name)}"
    yield f"Python {platform.python_version()}"
    yield (
        torch.cuda.get_device_name(0)
        if device == "cuda"
        else f"{torch.get_num_threads()} threads of {platform.machine()}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", help=f"of the model: {', '.join(T5_SIZES)}; with --llm {', '.join(LLM_SIZES)}")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument(
        "--dtype", choices=["float32", "bfloat16", "float16"], help="default: float32, on cuda bfloat16"
    )
    parser.add_argument("--paths", nargs="+", choices=PATHS, default=list(PATHS), metavar="PATH", help=", ".join(PATHS))
    parser.add_argument("--texts", type=int, default=1_000, help="paragraphs, about (1000)")
    parser.add_argument("--arrow-rows", type=int, default=200, help="rows of an Arrow batch (200)")
    parser.add_argument("--batch-tokens", type=int, help="budget of our batches; default: the engine's own")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "demo" / "wikipedia" / "es")
    parser.add_argument("--llm", action="store_true", help="measure a decoder-only model instead")
    parser.add_argument("--llm-rows", type=int, default=16, help="rows of an obvious batch with --llm (16)")
    parser.add_argument("--new-tokens", type=int, default=128, help="tokens of an answer with --llm (128)")
    arguments = parser.parse_args()
    arguments.size = arguments.size or ("8b" if arguments.llm else "60m")
    if arguments.size not in (LLM_SIZES if arguments.llm else T5_SIZES):
        parser.error(f"no such size: {arguments.size}")
    arguments.dtype = arguments.dtype or ("float32" if arguments.device == "cpu" else "bfloat16")
    print("; ".join(environment(arguments.device)) + "\n")
    if arguments.llm:
        llm(arguments)
    else:
        with tempfile.TemporaryDirectory(prefix="bench-engines-") as work:
            translation(arguments, Path(work))


if __name__ == "__main__":
    main()
