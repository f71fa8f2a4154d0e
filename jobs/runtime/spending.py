"""The money one run may spend: what its batches cost so far, and what the next one is expected to cost."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pyspark.sql import Column
from pyspark.sql import functions as F

from jobs.runtime import costs, ledger, planning
from jobs.runtime.budget import BudgetSpent
from jobs.runtime.comparison import batches
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.ledger import Tally
from jobs.runtime.recipe import LoadedRecipe
from jobs.runtime.schema import PLANS
from jobs.sources.base import PairSourceSettings
from udfs.rates import Rates

_AMOUNT: Final = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?(?:e\d+)?)\s*(?P<currency>[A-Za-z]{3})?\s*")
_MARGIN: Final = 1.25
"""The next batch is taken to cost so much more than those before it did."""
_START_SECONDS: Final = 60
"""What Spark is taken to need beside the engine's own work for a batch of a stage that has had none."""


@dataclass(slots=True)
class KnownCosts:
    """What batches of a stage have cost, or are planned to, had nothing been in the cache; the dicts by language."""

    metered: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """For tokens and characters."""
    timed: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By the hour."""
    characters: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Of the documents that this was spent on."""
    batches: int = 0
    start: float = 0.0
    """Of a batch beside its documents, where no batch has shown it."""
    earlier: KnownCosts | None = None
    """What was known before, of languages that this tells nothing of."""

    def add(self, language: str, metered: float, timed: float, characters: float) -> None:
        """Count what documents of a language cost."""
        self.metered[language] += metered
        self.timed[language] += timed
        self.characters[language] += characters

    def add_batch(
        self, rates: tuple[Rates, ...], entered: Mapping[str, Tally], characters: Mapping[str, float]
    ) -> None:
        """Count a batch that is done; languages of which all texts came out of the cache tell nothing.

        Args:
            rates: of the stage's engines.
            entered: what was done, by language.
            characters: of the documents that the engines were to work on; a language without any tells nothing, too.
        """
        seconds = costs.seconds_by_language(entered)
        telling = {
            language: tally
            for language, tally in entered.items()
            if characters.get(language) and not (tally.cache_hits and not tally.cache_misses)
        }
        for language, tally in telling.items():
            timed = costs.timed(rates, seconds[language])
            self.add(language, costs.metered(rates, tally), timed, characters[language])
        self.batches += bool(telling)

    def expected(self, coming: Mapping[str, tuple[int, int]]) -> float:
        """Return what a batch would cost.

        Args:
            coming: rows and characters of its documents by language; a new language costs as the dearest does.
        """
        metered, timed = (
            sum(characters * rates.get(language, dearest) for language, (_, characters) in coming.items())
            for rates in (self.rates("metered"), self.rates("timed"))
            for dearest in [max(rates.values(), default=0.0)]
        )
        last = self
        while not last.batches and last.earlier:
            last = last.earlier
        # A small batch takes almost the time of a large one: Spark's own work is much the same.
        typical = sum(last.characters.values()) / last.batches if last.batches else 0.0
        if typical > sum(characters for _, characters in coming.values()):
            return metered + max(timed, sum(last.timed.values()) / last.batches)
        return metered + timed + last.start

    def rates(self, part: str) -> dict[str, float]:
        """Return what a character costs by language, ``metered`` or ``timed``."""
        amounts: dict[str, float] = getattr(self, part)
        own = {language: amounts[language] / number for language, number in self.characters.items() if number}
        return (self.earlier.rates(part) if self.earlier else {}) | own


