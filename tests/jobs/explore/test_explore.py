"""Other thresholds on real tables: what they decide is what the stages decide when they run with them."""

from __future__ import annotations

import json
import shutil
from functools import reduce
from typing import Any

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.__main__ import main
from jobs.commands.explore import explore, scores
from jobs.explore.cuts import Change, Cut, changed, made_with, recut_settings
from jobs.explore.overview import SHARES, overview
from jobs.explore.recut import Recut, Variant, missing_columns
from jobs.runtime.accounting import tables_in_order
from jobs.runtime.conf import cleaning_lists, language_table, screening_lists, word_lists
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.schema import BACK_TRANSLATE, CLEAN, DECONTAMINATE, DEDUP_LINES, INSTRUCT, SCREEN, TRANSLATE
from jobs.runtime.thresholds import of_stage
from jobs.stages import STAGES
from jobs.stages.base import Resources, Rule, flag_all
from jobs.stages.clean import CleanSettings
from jobs.stages.dedup_lines import DedupLinesSettings, deduplicate_lines
from jobs.stages.health import HealthSettings
from jobs.stages.screen import ScreenSettings
from jobs.stages.translate import TranslateSettings
from tests.builders import documents
from tests.conftest import run_recipe

CATALAN = (
    "La biblioteca obre cada matí a les nou i tanca al vespre. Els veïns hi van a llegir el diari, a estudiar o a "
    "fer els deures. A l'hivern la sala petita és plena de gent que busca un lloc calent i tranquil per treballar."
)
SPANISH = (
    "La biblioteca abre cada mañana a las nueve y cierra al anochecer. Los vecinos van a leer el periódico, a "
    "estudiar o a hacer los deberes. En invierno la sala pequeña está llena de gente que busca un lugar caliente."
)
RUSSIAN = "Библиотека открывается каждое утро в девять часов, соседи читают там газеты и журналы. "


@pytest.fixture(scope="module")
def resources() -> Resources:
    return Resources(
        languages=language_table(),
        pivot="eng_Latn",
        seed=1,
        candidates=("cat_Latn", "eng_Latn", "spa_Latn"),
        word_lists=word_lists(),
        cleaning=cleaning_lists(),
        screening=screening_lists(),
    )


def decisions(frame: DataFrame, column: str = "rejected_for") -> dict[str, list[str]]:
    return {row["doc_id"]: sorted(row[column]) for row in frame.select("doc_id", column).collect()}


def stored(frame: DataFrame) -> DataFrame:
    """Return the rows as a table would hold them: nothing of how they were made is left."""
    return frame.sparkSession.createDataFrame(frame.collect(), frame.schema)


def recut(stage: str, before: Any, resources: Resources, values: list[tuple[str, Any]]) -> Recut:
    variants = []
    for setting, value in values:
        change = Change(stage, setting, value)
        variants.append(Variant(changed(before, stage, [change]), (change,)))
    return Recut(STAGES[stage], before, tuple(variants), resources)


def assert_as_a_run(
    docs: DataFrame, stage: str, before: Any, resources: Resources, values: list[tuple[str, Any]], run: Any
) -> None:
    """Compare, for each value of a setting, what is found by the table with what ``run`` decides anew."""
    table = stored(run(docs, before))
    asked = recut(stage, before, resources, values)
    decided = asked.decided(table).cache()
    assert decisions(decided) == decisions(table), "nothing is changed in the table itself"
    assert decided.where("_is_differing").count() == 0
    parts = [
        run(docs, each.settings).select(F.lit(n).alias("n"), "doc_id", "rejected_for")
        for n, each in enumerate(asked.variants)
    ]
    anew: dict[int, dict[str, list[str]]] = {n: {} for n in range(len(values))}
    for row in reduce(DataFrame.unionByName, parts).collect():
        anew[row["n"]][row["doc_id"]] = sorted(row["rejected_for"])
    for number, value in enumerate(values):
        assert decisions(decided, f"_after_{number}") == anew[number], value
    stands = decisions(table)
    idle = [value for number, value in enumerate(values) if anew[number] == stands]
    assert not idle, "these change nothing, so they show nothing"
    decided.unpersist()


