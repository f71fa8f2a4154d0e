"""What an engine costs and how fast it is, as the recipe states it; the base of every engine's settings."""

from __future__ import annotations

from pydantic import Field

from udfs.settings import OPERATIONAL, Settings

_HOUR_SECONDS = 3_600
_MILLION = 1_000_000


class Rates(Settings):
    """Prices and speed of an engine; they plan and bound a run, and change nothing that comes out of it."""

    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    """Of all prices, as ISO 4217 writes it; one for the whole recipe."""
    price_per_hour: float = Field(0.0, ge=0)
    """Of one engine while its stage works: a GPU with its machine, say. Where a stage has several engines in one
    process, give it to one of them."""
    engines: int = Field(1, ge=1)
    """Engines that work side by side, each of which has ``price_per_hour``: tasks with a GPU, servers."""
    price_per_million_prompt_tokens: float = Field(0.0, ge=0)
    """Of what the engine reads."""
    price_per_million_completion_tokens: float = Field(0.0, ge=0)
    """Of what the engine writes."""
    price_per_million_characters: float = Field(0.0, ge=0)
    """Of what the engine reads, where that is how it is charged, as translation services do."""
    characters_per_token: float = Field(3.0, gt=0)
    """Taken where an engine counts no tokens and prices or speed are by tokens. English has about 4 characters a token;
    many languages and scripts have fewer."""
    tokens_per_second: float | None = Field(None, gt=0)
    """Of one engine, read and written together; used where no trial has measured it. null: not known."""

    @property
    def is_free(self) -> bool:
        """Say whether no price is set."""
        return not (self.price_per_hour or self.is_metered)

    @property
    def is_metered(self) -> bool:
        """Say whether there is a price by tokens or characters."""
        return bool(
            self.price_per_million_prompt_tokens
            or self.price_per_million_completion_tokens
            or self.price_per_million_characters
        )

    def tokens(self, characters: float) -> float:
        """Return how many tokens so many characters are taken to be."""
        return characters / self.characters_per_token

    def metered(self, prompt_tokens: float, completion_tokens: float, characters: float) -> float:
        """Return the price of tokens and characters, in ``currency``."""
        return (
            prompt_tokens * self.price_per_million_prompt_tokens
            + completion_tokens * self.price_per_million_completion_tokens
            + characters * self.price_per_million_characters
        ) / _MILLION

    def timed(self, seconds: float) -> float:
        """Return the price of so many seconds in which the engines of the stage work side by side."""
        return seconds / _HOUR_SECONDS * self.engines * self.price_per_hour


class EngineSettings(Settings):
    """Settings that every engine has."""

    rates: Rates | None = Field(None, json_schema_extra=OPERATIONAL)
    """What the engine costs, for ``backprompt plan`` and ``run --budget``."""
