"""What a run would take, planned before it: documents, characters, tokens, hours and money, from a small sample.

One pass over the corpora counts documents and characters by language and source; of a corpus that is too large for
that one file a language is read, and the rest concluded from the bytes. What was read is also compared with itself by
the stages that look across documents, which needs no model. A sample, drawn by a hash of the id and by language and
source, goes through the stages that have engines; ``jobs.runtime.forecast`` puts both together.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import reduce
from typing import Final

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from jobs.runtime import costs, ledger
from jobs.runtime.corpora import Corpus, ingestion, list_corpora
from jobs.runtime.engine_checks import EngineCheck, check_engines
from jobs.runtime.errors import BackpromptError
from jobs.runtime.forecast import Counted, Forecast, Known, Plan, Range, Stated, Stratum, forecast
from jobs.runtime.ingest import Ingest
from jobs.runtime.lake import Lake
from jobs.runtime.recipe import FIRST, LoadedRecipe
from jobs.runtime.schema import PLANS
from jobs.runtime.session import interpreted
from jobs.runtime.table_checks import check_tables, rebuilt_stages
from jobs.runtime.trial import Trial, run_trial
from jobs.sources import AnySource, explain_read_error
from jobs.sources.base import COLUMNS, PairSourceSettings
from jobs.sources.read_errors import UnreadableFileError
from jobs.sources.sampling import sampling_position
from jobs.stages import dedup, dedup_lines
from jobs.stages.base import HOLDS_PAIR
from jobs.stages.clean import CleanSettings
from udfs.engines import EngineUnavailable
from udfs.sampling import SEPARATOR, shares

TABLE: Final = "plans"
SHARE: Final = 0.01
LEAST_SAMPLED: Final = 200
"""A sample is no smaller, whatever its share, unless a number is asked for: 1 % of a small corpus tells nothing."""
MOST_SAMPLED: Final = 5_000
"""Nor larger: it is held in the driver, and more tells little more."""
TRIED: Final = 200
"""Documents of the sample that go to engines, unless another number is asked for."""
_LEAST_OF_EACH: Final = 2
_LITTLE_BYTES: Final = 16 * 2**20
"""Corpora of so many bytes are read faster than queries are compiled."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How much is looked at, and for which run."""

    share: float = SHARE
    """Of the documents, that are sampled."""
    documents: int | None = None
    """So many are sampled instead."""
    trial: int | None = None
    """So many of the sample go to the engines; 0: none. None: up to TRIED."""
    reads_all: bool = False
    """Whether large corpora are read as a whole, too."""
    rebuild: str | None = None
    """Stage from which on the tables are to be made again."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and what it rests on."""

    recipe: LoadedRecipe
    plan: Plan
    currency: str | None
    checks: tuple[EngineCheck, ...]
    trial: Trial | None
    counted: tuple[str, ...]
    """Corpora of which every document was counted."""
    projected: tuple[str, ...]
    """Corpora of which one file a language was counted, and the rest concluded from the bytes."""
    sampled: int
    """Documents in the sample."""
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    """Stages with engines that no document went through, and why."""
    unpriced: tuple[str, ...] = ()
    """Stages that cost something, of which nothing tells how much: they are not in the plan's cost."""
    plan_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


