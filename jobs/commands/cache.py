"""``backprompt cache``: what the translation cache holds."""

from __future__ import annotations

from pyspark.sql import functions as F
from rich import box
from rich.console import Console
from rich.table import Table

from jobs.runtime import translation_cache
from jobs.runtime.lake import Lake
from jobs.runtime.translation_cache import CACHE


def print_cache(out: Console, lake: Lake) -> None:
    """Print how many translations are kept, by engine and direction."""
    rows = []
    if lake.exists(translation_cache.TABLE):
        kept = lake.read(translation_cache.TABLE, CACHE)
        counted = kept.groupBy("engine", "source_language", "target_language").agg(
            F.count("*").alias("texts"), F.sum(F.length("translation")).alias("characters")
        )
        rows = counted.orderBy("engine", "source_language", "target_language").collect()
    if not rows:
        out.print("No translations are kept.", markup=False)
        return
    table = Table("engine", "from", "to", box=box.SIMPLE_HEAD)
    for heading in ("texts", "characters"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row[:3], *(f"{count:,}" for count in row[3:]))
    out.print(table)
