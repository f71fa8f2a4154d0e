"""Files of a lake: which are deleted, when not, and which are put together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from jobs.runtime import maintenance, removals
from jobs.runtime.dedup_index import INDEX, PARTITION_BY, DedupIndex
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import BatchBounds, Lake
from jobs.runtime.ledger import Ledger
from jobs.runtime.schema import record
from jobs.stages.dedup import DedupSettings, sketch
from tests.builders import documents
from tests.jobs.runtime.test_removals import append, columns_of, doc, enter, ids_in, life, named

SECRET = "un secret"


def name_of(number):
    return f"{number:064x}"


def take_in(lake, batch, *numbers):
    """Append documents as a run's first stage does."""
    rows = documents(lake.spark, [doc(name_of(each), batch, f"{SECRET} {each}") for each in numbers])
    append(lake, "documents", rows, batch, rows)


def clean(lake, fails_at=None):
    """Run the stage `clean` as a run does; the numbers of the documents that came in."""
    seen = []

    def write(rows, batch):
        found = removals.all_removals(lake)
        rows = rows if found is None else removals.void(rows, found)
        came_in = [int(row["doc_id"], 16) for row in rows.select("doc_id").collect()]
        seen.extend(came_in)
        if batch == fails_at:
            raise RuntimeError("killed")
        if came_in:
            added = rows.withColumn("batch_id", F.lit(batch).cast("long"))
            new = [F.lit(None).cast(field.dataType).alias(field.name) for field in columns_of("clean")[0].fields]
            app_id = life("clean", batch).app_id
            lake.append(added.select("*", *new).select(*lake.read("clean").columns), "clean", app_id, batch)
            enter(lake, "clean", batch, rows)

    query = (
        lake.stream("documents", BatchBounds())
        .writeStream.foreachBatch(write)
        .option("checkpointLocation", lake.checkpoint(life("clean", 0).app_id))
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    return sorted(seen)


@pytest.fixture(scope="module")
def made(spark, tmp_path_factory):
    """Two stages, the second one up to date."""
    made = Lake(spark, str(tmp_path_factory.mktemp("maintenance") / "lake"))
    made.create()
    Ledger(made, "run").ensure()
    for stage, upstream in (("documents", {}), ("clean", {"upstream": "documents", "upstream_generation": "0"})):
        properties = {"recipe": "demo", "fingerprint": f"print-of-{stage}", "generation": "0", "settings": "{}"}
        made.ensure(stage, record(columns_of(stage)), properties | upstream)
    take_in(made, 0, 1, 2)
    assert clean(made) == [1, 2]
    take_in(made, 1, 3)
    assert clean(made) == [3]
    return made


@pytest.fixture(autouse=True)
def _few_files_are_many(monkeypatch):
    monkeypatch.setattr(maintenance, "FILES_PER_PARTITION", 3)


@pytest.fixture
def lake(spark, made, tmp_path):
    shutil.copytree(made.location, tmp_path / "lake")
    return Lake(spark, str(tmp_path / "lake"))


def texts_in_files(lake):
    """Everything that any file of the lake holds as text."""
    found = []
    for path in Path(lake.location).rglob("*"):
        if path.suffix == ".parquet":
            found.append(str(pq.ParquetFile(path).read().to_pydict()))
        elif path.is_file():
            found.append(path.read_bytes().decode("utf-8", "replace"))
    return "\n".join(found)


def forget(lake, *numbers):
    return removals.remove(lake, named(lake.spark, *map(name_of, numbers)), "forgotten")


def test_purge_leaves_no_text_and_streams_go_on(lake):
    forget(lake, 1, 3)
    assert f"{SECRET} 1" in texts_in_files(lake), "a deletion alone leaves the files of before"
    before = lake.spark.conf.get("spark.databricks.delta.retentionDurationCheck.enabled")
    deleted = maintenance.purge(lake)
    assert lake.spark.conf.get("spark.databricks.delta.retentionDurationCheck.enabled") == before
    assert deleted["documents"] == 2
    assert deleted["clean"] == 2
    held = texts_in_files(lake)
    assert f"{SECRET} 1" not in held
    assert f"{SECRET} 3" not in held
    assert f"{SECRET} 2" in held
    assert clean(lake) == []
    take_in(lake, 2, 4)
    assert clean(lake) == [4]
    assert ids_in(lake, "clean") == [name_of(2), name_of(4)]


@pytest.mark.slow
def test_purge_rewrites_files_whose_rows_are_only_marked_as_deleted(lake):
    lake.spark.sql(f"ALTER TABLE {lake.sql_name('clean')} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    forget(lake, 1)
    maintenance.purge(lake)
    held = texts_in_files(lake)
    assert f"{SECRET} 1" not in held
    assert f"{SECRET} 2" in held
    assert ids_in(lake, "clean") == [name_of(2), name_of(3)]


def test_nothing_is_deleted_while_a_stage_has_files_to_read(lake):
    take_in(lake, 2, 4, 5)
    assert maintenance.waiting(lake) == {"clean": 2}
    forget(lake, 4)
    for delete in (maintenance.purge, maintenance.vacuum):
        with pytest.raises(BackpromptError, match=r"yet to read: clean \(1 rows\).*'backprompt run' first"):
            delete(lake)
    # Now nothing waits, and still the stream begins at a version whose file holds both.
    forget(lake, 5)
    assert maintenance.waiting(lake) == {}
    assert maintenance.behind(lake) == ["clean"]
    with pytest.raises(BackpromptError, match="yet to read: clean"):
        maintenance.purge(lake)
    assert clean(lake) == []
    maintenance.purge(lake)
    assert f"{SECRET} 4" not in texts_in_files(lake)
    take_in(lake, 3, 6)
    assert clean(lake) == [6]


def test_a_batch_that_was_killed_still_needs_its_files(lake):
    take_in(lake, 2, 4)
    with pytest.raises(Exception, match="killed"):
        clean(lake, fails_at=2)
    assert maintenance.behind(lake) == ["clean"]
    assert clean(lake) == [4]
    assert maintenance.behind(lake) == []


def test_a_stage_that_has_not_begun_needs_no_file_of_before(spark, lake):
    shutil.rmtree(Path(lake.location, "_checkpoints"))
    with pytest.raises(BackpromptError, match=r"Stage clean .* has no checkpoint in .*--checkpoints"):
        maintenance.behind(lake)
    lake.delta("runs").delete(F.col("stage") == "clean")
    assert maintenance.behind(Lake(spark, lake.location)) == []


def test_vacuum_keeps_a_week_unless_it_is_forced(lake):
    forget(lake, 1)
    assert not any(maintenance.vacuum(lake).values()), "all files are younger than a week"
    with pytest.raises(BackpromptError, match=r"0 hours: files are kept for 168 hours.*--force"):
        maintenance.vacuum(lake, 0)
    with pytest.raises(BackpromptError, match="-1 hours"):
        maintenance.vacuum(lake, -1, force=True)
    assert maintenance.vacuum(lake, 0, force=True)["clean"] == 1
    assert f"{SECRET} 1" not in texts_in_files(lake)


def files_of(lake, table):
    return lake.delta(table).detail().first()["numFiles"]


def version_of(lake, table):
    return lake.delta(table).history(1).first()["version"]


def test_small_files_are_put_together_and_no_stream_reads_them_again(lake):
    for batch in range(2, 6):
        take_in(lake, batch, 2 * batch, 2 * batch + 1)
    assert len(clean(lake)) == 8
    # `runs` has no partitions, `documents` those of its languages.
    before = {table: sorted(map(repr, lake.read(table).collect())) for table in ("documents", "runs")}
    files = {table: files_of(lake, table) for table in before}
    assert min(files.values()) > maintenance.FILES_PER_PARTITION
    assert maintenance.compact(lake) == {table: (files[table], 1) for table in before}
    for table, rows in before.items():
        assert files_of(lake, table) == 1
        assert sorted(map(repr, lake.read(table).collect())) == rows
    assert maintenance.behind(lake) == []
    assert clean(lake) == []
    versions = {table: version_of(lake, table) for table in before}
    assert maintenance.compact(lake) == {}
    assert {table: version_of(lake, table) for table in before} == versions
    take_in(lake, 6, 99)
    assert clean(lake) == [99]


def test_a_stream_goes_on_over_a_table_that_was_compacted_and_purged_before_it_read_all(lake):
    for batch in range(2, 6):
        take_in(lake, batch, batch)
    maintenance.compact(lake, ["documents"])
    assert files_of(lake, "documents") == 1
    with pytest.raises(BackpromptError, match="yet to read: clean"):
        maintenance.purge(lake)
    assert clean(lake) == list(range(2, 6))
    maintenance.purge(lake)
    assert clean(lake) == []


def test_files_are_counted_by_partition(lake, spark):
    rows = [doc(name_of(each), 2, "text", language=f"x{each:02}_Latn") for each in range(20)]
    frame = documents(spark, rows)
    append(lake, "documents", frame, 2, frame)
    assert files_of(lake, "documents") > maintenance.FILES_PER_PARTITION
    assert maintenance.compact(lake, ["documents"]) == {}


def test_an_index_keeps_its_layout(lake, spark):
    lake.ensure("dedup_index", INDEX, {}, PARTITION_BY)
    index = DedupIndex(lake, "dedup_index")
    for batch in range(5):
        rows = spark.createDataFrame([(name_of(batch), "cat_Latn", f"el text {batch}")], ["doc_id", "language", "text"])
        index.append(sketch(rows, DedupSettings(scope="language")), "app", batch)
    before = spark.conf.get("spark.sql.parquet.compression.codec")
    assert maintenance.compact(lake)["dedup_index"] == (5, 1)
    assert spark.conf.get("spark.sql.parquet.compression.codec") == before
    [file] = lake.read("dedup_index").inputFiles()
    group = pq.ParquetFile(file.removeprefix("file://")).metadata.row_group(0)
    assert {group.column(each).compression for each in range(group.num_columns)} == {"UNCOMPRESSED"}
    assert {row["doc_id"] for row in index.ids().collect()} == set(map(name_of, range(5)))


@pytest.mark.slow
def test_a_lake_of_a_catalog(spark):
    lake = Lake(spark, "spark_catalog.maintenance_test")
    try:
        lake.create()
        Ledger(lake, "run").ensure()
        lake.ensure(
            "documents", record([]), {"recipe": "demo", "fingerprint": "p", "generation": "0", "settings": "{}"}
        )
        for batch in range(5):
            take_in(lake, batch, batch)
        forget(lake, 3)
        assert maintenance.compact(lake)["documents"] == (4, 1)
        assert maintenance.purge(lake)["documents"] == 5
        assert len(ids_in(lake, "documents")) == 4
    finally:
        spark.sql("DROP SCHEMA IF EXISTS spark_catalog.maintenance_test CASCADE")
