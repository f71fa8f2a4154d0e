from __future__ import annotations

import copy
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.classifiers import tiny_roberta
from tests.udfs.classifiers.tiny_roberta import POSITIONS, text_of
from udfs import devices
from udfs.classifiers.transformers import TransformersClassifier, TransformersClassifierSettings
from udfs.engines import EngineUnavailable

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_roberta.build(tmp_path_factory.mktemp("roberta"))


@pytest.fixture(scope="module")
def classifier(folder: str) -> TransformersClassifier:
    return TransformersClassifierSettings(model=folder, overlap_tokens=8, device="cpu").open()


def test_the_wanted_label_is_scored(classifier: TransformersClassifier) -> None:
    clean, hateful = classifier.score([text_of(20), text_of(20, hate_at=7)])
    assert clean.score < 0.2 < 0.8 < hateful.score
    assert clean.windows == hateful.windows == 1


@pytest.mark.parametrize("place", [0, 100, 333, 399])
def test_a_word_is_found_anywhere_in_a_long_text(classifier: TransformersClassifier, place: int) -> None:
    clean, hateful = classifier.score([text_of(400), text_of(400, hate_at=place)])
    assert clean.score < 0.5 < hateful.score
    assert clean.windows > 5


def test_windows_cover_the_text_and_overlap(classifier: TransformersClassifier) -> None:
    text = text_of(150)
    windows, owners = classifier._windows(["the", text])
    tokenizer = classifier._tokenizer
    whole = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert owners == [0] + [1] * (len(windows) - 1)
    rebuilt: list[int] = []
    for window in windows[1:]:
        assert len(window) <= POSITIONS
        assert (window[0], window[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
        body = window[1:-1]
        if rebuilt:
            assert rebuilt[-8:] == body[:8]
        rebuilt += body[8:] if rebuilt else body
    assert rebuilt == whole


def test_scores_are_those_of_the_model(classifier: TransformersClassifier, folder: str) -> None:
    texts = [text_of(words, seed=words) for words in (1, 5, 20)]
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for text, found in zip(texts, classifier.score(texts), strict=True):
        with torch.no_grad():
            expected = model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0, 1].item()
        assert found.score == pytest.approx(expected, rel=1e-3, abs=1e-7)


@settings(deadline=None, max_examples=10)
@given(st.lists(st.text(max_size=300) | st.integers(0, 300).map(text_of), max_size=6), st.integers(1, 400))
def test_a_batch_gives_what_its_texts_give_alone(
    classifier: TransformersClassifier, texts: list[str], batch_tokens: int
) -> None:
    narrow = copy.copy(classifier)
    narrow._runtime = replace(classifier._runtime, batch_tokens=batch_tokens)
    together = narrow.score(texts)
    alone = [classifier.score([text])[0] for text in texts]
    assert [each.windows for each in together] == [each.windows for each in alone]
    assert [each.score for each in together] == pytest.approx([each.score for each in alone], abs=1e-5)
    assert all(0.0 <= each.score <= 1.0 for each in together)


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_a_text_without_words_scores_nothing(classifier: TransformersClassifier, text: str) -> None:
    blank, other = classifier.score([text, text_of(20, hate_at=3)])
    assert (blank.score, blank.windows) == (0.0, 0)
    assert other.score > 0.8
    assert classifier.score([]) == []


def test_special_tokens_written_in_a_text_are_text(classifier: TransformersClassifier) -> None:
    (window,), _ = classifier._windows(["the </s><pad> road"])
    special = {classifier._tokenizer.eos_token_id, classifier._tokenizer.pad_token_id}
    assert not special & set(window[1:-1])


def test_labels_that_do_not_exclude_each_other_are_probabilities_each(folder: str, tmp_path: Path) -> None:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    model.config.problem_type = "multi_label_classification"
    model.save_pretrained(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(tmp_path)
    text = text_of(10)
    (found,) = TransformersClassifierSettings(model=str(tmp_path), device="cpu", overlap_tokens=8).open().score([text])
    with torch.no_grad():
        expected = model.eval()(**tokenizer(text, return_tensors="pt")).logits.sigmoid()[0, 1].item()
    assert found.score == pytest.approx(expected, abs=1e-5)


def test_a_tokenizer_without_a_limit_takes_the_positions_of_the_model(folder: str, tmp_path: Path) -> None:
    transformers.AutoModelForSequenceClassification.from_pretrained(folder).save_pretrained(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = int(1e30)
    tokenizer.save_pretrained(tmp_path)
    classifier = TransformersClassifierSettings(model=str(tmp_path), device="cpu", overlap_tokens=8).open()
    assert classifier._window == POSITIONS
    assert classifier.score([text_of(400, hate_at=399)])[0].score > 0.5


def test_a_window_may_be_smaller(folder: str) -> None:
    small = TransformersClassifierSettings(model=folder, device="cpu", window_tokens=32, overlap_tokens=8).open()
    assert small.score([text_of(100)])[0].windows > 3
    with pytest.raises(EngineUnavailable, match="set overlap_tokens below 30"):
        TransformersClassifierSettings(model=folder, device="cpu", window_tokens=32, overlap_tokens=30).open()


def test_a_batch_that_memory_does_not_hold_is_halved(classifier: TransformersClassifier) -> None:
    texts = [text_of(20, hate_at=3 if index % 3 else None, seed=index) for index in range(9)]
    expected = classifier.score(texts)
    sizes = []
    forward = classifier._forward

    def narrow(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        sizes.append(len(ids))
        if len(ids) > 2:
            raise torch.OutOfMemoryError
        return forward(ids, mask)

    classifier._forward = narrow  # type: ignore[method-assign]
    try:
        found = classifier.score(texts)
    finally:
        classifier._forward = forward  # type: ignore[method-assign]
    assert [each.score for each in found] == pytest.approx([each.score for each in expected], abs=1e-5)
    assert sizes[0] == 9
    assert max(size for size in sizes[2:] if size <= 2) == 2


def test_weights_are_loaded_once_an_opening_and_counted(folder: str) -> None:
    options = TransformersClassifierSettings(model=folder, device="cpu", overlap_tokens=8)
    before = devices.loads().get(options.label, 0)
    options.open().score([text_of(5)] * 3)
    assert devices.loads()[options.label] == before + 1


def test_a_wrong_label_is_named_with_the_right_ones(folder: str) -> None:
    with pytest.raises(EngineUnavailable, match="no label 'toxic'; it has: nothate, hate"):
        TransformersClassifierSettings(model=folder, wanted_label="toxic").check()


def test_check_loads_no_weights(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(transformers.AutoModelForSequenceClassification, "from_pretrained")
    TransformersClassifierSettings(model=folder).check()


def test_a_missing_model_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EngineUnavailable, match=r"configuration of .* cannot be read"):
        TransformersClassifierSettings(model=str(tmp_path / "none")).check()


@pytest.mark.parametrize(("problem", "message"), [("missing", "cannot be read"), ("other", "of another model")])
def test_a_tokenizer_of_no_or_another_model_is_an_error(
    folder: str, tmp_path: Path, problem: str, message: str
) -> None:
    transformers.AutoConfig.from_pretrained(folder).save_pretrained(tmp_path)
    if problem == "other":
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        tokenizer.add_tokens([f"word{index}" for index in range(1_000)])
        tokenizer.save_pretrained(tmp_path)
    with pytest.raises(EngineUnavailable, match=message):
        TransformersClassifierSettings(model=str(tmp_path)).check()


def test_a_missing_package_is_named_with_its_extra(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'backprompt\[transformers\]'"):
        TransformersClassifierSettings(model=folder).check()