def test_clean_decides_as_a_run(spark: Any, resources: Resources) -> None:
    rows = [
        {"doc_id": "good", "text": CATALAN},
        {"doc_id": "twice", "text": "Un títol prou clar per a tots\n" + CATALAN + "\n" + CATALAN},
        {"doc_id": "short", "text": "Massa curt."},
        {"doc_id": "long", "text": CATALAN * 8},
        {"doc_id": "repetitive", "text": "compra ara barat avui " * 12 + CATALAN},
        {"doc_id": "lines", "text": "La casa gran.\nEl gat dorm al sol.\n" * 6 + CATALAN},
        {"doc_id": "symbols", "text": CATALAN + "{}[]|<>#" * 20},
        {"doc_id": "words", "text": "a b c d e f g " * 20 + CATALAN},
        {"doc_id": "longwords", "text": "anticonstitucionalment desproporcionadament " * 20},
        {"doc_id": "spanish", "text": SPANISH},
        {"doc_id": "unsure", "text": "Me gusta el vino tinto de la casa", "language": "glg_Latn"},
        {"doc_id": "mixed", "text": CATALAN + "\n" + RUSSIAN * 2},
        {"doc_id": "russian", "text": RUSSIAN * 4 + "\n" + CATALAN[:60]},
        {"doc_id": "page", "text": "Menú\n" + CATALAN[:120] + "\nComparteix a Facebook\nTots els drets reservats."},
        {
            "doc_id": "finnish",
            "text": "Kirjasto avataan joka aamu yhdeksältä lähialueen asukkaille. " * 4,
            "language": "fin_Latn",
        },
        {"doc_id": "empty", "text": ""},
    ]
    values = [
        ("min_chars", 250),
        ("min_chars", 0),
        ("max_chars", 300),
        ("max_removed_share", 0.01),
        ("max_repeated_line_share", 1.0),
        ("max_repeated_ngram_share", 0.9),
        ("max_symbol_share", 0.5),
        ("min_mean_word_chars", 0.0),
        ("max_mean_word_chars", 4.0),
        ("min_script_share", 0.95),
        ("max_foreign_line_share", 0.05),
        ("limits", "same"),
        ("identifier.min_score", 1.0),
        ("identifier.min_score", 0.0),
        ("identifier.min_chars", 1000),
    ]
    assert {name for name, _ in values} >= {each.setting for each in of_stage("clean")}
    docs = documents(spark, rows)
    before = CleanSettings(min_chars=60, max_chars=1500, max_mean_word_chars=7.0)
    assert_as_a_run(
        docs, "clean", before, resources, values, lambda rows, each: STAGES["clean"].transform(rows, each, resources)
    )


