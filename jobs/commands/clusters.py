"""``backprompt clusters``: what near-duplicate removal did to a lake, or to any table of its decisions."""

from __future__ import annotations

from pydantic import ValidationError
from pyspark.sql import DataFrame
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.runtime.console import print_block
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.schema import DEDUP
from jobs.stages import STAGES
from jobs.stages.dedup import TARGETS, DedupSettings
from jobs.stages.dedup_report import DedupReport, described, headline, summarise, tables
from udfs.settings import nested


def summarise_lake(lake: Lake, table: str = "dedup", sample: int = 2_000, seed: int = 0) -> DedupReport:
    """Return the report on one of a lake's deduplicated tables, under the settings that it was made with.

    Raises:
        BackpromptError: if the lake has no such table, or its settings cannot be read.
    """
    target = TARGETS[table]
    docs = lake.read(table)
    if target.prefix:  # the decisions of an earlier stage make way for those of this one
        docs = docs.drop(*DEDUP.fieldNames())
        docs = docs.withColumnsRenamed({target.prefix + name: name for name in DEDUP.fieldNames()})
    return summarise(docs, target.column, settings_of(lake, table), sample, seed)


def settings_of(lake: Lake, table: str = "dedup") -> DedupSettings:
    """Return the settings that a lake's table was deduplicated with; operational ones have their defaults.

    Raises:
        BackpromptError: if the lake has no such table, or it was made by another version of Backprompt.
    """
    lake.read(table)
    stage = STAGES[table]
    settings = nested(lake.settings(table))
    version, problem = settings.pop("version", None), f"this is version {stage.version} of the stage"
    if version == stage.version:
        try:
            made_with = stage.settings.model_validate(settings)
            assert isinstance(made_with, DedupSettings)
            return made_with
        except ValidationError as error:
            problem = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    raise BackpromptError(
        f"Table {table} of {lake} was made by another version of Backprompt, or not by it: {problem}. "
        f"Use the version that made it, or run with --rebuild {table}"
    )


def print_clusters(out: Console, docs: DataFrame, column: str, settings: DedupSettings, key: str = "doc_id") -> None:
    """Print what near-duplicate removal did to a table; arguments and errors as ``summarise``."""
    print_report(out, summarise(docs, column, settings, key=key))


def print_report(out: Console, report: DedupReport) -> None:
    """Print a report: its numbers as tables, then the largest clusters with the beginnings of texts."""
    for line in headline(report):
        out.print(line, markup=False, soft_wrap=True)
    for table in tables(report):
        shown = Table(title=table.title, title_justify="left", box=None, pad_edge=False)
        for number, name in enumerate(table.header):
            shown.add_column(name, justify="right" if number else "left", overflow="fold")
        for row in table.rows:
            # As texts: a source's name may hold what rich takes for markup.
            shown.add_row(*map(Text, row))
        out.print()
        out.print(shown)
        if table.note:
            out.print(table.note, markup=False, style="dim")
    if report.largest:
        out.print("\nThe largest clusters\n", markup=False, style="bold")
    for number, cluster in enumerate(report.largest, 1):
        heading, members = described(cluster)
        fields = [field for label, name, text in members for field in ((label, name), ("", " ".join(text.split())))]
        print_block(out, f"{number}. {heading}", fields, None)
        out.print()
