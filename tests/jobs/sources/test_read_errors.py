"""Spark's own words about files, of both lines, and what becomes of them."""

from __future__ import annotations

import pytest

from jobs.sources.culturax import CulturaxSettings
from jobs.sources.read_errors import explain_read_error, first_line

SOURCE = CulturaxSettings(path="/corpora/cx", license="x")

TRACE = "\n\tat org.apache.spark.sql.execution.datasources.FileScanRDD$$anon$1.hasNext(FileScanRDD.scala:141)\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "An error occurred while calling o55.collectToPython.\n: org.apache.spark.SparkException: "
            "[FAILED_READ_FILE.NO_HINT] Encountered error while reading file file:///d/a%20b/x.parquet. "
            f" SQLSTATE: KD001{TRACE}Caused by: java.lang.RuntimeException: file:/d/a b/x.parquet is not a Parquet"
            " file. Expected magic number at tail, but found [51, 51, 50, 97]",
            "/d/a b/x.parquet is damaged or cut off (not a Parquet file). Fetch it again, or move it out",
        ),
        (
            "org.apache.spark.SparkException: [CANNOT_READ_FILE_FOOTER] Could not read footer for file: "
            f"file:/d/x.parquet. Please ensure that the file is in either ORC or Parquet format.{TRACE}",
            "/d/x.parquet is damaged or cut off",
        ),
        (
            f"Job aborted due to stage failure: java.io.IOException: unexpected end of stream{TRACE}"
            "\tat org.apache.hadoop.io.compress.bzip2.CBZip2InputStream.initBlock(CBZip2InputStream.java:512)\n"
            f"Caused by: java.io.IOException: unexpected end of stream{TRACE}",
            "a file of /corpora/cx is damaged or cut off (unexpected end of stream). Fetch it again",
        ),
        (
            "[FAILED_READ_FILE.PARQUET_COLUMN_DATA_TYPE_MISMATCH] Encountered error while reading file "
            "file:///d/b.parquet. Data type mismatches when reading Parquet column [text]. "
            "Expected Spark type string, actual Parquet type INT64. SQLSTATE: KD001",
            "column text of /d/b.parquet is INT64 where other files of the corpus have string.",
        ),
        (
            "org.apache.spark.SparkException: Parquet column cannot be converted in file file:///d/b.parquet. "
            "Column: [text], Expected: string, Found: INT64.",
            "column text of /d/b.parquet is INT64 where other files of the corpus have string.",
        ),
        (
            f"java.lang.RuntimeException: native zStandard library not available: this version of libhadoop{TRACE}",
            "a file of /corpora/cx is compressed with zstd, which this Spark cannot read.",
        ),
        (
            "[FAILED_READ_FILE.FILE_NOT_EXIST] Encountered error while reading file file:///d/c.jsonl. "
            "File does not exist. It is possible the underlying files have been updated. SQLSTATE: KD001",
            "/d/c.jsonl is not there, or went away while it was read.",
        ),
        ("[PATH_NOT_FOUND] Path does not exist: file:/d/none. SQLSTATE: 42K03", "/d/none is not there"),
        (
            "[FAILED_READ_FILE.NO_HINT] Encountered error while reading file s3a://b/c.jsonl.  SQLSTATE: KD001"
            f"{TRACE}Caused by: java.nio.file.AccessDeniedException: s3a://b/c.jsonl: 403 Forbidden{TRACE}",
            "s3a://b/c.jsonl may not be read.",
        ),
        (
            "[FAILED_READ_FILE.NO_HINT] Encountered error while reading file s3a://b/c.jsonl.  SQLSTATE: KD001"
            f"{TRACE}Caused by: java.io.IOException: connection reset by peer{TRACE}",
            "s3a://b/c.jsonl could not be read (connection reset by peer).",
        ),
    ],
    ids=["cut", "footer 3.5", "bzip2 3.5", "type", "type 3.5", "zstd 3.5", "gone", "path", "forbidden", "other"],
)  # fmt: skip
def test_error_names_the_file_and_what_to_do(text, words):
    explained = str(explain_read_error(RuntimeError(text), SOURCE))

    assert explained.startswith(f"Source culturax: {words}"), explained


@pytest.mark.parametrize(
    "text",
    [
        "[DIVIDE_BY_ZERO] Division by zero.",
        "Table does not exist",
        "java.lang.OutOfMemoryError: Java heap space",
        "udf failed: unexpected end of stream in my model",
        "",
    ],
)
def test_errors_about_other_things_are_left_alone(text):
    assert explain_read_error(RuntimeError(text), SOURCE) is None


def test_source_may_be_left_out():
    assert str(
        explain_read_error(RuntimeError("Could not read footer for file: file:/d/x.parquet. Please"))
    ).startswith("/d/x.")


def test_first_line_leaves_javas_words_out():
    error = RuntimeError(
        "An error occurred while calling o91.load.\n: java.lang.RuntimeException: java.lang.ClassNotFoundException: "
        f"Class org.apache.hadoop.fs.s3a.S3AFileSystem not found{TRACE}"
    )

    assert first_line(error) == "Class org.apache.hadoop.fs.s3a.S3AFileSystem not found"