def test_screen_decides_as_a_run(spark: Any, resources: Resources) -> None:
    def row(name: str, english: str, catalan: str, **others: Any) -> dict[str, Any]:
        english_text = "The library opens every morning at nine and closes in the evening. Neighbours read there."
        values = {"doc_id": name, "instruction_en": english, "instruction_src": catalan, "back_translator": "x"}
        return {**values, "text": CATALAN, "text_en": english_text, **others}

    question, catalan = "What does the library offer in the morning?", "Què ofereix la biblioteca cada matí als veïns?"
    rows = [
        row("good", question, catalan),
        row("long", question * 4, catalan * 4),
        row("statement", "The library is open.", "La biblioteca és oberta."),
        row(
            "refusal", "I'm sorry, but I cannot write an instruction.", "Ho sento, però no puc escriure cap instrucció."
        ),
        row("preamble", f"Sure, here is the instruction: {question}", f"És clar, aquí tens la instrucció: {catalan}"),
        row("missing", "What does the passage above say?", "Què diu el text anterior?"),
        row("copied", f"Explain this: {CATALAN[:150]}", f"Explica això: {CATALAN[:150]}"),
        row("answer", f"What opens? {CATALAN}", f"Què obre? {CATALAN}"),
        row(
            "untranslated", "What does the library of the village offer?", "Què offer does the library of the village?"
        ),
        row("markup", question, f"<b>{catalan}</b>"),
        row("summary", "Summarize the text about the library.", "Resumeix el text sobre la biblioteca."),
        row("flagged", "What is a bastard?", "Què és un fill de puta bastard cabró?"),
        row("spanish", question, "¿Qué ofrece la biblioteca cada mañana a los vecinos del barrio?"),
        row(
            "given",
            question,
            "¿Qué ofrece la biblioteca cada mañana a los vecinos?",
            instruction="q",
            instruction_language="eng_Latn",
        ),
        row("names", question, "Barcelona Valencia Tarragona", instruction="q", instruction_language="eng_Latn"),
        row("unmarked", "how to bake bread", "com fer pa amb tomàquet"),
        row("partly", question, f"Per què {CATALAN[65:130]} cada dia de la setmana al nostre poble i als altres?"),
        row("insult", "What is shit?", "¿Qué es la puta mierda?", language="spa_Latn"),
        row("short", "What?", "Què?"),
    ]
    values = [
        ("max_instruction_chars", 60),
        ("min_instruction_score", 0.0),
        ("min_instruction_score", 1.0),
        ("max_refusal_share", 1.0),
        ("max_preamble_share", 1.0),
        ("max_missing_text_share", 1.0),
        ("max_copied_share", 0.0),
        ("max_copied_run_words", 3),
        ("max_answer_share", 0.01),
        ("max_copied_word_share", 1),
        ("refused_formats", []),
        ("drop_task_requests", False),
        ("reject_flagged_words", True),
        ("identifier.min_score_of_candidates", 1.0),
        ("identifier.min_score", 0.0),
        ("identifier.min_chars", 500),
    ]
    without_models = {"max_hate_score", "min_quality", "min_semantic_similarity"}
    assert {name for name, _ in values} >= {each.setting for each in of_stage("screen")} - without_models
    docs = documents(spark, rows, CLEAN, TRANSLATE, INSTRUCT, BACK_TRANSLATE)
    assert_as_a_run(
        docs,
        "screen",
        ScreenSettings(),
        resources,
        values,
        lambda rows, each: STAGES["screen"].transform(rows, each, resources),
    )


def test_dedup_lines_decides_as_a_run(spark: Any, resources: Resources) -> None:
    shared = "Llegiu-ne més a la pàgina de la biblioteca del nostre poble."
    rows = [{"url": f"https://x.org/{n}", "text": f"{'abcdefgh '[n] * 10 * n}\n{shared}"} for n in range(1, 6)]
    rows.append({"url": "https://y.org/1", "text": "Sol i curt."})
    before = DedupLinesSettings(min_chars_left=25)
    values = [("min_chars_left", 0), ("min_chars_left", 35), ("min_chars_left", 45)]
    assert_as_a_run(documents(spark, rows, CLEAN), "dedup_lines", before, resources, values, deduplicate_lines)


