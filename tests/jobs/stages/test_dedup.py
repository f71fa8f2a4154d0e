"""The deduplication stage on real Spark: routes, partitions, batches, scopes, keep rules and odd rows."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.stages.components import connected_components
from jobs.stages.dedup import (
    BLOCKS,
    Decisions,
    DedupSettings,
    ShingleChars,
    decide,
    deduplicate,
    entries,
    kept_entries,
    sketch,
    with_decisions,
)
from tests.dedup_oracle import entries as oracle_entries
from tests.dedup_oracle import plain

SETTINGS = DedupSettings(scope="all", threshold=0.7)
SCHEMA = "doc_id string, revision string, language string, source string, date string, text string"
Row = tuple[str, str, str, str, str | None, str | None]


def row(doc_id: str, text: str | None, source: str = "web", date: str | None = None, language: str = "eng_Latn") -> Row:
    return doc_id, f"r{hash(text)}", language, source, date, text


def corpus(seed: int, families: int = 8, size: int = 6) -> list[Row]:
    """Families of texts that differ by a few words, so that some are duplicates, some only nearly, some chained."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 9))) for _ in range(400)]
    rows = []
    for family in range(families):
        text = rng.choices(words, k=60)
        for member in range(size):
            rows.append(row(f"{family:02d}-{member:02d}", " ".join(text)))
            for _ in range(rng.randint(0, 3)):
                text = list(text)
                text[rng.randrange(len(text))] = rng.choice(words)
    rng.shuffle(rows)
    return rows


def frame(spark: SparkSession, rows: list[Row], partitions: int = 2) -> DataFrame:
    return spark.createDataFrame(rows, SCHEMA).repartition(partitions)


def decisions(decided: Decisions) -> dict[str, tuple[Any, ...]]:
    return {each["doc_id"]: tuple(each)[1:] for each in decided.rows.collect()}


def duplicates(docs: DataFrame, settings: DedupSettings = SETTINGS) -> dict[str, str]:
    found = deduplicate(docs, settings).where("duplicate_of is not null").select("doc_id", "duplicate_of")
    return {each[0]: each[1] for each in found.collect()}


@pytest.fixture
def shuffle_partitions(spark: SparkSession) -> Iterator[Any]:
    before = spark.conf.get("spark.sql.shuffle.partitions")
    yield lambda count: spark.conf.set("spark.sql.shuffle.partitions", str(count))
    spark.conf.set("spark.sql.shuffle.partitions", before)


