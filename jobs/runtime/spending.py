"""The money one run may spend: what its batches cost so far, and what the next one is expected to cost."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pyspark.sql import functions as F

from jobs.runtime import costs, ledger, planning
from jobs.runtime.budget import BudgetSpent
from jobs.runtime.comparison import batches
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.ledger import Tally
from jobs.runtime.recipe import LoadedRecipe
from jobs.runtime.schema import PLANS

_AMOUNT: Final = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?(?:e\d+)?)\s*(?P<currency>[A-Za-z]{3})?\s*")
_MARGIN: Final = 1.25
"""The next batch is taken to cost so much more than those before it did."""
_START_SECONDS: Final = 60
"""What Spark is taken to need beside the engine's own work for a batch of a stage that has had none."""


@dataclass(slots=True)
class KnownCosts:
    """What batches of a stage have cost, or are planned to."""

    cost: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By language."""
    characters: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    batches: int = 0
    start: float = 0.0
    """Of a batch beside its documents, where no batch has shown it."""

    def add(self, cost: Mapping[str, float], characters: Mapping[str, float], batches: int = 1) -> None:
        """Count what so many batches cost, by language."""
        for language, amount in cost.items():
            self.cost[language] += amount
            self.characters[language] += characters[language]
        self.batches += batches

    def expected(self, coming: Mapping[str, tuple[int, int]]) -> float:
        """Return what a batch would cost, by the characters of each language; a new one costs as the dearest does."""
        each = {
            language: self.cost[language] / characters for language, characters in self.characters.items() if characters
        }
        dearest = max(each.values(), default=0.0)
        by_characters = sum(characters * each.get(language, dearest) for language, (_, characters) in coming.items())
        # A small batch takes almost the time of a large one: Spark's own work is much the same.
        typical = sum(self.characters.values()) / self.batches if self.batches else 0.0
        total = sum(characters for _, characters in coming.values())
        if typical > total:
            return max(by_characters, sum(self.cost.values()) / self.batches)
        return by_characters + self.start


class MoneyBudget:
    """Bounds what the engines of one run cost.

    What a batch will cost is concluded from this run's batches of the stage; before the first, from the lake's earlier
    ones; without those, from the lake's newest plan.

    Args:
        amount: what may be spent.
        currency: the recipe's.
        prices: of the recipe's engines.
        before: what is known of stages before the run, as ``known_costs`` finds it.
        stages: names of the stages that run.

    Raises:
        BackpromptError: if nothing tells what a priced stage of the run costs.
    """

    def __init__(
        self,
        amount: float,
        currency: str,
        prices: costs.Prices,
        before: Mapping[str, KnownCosts],
        stages: Sequence[str],
    ) -> None:
        self.amount, self.currency, self._prices, self._before = amount, currency, prices, before
        self.spent = 0.0
        self._run: dict[str, KnownCosts] = defaultdict(KnownCosts)
        unknown = [name for name in stages if name in prices and name not in before]
        if unknown:
            raise BackpromptError(
                f"--budget: nothing tells yet what {', '.join(unknown)} would cost, so no budget can be kept. Plan the "
                "run first: backprompt plan RECIPE --lake LAKE --save. Where an engine is not at hand to be tried, "
                "state 'expected' of its stage, and tokens_per_second of its rates (docs/planning.md)."
            )

    def check(self, stage: str, coming: Mapping[str, tuple[int, int]]) -> None:
        """Say whether a batch may begin.

        Args:
            stage: whose batch it is.
            coming: rows and characters by language.

        Raises:
            BudgetSpent: if it is expected to pass the budget.
        """
        if stage not in self._prices:
            return
        known = self._run[stage] if self._run[stage].batches else self._before[stage]
        expected = known.expected(coming) * _MARGIN
        if self.spent + expected > self.amount:
            rows = sum(number for number, _ in coming.values())
            raise BudgetSpent(
                f"--budget {self.amount:g} {self.currency}: {self.spent:.4g} {self.currency} are spent, and the next "
                f"batch of {stage} ({rows:,} documents) is expected to cost up to {expected:.4g} {self.currency}; "
                "a higher budget takes it further"
            )

    def add(self, stage: str, entered: Mapping[str, Tally]) -> None:
        """Count a batch that is done."""
        if stage in self._prices and entered:
            cost = costs.spent_by_language(self._prices[stage], entered)
            self._run[stage].add(cost, {language: tally.characters for language, tally in entered.items()})
            self.spent += sum(cost.values())


def parse_budget(text: str, recipe: LoadedRecipe) -> float:
    """Return the amount of ``--budget``: a number, alone or followed by the recipe's currency.

    Raises:
        BackpromptError: if it is none, in another currency, or the recipe states no prices.
    """
    code = costs.currency(recipe)
    if code is None:
        raise BackpromptError(
            f"--budget {text}: recipe {recipe.name} states no prices. Write them beside the engines, as rates: "
            "{price_per_hour: 2.5, currency: USD} (docs/planning.md)."
        )
    found = _AMOUNT.fullmatch(text)
    named = (found["currency"] or code).upper() if found else code
    if named != code:
        raise BackpromptError(f"--budget {text}: the recipe's prices are in {code}, not in {named}")
    amount = float(found["number"]) if found else 0.0
    if not amount > 0:
        raise BackpromptError(f"--budget {text}: write a number above 0, such as 20 or 20{code}")
    return amount


def known_costs(lake: Lake, prices: costs.Prices) -> dict[str, KnownCosts]:
    """Return what batches of priced stages have cost in a lake; of stages without any, what its newest plan says."""
    return _from_plan(lake, prices) | _from_runs(lake, prices)


def _from_runs(lake: Lake, prices: costs.Prices) -> dict[str, KnownCosts]:
    if not lake.exists(ledger.TABLE):
        return {}
    found: dict[str, KnownCosts] = defaultdict(KnownCosts)
    runs = lake.read(ledger.TABLE)
    for stage, entered in batches(runs.where(F.col("stage").isin(*prices))):
        misses = sum(tally.cache_misses or 0 for tally in entered.values())
        was_asked = misses > 0 or all(tally.cache_misses is None for tally in entered.values())
        if was_asked:  # what came out of the cache tells nothing of what others would cost
            cost = costs.spent_by_language(prices[stage], entered)
            found[stage].add(cost, {language: tally.characters for language, tally in entered.items()})
    return {stage: known for stage, known in found.items() if any(known.characters.values())}


def _from_plan(lake: Lake, prices: costs.Prices) -> dict[str, KnownCosts]:
    if not lake.exists(planning.TABLE):
        return {}
    plans = lake.read(planning.TABLE, PLANS)
    newest = plans.orderBy(F.desc("created_at"), "plan_id").select("plan_id").limit(1)
    priced = plans.join(newest, "plan_id", how="left_semi").where(F.col("stage").isin(*prices))
    names = ("characters", "units_in", "units_out", "engine_hours")
    sums = [F.sum(name).alias(name) for name in names]
    rows = priced.groupBy("stage", "language").agg(F.first("unit").alias("unit"), *sums).collect()
    found: dict[str, KnownCosts] = defaultdict(KnownCosts)
    for row in rows:
        stage, language = row["stage"], row["language"]
        if row["units_in"] is None:
            continue
        # By the prices of today, which may be others than the plan's.
        cost = costs.planned(prices[stage], row["unit"])(row["units_in"], row["units_out"], row["engine_hours"])
        if cost is not None:
            found[stage].add({language: cost}, {language: row["characters"]}, batches=0)
            found[stage].start = sum(rates.timed(_START_SECONDS) for rates in prices[stage])
    return dict(found)
