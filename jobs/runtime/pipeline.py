"""Runs a recipe: corpora to documents, then stage after stage, each a stream from the table before it to its own."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from jobs.runtime.batches import SPLITS_TABLE, BatchProcessor, index_table, listening
from jobs.runtime.conf import read_conf
from jobs.runtime.dedup_index import INDEX, PARTITION_BY
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import BatchBounds, Lake
from jobs.runtime.ledger import BatchId, Ledger, Tally, count_rows, tallies
from jobs.runtime.recipe import FIRST, LAST, LoadedRecipe
from jobs.runtime.schema import PAIRS, SPLITS
from jobs.sources import AnySource, explain_read_error, inventory, read
from jobs.sources.sampling import sampling_position
from jobs.stages import STAGES, dedup, dedup_lines
from jobs.stages.base import Stage, StageSettings
from jobs.stages.translate import is_covered


class Reporter(Protocol):
    """Hears what a run does."""

    def note(self, text: str) -> None:
        """Say one line."""
        ...

    def stage_started(self, stage: str, expected: int | None) -> None:
        """Hear that a stage starts; ``expected`` rows wait for it, None if that is not known."""
        ...

    def batch_done(self, stage: str, rows: int) -> None:
        """Hear that a batch of so many rows is in the stage's table."""
        ...

    def stage_done(self, stage: str) -> None:
        """Hear that a stage has nothing left to do."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked for beside its recipe."""

    stages: tuple[str, ...] = ()
    """Names of the stages to run; empty: all of the recipe."""
    max_documents: int | None = None
    """At most so many new documents are taken from the corpora."""
    rebuild: str | None = None
    """Stage from which on the tables are made again."""


@dataclass(slots=True)
class Outcome:
    """What a run did."""

    run_id: str
    started_at: datetime
    new_rows: dict[str, int] = field(default_factory=dict)
    """Rows that each stage took in, in this run."""
    uncovered: dict[str, int] = field(default_factory=dict)
    """Living documents by language for which the recipe's translation engine has no way."""


def run(spark: SparkSession, recipe: LoadedRecipe, lake: Lake, options: Options, reporter: Reporter) -> Outcome:
    """Bring a lake up to date with a recipe and its corpora.

    Args:
        spark: the session.
        recipe: a checked recipe.
        lake: where the tables are.
        options: parts, bounds, rebuilds.
        reporter: hears of progress.

    Raises:
        BackpromptError: for everything that is in the user's hands.
        udfs.engines.EngineUnavailable: if an engine of the recipe cannot be used; nothing has been read then.
    """
    return _Run(spark, recipe, lake, options, reporter).go()


def parse_stages(text: str, recipe: LoadedRecipe) -> tuple[str, ...]:
    """Return the stages that ``--stages`` names: ``a..b`` (either end may be left out) or ``a,b``.

    Raises:
        BackpromptError: for a name that the recipe does not have, or an empty range.
    """
    order = recipe.order

    def known(name: str) -> str:
        if name not in order:
            raise BackpromptError(
                f"--stages {text}: recipe {recipe.name} has no stage {name!r}; it has {', '.join(order)}"
            )
        return name

    if ".." not in text:
        chosen = {known(name.strip()) for name in text.split(",")}
        return tuple(name for name in order if name in chosen)
    first, _, last = (part.strip() for part in text.partition(".."))
    start, stop = order.index(known(first or order[0])), order.index(known(last or order[-1]))
    if start > stop:
        raise BackpromptError(f"--stages {text}: {last} comes before {first}")
    return tuple(order[start : stop + 1])


