"""The translation cache, on a real Spark and Delta, with an engine that writes down what it is asked for."""

import os
from pathlib import Path

import pytest
from pydantic import Field
from pyspark.sql import functions as F

from jobs.runtime import translation_cache
from jobs.runtime.conf import language_table
from jobs.runtime.lake import Lake
from jobs.runtime.ledger import BatchId, count_rows
from jobs.runtime.schema import BACK_TRANSLATE, CLEAN, INSTRUCT, TRANSLATE, record
from jobs.runtime.translation_cache import CACHE, BatchCache
from jobs.stages import back_translate, translate
from jobs.stages.base import Resources
from jobs.stages.translate import CACHED, cache_key, engine_identity
from tests.builders import documents
from udfs.engines import Answer
from udfs.settings import OPERATIONAL
from udfs.translation_health import Health
from udfs.translators.apertium import ApertiumSettings

RESOURCES = Resources(languages=language_table(), pivot="eng_Latn", seed=1)
COLUMNS = {
    "translate": record([CLEAN, TRANSLATE]).fieldNames(),
    "back_translate": record([CLEAN, TRANSLATE, INSTRUCT, BACK_TRANSLATE]).fieldNames(),
}


class Backwards(ApertiumSettings):
    """Turns texts round; fails on those with FAIL in them."""

    log: str = Field("", json_schema_extra=OPERATIONAL)
    installed: str = Field("1", json_schema_extra=OPERATIONAL)
    model: str = "small"

    def open(self):
        return BackwardsTranslator(self)


class BackwardsTranslator:
    def __init__(self, settings):
        self.settings = settings

    def label(self, source, target):
        return f"backwards-{self.settings.installed}:{source}-{target}"

    def translate(self, texts, _source, _target):
        with Path(self.settings.log).open("a", encoding="utf-8") as log:
            log.writelines(f"{text}\n" for text in texts)
        # Words in their order, each turned round; the word that stands for a title passes.
        return [
            Answer(None, "it says FAIL")
            if "FAIL" in text
            else Answer(
                " ".join(word if "zwx" in word else word[::-1] for word in text.split(" ")),
                health=Health(segments=len(text.split(" "))),
            )
            for text in texts
        ]


class Stage:
    """A lake with one stage over rows that a test makes, batch by batch."""

    def __init__(self, spark, folder: Path, name: str) -> None:
        self.spark, self.name = spark, name
        self.lake = Lake(spark, str(folder / "lake"))
        self.log = folder / "asked.txt"
        self.lake.ensure(name, record(self._adds(with_own=True)), {})
        translation_cache.ensure(self.lake)
        self.module = translate if name == "translate" else back_translate

    def _adds(self, with_own: bool = False):
        before = [CLEAN] if self.name == "translate" else [CLEAN, TRANSLATE, INSTRUCT]
        own = [TRANSLATE] if self.name == "translate" else [BACK_TRANSLATE]
        return before + (own if with_own else [])

    def settings(self, **changes):
        keep = {"keep_titles": changes.pop("keep_titles")} if "keep_titles" in changes else {}
        return self.module.STAGE.settings(engine=Backwards(log=str(self.log), **changes), **keep)

    def batch(self, rows, number, generation=0, is_killed=False, partitions=2, **changes):
        """Write one batch as the pipeline does; return its rows by url, what it asked for, and what it counted."""
        self.log.write_text("")
        settings = self.settings(**changes)
        docs = documents(self.spark, rows, *self._adds())
        batch = BatchId("test", self.name, "0", generation, number)
        cache = BatchCache(self.lake, settings, RESOURCES, batch, count_rows(docs))
        found = cache.look_up(docs, docs.repartition(partitions, "doc_id"))
        made = self.module.STAGE.transform(found, settings, RESOURCES)
        assert CACHED not in made.columns
        life = f"{batch.app_id}/{self.name}"
        numbered = made.withColumns(
            {"batch_id": F.lit(number).cast("long"), "source": F.lit(f"generation {generation}")}
        )
        self.lake.append(numbered.select(*COLUMNS[self.name]), self.name, life, number)
        written = self.lake.read(self.name).where(
            (F.col("batch_id") == number) & (F.col("source") == f"generation {generation}")
        )
        counts = None if is_killed else cache.remember(written)
        return {row["url"]: row for row in written.collect()}, sorted(self.log.read_text().splitlines()), counts

    def entries(self):
        rows = self.lake.read(translation_cache.TABLE, CACHE).collect()
        assert len({(row["cache_key"], row["engine"]) for row in rows}) == len(rows), "an entry stands twice"
        return rows


