"""Documents that are taken out: from every table, off every account, whatever is killed in between."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from delta.tables import DeltaMergeBuilder
from pyspark.sql import functions as F

from jobs.runtime import ledger, removals
from jobs.runtime.accounting import check
from jobs.runtime.batches import index_table
from jobs.runtime.dedup_index import INDEX, PARTITION_BY, DedupIndex
from jobs.runtime.lake import Lake
from jobs.runtime.ledger import BatchId, Ledger
from jobs.runtime.schema import PAIRS, SPLITS, record
from jobs.stages import STAGES
from jobs.stages.dedup import DedupSettings, sketch
from jobs.stages.dedup_lines import LINE_INDEX, DedupLinesSettings, line_holders
from tests.builders import documents

ORDER = ("documents", "clean", "dedup_lines", "dedup", "pairs")
STATE = ("dedup_lines_index", "dedup_index", "splits", "runs")
A, B, C, D, E = (hashlib.sha256(name.encode()).hexdigest() for name in "abcde")
NEVER_SEEN = "0" * 64
LINE = "Aquesta línia és a tots els documents d'aquest lloc."


def doc(doc_id, batch, text, language="cat_Latn", revision="0"):
    return {
        "doc_id": doc_id,
        "document_batch": batch,
        "batch_id": batch,
        "text": text,
        "language": language,
        "revision": revision,
        "url": f"https://exemple.cat/{doc_id[:8]}",
    }


BATCHES = (
    [
        doc(A, 0, "  El text A, secret.\n" + LINE),
        doc(B, 0, "El text B, antic, secret.\n" + LINE),
        doc(C, 0, "Curt C, secret."),
    ],
    [
        doc(B, 1, "El text B, nou, secret.\n" + LINE, revision="1"),
        doc(D, 1, "El text D, que repeteix l'A."),
        doc(E, 1, "El texto E, en español.\n" + LINE, language="spa_Latn"),
    ],
)


def life(stage, batch):
    return BatchId("demo", stage, f"print-of-{stage}", 0, batch)


def make_tables(lake):
    lake.create()
    Ledger(lake, "run").ensure()
    for at, stage in enumerate(ORDER):
        properties = {"recipe": "demo", "fingerprint": f"print-of-{stage}", "generation": "0", "settings": "{}"}
        if at:
            properties |= {"upstream": ORDER[at - 1], "upstream_generation": "0"}
        lake.ensure(stage, PAIRS if stage == "pairs" else record(columns_of(stage)), properties)
    lake.ensure(index_table("dedup"), INDEX, {}, PARTITION_BY)
    lake.ensure(index_table("dedup_lines"), LINE_INDEX, {}, partition_by=())
    lake.ensure("splits", SPLITS, {})


def columns_of(stage):
    return [STAGES[name].adds for name in ORDER[1 : ORDER.index(stage) + 1]]


def append(lake, stage, rows, batch, came_in, is_entered=True):
    """Write a batch as a run does."""
    lake.append(rows, stage, life(stage, batch).app_id, batch)
    if is_entered:
        enter(lake, stage, batch, came_in)


def enter(lake, stage, batch, came_in):
    written = lake.read(stage).where(F.col("batch_id") == batch)
    if stage == "pairs":
        written = written.withColumn("rejected_for", F.array().cast("array<string>"))
    counts = ledger.count_rows(came_in)
    if counts:
        Ledger(lake, "run").record(ledger.count(written), counts, life(stage, batch), datetime.now(UTC))


def fill(lake, batch, rows, upto="pairs", is_entered=True):
    """Take a batch of documents through the stages: C is too short, D is like A, spaces around texts go."""
    spark = lake.spark
    current = [dict(row) for row in rows]
    frame = documents(spark, current)
    came_in = frame
    for stage in ORDER[: ORDER.index(upto) + 1]:
        if stage == "pairs":
            break
        for row in current:
            row["text"] = row["text"] if stage == "documents" else row["text"].strip()
            row.pop("text_chars", None)
            if stage == "clean" and row["doc_id"] == C:
                row["rejected_for"] = ["clean.too_short"]
            if stage == "dedup" and row["doc_id"] == D:
                row |= {"rejected_for": ["dedup.duplicate"], "duplicate_of": A, "cluster_id": A, "cluster_size": 2}
        frame = documents(spark, current, *columns_of(stage))
        last = stage == upto
        append(lake, stage, frame, batch, came_in, is_entered or not last)
        if stage == "dedup_lines":
            holders = line_holders(frame, DedupLinesSettings()).withColumn("batch_id", F.lit(batch).cast("long"))
            lake.append(holders, index_table(stage), life(stage, batch).app_id, batch)
        current = [row for row in current if not row.get("rejected_for")]
        came_in = documents(spark, current, *columns_of(stage))
        if stage == "dedup":
            index = DedupIndex(lake, index_table(stage))
            index.forget(came_in, before=batch)
            index.append(sketch(came_in, DedupSettings(scope="language")), life(stage, batch).app_id, batch)
    if upto == "pairs":
        fill_pairs(lake, batch, current, came_in)


def fill_pairs(lake, batch, current, came_in):
    ids = [row["doc_id"] for row in current]
    known = {row["pair_id"] for row in lake.read("splits").collect()}
    rows = [(doc_id, row["language"], "test", "train", doc_id) for doc_id, row in zip(ids, current, strict=True)]
    new = [row for row in rows if row[0] not in known]
    lake.append(lake.spark.createDataFrame(new, SPLITS), "splits", life("pairs", batch).app_id, batch)
    lake.delta("pairs").delete(F.col("pair_id").isin(ids))
    empty = dict.fromkeys(PAIRS.fieldNames())
    pairs = [
        empty
        | {
            "pair_id": row["doc_id"],
            "output": row["text"],
            "instruction": "Escriu un text.",
            "split": "train",
            "split_group": row["doc_id"],
            "origin": "test.jsonl",
            "license": "CC0-1.0",
            "generator": "template-v1",
            "output_chars": len(row["text"]),
            "source": "test",
            **{name: row[name] for name in ("revision", "language", "url")},
            "batch_id": batch,
        }
        for row in current
    ]
    frame = lake.spark.createDataFrame([tuple(row.values()) for row in pairs], PAIRS)
    append(lake, "pairs", frame, batch, came_in)


def ids_in(lake, table):
    key = "pair_id" if table in ("pairs", "splits") else "doc_id"
    return sorted(row[0] for row in lake.read(table).select(key).collect())


def problems(lake):
    return [f"{finding.check}: {finding.problem}" for finding in check(lake) if finding.problem]


def funnel(lake):
    """Sums of `runs` by stage and language, without what is zero by now."""
    found = {}
    for stage, languages in ledger.tallies(lake).items():
        for language, tally in languages.items():
            reasons = {reason: count for reason, count in tally.reasons.items() if count}
            if tally.rows_in or tally.characters or reasons:
                sums = (tally.rows_in, tally.alive, tally.rejected, tally.characters, reasons)
                found.setdefault(stage, {})[language] = sums
    return found


def content(lake):
    """All rows of all tables, in one order; but for when and in which attempt they were written."""
    found = {}
    for table in (*ORDER, *STATE, removals.TABLE):
        frame = lake.read(table).drop("run_id", "started_at", "batch_seconds", "removal_id", "removed_at")
        if table == index_table("dedup"):
            frame = frame.select("batch_id", "entries", "ids")
        found[table] = sorted(map(repr, frame.collect()))
    return found


@pytest.fixture(scope="module")
def made(spark, tmp_path_factory):
    made = Lake(spark, str(tmp_path_factory.mktemp("removals") / "lake"))
    make_tables(made)
    for batch, rows in enumerate(BATCHES):
        fill(made, batch, rows)
    return made


@pytest.fixture
def lake(spark, made, tmp_path):
    shutil.copytree(made.location, tmp_path / "lake")
    return Lake(spark, str(tmp_path / "lake"))


def named(spark, *ids):
    return spark.createDataFrame([(each,) for each in ids], "doc_id string")


def test_the_lake_of_these_tests_is_whole(made):
    assert problems(made) == []
    assert ids_in(made, "documents") == sorted([A, B, B, C, D, E])
    assert ids_in(made, "pairs") == sorted([A, B, E])
    assert removals.all_removals(made) is None
    assert removals.forgotten_ids(made) is None
    assert removals.newest_batch(made) == -1
    assert removals.complete_unfinished(made) == []


@pytest.mark.slow
def test_forgotten_documents_leave_every_table_and_account(spark, lake):
    removed = removals.remove(lake, named(spark, A, B, C, NEVER_SEEN), "forgotten")
    assert problems(lake) == []
    assert ids_in(lake, "documents") == ids_in(lake, "clean") == ids_in(lake, "dedup") == sorted([D, E])
    assert ids_in(lake, "pairs") == ids_in(lake, "splits") == [E]
    assert {row["doc_id"] for row in DedupIndex(lake, "dedup_index").ids().collect()} == {E}
    # What `runs` adds up to is what D and E alone would have come to.
    texts = {row["doc_id"]: row["text"] for row in BATCHES[1]}
    alive = {"cat_Latn": (1, 1, 0, len(texts[D]), {}), "spa_Latn": (1, 1, 0, len(texts[E]), {})}
    like_a = {"cat_Latn": (1, 0, 1, len(texts[D]), {"dedup.duplicate": 1}), "spa_Latn": alive["spa_Latn"]}
    expected = {"documents": alive, "clean": alive, "dedup_lines": alive, "dedup": like_a}
    expected["pairs"] = {"spa_Latn": alive["spa_Latn"]}
    assert funnel(lake) == expected
    holders = {row["document"] for row in lake.read("dedup_lines_index").collect()}
    assert holders == {lake.spark.range(1).select(F.xxhash64(F.lit(E))).first()[0]}
    assert removed.rows == {
        **{"pairs": 2, "dedup": 3, "dedup_index": 2, "dedup_lines": 3, "dedup_lines_index": 3, "splits": 2},
        **{"clean": 4, "documents": 4},
    }
    entries = {row["doc_id"]: row for row in lake.read(removals.TABLE, removals.REMOVALS).collect()}
    assert {doc_id: row["document_batch"] for doc_id, row in entries.items()} == {A: 0, B: 1, C: 0, NEVER_SEEN: -1}
    assert entries[NEVER_SEEN]["source"] is None
    assert entries[A]["source"] == "test"
    assert removals.newest_batch(lake) == 1
    assert {row["doc_id"] for row in removals.forgotten_ids(lake).collect()} == {A, B, C, NEVER_SEEN}
    assert removals.unfinished(lake) == []


@pytest.mark.slow
def test_what_is_forgotten_twice_is_entered_once(spark, lake):
    removals.remove(lake, named(spark, D, NEVER_SEEN), "forgotten")
    removed = removals.remove(lake, named(spark, NEVER_SEEN, D), "forgotten")
    assert removed.rows == {}
    assert ids_in(lake, removals.TABLE) == sorted([D, NEVER_SEEN])
    assert removals.unfinished(lake) == []


def test_a_missing_document_keeps_its_split_until_it_is_forgotten(spark, lake):
    removals.remove(lake, named(spark, B, NEVER_SEEN), "missing")
    assert problems(lake) == []
    assert B not in ids_in(lake, "pairs")
    assert B in ids_in(lake, "splits")
    assert ids_in(lake, removals.TABLE) == [B], "what the lake does not hold cannot go missing"
    assert removals.forgotten_ids(lake).isEmpty()
    # It comes back with a later number, which no removal voids.
    back = documents(spark, [doc(B, 0, "x"), doc(B, 1, "x"), doc(B, 2, "x"), doc(A, 0, "x")])
    kept = removals.void(back, removals.all_removals(lake))
    assert kept.columns == back.columns
    assert sorted((row["doc_id"], row["document_batch"]) for row in kept.collect()) == sorted([(B, 2), (A, 0)])
    removals.remove(lake, named(spark, B), "forgotten")
    assert B not in ids_in(lake, "splits")


def test_a_batch_that_was_not_entered_yet_is_entered_without_what_is_gone(spark, lake):
    """A run was killed between a batch's rows and its entry in `runs`."""
    third = [doc(hashlib.sha256(name).hexdigest(), 2, "Un altre text.") for name in (b"f", b"g")]
    fill(lake, 2, third, upto="clean", is_entered=False)
    removals.remove(lake, named(spark, third[0]["doc_id"]), "forgotten")
    came_in = removals.void(documents(spark, third), removals.all_removals(lake))
    enter(lake, "clean", 2, came_in)
    assert [each for each in problems(lake) if not each.startswith("dedup_lines: every alive row of clean")] == []