def test_stored_scores_of_models_decide_as_the_stage_does_with_them(spark: Any, resources: Resources) -> None:
    """What an engine gives does not depend on thresholds: the stages apply their rules to it, and nothing else."""
    health = {"segments": 4, "truncated": 0, "repeated": 0, "copied": 0, "empty": 0, "wrong_script": 0}
    health |= {"min_length_ratio": 0.9, "max_length_ratio": 1.2}
    faults = ("truncated", "repeated", "copied", "empty", "wrong_script")
    given = {name: {**health, name: 1} for name in faults} | {"whole": health}
    given |= {"short": {**health, "min_length_ratio": 0.01}, "long": {**health, "max_length_ratio": 40.0}}
    rows = [
        {
            "doc_id": name,
            "text_health": each,
            "hate_score": 0.2 * n,
            "translation_quality": 0.1 * n,
            "semantic_similarity": 0.1 * n,
            "deduped_lines": 1,
            "deduped_chars": 9,
        }
        for n, (name, each) in enumerate(given.items())
    ]
    rows.append({"doc_id": "none"})
    rows.append({"doc_id": "pair", "instruction": "q", "translation_quality": 0.0, "hate_score": 0.9})
    docs = documents(spark, rows, CLEAN, DEDUP_LINES, TRANSLATE, INSTRUCT, BACK_TRANSLATE, SCREEN)
    asked: dict[str, tuple[Any, list[tuple[str, Any]]]] = {
        "screen": (
            ScreenSettings(),
            [("max_hate_score", 0.3), ("max_hate_score", 1), ("min_quality", 0.25), ("min_semantic_similarity", 0.45)],
        ),
        "translate": (
            TranslateSettings(health=HealthSettings(reject=(*faults, "length_ratio"))),
            [
                ("health.reject", []),
                ("health.max_faulty_share", 0.25),
                ("health.min_length_ratio", 0.0),
                ("health.max_length_ratio", 100),
            ],
        ),
    }

    def run(rows: DataFrame, settings: Any) -> DataFrame:
        name = next(name for name in asked if type(settings) is STAGES[name].settings)
        is_pair = F.col("instruction").isNotNull() & F.lit(STAGES[name].of_pairs is not None)
        rules = [Rule(each.condition, each.reason) for each in STAGES[name].rules(settings, resources)]
        return flag_all(rows.where(~is_pair), rules).unionByName(rows.where(is_pair))

    for stage, (before, values) in asked.items():
        assert_as_a_run(docs, stage, before, resources, values, run)


def test_a_share_found_of_an_evaluation_set_decides_at_the_limit_too(spark: Any, resources: Resources) -> None:
    """The stage stores the greatest share below its limit, too, and rejects a row with the limit itself."""
    before = made_with("decontaminate", {"min_share": 0.5, "ngram.words": 8})
    shares = {"none": 0.0, "less": 0.4, "half": 0.5, "more": 0.7, "older": None}
    docs = documents(
        spark, [{"doc_id": name, "contaminated_share": share} for name, share in shares.items()], DECONTAMINATE
    )

    def run(rows: DataFrame, settings: Any) -> DataFrame:
        return flag_all(rows, STAGES["decontaminate"].rules(settings, resources))

    assert_as_a_run(docs, "decontaminate", before, resources, [("min_share", 0.4), ("min_share", 0.7)], run)
    table = stored(run(docs, before))
    lower, higher = recut("decontaminate", before, resources, [("min_share", 0.4), ("min_share", 0.6)]).changes(
        table, 1, seed=0
    )
    assert (lower.lost, higher.gained, higher.missing) == (1, 1, {"min_share": 1})
    (line,) = overview(table, "decontaminate", {"min_share": 0.5}, cleaning_lists())
    assert (line.beyond, line.missing) == (2, 1)


def test_pairs_of_a_source_lack_no_score_of_rules_for_instructions_of_ours(spark: Any, resources: Resources) -> None:
    rows = [
        {"doc_id": "ours", "instruction_chars": 9, "format_problems": [], "refusal_share": 0.0},
        {"doc_id": "older", "format_problems": None},
        {"doc_id": "given", "format_problems": None, "instruction": "q"},
    ]
    table = documents(spark, rows, CLEAN, TRANSLATE, INSTRUCT, BACK_TRANSLATE, SCREEN)
    values = {"max_refusal_share": 0.1, "drop_task_requests": False, "refused_formats": []}
    changes = recut("screen", ScreenSettings(), resources, list(values.items())).changes(table, 0, seed=0)
    assert [each.missing for each in changes] == [{name: 1} for name in values]
    lines = {line.setting: line for line in overview(table, "screen", {}, cleaning_lists())}
    assert (lines["max_refusal_share"].rows, lines["max_refusal_share"].missing) == (1, 1)