def make_plan(spark: SparkSession, recipe: LoadedRecipe, lake: Lake, options: PlanOptions) -> Planned:
    """Plan a run; writes nothing.

    Args:
        spark: the session.
        recipe: a checked recipe.
        lake: the lake that the run is for: what it holds is not counted again, what waits in it is. One without
            tables holds nothing.
        options: how much is looked at, and for which run.

    Returns:
        The plan; one without stages where nothing is new and nothing waits.

    Raises:
        BackpromptError: if the corpora are missing, cannot be read or hold nothing, prices are in two currencies, or
            the lake's tables are not those of the recipe.
    """
    currency = costs.currency(recipe)
    rebuilt = rebuilt_stages(recipe, options.rebuild)
    check_tables(recipe, lake, rebuilt)
    corpora = list_corpora(spark, recipe)
    is_little = sum(each.bytes for each in corpora) <= _LITTLE_BYTES
    looked_at = _look(spark, recipe, lake, corpora, options.reads_all, starts_anew=FIRST in rebuilt)
    with interpreted(spark) if is_little else nullcontext(), ExitStack() as kept:
        documents, counts = _read(looked_at, kept)
        if not counts:
            raise BackpromptError(
                f"The corpora of {recipe.recipe.path} hold no documents: "
                + ", ".join(source.path for source in recipe.recipe.sources)
            )
        if looked_at.projected:
            counts = _limited(recipe, counts)
        strata, waiting = _strata(looked_at, counts), _waiting(recipe, lake, counts, rebuilt)
        if not strata and not waiting:
            nothing = Plan((), (), (), None, None)
            return Planned(recipe, nothing, currency, (), None, looked_at.counted, looked_at.projected, sampled=0)
        alive = {
            key: each.alive for key, each in counts.items() if each.alive and key[0] not in looked_at.holding_pairs
        }
        size = options.documents or max(LEAST_SAMPLED, math.ceil(options.share * sum(alive.values())))
        size = min(size, MOST_SAMPLED) if options.documents is None else size
        sample = _sample(documents, alive, size, recipe.recipe.seed)
        known: dict[str, Known] = {FIRST: _readable(counts), **_compared(recipe, documents)}
    languages = sorted({each.language for rows in (strata, *waiting.values()) for each in rows})
    checks = tuple(check_engines(recipe, languages=languages))
    unmeasured = _unmeasured(recipe, checks, options.trial)
    trial = _tried(spark, recipe, sample, options.trial, unmeasured)
    if trial is not None:
        known |= {name: each for name, each in trial.known().items() if each.observations}
    prices = costs.prices(recipe)
    stated = {name: _stated(recipe, name, known.get(name)) for name in recipe.order[1:]}
    known |= {name: each for name, each in stated.items() if each is not None}
    plan = forecast(
        recipe.order,
        strata,
        known,
        waiting=waiting,
        uncovered={
            each.stage: each.uncovered
            for each in checks
            if each.setting == "engine" and each.uncovered and each.stage in ("translate", "back_translate")
        },
        passed={stage.name for stage, _ in recipe.stages() if stage.of_pairs is not None},
        prices={name: costs.planned(rates, _unit(known.get(name))) for name, rates in prices.items()},
        seed=recipe.recipe.seed,
    )
    unpriced = tuple(each.stage for each in plan.stages if each.stage in prices and each.money is None)
    return Planned(
        recipe,
        plan,
        currency,
        checks,
        trial,
        looked_at.counted,
        looked_at.projected,
        len(sample),
        unmeasured,
        unpriced,
    )


def _tried(
    spark: SparkSession, recipe: LoadedRecipe, sample: pa.Table, wanted: int | None, unmeasured: dict[str, str]
) -> Trial | None:
    """Send the sample through the stages that are not unmeasured; those whose engine fails to load become so."""
    usable = [stage.name for stage, _ in recipe.stages() if stage.engines and stage.name not in unmeasured]
    if not usable or not len(sample):
        return None
    number = min(TRIED, len(sample)) if wanted is None else max(1, wanted)
    try:
        return run_trial(spark, recipe, sample, number, usable, counts_as_runs=True)
    except EngineUnavailable as error:  # what a check without loading the model could not see
        unmeasured.update({name: str(error) for name in usable if name != "clean"})
        return run_trial(spark, recipe, sample, number, ["clean"]) if usable[0] == "clean" != usable[-1] else None


def save(lake: Lake, planned: Planned) -> None:
    """Append a plan to the table ``plans``, which is made if it is not there."""
    lake.create()
    lake.ensure(TABLE, PLANS, {}, partition_by=())
    fingerprints = {stage: planned.recipe.fingerprint(stage) for stage in planned.recipe.order}
    saved = (_saved(planned, each, fingerprints[each.stage]) for each in planned.plan.rows)
    rows = [tuple(each[name] for name in PLANS.fieldNames()) for each in saved]
    frame = lake.spark.createDataFrame(rows, PLANS).coalesce(1)
    lake.append(frame, TABLE, f"{TABLE}/{planned.plan_id}", 0)


def _saved(planned: Planned, row: Forecast, fingerprint: str) -> dict[str, object]:
    values: dict[str, object] = {
        "plan_id": planned.plan_id,
        "recipe": planned.recipe.name,
        "created_at": planned.created_at,
        "stage": row.stage,
        "fingerprint": fingerprint,
        "language": row.language,
        "source": row.source,
        "unit": row.unit,
        "currency": planned.currency if row.money is not None else None,
        "basis": row.basis,
        "sampled_documents": row.observed,
    }
    ranges: dict[str, Range | None] = {
        "documents": row.documents,
        "documents_kept": row.kept,
        "characters": row.characters,
        "units_in": row.units_in,
        "units_out": row.units_out,
        "engine_hours": row.hours,
        "cost": row.money,
    }
    for name, found in ranges.items():
        values |= {
            name: None if found is None else found.value,
            f"{name}_low": None if found is None else found.low,
            f"{name}_high": None if found is None else found.high,
        }
    return values


