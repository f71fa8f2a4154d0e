"""Whether the engines of a recipe can be used, and for which languages: asked before the first row."""

from __future__ import annotations

import importlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from jobs.runtime.conf import language_table, word_lists
from jobs.runtime.errors import BackpromptError
from jobs.runtime.reasons import Reason
from jobs.runtime.recipe import LoadedRecipe
from jobs.stages.base import Resources, Stage
from jobs.stages.engines import RecipeIdentifier, RecipeTranslator
from udfs.classifiers.wordlist import WordListSettings
from udfs.devices import DTYPE_BYTES, Device, choose, choose_dtype, require_memory, visible_cuda_devices, weights_bytes
from udfs.engines import EngineUnavailable
from udfs.generators.instructions import OPTIONAL_SLOTS, InstructionSettings
from udfs.generators.vllm import VllmGeneratorSettings
from udfs.identifiers.glotlid import GlotLidSettings
from udfs.identifiers.py3langid import Py3langidSettings
from udfs.prompts import check_prompt
from udfs.settings import Settings
from udfs.translators.ctranslate2 import CTranslate2Settings
from udfs.translators.openai_compatible import SLOTS, OpenAITranslatorSettings

_BYTES: Final = {**DTYPE_BYTES, "int8": 1}
_GIB: Final = 2**30
# One format of weights counts, as most models are on the hub in several; COMET's checkpoint is the last.
_FORMATS: Final = ("*.safetensors", "pytorch_model*.bin", "model.bin", "checkpoints/model.ckpt")
_CONVERTED: Final = ("model.bin", "shared_vocabulary.json", "source_vocabulary.json")
_ERROR_CHARS: Final = 300
_UNCOVERED: Final = {
    "translate": f"rejected as {Reason.UNSUPPORTED_LANGUAGE}, kept in table translate",
    "back_translate": (
        f"rejected as {Reason.UNSUPPORTED_BACK}, kept in table back_translate, "
        "unless the document holds its instruction itself"
    ),
}
_UNJUDGED: Final = "the language of such texts is uncertain and rejects none of them"
_UNFLAGGED: Final = "no words are flagged in them"


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """What was found of one engine of a recipe."""

    stage: str
    setting: str
    """Name of the stage's setting that holds the engine."""
    kind: str
    model: str | None
    """None for an engine that has none."""
    problem: str | None = None
    """Why it cannot be used, and what to install or to write; None if it can."""
    notes: tuple[str, ...] = ()
    """What may be wrong on other machines than this one, or is worth knowing."""
    uncovered: tuple[str, ...] = ()
    """Languages, of those asked about, that it does not cover."""
    fate: str = ""
    """What becomes of documents in such a language."""

    @property
    def name(self) -> str:
        """Return where the recipe names the engine, ``translate.engine``."""
        return f"{self.stage}.{self.setting}"


def check_engines(
    recipe: LoadedRecipe, stages: Collection[str] = (), languages: Sequence[str] | None = None
) -> list[EngineCheck]:
    """Check every engine that stages of a recipe name, one after the other; no weights are loaded, no row is read.

    If all sources hold pairs, the engines before ``screen`` have no work, and are not looked at.

    Args:
        recipe: a checked recipe.
        stages: names of the stages that will run; empty: all.
        languages: GlotLID codes whose coverage is told; None: those that the recipe is restricted to, if it is.

    Returns:
        One entry an engine, in the order of the recipe, whatever is wrong with the others.
    """
    asked = tuple(languages if languages is not None else recipe.recipe.languages)
    # The engines of one stage are in a task's memory together.
    taken: dict[tuple[str, Device], int] = defaultdict(int)
    return [
        _check(recipe, stage, name, engine, asked, taken)
        for stage, settings in recipe.stages()
        if (not stages or stage.name in stages) and recipe.needs_engines(stage)
        for name in stage.engines
        if (engine := getattr(settings, name)) is not None
    ]


def require_engines(recipe: LoadedRecipe, stages: Collection[str] = ()) -> None:
    """See that every engine of the stages can be used.

    Raises:
        EngineUnavailable: naming every one that cannot, and what to install or to write.
    """
    broken = [each for each in check_engines(recipe, stages, languages=()) if each.problem]
    if broken:
        raise EngineUnavailable("\n".join(problems(broken)))


