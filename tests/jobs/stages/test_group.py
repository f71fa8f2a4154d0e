"""Splits of real rows over Spark: shares, increments, parts, near-duplicates; in the driver and over Spark alike."""

from __future__ import annotations

import random
from collections import Counter

from pyspark.sql import functions as F

from jobs.runtime.schema import BACK_TRANSLATE, CLEAN, DEDUP, GROUP, INSTRUCT, PAIRS, SCREEN, SPLITS, TRANSLATE
from jobs.stages import dedup, group
from jobs.stages.group import GroupSettings
from jobs.stages.pairs import to_pairs
from tests.builders import documents

ADDS = (CLEAN, DEDUP, TRANSLATE, INSTRUCT, BACK_TRANSLATE, SCREEN)
WORDS = [f"paraula{number}" for number in range(4000)]


def text(seed, changed=0):
    """Sixty words, some of them changed: ten leave a similarity of about 0.6, by the shingles that a word has."""
    words = random.Random(f"text {seed}").sample(WORDS, 60)
    for at in range(changed):
        words[at * 6] = f"canvi{seed}x{at}"
    return " ".join(words)


def rows(numbers, **values):
    return [
        {"doc_id": f"{number:064x}", "text": text(number), "instruction_src": "P?", "generator": "g", **values}
        for number in numbers
    ]


class Placed:
    """What outlives a batch: splits, index entries and parts, in memory."""

    def __init__(self, spark, settings=None):
        self.spark, self.settings = spark, settings or GroupSettings()
        self.splits = spark.createDataFrame([], SPLITS)
        self.index = self.earlier = None

    def batch(self, new, seed=3, partitions=2):
        docs = documents(self.spark, new, *ADDS).repartition(partitions)
        blocks = group.sketch(docs, self.settings).persist()
        found = group.find_groups(docs, blocks, self.index, self.earlier, self.splits, self.settings)
        made = group.with_splits(docs, found.rows, self.splits, seed).localCheckpoint()
        self.splits = self.splits.unionByName(group.splits_of(made, self.splits)).localCheckpoint()
        rejected = made.where(F.size("rejected_for") > 0).select("doc_id")
        entries = dedup.without(blocks, rejected).localCheckpoint()
        self.index = entries if self.index is None else self.index.unionByName(entries)
        parts = made.where(F.size("rejected_for") == 0).select(*group.PARTS)
        self.earlier = parts if self.earlier is None else self.earlier.unionByName(parts)
        return {row["doc_id"]: row for row in made.collect()}


def counts(placed, **where):
    return Counter(row["split"] for row in placed.values() if all(row[name] == each for name, each in where.items()))


def test_shares_do_not_depend_on_partitions_and_change_with_the_seed(spark):
    new = rows(range(45)) + rows(range(100, 123), language="spa_Latn") + rows(range(200, 220), source="b")
    placed = Placed(spark).batch(new)
    for size, where in (
        (45, {"source": "test", "language": "cat_Latn"}),
        (23, {"language": "spa_Latn"}),
        (20, {"source": "b"}),
    ):
        found = counts(placed, **where)
        assert sum(found.values()) == size
        for split, share in (("train", 0.9), ("validation", 0.05), ("test", 0.05)):
            assert abs(found[split] - share * size) <= 1
    splits = {doc_id: row["split"] for doc_id, row in placed.items()}
    assert {doc_id: row["split"] for doc_id, row in Placed(spark).batch(new, partitions=7).items()} == splits
    assert {doc_id: row["split"] for doc_id, row in Placed(spark).batch(new, seed=4).items()} != splits


def test_halves_that_come_in_two_increments_share_a_split(spark):
    """Each pair of the first increment has a near-duplicate or another part of the same in the second."""
    lake = Placed(spark)
    first = rows(range(40)) + [row | {"part_of": f"tree{at}"} for at, row in enumerate(rows(range(100, 120)))]
    before = lake.batch(first)
    assert {row["split"] for row in before.values()} == {"train", "validation", "test"}
    alike = [
        row | {"text": text(at, changed=8), "language": "spa_Latn", "source": "other"}
        for at, row in enumerate(rows(range(1000, 1040)))
    ]
    others = [row | {"part_of": f"tree{at}"} for at, row in enumerate(rows(range(1100, 1120)))]
    # A part of another source's tree of the same name is no part of this one.
    strange = [row | {"part_of": "tree0", "source": "other"} for row in rows([3000])]
    after = lake.batch([*alike, *others, *strange])
    assert not any(row["rejected_for"] for row in after.values())
    for at in range(40):
        mine, theirs = before[f"{at:064x}"], after[f"{1000 + at:064x}"]
        assert (theirs["split"], theirs["split_group"]) == (mine["split"], mine["split_group"]), at
    for at in range(20):
        assert after[f"{1100 + at:064x}"]["split"] == before[f"{100 + at:064x}"]["split"], at
    assert after[f"{3000:064x}"]["split_group"] == f"{3000:064x}"