# The corpora ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """A corpus, or a file of it that stands for others."""

    source: AnySource
    times: float
    """How many documents of the corpus a row stands for."""
    is_unchanged: bool
    """Whether the lake holds all of the corpus."""
    reader: Ingest

    def documents(self) -> DataFrame:
        """Return the rows. Output columns: those of a source, times, is_new (not in the lake yet)."""
        is_new = ~F.col("revision").eqNullSafe(F.col("known_revision")) & F.lit(not self.is_unchanged)
        added = {"times": F.lit(self.times), "is_new": is_new}
        return self.reader.compared(self.source).withColumns(added).select(*COLUMNS, *added)

    def look_for_damage(self) -> None:
        """Read all, and have the reader know which files are damaged.

        Raises:
            BackpromptError: if it cannot be read.
        """
        self.reader.despite_damage(self.source, lambda: _count(self.documents()))


@dataclass(frozen=True, slots=True)
class _LookedAt:
    parts: tuple[_Part, ...]
    counted: tuple[str, ...]
    projected: tuple[str, ...]
    holding_pairs: frozenset[str]
    """Names of the corpora that hold pairs."""


@dataclass(frozen=True, slots=True)
class _Count:
    """Of one source and language."""

    alive: int
    """Rows that were read and can go on; not multiplied."""
    mean_characters: float
    """Of these."""
    documents: float
    """Of the corpus."""
    new: float
    """Those of them that the lake lacks, those that could not be read too."""
    new_characters: float
    new_alive: float
    new_alive_characters: float


def _look(
    spark: SparkSession,
    recipe: LoadedRecipe,
    lake: Lake,
    corpora: Sequence[Corpus],
    reads_all: bool,
    starts_anew: bool,
) -> _LookedAt:
    """Return what is to be read of the corpora: small ones whole, of large ones a file of each language."""
    sources = [each.source for each in corpora]
    whole = [each.source for each in corpora if each.is_small or reads_all]
    as_a_run = ingestion(spark, recipe, lake, sources, starts_anew=starts_anew)
    # What a corpus gives to a shared limit is not known before all are counted, and from a part it is concluded.
    is_whole = whole == sources
    reader = as_a_run if is_whole else ingestion(spark, recipe, lake, sources, False, starts_anew)
    # A reader knows of damaged files by the name of the corpus, which has many parts.
    parts = [
        _Part(part, times, as_a_run.is_unchanged(corpus.source), reader if is_whole else replace(reader))
        for corpus in corpora
        for part, times in ([(corpus.source, 1.0)] if corpus.source in whole else corpus.parts())
    ]
    if not parts:
        raise BackpromptError(
            f"The corpora of {recipe.recipe.path} hold no files: "
            + ", ".join(source.path for source in recipe.recipe.sources)
        )
    return _LookedAt(
        tuple(parts),
        tuple(each.source.name for each in corpora if each.source in whole),
        tuple(each.source.name for each in corpora if each.source not in whole),
        frozenset(each.source.name for each in corpora if each.holds_pairs),
    )


def _read(looked_at: _LookedAt, kept: ExitStack) -> tuple[DataFrame, dict[tuple[str, str], _Count]]:
    """Read the corpora once, and keep what was read on the disk until the stack is closed; count it.

    All at once: only behind an error is it asked which corpus has files that are damaged.
    """

    def act() -> tuple[DataFrame, dict[tuple[str, str], _Count]]:
        documents = reduce(DataFrame.unionByName, (part.documents() for part in looked_at.parts))
        documents.persist(StorageLevel.DISK_ONLY)
        kept.callback(documents.unpersist)
        return documents, _count(documents)

    try:
        return act()
    except Exception as error:  # Spark passes on what its readers throw in more than one wrapping
        if not isinstance(error, UnreadableFileError) and explain_read_error(error) is None:
            raise
    for part in looked_at.parts:
        part.look_for_damage()
    return act()