class MoneyBudget:
    """Bounds what the engines of one run cost.

    What a batch will cost is concluded, by language, from this run's batches of the stage; of languages that those tell
    nothing of, from the lake's earlier ones; without those, from its newest plan that measured the stage.

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
        self.amount, self.currency, self._prices = amount, currency, prices
        self.spent = 0.0
        self._known = {stage: KnownCosts(earlier=known) for stage, known in before.items()}
        self._begun: dict[str, Mapping[str, tuple[int, int]]] = {}
        """What was coming, by stage, when its batch began."""
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
            coming: rows and characters by language, without rows that pass the stage.

        Raises:
            BudgetSpent: if it is expected to pass the budget.
        """
        if stage not in self._prices:
            return
        expected = self._known[stage].expected(coming) * _MARGIN
        if self.spent + expected > self.amount:
            rows = sum(number for number, _ in coming.values())
            raise BudgetSpent(
                f"--budget {self.amount:g} {self.currency}: {self.spent:.4g} {self.currency} are spent, and the next "
                f"batch of {stage} ({rows:,} documents) is expected to cost up to {expected:.4g} {self.currency}; "
                "a higher budget takes it further"
            )
        self._begun[stage] = coming

    def add(self, stage: str, entered: Mapping[str, Tally]) -> None:
        """Count a batch that is done."""
        if stage in self._prices and entered:
            self.spent += sum(costs.spent_by_language(self._prices[stage], entered).values())
            # Not the tallies' characters: those of rows that pass the stage are among them.
            characters = {language: float(number) for language, (_, number) in self._begun.pop(stage, {}).items()}
            self._known[stage].add_batch(self._prices[stage], entered, characters)


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


def known_costs(lake: Lake, recipe: LoadedRecipe) -> dict[str, KnownCosts]:
    """Return what batches of priced stages have cost in a lake; of languages without any, what was planned last.

    What stages did with other settings, or after others, tells nothing: another engine costs something else.
    """
    prices = costs.prices(recipe)
    found = _from_plans(lake, recipe, prices)
    for stage, known in _from_runs(lake, recipe, prices).items():
        known.earlier = found.get(stage)
        found[stage] = known
    return found


def _is_of(recipe: LoadedRecipe, prices: costs.Prices) -> Column:
    """Say of a row of ``runs`` or ``plans`` whether it is of a priced stage as the recipe has it."""
    wanted = [f"{stage}/{recipe.fingerprint(stage)}" for stage in prices]
    return F.concat_ws("/", "stage", "fingerprint").isin(wanted)


def _from_runs(lake: Lake, recipe: LoadedRecipe, prices: costs.Prices) -> dict[str, KnownCosts]:
    if not lake.exists(ledger.TABLE):
        return {}
    found: dict[str, KnownCosts] = defaultdict(KnownCosts)
    for stage, entered in batches(lake.read(ledger.TABLE).where(_is_of(recipe, prices))):
        characters = {
            language: float(tally.characters)
            for language, tally in entered.items()
            # Of another language than the pivot, what no engine read may have been pairs alone.
            if tally.characters_read != 0 or tally.prompt_tokens or language == recipe.recipe.pivot
        }
        found[stage].add_batch(prices[stage], entered, characters)
    return {stage: known for stage, known in found.items() if any(known.metered.values()) or any(known.timed.values())}


def _from_plans(lake: Lake, recipe: LoadedRecipe, prices: costs.Prices) -> dict[str, KnownCosts]:
    if not lake.exists(planning.TABLE):
        return {}
    measured = lake.read(planning.TABLE, PLANS).where(_is_of(recipe, prices) & F.col("units_in").isNotNull())
    newest = measured.groupBy("stage").agg(F.max_by("plan_id", F.struct("created_at", "plan_id")).alias("plan_id"))
    priced = measured.join(newest, ["stage", "plan_id"], how="left_semi")
    pairs = [source.name for source in recipe.recipe.sources if isinstance(source, PairSourceSettings)]
    passed = [stage.name for stage, _ in recipe.stages() if stage.of_pairs is not None]
    priced = priced.where(~(F.col("source").isin(pairs) & F.col("stage").isin(passed)))
    names = ("characters", "units_in", "units_out", "engine_hours")
    sums = [F.sum(name).alias(name) for name in names]
    rows = priced.groupBy("stage", "language").agg(F.first("unit").alias("unit"), *sums).collect()
    found: dict[str, KnownCosts] = defaultdict(KnownCosts)
    for row in rows:
        stage, language = row["stage"], row["language"]
        # By the prices of today, which may be others than the plan's.
        price = costs.planned(prices[stage], row["unit"])
        cost = price(row["units_in"], row["units_out"], row["engine_hours"])
        if cost is not None:
            metered = price(row["units_in"], row["units_out"], 0.0)
            found[stage].add(language, metered, cost - metered, row["characters"])
            found[stage].start = costs.timed(prices[stage], _START_SECONDS)
    return dict(found)