WORDS = ["alpha", "beta", "gamma", "delta", "omega", "kappa", "sigma", "theta", "lambda", "zeta"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), max_size=20)
PLAIN = DedupSettings(
    scope="source", threshold=0.7, bins=64, bands=16, rows_per_band=4,
    shingle_chars=ShingleChars(**dict.fromkeys(ShingleChars.model_fields, 3)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("partitions", "route", "examples"),
    [(1, "driver", 3), (2, "spark", 1), (7, "driver", 3), (200, "auto", 1)],
)
def test_random_corpora_are_decided_as_by_the_plain_way(
    spark: SparkSession, shuffle_partitions: Any, partitions: int, route: Any, examples: int
) -> None:
    """A source is a corpus of its own, so that one run decides on many; the order of rows is the drawn one."""
    shuffle_partitions(partitions)
    settings = PLAIN.model_copy(update={"components": route})

    @hypothesis.settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @hypothesis.given(st.lists(TEXTS, min_size=8, max_size=8), st.randoms(use_true_random=False))
    def decided_alike(corpora: list[list[str]], order: random.Random) -> None:
        expected, rows = {}, []
        for number, texts in enumerate(corpora):
            source = f"s{number}"
            expected |= plain(oracle_entries(texts, scope=source), None, settings.least_similarity())
            rows += [row(f"{source}d{i:03d}", text, source) for i, text in enumerate(texts)]
        order.shuffle(rows)
        new = sketch(frame(spark, rows, min(partitions, 7)), settings).persist()
        found = decisions(decide(new, None, settings))
        new.unpersist()
        assert {name: tuple(each[:3]) for name, each in found.items()} == expected

    decided_alike()


def test_a_document_goes_only_for_one_that_stays(spark: SparkSession) -> None:
    found = duplicates(frame(spark, corpus(1, families=5)))
    assert 5 < len(found) < 28
    assert not set(found) & set(found.values())


def test_exact_verification_gives_the_same_by_both_routes(spark: SparkSession) -> None:
    found = []
    for route in ("driver", "spark"):
        settings = DedupSettings(scope="all", threshold=0.7, verify="exact", components=route)  # type: ignore[arg-type]
        found.append(decisions(decide(sketch(frame(spark, corpus(3, families=2)), settings).persist(), None, settings)))
    assert found[0] == found[1]


def test_a_later_batch_is_compared_with_what_was_kept(spark: SparkSession) -> None:
    rows = sorted(corpus(4, families=5))
    first = sketch(frame(spark, rows[::2]), SETTINGS).persist()
    second = sketch(frame(spark, rows[1::2]), SETTINGS).persist()
    index = kept_entries(first, decide(first, None, SETTINGS)).persist()
    assert index.schema == BLOCKS
    by_route = []
    for route in ("driver", "driver", "spark"):
        found = decisions(decide(second, index, SETTINGS.model_copy(update={"components": route})))
        by_route.append(found)
        kept = {each[0] for each in entries(index).select("doc_id").collect()}
        kept |= {each[1] for each in rows[1::2]} | {name for name, (like, *_) in found.items() if not like}
        assert all(like in kept for like, *_ in found.values() if like)
        assert not set(found) & {each[0] for each in rows[::2]}, "only the batch is decided on"
        assert sum(bool(like) for like, *_ in found.values()) > 5
    assert by_route[0] == by_route[1] == by_route[2]


def test_a_document_is_no_duplicate_of_its_own_earlier_revision(spark: SparkSession) -> None:
    words = " ".join(f"word{i}" for i in range(50))
    index = sketch(frame(spark, [row("a", words), row("other", "nothing like it at all")]), SETTINGS).persist()
    new = sketch(frame(spark, [row("a", words + " and more"), row("b", words)]), SETTINGS).persist()
    found = decisions(decide(new, index, SETTINGS))
    assert found["a"][0] is None
    assert found["b"][0] == "a"
    assert found["b"][2] == 2


def test_the_new_copy_of_an_indexed_text_goes(spark: SparkSession) -> None:
    words = " ".join(f"word{i}" for i in range(50))
    index = sketch(frame(spark, [row("z", words)]), SETTINGS).persist()
    new = sketch(frame(spark, [row("a", words), row("b", words + " " + words + " tail"), row("c", "hi")]), SETTINGS)
    found = decisions(decide(new.persist(), index, SETTINGS))
    assert found["a"][0] == "z"
    assert found["a"][3] == 1.0
    assert found["a"][1] == "a", "the smallest id names the cluster, indexed ones included"
    assert "c" not in found


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"keep": "longest"}, "b"),
        ({"keep": "earliest"}, "c"),
        ({"keep": "preferred_source", "preferred_sources": ("wiki", "news")}, "d"),
        ({"keep": "preferred_source", "preferred_sources": ()}, "b"),
    ],
    ids=["longest", "earliest", "preferred", "no preference"],
)
def test_the_rule_says_who_stays(spark: SparkSession, settings: dict[str, Any], kept: str) -> None:
    words = " ".join(f"word{i}" for i in range(80))
    rows = [
        row("a", words, "web", None),
        row("b", words + " longer", "web", "2020-01-01"),
        row("c", words, "news", "2001-05-06"),
        row("d", words, "wiki", "2019-01-01"),
    ]
    found = duplicates(frame(spark, rows), DedupSettings(**settings))
    assert found == dict.fromkeys({"a", "b", "c", "d"} - {kept}, kept)


@pytest.mark.parametrize(
    ("scope", "expected"), [("language", {"b": "a"}), ("source", {"c": "a"}), ("all", {"b": "a", "c": "a"})]
)
def test_scopes_keep_documents_apart(spark: SparkSession, scope: Any, expected: dict[str, str]) -> None:
    text = "these few words are the same in every one of the documents"
    rows = [
        row("a", text, "web", language="eng_Latn"),
        row("b", text, "news", language="eng_Latn"),
        row("c", text, "web", language="sco_Latn"),
    ]
    assert duplicates(frame(spark, rows), DedupSettings(scope=scope)) == expected