def _count(documents: DataFrame) -> dict[tuple[str, str], _Count]:
    """Count what was read, by source and language."""
    is_alive, times = F.size("rejected_for") == 0, F.when(F.col("is_new"), F.col("times")).otherwise(0.0)
    characters = F.col("text_chars").cast("double")
    alive_times = F.when(is_alive, times).otherwise(0.0)
    rows = documents.groupBy("source", "language").agg(
        F.count_if(is_alive).alias("alive"),
        F.avg(F.when(is_alive, characters)).alias("mean_characters"),
        F.sum("times").alias("documents"),
        F.sum(times).alias("new"),
        F.sum(times * characters).alias("new_characters"),
        F.sum(alive_times).alias("new_alive"),
        F.sum(alive_times * characters).alias("new_alive_characters"),
    )
    return {
        (row["source"], row["language"]): _Count(
            row["alive"],
            row["mean_characters"] or 0.0,
            row["documents"] or 0.0,
            row["new"] or 0.0,
            row["new_characters"] or 0.0,
            row["new_alive"] or 0.0,
            row["new_alive_characters"] or 0.0,
        )
        for row in rows.collect()
    }


def _limited(recipe: LoadedRecipe, counts: Mapping[tuple[str, str], _Count]) -> dict[tuple[str, str], _Count]:
    """Apply the limits of sources and of the recipe to what was concluded from the bytes of a part."""
    sources = {source.name: source for source in recipe.recipe.sources}
    found = {key: _at_most(each, sources[key[0]].document_limit(key[1])) for key, each in counts.items()}
    for language in {language for _, language in counts}:
        limit = recipe.recipe.document_limit(language)
        own = [name for name, code in found if code == language and not isinstance(sources[name], PairSourceSettings)]
        if limit is not None:
            there = {name: math.ceil(found[name, language].documents) for name in own}
            given = shares(there, {name: sources[name].weight for name in own}, limit)
            found |= {(name, language): _at_most(found[name, language], given[name]) for name in own}
    return found


def _at_most(each: _Count, limit: int | None) -> _Count:
    """Return what a corpus brings of a language where it gives ``limit`` documents, those that the lake holds too."""
    if limit is None or each.documents <= limit:
        return each
    held = each.documents - each.new
    share = max(0.0, limit - held) / each.new if each.new else 0.0
    names = ("new", "new_characters", "new_alive", "new_alive_characters")
    return replace(each, documents=limit, **{name: getattr(each, name) * share for name in names})


def _sample(documents: DataFrame, alive: Mapping[tuple[str, str], int], size: int, seed: int) -> pa.Table:
    """Draw documents of every source and language, those that stand first in the order of the seed.

    Args:
        documents: what was read.
        alive: living documents by source and language.
        size: documents wanted; more where even one or two of each stratum are more.
        seed: of the recipe: a larger sample holds a smaller one.

    Returns:
        Columns of a source, in that order.
    """
    numbers = _allocated({SEPARATOR.join(key): number for key, number in alive.items()}, size)
    wanted = documents.sparkSession.createDataFrame(
        [(*name.split(SEPARATOR), number) for name, number in numbers.items()] or [("", "", 0)],
        "source string, language string, wanted long",
    )
    living = documents.where((F.size("rejected_for") == 0) & ~F.expr(HOLDS_PAIR))  # no engine is tried on pairs
    first = Window.partitionBy("source", "language").orderBy("position", "doc_id")
    placed = living.select("doc_id", "source", "language", sampling_position("doc_id", seed).alias("position"))
    chosen = (
        placed.withColumn("rank", F.row_number().over(first))
        .join(F.broadcast(wanted), ["source", "language"])
        .where(F.col("rank") <= F.col("wanted"))
        .select("doc_id", "position")
    )
    found: pa.Table = (
        living.join(F.broadcast(chosen), "doc_id").orderBy("position", "doc_id").select(*COLUMNS).toArrow()
    )
    return found


def _allocated(available: Mapping[str, int], size: int) -> dict[str, int]:
    """Divide a sample among strata: two of each, then by the square root of their sizes.

    Shares by size would leave small languages out, equal ones would waste the sample on them (power allocation:
    Bankier 1988, "Power Allocations: Determining Sample Sizes for Subnational Areas").
    """
    least = {name: min(_LEAST_OF_EACH, number) for name, number in available.items()}
    left = {name: number - least[name] for name, number in available.items()}
    weights = {name: math.sqrt(number) for name, number in available.items()}
    more = shares(left, weights, max(0, size - sum(least.values())))
    return {name: least[name] + more[name] for name in available}


# Stages --------------------------------------------------------------------------------------------------------------


def _readable(counts: Mapping[tuple[str, str], _Count]) -> Counted:
    return Counted(
        {
            key: (
                each.new_alive / each.new if each.new else 1.0,
                each.new_alive_characters / each.new_characters if each.new_characters else 1.0,
            )
            for key, each in counts.items()
        }
    )