def test_rows_are_counted_by_what_happens_to_them(spark: Any, resources: Resources) -> None:
    both = ["screen.untranslated", "screen.hate"]
    rows = [
        *({"doc_id": f"low{n}", "hate_score": 0.1} for n in range(40)),
        {"doc_id": "middle", "hate_score": 0.4, "language": "spa_Latn"},
        {"doc_id": "alone", "hate_score": 0.6, "rejected_for": ["screen.hate"]},
        {"doc_id": "both", "hate_score": 0.6, "copied_word_share": 0.9, "rejected_for": both},
        {"doc_id": "failed", "hate_score": 0.6, "rejected_for": ["engine.instruct_failed", "screen.hate"]},
        {"doc_id": "older", "rejected_for": ["screen.hate"]},
        {"doc_id": "unscored"},
    ]
    table = documents(spark, rows, CLEAN, TRANSLATE, INSTRUCT, BACK_TRANSLATE, SCREEN)
    asked = recut(
        "screen", ScreenSettings(), resources, [("max_hate_score", 0.7), ("max_hate_score", 0.3), ("max_hate_score", 0)]
    )
    looser, stricter, strictest = asked.changes(table, 3, seed=5)
    assert (looser.rows, looser.alive, looser.rejected) == (46, 42, 4)
    assert (looser.gained, looser.lost, looser.still_rejected) == (1, 0, 2)
    assert (looser.gained_by_reason, looser.lost_by_reason) == ({"screen.hate": 1}, {})
    assert looser.settings == {"max_hate_score": (0.5, 0.7)}
    assert (looser.missing, looser.differing) == ({"max_hate_score": 2}, 1)
    assert [(cell.language, cell.alive, cell.rejected, cell.gained, cell.lost) for cell in looser.cells] == [
        ("cat_Latn", 41, 4, 1, 0)
    ]
    (row,) = looser.gained_sample
    assert (row.doc_id, row.reasons, row.scores, row.texts["text"]) == (
        "alone",
        ["screen.hate"],
        {"max_hate_score": 0.6},
        "Un text.",
    )
    assert (stricter.gained, stricter.lost) == (0, 1)
    assert [(row.doc_id, row.reasons) for row in stricter.lost_sample] == [("middle", ["screen.hate"])]
    assert strictest.lost == 41
    assert {(cell.language, cell.lost) for cell in strictest.cells} == {("cat_Latn", 40), ("spa_Latn", 1)}
    names = [row.doc_id for row in strictest.lost_sample]
    assert len(names) == 3
    again = asked.changes(table.repartition(5), 3, seed=5)[2]
    assert [row.doc_id for row in again.lost_sample] == names, "whatever the partitions"
    other = [[row.doc_id for row in asked.changes(table, 3, seed=seed)[2].lost_sample] for seed in (6, 7)]
    assert any(each != names for each in other), "another seed draws others"


def test_a_score_that_a_table_lacks_is_named_and_the_others_are_shown(spark: Any, resources: Resources) -> None:
    rows = [{"hate_score": 0.1 * n} for n in range(5)] + [{}]
    table = documents(spark, rows, CLEAN, TRANSLATE, INSTRUCT, BACK_TRANSLATE, SCREEN).drop("refusal_share")
    asked = [Change("screen", "max_refusal_share", 1), Change("screen", "max_hate_score", 0.15)]
    assert missing_columns("screen", asked, table.columns) == {"max_refusal_share": ["refusal_share"]}
    assert recut("screen", ScreenSettings(), resources, [("max_hate_score", 0.15)]).changes(table, 1, 0)[0].lost == 3
    lines = {line.setting: line for line in overview(table, "screen", {"max_hate_score": 0.25}, cleaning_lists())}
    assert not lines["max_refusal_share"].is_stored
    hate = lines["max_hate_score"]
    assert (hate.rows, hate.missing, hate.beyond, hate.limit) == (5, 1, 2, 0.25)
    assert [hate.quantiles[f"{share:g}"] for share in (0.0, 0.5, 1.0)] == pytest.approx([0.0, 0.2, 0.4])
    assert len(hate.quantiles) == len(SHARES)
    assert (lines["min_quality"].rows, lines["min_quality"].beyond, lines["min_quality"].quantiles) == (0, None, {})