def test_odd_rows_have_a_stated_outcome(spark: SparkSession) -> None:
    rows = [
        *(row(f"null{i}", None) for i in range(2)),
        *(row(f"empty{i}", "") for i in range(2)),
        *(row(f"marks{i}", text) for i, text in enumerate(["!!!", "!!!", "...", "\u0301\u0301"])),
        *(row(f"short{i}", text) for i, text in enumerate(["a", "b", "A!", "ab"])),
        row("nul", "\x00"),
        *(row(f"same{i:05d}", "the same sentence in ten thousand documents") for i in range(10_000)),
    ]
    found = duplicates(frame(spark, rows))
    assert {name: like for name, like in found.items() if not name.startswith("same")} == {
        "empty1": "empty0",
        "marks1": "marks0",
        "short2": "short0",
    }
    assert len(found) == 9_999 + 3


def test_a_row_without_text_is_never_a_duplicate_whatever_its_id(spark: SparkSession) -> None:
    text = "the same words in both of these documents, many enough to be compared"
    rows = [("a", text), ("b", text), ("b", None), ("c", None), ("c", None)]
    docs = spark.createDataFrame(rows, "doc_id string, text string")
    found = deduplicate(docs, DedupSettings(scope="all")).select("doc_id", "text", "duplicate_of").collect()
    assert len(found) == len(rows)
    assert [row["duplicate_of"] for row in found if row["text"] is None] == [None] * 3
    assert sum(row["duplicate_of"] is not None for row in found) == 1


def test_hostile_rows_have_a_stated_outcome(spark: SparkSession) -> None:
    texts = {
        "huge0": "repeat('seven letters and a few more, ', 1700000)",  # 50 MB
        "huge1": "repeat('SEVEN letters and a few more - ', 1700000)",
        "storm0": "concat('a', repeat(decode(unhex('CC81'), 'UTF-8'), 1000000), ' word')",  # combining marks
        "storm1": "'A word'",
        "surrogate0": "cast(unhex('61EDA08062') as string)",  # half a pair, as UTF-8 must not hold it
        "surrogate1": "cast(unhex('61EDA08062') as string)",
        "cut": "cast(unhex('E4B8') as string)",  # a character's beginning
    }
    docs = None
    for name, text in texts.items():
        one = spark.range(1).select(F.lit(name).alias("doc_id"), F.expr(text).alias("text"))
        docs = one if docs is None else docs.union(one)
    assert docs is not None
    found = deduplicate(docs, DedupSettings(scope="all")).where("duplicate_of is not null")
    pairs = {frozenset(each) for each in found.select("doc_id", "duplicate_of").collect()}
    assert pairs == {frozenset({f"{name}0", f"{name}1"}) for name in ("huge", "storm", "surrogate")}


@pytest.mark.parametrize("ids", [["a", "a"], ["a", None]])
def test_ids_that_do_not_name_a_row_are_refused(spark: SparkSession, ids: list[str | None]) -> None:
    docs = spark.createDataFrame([(each, "one text") for each in ids], "id string, text string")
    with pytest.raises(ValueError, match=r"Column id must name each document once.*: (a|None)"):
        deduplicate(docs, SETTINGS, key="id")


def test_a_large_batch_meets_the_index_in_a_shuffle_with_the_same_result(spark: SparkSession) -> None:
    rows = sorted(corpus(6, families=3))
    first = sketch(frame(spark, rows[::2]), SETTINGS).persist()
    index = kept_entries(first, decide(first, None, SETTINGS)).persist()
    again = [row(rows[0][0], "a new revision of a document that was kept or not"), *rows[1::2]]
    second = sketch(frame(spark, again), SETTINGS).persist()
    probed = decide(second, index, SETTINGS)
    shuffled = decide(second, index, SETTINGS.model_copy(update={"max_looked_up": 0}))
    assert decisions(probed) == decisions(shuffled)
    kept = {each[0] for each in entries(index).select("doc_id").collect()}
    assert probed.superseded == len(kept & {each[0] for each in again})
    assert shuffled.superseded is None, "not counted"