def _compared(recipe: LoadedRecipe, documents: DataFrame) -> dict[str, Known]:
    """Return what the stages that compare texts of the corpora keep, over all that was read.

    The texts are those of the corpora, before ``clean``; those that it would reject for their length are left out, as
    short ones repeat each other most.
    """
    living = documents.where((F.size("rejected_for") == 0) & ~F.expr(HOLDS_PAIR))
    for _, settings in recipe.stages():
        if isinstance(settings, CleanSettings):
            living = living.where(F.col("text_chars").between(settings.min_chars, settings.max_chars))
    found: dict[str, Known] = {}
    for stage, settings in recipe.stages():
        if isinstance(settings, dedup_lines.DedupLinesSettings):
            rows = dedup_lines.deduplicate_lines(living, settings)
        elif stage.name == dedup.STAGE.name and isinstance(settings, dedup.DedupSettings):
            rows = dedup.deduplicate(living, settings)
        else:
            continue
        is_kept = F.size("rejected_for") == 0
        before = living.groupBy("source", "language").agg(
            F.count("*").alias("rows"), F.sum("text_chars").alias("characters")
        )
        after = rows.groupBy("source", "language").agg(
            F.count_if(is_kept).alias("rows_kept"),
            F.sum(F.when(is_kept, F.col("text_chars"))).alias("characters_kept"),
        )
        found[stage.name] = Counted(
            {
                (row["source"], row["language"]): (
                    row["rows_kept"] / row["rows"],
                    (row["characters_kept"] or 0) / row["characters"] if row["characters"] else 1.0,
                )
                for row in before.join(after, ["source", "language"]).collect()
            }
        )
    return found


def _unmeasured(recipe: LoadedRecipe, checks: Collection[EngineCheck], trial: int | None) -> dict[str, str]:
    """Return the stages with engines that no document can go through, and why."""
    problems = {each.stage: f"{each.name}: {each.problem}" for each in checks if each.problem}
    found: dict[str, str] = {}
    reason = ""
    for stage, _ in recipe.stages():
        if not stage.engines:
            continue
        if not reason and trial == 0 and stage.name != "clean":
            reason = "no trial was asked for"
        if stage.name in problems:
            found[stage.name] = problems[stage.name]
            reason = f"it reads what {stage.name} makes"
        elif reason:
            found[stage.name] = reason
    return found


def _stated(recipe: LoadedRecipe, stage: str, known: Known | None) -> Stated | None:
    """Return what the recipe states of a stage, where that is used: nothing was measured, or other documents decide."""
    expected = recipe.settings(stage).expected
    looks_across = isinstance(recipe.settings(stage), dedup.DedupSettings | dedup_lines.DedupLinesSettings)
    if expected is None or (known is not None and not looks_across):
        return None
    speeds = [each.tokens_per_second for each in costs.engine_rates(recipe, stage) if each.tokens_per_second]
    return Stated(
        expected.kept,
        expected.prompt_tokens,
        expected.completion_tokens,
        per_second=min(speeds) if speeds else None,
    )


def _unit(known: Known | None) -> str:
    return getattr(known, "unit", None) or Stated().unit


def _strata(looked_at: _LookedAt, counts: Mapping[tuple[str, str], _Count]) -> list[Stratum]:
    return [
        Stratum(source, language, each.new, each.new_characters, source in looked_at.holding_pairs)
        for (source, language), each in counts.items()
        if each.new
    ]


def _waiting(
    recipe: LoadedRecipe, lake: Lake, counts: Mapping[tuple[str, str], _Count], rebuilt: Collection[str]
) -> dict[str, list[Stratum]]:
    """Return what waits in the lake for each stage, shared out among sources as the corpora's documents are."""
    if not lake.exists(ledger.TABLE):
        return {}
    pairs = {source.name for source in recipe.recipe.sources if isinstance(source, PairSourceSettings)}
    alive = sum(each.alive for each in counts.values())
    everywhere = sum(each.alive * each.mean_characters for each in counts.values()) / max(1, alive)
    found: dict[str, list[Stratum]] = {}
    # What a rebuild empties waits all over again.
    funnel = {stage: rows for stage, rows in ledger.tallies(lake).items() if stage not in rebuilt}
    for stage, languages in ledger.waiting_rows(recipe.order, funnel).items():
        rows = found.setdefault(stage, [])
        for language, number in languages.items():
            own = {source: each for (source, code), each in counts.items() if code == language and each.alive}
            total = sum(each.alive for each in own.values())
            for source, each in own.items():
                part = number * each.alive / total
                rows.append(Stratum(source, language, part, part * each.mean_characters, source in pairs))
            if not own:  # of a corpus that the recipe has no longer
                rows.append(Stratum("", language, number, number * everywhere))
    return found
