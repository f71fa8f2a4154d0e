"""When an engine fails on so many rows that going on is of no use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.runtime.errors import BackpromptError

LEAST_ROWS: Final = 50
"""Rows of a stage that a run must have seen before their share of failures says anything."""


@dataclass(slots=True)
class FailureRate:
    """Counts the rows of one stage, in one run, that its engine failed on."""

    rows: int = 0
    failed: int = 0

    def check(self, made: DataFrame, stage: str, at_most: float) -> None:
        """Count a batch that is about to be written.

        Args:
            made: the batch, with the columns rejected_for and detail; read once.
            stage: the stage's name, for the message.
            at_most: share of failures over all batches of the run above which the batch is not to be written.

        Raises:
            BackpromptError: if there are more, over at least LEAST_ROWS rows.
        """
        is_failed = F.exists("rejected_for", lambda reason: reason.startswith("engine."))
        counts = made.agg(
            F.count("*").alias("rows"),
            F.count_if(is_failed).alias("failed"),
            F.min(F.when(is_failed, F.col("detail"))).alias("example"),
        ).first()
        assert counts is not None
        self.rows += counts["rows"]
        self.failed += counts["failed"]
        if self.rows >= LEAST_ROWS and self.failed > at_most * self.rows:
            raise BackpromptError(
                f"Stage {stage}: its engine failed on {self.failed:,} of {self.rows:,} rows, more than "
                f"max_failure_rate {at_most:g} allows. One of them: {counts['example'] or 'no message'}. This batch "
                "was not written: mend the engine and run the same command again. Rows of earlier batches that failed "
                "come again with 'backprompt retry --reason engine.*'."
            )
