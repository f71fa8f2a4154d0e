"""Runs a recipe: corpora to documents, then stage after stage, each a stream from the table before it to its own."""

from __future__ import annotations

import json
import uuid
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, Final, Protocol

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from jobs.runtime import costs, ledger, maintenance, removals, retries, translation_cache
from jobs.runtime.batches import INDEXED, SPLITS_TABLE, BatchProcessor, drop_superseded_pairs, index_table, listening
from jobs.runtime.budget import Budget, BudgetSpent
from jobs.runtime.dedup_index import INDEX, PARTITION_BY
from jobs.runtime.dry_run import DryRun, incoming
from jobs.runtime.engine_checks import require_engines
from jobs.runtime.errors import BackpromptError
from jobs.runtime.evaluation_sets import short_items
from jobs.runtime.ingest import Ingest
from jobs.runtime.lake import BatchBounds, Lake, explain_storage_error
from jobs.runtime.lease import Lease
from jobs.runtime.ledger import BatchId, Ledger, Tally, tallies, waiting_rows
from jobs.runtime.recipe import FIRST, LAST, LoadedRecipe
from jobs.runtime.schema import PAIRS, SPLITS
from jobs.runtime.session import interpreted
from jobs.runtime.spending import MoneyBudget, known_costs
from jobs.runtime.table_checks import check_tables, rebuilt_stages
from jobs.sources.base import PairSourceSettings
from jobs.stages import STAGES, decontaminate, dedup_lines, group
from jobs.stages.base import HOLDS_PAIR, Resources, Stage, StageSettings
from jobs.stages.engines import RecipeTranslator

FEW_WAITING: Final = 2_000
FEW_HELD: Final = 100_000
"""Rows that wait for a stage, and rows it has taken in, up to which compiling its queries does not pay."""


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
    max_batches: int | None = None
    """At most so many batches of the stages after ``documents`` are worked through."""
    max_hours: float | None = None
    """No batch is begun after so many hours."""
    rebuild: str | None = None
    """Stage from which on the tables are made again."""
    budget: float | None = None
    """No batch is begun that is expected to bring the cost of the engines above this, in the recipe's currency."""


@dataclass(slots=True)
class Outcome:
    """What a run did."""

    run_id: str
    started_at: datetime
    new_rows: dict[str, int] = field(default_factory=dict)
    """Rows that each stage took in, in this run."""
    uncovered: dict[str, int] = field(default_factory=dict)
    """Living documents by language for which the recipe's translation engine has no way."""
    stopped: str = ""
    """Why the run ended before everything was done, between two batches; "" if it did not."""


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