class Killed(Exception):
    pass


def test_a_removal_killed_again_and_again_ends_as_one_that_was_not(spark, lake, tmp_path, monkeypatch):
    shutil.copytree(lake.location, tmp_path / "other")
    other = Lake(spark, str(tmp_path / "other"))
    gone = named(spark, A, B, NEVER_SEEN)
    removals.remove(other, gone, "forgotten")
    append, execute, set_properties = Lake.append, DeltaMergeBuilder.execute, Lake.set_properties
    steps = []

    def step(name):
        steps.append(name)
        if len(steps) % 4 == 1 or name == "mark":
            raise Killed

    def killed_append(self, rows, table, app_id, version, *others, **options):
        append(self, rows, table, app_id, version, *others, **options)
        if app_id not in steps:
            step(app_id)

    def killed_merge(self):
        execute(self)
        step("merge")

    def killed_mark(self, table, properties):
        set_properties(self, table, properties)
        step("mark")

    monkeypatch.setattr(Lake, "append", killed_append)
    monkeypatch.setattr(DeltaMergeBuilder, "execute", killed_merge)
    monkeypatch.setattr(Lake, "set_properties", killed_mark)
    with pytest.raises(Killed):
        removals.remove(lake, gone, "forgotten")
    attempts = 1
    while removals.unfinished(lake):
        attempts += 1
        assert attempts < 40, steps
        with pytest.raises(Killed):
            removals.complete_unfinished(Lake(spark, lake.location))
        lake = Lake(spark, lake.location)
    monkeypatch.undo()
    # The removal; five tables, an entry in `runs` and a deletion each; two indexes; the splits; the mark.
    # Of a step that was not killed nothing is left to do.
    assert len(steps) == 1 + 5 * 2 + 2 + 1 + 1
    assert attempts == 5
    assert content(lake) == content(other)
    assert problems(lake) == []


def test_a_value_is_data(spark, lake):
    odd = "x' OR '1'='1"
    removals.remove(lake, named(spark, odd, A), "forgotten")
    assert ids_in(lake, "documents") == sorted([B, B, C, D, E])
    log = [json.loads(line) for path in _logs(lake, "documents") for line in path.read_text().splitlines()]
    assert odd not in json.dumps(log)


def _logs(lake, table):
    return sorted(Path(lake.location, table, "_delta_log").glob("*.json"))