def test_groups_are_the_same_in_the_driver_and_over_spark(spark):
    old = rows(range(4), part_of="old")
    new = rows(range(20, 30)) + [
        row | {"text": text(at, changed=8), "part_of": "tree" if at % 2 else None}
        for at, row in enumerate(rows(range(10, 16)))
    ]
    parts = rows([40, 41], part_of="tree") + rows([50], part_of="old")
    splits = spark.createDataFrame(
        [(row["doc_id"], "cat_Latn", "test", ("train", "test")[at % 2], row["doc_id"]) for at, row in enumerate(old)],
        SPLITS,
    )
    docs = documents(spark, [*new, *parts], *ADDS)
    earlier = documents(spark, old, *ADDS).localCheckpoint()
    found = []
    for components in ("driver", "spark"):
        settings = GroupSettings(components=components)
        blocks, index = (group.sketch(each, settings).localCheckpoint() for each in (docs, earlier))
        groups = group.find_groups(docs, blocks, index, earlier.select(*group.PARTS), splits, settings)
        found.append(sorted(map(tuple, groups.rows.collect()), key=repr))
    assert found[0] == found[1]
    named = {int(doc_id, 16): (split, between) for doc_id, _, split, between in found[0]}
    assert named[10] == ("train", None)
    assert named[50][1] is not None, "its thing was torn before"
    assert {named[number] for number in (40, 41)} == {named[11]}


def test_a_row_between_two_splits_is_rejected_with_both_names(spark):
    lake = Placed(spark)
    before = lake.batch(rows(range(40)))
    one, other = (next(name for name, row in before.items() if row["split"] == split) for split in ("train", "test"))
    a, b = int(one, 16), int(other, 16)
    between = {"text": f"{text(a)} {text(b)}"}
    after = lake.batch([rows([500])[0] | between, *rows([501])])
    row = after[f"{500:064x}"]
    assert row["rejected_for"] == ["group.between_splits"]
    assert (row["split"], row["split_group"], row["detail"]) == (None, None, f"like {one} in train and {other} in test")
    # It left nothing behind that a later row is compared with.
    again = lake.batch([rows([502])[0] | {"text": f"{text(a, 1)} {text(600)}"}])
    assert again[f"{502:064x}"]["split"] == "train"
    assert lake.splits.where(F.col("pair_id") == f"{500:064x}").isEmpty()


def test_short_outputs_of_given_pairs_count_with_their_instruction(spark):
    passage = text(7)
    task = (
        "You are given a sentence of a review. Say with one word, yes or no, whether its writer liked what is written "
        "of, and do not think of what other writers say of it in other sentences."
    )
    given = [
        {"instruction": "Is this true?", "text": "Yes."},
        {"instruction": "is this true", "text": "yes"},
        {"instruction": "Is that true?", "text": "Yes."},
        {"instruction": f"{passage}\nIs this true?", "text": "Yes."},
        {"instruction": f"{passage.replace(passage.split()[30], 'altre')}\nIs this true?", "text": "Yes."},
        {"instruction": f"{passage}\nWho says so?", "text": "Nobody."},
        {"instruction": f"{task}\n\n{text(8)[:50]}", "text": "Yes."},
        {"instruction": f"{task}\n\n{text(9)[:50]}", "text": "Yes."},
    ]
    new = [row | each for row, each in zip(rows(range(8)), given, strict=True)]
    groups = [row["split_group"] for _, row in sorted(Placed(spark).batch(new).items())]
    assert groups[0] == groups[1] != groups[2]
    assert groups[3] == groups[4] == groups[5], "of one passage"
    assert len({groups[0], groups[2], groups[3], groups[6], groups[7]}) == 5, "a task's wording joins nothing"
    joined = Placed(spark, GroupSettings(given_similarity=0.5)).batch(new)
    assert joined[f"{6:064x}"]["split_group"] == joined[f"{7:064x}"]["split_group"]


def test_to_pairs(spark):
    docs = documents(spark, [row | {"split": "test", "split_group": "g"} for row in rows(range(3))], *ADDS, GROUP)
    pairs = to_pairs(docs)
    assert pairs.schema.fieldNames() == PAIRS.fieldNames()
    row = pairs.orderBy("pair_id").first()
    assert (row["instruction"], row["output"], row["output_chars"]) == ("P?", text(0), len(text(0)))
    assert (row["split"], row["split_group"]) == ("test", "g")
