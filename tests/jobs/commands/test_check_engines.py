"""``backprompt check-engines``: every engine of a recipe, what it covers, and a few documents through all of them."""

from __future__ import annotations

import io
import json
import re
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from jobs.__main__ import main
from jobs.commands.check_engines import Report, as_json, inspect, print_report
from jobs.runtime import corpora, engine_checks
from jobs.runtime.corpora import Counts
from jobs.runtime.engine_checks import check_engines, problems, require_engines
from jobs.runtime.forecast import Observation
from jobs.runtime.lake import Lake
from jobs.runtime.pipeline import Options, run
from jobs.runtime.recipe import LoadedRecipe, parse_recipe
from jobs.runtime.trial import Passage, StageTrial, Trial, TrialDocument, estimate
from jobs.sources.sampling import sampling_position
from tests.conftest import Recorder
from tests.udfs.conftest import PROGRAM
from udfs import devices
from udfs.classifiers.transformers import TransformersClassifierSettings
from udfs.devices import Device
from udfs.embedders.sentence_transformers import SentenceTransformersSettings
from udfs.engines import EngineUnavailable
from udfs.generators.vllm import VllmGeneratorSettings
from udfs.settings import Settings
from udfs.translators.ctranslate2 import CTranslate2Settings
from udfs.translators.transformers import TransformersTranslatorSettings

RECIPE = """
name: own
languages: {languages}
sources:
  - kind: jsonl
    name: own
    path: corpus
    license: CC0-1.0
    genre: encyclopedic
    columns: {{text: body, id: id, title: title}}
stages:
  clean: {{min_chars: 20}}
  dedup:
  translate: {{engine: {translate}}}
  instruct: {{engine: {instruct}}}
  back_translate: {{engine: {back_translate}}}
  screen:
  group:
  pairs:
"""
APERTIUM, TEMPLATE = "{kind: apertium}", "{kind: template}"
SPANISH = "La casa es grande y tiene un jardín con muchos árboles. Los niños juegan en el jardín por la tarde."
CATALAN = "La casa és gran i té un jardí amb molts arbres. Els nens juguen al jardí a la tarda amb els amics."
OCCITAN = "L'ostal es grand e a un òrt amb fòrça arbres. Los enfants jògan dins l'òrt lo vèspre amb los amics."


def write_recipe(folder: Path, languages: str = "[cat_Latn, spa_Latn]", **engines: str) -> Path:
    recipe = folder / "own.yaml"
    chosen = {"translate": APERTIUM, "instruct": TEMPLATE, "back_translate": APERTIUM} | engines
    recipe.write_text(RECIPE.format(languages=languages, **chosen), encoding="utf-8")
    return recipe


def load(folder: Path, languages: str = "[cat_Latn, spa_Latn]", **engines: str) -> LoadedRecipe:
    path = write_recipe(folder, languages, **engines)
    return parse_recipe(path.read_text(encoding="utf-8"), str(path))