@pytest.fixture
def stage(spark, tmp_path):
    return Stage(spark, tmp_path, "translate")


@pytest.fixture
def back(spark, tmp_path):
    return Stage(spark, tmp_path, "back_translate")


def test_a_text_is_translated_once_whatever_the_document_batch_and_life(stage):
    first = [
        {"url": "a", "text": "un dos", "title": "tres"},
        {"url": "b", "text": "un dos", "title": "quatre"},
        {"url": "c", "text": "un dos", "language": "spa_Latn"},
        {"url": "d", "text": "one two", "language": "eng_Latn"},
        {"url": "e", "text": "kan meji", "language": "yor_Latn"},
    ]
    rows, asked, counts = stage.batch(first, 0, partitions=1)
    assert asked == ["quatre", "tres", "un dos", "un dos"]  # once for each language
    assert counts == {"cat_Latn": (0, 4), "spa_Latn": (0, 1), "eng_Latn": (0, 0), "yor_Latn": (0, 0)}
    assert (rows["a"]["text_en"], rows["b"]["text_en"], rows["a"]["title_en"]) == ("nu sod", "nu sod", "sert")

    second = [
        {"url": "f", "doc_id": "f", "text": "tres"},  # a text is a text, also if it was a title
        {"url": "g", "doc_id": "g", "text": "nou", "title": "un dos"},
        {"url": "h", "doc_id": "h", "text": "tres", "language": "spa_Latn"},
    ]
    rows, asked, counts = stage.batch(second, 1)
    assert asked == ["nou", "tres"]
    assert counts == {"cat_Latn": (2, 1), "spa_Latn": (0, 1)}
    assert rows["f"]["text_en"] == "sert"
    assert (rows["g"]["text_en"], rows["g"]["title_en"]) == ("uon", "nu sod")
    assert {row["translator"] for row in rows.values()} == {
        "backwards-1:cat_Latn-eng_Latn",
        "backwards-1:spa_Latn-eng_Latn",
    }

    again, asked, counts = stage.batch(first, 0, generation=1)
    assert asked == []
    assert counts == {"cat_Latn": (4, 0), "spa_Latn": (1, 0), "eng_Latn": (0, 0), "yor_Latn": (0, 0)}
    assert again["a"]["text_en"] == "nu sod"
    assert again["e"]["rejected_for"] == ["translate.unsupported_language"]
    assert len(stage.entries()) == 6


def test_only_the_same_engine_uses_an_entry(stage):
    rows = [{"url": "a", "text": "un dos"}]
    assert stage.batch(rows, 0)[1] == ["un dos"]
    assert stage.batch(rows, 1, model="large")[1] == ["un dos"]
    newer, asked, counts = stage.batch(rows, 2, installed="2")
    assert (asked, counts) == (["un dos"], {"cat_Latn": (0, 1)})
    assert newer["a"]["translator"] == "backwards-2:cat_Latn-eng_Latn"
    assert stage.batch(rows, 3, timeout_s=99.0)[1:] == ([], {"cat_Latn": (1, 0)})
    assert len(stage.entries()) == 3


def test_a_batch_that_is_run_again_decides_the_same(stage):
    stage.batch([{"url": "a", "text": "un"}], 0)
    rows = [{"url": "b", "doc_id": "b", "text": "un"}, {"url": "c", "doc_id": "c", "text": "dos"}]
    written, asked, _ = stage.batch(rows, 1, is_killed=True)
    assert asked == ["dos"]
    assert len(stage.entries()) == 1
    for _ in range(2):
        again, asked, counts = stage.batch(rows, 1)
        assert again == written
        assert (asked, counts) == ([], {"cat_Latn": (1, 1)})
        assert len(stage.entries()) == 2