def problems(checks: Iterable[EngineCheck]) -> list[str]:
    """Return what is wrong, a text a problem: engines of the same fault share one."""
    places: dict[str, list[str]] = {}
    for each in checks:
        if each.problem:
            places.setdefault(each.problem, []).append(f"{each.name} ({each.kind})")
    return [f"{' and '.join(names)}: {problem}" for problem, names in places.items()]


def _check(
    recipe: LoadedRecipe,
    stage: Stage,
    name: str,
    engine: Settings,
    languages: Sequence[str],
    taken: dict[tuple[str, Device], int],
) -> EngineCheck:
    kind, model = str(getattr(engine, "kind", "")), getattr(engine, "model", None)
    try:
        _check_prompt(recipe, engine)
        uncovered, fate = _coverage(recipe, stage, engine, languages)
        notes = tuple(_check_machine(engine, stage.name, taken))
    except (EngineUnavailable, BackpromptError, ValueError) as error:
        return EngineCheck(stage.name, name, kind, model, str(error))
    return EngineCheck(stage.name, name, kind, model, None, notes, uncovered, fate if uncovered else "")


def _check_prompt(recipe: LoadedRecipe, engine: Settings) -> None:
    prompt = getattr(engine, "prompt", None)
    if not prompt:
        return
    text = recipe.read_prompt(prompt)
    try:
        if isinstance(engine, InstructionSettings):
            check_prompt(text, OPTIONAL_SLOTS)
        elif isinstance(engine, OpenAITranslatorSettings):
            check_prompt(text, required=SLOTS)
    except ValueError as error:
        raise BackpromptError(f"prompt {prompt!r}: {error}") from error


