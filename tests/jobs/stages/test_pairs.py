from collections import Counter

from pyspark.sql import functions as F

from jobs.runtime.schema import BACK_TRANSLATE, CLEAN, DEDUP, INSTRUCT, PAIRS, SCREEN, SPLITS, TRANSLATE
from jobs.stages.pairs import assign_splits, to_pairs
from tests.builders import documents

ADDS = (CLEAN, DEDUP, TRANSLATE, INSTRUCT, BACK_TRANSLATE, SCREEN)


def screened(spark, count, start=0, **values):
    rows = [
        {
            "doc_id": f"{start + n:064x}",
            "text": f"Text {n}.",
            "instruction_src": f"Pregunta {n}?",
            "generator": "g",
            **values,
        }
        for n in range(count)
    ]
    return documents(spark, rows, *ADDS)


def nothing(spark):
    return spark.createDataFrame([], SPLITS)


def counts(splits):
    return Counter(row["split"] for row in splits.collect())


def test_shares_are_exact_for_each_source_and_language(spark):
    docs = (
        screened(spark, 45)
        .union(screened(spark, 23, 100, language="spa_Latn"))
        .union(screened(spark, 20, 200, source="b"))
    )
    splits = assign_splits(docs, nothing(spark), seed=3)
    assert splits.schema.fieldNames() == SPLITS.fieldNames()
    for source, language, rows in (("test", "cat_Latn", 45), ("test", "spa_Latn", 23), ("b", "cat_Latn", 20)):
        part = splits.where((F.col("source") == source) & (F.col("language") == language))
        found = counts(part)
        assert sum(found.values()) == rows
        for split, share in (("train", 0.9), ("validation", 0.05), ("test", 0.05)):
            assert abs(found[split] - share * rows) <= 1


def test_splits_do_not_depend_on_partitions_and_change_with_the_seed(spark):
    docs = screened(spark, 60)

    def assigned(frame, seed):
        return {row["pair_id"]: row["split_position"] for row in assign_splits(frame, nothing(spark), seed).collect()}

    assert assigned(docs, 3) == assigned(docs.repartition(7), 3)
    assert assigned(docs, 3) != assigned(docs, 4)


def test_new_documents_take_the_next_places_and_old_ones_keep_theirs(spark):
    first = assign_splits(screened(spark, 30), nothing(spark), 3).persist()
    second = assign_splits(screened(spark, 50), first, 3)
    assert second.count() == 20
    places = [row["split_position"] for row in first.union(second).collect()]
    assert sorted(places) == list(range(50))
    assert counts(first.union(second)) == {"train": 45, "validation": 3, "test": 2}


def test_to_pairs(spark):
    docs = screened(spark, 3)
    pairs = to_pairs(docs, assign_splits(docs, nothing(spark), 3))
    assert pairs.schema.fieldNames() == PAIRS.fieldNames()
    row = pairs.orderBy("pair_id").first()
    assert (row["instruction"], row["output"], row["output_chars"]) == ("Pregunta 0?", "Text 0.", 7)
