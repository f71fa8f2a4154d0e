import os

import pytest
from pyspark.sql.types import LongType, StringType, StructField, StructType

from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import BatchBounds, Lake, is_catalog_name, is_local

SCHEMA = StructType(
    [StructField("doc_id", StringType()), StructField("language", StringType()), StructField("batch_id", LongType())]
)


def rows(spark, *ids):
    return spark.createDataFrame([(each, "cat_Latn", 0) for each in ids], SCHEMA)


@pytest.fixture(params=["path", "catalog"])
def lake(request, spark, tmp_path):
    if request.param == "path":
        made = Lake(spark, str(tmp_path / "lake"))
        made.create()
        yield made
        return
    made = Lake(spark, "spark_catalog.lake_test")
    made.create()
    yield made
    spark.sql("DROP SCHEMA spark_catalog.lake_test CASCADE")


def test_a_lake_is_a_path_a_url_or_a_catalog_schema():
    assert is_catalog_name("main.muri")
    assert not is_catalog_name("lake/v1.0")
    assert not is_catalog_name("s3a://bucket/lake")
    assert is_local("lake/v1.0")
    assert not is_local("s3a://bucket/lake")
    assert not is_local("main.muri")


def test_append_is_once_per_version(lake, spark):
    lake.ensure("t", SCHEMA, {})
    lake.append(rows(spark, "a"), "t", "app", 0)
    lake.append(rows(spark, "a"), "t", "app", 0)
    assert lake.read("t").count() == 1
    lake.append(rows(spark, "b"), "t", "app", 1)
    lake.append(rows(spark, "c"), "t", "other", 0)
    assert {row["doc_id"] for row in lake.read("t").collect()} == {"a", "b", "c"}


def test_properties_survive_and_change(lake):
    tricky = 'it\'s a \\ "value" with ümlauts'
    lake.ensure("t", SCHEMA, {"settings": tricky})
    assert lake.properties("t")["settings"] == tricky
    changed = tricky + "!, max_tokens"  # which Spark takes for a secret
    lake.set_properties("t", {"settings": changed})
    assert lake.properties("t")["settings"] == changed


def test_replace_keeps_the_old_version(lake, spark):
    lake.ensure("t", SCHEMA, {})
    lake.append(rows(spark, "a"), "t", "app", 0)
    version = lake.delta("t").history(1).first()["version"]
    lake.replace("t", SCHEMA, {"generation": "1"})
    assert lake.read("t").count() == 0
    old = spark.sql(f"SELECT * FROM {lake.sql_name('t')} VERSION AS OF {version}")
    assert old.count() == 1


def test_stream_reads_what_was_appended(lake, spark):
    lake.ensure("t", SCHEMA, {})
    lake.append(rows(spark, "a", "b"), "t", "app", 0)
    seen = []

    def go():
        query = (
            lake.stream("t", BatchBounds(1))
            .writeStream.foreachBatch(lambda batch, _: seen.extend(row["doc_id"] for row in batch.collect()))
            .option("checkpointLocation", lake.checkpoint("test"))
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()

    go()
    assert sorted(seen) == ["a", "b"]
    lake.append(rows(spark, "c"), "t", "app", 1)
    go()
    assert sorted(seen) == ["a", "b", "c"]


def test_tables_are_partitioned_by_language(lake):
    lake.ensure("t", SCHEMA, {})
    assert lake.delta("t").detail().first()["partitionColumns"] == ["language"]


def test_missing_table_is_named(lake):
    with pytest.raises(BackpromptError, match="no table 'pairs'"):
        lake.read("pairs")


def test_other_columns_are_refused(lake):
    lake.ensure("t", SCHEMA, {})
    with pytest.raises(BackpromptError, match="column x is missing"):
        lake.ensure("t", StructType([*SCHEMA.fields, StructField("x", StringType())]), {})


def test_newer_format_is_refused(lake):
    lake.ensure("t", SCHEMA, {})
    lake.set_properties("t", {"format_version": "99"})
    with pytest.raises(BackpromptError, match="newer Backprompt"):
        lake.ensure("t", SCHEMA, {})


def test_folder_that_cannot_be_written(spark, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BackpromptError, match="cannot be written"):
        Lake(spark, str(tmp_path / "file" / "lake")).create()


def test_backtick_in_a_path_is_refused(spark):
    with pytest.raises(BackpromptError, match="backtick"):
        Lake(spark, "/tmp/a`b")


def test_path_with_odd_characters(spark, tmp_path):
    made = Lake(spark, str(tmp_path / "it's a lake é; DROP --"))
    made.create()
    made.ensure("t", SCHEMA, {"a": "b"})
    made.set_properties("t", {"a": "c"})
    made.append(rows(spark, "a"), "t", "app", 0)
    assert made.read("t").count() == 1
    assert os.path.isdir(made.where("t"))
