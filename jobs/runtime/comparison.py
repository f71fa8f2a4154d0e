"""Planned against actual: the newest plan of a lake beside what its runs have done since."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from jobs.runtime import costs, ledger, planning
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.ledger import Tally
from jobs.runtime.recipe import FIRST
from jobs.runtime.schema import PLANS


@dataclass(frozen=True, slots=True)
class Amount:
    """A planned number with its interval, and the actual one; None for what is not known."""

    planned: float | None
    low: float | None
    high: float | None
    actual: float | None

    @property
    def error(self) -> float | None:
        """Return by which share of the actual number the plan is off; None where there is none."""
        return self.planned / self.actual - 1 if self.planned is not None and self.actual else None


@dataclass(frozen=True, slots=True)
class Compared:
    """One stage in one language, or in all."""

    stage: str
    language: str | None
    """None: all languages."""
    documents: Amount
    """That came in."""
    characters: Amount
    """Of their texts."""
    tokens_in: Amount
    """Read by the engine; None for engines that count none."""
    tokens_out: Amount
    characters_in: Amount
    """Read by an engine that counts no tokens."""
    characters_out: Amount
    seconds: Amount
    """Planned: of one engine's work. Actual: of the batches, everything that Spark does included."""
    cost: Amount


@dataclass(frozen=True, slots=True)
class Comparison:
    """A plan beside what was done."""

    plan_id: str
    recipe: str
    created_at: datetime
    currency: str | None
    stages: tuple[Compared, ...]
    """By stage, in order."""
    languages: tuple[Compared, ...]
    """By stage and language."""


def compare_lake(
    lake: Lake, prices: costs.Prices | None = None, plan_id: str | None = None, recipe: str | None = None
) -> Comparison:
    """Compare a plan of a lake with the batches that its runs have begun since.

    Args:
        lake: a lake that a plan was saved in.
        prices: of the recipe's engines, as they are now; None: actual cost is not known.
        plan_id: which plan; None: the newest.
        recipe: name of the recipe that the prices are of; None: not checked.

    Raises:
        BackpromptError: if there is no plan, or not this one, or it is of another recipe.
    """
    if not lake.exists(planning.TABLE):
        raise BackpromptError(f"Lake {lake} holds no plan. 'backprompt plan RECIPE --lake {lake} --save' makes one.")
    plans = lake.read(planning.TABLE, PLANS)
    newest = plans.orderBy(F.desc("created_at"), "plan_id").select("plan_id", "created_at", "recipe").limit(1)
    if plan_id is not None:
        newest = plans.where(F.col("plan_id") == plan_id).select("plan_id", "created_at", "recipe").limit(1)
    chosen = newest.first()
    if chosen is None:
        raise BackpromptError(f"Lake {lake} holds no plan {plan_id or ''}".rstrip() + ".")
    if recipe not in (None, chosen["recipe"]):
        raise BackpromptError(
            f"Plan {chosen['plan_id']} of {lake} is of recipe {chosen['recipe']}, not of {recipe}: name that recipe"
        )
    plan = plans.where(F.col("plan_id") == chosen["plan_id"])
    runs = None
    if lake.exists(ledger.TABLE):
        runs = lake.read(ledger.TABLE).where(F.col("started_at") >= F.lit(chosen["created_at"]))
    return compare(plan, runs, prices)


def compare(plan: DataFrame, runs: DataFrame | None, prices: costs.Prices | None = None) -> Comparison:
    """Put the rows of one plan beside batches.

    Args:
        plan: columns of ``plans``, one plan_id.
        runs: columns of ``runs``; those that are missing, as in an old table, count as null. Rows that take others back
            are left out: the work was done. None: nothing was done.
        prices: of the recipe's engines; None: actual cost is not known.
    """
    names = ("documents", "characters", "units_in", "units_out", "engine_hours", "cost")
    sums = [
        F.sum(f"{name}{end}").alias(f"{name}{end}") for name in names for end in ("", "_low", "_high")
    ]  # the ends of sums are those of rows together: wider than the plan's own
    planned = plan.groupBy("stage", "language").agg(F.first("unit", ignorenulls=True).alias("unit"), *sums).collect()
    head = plan.select("plan_id", "recipe", "created_at").first()
    assert head is not None, "a plan has rows"
    currency = plan.agg(F.first("currency", ignorenulls=True)).first()
    done = _done(runs, prices) if runs is not None else {}
    by_name: dict[tuple[str, str], Row | None] = {(row["stage"], row["language"]): row for row in planned}
    order = _order([row["stage"] for row in planned], [stage for stage, _ in done])
    keys = sorted(by_name.keys() | done.keys(), key=lambda key: (order.index(key[0]), key[1]))
    return Comparison(
        head["plan_id"],
        head["recipe"],
        head["created_at"],
        currency[0] if currency else None,
        tuple(
            _compared(
                stage,
                None,
                [row for (name, _), row in by_name.items() if name == stage and row is not None],
                [each for (name, _), each in done.items() if name == stage],
            )
            for stage in order
        ),
        tuple(
            _compared(
                *key,
                [row for row in [by_name.get(key)] if row is not None],
                [done[key]] if key in done else [],
            )
            for key in keys
        ),
    )