def write_corpus(folder: Path, **texts: list[str]) -> None:
    for language, bodies in texts.items():
        lines = [
            json.dumps({"id": f"{language}{number}", "title": "La casa", "body": body})
            for number, body in enumerate(bodies)
        ]
        (folder / "corpus" / language).mkdir(parents=True)
        (folder / "corpus" / language / "a.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def dead_server() -> str:
    """Settings of a server at a port where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return f"{{kind: openai, base_url: 'http://127.0.0.1:{port}/v1', model: tiny-instruct, max_retries: 0}}"


@pytest.fixture
def server() -> Iterator[str]:
    """Address of a chat server."""
    process = subprocess.Popen([sys.executable, str(PROGRAM)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def no_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting Spark is an error."""

    def refuse(*_: Any) -> None:
        raise AssertionError("Spark was started")

    monkeypatch.setattr("jobs.runtime.session.get_session", refuse)


def printed(report: Report) -> str:
    out = io.StringIO()
    print_report(Console(file=out, width=120, highlight=False), report)
    return out.getvalue()


@pytest.mark.usefixtures("no_spark")
class TestChecks:
    def test_all_can_be_used(self, capsys: pytest.CaptureFixture[str], tmp_path: Path, server: str) -> None:
        instruct = f"{{kind: openai, base_url: '{server}', model: tiny-instruct}}"
        recipe = write_recipe(tmp_path, "[cat_Latn, oci_Latn, eng_Latn]", instruct=instruct)
        assert main(["check-engines", str(recipe)]) == 0
        out = capsys.readouterr().out
        assert "All 6 engines can be used." in out
        assert "instruct.engine           openai tiny-instruct: ok" in out
        assert "not covered: oci_Latn: rejected as translate.unsupported_language, kept in table translate" in out
        assert "not covered: oci_Latn: rejected as back_translate.unsupported_language" in out
        assert "not covered: eng_Latn" not in out
        assert "(from the recipe)" in out

    def test_every_broken_engine_is_named_with_what_to_do(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        nowhere = f"{{kind: apertium, prefix: {tmp_path / 'nowhere'}}}"
        recipe = write_recipe(tmp_path, translate=nowhere, instruct=dead_server())
        assert main(["check-engines", str(recipe)]) == 1
        out = capsys.readouterr().out
        assert "2 of 6 engines cannot be used:" in out
        assert "clean.identifier          py3langid: ok" in out
        assert "translate.engine          apertium: CANNOT BE USED" in out
        assert f"translate.engine (apertium): There is no Apertium in {tmp_path / 'nowhere'}" in out
        assert "apt-get install" in out
        assert "instruct.engine (openai): No server answers at http://127.0.0.1:" in out
        assert "back_translate.engine     apertium: ok" in out

    def test_a_model_whose_folder_is_missing(self, tmp_path: Path) -> None:
        pytest.importorskip("ctranslate2")
        engine = f"{{kind: ctranslate2, family: t5, model: {tmp_path / 'madlad'}}}"
        checks = check_engines(load(tmp_path, translate=engine, back_translate=engine))
        broken = [each for each in checks if each.problem]
        assert [each.name for each in broken] == ["translate.engine", "back_translate.engine"]
        assert problems(broken) == [
            "translate.engine (ctranslate2) and back_translate.engine (ctranslate2): There is no folder "
            f"{tmp_path / 'madlad'}. Name the model's folder, or owner/name of the hub."
        ]

    def test_a_family_that_has_to_be_read_from_a_missing_folder_hides_no_other_engine(self, tmp_path: Path) -> None:
        pytest.importorskip("ctranslate2")
        engine = f"{{kind: ctranslate2, model: {tmp_path / 'own'}}}"
        checks = check_engines(load(tmp_path, translate=engine, instruct=dead_server()))
        assert [each.name for each in checks if each.problem] == ["translate.engine", "instruct.engine"]

    def test_prompts_are_read(self, tmp_path: Path, server: str) -> None:
        (tmp_path / "slotless.txt").write_text("Write an instruction.", encoding="utf-8")
        chat = f"{{kind: openai, base_url: '{server}', model: tiny-instruct, prompt: %s}}"
        recipe = load(tmp_path, instruct=chat % "slotless.txt", translate=chat % "not_there")
        found = {each.name: each.problem for each in check_engines(recipe)}
        assert "prompt 'not_there' is neither a file beside the recipe nor in conf/prompts" in str(
            found["translate.engine"]
        )
        assert "a prompt has the slot {{text}} once" in str(found["instruct.engine"])

    def test_languages_that_an_identifier_does_not_know_are_told(self, tmp_path: Path) -> None:
        (check,) = (each for each in check_engines(load(tmp_path, "[cat_Latn, bam_Latn]"), ["clean"]))
        assert (check.uncovered, check.problem) == (("bam_Latn",), None)
        assert "uncertain" in check.fate

    def test_pairs_alone_need_no_engine_before_screen(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        nowhere = f"{{kind: apertium, prefix: {tmp_path / 'nowhere'}}}"
        path = write_recipe(tmp_path, translate=nowhere, instruct=dead_server(), back_translate=nowhere)
        text = path.read_text(encoding="utf-8")
        pairs = "sources: [{kind: wikihow, path: corpus}]\nstages:"
        alone = re.sub(r"sources:.*?stages:", pairs, text, flags=re.DOTALL)
        mixed = text.replace("sources:", "sources:\n  - {kind: wikihow, path: corpus}")

        recipe = parse_recipe(alone, str(path))
        assert {each.stage for each in check_engines(recipe)} == {"screen"}
        require_engines(recipe)
        assert "eng_Latn" in recipe.resources().candidates
        assert [each.stage for each in check_engines(parse_recipe(mixed, str(path))) if each.problem] == [
            "translate",
            "instruct",
            "back_translate",
        ]
        path.write_text(alone, encoding="utf-8")
        assert main(["check-engines", str(path)]) == 0
        said = capsys.readouterr().out
        assert "Not needed, as every source holds pairs: those of clean, translate, instruct, back_translate" in said

    def test_json(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        recipe = write_recipe(tmp_path, "[cat_Latn, oci_Latn]", instruct=dead_server())
        assert main(["check-engines", str(recipe), "--json"]) == 1
        values = json.loads(capsys.readouterr().out)
        assert (values["is_usable"], values["languages"]) == (False, ["cat_Latn", "oci_Latn"])
        engines = {f"{each['stage']}.{each['setting']}": each for each in values["engines"]}
        assert engines["translate.engine"]["uncovered"] == ["oci_Latn"]
        assert engines["instruct.engine"]["problem"].startswith("No server answers")
        assert "trial" not in values

    def test_a_run_names_every_broken_engine_before_it_touches_the_lake(self, tmp_path: Path) -> None:
        nowhere = f"{{kind: apertium, prefix: {tmp_path / 'nowhere'}}}"
        recipe = load(tmp_path, translate=nowhere, instruct=dead_server())
        lake = Lake(None, str(tmp_path / "lake"))  # type: ignore[arg-type]
        with pytest.raises(EngineUnavailable, match=r"(?s)no Apertium.*No server answers"):
            run(None, recipe, lake, Options(), Recorder())  # type: ignore[arg-type]
        assert not (tmp_path / "lake").exists()

    def test_only_the_stages_that_run_are_asked(self, tmp_path: Path) -> None:
        recipe = load(tmp_path, instruct=dead_server())
        require_engines(recipe, ["documents", "clean", "translate"])
        with pytest.raises(EngineUnavailable, match=r"^instruct\.engine \(openai\): No server answers"):
            require_engines(recipe)


def model_folder(folder: Path, gib: float, dtype: str = "float32") -> Path:
    """A folder with as much as a model has in it, and nothing on the disk."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "t5", "dtype": dtype}), encoding="utf-8")
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(int(gib * 2**30))
    return folder


class TestMachine:
    def notes(self, *engines: Settings) -> list[str]:
        taken: dict[tuple[str, Device], int] = defaultdict(int)
        return [note for engine in engines for note in engine_checks._check_machine(engine, "screen", taken)]

    def has(self, monkeypatch: pytest.MonkeyPatch, device: Device, gib: float) -> None:
        monkeypatch.setattr(engine_checks, "choose", lambda _: device)
        monkeypatch.setattr(devices, "free_bytes", lambda _: int(gib * 2**30))

    @pytest.mark.parametrize(
        ("stored", "dtype", "free", "fits"),
        [
            ("float32", "float32", 3.7, True),  # 3 GiB and a fifth
            ("float32", "float32", 3.5, False),
            ("float32", "bfloat16", 1.9, True),
            ("bfloat16", "bfloat16", 3.5, False),
            ("bfloat16", "float32", 7.0, False),
        ],
    )
    def test_a_gpu_of_this_machine_must_hold_the_model(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stored: str, dtype: str, free: float, fits: bool
    ) -> None:
        model = str(model_folder(tmp_path / "model", 3, stored))
        engine = TransformersTranslatorSettings(model=model, dtype=dtype)  # type: ignore[arg-type]
        self.has(monkeypatch, Device("cuda"), free)
        if fits:
            assert self.notes(engine) == []
        else:
            with pytest.raises(EngineUnavailable, match=r"GiB on cuda:0, where .* are free"):
                self.notes(engine)

    def test_a_gpu_must_hold_all_models_of_a_stage(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        engines = [
            TransformersClassifierSettings(model=str(model_folder(tmp_path / "hate", 1)), dtype="float32"),
            SentenceTransformersSettings(model=str(model_folder(tmp_path / "embedder", 2)), dtype="float32"),
        ]
        self.has(monkeypatch, Device("cuda"), 3.7)
        assert self.notes(*engines) == []
        self.has(monkeypatch, Device("cuda"), 3.5)
        with pytest.raises(EngineUnavailable, match=r"embedder, with the models before it in screen, needs about 3\.6"):
            self.notes(*engines)

    def test_memory_of_the_cpu_is_a_note_as_executors_have_another(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        engine = TransformersTranslatorSettings(model=str(model_folder(tmp_path / "model", 3)), dtype="float32")
        self.has(monkeypatch, Device("cpu"), 1)
        (note,) = self.notes(engine)
        assert "needs about 3.6 GiB on cpu" in note

    def test_a_gpu_that_only_executors_have_is_a_note(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(devices, "visible_cuda_devices", lambda: 0)
        engine = TransformersTranslatorSettings(model=str(model_folder(tmp_path / "model", 3)), device="cuda")
        (note,) = self.notes(engine)
        assert note.startswith("on this machine: No CUDA device")

    def test_int8_weights_are_a_quarter(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        pytest.importorskip("ctranslate2")
        engine = CTranslate2Settings(model=str(model_folder(tmp_path / "model", 3)), compute_type="int8")
        self.has(monkeypatch, Device("cpu"), 1)
        assert self.notes(engine) == []
        self.has(monkeypatch, Device("cpu"), 0.8)
        assert "0.9 GiB on cpu" in self.notes(engine)[0]

    def test_vllm_is_told_how_many_gpus_it_lacks(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        engine = VllmGeneratorSettings(model=str(model_folder(tmp_path / "m", 3, "bfloat16")), tensor_parallel_size=2)
        monkeypatch.setattr(engine_checks, "visible_cuda_devices", lambda: 1)
        assert "vLLM needs 2 GPUs and 1 are visible" in self.notes(engine)[0]
        monkeypatch.setattr(engine_checks, "visible_cuda_devices", lambda: 2)
        monkeypatch.setattr(devices, "free_bytes", lambda _: 2 * 2**30)
        assert self.notes(engine) == []  # 1.5 GiB a GPU, in nine tenths of it
        monkeypatch.setattr(devices, "free_bytes", lambda _: int(1.9 * 2**30))
        with pytest.raises(EngineUnavailable, match=r"2\.0 GiB on cuda:0"):
            self.notes(engine)

    def test_weights_that_only_the_hub_has(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        hub = pytest.importorskip("huggingface_hub")
        monkeypatch.setattr(hub, "snapshot_download", lambda *_, **__: str(tmp_path))
        engine = TransformersTranslatorSettings(model="owner/name", family="t5", device="cpu")

        class File:
            def __init__(self, rfilename: str, size: int) -> None:
                self.rfilename, self.size = rfilename, size

        class Info:
            siblings = (File("model.safetensors", 2**30), File("pytorch_model.bin", 2**30))

        monkeypatch.setattr(hub.HfApi, "model_info", lambda *_, **__: Info)
        monkeypatch.setattr(devices, "free_bytes", lambda _: 2**40)
        assert self.notes(engine) == [
            "owner/name: the weights (1.0 GiB) are on the hub; each machine fetches them when it first loads them"
        ]

        def unreachable(*_: Any, **__: Any) -> None:
            raise OSError("no route")

        monkeypatch.setattr(hub.HfApi, "model_info", unreachable)
        with pytest.raises(EngineUnavailable, match=r"no route Fetch them .* \(hf download owner/name\)"):
            self.notes(engine)


def small_trial() -> Trial:
    """Three documents: a Spanish and a Catalan one to the end, an Occitan one to `translate`."""

    def document(language: str, units: int, *reasons: str) -> TrialDocument:
        passage = Passage("x", "y", 0 if reasons else units, 0 if reasons else units, 1.0, reasons)
        passages = {"translate": passage}
        if not reasons:
            passages["instruct"] = Passage("x", "y", 50, 10, 0.5, ("instruct.no_instruction",) * (units == 100))
        return TrialDocument(language, language, "own", "La casa", passages)

    return Trial(
        (
            document("spa_Latn", 100),
            document("cat_Latn", 300),
            document("oci_Latn", 10, "translate.unsupported_language"),
        ),
        (
            StageTrial("clean", "characters", 4, 3, 1.0, 2.0, 800, 0),
            StageTrial("translate", "tokens", 3, 2, 1.0, 8.0, 400, 400),
            StageTrial("instruct", "tokens", 2, 1, 1.0, 1.2, 100, 20),
        ),
        ("dedup", "pairs"),
        {
            "clean": [
                Observation("own", language, is_alive, length, length, length, 0)
                for language, is_alive, length in (
                    ("spa_Latn", True, 100),
                    ("cat_Latn", True, 300),
                    ("oci_Latn", True, 200),
                    ("spa_Latn", False, 100),
                )
            ],
            "translate": [
                Observation("own", "spa_Latn", True, 100, 100, 100, 100),
                Observation("own", "cat_Latn", True, 300, 300, 300, 300),
                Observation("own", "oci_Latn", False, 200, 200, 0, 0),
            ],
            "instruct": [
                Observation("own", "spa_Latn", False, 100, 100, 50, 10),
                Observation("own", "cat_Latn", True, 300, 300, 50, 10),
            ],
        },
    )


def test_the_estimate_follows_from_the_trial(tmp_path: Path) -> None:
    found = estimate(
        load(tmp_path),
        small_trial(),
        incoming={"spa_Latn": 4_000, "oci_Latn": 400, "por_Latn": 400, "eng_Latn": 400},
        waiting={"instruct": {"spa_Latn": 1_000}},
        uncovered={"translate": ("oci_Latn",)},
    )
    by_name = {(each.stage, each.language): each for each in found}
    clean, spanish = by_name["clean", "spa_Latn"], by_name["translate", "spa_Latn"]
    # As long as the Spanish documents of the trial, 100 characters, 400 a second.
    assert (clean.documents, clean.units, clean.unit) == (4_000, 400_000, "characters")
    assert clean.hours == pytest.approx(1_000 / 3_600)
    # Of two Spanish ones one was kept, of all three quarters: it leans on the others.
    assert 2_000 < spanish.documents < 3_000
    assert spanish.units == pytest.approx(spanish.documents * 200, rel=0.15)
    assert spanish.hours == pytest.approx(spanish.units / 100 / 3_600)
    assert spanish.is_measured
    assert ("translate", "oci_Latn") not in by_name
    assert ("instruct", "oci_Latn") not in by_name
    portuguese = by_name["translate", "por_Latn"]
    assert not portuguese.is_measured
    # Those that wait in the lake come beside those that the corpora bring.
    arrived = by_name["instruct", "spa_Latn"].documents - 1_000
    assert 0 < arrived <= spanish.documents


def test_a_report_with_a_trial_is_printed(tmp_path: Path) -> None:
    recipe, trial = load(tmp_path), small_trial()
    counts = Counts({"spa_Latn": 4_000, "por_Latn": 8}, ["own"], ["big"])
    report = Report("own", check_engines(recipe), languages=("spa_Latn",), languages_from="the recipe")
    report.trial, report.counts = trial, counts
    report.estimates = estimate(recipe, trial, counts.documents, {}, {})
    text = printed(report)
    for part in (
        "Document 3: oci_Latn, own",
        "translate.unsupported_language",
        "por_Latn *",
        "It rests on 3 documents",
        "counted in own",
        "Of big one file a language was counted",
        "Taken to reject nothing: dedup, pairs.",
        "Nothing was written.",
    ):
        assert part in text, part
    assert json.loads(as_json(report))["trial"]["stages"][1]["per_second"] == 100


@pytest.mark.usefixtures("spark")
class TestTrial:
    def trial(self, capsys: pytest.CaptureFixture[str], recipe: Path, *more: str) -> dict[str, Any]:
        assert main(["check-engines", str(recipe), "--json", *more]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    def test_documents_go_through_every_engine(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        write_corpus(tmp_path, spa_Latn=[SPANISH] * 3, cat_Latn=[CATALAN, "massa curt"], oci_Latn=[OCCITAN])
        found = self.trial(capsys, write_recipe(tmp_path, "[]"), "--trial", "3")
        assert found["languages"] == ["cat_Latn", "oci_Latn", "spa_Latn"]
        assert found["corpora"]["documents"] == {"cat_Latn": 2, "oci_Latn": 1, "spa_Latn": 3}
        assert [each["stage"] for each in found["trial"]["stages"]] == [
            *("clean", "translate", "instruct", "back_translate", "screen")
        ]
        assert found["trial"]["skipped"] == ["dedup", "group", "pairs"]
        documents = {each["language"]: each["passages"] for each in found["trial"]["documents"]}
        assert documents.keys() == {"cat_Latn", "oci_Latn", "spa_Latn"}
        assert list(documents["oci_Latn"]) == ["translate"]
        assert documents["oci_Latn"]["translate"]["rejected_for"] == ["translate.unsupported_language"]
        spanish = documents["spa_Latn"]
        assert "The house" in spanish["translate"]["answer"]
        assert spanish["translate"]["units_in"] == len(spanish["translate"]["asked"])
        assert spanish["back_translate"]["answer"]
        estimates = {(each["stage"], each["language"]): each for each in found["estimate"]}
        assert estimates["translate", "spa_Latn"]["documents"] > 0
        assert ("translate", "oci_Latn") not in estimates

    def test_prompts_and_tokens_are_those_of_the_server(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, server: str
    ) -> None:
        write_corpus(tmp_path, spa_Latn=[SPANISH + " " + SPANISH.replace("casa", "torre")])
        instruct = f"{{kind: openai, base_url: '{server}', model: tiny-instruct, max_document_chars: 100}}"
        found = self.trial(capsys, write_recipe(tmp_path, "[spa_Latn]", instruct=instruct), "--trial", "1")
        (stage,) = (each for each in found["trial"]["stages"] if each["stage"] == "instruct")
        passage = found["trial"]["documents"][0]["passages"]["instruct"]
        assert passage["asked"].count("[...]") == 1
        assert "The house" in passage["asked"]
        assert "What does a text say" in passage["answer"]
        assert (stage["unit"], stage["units_in"]) == ("tokens", len(passage["asked"].split()))
        assert stage["units_out"] == passage["units_out"] > 0

    def test_a_lake_takes_away_what_it_holds(self, spark: SparkSession, tmp_path: Path) -> None:
        write_corpus(tmp_path, spa_Latn=[SPANISH, SPANISH.replace("casa", "torre")])
        recipe, lake = load(tmp_path, "[spa_Latn]"), Lake(spark, str(tmp_path / "lake"))
        run(spark, recipe, lake, Options(stages=("documents",), max_documents=1), Recorder())
        report = inspect(recipe, lake, 1)
        assert report.counts is not None
        assert report.counts.documents == {"spa_Latn": 1}
        by_name = {(each.stage, each.language): each.documents for each in report.estimates}
        assert by_name["clean", "spa_Latn"] == 2, "one in the corpus, one that waits in the lake"

    def test_documents_are_the_first_of_the_sample(self, spark: SparkSession, tmp_path: Path) -> None:
        write_corpus(tmp_path, spa_Latn=[f"{SPANISH} {number}" for number in range(20)])
        recipe, lake = load(tmp_path, "[spa_Latn]"), Lake(spark, str(tmp_path / "lake"))
        listed = corpora.list_corpora(spark, recipe)
        table, _ = corpora.sample_documents(spark, recipe, lake, listed, 2)
        docs = corpora._documents(spark, recipe, recipe.recipe.sources[0])
        order = [row["doc_id"] for row in docs.orderBy(sampling_position("doc_id", 0)).collect()]
        assert table["doc_id"].to_pylist() == order[: len(table)]
        assert 2 <= len(table) < 20

    def test_of_a_large_corpus_one_file_a_language_is_read(
        self, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_corpus(tmp_path, spa_Latn=[SPANISH] * 2, cat_Latn=[CATALAN])
        small = tmp_path / "corpus" / "spa_Latn" / "a.jsonl"
        large = small.with_name("b.jsonl")
        large.write_text(small.read_text(encoding="utf-8").replace('"spa_Latn', '"other') * 3, encoding="utf-8")
        monkeypatch.setattr(corpora, "_SMALL_BYTES", 0)
        recipe, lake = load(tmp_path), Lake(spark, str(tmp_path / "lake"))
        table, counts = corpora.sample_documents(spark, recipe, lake, corpora.list_corpora(spark, recipe), 2)
        assert set(table["origin"].to_pylist()) == {"a.jsonl"}
        assert set(table["language"].to_pylist()) == {"spa_Latn", "cat_Latn"}
        assert counts.documents["cat_Latn"] == 1
        assert 7 <= counts.documents["spa_Latn"] <= 8
        assert (counts.counted, counts.projected) == ([], ["own"])

    def test_engines_are_told_where_the_corpora_are_missing(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        recipe = write_recipe(tmp_path, "[]")
        assert main(["check-engines", str(recipe), "--trial", "1"]) == 1
        out = capsys.readouterr().out
        assert "All 6 engines can be used." in out
        assert f"{tmp_path / 'corpus'}: there is nothing" in out
