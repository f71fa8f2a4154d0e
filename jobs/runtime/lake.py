"""The one place that knows Delta Lake: where a lake's tables are, how they are read and written."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from jobs.runtime.errors import BackpromptError
from jobs.runtime.schema import FORMAT_VERSION, check_schema

if TYPE_CHECKING:
    from delta.tables import DeltaTable
    from pyspark.sql.streaming.readwriter import DataStreamReader

PREFIX: Final = "backprompt."
_REDACTED: Final = "*********(redacted)"
_CATALOG_NAME: Final = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class BatchBounds:
    """How much of a table one batch of a stream reads; whole files, at least one. None: all there is."""

    max_files: int | None = None


class Lake:
    """A set of Delta tables under one path or URL, or in one ``catalog.schema``.

    Args:
        spark: the session.
        location: a folder (``lake``), a URL (``s3a://bucket/lake``) or ``catalog.schema``.
        checkpoints: folder or URL for the streams' checkpoints; needed for a ``catalog.schema`` whose files Spark
            may not write beside (a Unity Catalog schema: use a volume), else below the lake.

    Raises:
        BackpromptError: if the location cannot be used.
    """

    def __init__(self, spark: SparkSession, location: str, checkpoints: str | None = None) -> None:
        self.spark = spark
        self.location = location.rstrip("/") or location
        self.is_catalog = is_catalog_name(self.location)
        if "`" in self.location:
            raise BackpromptError(f"Lake {self.location}: a lake's path cannot hold a backtick; choose another folder")
        if not self.is_catalog and is_local(self.location):
            self.location = str(Path(self.location).absolute())
        self._checkpoints = checkpoints.rstrip("/") if checkpoints else None
        # One process at a time writes a lake, so what a table's properties are is asked for once.
        self._properties: dict[str, dict[str, str]] = {}

    def __str__(self) -> str:
        return self.location

    def create(self) -> None:
        """Make sure that tables can be written here.

        Raises:
            BackpromptError: if not; the message says why.
        """
        if self.is_catalog:
            try:
                self.spark.sql("CREATE SCHEMA IF NOT EXISTS " + _quote(*self.location.split(".")))
            except Exception as error:
                raise BackpromptError(f"Lake {self.location}: {_first_line(error)}") from error
        elif is_local(self.location):
            folder = Path(self.location)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                probe = folder / ".backprompt-write-test"
                probe.touch()
                probe.unlink()
            except OSError as error:
                raise BackpromptError(
                    f"Lake {self.location} cannot be written: {error.strerror}. Choose another folder with --lake."
                ) from error

    # Tables ----------------------------------------------------------------------------------------------------

    def exists(self, table: str) -> bool:
        """Say whether the lake has this table."""
        from delta.tables import DeltaTable

        if table in self._properties:
            return True
        if self.is_catalog:
            return bool(self.spark.catalog.tableExists(self.location + "." + table))
        return bool(DeltaTable.isDeltaTable(self.spark, self._path(table)))

    def read(self, table: str, schema: StructType | None = None, version: int | None = None) -> DataFrame:
        """Return a table; with ``schema``, checked against it; with ``version``, as it was then, whatever is written.

        Raises:
            BackpromptError: if the table is not there or its columns differ.
        """
        if not self.exists(table):
            raise BackpromptError(f"Lake {self.location} has no table {table!r}. It is made by 'backprompt run'.")
        frame = self._frame(table, version)
        if schema is not None:
            check_schema(frame.schema, schema, f"table {table} of {self.location}")
        return frame

    def version(self, table: str) -> int:
        """Return the number of the table's newest version.

        Raises:
            BackpromptError: if the table is not there.
        """
        if not self.exists(table):
            raise BackpromptError(f"Lake {self.location} has no table {table!r}. It is made by 'backprompt run'.")
        (newest,) = self.delta(table).history(1).select("version").collect()
        return int(newest["version"])

    def ensure(
        self, table: str, schema: StructType, properties: Mapping[str, str], partition_by: Sequence[str] = ("language",)
    ) -> None:
        """Make the table if it is not there; if it is, check its columns and format version."""
        if not self.exists(table):
            self._define(False, table, schema, properties, partition_by)
            return
        self.read(table, schema)
        version = int(self.properties(table).get("format_version", "0"))
        if version > FORMAT_VERSION:
            raise BackpromptError(
                f"Table {table} of {self.location} was written by a newer Backprompt (table format {version}, this "
                f"one writes {FORMAT_VERSION}). Upgrade Backprompt or use another lake."
            )

    def replace(
        self, table: str, schema: StructType, properties: Mapping[str, str], partition_by: Sequence[str] = ("language",)
    ) -> None:
        """Empty the table and give it this schema; what it held stays reachable as its earlier versions."""
        self._define(True, table, schema, properties, partition_by)

    def properties(self, table: str) -> dict[str, str]:
        """Return Backprompt's own properties of the table, without their prefix."""
        if table not in self._properties:
            rows = self.spark.sql(f"SHOW TBLPROPERTIES {self.sql_name(table)}").collect()
            found: dict[str, str] = {row["key"]: row["value"] for row in rows}
            if _REDACTED in found.values():  # Spark hides a value that speaks of a token or a secret, settings too
                # Slower, as it adds up the table's files.
                row = self.delta(table).detail().select("properties").first()
                found = row["properties"] if row else {}
            self._properties[table] = {
                key.removeprefix(PREFIX): value for key, value in found.items() if key.startswith(PREFIX)
            }
        return self._properties[table]

    def settings(self, table: str) -> dict[str, Any]:
        """Return the settings that the table was made with, by their dotted names; {} if it carries none."""
        found: dict[str, Any] = json.loads(self.properties(table).get("settings", "{}"))
        return found

    def set_properties(self, table: str, properties: Mapping[str, str]) -> None:
        """Set Backprompt's own properties of the table."""
        named = {PREFIX + key: value for key, value in properties.items()}
        self.spark.sql(f"ALTER TABLE {self.sql_name(table)} SET {_table_properties(named)}")
        self._properties.pop(table, None)

    def append(
        self,
        rows: DataFrame,
        table: str,
        app_id: str,
        version: int,
        rows_per_file: int | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Append rows once: a write with the same ``app_id`` and a version already written does nothing.

        Delta decides before it runs the plan, so a repeated batch costs no model work. ``rows_per_file`` bounds the
        files, and with them what a batch of the next stage reads. ``options`` are Parquet's.
        """
        writer = rows.write.format("delta").mode("append").options(**(options or {}))
        writer = writer.option("txnAppId", app_id).option("txnVersion", version)
        if rows_per_file is not None:
            writer = writer.option("maxRecordsPerFile", rows_per_file)
        if self.is_catalog:
            writer.saveAsTable(self.location + "." + table)
        else:
            writer.save(self._path(table))

    def delta(self, table: str) -> DeltaTable:
        """Return the handle for merges and maintenance."""
        from delta.tables import DeltaTable

        if self.is_catalog:
            return DeltaTable.forName(self.spark, self.sql_name(table))
        return DeltaTable.forPath(self.spark, self._path(table))

    def stream(self, table: str, bounds: BatchBounds) -> DataFrame:
        """Return the table's appended rows as a stream of bounded batches."""
        # Deletions and updates upstream are not new rows: they are followed by rebuilds and takedowns of their own.
        reader: DataStreamReader = self.spark.readStream.format("delta").option("skipChangeCommits", "true")
        reader = reader.option("maxFilesPerTrigger", bounds.max_files or 2**31 - 1)
        return reader.table(self.sql_name(table)) if self.is_catalog else reader.load(self._path(table))

    def checkpoint(self, *parts: str) -> str:
        """Return the folder for a stream's checkpoint.

        Raises:
            BackpromptError: if the lake is a catalog schema and no folder was given for checkpoints.
        """
        if self._checkpoints is None and self.is_catalog:
            self._checkpoints = self._schema_folder()
        return "/".join([self._checkpoints or self.location + "/_checkpoints", *parts])

    def sql_name(self, table: str) -> str:
        """Return the table's name as SQL takes it."""
        return _quote(*self.location.split("."), table) if self.is_catalog else "delta." + _quote(self._path(table))

    def where(self, table: str) -> str:
        """Return the table's place for a person: its path or its name."""
        return f"{self.location}.{table}" if self.is_catalog else self._path(table)

    # ------------------------------------------------------------------------------------------------------------

    def _path(self, table: str) -> str:
        return f"{self.location}/{table}"

    def _frame(self, table: str, version: int | None) -> DataFrame:
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.table(self.sql_name(table)) if self.is_catalog else reader.load(self._path(table))

    def _define(
        self,
        is_replaced: bool,
        table: str,
        schema: StructType,
        properties: Mapping[str, str],
        partition_by: Sequence[str],
    ) -> None:
        # Statistics on long texts cost time and skip nothing; a batch's rows are found by its number.
        keys = [name for name in ("doc_id", "pair_id", "batch_id", "source") if name in schema.fieldNames()]
        settings = {
            # One file a language and batch instead of one a language and task.
            "delta.autoOptimize.optimizeWrite": "true",
            "delta.dataSkippingStatsColumns": ",".join(keys),
            PREFIX + "format_version": str(FORMAT_VERSION),
            **{PREFIX + key: value for key, value in properties.items()},
        }
        # The one statement that makes or replaces a table in a single commit, by path or by name.
        writer = self.spark.createDataFrame([], schema).writeTo(self.sql_name(table)).using("delta")
        for key, value in settings.items():
            writer = writer.tableProperty(key, value)
        if partition_by:
            writer = writer.partitionedBy(*map(F.col, partition_by))
        self._properties.pop(table, None)
        writer.createOrReplace() if is_replaced else writer.create()

    def _schema_folder(self) -> str:
        try:
            rows = self.spark.sql("DESCRIBE SCHEMA " + _quote(*self.location.split("."))).collect()
        except AnalysisException as error:
            raise BackpromptError(f"Lake {self.location}: {_first_line(error)}") from error
        folder = next((row[1] for row in rows if row[0] == "Location"), "")
        if not folder or folder.startswith("dbfs:/Volumes") or "__unitystorage" in folder:
            raise BackpromptError(
                f"Lake {self.location} is a catalog schema without a folder of its own for checkpoints. Name one with "
                "--checkpoints, on Databricks a volume: --checkpoints /Volumes/CATALOG/SCHEMA/VOLUME/checkpoints"
            )
        return str(folder) + "/_checkpoints"


def is_catalog_name(location: str) -> bool:
    """Say whether a lake's location is ``catalog.schema`` rather than a path or URL."""
    return _CATALOG_NAME.fullmatch(location) is not None and not Path(location).exists()


def is_local(location: str) -> bool:
    """Say whether a path is on this machine's file system rather than a URL or a catalog name."""
    return "://" not in location and not is_catalog_name(location)


def explain_storage_error(error: BaseException, place: object) -> BackpromptError | None:
    """Return what an error of Spark's says about the storage of a lake, or None if it is about something else."""
    text = str(error)
    if "No space left on device" in text or "Disk quota exceeded" in text:
        return BackpromptError(
            f"No space is left on the disk of {place}, or on that of Spark's temporary files ({tempfile.gettempdir()}, "
            "unless spark.local.dir says otherwise). What was written before is whole: make room, and run the same "
            "command again."
        )
    if "Permission denied" in text or "Read-only file system" in text:
        return BackpromptError(f"{place} cannot be written: {_first_line(error)}")
    return None


def _quote(*names: str) -> str:
    return ".".join("`" + name.replace("`", "``") + "`" for name in names)


def _table_properties(properties: Mapping[str, str]) -> str:
    return "TBLPROPERTIES (" + ", ".join(f"{_literal(k)} = {_literal(v)}" for k, v in properties.items()) + ")"


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