class _Run:
    def __init__(
        self, spark: SparkSession, recipe: LoadedRecipe, lake: Lake, options: Options, reporter: Reporter
    ) -> None:
        self.spark, self.recipe, self.lake, self.options, self.reporter = spark, recipe, lake, options, reporter
        self.outcome = Outcome(run_id=uuid.uuid4().hex[:12], started_at=datetime.now(UTC))
        self.ledger = Ledger(lake, recipe.name, self.outcome.run_id)
        self.chosen = options.stages or recipe.order
        self.resources = recipe.resources()
        self._funnel: tuple[int, dict[str, dict[str, Tally]]] | None = None

    def go(self) -> Outcome:
        rebuilt = self._to_rebuild()
        self._check_engines()
        self.lake.create()
        self._check_tables(rebuilt)
        self.ledger.ensure()
        # All before the first is filled again, so that no stage reads on from a table that is no more.
        for name in rebuilt:
            self._prepare(name, is_rebuilt=True)
        for name in self.chosen:
            self._prepare(name)
            if name == FIRST:
                self._ingest()
                self._announce_uncovered()
            else:
                self._stream(STAGES[name], self.recipe.settings(name))
        return self.outcome

    # Before the first row ---------------------------------------------------------------------------------------

    def _check_engines(self) -> None:
        pivot = self.resources.pivot
        wanted = self.recipe.recipe.languages or tuple(self.resources.languages)
        for stage, settings in self.recipe.stages():
            if stage.name not in self.chosen:
                continue
            for name in stage.engines:
                engine = getattr(settings, name)
                if hasattr(engine, "supports"):
                    into_pivot = stage.name == "translate"
                    pairs = [(code, pivot) if into_pivot else (pivot, code) for code in wanted if code != pivot]
                    engine.check([pair for pair in pairs if engine.supports(*pair)])
                elif hasattr(engine, "check"):
                    engine.check()

    def _to_rebuild(self) -> tuple[str, ...]:
        """Return the stages whose tables are made again."""
        start, order = self.options.rebuild, self.recipe.order
        if start is None:
            return ()
        if start not in order:
            raise BackpromptError(f"--rebuild {start}: the recipe has the stages {', '.join(order)}")
        rebuilt = order[order.index(start) :]
        left_out = [name for name in rebuilt if name not in self.chosen]
        if left_out:
            raise BackpromptError(
                f"--rebuild {start} makes all tables from there on again, but --stages leaves out {', '.join(left_out)}"
            )
        return tuple(rebuilt)

    def _check_tables(self, rebuilt: tuple[str, ...]) -> None:
        """Refuse to add to tables of another recipe, of other settings, or made from a table that is no more."""
        for name in self.recipe.order:
            if name in rebuilt or not self.lake.exists(name):
                continue
            properties = self.lake.properties(name)
            if properties["recipe"] != self.recipe.name:
                raise BackpromptError(
                    f"Lake {self.lake} holds the tables of recipe {properties['recipe']}, not of {self.recipe.name}: "
                    "use another lake"
                )
            changes = self._changes(name, properties)
            if changes:
                raise BackpromptError(
                    f"Table {name} of {self.lake} was made with other settings: {'; '.join(changes)}. Add --rebuild "
                    f"{name} to process again from there on (what the tables hold now stays reachable as their earlier "
                    "versions), set the old value, or use another lake."
                )

    def _changes(self, name: str, properties: dict[str, str]) -> list[str]:
        before, now = json.loads(properties["settings"]), self.recipe.decisive(name)
        shared_sources = {key.split(".")[1] for key in before if key.startswith("sources.")}
        changes = [
            f"{key} was {_show(before.get(key))}, is now {_show(now.get(key))}"
            for key in sorted(before.keys() | now.keys())
            if before.get(key) != now.get(key) and _is_compared(key, shared_sources, now)
        ]
        if name == FIRST:
            return changes
        upstream = self.recipe.upstream(name)
        if properties["upstream"] != upstream:
            changes.append(f"it was made from {properties['upstream']}, is now made from {upstream}")
        elif not self.lake.exists(upstream):
            changes.append(f"table {upstream}, which it was made from, is gone")
        elif properties["upstream_generation"] != self.lake.properties(upstream)["generation"]:
            changes.append(f"table {upstream}, which it was made from, has been made again")
        return changes

    def _prepare(self, name: str, is_rebuilt: bool = False) -> None:
        """Make the stage's tables, or empty them for a rebuild."""
        settings = self.recipe.decisive(name)
        properties = {
            "recipe": self.recipe.name,
            "fingerprint": self.recipe.fingerprint(name),
            "settings": json.dumps(settings, sort_keys=True, ensure_ascii=False),
            "generation": "0",
        }
        if name != FIRST:
            upstream = properties["upstream"] = self.recipe.upstream(name)
            if not self.lake.exists(upstream):
                raise BackpromptError(
                    f"Stage {name} reads table {upstream}, which {self.lake} does not have yet. "
                    f"Run the stages before it first: --stages ..{upstream}"
                )
            properties["upstream_generation"] = self.lake.properties(upstream)["generation"]
        columns = PAIRS if name == LAST else self.recipe.schema(name)
        if is_rebuilt and self.lake.exists(name):
            properties["generation"] = str(int(self.lake.properties(name)["generation"]) + 1)
            self.lake.replace(name, columns, properties)
        else:
            self.lake.ensure(name, columns, properties)
        if name == FIRST:
            self._add_sources(settings)
        # State of one life of the stage's table.
        life = {"generation": self.lake.properties(name)["generation"]}
        if name in dedup.TARGETS:
            self._ensure_state(index_table(name), INDEX, life, PARTITION_BY)
        if name == dedup_lines.STAGE.name:
            self._ensure_state(index_table(name), dedup_lines.LINE_INDEX, life, partition_by=())
        if name == LAST:
            # Not emptied by a rebuild: a pair keeps its split for good, unless the seed of the splits changes.
            self._ensure_state(SPLITS_TABLE, SPLITS, {"seed": str(self.resources.seed)}, partition_by=("language",))

    def _add_sources(self, settings: dict[str, Any]) -> None:
        """Note the settings of corpora that the recipe has gained since the table was made."""
        before = json.loads(self.lake.properties(FIRST)["settings"])
        if settings.keys() - before.keys():
            joined = json.dumps(settings | before, sort_keys=True, ensure_ascii=False)
            self.lake.set_properties(FIRST, {"settings": joined})

    def _ensure_state(
        self, table: str, schema: StructType, belongs_to: dict[str, str], partition_by: tuple[str, ...]
    ) -> None:
        """Make a table of a stage's state, or empty one that belongs to something else."""
        if self.lake.exists(table) and belongs_to.items() <= self.lake.properties(table).items():
            self.lake.ensure(table, schema, belongs_to, partition_by)
        else:
            self.lake.replace(table, schema, belongs_to, partition_by)

    def _batch(self, stage: str, batch_id: int) -> BatchId:
        generation = int(self.lake.properties(stage)["generation"])
        return BatchId(self.recipe.name, stage, self.recipe.fingerprint(stage), generation, batch_id)

    # Documents --------------------------------------------------------------------------------------------------

    def _ingest(self) -> None:
        """Append the corpora's documents that the table does not hold in this revision; one commit a source."""
        self.reporter.stage_started(FIRST, None)
        self._record_unrecorded_documents()
        columns = self.recipe.schema(FIRST).fieldNames()
        seen = self.lake.properties(FIRST)
        read_whole: dict[str, str] = {}
        taken = 0
        for number, source in enumerate(self.recipe.recipe.sources):
            left = None if self.options.max_documents is None else self.options.max_documents - taken
            if left == 0:
                break
            state = self._source_state(source)
            if state is not None and seen.get(f"seen.{source.name}") == state:
                continue
            batch_id = (self.lake.read(FIRST).agg(F.max("batch_id")).first() or [None])[0]
            batch = self._batch(FIRST, 0 if batch_id is None else batch_id + 1)
            started_at = datetime.now(UTC)
            try:
                number_of_batch = F.lit(batch.batch_id).cast("long")
                rows = self._new_documents(source, left).withColumns(
                    {"document_batch": number_of_batch, "batch_id": number_of_batch}
                )
                app_id = f"{batch.app_id}/{self.outcome.run_id}"
                self.lake.append(rows.select(*columns), FIRST, app_id, number, self.recipe.recipe.rows_per_file)
            except BackpromptError:
                raise
            except Exception as error:  # Spark passes on what its readers throw in more than one wrapping
                raise explain_read_error(error, source) or error from error
            count = self._record_documents(batch, started_at)
            self.reporter.batch_done(FIRST, count)
            taken += count
            if state is not None and (left is None or count < left):
                read_whole[f"seen.{source.name}"] = state
        if read_whole:
            self.lake.set_properties(FIRST, read_whole)
        if taken == 0 and self.lake.read(FIRST).isEmpty():
            raise BackpromptError(
                f"The corpora of {self.recipe.recipe.path} hold no documents: "
                + ", ".join(source.path for source in self.recipe.recipe.sources)
            )
        self.outcome.new_rows[FIRST] = taken
        self.reporter.stage_done(FIRST)

    def _source_state(self, source: AnySource) -> str | None:
        """Return a hash of all that decides which documents a source gives; None if its files cannot be listed."""
        files = inventory(self.spark, source)
        if files is None:
            return None
        recipe = self.recipe.recipe
        decisive = [files, source.model_dump_json(), recipe.seed, recipe.languages, read_conf("languages.csv")]
        return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()

    def _new_documents(self, source: AnySource, at_most: int | None) -> DataFrame:
        recipe = self.recipe.recipe
        docs = read(self.spark, source, self.resources.languages, seed=recipe.seed, only=recipe.languages)
        # Against the newest revision, so that a document that is changed and changed back is new each time.
        known = (
            self.lake.read(FIRST)
            .where(F.col("source") == source.name)
            .groupBy("doc_id")
            .agg(F.max_by("revision", "document_batch").alias("revision"))
        )
        new = docs.join(known, ["doc_id", "revision"], how="left_anti")
        if at_most is None:
            return new
        first = new.select("doc_id").orderBy(sampling_position("doc_id", recipe.seed), "doc_id")
        return new.join(first.limit(at_most), "doc_id", how="left_semi")

    def _record_documents(self, batch: BatchId, started_at: datetime) -> int:
        written = self.lake.read(FIRST).where(F.col("batch_id") == batch.batch_id)
        came_in = count_rows(written)
        count = sum(rows for rows, _ in came_in.values())
        if count:
            self.ledger.record(written, came_in, batch, None, started_at)
        return count

    def _record_unrecorded_documents(self) -> None:
        """Enter the batches that a run was killed after writing and before entering in ``runs``."""
        generation = self._batch(FIRST, 0).generation
        recorded = self.ledger.batches(FIRST, generation)
        written = self.lake.read(FIRST).select("batch_id").distinct()
        for row in written.join(recorded, "batch_id", how="left_anti").orderBy("batch_id").collect():
            self._record_documents(self._batch(FIRST, row["batch_id"]), datetime.now(UTC))

    def _announce_uncovered(self) -> None:
        """Say before any model works which documents no engine of the recipe can translate."""
        translate = next((settings for stage, settings in self.recipe.stages() if stage.name == "translate"), None)
        if translate is None:
            return
        alive = {language: tally.alive for language, tally in self._tallies().get(FIRST, {}).items() if tally.alive}
        self.outcome.uncovered = {
            language: count
            for language, count in sorted(alive.items())
            if not is_covered(translate.engine, language, self.resources.pivot)  # type: ignore[attr-defined]
        }
        if self.outcome.uncovered:
            listed = ", ".join(f"{language} ({count})" for language, count in self.outcome.uncovered.items())
            self.reporter.note(
                f"Not covered by the translation engine, to be rejected as translate.unsupported_language: {listed}"
            )

    # Stages -----------------------------------------------------------------------------------------------------

    def _stream(self, stage: Stage, settings: StageSettings) -> None:
        """Work through what the table before the stage holds and the stage has not seen, batch by batch."""
        upstream = self.recipe.upstream(stage.name)
        self.reporter.stage_started(stage.name, self._waiting(upstream, stage.name))
        life = self._batch(stage.name, 0)
        processor = BatchProcessor(
            location=self.lake.location,
            stage=stage.name,
            settings=settings,
            resources=self.resources,
            columns=tuple((PAIRS if stage.name == LAST else self.recipe.schema(stage.name)).fieldNames()),
            life=life,
            run_id=self.outcome.run_id,
            rows_per_file=self.recipe.recipe.rows_per_file,
        )
        done = 0

        def count(rows: int) -> None:
            nonlocal done
            done += rows
            self.reporter.batch_done(stage.name, rows)

        with listening(life.app_id, count) as failures:
            query = (
                self.lake.stream(upstream, BatchBounds(settings.max_files_per_batch))
                .where(F.size("rejected_for") == 0)
                .writeStream.foreachBatch(processor)
                .option("checkpointLocation", self.lake.checkpoint(life.app_id))
                .trigger(availableNow=True)
                .start()
            )
            try:
                query.awaitTermination()
            except PySparkException as error:
                # Spark passes on no more than the text of what was raised in a batch.
                raise (failures[0] if failures else error) from error
            finally:
                query.stop()
        self.outcome.new_rows[stage.name] = done
        self.reporter.stage_done(stage.name)

    def _waiting(self, upstream: str, stage: str) -> int:
        funnel = self._tallies()
        alive = sum(tally.alive for tally in funnel.get(upstream, {}).values())
        return max(0, alive - sum(tally.rows_in for tally in funnel.get(stage, {}).values()))

    def _tallies(self) -> dict[str, dict[str, Tally]]:
        """Return the funnel as of now; read anew only if this run has written since."""
        written = sum(self.outcome.new_rows.values())
        if self._funnel is None or self._funnel[0] != written:
            self._funnel = (written, tallies(self.lake))
        return self._funnel[1]


def _is_compared(key: str, shared_sources: set[str], now: dict[str, object]) -> bool:
    """Say whether a changed setting matters: corpora may come and go, one that stays must stay what it is."""
    if not key.startswith("sources."):
        return True
    name = key.split(".")[1]
    return name in shared_sources and any(other.startswith(f"sources.{name}.") for other in now)


def _show(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if value is not None else "not set"