def dry_run(spark: SparkSession, recipe: LoadedRecipe, lake: Lake, options: Options, reporter: Reporter) -> DryRun:
    """Say what a run would begin with; reads the corpora and the lake, writes nothing.

    Raises:
        BackpromptError: where a run would refuse to begin.
    """
    return _Run(spark, recipe, lake, options, reporter).dry_run()


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
        self.ledger = Ledger(lake, self.outcome.run_id)
        self.chosen = options.stages or recipe.order
        self.budget = Budget(options.max_batches, options.max_hours)
        self.money: MoneyBudget | None = None
        self.emptied: set[str] = set()
        self._funnel: dict[str, dict[str, Tally]] | None = None

    @cached_property
    def resources(self) -> Resources:
        """What stages need of the recipe: asked for after the engines are checked, as it may need their files."""
        return self.recipe.resources()

    def go(self) -> Outcome:
        rebuilt = self._to_rebuild()
        require_engines(self.recipe, self.chosen)
        if self.options.budget is not None:
            self.money = self._money(self.options.budget)
        self.lake.create()
        try:
            with Lease(self.lake, "run", self.outcome.run_id) as self.lease:
                try:
                    self._work(rebuilt)
                except BudgetSpent as spent:
                    self.outcome.stopped = str(spent)
                if any(self.outcome.new_rows.values()):
                    self.lease.check()
                    maintenance.compact(self.lake)
        except BackpromptError:
            raise
        except Exception as error:
            raise explain_storage_error(error, self.lake) or error from error
        return self.outcome

    def _money(self, amount: float) -> MoneyBudget:
        """Return the bound on what engines cost; asked before anything is written."""
        code = costs.currency(self.recipe)
        if code is None:
            raise BackpromptError(f"A budget needs prices: recipe {self.recipe.name} states no rates of its engines")
        prices = costs.prices(self.recipe)
        return MoneyBudget(amount, code, prices, known_costs(self.lake, self.recipe), self.chosen)

    def dry_run(self) -> DryRun:
        rebuilt = self._to_rebuild()
        require_engines(self.recipe, self.chosen)
        check_tables(self.recipe, self.lake, rebuilt)
        funnel = {} if not self.lake.exists(ledger.TABLE) else self._tallies()
        # What a rebuild empties waits all over again.
        waiting = waiting_rows(self.recipe.order, {name: funnel[name] for name in funnel if name not in rebuilt})
        found = DryRun(waiting={name: rows for name, rows in waiting.items() if name in self.chosen})
        if FIRST in self.chosen:
            found.incoming = incoming(self._ingestion())
        return found

    def _work(self, rebuilt: tuple[str, ...]) -> None:
        check_tables(self.recipe, self.lake, rebuilt)
        self.ledger.ensure()
        if decontaminate.STAGE.name in self.chosen and self.resources.evaluation_sets is not None:
            for text in short_items(self.resources.evaluation_sets):
                self.reporter.note(text)
        removals.complete_unfinished(self.lake)
        # All before the first is filled again, so that no stage reads on from a table that is no more.
        for name in rebuilt:
            self._prepare(name, is_rebuilt=True)
        self.emptied = {name for name in rebuilt if name != FIRST}
        for name in self.chosen:
            self._prepare(name)
            if name == FIRST:
                self._ingest()
                self._announce_uncovered()
            else:
                self.outcome.new_rows[name] = 0
                self._tallies()  # before there are batches to be added
                self._retry(STAGES[name], self.recipe.settings(name))
                self._stream(STAGES[name], self.recipe.settings(name))
        if self.chosen == self.recipe.order:
            self.lease.check()
            drop_superseded_pairs(self.lake)
            self.lease.is_whole = True

    # Before the first row ---------------------------------------------------------------------------------------

    def _to_rebuild(self) -> tuple[str, ...]:
        """Return the stages whose tables are made again."""
        start = self.options.rebuild
        rebuilt = rebuilt_stages(self.recipe, start)
        left_out = [name for name in rebuilt if name not in self.chosen]
        if left_out:
            raise BackpromptError(
                f"--rebuild {start} makes all tables from there on again, but --stages leaves out {', '.join(left_out)}"
            )
        return rebuilt

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
        if name in INDEXED:
            self._ensure_state(index_table(name), INDEX, life, PARTITION_BY)
        if name == dedup_lines.STAGE.name:
            self._ensure_state(index_table(name), dedup_lines.LINE_INDEX, life, partition_by=())
        if name != FIRST and translation_cache.is_cached(name, self.recipe.settings(name)):
            # Of no generation: a rebuild finds what was translated before it.
            translation_cache.ensure(self.lake)
        if name == group.STAGE.name:
            # Emptied by no rebuild and no other seed: a pair keeps its split for good. The first layout knew no groups.
            self._ensure_state(SPLITS_TABLE, SPLITS, {"layout": "2"}, partition_by=("language",))

    def _add_sources(self, settings: dict[str, Any]) -> None:
        """Note the settings of corpora that the recipe has gained since the table was made."""
        before = self.lake.settings(FIRST)
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
        self.reporter.stage_started(FIRST, None)
        taken = 0
        try:
            for count in replace(self._ingestion(), may_be_unentered=not self.lease.is_whole).go():
                self.reporter.batch_done(FIRST, count)
                taken += count
        finally:
            self.outcome.new_rows[FIRST] = taken
        self.reporter.stage_done(FIRST)

    def _ingestion(self) -> Ingest:
        return Ingest(
            spark=self.spark,
            recipe=self.recipe,
            lake=self.lake,
            resources=self.resources,
            ledger=self.ledger,
            life=self._batch(FIRST, 0) if self.lake.exists(FIRST) else BatchId(self.recipe.name, FIRST, "", 0, 0),
            max_documents=self.options.max_documents,
            may_begin=self._may_begin,
            note=self.reporter.note,
            starts_anew=FIRST in self._to_rebuild(),
        )

    def _announce_uncovered(self) -> None:
        """Say before any model works which documents no engine of the recipe can translate."""
        translate = next((settings for stage, settings in self.recipe.stages() if stage.name == "translate"), None)
        if translate is None or not self.recipe.has_documents:
            return
        engine = RecipeTranslator.of(translate.engine, self.resources)  # type: ignore[attr-defined]
        covered = engine.covered(self.resources.languages, self.resources.pivot, into_pivot=True)
        alive = {language: tally.alive for language, tally in self._tallies().get(FIRST, {}).items() if tally.alive}
        uncovered = {language: count for language, count in sorted(alive.items()) if language not in covered}
        if uncovered and any(isinstance(source, PairSourceSettings) for source in self.recipe.recipe.sources):
            pairs = self.lake.read(FIRST).where((F.size("rejected_for") == 0) & F.expr(HOLDS_PAIR))
            for row in pairs.groupBy("language").count().collect():
                uncovered[row["language"]] = uncovered.get(row["language"], 0) - row["count"]
        self.outcome.uncovered = {language: count for language, count in uncovered.items() if count > 0}
        if self.outcome.uncovered:
            listed = ", ".join(f"{language} ({count})" for language, count in self.outcome.uncovered.items())
            self.reporter.note(
                f"Not covered by the translation engine, to be rejected as translate.unsupported_language: {listed}"
            )

    # Stages -----------------------------------------------------------------------------------------------------

    def _stream(self, stage: Stage, settings: StageSettings) -> None:
        """Work through what the table before the stage holds and the stage has not seen, batch by batch."""
        upstream = self.recipe.upstream(stage.name)
        waiting = self._waiting(upstream, stage.name)
        self.reporter.stage_started(stage.name, waiting)
        processor = self._processor(stage, settings)

        def count(entered: dict[str, Tally]) -> None:
            self.reporter.batch_done(stage.name, self._count(stage.name, entered))

        with listening(
            processor.life.app_id,
            self._may_begin,
            count,
            not self.lease.is_whole,
            partial(self.money.check, stage.name) if self.money else None,
        ) as failures:
            stream = (
                self.lake.stream(upstream, BatchBounds(settings.max_files_per_batch))
                .where(F.size("rejected_for") == 0)
                .writeStream.foreachBatch(processor)
                .option("checkpointLocation", self.lake.checkpoint(processor.life.app_id))
                .trigger(availableNow=True)
            )
            with interpreted(self.spark) if self._is_small(stage.name, waiting) else nullcontext():
                query = stream.start()
            try:
                query.awaitTermination()
            except PySparkException as error:
                # Spark passes on no more than the text of what was raised in a batch.
                raise (failures[0] if failures else error) from error
            finally:
                query.stop()
        self.reporter.stage_done(stage.name)

    def _may_begin(self) -> None:
        """Stop between two batches, if this one is not to begin."""
        self.lease.check()
        self.budget.check()

    def _retry(self, stage: Stage, settings: StageSettings) -> None:
        """Send rows through the stage again that 'backprompt retry' took out of its table."""
        for retry in retries.unfinished(self.lake, stage.name):
            self._may_begin()
            rows = retry.rows(self.lake.read(self.recipe.upstream(stage.name)), self.lake)
            # Rows that fail again are what they were, so no share of them stops the run.
            may_spend = partial(self.money.check, stage.name) if self.money else None
            processor = self._processor(stage, settings)
            entered = processor.process(rows, retry.batch_id, failure_rate=None, may_spend=may_spend)
            self._count(stage.name, entered)
            retry.finish(self.lake)

    def _count(self, stage: str, entered: dict[str, Tally]) -> int:
        """Add a batch to what this run knows; how many rows it took in."""
        funnel = self._tallies().setdefault(stage, {})
        for language, tally in entered.items():
            sums = funnel.setdefault(language, Tally())
            sums.rows_in += tally.rows_in
            sums.alive += tally.alive
        rows = sum(tally.rows_in for tally in entered.values())
        self.budget.batches += 1
        if self.money:
            self.money.add(stage, entered)
        self.outcome.new_rows[stage] += rows
        return rows

    def _processor(self, stage: Stage, settings: StageSettings) -> BatchProcessor:
        return BatchProcessor(
            location=self.lake.location,
            stage=stage.name,
            settings=settings,
            resources=self.resources,
            columns=tuple((PAIRS if stage.name == LAST else self.recipe.schema(stage.name)).fieldNames()),
            life=self._batch(stage.name, 0),
            run_id=self.outcome.run_id,
            rows_per_file=self.recipe.recipe.rows_per_file,
            takes_documents=self.recipe.needs_engines(stage) or not stage.engines,
        )

    def _waiting(self, upstream: str, stage: str) -> int:
        return sum(waiting_rows((upstream, stage), self._tallies()).get(stage, {}).values())

    def _is_small(self, stage: str, waiting: int) -> bool:
        """Say whether a stage has little to do, and little to compare that with."""
        held = sum(tally.rows_in for tally in self._tallies().get(stage, {}).values())
        return waiting <= FEW_WAITING and held <= FEW_HELD

    def _tallies(self) -> dict[str, dict[str, Tally]]:
        """Return rows in and alive by stage and language: read once the corpora are, and counted from then on."""
        if self._funnel is None:
            found = tallies(self.lake)
            self._funnel = {name: found[name] for name in found if name not in self.emptied}
        return self._funnel