@dataclass(slots=True)
class _Done:
    documents: int = 0
    characters: int = 0
    tokens_in: int | None = None
    tokens_out: int | None = None
    characters_in: int | None = None
    characters_out: int | None = None
    seconds: float = 0.0
    cost: float | None = None


def _done(runs: DataFrame, prices: costs.Prices | None) -> dict[tuple[str, str], _Done]:
    """Add up batches by stage and language; there are a few rows a batch, which are priced in the driver."""
    found: dict[tuple[str, str], _Done] = defaultdict(_Done)
    for stage, entered in batches(runs):
        rates = (prices or {}).get(stage, ())
        spent = costs.spent_by_language(rates, entered)
        seconds = costs.seconds_by_language(entered)
        for language, tally in entered.items():
            each = found[stage, language]
            each.documents += tally.rows_in
            each.characters += tally.characters
            each.tokens_in = _sum(each.tokens_in, tally.prompt_tokens)
            each.tokens_out = _sum(each.tokens_out, tally.completion_tokens)
            each.characters_in = _sum(each.characters_in, tally.characters_read)
            each.characters_out = _sum(each.characters_out, tally.characters_written)
            each.seconds += seconds[language]
            if prices is not None:
                each.cost = (each.cost or 0.0) + spent[language]
    return dict(found)


def batches(runs: DataFrame) -> list[tuple[str, dict[str, Tally]]]:
    """Return what was entered of each batch, by language, with its stage; those that take others back are left out.

    Input columns: those of ``runs``, of which old tables may lack some.
    """
    runs = ledger.completed(runs).where(F.col("batch_id") != ledger.WITHDRAWN)
    found: dict[tuple[Any, ...], dict[str, Tally]] = defaultdict(dict)
    columns = (
        *("rows_in", "characters", "prompt_tokens", "completion_tokens", "characters_read", "characters_written"),
        *("cache_hits", "cache_misses", "batch_seconds"),
    )
    for row in runs.select("run_id", "stage", "generation", "batch_id", "language", "started_at", *columns).collect():
        tally = Tally(**{name: row[name] for name in columns})
        found[row["started_at"], row["run_id"], row["stage"], row["generation"], row["batch_id"]][row["language"]] = (
            tally
        )
    return [(key[2], entered) for key, entered in sorted(found.items(), key=lambda item: item[0])]


def _order(planned: list[str], done: list[str]) -> list[str]:
    from jobs.stages import STAGES

    there = {*planned, *done}
    return [name for name in (FIRST, *STAGES) if name in there]


def _compared(stage: str, language: str | None, planned: list[Row], done: list[_Done]) -> Compared:
    def amount(name: str, actual: str, unit: str | None = None, times: float = 1.0) -> Amount:
        rows = [row for row in planned if unit is None or row["unit"] == unit]
        sides = [
            sum(known) * times if known else None
            for end in ("", "_low", "_high")
            for known in [[row[f"{name}{end}"] for row in rows if row[f"{name}{end}"] is not None]]
        ]
        facts = [fact for each in done if (fact := getattr(each, actual)) is not None]
        return Amount(sides[0], sides[1], sides[2], sum(facts) if facts else None)

    return Compared(
        stage,
        language,
        amount("documents", "documents"),
        amount("characters", "characters"),
        amount("units_in", "tokens_in", "tokens"),
        amount("units_out", "tokens_out", "tokens"),
        amount("units_in", "characters_in", "characters"),
        amount("units_out", "characters_out", "characters"),
        amount("engine_hours", "seconds", times=3_600),
        amount("cost", "cost"),
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one + (other or 0)
