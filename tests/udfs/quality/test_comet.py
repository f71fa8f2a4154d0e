from __future__ import annotations

import copy
import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs import devices
from udfs.engines import EngineUnavailable
from udfs.quality import Estimate
from udfs.quality.comet import CometKiwi, CometKiwiSettings, sparsemax

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

HERE = Path(__file__).parent
SCORES: dict[str, list[float]] = json.loads((HERE / "tiny_kiwi_scores.json").read_text(encoding="utf-8"))


def _load_builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tiny_kiwi", HERE / "tiny_kiwi.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tiny_kiwi = _load_builder()
SOURCES, TRANSLATIONS = map(list, zip(*tiny_kiwi.PAIRS, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tiny_kiwi.build(tmp_path_factory.mktemp("kiwi") / "model")
    return path


@pytest.fixture(scope="module")
def kiwi(folder: Path) -> CometKiwi:
    return CometKiwiSettings(model=str(folder), device="cpu").open()


@pytest.mark.parametrize("variant", SCORES)
def test_scores_are_those_of_unbabel_comet(tmp_path: Path, variant: str) -> None:
    folder = tiny_kiwi.build(tmp_path / "model", **tiny_kiwi.VARIANTS[variant])
    found = CometKiwiSettings(model=str(folder), device="cpu").open().estimate(SOURCES, TRANSLATIONS)
    assert [each.score for each in found] == pytest.approx(SCORES[variant], abs=2e-5)


def test_variants_differ() -> None:
    """Else the test above would not tell them apart."""
    assert len({tuple(scores) for scores in SCORES.values()}) == len(SCORES) - 2  # word level and patch are the same


def test_pairs_longer_than_the_model_reads_are_marked(kiwi: CometKiwi) -> None:
    found = kiwi.estimate(SOURCES, TRANSLATIONS)
    assert [each.is_cut for each in found] == [False, False, True, True, True, True, True, False]
    # Beyond what is read nothing counts.
    (same,) = kiwi.estimate([SOURCES[4] + "z " * 50], [TRANSLATIONS[4]])
    assert same.score == pytest.approx(found[4].score, abs=1e-5)


def test_empty_texts_have_no_score(kiwi: CometKiwi) -> None:
    found = kiwi.estimate(["", "el río", " \n", "el río"], ["the river", "", " ", "the river"])
    assert [each.score is None for each in found] == [True, True, True, False]
    assert found[0] == Estimate(None)
    assert kiwi.estimate([], []) == []


TEXTS = st.text("elríoñ .,?", max_size=80) | st.text(max_size=20)


@settings(deadline=None, max_examples=10)
@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=8), st.integers(1, 300), st.integers(1, 4))
def test_a_batch_gives_what_its_pairs_give_alone(
    kiwi: CometKiwi, pairs: list[tuple[str, str]], batch_tokens: int, batch_rows: int
) -> None:
    narrow = copy.copy(kiwi)
    narrow._runtime = replace(kiwi._runtime, batch_tokens=batch_tokens, batch_rows=batch_rows)
    together = narrow.estimate([source for source, _ in pairs], [translation for _, translation in pairs])
    alone = [kiwi.estimate([source], [translation])[0] for source, translation in pairs]
    assert [each.is_cut for each in together] == [each.is_cut for each in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.0], [0.5, 0.5]),
        ([3.0, 0.0, -1.0], [1.0, 0.0, 0.0]),
        ([0.5, 0.0, -2.0], [0.75, 0.25, 0.0]),
        ([0.1, 0.2, 0.3], [0.1 + 0.4 / 3, 0.2 + 0.4 / 3, 0.3 + 0.4 / 3]),
        ([7.0], [1.0]),
    ],
)
def test_sparsemax(values: list[float], expected: list[float]) -> None:
    assert sparsemax(torch.tensor(values)).tolist() == pytest.approx(expected)


def test_half_numbers_move_scores_little(folder: Path, kiwi: CometKiwi) -> None:
    exact = kiwi.estimate(SOURCES, TRANSLATIONS)
    engine = CometKiwiSettings(model=str(folder), device="cpu", dtype="bfloat16").open()
    found = engine.estimate(SOURCES, TRANSLATIONS)
    assert [each.score for each in found] == pytest.approx([each.score for each in exact], abs=0.05)
    assert engine._encoder.dtype == torch.bfloat16


def test_the_encoder_may_lie_elsewhere(folder: Path, tmp_path: Path, kiwi: CometKiwi) -> None:
    other = tiny_kiwi.build(tmp_path / "model", pretrained_model="microsoft/infoxlm-large")
    engine = CometKiwiSettings(model=str(other), encoder=str(folder / "encoder"), device="cpu").open()
    assert engine.estimate(SOURCES, TRANSLATIONS) == kiwi.estimate(SOURCES, TRANSLATIONS)


def test_weights_are_loaded_once_an_opening_and_counted(folder: Path) -> None:
    options = CometKiwiSettings(model=str(folder), device="cpu")
    before = devices.loads().get(options.label, 0)
    options.open().estimate(SOURCES, TRANSLATIONS)
    assert devices.loads()[options.label] == before + 1


def test_check_reads_no_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch, "load")
    CometKiwiSettings(model=str(folder)).check()


@pytest.mark.parametrize(
    "changes",
    [
        {"class_identifier": "regression_metric"},
        {"input_segments": ["mt", "src", "ref"]},
        {"encoder_model": "MiniLM"},
    ],
)
def test_models_of_other_kinds_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = tiny_kiwi.build(tmp_path / "model", **changes)
    with pytest.raises(EngineUnavailable, match="is no COMET-kiwi model"):
        CometKiwiSettings(model=str(folder)).check()


@pytest.mark.parametrize("lacking", ["hparams.yaml", "encoder/config.json", "encoder/tokenizer.json"])
def test_a_missing_file_is_told_before_the_first_row(tmp_path: Path, lacking: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tiny_kiwi.build(tmp_path / "model")
    (folder / lacking).unlink()
    with pytest.raises(EngineUnavailable, match="cannot be read"):
        CometKiwiSettings(model=str(folder)).check()


@pytest.mark.parametrize(
    "name", ["encoder.model.encoder.layer.1.output.dense.weight", "estimator.ff.3.bias", "layerwise_attention.gamma"]
)
def test_a_checkpoint_that_lacks_weights_is_refused(tmp_path: Path, name: str) -> None:
    folder = tiny_kiwi.build(tmp_path / "model")
    path = folder / "checkpoints" / "model.ckpt"
    content = torch.load(path)
    del content["state_dict"][name]
    torch.save(content, path)
    with pytest.raises(EngineUnavailable, match=r"lacks weights|cannot be read"):
        CometKiwiSettings(model=str(folder), device="cpu").open()


def test_a_checkpoint_that_runs_programs_is_loaded_on_demand_alone(tmp_path: Path) -> None:
    folder = tiny_kiwi.build(tmp_path / "model")
    path = folder / "checkpoints" / "model.ckpt"
    torch.save({**torch.load(path), "callbacks": {"path": Path("/somewhere")}}, path)
    with pytest.raises(EngineUnavailable, match="allow_pickle: true"):
        CometKiwiSettings(model=str(folder), device="cpu").open()
    engine = CometKiwiSettings(model=str(folder), device="cpu", allow_pickle=True).open()
    assert engine.estimate(SOURCES[:1], TRANSLATIONS[:1])[0].score == pytest.approx(SCORES["sparsemax"][0], abs=2e-5)


def test_a_missing_package_is_named_with_its_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'backprompt\[comet\]'"):
        CometKiwiSettings(model=str(folder)).check()
