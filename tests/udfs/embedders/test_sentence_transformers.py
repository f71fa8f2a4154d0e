from __future__ import annotations

import copy
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.embedders import tiny_minilm
from tests.udfs.embedders.tiny_minilm import LIMIT, TEXTS, UNITS
from udfs import devices
from udfs.embedders.sentence_transformers import SentenceTransformersEmbedder, SentenceTransformersSettings
from udfs.engines import EngineUnavailable

torch = pytest.importorskip("torch")
sentence_transformers = pytest.importorskip("sentence_transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_minilm.build(tmp_path_factory.mktemp("minilm"))


@pytest.fixture(scope="module")
def embedder(folder: str) -> SentenceTransformersEmbedder:
    return SentenceTransformersSettings(model=folder, device="cpu").open()


def test_vectors_are_those_of_the_library(embedder: SentenceTransformersEmbedder, folder: str) -> None:
    vectors = embedder.embed(TEXTS)
    expected = sentence_transformers.SentenceTransformer(folder, device="cpu").encode(TEXTS, normalize_embeddings=True)
    filled = [index for index, text in enumerate(TEXTS) if text.strip()]
    assert vectors.shape == (len(TEXTS), UNITS) == (len(TEXTS), embedder.dimensions)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[filled], expected[filled], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors[filled], axis=1), 1.0, atol=1e-6)


def test_texts_without_words_are_zeros(embedder: SentenceTransformersEmbedder) -> None:
    vectors = embedder.embed(["", "the road", " \n\t"])
    assert not vectors[[0, 2]].any()
    assert vectors[1].any()
    assert embedder.embed([]).shape == (0, UNITS)
    assert embedder.embed([""]).shape == (1, UNITS)


@settings(deadline=None, max_examples=10)
@given(st.lists(st.text(max_size=60) | st.sampled_from(TEXTS), max_size=8), st.integers(1, 200), st.integers(1, 4))
def test_a_batch_gives_what_its_texts_give_alone(
    embedder: SentenceTransformersEmbedder, texts: list[str], batch_tokens: int, batch_rows: int
) -> None:
    narrow = copy.copy(embedder)
    narrow._runtime = replace(embedder._runtime, batch_tokens=batch_tokens, batch_rows=batch_rows)
    alone = [embedder.embed([text])[0] for text in texts]
    np.testing.assert_allclose(narrow.embed(texts), np.reshape(alone, (len(texts), UNITS)), atol=1e-5)


def test_batches_hold_texts_of_like_length(
    embedder: SentenceTransformersEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    encode = embedder._model.encode

    def record(texts: list[str], **options: object) -> torch.Tensor:
        seen.append(texts)
        return encode(texts, **options)

    monkeypatch.setattr(embedder._model, "encode", record)
    narrow = copy.copy(embedder)
    narrow._runtime = replace(embedder._runtime, batch_tokens=2 * LIMIT)
    long, short = TEXTS[3], "a"
    narrow.embed([long, short, long, short, long, short])
    assert [set(batch) for batch in seen] == [{long}, {long, short}, {short}]
    assert [len(batch) for batch in seen] == [2, 2, 2]


def test_a_long_text_is_embedded_by_its_start(embedder: SentenceTransformersEmbedder) -> None:
    one, other = embedder.embed([TEXTS[3], TEXTS[3] + " río" * 50])
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_prompt_comes_before_each_text(folder: str, embedder: SentenceTransformersEmbedder) -> None:
    prompted = SentenceTransformersSettings(model=folder, device="cpu", prompt="the ").open()
    np.testing.assert_allclose(prompted.embed(["road", ""]), embedder.embed(["the road", ""]), atol=1e-6)


def test_half_numbers_still_give_unit_vectors(folder: str, embedder: SentenceTransformersEmbedder) -> None:
    half = SentenceTransformersSettings(model=folder, device="cpu", dtype="bfloat16").open()
    assert next(half._model.parameters()).dtype == torch.bfloat16
    vectors = half.embed(TEXTS[:1])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    assert float(vectors[0] @ embedder.embed(TEXTS[:1])[0]) > 0.99


def test_weights_are_loaded_once_an_opening_and_counted(folder: str) -> None:
    options = SentenceTransformersSettings(model=folder, device="cpu")
    before = devices.loads().get(options.label, 0)
    options.open().embed(TEXTS)
    assert devices.loads()[options.label] == before + 1


def test_a_missing_model_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    options = SentenceTransformersSettings(model=str(tmp_path / "none"))
    for use in (options.check, options.open):
        with pytest.raises(EngineUnavailable, match="cannot be read"):
            use()


def test_check_loads_no_weights(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sentence_transformers, "SentenceTransformer")
    SentenceTransformersSettings(model=folder).check()


def test_an_encoder_without_pooling_is_refused(folder: str, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "encoder")
    (tmp_path / "encoder" / "modules.json").unlink()
    with pytest.raises(EngineUnavailable, match=r"no modules\.json"):
        SentenceTransformersSettings(model=str(tmp_path / "encoder")).check()


def test_a_missing_package_is_named_with_its_extra(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'backprompt\[sentence-transformers\]'"):
        SentenceTransformersSettings(model=folder).check()