def test_what_failed_is_tried_again(stage):
    rows = [{"url": "a", "text": "un FAIL", "title": "dos"}, {"url": "b", "text": "tres"}]
    written, _, counts = stage.batch(rows, 0)
    assert written["a"]["rejected_for"] == ["engine.translate_failed"]
    assert counts == {"cat_Latn": (0, 3)}
    assert {row["translation"] for row in stage.entries()} == {"sod", "sert"}
    again, asked, counts = stage.batch(rows, 0, generation=1)
    assert (asked, counts) == (["un FAIL"], {"cat_Latn": (2, 1)})
    assert again["a"]["rejected_for"] == ["engine.translate_failed"]
    assert len(stage.entries()) == 2


def test_two_revisions_of_a_document_keep_their_own_translations(stage):
    stage.batch([{"url": "a", "text": "un"}, {"url": "b", "text": "dos"}], 0)
    rows = [
        {"url": f"{number}", "doc_id": "same", "text": text, "document_batch": number}
        for number, text in enumerate(["un", "dos", "tres"])
    ]
    written, asked, counts = stage.batch(rows, 1)
    assert (asked, counts) == (["tres"], {"cat_Latn": (2, 1)})
    assert [written[url]["text_en"] for url in "012"] == ["nu", "sod", "sert"]


def test_rows_are_the_same_in_any_order_and_partitioning(stage):
    rows = [
        {"url": str(number), "doc_id": str(number), "text": f"text {number % 7}", "title": f"titol {number % 5}"}
        for number in range(40)
    ]
    stage.batch(rows[:10], 0)
    one, *_ = stage.batch(rows, 1, partitions=1)
    other, asked, counts = stage.batch(rows[::-1], 1, generation=1, partitions=5)
    assert (asked, counts) == ([], {"cat_Latn": (80, 0)})
    wanted = ("text_en", "title_en", "translator", "rejected_for")
    assert {url: [row[name] for name in wanted] for url, row in one.items()} == {
        url: [row[name] for name in wanted] for url, row in other.items()
    }
    assert len(one) == 40


TEXTS = [
    "",
    " ",
    "un",
    "un\n",
    "\nun",
    "cat_Latn\nun",
    "a\u0301",
    "á",
    "𝔘\t",
    '"',
    "\\n",
    "x" * 5000,
    "a\x00b",
    "\u2028",
]


def test_spark_and_python_give_a_text_the_same_key(spark):
    settings = translate.TranslateSettings()
    identity = engine_identity(translate.STAGE, settings.engine)
    docs = documents(spark, [{"text": text, "doc_id": str(place)} for place, text in enumerate(TEXTS)], CLEAN)
    found = {
        row["doc_id"]: row["cache_key"]
        for row in translate.requests(docs, settings, RESOURCES, is_written=False).collect()
    }
    assert found == {str(place): cache_key(identity, "cat_Latn", "eng_Latn", text) for place, text in enumerate(TEXTS)}
    assert len(set(found.values())) == len(TEXTS)


def instruction(url, text, title=None, title_en=None, **more):
    return {"url": url, "doc_id": url, "instruction_en": text, "title": title, "title_en": title_en, **more}


