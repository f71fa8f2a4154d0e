"""Plans over real corpora and lakes, with the embedded engines."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.__main__ import main
from jobs.runtime import comparison, corpora, costs, ledger, planning
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.pipeline import Options, Outcome, run
from jobs.runtime.planning import Planned, PlanOptions, make_plan
from jobs.runtime.recipe import LoadedRecipe, load_recipe, parse_recipe
from jobs.runtime.spending import known_costs
from tests.conftest import ROOT, Recorder
from tests.udfs.conftest import PROGRAM
from tests.udfs.test_contamination import sentences

RECIPE = """
name: planned
seed: 3
rows_per_file: 10
sources:
  - kind: jsonl
    name: own
    path: corpus
    license: CC0-1.0
    genre: encyclopedic
    columns: {{text: body, id: id, title: title}}
stages:
  clean: {{min_chars: 20{clean}}}
  dedup:
  translate: {{engine: {{kind: apertium{translate}}}, max_files_per_batch: 1{stated}}}
  instruct: {{engine: {{kind: template{instruct}}}}}
  back_translate: {{engine: {{kind: apertium}}}}
  screen:
  group:
  pairs:
"""
SPANISH = "La casa número {n} es grande y tiene un jardín con muchos árboles. Los {n} niños juegan allí por la tarde."
CATALAN = "La casa número {n} és gran i té un jardí amb molts arbres. Els {n} nens juguen allà a la tarda amb amics."
PRICED = ", rates: {price_per_million_characters: 1000, currency: EUR}"
"""A thousandth of a euro a character, so that a text of a hundred costs ten cents."""


def write_recipe(folder: Path, **parts: str) -> LoadedRecipe:
    values = {"clean": "", "translate": "", "instruct": "", "stated": ""} | parts
    path = folder / "planned.yaml"
    path.write_text(RECIPE.format(**values), encoding="utf-8")
    return load_recipe(str(path))


def write_corpus(folder: Path, **texts: list[str]) -> int:
    """Write texts by language; returns their characters."""
    for language, bodies in texts.items():
        lines = [
            json.dumps({"id": f"{language}{at}", "title": f"La casa {at}", "body": body})
            for at, body in enumerate(bodies)
        ]
        (folder / "corpus" / language).mkdir(parents=True, exist_ok=True)
        (folder / "corpus" / language / "a.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return sum(len(body) for bodies in texts.values() for body in bodies)


def words(template: str, number: int) -> str:
    """A text that is like no other: numbers at its places, and words of its own."""
    own = " ".join(f"{(number * 37 + at * 11) % 9973} {(number * 53 + at * 29) % 9967}" for at in range(12))
    return f"{template.format(n=number)} {own}."


def stages(planned: Planned) -> dict[str, Any]:
    return {row.stage: row for row in planned.plan.stages}


def go(spark: SparkSession, recipe: LoadedRecipe, lake: Lake, **options: Any) -> Outcome:
    return run(spark, recipe, lake, Options(**options), Recorder())


@pytest.fixture(scope="module")
def made(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A corpus of 50 documents in two languages, its plan, saved, and the run that came after it."""
    folder = tmp_path_factory.mktemp("planned")
    texts = [words(SPANISH, at) for at in range(24)]
    spanish = [*texts, *texts[:6]]  # six of them twice
    characters = write_corpus(
        folder, spa_Latn=spanish, cat_Latn=[*(words(CATALAN, at) for at in range(14)), *["curt"] * 6]
    )
    recipe = write_recipe(folder, translate=PRICED)
    lake = Lake(spark, str(folder / "lake"))
    planned = make_plan(spark, recipe, lake, PlanOptions())
    planning.save(lake, planned)
    go(spark, recipe, lake)
    return recipe, lake, planned, characters