def _coverage(recipe: LoadedRecipe, stage: Stage, engine: Any, languages: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Check an engine; return which of ``languages`` it does not cover, and what becomes of their documents."""
    table, pivot = language_table(), recipe.recipe.pivot
    if hasattr(engine, "supports"):
        into_pivot = stage.name == "translate"
        translator = RecipeTranslator.bound(engine, table)
        covered = translator.covered(table, pivot, into_pivot)
        wanted = languages or recipe.recipe.languages or tuple(table)
        codes = [code for code in wanted if code != pivot and code in covered]
        translator.check([(code, pivot) if into_pivot else (pivot, code) for code in codes])
        return tuple(code for code in languages if code not in covered), _UNCOVERED.get(stage.name, "")
    engine.check()
    if isinstance(engine, WordListSettings):
        lists = word_lists().keys()
        return tuple(code for code in languages if not {code, code.partition("_")[0]} & lists), _UNFLAGGED
    if isinstance(engine, (Py3langidSettings, GlotLidSettings)):
        labels = dict(RecipeIdentifier.of(engine, Resources(table, pivot, recipe.recipe.seed)).labels)
        unknown = set(table) - labels.keys()
        if isinstance(engine, GlotLidSettings):
            unknown |= set(engine.unknown(labels))  # type: ignore[arg-type]
        return tuple(code for code in languages if code in unknown), _UNJUDGED
    return (), ""


# The machine -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Weights:
    """The weights of a model, as they are stored."""

    bytes: int
    """Size of the files; 0 if it is not known."""
    number_bytes: int
    """Bytes of one number."""
    is_here: bool
    """Whether they are on this machine; else the hub has them."""
    is_converted: bool = False
    """Whether they are in the format of CTranslate2."""


def _check_machine(engine: Any, stage: str, taken: dict[tuple[str, Device], int]) -> Iterator[str]:
    """Yield what a person should know of an engine's weights and device, as far as this machine can tell.

    A device that this machine has must hold the model. One that it lacks may be an executor's, which looks again when
    it loads the model, so that is a note; likewise memory of the CPU, which executors have more or less of.

    Args:
        engine: its settings.
        stage: name of its stage.
        taken: bytes of the stage's models by stage and device, to which the engine's are added.

    Raises:
        EngineUnavailable: if the weights are nowhere, or a GPU of this machine does not do for them.
    """
    is_vllm = isinstance(engine, VllmGeneratorSettings)
    if not (is_vllm or hasattr(engine, "device")):
        return
    weights = _find_weights(engine.model, getattr(engine, "revision", None))
    if not weights.is_here:
        size = f" ({weights.bytes / _GIB:.1f} GiB)" if weights.bytes else ""
        yield f"{engine.model}: the weights{size} are on the hub; each machine fetches them when it first loads them"
    if is_vllm:
        yield from _check_vllm(engine, weights)
        return
    try:
        device = choose(engine.device)
    except EngineUnavailable as error:
        yield f"on this machine: {error} Executors with such a device are looked at when they load the model."
        return
    try:
        if isinstance(engine, CTranslate2Settings):
            _require_compute_type(engine, device)
        others = taken[stage, device]
        taken[stage, device] += _loaded_bytes(engine, weights, device)
        name = f"{engine.model}, with the models before it in {stage}," if others else engine.model
        require_memory(taken[stage, device], device, name)
    except EngineUnavailable as error:
        if device.kind == "cuda":
            raise
        yield f"on this machine: {error} Executors are looked at when they load the model."


def _check_vllm(engine: VllmGeneratorSettings, weights: _Weights) -> Iterator[str]:
    count = visible_cuda_devices()
    if count < engine.tensor_parallel_size:
        yield (
            f"on this machine: vLLM needs {engine.tensor_parallel_size} GPUs and {count} are visible. Executors are "
            "looked at when they load the model."
        )
    elif engine.quantization is None:
        number = weights.number_bytes if engine.dtype == "auto" else _BYTES[engine.dtype]
        share = weights.bytes * number // weights.number_bytes // engine.tensor_parallel_size
        # vLLM takes no more than this share, and the weights and its cache have to fit into it.
        require_memory(int(share / engine.gpu_memory_utilization), Device("cuda"), engine.model)


def _require_compute_type(engine: CTranslate2Settings, device: Device) -> None:
    offered = importlib.import_module("ctranslate2").get_supported_compute_types(device.kind, device.index)
    if engine.compute_type not in {"auto", *offered}:
        raise EngineUnavailable(
            f"{device} does not compute in {engine.compute_type}. Write compute_type: {', '.join(sorted(offered))}."
        )


def _loaded_bytes(engine: Any, weights: _Weights, device: Device) -> int:
    """Return the size of the weights in the numbers that the engine loads them in."""
    if weights.is_converted:
        return weights.bytes
    wanted = getattr(engine, "compute_type", None) or engine.dtype
    stored_as = choose_dtype("auto", device) if wanted == "auto" else wanted.partition("_")[0]
    return weights.bytes * _BYTES[stored_as] // weights.number_bytes


def _find_weights(model: str, revision: str | None) -> _Weights:
    """Return a model's weights in a folder, in the hub's cache, or on the hub.

    Raises:
        EngineUnavailable: if they are in none of these.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _Weights(_bytes_in(folder), _number_bytes(folder), is_here=True, is_converted=_is_converted(folder))
    hub = importlib.import_module("huggingface_hub")
    cached = None
    try:
        cached = Path(hub.snapshot_download(model, revision=revision, local_files_only=True))
    except Exception:  # nothing of the model is there, or the name is none
        number = _BYTES["float32"]
    else:
        number = _number_bytes(cached)
        if size := _bytes_in(cached):
            return _Weights(size, number, is_here=True, is_converted=_is_converted(cached))
    try:
        files = hub.HfApi().model_info(model, revision=revision, files_metadata=True).siblings
    except Exception as error:  # of a dozen kinds, from the network's to the hub's
        reason = str(error).strip().split("\n", 1)[0][:_ERROR_CHARS]
        raise EngineUnavailable(
            f"The weights of {model} are neither in a folder nor in the cache, and the hub cannot be asked: {reason} "
            f"Fetch them where there is a network (hf download {model}) and name the folder in the recipe."
        ) from error
    sizes = {each.rfilename: each.size or 0 for each in files or ()}
    for pattern in _FORMATS:
        if found := [size for name, size in sizes.items() if fnmatch(name, pattern)]:
            return _Weights(sum(found), number, is_here=False)
    raise EngineUnavailable(f"{model} has no weights on the hub ({', '.join(_FORMATS)}): name another model.")


def _bytes_in(folder: Path) -> int:
    checkpoint = folder / _FORMATS[-1]
    return weights_bytes(folder) or (checkpoint.stat().st_size if checkpoint.is_file() else 0)


def _is_converted(folder: Path) -> bool:
    return (folder / _CONVERTED[0]).is_file() and any((folder / name).is_file() for name in _CONVERTED[1:])


def _number_bytes(folder: Path) -> int:
    """Return the bytes of a stored number, as ``config.json`` says; float32 where it says nothing."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = {}
    return _BYTES.get(str(config.get("dtype") or config.get("torch_dtype") or "float32"), _BYTES["float32"])