# A whole lake ----------------------------------------------------------------------------------------------------


def command(capsys: Any, *arguments: Any) -> tuple[int, str, str]:
    code = main(["explore", *map(str, arguments)])
    streams = capsys.readouterr()
    return code, streams.out, streams.err


def test_a_lakes_scores(finished: Any, capsys: Any) -> None:
    code, out, _ = command(capsys, "--lake", finished.path, "--json")
    assert code == 0
    lines = {(line["stage"], line["setting"]): line for line in json.loads(out)["lines"]}
    chars = lines["clean", "min_chars"]
    tables = finished.lake.read("clean")
    assert chars["rows"] == tables.count()
    assert chars["beyond"] == tables.where(F.array_contains("rejected_for", "clean.too_short")).count()
    assert chars["quantiles"]["0"] == tables.agg(F.min("text_chars")).first()[0]
    assert lines["screen", "max_hate_score"]["rows"] == 0
    code, out, _ = command(capsys, "--lake", finished.path)
    assert code == 0
    assert "min 300" in out
    assert "screen: scores and limits" in out


def test_a_lake_made_again_with_the_written_recipe_is_as_was_said(
    spark: Any, finished: Any, tmp_path: Any, capsys: Any
) -> None:
    file = finished.recipe.parent / "stricter.yaml"
    sets = ["--set", "screen.max_instruction_chars=60", "--set", "screen.min_instruction_score=1.0"]
    code, out, err = command(
        capsys, "--lake", finished.path, "--recipe", finished.recipe, *sets, "--write", file, "--json"
    )
    assert (code, f"Written: {file}" in err) == (0, True), err
    said = json.loads(out)
    (cut,), (price,) = said["cuts"], said["costs"]
    (screen,) = cut["stages"]
    assert screen["lost"] > 0
    assert price["rebuild"] == "screen"
    copy = tmp_path / "lake"
    shutil.copytree(finished.path, copy)
    run_recipe(spark, file, copy, rebuild="screen")
    made = Lake(spark, str(copy))
    keys = ("doc_id", "revision")
    before, after = (
        {tuple(row[key] for key in keys): row["rejected_for"] for row in lake.read("screen").collect()}
        for lake in (finished.lake, made)
    )
    assert before.keys() == after.keys()
    assert sum(not before[key] and bool(after[key]) for key in before) == screen["lost"]
    assert sum(bool(before[key]) and not after[key] for key in before) == screen["gained"]
    before_pairs, after_pairs = (
        {row["pair_id"] for row in lake.read("pairs").select("pair_id").collect()} for lake in (finished.lake, made)
    )
    assert len(before_pairs - after_pairs) == cut["pairs_lost"] > 0
    assert len(before_pairs) == cut["pairs"]
    assert sum(cell["lost"] for cell in cut["pair_cells"]) == cut["pairs_lost"]
    # The lake and the recipe now agree; the first lake differs from the recipe by what was written.
    assert "asks for nothing" in refused(capsys, "--lake", copy, "--recipe", file)
    code, out, _ = command(capsys, "--lake", finished.path, "--recipe", file, "--json")
    assert json.loads(out)["cuts"] == said["cuts"]


