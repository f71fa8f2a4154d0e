"""Which device an engine works on, in which numbers, and whether it fits; without Spark.

What Spark knows of a task's GPUs comes in as text: ``TaskContext.resources()`` as addresses by resource name.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from udfs.engines import EngineUnavailable

_VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_SETTING: Final = re.compile(r"auto|cpu|cuda(?::(\d+))?")
# Beside the weights: activations of a batch, the decoder's cache, the libraries' own buffers.
_OVERHEAD: Final = 1.2
_UNITS: Final = 2**30
_LOADS: Counter[str] = Counter()

Dtype = Literal["float32", "float16", "bfloat16"]
DTYPE_BYTES: Final = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Bytes of one number."""


@dataclass(frozen=True, slots=True)
class Device:
    """A processor: the CPU, or one of the CUDA devices that this process sees."""

    kind: Literal["cpu", "cuda"]
    index: int = 0
    """Among the visible CUDA devices, as torch and CTranslate2 count them."""

    def __str__(self) -> str:
        return "cpu" if self.kind == "cpu" else f"cuda:{self.index}"


def choose(setting: str = "auto", resources: Mapping[str, Sequence[str]] | None = None) -> Device:
    """Return the device an engine of this process shall use.

    Args:
        setting: ``auto``: the task's own GPU; without Spark's word on it, the first visible one; without any, the CPU.
            ``cuda``: the same, but never the CPU. ``cpu`` and ``cuda:1`` say it outright.
        resources: addresses by resource name, as Spark gave them to the task: ``{"gpu": ["1"]}``. Spark gives no two
            tasks the same.

    Raises:
        EngineUnavailable: if there is no such device, or the task's GPU is not among the visible ones.
        ValueError: if the setting is none of these.
    """
    match = _SETTING.fullmatch(setting)
    if match is None:
        raise ValueError(f"device is {setting!r}; write auto, cpu, cuda or cuda:0")
    if setting == "cpu":
        return Device("cpu")
    count = visible_cuda_devices()
    if match.group(1):
        return _visible(int(match.group(1)), count, setting)
    addresses = list((resources or {}).get("gpu", ()))
    if addresses:
        return _visible(_index_of(addresses[0]), count, f"the GPU {addresses[0]} that Spark gave the task")
    if count:
        return Device("cuda", 0)
    if setting == "cuda":
        raise EngineUnavailable(
            "No CUDA device can be used here. Write device: cpu, or install a driver and the engine built for CUDA."
        )
    return Device("cpu")


def choose_dtype(setting: str, device: Device) -> Dtype:
    """Return the numbers a model computes in: as set, or for ``auto`` bfloat16 on a GPU that has it, else float32.

    Float16 is never chosen: T5 models overflow in it.

    Raises:
        ValueError: if the setting is no such type.
    """
    if setting == "auto":
        return "bfloat16" if device.kind == "cuda" and _has_bfloat16(device.index) else "float32"
    if setting in ("float32", "float16", "bfloat16"):
        return setting  # type: ignore[return-value]
    raise ValueError(f"dtype is {setting!r}; write auto, float32, float16 or bfloat16")


@cache
def visible_cuda_devices() -> int:
    """Return how many CUDA devices this process sees: 0 where neither torch nor CTranslate2 can use one."""
    if find_spec("ctranslate2") and (count := importlib.import_module("ctranslate2").get_cuda_device_count()):
        return int(count)
    if find_spec("torch"):
        import torch

        return int(torch.cuda.device_count())
    return 0


def usable_cores() -> int:
    """Return how many cores this process may use."""
    # macOS has no affinity.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_bytes(device: Device) -> int | None:
    """Return the memory that is free on a device, in bytes; None where nothing here can say it."""
    if device.kind == "cpu":
        try:
            lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
    if not find_spec("torch"):
        return _free_by_driver(device.index)
    import torch

    return int(torch.cuda.mem_get_info(device.index)[0])


def _free_by_driver(index: int) -> int | None:
    """Ask the driver's own tool, as CTranslate2 does not tell; None without the tool."""
    visible = [each for each in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if each]
    name = visible[index].strip() if index < len(visible) else str(index)
    query = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits", "-i", name]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout
        return int(answer.split()[0]) * 2**20
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def require_memory(weights_bytes: int, device: Device, model: str) -> None:
    """See that a model fits into what is free on the device, with a fifth more than its weights.

    Args:
        weights_bytes: size of the weights in the numbers they are loaded in.
        device: where they shall go.
        model: its name, for the message.

    Raises:
        EngineUnavailable: if it does not fit; where the free memory is not known, nothing is said.
    """
    free = free_bytes(device)
    needed = int(weights_bytes * _OVERHEAD)
    if free is not None and needed > free:
        raise EngineUnavailable(
            f"{model} needs about {needed / _UNITS:.1f} GiB on {device}, where {free / _UNITS:.1f} GiB are free. "
            "Choose smaller numbers (int8, bfloat16), fewer tasks a device, or a smaller model."
        )


def weights_bytes(folder: Path) -> int:
    """Return the size of a model's weights as stored; shards are summed, copies in an older format not counted."""
    for pattern in ("*.safetensors", "pytorch_model*.bin", "model.bin"):
        if found := sum(path.stat().st_size for path in folder.glob(pattern)):
            return found
    return 0


def count_load(name: str) -> None:
    """Enter that this process has loaded the weights of ``name``."""
    _LOADS[name] += 1


def loads() -> dict[str, int]:
    """Return how often this process has loaded which weights; more than once a model is a mistake."""
    return dict(_LOADS)


def _visible(index: int, count: int, what: str) -> Device:
    if index >= count:
        raise EngineUnavailable(f"There is no device for {what}: this process sees {count} CUDA devices.")
    return Device("cuda", index)


def _index_of(address: str) -> int:
    """Return the place of an address among the visible devices.

    Cluster managers that hand devices to containers number them anew; others name them by number or UUID in
    CUDA_VISIBLE_DEVICES, which CUDA then counts from 0.
    """
    visible = [each.strip() for each in os.environ.get(_VISIBLE, "").split(",") if each.strip()]
    if address in visible:
        return visible.index(address)
    if address.isdecimal():
        return int(address)
    raise EngineUnavailable(
        f"Spark gave the task the GPU {address!r}, which is no number and not in {_VISIBLE}. Let the discovery script "
        "print the numbers of nvidia-smi --query-gpu=index."
    )


def _has_bfloat16(index: int) -> bool:
    """Say whether a device computes in bfloat16 itself: Ampere, compute capability 8.0, and later."""
    if find_spec("torch"):
        import torch

        return bool(torch.cuda.get_device_capability(index)[0] >= 8)
    return "bfloat16" in importlib.import_module("ctranslate2").get_supported_compute_types("cuda", index)
