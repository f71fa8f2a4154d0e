"""The stages with models of the real architectures, small and random: health, cache, scores, one load a worker."""

import shutil
from dataclasses import replace

import pyarrow as pa
import pytest
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType

from jobs.runtime.conf import language_table, word_lists
from jobs.runtime.schema import HEALTH, INSTRUCT, TRANSLATE
from jobs.stages.base import Resources, flag_all
from jobs.stages.engines import RecipeTranslator
from jobs.stages.health import HealthSettings, fault_rules, from_row, to_arrow
from jobs.stages.screen import ScreenSettings, screen
from jobs.stages.translate import _REASONS, TranslateSettings, translate, translate_all
from tests.builders import documents
from tests.udfs.classifiers import tiny_roberta
from tests.udfs.embedders import tiny_minilm
from tests.udfs.quality import tiny_kiwi
from tests.udfs.translators import small_models
from udfs import devices
from udfs.classifiers.transformers import TransformersClassifierSettings
from udfs.embedders.sentence_transformers import SentenceTransformersSettings
from udfs.engines import Answer
from udfs.quality.comet import CometKiwiSettings
from udfs.translation_health import Health
from udfs.translators.ctranslate2 import CTranslate2Settings
from udfs.translators.transformers import TransformersTranslatorSettings

pytest.importorskip("torch")

SPANISH, ENGLISH, FRENCH, RUSSIAN, MORE_SPANISH = small_models.TEXTS


@pytest.fixture(scope="module")
def resources():
    return Resources(languages=language_table(), pivot="eng_Latn", seed=1, word_lists=word_lists())


@pytest.fixture(scope="module")
def nllb(tmp_path_factory):
    return small_models.nllb(tmp_path_factory.mktemp("nllb") / "model")


@pytest.fixture
def settings(nllb, tmp_path):
    engine = CTranslate2Settings(
        model=str(nllb),
        cache_folder=str(tmp_path / "converted"),
        device="cpu",
        sources=("spa_Latn", "fra_Latn", "rus_Cyrl"),
        targets=("eng_Latn",),
    )
    return TranslateSettings(engine=engine, health=HealthSettings(reject=()))


def rows():
    texts = {"spa_Latn": SPANISH, "fra_Latn": FRENCH, "rus_Cyrl": RUSSIAN, "eng_Latn": ENGLISH, "cat_Latn": "Bon dia."}
    return [{"url": code, "language": code, "title": "Título", "text": text} for code, text in texts.items()]


def by_url(frame):
    return {row["url"]: row for row in frame.collect()}


def test_every_direction_of_a_batch_is_translated_and_has_its_health(spark, settings, resources):
    made = by_url(translate(documents(spark, rows()), settings, resources))
    assert made["cat_Latn"]["rejected_for"] == ["translate.unsupported_language"]
    assert made["eng_Latn"]["text_en"] == ENGLISH
    assert made["eng_Latn"]["text_health"] is None, "nothing was translated"
    translator = settings.engine.open(dict(RecipeTranslator.of(settings.engine, resources).names))
    for code in ("spa_Latn", "fra_Latn", "rus_Cyrl"):
        (expected,) = translator.translate([made[code]["text"]], [code], ["eng_Latn"])
        assert made[code]["text_en"] == expected.text, code
        assert from_row(made[code]["text_health"].asDict()) == expected.health, code
        assert made[code]["text_health"]["segments"] >= 1
        assert made[code]["title_health"]["segments"] == 1
        assert made[code]["translator"].startswith("ctranslate2-")


def test_transformers_makes_the_same_rows(spark, settings, resources, nllb):
    common = settings.engine.model_dump(exclude={"kind", "compute_type", "cache_folder", "threads"})
    other = settings.model_copy(update={"engine": TransformersTranslatorSettings(**common)})
    first, second = (by_url(translate(documents(spark, rows()), each, resources)) for each in (settings, other))
    assert {url: row["text_en"] for url, row in first.items()} == {url: row["text_en"] for url, row in second.items()}