class TestPlan:
    def test_documents_and_characters_are_counted(self, made: Any) -> None:
        _, _, planned, characters = made
        first = stages(planned)["documents"]
        assert (first.documents.value, first.characters.value) == (50, characters)
        assert first.documents.low == first.documents.high == 50
        assert (planned.counted, planned.projected, planned.sampled) == (("own",), (), 50)

    def test_what_repeats_is_found_over_the_whole_corpus(self, made: Any) -> None:
        found = stages(made[2])
        assert found["dedup"].basis == "counted"
        assert found["dedup"].documents.value - found["dedup"].kept.value == pytest.approx(6, abs=0.5)

    def test_it_says_what_the_run_then_did(self, made: Any) -> None:
        recipe, lake, planned, _ = made
        found = comparison.compare_lake(lake, costs.prices(recipe))
        assert found.plan_id == planned.plan_id
        by_stage = {each.stage: each for each in found.stages}
        assert list(by_stage) == list(recipe.order)
        for stage, each in by_stage.items():
            amounts = [each.documents, each.characters]
            if stage in ("translate", "instruct", "back_translate", "screen"):
                amounts += [each.characters_in]
            for amount in amounts:
                assert amount.error is not None, stage
                assert abs(amount.error) <= 0.15, (stage, amount)
        for row in lake.read(ledger.TABLE).groupBy("stage").agg(F.sum("rows_in").alias("rows")).collect():
            assert by_stage[row["stage"]].documents.actual == row["rows"]
        cost = by_stage["translate"].cost
        assert found.currency == "EUR"
        assert cost.error is not None
        assert abs(cost.error) <= 0.15
        read = by_stage["translate"].characters_in.actual
        assert read is not None
        assert cost.actual == pytest.approx(read / 1_000)

    def test_what_engines_read_is_entered_in_runs(self, made: Any) -> None:
        _, lake, _, _ = made
        sums = lake.read(ledger.TABLE).groupBy("stage").agg(F.sum("characters_read"), F.sum("characters_written"))
        entered = {row[0]: (row[1], row[2]) for row in sums.collect()}
        length = F.coalesce(F.char_length("title"), F.lit(0)) + F.char_length("text")
        english = F.coalesce(F.char_length("title_en"), F.lit(0)) + F.char_length("text_en")
        there = lake.read("translate").where("translator IS NOT NULL").agg(F.sum(length), F.sum(english)).first()
        assert there is not None
        assert entered["translate"] == tuple(there)
        assert entered["dedup"] == (None, None)

    def test_where_nothing_comes_no_engine_is_tried_and_nothing_saved(
        self, made: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        recipe, lake, _, _ = made

        def tried(*_: object) -> None:
            raise AssertionError("engines were tried")

        monkeypatch.setattr(planning, "run_trial", tried)
        before = lake.read(planning.TABLE).count()
        assert main(["plan", recipe.recipe.path, "--lake", lake.location, "--save"]) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert "a run has nothing to do. Nothing was written." in text
        assert lake.read(planning.TABLE).count() == before

    def test_a_lake_of_other_settings_is_refused_and_a_rebuild_planned(self, spark: SparkSession, made: Any) -> None:
        recipe, lake, _, _ = made
        path = Path(recipe.recipe.path)
        text = path.read_text(encoding="utf-8")
        stricter = path.with_name("stricter.yaml")
        stricter.write_text(text.replace("min_chars: 20", "min_chars: 30"), encoding="utf-8")
        changed = load_recipe(str(stricter))
        with pytest.raises(BackpromptError, match="Add --rebuild clean"):
            make_plan(spark, changed, lake, PlanOptions(trial=0))
        found = stages(make_plan(spark, changed, lake, PlanOptions(trial=0, rebuild="clean")))
        assert "documents" not in found
        assert found["clean"].documents.value == pytest.approx(50)
        anew = stages(make_plan(spark, changed, lake, PlanOptions(trial=0, rebuild="documents")))
        assert anew["documents"].documents.value == pytest.approx(50)
        stricter.write_text(text.replace("name: planned", "name: another"), encoding="utf-8")
        with pytest.raises(BackpromptError, match=r"tables of recipe planned, not of another"):
            make_plan(spark, load_recipe(str(stricter)), lake, PlanOptions(trial=0))
        with pytest.raises(BackpromptError, match="--rebuild nowhere: the recipe has the stages documents, clean"):
            make_plan(spark, changed, lake, PlanOptions(rebuild="nowhere"))

    def test_rows_are_saved_as_they_were_planned(self, made: Any) -> None:
        _, lake, planned, _ = made
        rows = lake.read(planning.TABLE).collect()
        assert len(rows) == len(planned.plan.rows)
        assert {(row["stage"], row["language"], row["source"]) for row in rows} == {
            (row.stage, row.language, row.source) for row in planned.plan.rows
        }
        translate = [row for row in rows if row["stage"] == "translate"]
        assert sum(row["units_in"] for row in translate) == pytest.approx(stages(planned)["translate"].units_in.value)
        assert {row["currency"] for row in translate} == {"EUR"}
        assert {row["unit"] for row in translate} == {"characters"}

    def test_costs_are_known_of_the_same_stage_alone(self, spark: SparkSession, made: Any, tmp_path: Path) -> None:
        recipe, lake, planned, _ = made
        path = tmp_path / "other.yaml"
        text = Path(recipe.recipe.path).read_text(encoding="utf-8")
        path.write_text(text.replace("min_chars: 20", "min_chars: 30"), encoding="utf-8")
        other = load_recipe(str(path))
        plans = Lake(spark, str(tmp_path / "plans"))
        planning.save(plans, planned)
        blind = replace(planned.plan, rows=tuple(replace(each, units_in=None) for each in planned.plan.rows))
        later = planned.created_at + timedelta(hours=1)
        planning.save(plans, replace(planned, plan=blind, plan_id="blind", created_at=later))
        for each in (lake, plans):
            known = known_costs(each, recipe)
            assert known.keys() == {"translate"}
            # The engine reads titles, too.
            assert known["translate"].rates("metered")["spa_Latn"] == pytest.approx(0.00105, rel=0.05)
            assert known_costs(each, other) == {}
        # Batches of another language leave what was planned of this one.
        batch = ledger.BatchId(recipe.name, "translate", recipe.fingerprint("translate"), 0, 0)
        runs = ledger.Ledger(plans, "earlier")
        runs.ensure()
        for language, read in (("eng_Latn", 0), ("cat_Latn", 150)):
            done = ledger.Tally(alive=1, characters_read=read, characters_written=read)
            runs.record({language: done}, {language: (1, 100)}, batch, planned.created_at)
            batch = replace(batch, batch_id=1)
            known = known_costs(plans, recipe)
            assert known["translate"].rates("metered")["spa_Latn"] == pytest.approx(0.00105, rel=0.05)
        assert known["translate"].rates("metered")["cat_Latn"] == pytest.approx(0.0015)
        with pytest.raises(BackpromptError, match=r"Plan blind .* is of recipe planned, not of another"):
            comparison.compare_lake(plans, recipe="another")

    def test_without_a_trial_documents_are_planned_all_the_same(self, spark: SparkSession, made: Any) -> None:
        recipe, _, _, _ = made
        empty = Lake(spark, str(Path(recipe.recipe.path).parent / "none"))
        planned = make_plan(spark, recipe, empty, PlanOptions(trial=0))
        found = stages(planned)
        assert found["clean"].basis == "sampled"
        assert found["translate"].documents.value == pytest.approx(38, abs=1)
        assert (found["translate"].units_in, found["translate"].money, planned.plan.money) == (None, None, None)
        assert planned.unpriced == ("translate",)
        assert planned.unmeasured.keys() == {"translate", "instruct", "back_translate", "screen"}
        assert not Path(empty.location).exists()


@pytest.mark.usefixtures("spark")
class TestBadInput:
    def test_engines_that_are_missing_leave_what_the_recipe_states(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_corpus(tmp_path, spa_Latn=[words(SPANISH, at) for at in range(10)])
        nowhere = f", prefix: {tmp_path}/nowhere"
        stated = ", expected: {kept: 0.5, prompt_tokens: 100, completion_tokens: 20}"
        rates = ", rates: {price_per_hour: 3.6, tokens_per_second: 60}"
        recipe = write_recipe(tmp_path, translate=nowhere + rates, stated=stated)
        assert main(["plan", recipe.recipe.path, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert "no Apertium" in found["unmeasured"]["translate"]
        assert found["unmeasured"]["instruct"] == "it reads what translate makes"
        (translate,) = (each for each in found["stages"] if each["stage"] == "translate")
        assert (translate["basis"], translate["unit"]) == ("stated", "tokens")
        assert translate["units_in"]["value"] == pytest.approx(1_000)
        assert translate["documents_kept"]["value"] == pytest.approx(5)
        assert found["cost"]["value"] == pytest.approx(1_200 / 60 / 1_000)
        assert main(["plan", recipe.recipe.path]) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert "Not measured: translate (translate.engine: " in text
        assert "Nothing was written." in text

    def test_corpora_without_documents(self, spark: SparkSession, tmp_path: Path) -> None:
        write_corpus(tmp_path, spa_Latn=[])
        recipe, lake = write_recipe(tmp_path), Lake(spark, str(tmp_path / "lake"))
        with pytest.raises(BackpromptError, match=r"hold no documents: .*corpus"):
            make_plan(spark, recipe, lake, PlanOptions())

    @pytest.mark.parametrize("small_bytes", [corpora._SMALL_BYTES, 0])
    def test_what_can_be_read_of_damaged_files_is_planned(
        self, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_bytes: int
    ) -> None:
        monkeypatch.setattr(corpora, "_SMALL_BYTES", small_bytes)
        write_corpus(tmp_path, cat_Latn=[words(CATALAN, at) for at in range(5)])
        (tmp_path / "corpus").rename(tmp_path / "whole")
        write_corpus(tmp_path, spa_Latn=[words(SPANISH, at) for at in range(40)])
        file = tmp_path / "corpus" / "spa_Latn" / "a.jsonl"
        packed = gzip.compress(file.read_bytes())
        file.unlink()
        file.with_name("a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
        path = Path(write_recipe(tmp_path).recipe.path)
        text = path.read_text(encoding="utf-8")
        own = text[text.index("  - kind") : text.index("stages:")]
        path.write_text(
            text.replace("sources:\n", "sources:\n" + own.replace("own", "whole").replace("corpus", "whole"))
        )
        recipe, lake = load_recipe(str(path)), Lake(spark, str(tmp_path / "lake"))
        planned = make_plan(spark, recipe, lake, PlanOptions(trial=0))
        go(spark, recipe, lake, stages=("documents",))
        taken = lake.read("documents").groupBy("language").count().collect()
        by_language = {row.language: row.documents.value for row in planned.plan.languages if row.stage == "documents"}
        assert by_language == {row["language"]: row["count"] for row in taken}
        assert 0 < by_language["spa_Latn"] < 40

    def test_there_is_no_plan_to_compare_with(self, spark: SparkSession, tmp_path: Path) -> None:
        with pytest.raises(BackpromptError, match=r"holds no plan\. 'backprompt plan RECIPE"):
            comparison.compare_lake(Lake(spark, str(tmp_path)))


SHARED = """
name: shared
max_documents_per_language: 23000
sources:
  - {kind: jsonl, name: wiki, path: a, license: x, language: spa_Latn, weight: 3}
  - {kind: jsonl, name: web, path: b, license: x, language: spa_Latn, weight: 2, max_documents: {spa_Latn: 1000000}}
  - {kind: oasst, name: given, path: c, license: x}
stages: {clean: , dedup: , translate: {engine: {kind: apertium}}, instruct: , back_translate: , screen: , group: ,
  pairs: }
"""


class TestLimits:
    def limited(self, **counts: tuple[float, float]) -> dict[str, tuple[float, float]]:
        """Documents and characters that come, of sources with so many documents and so many that the lake lacks."""
        counted = {
            (name, "spa_Latn"): planning._Count(10, 100.0, documents, new, new * 100, new, new * 100)
            for name, (documents, new) in counts.items()
        }
        found = planning._limited(parse_recipe(SHARED, "shared.yaml"), counted)
        new = {name: found[name, "spa_Latn"] for name in counts}
        return {name: (round(each.new, 1), round(each.new_characters)) for name, each in new.items()}

    def test_sources_share_one_by_weight_as_in_a_run(self) -> None:
        found = self.limited(wiki=(20_000, 20_000), web=(4e6, 4e6), given=(9e6, 9e6))
        assert found == {"wiki": (13_800, 1_380_000), "web": (9_200, 920_000), "given": (9e6, 9e8)}

    def test_what_one_lacks_the_other_gives(self) -> None:
        found = self.limited(wiki=(500.4, 500.4), web=(4e6, 4e6))
        assert found["wiki"][0] == 500.4
        assert found["web"][0] == 22_499

    def test_what_the_lake_holds_counts(self) -> None:
        found = self.limited(wiki=(20_000, 6_200 + 100), web=(4e6, 4e6 - 9_200))
        assert found["wiki"][0] == 100
        assert found["web"] == (0, 0)


def test_of_a_large_corpus_one_file_a_language_is_read(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus(tmp_path, spa_Latn=[words(SPANISH, at) for at in range(8)])
    small = tmp_path / "corpus" / "spa_Latn" / "a.jsonl"
    other = small.read_text(encoding="utf-8").replace('"spa_Latn', '"other')
    small.with_name("b.jsonl").write_text(
        other + other.replace('"other', '"more') + other.splitlines()[0].replace('"other', '"last'), encoding="utf-8"
    )
    monkeypatch.setattr(corpora, "_SMALL_BYTES", 0)
    recipe, lake = write_recipe(tmp_path), Lake(spark, str(tmp_path / "lake"))
    planned = make_plan(spark, recipe, lake, PlanOptions(trial=0))
    assert (planned.counted, planned.projected, planned.sampled) == ((), ("own",), 8)
    assert stages(planned)["documents"].documents.value == pytest.approx(25, rel=0.05)
    whole = make_plan(spark, recipe, lake, PlanOptions(trial=0, reads_all=True))
    assert stages(whole)["documents"].documents.value == 25
    go(spark, recipe, lake, stages=("documents",))
    # A file more, and what the lake holds of the others is not new.
    write_corpus(tmp_path, cat_Latn=[words(CATALAN, at) for at in range(3)])
    later = make_plan(spark, recipe, lake, PlanOptions(trial=0))
    assert {row.language: row.documents.value for row in later.plan.languages if row.stage == "documents"} == {
        "cat_Latn": 3
    }


def test_corpora_of_pairs_take_no_place_in_the_sample(spark: SparkSession, tmp_path: Path) -> None:
    write_corpus(tmp_path, spa_Latn=[words(SPANISH, at) for at in range(30)])
    pairs = "".join(
        json.dumps({"instruction": f"¿Qué es {at}?", "response": words(SPANISH, 1_000 + at)}) + "\n"
        for at in range(300)
    )
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "a.jsonl").write_text(pairs, encoding="utf-8")
    text = RECIPE.format(clean="", translate="", instruct="", stated="")
    columns = "columns: {context: null, subsource: null}"
    given = f"  - {{kind: instructions, name: given, path: given, license: x, language: spa_Latn, {columns}}}\n"
    path = tmp_path / "planned.yaml"
    path.write_text(text.replace("stages:", given + "stages:", 1), encoding="utf-8")
    planned = make_plan(
        spark, load_recipe(str(path)), Lake(spark, str(tmp_path / "lake")), PlanOptions(documents=20, trial=0)
    )
    assert stages(planned)["documents"].documents.value == 330
    assert planned.sampled == 20


def test_a_budget_stops_a_run_before_it_is_passed_and_the_next_goes_on(spark: SparkSession, tmp_path: Path) -> None:
    """Four batches of some 2.5 EUR each, with budgets that hold two or so."""
    write_corpus(tmp_path, spa_Latn=[words(SPANISH, at) for at in range(40)])
    recipe, lake = write_recipe(tmp_path, translate=PRICED), Lake(spark, str(tmp_path / "lake"))
    with pytest.raises(BackpromptError, match=r"what translate would cost"):
        go(spark, recipe, lake, budget=5.0)
    assert not Path(lake.location).exists()
    planned = make_plan(spark, recipe, lake, PlanOptions())
    planning.save(lake, planned)
    assert planned.plan.money is not None
    total = planned.plan.money.value
    one = total / 4

    first = go(spark, recipe, lake, budget=one * 0.02)
    assert "0 EUR are spent" in first.stopped
    assert first.new_rows["translate"] == 0
    assert first.new_rows["dedup"] == 40, "what costs nothing is done"

    second = go(spark, recipe, lake, budget=one * 2.4)
    assert "--budget" in second.stopped
    assert 0 < second.new_rows["translate"] < 40
    third = go(spark, recipe, lake, budget=one * 5)
    assert third.stopped == ""
    assert second.new_rows["translate"] + third.new_rows["translate"] == 40
    assert third.new_rows["pairs"] > 0
    runs, prices = lake.read(ledger.TABLE), costs.prices(recipe)
    spent = {
        outcome.run_id: sum(
            sum(costs.spent_by_language(prices[stage], entered).values())
            for stage, entered in comparison.batches(runs.where(F.col("run_id") == outcome.run_id))
            if stage in prices
        )
        for outcome in (second, third)
    }
    assert 0 < spent[second.run_id] <= one * 2.4
    assert 0 < spent[third.run_id] <= one * 5
    assert sum(spent.values()) == pytest.approx(total, rel=0.15)


@pytest.mark.slow
def test_tokens_are_predicted_from_a_part_of_the_documents(spark: SparkSession, tmp_path: Path) -> None:
    """English documents of one to twelve sentences, and an engine that counts tokens; 15 % of them are tried."""
    draw = random.Random(5)
    english = sentences()["eng_Latn"]
    write_corpus(tmp_path, eng_Latn=[" ".join(draw.sample(english, draw.randint(1, 12))) for _ in range(400)])
    with subprocess.Popen([sys.executable, str(PROGRAM)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        path = Path(write_recipe(tmp_path).recipe.path)
        engine = f"{{kind: openai, base_url: '{url}', model: tiny-instruct}}"
        path.write_text(path.read_text(encoding="utf-8").replace("{kind: template}", engine), encoding="utf-8")
        recipe, lake = load_recipe(str(path)), Lake(spark, str(tmp_path / "lake"))
        planned = make_plan(spark, recipe, lake, PlanOptions(documents=60))
        assert planned.sampled == 60
        planning.save(lake, planned)
        go(spark, recipe, lake)
        server.kill()
    (instruct,) = (each for each in comparison.compare_lake(lake).stages if each.stage == "instruct")
    for amount in (instruct.documents, instruct.characters, instruct.tokens_in, instruct.tokens_out):
        assert amount.error is not None
        assert abs(amount.error) <= 0.15, instruct
    assert instruct.tokens_in.actual is not None
    assert instruct.tokens_in.error != 0, "it is concluded from a sample"


@pytest.mark.slow
def test_the_demo_is_predicted_within_15_percent(spark: SparkSession, tmp_path: Path) -> None:
    recipe = load_recipe(str(ROOT / "conf" / "demo.yaml"))
    lake = Lake(spark, str(tmp_path / "lake"))
    planned = make_plan(spark, recipe, lake, PlanOptions())
    assert planned.sampled < 220
    planning.save(lake, planned)
    go(spark, recipe, lake)
    for each in comparison.compare_lake(lake).stages:
        engine = [each.characters_in, each.characters_out] if each.stage != "screen" else [each.characters_in]
        for amount in (each.documents, each.characters, *engine):
            if amount.planned and amount.actual:
                assert amount.error is not None
                assert abs(amount.error) <= 0.15, (each.stage, amount)
