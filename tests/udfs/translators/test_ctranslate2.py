"""CTranslate2: converted once and whole, and the same greedy output as transformers from the same weights."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("ctranslate2")

from tests.udfs.translators import small_models  # noqa: E402
from udfs import devices  # noqa: E402
from udfs.engines import EngineUnavailable  # noqa: E402
from udfs.translators import ctranslate2 as engine  # noqa: E402
from udfs.translators.ctranslate2 import CTranslate2Settings  # noqa: E402
from udfs.translators.transformers import TransformersTranslatorSettings  # noqa: E402

OWN = {language: language for language in small_models.LANGUAGES}
CODES = {"madlad": small_models.LANGUAGES, "nllb": OWN, "marian": OWN}
ENDS = {"sources": ["spa_Latn"], "targets": ["eng_Latn", "fra_Latn"]}
TEXTS = [*small_models.TEXTS, "Hola 漢 </s> 😀", "", "123\n\n  Hola.", " ".join(small_models.TEXTS)]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("ctranslate2")


@pytest.fixture(scope="module", params=["madlad", "nllb", "marian"])
def options(request, root):
    """Settings for a model of each family."""
    folder = getattr(small_models, request.param)(root / request.param)
    ends = ENDS if request.param == "marian" else {}
    common = {"model": str(folder), "max_segment_tokens": 30, "decoding": {"max_output_tokens": 40}, "device": "cpu"}
    return request.param, {**common, **ends}, {"cache_folder": str(root / "cache")}


def directions(count: int):
    return ["spa_Latn"] * count, [("eng_Latn", "fra_Latn")[at % 2] for at in range(count)]


def test_the_same_greedy_output_as_transformers(options):
    name, common, cache = options
    settings = CTranslate2Settings(**common, **cache)
    settings.check([("spa_Latn", "eng_Latn"), ("spa_Latn", "fra_Latn")], CODES[name])
    ours = settings.open(CODES[name])
    reference = TransformersTranslatorSettings(**common).open(CODES[name])
    answers = ours.translate(TEXTS, *directions(len(TEXTS)))
    assert answers == reference.translate(TEXTS, *directions(len(TEXTS)))
    assert all(answer.error is None for answer in answers)
    # Random weights, yet other words for other texts: the comparison is not of constants.
    assert len({answer.text for answer in answers}) == len(TEXTS)
    alone = [
        ours.translate([text], [source], [target])[0]
        for text, source, target in zip(TEXTS, *directions(len(TEXTS)), strict=True)
    ]
    assert alone == answers


def test_converted_once_and_usable_alone(options, root, monkeypatch):
    name, common, cache = options
    CTranslate2Settings(**common, **cache).open(CODES[name])

    def fail(*arguments: object) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr(engine, "_convert", fail)
    first = CTranslate2Settings(**common, **cache).open(CODES[name])
    (made,) = [path for path in (root / "cache").glob(f"{name}-float32-*") if path.is_dir()]
    assert not list((root / "cache").glob(".*"))
    # It has its tokenizer with it, and tells its family.
    settings = CTranslate2Settings(**{**common, "model": str(made)}, compute_type="int8")
    settings.check([("spa_Latn", "eng_Latn")], CODES[name])
    alone = settings.open(CODES[name])
    assert alone.label("spa_Latn", "eng_Latn").endswith(f"{made}:int8_float32")
    assert first.label("spa_Latn", "eng_Latn").startswith("ctranslate2-4.")
    assert all(answer.text is not None for answer in alone.translate(TEXTS, *directions(len(TEXTS))))


@pytest.fixture(scope="module")
def madlad(tmp_path_factory) -> Path:
    return small_models.madlad(tmp_path_factory.mktemp("one") / "madlad")


@pytest.fixture(scope="module")
def converted(madlad, tmp_path_factory) -> CTranslate2Settings:
    settings = CTranslate2Settings(model=str(madlad), cache_folder=str(tmp_path_factory.mktemp("made")), device="cpu")
    settings.open(small_models.LANGUAGES).close()
    return settings


class TestConversion:
    def test_two_at_once_convert_once(self, tmp_path, monkeypatch, converted):
        made = next(path for path in Path(converted.cache_folder).iterdir() if path.is_dir())
        calls = []

        def convert(source: Path, target: Path, compute_type: str) -> None:
            calls.append(target)
            shutil.copytree(made, target)

        monkeypatch.setattr(engine, "_convert", convert)
        settings = converted.model_copy(update={"cache_folder": str(tmp_path)})
        threads = [threading.Thread(target=settings.open, args=[small_models.LANGUAGES]) for _ in range(3)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(calls) == 1

    def test_the_slower_of_two_without_locks_keeps_the_first(self, madlad, tmp_path, monkeypatch):
        target = tmp_path / "made"

        def run(command: list[str], **_: object):
            Path(command[-2]).mkdir()
            target.mkdir()
            (target / "model.bin").touch()
            return engine.subprocess.CompletedProcess(command, 0)

        monkeypatch.setattr(engine.subprocess, "run", run)
        engine._convert(madlad, target, "float32")
        assert (target / "model.bin").exists()
        assert list(tmp_path.iterdir()) == [target]

    def test_other_files_are_another_model(self, madlad, tmp_path):
        copy = Path(shutil.copytree(madlad, tmp_path / "copy"))
        before = engine._key("x/madlad", copy, "int8")
        assert before == engine._key("x/madlad", copy, "int8")
        assert before.startswith("madlad-int8-")
        assert before != engine._key("x/madlad", copy, "float32")
        (copy / "model.safetensors").touch()
        assert before != engine._key("x/madlad", copy, "int8")

    def test_a_failed_conversion_says_why_and_leaves_nothing(self, madlad, tmp_path):
        broken = Path(shutil.copytree(madlad, tmp_path / "broken"))
        (broken / "model.safetensors").write_bytes(b"no weights")
        settings = CTranslate2Settings(model=str(broken), cache_folder=str(tmp_path / "cache"), device="cpu")
        with pytest.raises(EngineUnavailable, match="CTranslate2 could not convert"):
            settings.open(small_models.LANGUAGES)
        assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


class TestTranslator:
    def test_loaded_once_and_counted(self, converted):
        before = devices.loads()
        translator = converted.open(small_models.LANGUAGES)
        translator.translate(["Hola."], ["spa_Latn"], ["eng_Latn"])
        translator.translate(["Hola."], ["spa_Latn"], ["fra_Latn"])
        label = translator.label("spa_Latn", "eng_Latn")
        assert devices.loads()[label] == before.get(label, 0) + 1

    def test_a_batch_that_ends_the_memory_is_halved(self, converted):
        translator = converted.open(small_models.LANGUAGES)
        model, sizes = translator._model, []

        class Small:
            def translate_batch(self, batch, **options):
                sizes.append(len(batch))
                if len(batch) > 2:
                    raise RuntimeError("CUDA failed with error out of memory")
                return model.translate_batch(batch, **options)

        texts = list(small_models.TEXTS)
        whole = translator.translate(texts, *directions(len(texts)))
        translator._model = Small()
        assert translator.translate(texts, *directions(len(texts))) == whole
        assert sizes[0] == len(texts)

    @pytest.mark.parametrize(
        "decoding",
        [
            {"strategy": "beam", "beam_size": 3},
            {"strategy": "sampling", "top_k": 5, "temperature": 0.7, "top_p": 0.9},
            {"repetition_penalty": 1.5, "no_repeat_ngram_size": 2},
        ],
    )
    def test_other_decodings(self, converted, decoding):
        greedy = converted.open(small_models.LANGUAGES)
        other = converted.model_copy(
            update={"decoding": converted.decoding.model_copy(update={**decoding, "max_output_tokens": 200})}
        ).open(small_models.LANGUAGES)
        texts = list(small_models.TEXTS)
        answers = other.translate(texts, *directions(len(texts)))
        assert all(answer.error is None for answer in answers)
        assert answers != greedy.translate(texts, *directions(len(texts)))

    def test_forced_lengths(self, converted):
        translator = converted.open(small_models.LANGUAGES)
        translator.has_forced_lengths = True
        (request, *_) = [engine.Request(("<2en>", "▁", "a", "</s>"), (), 7)]
        (output,) = translator.generate([request])
        assert len(output.pieces) >= 7


class TestCheck:
    def test_languages_without_a_tag(self, madlad):
        settings = CTranslate2Settings(model=str(madlad), device="cpu")
        with pytest.raises(EngineUnavailable, match=r"yor_Latn to eng_Latn: a code is missing in the column madlad"):
            settings.check([("yor_Latn", "eng_Latn")], small_models.LANGUAGES)
        with pytest.raises(EngineUnavailable, match=r"has no <2yo> for yor_Latn. Correct it with `language_codes`"):
            settings.check([("eng_Latn", "yor_Latn")], {**small_models.LANGUAGES, "yor_Latn": "yo"})

    def test_a_marian_model_needs_its_languages_named(self, tmp_path):
        folder = small_models.marian(tmp_path / "marian")
        with pytest.raises(EngineUnavailable, match="needs `sources` and `targets`"):
            CTranslate2Settings(model=str(folder)).check([("spa_Latn", "eng_Latn")], OWN)

    def test_numbers_that_a_cpu_does_not_have(self, madlad):
        with pytest.raises(EngineUnavailable, match=r"cpu does not compute in float16. Write compute_type:"):
            CTranslate2Settings(model=str(madlad), compute_type="float16", device="cpu").check([], {})

    def test_without_the_converter(self, madlad, monkeypatch):
        monkeypatch.setattr(engine, "find_spec", lambda _: None)
        with pytest.raises(EngineUnavailable, match=r"pip install 'backprompt\[ctranslate2,transformers\]'"):
            CTranslate2Settings(model=str(madlad)).check([], {})

    def test_without_the_package(self, madlad, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "ctranslate2", None)
        with pytest.raises(EngineUnavailable, match=r"pip install 'backprompt\[ctranslate2\]'"):
            CTranslate2Settings(model=str(madlad)).check([], {})
