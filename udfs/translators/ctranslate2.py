"""Translation models through CTranslate2: compiled inference on CPUs and GPUs, in int8 to float32, without torch."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from udfs.devices import Device, choose, choose_dtype, count_load, require_memory, usable_cores, weights_bytes
from udfs.engines import EngineUnavailable
from udfs.settings import OPERATIONAL
from udfs.translators.seq2seq import (
    END,
    TOKENIZER_FILES,
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

EXTRA: Final = "ctranslate2"
CACHE_VARIABLE: Final = "BACKPROMPT_MODELS"
_CPU_BATCH_TOKENS: Final = 2048
_GPU_BATCH_TOKENS: Final = 16384
# Batches handed over beyond those that are worked on, so that no thread and no GPU waits for Python between two.
_WAITING: Final = 2
# A process of its own: torch and the whole model in float32 leave with it.
_CONVERT: Final = """
import sys
from ctranslate2.converters import TransformersConverter
source, target, quantization = sys.argv[1:]
half = quantization in ("float16", "int8_float16")
TransformersConverter(source, load_as_float16=half).convert(target, quantization=quantization, force=True)
"""
_STDERR_LINES: Final = 5


class CTranslate2Settings(Seq2SeqSettings):
    """MADLAD-400, NLLB-200, M2M-100 and OPUS-MT through CTranslate2, the fastest engine for them.

    A model in the format of transformers is converted on first use, for which torch must be installed, and kept.
    """

    kind: Literal["ctranslate2"] = "ctranslate2"
    compute_type: Literal[
        "auto", "float32", "float16", "bfloat16", "int8", "int8_float32", "int8_float16", "int8_bfloat16"
    ] = "auto"
    """Numbers that the model is stored and computed in. ``auto``: bfloat16 on a GPU that has it, else float32. int8
    needs a quarter of float32's memory and is the fastest on a CPU; T5 models, MADLAD too, overflow in float16."""
    cache_folder: str | None = Field(None, json_schema_extra=OPERATIONAL)
    """Folder for converted models; unset: the environment variable ``BACKPROMPT_MODELS``, else
    ``~/.cache/backprompt/models``. May be shared by machines."""
    threads: int = Field(0, ge=0, json_schema_extra=OPERATIONAL)
    """Threads on a CPU for each task, each with a batch of its own unless texts are sampled; 0: ``OMP_NUM_THREADS``,
    which Spark sets to the cores of a task, or where it is not set the cores of the machine."""

    def check(self, pairs: Sequence[tuple[str, str]], codes: Mapping[str, str]) -> None:
        """Test that packages, tokenizer and model are there and the languages covered; loads no weights.

        Devices are not looked at, as this may run where there are none: ``open`` does.

        Args:
            pairs: source and target, GlotLID codes.
            codes: the column ``scheme()`` of the language table.

        Raises:
            EngineUnavailable: with what to install or to write.
        """
        ctranslate2 = require("ctranslate2", EXTRA)
        require("sentencex", EXTRA)
        self.check_languages(pairs, codes)
        folder = local_folder(self.model, self.revision, ("config.json",))
        if Path(self.model).expanduser().is_dir() and not ctranslate2.contains_model(str(folder)):
            _require_converter(self.model)
            if not weights_bytes(folder):
                raise EngineUnavailable(f"There are no weights (*.safetensors, *.bin) in {folder}.")
        if self.device == "cpu":
            self._compute_type(Device("cpu"))

    def open(
        self, codes: Mapping[str, str], resources: Mapping[str, Sequence[str]] | None = None
    ) -> CTranslate2Translator:
        """Load the model, converted first if need be.

        Args:
            codes: the column ``scheme()`` of the language table, the model's code by GlotLID code.
            resources: addresses of the task's GPUs, ``{"gpu": ["0"]}``; None without Spark's resources.

        Raises:
            EngineUnavailable: a package, the model or a device is missing, or the memory is too small.
        """
        ctranslate2 = require("ctranslate2", EXTRA)
        device = choose(self.device, resources)
        compute_type = self._compute_type(device)
        source = fetch_model(self.model, self.revision)
        folder = source if ctranslate2.contains_model(str(source)) else self._converted(source, compute_type)
        codec = open_codec(
            self.resolved_family(), self.tokenizer_folder() if self.tokenizer else source, self.codes(codes)
        )
        require_memory(weights_bytes(folder), device, self.model)
        threads = self._threads() if device.kind == "cpu" else 1
        # A step of decoding is too little work to be shared: two batches side by side take half the time that two
        # threads in one batch do. Sampled texts would depend on which thread, each with draws of its own, was free.
        batches = 1 if self.decoding.strategy == "sampling" else threads
        try:
            model = ctranslate2.Translator(
                str(folder),
                device=device.kind,
                device_index=device.index,
                compute_type=compute_type,
                inter_threads=batches,
                intra_threads=max(1, threads // batches),
            )
        except (RuntimeError, ValueError) as error:
            raise EngineUnavailable(f"CTranslate2 cannot load {folder} on {device}: {error}") from error
        if self.decoding.strategy == "sampling":
            # Read by a thread of the model when it first draws; later calls would change nothing.
            ctranslate2.set_random_seed(self.decoding.seed)
        return CTranslate2Translator(self, codec, model, device, ahead=batches + _WAITING)

    def _threads(self) -> int:
        set_by_spark = os.environ.get("OMP_NUM_THREADS", "")
        return self.threads or (int(set_by_spark) if set_by_spark.isdecimal() else 0) or usable_cores()

    def _compute_type(self, device: Device) -> str:
        ctranslate2 = require("ctranslate2", EXTRA)
        wanted = choose_dtype("auto", device) if self.compute_type == "auto" else self.compute_type
        offered = ctranslate2.get_supported_compute_types(device.kind, device.index)
        if wanted not in offered:
            raise EngineUnavailable(
                f"{device} does not compute in {wanted}. Write compute_type: {', '.join(sorted(offered))}."
            )
        return wanted

    def _converted(self, source: Path, compute_type: str) -> Path:
        """Return the folder of the converted model, which is made if there is none.

        It is made beside its place and moved there when it is whole. Of two processes the second waits; where the
        file system has no locks both work, and the first one's stays.
        """
        folder = self._cache() / _key(self.model, source, compute_type)
        if folder.is_dir():
            return folder
        _require_converter(self.model)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _lock(folder.with_suffix(".lock")):
                if not folder.is_dir():
                    _convert(source, folder, compute_type)
        except OSError as error:
            raise EngineUnavailable(
                f"{self.model} cannot be converted into {folder.parent}: {error.strerror}. Write cache_folder, or set "
                f"{CACHE_VARIABLE}, to a folder with room for it."
            ) from error
        return folder

    def _cache(self) -> Path:
        chosen = self.cache_folder or os.environ.get(CACHE_VARIABLE)
        if chosen:
            return Path(chosen).expanduser()
        base = os.environ.get("XDG_CACHE_HOME")
        return (Path(base) if base else Path.home() / ".cache") / "backprompt" / "models"


class CTranslate2Translator(Seq2SeqTranslator):
    """A loaded model; batches are handed over ahead, so that the device is never idle between two."""

    def __init__(self, settings: CTranslate2Settings, codec: Codec, model: Any, device: Device, ahead: int) -> None:
        revision = f"@{settings.revision}" if settings.revision else ""
        name = f"ctranslate2-{version('ctranslate2')}:{settings.model}{revision}:{model.compute_type}"
        super().__init__(settings, codec, name, _CPU_BATCH_TOKENS if device.kind == "cpu" else _GPU_BATCH_TOKENS)
        self._model = model
        self._ahead = ahead
        decoding = settings.decoding
        is_sampling = decoding.strategy == "sampling"
        self._options: dict[str, Any] = {
            "beam_size": decoding.beam_size if decoding.strategy == "beam" else 1,
            "length_penalty": decoding.length_penalty,
            "repetition_penalty": decoding.repetition_penalty,
            "no_repeat_ngram_size": decoding.no_repeat_ngram_size,
            "sampling_topk": decoding.top_k if is_sampling else 1,
            "sampling_topp": decoding.top_p if is_sampling else 1.0,
            "sampling_temperature": decoding.temperature if is_sampling else 1.0,
            "return_end_token": True,
            # Segments are within the model's limit; the default would cut what is not, and say nothing.
            "max_input_length": 0,
        }
        count_load(name)

    def start(self, batches: Sequence[Sequence[Request]]) -> Iterator[Callable[[], list[Output]]]:
        """Yield each batch's result, some batches after it was handed over."""
        ahead: deque[Callable[[], list[Output]]] = deque()
        for batch in batches:
            try:
                ahead.append(self._submit(batch))
            except Exception as error:
                # Raised when this batch's turn comes, so that it costs no other one.
                ahead.append(partial(_fail, error))
            if len(ahead) > self._ahead:
                yield ahead.popleft()
        yield from ahead

    def generate(self, batch: Sequence[Request]) -> list[Output]:
        """Translate one batch."""
        return self._submit(batch)()

    def close(self) -> None:
        """Free the weights."""
        self._model.unload_model()

    def _submit(self, batch: Sequence[Request]) -> Callable[[], list[Output]]:
        forced = [list(each.forced) or None for each in batch]
        limit = max(each.limit + len(each.forced) + 1 for each in batch)
        pending = self._model.translate_batch(
            [list(each.source) for each in batch],
            target_prefix=forced if any(forced) else None,
            max_decoding_length=limit,
            min_decoding_length=limit if self.has_forced_lengths else 1,
            asynchronous=True,
            **self._options,
        )
        return lambda: [
            _output(each.result().hypotheses[0], len(request.forced))
            for each, request in zip(pending, batch, strict=True)
        ]


def _fail(error: Exception) -> list[Output]:
    raise error


def _output(tokens: Sequence[str], forced: int) -> Output:
    ended = bool(tokens) and tokens[-1] == END
    return Output(tokens[forced : len(tokens) - ended], ended)


def _require_converter(model: str) -> None:
    missing = [name for name in ("torch", "transformers") if not find_spec(name)]
    if missing:
        raise EngineUnavailable(
            f"{model} must be converted for CTranslate2 once, for which {' and '.join(missing)} must be installed: "
            f"pip install 'backprompt[{EXTRA},transformers]'. Or name the folder of a converted model."
        )


def _key(model: str, source: Path, compute_type: str) -> str:
    """Return the name of a converted model's folder: readable, and another one if the model's files changed."""
    resolved = source.resolve()
    # In the hub's cache the folder is named by the commit, on every machine the same.
    is_snapshot = resolved.parent.name == "snapshots"
    files = [
        (path.name, path.stat().st_size, None if is_snapshot else path.stat().st_mtime_ns)
        for path in sorted(resolved.iterdir())
        if path.is_file()
    ]
    identity = [resolved.name if is_snapshot else str(resolved), files, compute_type, version("ctranslate2")]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    return f"{model.rstrip('/').rpartition('/')[2]}-{compute_type}-{digest}"


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        # Some network file systems have none; moving a whole folder into place is what keeps the cache sound.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _convert(source: Path, target: Path, compute_type: str) -> None:
    """Convert a model in a process of its own, and put the folder in place when it is whole."""
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        made = Path(scratch) / "model"
        done = subprocess.run(
            [sys.executable, "-c", _CONVERT, str(source), str(made), compute_type],
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            last = "\n".join(done.stderr.strip().splitlines()[-_STDERR_LINES:])
            raise EngineUnavailable(f"CTranslate2 could not convert {source}:\n{last}")
        for name in TOKENIZER_FILES:
            if (source / name).is_file() and not (made / name).exists():
                shutil.copyfile(source / name, made / name)
        try:
            made.rename(target)
        except OSError:
            # Another process was first.
            if not target.is_dir():
                raise
