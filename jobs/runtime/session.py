"""The one place that finds or builds a SparkSession."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jobs.runtime.errors import BackpromptError
from udfs.devices import usable_cores

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OLDEST_JAVA: Final = 17
NEWEST_JAVA: Final = 21

_DELTA: Final = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}

# Jobs of seconds to minutes whose heavy work is not Java's: the second compiler would take more than it gives back.
# Without it Java reserves 48 MB for compiled code, which Spark fills in minutes, and then compiles nothing more.
LOCAL_JAVA_OPTIONS: Final = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"
# For one machine and batches of thousands of documents. A cluster's own settings are never touched.
_LOCAL: Final = {
    "spark.driver.memory": "4g",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "200",
    # Delta's default of 50 tasks to read a log of a few entries costs 15 s over a run of the demo.
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
    "spark.log.level": "WARN",
    "spark.driver.extraJavaOptions": LOCAL_JAVA_OPTIONS,
    "spark.python.daemon.module": "jobs.runtime.python_daemon",
}
_INTERPRETED: Final = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}


def get_session(
    log_file: Path | None = None, conf: Mapping[str, str] | None = None, app_name: str = "backprompt"
) -> SparkSession:
    """Return the session that is there, or build a local one with Delta Lake.

    On Databricks, in a notebook, under ``spark-submit`` and with Spark Connect the session's settings are the
    cluster's. Elsewhere a local session is made and Delta's jar is fetched on first use.

    Args:
        log_file: where the output of a local Spark's Java process goes; None leaves it on the terminal.
        conf: Spark settings for a session made here, over the defaults.
        app_name: name shown in Spark's UI, for a session made here.

    Raises:
        BackpromptError: without a fitting Java, without Delta Lake, or if Spark does not start.
    """
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    if _session_is_provided():
        builder = SparkSession.builder.appName(app_name)
        for key, value in (conf or {}).items():
            builder = builder.config(key, value)
        if "DATABRICKS_RUNTIME_VERSION" not in os.environ and "SPARK_REMOTE" not in os.environ:
            for key, value in _DELTA.items():
                builder = builder.config(key, value)
        return _checked(builder.getOrCreate())
    check_java()
    return _checked(_local_session(app_name, log_file, conf or {}))


@contextmanager
def changed_settings(spark: SparkSession, values: Mapping[str, str]) -> Iterator[None]:
    """Change settings of the session meanwhile."""
    before: dict[str, Any] = {key: spark.conf.get(key, None) for key in values}
    try:
        for key, value in values.items():
            spark.conf.set(key, value)
        yield
    finally:
        for key, value in before.items():
            if value is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, value)


@contextmanager
def concurrent_writers(spark: SparkSession, count: int) -> Iterator[None]:
    """Let a task meanwhile write so many partitions of a table at once, instead of sorting its rows by partition."""
    with changed_settings(spark, {"spark.sql.maxConcurrentOutputFileWriters": str(count)}):
        yield


@contextmanager
def interpreted(spark: SparkSession) -> Iterator[None]:
    """Let queries meanwhile, and streams that start meanwhile, run without being compiled.

    Spark makes Java classes of each query. Over a few thousand rows that takes longer than the rows do.
    """
    # A session whose owner keeps such settings to himself, as serverless ones do, compiles as before.
    free = {key: value for key, value in _INTERPRETED.items() if spark.conf.isModifiable(key)}
    with changed_settings(spark, free):
        yield


def check_java() -> None:
    """Make sure that a Java that Spark can use is there.

    Raises:
        BackpromptError: if there is none, or not a supported version.
    """
    home = os.environ.get("JAVA_HOME")
    command = str(Path(home, "bin", "java")) if home else "java"
    found = shutil.which(command)
    need = f"Spark needs Java {OLDEST_JAVA} or {NEWEST_JAVA}"
    hint = (
        "On Debian or Ubuntu: apt-get install openjdk-17-jre-headless. Elsewhere: install a JDK 17 and set JAVA_HOME."
    )
    if found is None:
        where = f"JAVA_HOME is {home}, which has no bin/java" if home else "no java is on the PATH"
        raise BackpromptError(f"{need}, but {where}. {hint}")
    answer = subprocess.run([found, "-version"], capture_output=True, text=True, check=False)
    match = re.search(r'version "(\d+)(?:\.(\d+))?', answer.stderr + answer.stdout)
    if answer.returncode or match is None:
        raise BackpromptError(f"{need}, but '{found} -version' failed: {answer.stderr.strip()[:200]}. {hint}")
    version = int(match[2] or 0) if match[1] == "1" else int(match[1])
    if not OLDEST_JAVA <= version <= NEWEST_JAVA:
        raise BackpromptError(f"{need}, but {found} is Java {version}. {hint}")


def _session_is_provided() -> bool:
    # spark-submit's launcher sets the gateway port for the Python process that it starts.
    names = ("DATABRICKS_RUNTIME_VERSION", "PYSPARK_GATEWAY_PORT", "SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED")
    return any(name in os.environ for name in names)


def _local_session(app_name: str, log_file: Path | None, conf: Mapping[str, str]) -> SparkSession:
    from delta import configure_spark_with_delta_pip
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    # Workers must be this interpreter, not the first python3 on the PATH.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # Workers import `udfs` also where the project is run from a checkout without being installed.
    root = str(Path(__file__).resolve().parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    cores = str(usable_cores())
    settings = {"spark.master": f"local[{cores}]", "spark.sql.shuffle.partitions": cores, **_LOCAL, **_DELTA, **conf}
    builder = SparkSession.builder.appName(app_name)
    for key, value in settings.items():
        builder = builder.config(key, value)
    if "delta-spark" not in settings.get("spark.jars", ""):  # else the user put the jars in place by hand
        packages = [each for each in settings.get("spark.jars.packages", "").split(",") if each]
        builder = configure_spark_with_delta_pip(builder, extra_packages=packages)
    try:
        with _child_output_to(log_file):
            return builder.getOrCreate()
    except (PySparkException, RuntimeError, OSError) as error:
        where = f" Its output is in {log_file}." if log_file else ""
        raise BackpromptError(
            f"Spark did not start: {str(error).splitlines()[0]}{where} On the first start Delta Lake's jar is fetched "
            "from Maven Central: check the network, or put the jars in place with --conf spark.jars=FILES."
        ) from error


@contextmanager
def _child_output_to(log_file: Path | None) -> Iterator[None]:
    """Let processes started meanwhile, Spark's Java above all, write to ``log_file`` for as long as they live.

    Ivy and the JVM write to the inherited file descriptors before any logging setting is read.
    """
    if log_file is None:
        yield
        return
    log_file.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with open(log_file, "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        for descriptor, original in zip((1, 2), saved, strict=True):
            os.dup2(original, descriptor)
            os.close(original)


def _checked(spark: SparkSession) -> SparkSession:
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return spark
    if "Delta" not in (spark.conf.get("spark.sql.extensions", "") or ""):
        raise BackpromptError(
            "This Spark session has no Delta Lake. Start it with --packages io.delta:delta-spark_2.13:VERSION "
            + " ".join(f"--conf {key}={value}" for key, value in _DELTA.items())
            + " (or leave the session to Backprompt)."
        )
    return spark
