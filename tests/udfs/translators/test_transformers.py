"""transformers as an engine: what is its own; that its output is CTranslate2's is tested there."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.udfs.translators import small_models  # noqa: E402
from udfs import devices  # noqa: E402
from udfs.engines import EngineUnavailable  # noqa: E402
from udfs.translators.transformers import TransformersTranslatorSettings  # noqa: E402

CODES = small_models.LANGUAGES
TEXTS = list(small_models.TEXTS)
ENDS = (["spa_Latn"] * len(TEXTS), ["eng_Latn"] * len(TEXTS))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_models.madlad(tmp_path_factory.mktemp("transformers") / "madlad")


def settings(folder, **options):
    decoding = {"max_output_tokens": 40, **options.pop("decoding", {})}
    return TransformersTranslatorSettings(
        model=str(folder), device="cpu", max_segment_tokens=40, decoding=decoding, **options
    )


def test_check_and_label(folder):
    settings(folder).check([("spa_Latn", "eng_Latn")], CODES)
    label = settings(folder, revision="abc").open(CODES).label("spa_Latn", "eng_Latn")
    assert label.startswith("transformers-")
    assert label.endswith(f":{folder}@abc:float32")
    assert devices.loads()[label] == 1


def test_the_folders_own_defaults_do_not_leak(folder, tmp_path):
    import shutil

    copy = shutil.copytree(folder, tmp_path / "copy")
    path = copy / "generation_config.json"
    leaky = json.loads(path.read_text()) | {"num_beams": 3, "forced_bos_token_id": 7, "no_repeat_ngram_size": 1}
    path.write_text(json.dumps(leaky))
    assert settings(copy).open(CODES).translate(TEXTS, *ENDS) == settings(folder).open(CODES).translate(TEXTS, *ENDS)


def test_a_sampled_batch_is_the_same_again(folder):
    sampled = settings(folder, decoding={"strategy": "sampling", "seed": 1}).open(CODES)
    first = sampled.translate(TEXTS, *ENDS)
    sampled.translate(TEXTS[:2], ENDS[0][:2], ENDS[1][:2])
    assert sampled.translate(TEXTS, *ENDS) == first
    other = settings(folder, decoding={"strategy": "sampling", "seed": 2}).open(CODES)
    assert other.translate(TEXTS, *ENDS) != first


@pytest.mark.parametrize("decoding", [{"strategy": "beam", "beam_size": 3}, {"no_repeat_ngram_size": 2}])
def test_other_decodings(folder, decoding):
    answers = settings(folder, decoding=decoding).open(CODES).translate(TEXTS, *ENDS)
    assert all(answer.error is None for answer in answers)
    assert answers != settings(folder).open(CODES).translate(TEXTS, *ENDS)


def test_bfloat16_and_freeing(folder):
    translator = settings(folder, dtype="bfloat16").open(CODES)
    assert translator.label("spa_Latn", "eng_Latn").endswith(":bfloat16")
    assert all(answer.text is not None for answer in translator.translate(TEXTS, *ENDS))
    translator.close()
    assert not hasattr(translator, "_model")


def test_a_folder_without_weights(folder, tmp_path):
    for name in ("spiece.model", "config.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(EngineUnavailable, match="There are no weights"):
        settings(tmp_path).check([("spa_Latn", "eng_Latn")], CODES)


def test_a_model_that_does_not_fit(folder, monkeypatch):
    monkeypatch.setattr(devices, "free_bytes", lambda _: 1000)
    with pytest.raises(EngineUnavailable, match=r"needs about .* GiB on cpu, where .* are free"):
        settings(folder).open(CODES)
