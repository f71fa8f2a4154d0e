"""From tables to small numbers and samples, on a real Spark."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import ArrayType

from jobs.report.measures import (
    count_pairs,
    measure_scores,
    sample_pairs,
    sample_rejections,
    verbs_and_nouns,
)
from jobs.runtime.schema import CLEAN, PAIRS, SCREEN
from tests.builders import documents
from udfs.cleaning.lists import CleaningLists, Factors

NO_LISTS = CleaningLists()


def pairs_of(spark: SparkSession, rows: list[dict[str, Any]]) -> DataFrame:
    filled = []
    for place, row in enumerate(rows):
        values: dict[str, Any] = {
            "pair_id": hashlib.sha256(str(place).encode()).hexdigest(), "revision": "0", "language": "cat_Latn",
            "source": "wikipedia", "instruction": "Escriu un conte.", "output": "Hi havia una vegada.",
            "split": "train", "split_group": str(place), "license": "CC0-1.0", "origin": "a", "batch_id": 0,
            "generator": "template-v1:news", "instruction_en": "Write a story.", **row,
        }  # fmt: skip
        values.setdefault("output_chars", len(values["output"]))
        empty = {field.name: [] if isinstance(field.dataType, ArrayType) else None for field in PAIRS.fields}
        filled.append(tuple((empty | values)[name] for name in PAIRS.fieldNames()))
    return spark.createDataFrame(filled, PAIRS)


def test_pairs_are_counted_by_source_language_and_split(spark: SparkSession) -> None:
    rows = pairs_of(
        spark,
        [
            {"output": "x" * 1000},
            {"output": "x" * 999, "split": "test"},
            {"language": "arb_Arab", "source": "web", "output": "x", "license": "CC-BY-4.0", "generator": "openai:m"},
        ],
    )
    found = count_pairs(rows)
    assert (found.count, found.by("language")) == (3, {"cat_Latn": 2, "arb_Arab": 1})
    assert found.by("split") == {"train": 2, "test": 1}
    assert found.licenses == {"CC0-1.0": 2, "CC-BY-4.0": 1}
    assert found.generators == {"template-v1": 2, "openai": 1}
    lengths = found.lengths["output"]
    edges = lengths.bins.edges()
    # 1,000 opens a bin of its own: a bound belongs to the bin above it.
    filled = {round(edges[place]): count for place, count in enumerate(lengths.counts) if count}
    assert filled == {1: 1, 681: 1, 1000: 1}
    assert lengths.quantile(0.5) == (edges[17], edges[18])


def test_scores_are_counted_with_their_limits_and_reasons(spark: SparkSession) -> None:
    rows = documents(
        spark,
        [
            {"copied_word_share": 0.5, "hate_score": 0.9, "rejected_for": ["screen.hate"]},
            {"copied_word_share": 0.51, "rejected_for": ["screen.untranslated", "screen.hate"], "hate_score": 0.51},
            {"copied_word_share": float("nan"), "translation_quality": 0.2},
            {"copied_word_share": 0.0, "instruction": "given", "translation_quality": 0.1},
        ],
        SCREEN,
    )
    settings = {"max_copied_word_share": 0.5, "max_hate_score": 0.5, "min_quality": None}
    scores, reasons = measure_scores(rows.drop("instruction_chars"), "screen", settings, NO_LISTS)
    assert reasons == {"screen.hate": 2, "screen.untranslated": 1}
    by_name = {each.threshold.setting if each.threshold else each.name: each for each in scores}
    copied = by_name["max_copied_word_share"]
    assert (copied.histogram.rows, copied.kept, copied.missing, copied.limit) == (3, 2, 1, 0.5)
    assert copied.histogram.counts[10] == 2  # 0.5 and 0.51, of bins of 0.05
    hate = by_name["max_hate_score"]
    assert (hate.histogram.rows, hate.kept, hate.missing) == (2, 0, 2)
    # Not asked of the pair that its source holds, and without a limit none is beyond it.
    quality = by_name["min_quality"]
    assert (quality.histogram.rows, quality.kept, quality.limit) == (1, 1, None)
    # The table has no column for the instruction's own length, as a lake of another version may not.
    assert by_name["max_instruction_chars"].is_missing_column
    assert by_name["max_instruction_chars"].histogram.rows == 0


def test_limits_are_those_of_the_language(spark: SparkSession) -> None:
    rows = documents(
        spark, [{"symbol_share": 0.3, "language": "tha_Thai"}, {"symbol_share": 0.3, "language": "cat_Latn"}], CLEAN
    )
    lists = CleaningLists(factors=(("tha_Thai", Factors(symbols=2.0)),))
    for limits, kept in (("by_language", 1), ("same", 0)):
        scores, reasons = measure_scores(rows, "clean", {"max_symbol_share": 0.2, "limits": limits}, lists)
        found = next(each for each in scores if each.threshold and each.threshold.setting == "max_symbol_share")
        assert (found.kept, found.histogram.rows, reasons) == (kept, 2, {})


def test_what_goes_past_a_stage_is_on_no_side_of_its_limits(spark: SparkSession) -> None:
    rows = documents(
        spark, [{"text": "x" * 30, "instruction": "given"}, {"text": "x" * 30}, {"text": "x" * 300}], CLEAN
    )
    scores, _ = measure_scores(rows, "clean", {"min_chars": 200}, NO_LISTS)
    found = next(each for each in scores if each.threshold and each.threshold.setting == "min_chars")
    assert (found.histogram.rows, found.kept, found.missing) == (2, 1, 1)


def test_duplicates_are_on_no_side_of_their_limit(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [("cat_Latn", ["dedup.duplicate"], 0.79, None), ("cat_Latn", [], None, None)],
        "language string, rejected_for array<string>, similarity double, instruction string",
    )
    ((found,), reasons) = measure_scores(rows, "dedup", {"threshold": 0.8}, NO_LISTS)
    assert (found.limit, found.has_sides, found.histogram.rows, reasons) == (0.8, False, 1, {"dedup.duplicate": 1})


def test_a_share_of_nothing_is_no_score(spark: SparkSession) -> None:
    rows = documents(spark, [{"text": "", "removed_chars": 0}, {"text": "x" * 30, "removed_chars": 10}], CLEAN)
    scores, _ = measure_scores(rows, "clean", {"max_removed_share": 0.2}, NO_LISTS)
    found = next(each for each in scores if each.threshold and each.threshold.setting == "max_removed_share")
    assert (found.histogram.rows, found.kept, found.missing) == (1, 0, 1)


def test_samples_are_seeded_few_and_cut(spark: SparkSession) -> None:
    rows = pairs_of(
        spark,
        [{"output": "Tot. " * 400} for _ in range(200)]
        + [{"language": "arb_Arab", "instruction_en": "Escriu un conte.", "hate_score": 0.25}],
    )
    counts = {"cat_Latn": 200, "arb_Arab": 1}
    found = sample_pairs(rows, counts, "eng_Latn", 3, each=2)
    assert [each.group for each in found] == ["arb_Arab", "cat_Latn", "cat_Latn"]
    again = sample_pairs(rows.repartition(5), counts, "eng_Latn", 3, each=2)
    assert found == again
    other = sample_pairs(rows, counts, "eng_Latn", 4, each=2)
    assert {dict(each.facts)["pair_id"] for each in other[1:]} != {dict(each.facts)["pair_id"] for each in found[1:]}
    label, text, language, is_cut = found[1].texts[2]
    assert (label, len(text), language, is_cut) == ("output", 700, "cat_Latn", True)
    # An instruction that is the same in the pivot language is shown once.
    assert [label for label, *_ in found[0].texts] == ["instruction", "output"]
    assert dict(found[0].facts)["hate_score"] == "0.250"


def test_rejected_rows_are_shown_under_each_of_their_reasons(spark: SparkSession) -> None:
    rows = documents(
        spark,
        [{"rejected_for": ["clean.too_short", "clean.symbols"], "detail": "30", "title": "T"}, {"text": "alive"}],
        CLEAN,
    )
    found = sample_rejections(rows, "clean", {"clean.too_short": 1, "clean.symbols": 1}, "eng_Latn", 0, each=2)
    assert [(each.group, dict(each.facts)["detail"]) for each in found] == [
        ("clean.symbols", "30"),
        ("clean.too_short", "30"),
    ]
    assert sample_rejections(rows, "clean", {}, "eng_Latn", 0, each=2) == []


def test_samples_have_their_scores_and_the_words_that_an_evaluation_item_was_found_in(spark: SparkSession) -> None:
    made = {"rejected_for": ["decontaminate.contaminated"], "contaminated_span": "to be or not", "hate_score": 0.25}
    rows = spark.createDataFrame(
        [("a", "cat_Latn", *made.values())],
        "doc_id string, language string, rejected_for array<string>, contaminated_span string, hate_score double",
    )
    (reason,) = made["rejected_for"]
    for stage, facts in (("decontaminate", {}), ("screen", {"hate_score": "0.250"})):
        (found,) = sample_rejections(rows, stage, {reason: 1}, "eng_Latn", 0, each=1)
        assert dict(found.facts) == {"contaminated_span": "to be or not", "doc_id": "a", **facts}
    (found,) = sample_pairs(
        pairs_of(spark, [{"copied_run_words": 7, "answer_share": 0.5, "instruction_form": "question"}]),
        {"cat_Latn": 1}, "eng_Latn", 0, each=1,
    )  # fmt: skip
    facts = dict(found.facts)
    assert (facts["copied_run_words"], facts["answer_share"], facts["instruction_form"]) == ("7", "0.500", "question")


def test_verbs_and_nouns_of_english_instructions(spark: SparkSession) -> None:
    made: list[dict[str, Any]] = [{}, {}, {"instruction_en": "Write a poem."}, {"instruction_en": None}]
    made.append({"instruction_en": "Explain how it works."})
    made.append({"instruction_en": None, "language": "eng_Latn", "instruction": "Describe the city."})
    rows = pairs_of(spark, made)
    found = verbs_and_nouns(rows, "eng_Latn", 0, at_most=100)
    assert (found.instructions, found.of_instructions, found.found, found.distinct) == (5, 5, 4, 3)
    assert found.verbs == [("write", 3, [("story", 2), ("poem", 1)]), ("describe", 1, [("city", 1)])]
    # Where the pivot is another language, its instructions are not English.
    assert verbs_and_nouns(rows, "fra_Latn", 0, at_most=100).of_instructions == 1
    nothing = verbs_and_nouns(rows.where("false"), "eng_Latn", 0, at_most=100)
    assert (nothing.instructions, nothing.verbs) == (0, [])


@pytest.mark.parametrize("at_most", [2])
def test_of_many_instructions_a_sample_is_looked_at(spark: SparkSession, at_most: int) -> None:
    rows = pairs_of(spark, [{} for _ in range(60)])
    found = verbs_and_nouns(rows, "eng_Latn", 0, at_most)
    assert found.of_instructions == 60
    assert 0 < found.instructions < 12