def test_faults_reject_before_any_prompt_is_written(spark, settings, resources):
    strict = settings.model_copy(update={"health": HealthSettings(reject=("length_ratio",), min_length_ratio=0.2)})
    made = by_url(translate(documents(spark, rows()), strict, resources))
    least = {code: made[code]["text_health"]["min_length_ratio"] for code in ("spa_Latn", "fra_Latn", "rus_Cyrl")}
    short = [code for code, ratio in least.items() if ratio < 0.2]
    assert 0 < len(short) < len(least), "the small model writes short translations and longer ones"
    for code in least:
        assert made[code]["rejected_for"] == (["translate.length_ratio"] if code in short else []), code
    assert made[short[0]]["detail"].endswith(" times as long")
    assert made[short[0]]["text_en"], "a rejected row keeps what it had"
    assert made["eng_Latn"]["rejected_for"] == []


def test_each_fault_has_its_rule(spark):
    whole = Health(segments=4, min_length_ratio=0.9, max_length_ratio=1.2)
    given = {
        "whole": whole,
        "none": None,
        **{name: replace(whole, **{name: 1}) for name in ("truncated", "repeated", "copied", "empty", "wrong_script")},
        "short": replace(whole, min_length_ratio=0.01),
        "long": replace(whole, max_length_ratio=40.0),
    }
    schema = StructType([StructField("url", StringType()), StructField("text_health", HEALTH)])
    columns = [pa.array(given), to_arrow(Answer("", None, health) if health else None for health in given.values())]
    frame = spark.createDataFrame(pa.Table.from_arrays(columns, names=schema.fieldNames()).to_pandas(), schema)
    frame = frame.withColumns({"rejected_for": F.array().cast("array<string>"), "detail": F.lit(None).cast("string")})

    def reasons(settings):
        flagged = flag_all(frame, fault_rules("text_health", settings, _REASONS))
        return {row["url"]: row["rejected_for"] for row in flagged.collect()}

    every = HealthSettings(reject=("truncated", "repeated", "copied", "empty", "wrong_script", "length_ratio"))
    found = reasons(every)
    assert found.pop("whole") == found.pop("none") == []
    assert found.pop("short") == found.pop("long") == ["translate.length_ratio"]
    assert found == {name: [f"translate.{name}"] for name in found}
    assert reasons(HealthSettings(reject=()))["truncated"] == []
    assert reasons(every.model_copy(update={"max_faulty_share": 0.25}))["truncated"] == [], "one of four may"


def test_weights_are_loaded_once_a_worker_and_freed_for_the_next_stage(spark, settings, resources, nllb, tmp_path):
    # A model of its own, as workers outlive tests, and their counts with them.
    own = str(shutil.copytree(nllb, tmp_path / "own"))
    settings = settings.model_copy(update={"engine": settings.engine.model_copy(update={"model": own})})
    many = [{**row, "url": f"{row['url']} {number}"} for number in range(20) for row in rows()]
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "5")
    try:
        docs = documents(spark, many).repartition(4)
        assert translate(docs, settings, resources).where(F.col("text_en").isNotNull()).count() > 0

        def loads(batches):
            for _ in batches:
                pass
            from udfs import loaded

            counts = devices.loads()
            held = sum(hasattr(engine, "close") for engine in loaded._ENGINES.values())
            loaded.open_for("another stage", str)
            left = sum(hasattr(engine, "close") for engine in loaded._ENGINES.values())
            yield pa.RecordBatch.from_pylist(
                [{"loads": sum(n for name, n in counts.items() if own in name), "held": held, "left": left}]
            )

        schema = StructType([StructField(name, LongType()) for name in ("loads", "held", "left")])
        counted = spark.range(4).repartition(4).mapInArrow(loads, schema).collect()
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    assert {row["loads"] for row in counted} <= {0, 1}
    assert sum(row["loads"] for row in counted) >= 1
    assert sum(row["held"] for row in counted) >= 1
    assert not any(row["left"] for row in counted)