def test_instructions_are_translated_once_and_keep_their_titles(back):
    rows = [
        instruction("tirant", 'Write on "Pulling White".', "Tirant lo Blanc", "Pulling White"),
        instruction("solitude", 'Write on "Loneliness".', "Solitud", "Loneliness"),
        instruction("unnamed", "Write on bread.", "Pa", "Loaf"),
        instruction("own", None, "Vi", "Wine", instruction_src="Com fer vi"),
    ]
    written, asked, counts = back.batch(rows, 0, partitions=1)
    assert asked == ['Write on "Qzwx".', "Write on bread."]  # two documents, one masked text
    assert counts == {"cat_Latn": (0, 3)}
    kept = {url: row["instruction_src"] for url, row in written.items()}
    assert kept["tirant"] == 'etirW no "Tirant lo Blanc".'
    assert kept["solitude"] == 'etirW no "Solitud".'
    assert (kept["own"], written["own"]["back_translator"]) == ("Com fer vi", "none")

    again, asked, counts = back.batch(rows, 0, generation=1)
    assert (asked, counts) == ([], {"cat_Latn": (3, 0)})
    assert {url: row["instruction_src"] for url, row in again.items()} == kept
    assert {url: row["back_translator"] for url, row in again.items()} == {
        url: row["back_translator"] for url, row in written.items()
    }

    others = [
        instruction("same", "Write on bread.", "Farina", "Flour"),
        instruction("renamed", 'Write on "Pulling White".', "Tirant el Blanc", "Pulling White"),
    ]
    written, asked, counts = back.batch(others, 1)
    assert (asked, counts) == (['Write on "Qzwx".'], {"cat_Latn": (1, 1)})
    assert written["renamed"]["instruction_src"] == 'etirW no "Tirant el Blanc".'
    _, asked, counts = back.batch(others[1:], 2, keep_titles=False)
    assert (asked, counts) == (['Write on "Pulling White".'], {"cat_Latn": (0, 1)})


def test_a_failed_instruction_is_tried_again(back):
    rows = [instruction("bad", "Write FAIL."), instruction("good", "Write.")]
    written, _, counts = back.batch(rows, 0)
    assert written["bad"]["rejected_for"] == ["engine.back_translate_failed"]
    assert counts == {"cat_Latn": (0, 2)}
    assert back.batch(rows, 1)[1:] == (["Write FAIL."], {"cat_Latn": (1, 1)})


def test_a_document_is_forgotten_with_all_that_was_translated_for_it(stage, spark):
    stage.batch([{"url": "a", "doc_id": "a", "text": "un"}, {"url": "b", "doc_id": "b", "text": "dos"}], 0)
    stage.batch([{"url": "a", "doc_id": "a", "text": "tres", "title": "un"}], 1)
    stage.batch([{"url": "a", "doc_id": "a", "text": "un"}], 2, model="large")
    assert len(stage.entries()) == 4
    gone = spark.createDataFrame([("a", 0), ("a", 1), ("c", 0)], "doc_id string, document_batch long")
    assert translation_cache.forget(stage.lake, gone) == 3
    assert [(row["doc_id"], row["translation"]) for row in stage.entries()] == [("b", "sod")]
    assert translation_cache.forget(stage.lake, gone) == 0
    assert stage.batch([{"url": "d", "doc_id": "d", "text": "un"}], 3)[1] == ["un"]


def test_an_emptied_cache_is_filled_again(stage):
    rows = [{"url": "a", "text": "un"}]
    stage.batch(rows, 0)
    translation_cache.empty(stage.lake)
    assert stage.entries() == []
    assert stage.batch(rows, 1)[1] == ["un"]
    assert len(stage.entries()) == 1


def test_a_lake_without_a_cache_has_nothing_to_forget(spark, tmp_path):
    lake = Lake(spark, str(tmp_path))
    gone = spark.createDataFrame([("a", 0)], "doc_id string, document_batch long")
    translation_cache.empty(lake)
    assert translation_cache.forget(lake, gone) == 0


def test_the_cache_holds_no_source_text(stage):
    stage.batch([{"url": "a", "text": "un secret ben guardat", "title": "un altre"}], 0)
    stored = b"".join(
        Path(folder, name).read_bytes()
        for folder, _, names in os.walk(Path(stage.lake.location) / translation_cache.TABLE)
        for name in names
    )
    assert b"terces" in stored
    assert b"secret" not in stored
    assert b"altre" not in stored


def test_a_stage_has_a_cache_unless_it_is_told_otherwise():
    assert translation_cache.is_cached("translate", translate.TranslateSettings())
    assert not translation_cache.is_cached("translate", translate.TranslateSettings(cache=False))
    assert not translation_cache.is_cached("instruct", translate.TranslateSettings())
    assert "cache" not in translate.TranslateSettings().decisive()
