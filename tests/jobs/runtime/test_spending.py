"""Prices of engines, what a batch costs, and where a run stops for its budget; no Spark."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from jobs.runtime import costs
from jobs.runtime.budget import BudgetSpent
from jobs.runtime.errors import BackpromptError
from jobs.runtime.ledger import Tally
from jobs.runtime.recipe import LoadedRecipe, parse_recipe
from jobs.runtime.spending import KnownCosts, MoneyBudget, parse_budget
from udfs.rates import Rates

RECIPE = """
name: priced
sources: [{{kind: jsonl, path: corpus, license: CC0-1.0, language: spa_Latn, columns: {{text: body}}}}]
stages:
  clean:
  translate: {{engine: {{kind: apertium{translate}}}}}
  instruct: {{engine: {{kind: template{instruct}}}}}
  back_translate: {{engine: {{kind: apertium}}}}
  screen:
  group:
  pairs:
"""


def recipe(translate: str = "", instruct: str = "") -> LoadedRecipe:
    return parse_recipe(RECIPE.format(translate=translate, instruct=instruct), "priced.yaml")


BY_TOKEN = ", rates: {price_per_million_prompt_tokens: 3, price_per_million_completion_tokens: 6}"


class TestRates:
    def test_they_change_no_fingerprint(self) -> None:
        assert recipe().fingerprint("pairs") == recipe(BY_TOKEN, BY_TOKEN).fingerprint("pairs")

    @pytest.mark.parametrize(
        ("rates", "said"),
        [
            (
                ", rates: {price_per_year: 3}",
                r"priced\.yaml, line \d+: .*price_per_year: unknown key\. Allowed.*price_per_hour",
            ),
            (", rates: {price_per_hour: -1}", r"price_per_hour: .*greater than or equal to 0"),
            (", rates: {currency: dollars}", r"currency: .*pattern"),
            (", rates: {engines: 0}", r"engines: .*greater than or equal to 1"),
        ],
    )
    def test_a_mistake_in_them_is_named(self, rates: str, said: str) -> None:
        with pytest.raises(BackpromptError, match=said):
            recipe(rates)

    def test_two_currencies_cannot_be_added_up(self) -> None:
        mixed = recipe(BY_TOKEN, ", rates: {price_per_hour: 2, currency: EUR}")
        with pytest.raises(BackpromptError, match=r"several currencies: EUR \(instruct\), USD \(translate\)"):
            costs.currency(mixed)
        # What costs nothing is in no currency.
        assert costs.currency(recipe(BY_TOKEN, ", rates: {currency: EUR, tokens_per_second: 5}")) == "USD"
        assert costs.currency(recipe()) is None

    def test_planned_and_spent_are_the_same_for_the_same_work(self) -> None:
        rates = Rates(
            price_per_hour=3.6,
            engines=2,
            price_per_million_prompt_tokens=10,
            price_per_million_completion_tokens=100,
            price_per_million_characters=1,
            characters_per_token=4,
        )
        done = Tally(characters_read=4_000_000, characters_written=400_000)
        spent = costs.spent((rates,), done, seconds=1_000)
        assert spent == pytest.approx(10 + 10 + 4 + 2)
        # An hour of one engine is an hour of two side by side, halved.
        assert costs.planned((rates,), "characters")(4_000_000, 400_000, 2_000 / 3_600) == pytest.approx(spent)
        assert costs.planned((rates,), "tokens")(1_000_000, 100_000, 2_000 / 3_600) == pytest.approx(spent)
        assert costs.planned((rates,), "tokens")(1_000_000, 100_000, None) is None

    def test_tokens_are_those_that_the_engine_counted(self) -> None:
        rates = Rates(price_per_million_prompt_tokens=10, price_per_million_completion_tokens=100)
        done = Tally(characters_read=9, characters_written=9, prompt_tokens=1_000_000, completion_tokens=10_000)
        assert costs.spent((rates,), done, 5.0) == pytest.approx(11)

    def test_what_the_cache_held_costs_nothing(self) -> None:
        rates = Rates(price_per_million_characters=1)
        done = Tally(characters_read=1_000_000, characters_written=0, cache_hits=3, cache_misses=1)
        assert costs.spent((rates,), done, 0.0) == pytest.approx(0.25)
        done.cache_misses = 0
        assert costs.spent((rates,), done, 0.0) == 0

    def test_a_batch_s_time_is_paid_once(self) -> None:
        rates = Rates(price_per_hour=3_600)
        entered = {
            "spa_Latn": Tally(characters=300, batch_seconds=8.0),
            "cat_Latn": Tally(characters=100, batch_seconds=8.0),
        }
        assert costs.spent_by_language((rates,), entered) == pytest.approx({"spa_Latn": 6.0, "cat_Latn": 2.0})


class TestAmount:
    @pytest.mark.parametrize(("text", "amount"), [("20", 20), ("0.5USD", 0.5), ("1.25 usd", 1.25), ("1e3", 1_000)])
    def test_it_is_a_number_with_or_without_the_currency(self, text: str, amount: float) -> None:
        assert parse_budget(text, recipe(BY_TOKEN)) == amount

    @pytest.mark.parametrize("text", ["", "0", "-3", "USD", "much", "nan", "inf", "3 4"])
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(BackpromptError, match=r"write a number above 0, such as 20 or 20USD"):
            parse_budget(text, recipe(BY_TOKEN))

    def test_another_currency_is_refused(self) -> None:
        with pytest.raises(BackpromptError, match="prices are in USD, not in EUR"):
            parse_budget("20 EUR", recipe(BY_TOKEN))

    def test_prices_are_needed(self) -> None:
        with pytest.raises(BackpromptError, match=r"recipe priced states no prices\. .*rates"):
            parse_budget("20", recipe())


def known(
    metered: float, characters: float, batches: int = 1, language: str = "spa_Latn", timed: float = 0.0
) -> KnownCosts:
    found = KnownCosts(batches=batches)
    found.add(language, metered, timed, characters)
    return found


class TestBudget:
    PRICES = costs.prices(recipe(BY_TOKEN))

    def test_a_stage_whose_cost_nobody_knows_is_not_begun(self) -> None:
        with pytest.raises(BackpromptError, match=r"what translate would cost.*backprompt plan RECIPE"):
            MoneyBudget(1.0, "USD", self.PRICES, {}, ["clean", "translate"])
        MoneyBudget(1.0, "USD", self.PRICES, {}, ["clean", "instruct"])

    def test_stages_without_prices_are_free(self) -> None:
        budget = MoneyBudget(1e-9, "USD", self.PRICES, {"translate": known(1, 1)}, ["translate", "instruct"])
        budget.check("instruct", {"spa_Latn": (10, 10_000)})

    def test_it_says_what_is_spent_and_what_is_next(self) -> None:
        budget = MoneyBudget(5.0, "USD", self.PRICES, {"translate": known(1.0, 1_000)}, ["translate"])
        budget.check("translate", {"spa_Latn": (4, 4_000)})
        done = Tally(characters=4_000, characters_read=3_000_000, characters_written=0)
        budget.add("translate", {"spa_Latn": done})
        assert budget.spent == pytest.approx(3.0)
        with pytest.raises(BudgetSpent) as stopped:
            budget.check("translate", {"spa_Latn": (1_200, 4_000)})
        text = str(stopped.value)
        for part in ("--budget 5 USD: 3 USD are spent", "translate (1,200 documents)", "3.75 USD", "a higher budget"):
            assert part in text, part

    def test_a_language_that_costs_more_is_expected_to(self) -> None:
        before = known(1.0, 1_000)
        before.add("tha_Thai", 9.0, 0.0, 1_000)
        cheap, dear, new = (before.expected({code: (1, 2_000)}) for code in ("spa_Latn", "tha_Thai", "lao_Laoo"))
        assert cheap == pytest.approx(2)
        assert dear == pytest.approx(18)
        assert new == pytest.approx(18), "one that was not seen yet is taken for the dearest"

    def test_a_small_batch_is_not_expected_to_take_less_time_than_those_before(self) -> None:
        by_the_hour = known(0.0, 8_000, batches=4, timed=8.0)
        assert by_the_hour.expected({"spa_Latn": (1, 10)}) == pytest.approx(2)
        assert by_the_hour.expected({"spa_Latn": (9, 4_000)}) == pytest.approx(4)

    def test_what_is_charged_by_the_text_has_no_least(self) -> None:
        assert known(8.0, 8_000, batches=4).expected({"spa_Latn": (1, 10)}) == pytest.approx(0.01)

    @pytest.mark.parametrize(
        ("language", "coming", "done"),
        [
            # All of it came out of the cache.
            ("spa_Latn", 50_000, Tally(characters=50_000, characters_read=50_000, cache_hits=9, cache_misses=0)),
            # It was in the target language already.
            ("eng_Latn", 50_000, Tally(characters=50_000, characters_read=0, cache_hits=0, cache_misses=0)),
            # Pairs of a source, for which nothing is asked before.
            ("spa_Latn", 0, Tally(characters=50_000, characters_read=0)),
        ],
        ids=["cached", "English", "pairs"],
    )
    def test_a_batch_without_work_tells_nothing_of_the_next(self, language: str, coming: int, done: Tally) -> None:
        prices = costs.prices(recipe(", rates: {price_per_million_characters: 20}"))
        budget = MoneyBudget(5.0, "USD", prices, {"translate": known(20.0, 1e6)}, ["translate"])
        if coming:
            budget.check("translate", {language: (9, coming)})
        budget.add("translate", {language: done})
        assert budget.spent == 0
        with pytest.raises(BudgetSpent, match="up to 250 USD"):
            budget.check("translate", {"spa_Latn": (900, 10_000_000)})
        if language == "eng_Latn":
            budget.check("translate", {"eng_Latn": (900, 10_000_000)})

    def test_the_time_of_a_batch_is_that_of_the_last_that_were(self) -> None:
        planned = known(0.0, 1_000, batches=0, timed=1.0)
        planned.start = 0.5
        ran = KnownCosts(earlier=planned)
        assert ran.expected({"spa_Latn": (1, 2_000)}) == pytest.approx(2.5)
        ran.add("cat_Latn", 0.0, 3.0, 1_000)
        ran.batches = 1
        assert ran.expected({"spa_Latn": (1, 2_000)}) == pytest.approx(2)
        assert ran.expected({"spa_Latn": (1, 20)}) == pytest.approx(3)

    def test_the_time_that_the_cache_took_tells_nothing_of_an_engines(self) -> None:
        prices = costs.prices(recipe(", rates: {price_per_hour: 3.6}"))
        budget = MoneyBudget(5.0, "USD", prices, {"translate": known(0.0, 1e6, timed=4.0)}, ["translate"])
        budget.check("translate", {"spa_Latn": (9, 1_000_000)})
        cached = Tally(characters=1_000_000, characters_read=1_000_000, cache_hits=9, cache_misses=0, batch_seconds=10)
        budget.add("translate", {"spa_Latn": cached})
        assert budget.spent == pytest.approx(0.01)
        with pytest.raises(BudgetSpent, match="up to 10 USD"):
            budget.check("translate", {"spa_Latn": (9, 2_000_000)})

    def test_characters_of_pairs_and_of_cached_texts_make_the_others_no_cheaper(self) -> None:
        prices = costs.prices(recipe(", rates: {price_per_million_characters: 20}"))
        budget = MoneyBudget(5.0, "USD", prices, {"translate": known(1e-9, 1e6)}, ["translate"])
        budget.check("translate", {"spa_Latn": (1, 10_000)})
        done = Tally(characters=90_000, characters_read=10_000, cache_hits=9, cache_misses=1)
        budget.add("translate", {"spa_Latn": done})
        assert budget.spent == pytest.approx(0.02)
        with pytest.raises(BudgetSpent, match="up to 25 USD"):
            budget.check("translate", {"spa_Latn": (90, 1_000_000)})

    @pytest.mark.parametrize("seed", range(20))
    def test_the_sum_stays_below_while_batches_vary(self, seed: int) -> None:
        """Batches of other sizes, whose cost a character varies by a tenth, until the budget stops them."""
        draw = random.Random(seed)
        rate = 6e-6  # three for what is read, twice that for an answer half as long
        budget = MoneyBudget(1.0, "USD", self.PRICES, {"translate": known(rate * 1e6, 1e6, 0)}, ["translate"])

        def work() -> None:
            for _ in range(1_000):
                characters = draw.randint(2_000, 20_000)
                budget.check("translate", {"spa_Latn": (10, characters)})
                read = round(3 * characters * draw.uniform(0.9, 1.1))
                done = Tally(characters=characters, characters_read=read, characters_written=read // 2)
                budget.add("translate", {"spa_Latn": done})

        with pytest.raises(BudgetSpent):
            work()
        assert 0.7 < budget.spent <= 1.0


def test_a_budget_without_prices_ends_before_spark_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from jobs import __main__
    from jobs.runtime import session

    def started(*_: object, **__: object) -> None:
        raise AssertionError("Spark was started")

    monkeypatch.setattr(session, "get_session", started)
    path = tmp_path / "own.yaml"
    path.write_text(RECIPE.format(translate="", instruct=""), encoding="utf-8")
    lake = str(tmp_path / "lake")
    assert __main__.main(["run", "--recipe", str(path), "--lake", lake, "--budget", "3"]) == 2
    assert "states no prices" in capsys.readouterr().err
    assert __main__.main(["plan", str(path), "--save"]) == 2
    assert "--save needs the lake" in capsys.readouterr().err
    assert __main__.main(["plan"]) == 2
    assert "Name the recipe" in capsys.readouterr().err
    assert not Path(lake).exists()