def test_a_stale_table_of_a_stage_that_is_no_more_is_not_in_the_way(
    spark: Any, finished: Any, tmp_path: Any, capsys: Any
) -> None:
    copy = tmp_path / "lake"
    shutil.copytree(finished.path, copy)
    gone = "decontaminate"
    settings = {"recipe": finished.lake.properties("clean")["recipe"], "settings": "{}", "upstream": "dedup_outputs"}
    Lake(spark, str(copy)).ensure(gone, STAGES[gone].adds, settings, partition_by=())
    code, out, _ = command(capsys, "--lake", copy, "--set", "clean.min_chars=400", "--json")
    assert code == 0
    (price,) = json.loads(out)["costs"]
    assert gone not in price["stages"]
    assert (price["stages"][0], price["stages"][-1]) == ("clean", "pairs")


def test_what_is_printed_of_several(finished: Any, capsys: Any) -> None:
    code, out, _ = command(
        capsys, "--lake", finished.path, "--set", "clean.min_chars=1000", "--sweep", "screen.min_instruction_score=0,1"
    )
    assert code == 0
    assert "Rows by threshold" in out
    assert "clean.min_chars: 300 -> 1000" in out
    assert "clean.too_short" in out
    code, out, _ = command(capsys, "--lake", finished.path, "--set", "clean.max_repeated_line_share=0.5", "-n", "1")
    assert "What later stages make of the rows gained is not known" in out
    assert "run with --rebuild clean" in out
    assert "Cached translations serve again (translate, back_translate)" in out
    found = explore(
        finished.lake, [Cut((Change("clean", "min_chars", 1000), Change("screen", "min_instruction_score", 1.0)))]
    )
    lost = {stage.stage: stage.lost for stage in found.cuts[0].stages}
    assert found.cuts[0].pairs_lost is not None
    assert found.cuts[0].pairs_lost <= sum(lost.values())


def refused(capsys: Any, *arguments: Any) -> str:
    code, _, err = command(capsys, *arguments)
    assert code == 2, err
    return err


def test_what_a_user_can_get_wrong(spark: Any, finished: Any, tmp_path: Any, capsys: Any) -> None:
    lake = ("--lake", finished.path)
    assert "only the similarity" in refused(capsys, *lake, "--set", "dedup.threshold=0.9")
    assert "--write takes --recipe" in refused(capsys, *lake, "--set", "clean.min_chars=1", "--write", "x.yaml")
    assert "There is no lake" in refused(capsys, "--lake", tmp_path / "none", "--set", "clean.min_chars=1")
    (tmp_path / "empty").mkdir()
    assert "There is no lake" in refused(capsys, "--lake", tmp_path / "empty")
    assert "holds the tables of recipe demo" in refused(capsys, *lake, "--recipe", "muri")
    with pytest.raises(BackpromptError, match="asks for nothing"):
        explore(finished.lake, [])
    partial = tmp_path / "partial"
    shutil.copytree(finished.path, partial, ignore=shutil.ignore_patterns("screen", "pairs", "dedup_*"))
    assert "has no table screen" in refused(capsys, "--lake", partial, "--set", "screen.max_hate_score=0.1")
    part = Lake(spark, str(partial))
    assert scores(part).missing_tables == [
        "dedup_lines", "screen", "dedup_instructions", "dedup_outputs", "decontaminate"
    ]  # fmt: skip
    found = explore(part, [Cut((Change("clean", "min_chars", 400),))])
    assert (found.cuts[0].pairs, found.cuts[0].pairs_lost) == (None, None)


def test_the_settings_of_the_lakes_tables_can_be_read_back(finished: Any) -> None:
    for stage in tables_in_order(finished.lake)[1:]:
        if recut_settings(stage):
            flat = json.loads(finished.lake.properties(stage)["settings"])
            known = json.loads(json.dumps({key: flat[key] for key in recut_settings(stage) if key in flat}))
            read = made_with(stage, flat).decisive()
            assert known
            assert all(read.get(key, value) == value for key, value in known.items() if "." not in key)