def test_a_pair_is_screened_by_models(spark, resources, tmp_path):
    hate = TransformersClassifierSettings(
        model=tiny_roberta.build(tmp_path / "roberta"), overlap_tokens=8, device="cpu"
    )
    quality = CometKiwiSettings(model=str(tiny_kiwi.build(tmp_path / "kiwi")), device="cpu")
    embedder = SentenceTransformersSettings(model=tiny_minilm.build(tmp_path / "minilm"), device="cpu")
    (english, spanish), body = tiny_kiwi.PAIRS[0], "El consejo votó."
    clean, hateful = tiny_roberta.text_of(20), tiny_roberta.text_of(20, hate_at=7)
    common = {"language": "spa_Latn", "instruction_en": english, "instruction_src": spanish, "text": body}
    given = [{"url": "clean", **common, "text_en": clean}, {"url": "hateful", **common, "text_en": hateful}]
    docs = documents(spark, given, TRANSLATE, INSTRUCT)
    stored = ScreenSettings(hate=hate, quality=quality, embedder=embedder, max_hate_score=1.0)
    rows = by_url(screen(docs, stored, resources))
    expected = hate.open().score([f"{english}\n{text}" for text in (clean, hateful)])
    assert [rows[each]["hate_score"] for each in ("clean", "hateful")] == pytest.approx([e.score for e in expected])
    assert expected[0].score < expected[1].score
    (estimate,) = quality.open().estimate([english], [spanish])
    assert rows["clean"]["translation_quality"] == pytest.approx(estimate.score)
    one, other = embedder.open().embed([spanish, body])
    similarity = rows["clean"]["semantic_similarity"]
    assert similarity == pytest.approx(float(one @ other), abs=1e-6)
    labels = {rows["clean"][name] for name in ("hate_classifier", "quality_estimator", "embedder")}
    assert labels == {hate.open().label, quality.open().label, embedder.label}

    limits = {"min_quality": estimate.score + 0.1, "min_semantic_similarity": min(1.0, similarity + 0.01)}
    limit = (expected[0].score + expected[1].score) / 2
    strict = by_url(screen(docs, stored.model_copy(update={"max_hate_score": limit, **limits}), resources))
    others = {"screen.low_quality", "screen.unrelated"}
    assert others <= set(strict["clean"]["rejected_for"])
    assert set(strict["hateful"]["rejected_for"]) - set(strict["clean"]["rejected_for"]) == {"screen.hate"}


class Noting:
    """A translator that notes what it was asked."""

    def __init__(self):
        self.calls = []

    def label(self, source, target):
        return f"{source}>{target}"

    def translate(self, texts, sources, targets):
        self.calls.append(list(zip(texts, sources, targets, strict=True)))
        return [Answer(f"{text} in {target}") for text, target in zip(texts, targets, strict=True)]


def test_a_batch_is_one_call_in_which_no_text_stands_twice():
    translator = Noting()
    texts = ["a", None, "a", "b", "a"]
    sources = ["spa_Latn", "spa_Latn", "spa_Latn", "eng_Latn", "fra_Latn"]
    answers, labels = translate_all(translator, texts, sources, ["eng_Latn"] * 5)
    assert translator.calls == [[("a", "spa_Latn", "eng_Latn"), ("a", "fra_Latn", "eng_Latn")]]
    assert [each and each.text for each in answers] == ["a in eng_Latn", None, "a in eng_Latn", "b", "a in eng_Latn"]
    assert labels == ["spa_Latn>eng_Latn", None, "spa_Latn>eng_Latn", "none", "fra_Latn>eng_Latn"]
    assert translate_all(Noting(), [None], ["spa_Latn"], ["eng_Latn"]) == ([None], [None])


def test_health_is_a_column_of_the_record():
    assert {"title_health", "text_health"} <= set(TRANSLATE.fieldNames())
