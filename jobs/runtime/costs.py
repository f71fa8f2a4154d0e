"""What a recipe's engines cost: the prices it states, put on what is planned, and on what was done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jobs.runtime.errors import BackpromptError
from jobs.runtime.forecast import TOKENS, Price
from jobs.runtime.ledger import Tally
from jobs.runtime.recipe import LoadedRecipe
from udfs.rates import Rates

Prices = Mapping[str, tuple[Rates, ...]]
"""Rates of the engines that cost something, by stage; a stage without such engines is not in it."""
_HOUR_SECONDS: Final = 3_600


def engine_rates(recipe: LoadedRecipe, stage: str) -> tuple[Rates, ...]:
    """Return the rates of a stage's engines, as far as the recipe states them."""
    found = next(each for each, _ in recipe.stages() if each.name == stage)
    engines = [getattr(recipe.settings(stage), name) for name in found.engines]
    return tuple(rates for engine in engines if (rates := getattr(engine, "rates", None)) is not None)


def prices(recipe: LoadedRecipe) -> Prices:
    """Return the rates of engines that cost something, by stage."""
    stated = {stage.name: engine_rates(recipe, stage.name) for stage, _ in recipe.stages()}
    priced = {stage: tuple(each for each in rates if not each.is_free) for stage, rates in stated.items()}
    return {stage: rates for stage, rates in priced.items() if rates}


def currency(recipe: LoadedRecipe) -> str | None:
    """Return the currency of the recipe's prices; None if it has none.

    Raises:
        BackpromptError: if there are several, which nothing can be added up of.
    """
    found = {rate.currency: stage for stage, rates in prices(recipe).items() for rate in rates}
    if len(found) > 1:
        listed = ", ".join(f"{code} ({stage})" for code, stage in sorted(found.items()))
        raise BackpromptError(f"{recipe.recipe.path}: the rates of engines are in several currencies: {listed}")
    return next(iter(found), None)


def planned(rates: tuple[Rates, ...], unit: str) -> Price:
    """Return what a stage's engines cost for units read, units written and hours of one engine; works on arrays.

    None where a price is by the hour and the hours are not known.
    """

    def price(units_in: Any, units_out: Any, hours: Any) -> Any:
        total: Any = 0.0
        for each in rates:
            is_counted = unit == TOKENS
            prompt, completion = (units if is_counted else each.tokens(units) for units in (units_in, units_out))
            characters = units_in * each.characters_per_token if is_counted else units_in
            total = total + each.metered(prompt, completion, characters)
            if each.price_per_hour:
                if hours is None:
                    return None
                total = total + hours * each.price_per_hour
        return total

    return price


def metered(rates: tuple[Rates, ...], tally: Tally, asked: float = 1.0) -> float:
    """Return what a stage's engines charge for the texts of one language.

    Args:
        rates: of the stage's engines.
        tally: what was done.
        asked: share of the texts that went to an engine; the others were found in the cache.
    """
    characters, written = ((each or 0) * asked for each in (tally.characters_read, tally.characters_written))
    total = 0.0
    for each in rates:
        prompt = each.tokens(characters) if tally.prompt_tokens is None else tally.prompt_tokens
        completion = each.tokens(written) if tally.completion_tokens is None else tally.completion_tokens
        total += each.metered(prompt, completion, characters)
    return total


def timed(rates: tuple[Rates, ...], seconds: float) -> float:
    """Return what a stage's engines cost for so many seconds in which they work."""
    return sum(each.timed(seconds) for each in rates)


def spent(rates: tuple[Rates, ...], tally: Tally, seconds: float) -> float:
    """Return what a stage's engines cost for what was done in one language.

    Translations that were found in the cache cost nothing: the share of texts that were not found is taken.

    Args:
        rates: of the stage's engines.
        tally: what was done.
        seconds: the language's part of the time that the batch took.
    """
    asked = 1.0
    if tally.cache_misses is not None and (looked_up := tally.cache_misses + (tally.cache_hits or 0)):
        asked = tally.cache_misses / looked_up
    return metered(rates, tally, asked) + timed(rates, seconds)


def spent_by_language(rates: tuple[Rates, ...], entered: Mapping[str, Tally]) -> dict[str, float]:
    """Return what one batch of a stage cost, by language."""
    seconds = seconds_by_language(entered)
    return {language: spent(rates, tally, seconds[language]) for language, tally in entered.items()}


def seconds_by_language(entered: Mapping[str, Tally]) -> dict[str, float]:
    """Return the time that one batch took, shared out among its languages by the characters that came in."""
    characters = sum(each.characters for each in entered.values())
    return {
        language: tally.batch_seconds * (tally.characters / characters if characters else 1 / len(entered))
        for language, tally in entered.items()
    }