def test_a_document_that_changed_its_scope_is_superseded(spark: SparkSession) -> None:
    settings = DedupSettings(scope="language")
    words = " ".join(f"word{i}" for i in range(50))
    index = sketch(frame(spark, [row("a", words), row("b", "other words")]), settings).persist()
    new = sketch(frame(spark, [row("a", words, language="sco_Latn")]), settings).persist()
    assert decide(new, index, settings).superseded == 1


def test_decisions_made_in_spark_choose_the_same_entries(spark: SparkSession) -> None:
    new = sketch(frame(spark, corpus(7, families=2)), SETTINGS).persist()
    found = decide(new, None, SETTINGS)
    here = {each[0] for each in entries(kept_entries(new, found)).select("doc_id").collect()}
    there = {each[0] for each in entries(kept_entries(new, Decisions(found.rows))).select("doc_id").collect()}
    assert here == there
    assert len(here) == 12 - found.rows.where("is_duplicate").count()


def test_rows_come_back_with_reasons(spark: SparkSession) -> None:
    rows = [
        row("a", "one two three four"),
        row("b", "one two, three four!"),
        row("c", "something else"),
        row("d", None),
    ]
    docs = frame(spark, rows).withColumn("rejected_for", F.array().cast("array<string>"))
    marked = {each["doc_id"]: each for each in deduplicate(docs, SETTINGS).collect()}
    assert marked["b"]["rejected_for"] == ["dedup.duplicate"]
    assert [marked["b"][name] for name in ("duplicate_of", "cluster_id", "cluster_size", "similarity")] == [
        "a",
        "a",
        2,
        1.0,
    ]
    assert [marked["a"][name] for name in ("duplicate_of", "cluster_id", "cluster_size", "similarity")] == [
        None,
        "a",
        2,
        None,
    ]
    assert {name: each["rejected_for"] for name, each in marked.items() if name != "b"} == {"a": [], "c": [], "d": []}
    assert marked["d"]["cluster_id"] is None


def test_no_documents_are_no_trouble(spark: SparkSession) -> None:
    new = sketch(frame(spark, []), SETTINGS)
    assert with_decisions(frame(spark, []), decide(new, new, SETTINGS)).count() == 0


def test_any_column_can_be_compared(spark: SparkSession) -> None:
    docs = spark.createDataFrame(
        [(2, "Write a poem."), (1, "write a poem"), (3, "List five birds.")], "doc_id int, instruction string"
    )
    marked = deduplicate(docs, DedupSettings(scope="all"), column="instruction")
    assert {each[0] for each in marked.where("duplicate_of = '1'").select("doc_id").collect()} == {2}


def test_a_missing_column_is_named(spark: SparkSession) -> None:
    docs = spark.createDataFrame([("a", "x")], "doc_id string, text string")
    with pytest.raises(ValueError, match="date, language"):
        sketch(docs, DedupSettings(keep="earliest"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bands": 5}, "both bands and rows_per_band"),
        ({"bands": 50, "rows_per_band": 6}, "300, more than the 256 bins"),
    ],
)
def test_impossible_bands_are_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DedupSettings(**values)  # type: ignore[arg-type]


def test_settings_reach_the_sketch() -> None:
    plan = DedupSettings(bands=8, rows_per_band=4, bins=32, shingle_chars=ShingleChars(han=3)).plan()
    assert (plan.bands, plan.rows_per_band, plan.bins, plan.shingle_chars) == (8, 4, 32, (9, 3, 6, 6, 9))
    assert DedupSettings(threshold=0.5).plan().rows_per_band < DedupSettings(threshold=0.9).plan().rows_per_band


def test_components_of_a_long_chain_and_a_star(spark: SparkSession) -> None:
    rng = random.Random(5)
    names = list(range(100, 180))
    rng.shuffle(names)
    chain = list(itertools.pairwise(names))
    star = [(7, leaf) for leaf in range(8, 60)]
    found = connected_components(spark.createDataFrame([*chain, *star, (3, 3)], "a int, b int")).collect()
    assert {each["node"]: each["root"] for each in found} == dict.fromkeys(names, 100) | dict.fromkeys(
        [7, *range(8, 60)], 7
    )
    assert len(found) == 80 + 53
