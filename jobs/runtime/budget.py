"""How much one run may do; what it stops for between two batches."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


class BudgetSpent(Exception):
    """The run has done what it was allowed to; the message says what that was."""


@dataclass(slots=True)
class Budget:
    """Bounds of one run; None: no bound."""

    max_batches: int | None = None
    """Batches of all stages after ``documents`` together."""
    max_hours: float | None = None
    """Hours after which no further batch is begun."""
    batches: int = 0
    started: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """Say whether another batch may begin.

        Raises:
            BudgetSpent: if not.
        """
        if self.max_batches is not None and self.batches >= self.max_batches:
            raise BudgetSpent(f"--max-batches {self.max_batches}: {self.batches} batches are done")
        if self.max_hours is not None and time.monotonic() - self.started >= self.max_hours * 3600:
            raise BudgetSpent(f"--max-hours {self.max_hours:g}: that time is over")
