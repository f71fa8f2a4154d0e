"""Devices: the task's own GPU whichever way it is named, and a clear word where there is none."""

from __future__ import annotations

import pytest

from udfs import devices
from udfs.devices import Device, choose, choose_dtype, require_memory, weights_bytes
from udfs.engines import EngineUnavailable


@pytest.fixture
def gpus(monkeypatch):
    def have(count: int, visible: str | None = None) -> None:
        monkeypatch.setattr(devices, "visible_cuda_devices", lambda: count)
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return have


@pytest.mark.parametrize(
    ("count", "visible", "setting", "address", "device"),
    [
        (0, None, "auto", None, "cpu"),
        (2, None, "auto", None, "cuda:0"),
        (2, None, "cpu", "1", "cpu"),
        (2, None, "auto", "1", "cuda:1"),
        (2, None, "cuda", "1", "cuda:1"),
        (2, None, "cuda:0", "1", "cuda:0"),
        # A manager that names what it gave: CUDA counts from 0 what is visible.
        (2, "4,6", "auto", "6", "cuda:1"),
        (2, "GPU-aa,GPU-bb", "auto", "GPU-bb", "cuda:1"),
        # One that gives a container its devices and numbers them anew.
        (1, "GPU-aa", "auto", "0", "cuda:0"),
    ],
)
def test_choice(gpus, count, visible, setting, address, device):
    gpus(count, visible)
    assert str(choose(setting, {"gpu": [address]} if address else None)) == device


@pytest.mark.parametrize(
    ("count", "setting", "address", "message"),
    [
        (0, "cuda", None, "No CUDA device can be used here"),
        (1, "cuda:1", None, "this process sees 1 CUDA devices"),
        (1, "auto", "3", "the GPU 3 that Spark gave the task"),
        (1, "auto", "GPU-cc", "nvidia-smi"),
    ],
)
def test_no_such_device(gpus, count, setting, address, message):
    gpus(count)
    with pytest.raises(EngineUnavailable, match=message):
        choose(setting, {"gpu": [address]} if address else None)


def test_senseless_settings():
    with pytest.raises(ValueError, match="write auto, cpu, cuda or cuda:0"):
        choose("gpu")
    with pytest.raises(ValueError, match="dtype is 'int3'"):
        choose_dtype("int3", Device("cpu"))


def test_numbers(monkeypatch):
    assert choose_dtype("auto", Device("cpu")) == "float32"
    assert choose_dtype("float16", Device("cpu")) == "float16"
    for has_bfloat16, dtype in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(devices, "_has_bfloat16", lambda _, has=has_bfloat16: has)
        assert choose_dtype("auto", Device("cuda", 1)) == dtype


def test_memory(monkeypatch):
    monkeypatch.setattr(devices, "free_bytes", lambda _: 10 * 2**30)
    require_memory(8 * 2**30, Device("cuda", 1), "m")
    with pytest.raises(EngineUnavailable, match=r"m needs about 10.8 GiB on cuda:1, where 10.0 GiB are free"):
        require_memory(9 * 2**30, Device("cuda", 1), "m")
    monkeypatch.setattr(devices, "free_bytes", lambda _: None)
    require_memory(10**15, Device("cuda", 1), "m")


def test_weights_are_counted_in_one_format(tmp_path):
    assert weights_bytes(tmp_path) == 0
    (tmp_path / "pytorch_model.bin").write_bytes(b"x" * 7)
    assert weights_bytes(tmp_path) == 7
    for shard in (1, 2):
        (tmp_path / f"model-0000{shard}-of-00002.safetensors").write_bytes(b"x" * 5)
    assert weights_bytes(tmp_path) == 10


def test_free_memory_of_this_machine():
    free = devices.free_bytes(Device("cpu"))
    assert free is None or free > 2**20


def test_the_driver_tells_what_is_free_where_torch_is_not_there(gpus, monkeypatch, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\necho "$@" > ' + str(tmp_path / "asked") + "\necho 2048\n", encoding="utf-8")
    tool.chmod(0o755)
    gpus(2, "GPU-aa,GPU-bb")
    monkeypatch.setattr(devices, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert devices.free_bytes(Device("cuda", 1)) == 2 * 2**30
    assert (tmp_path / "asked").read_text(encoding="utf-8").split()[-2:] == ["-i", "GPU-bb"]
    with pytest.raises(EngineUnavailable, match=r"2\.0 GiB are free"):
        require_memory(2 * 2**30, Device("cuda", 1), "large")
    tool.write_text("#!/bin/sh\nexit 9\n", encoding="utf-8")
    assert devices.free_bytes(Device("cuda", 1)) is None
