"""``backprompt review`` and ``review-results``: native speakers mark pairs, and what their marks say."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from rich import box
from rich.console import Console
from rich.table import Table

from jobs.review.guideline import Kind, load_texts
from jobs.review.results import AVERAGE, Summary, summary
from jobs.review.sample import Sides, choose, choose_comparisons
from jobs.review.store import Reviewing, Store, reviewed
from jobs.runtime.conf import language_table
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.recipe import LAST
from jobs.runtime.schema import GIVEN, REVIEWS, REVIEWS_TABLE

if TYPE_CHECKING:
    from jobs.review.page import Site


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """What is to be reviewed, and where the page is served."""

    kind: Kind = "muri"
    languages: tuple[str, ...] = ()
    """GlotLID codes; () for all that the pairs have."""
    rows: int = 30
    seed: int = 0
    sources: tuple[str, ...] = ()
    """Only pairs of these sources of the recipe; () for all whose instructions were written for their texts."""
    other_sources: tuple[str, ...] = ()
    """compare: the other pairs are of these sources; () for ``sources``."""
    texts: Path | None = None
    """Folder with translations of conf/review."""
    host: str = "127.0.0.1"
    port: int = 8080

    def __post_init__(self) -> None:
        """Refuse languages that there are not."""
        table = language_table()
        for code in self.languages:
            if code not in table:
                closest = ", ".join(table.closest(code))
                hint = f"; closest: {closest}" if closest else ""
                raise BackpromptError(f"--language: {code!r} is not a language of conf/languages.csv{hint}")


def serve(out: Console, lake: Lake, other: Lake | None, request: ReviewRequest, listener: socket.socket) -> None:
    """Serve the review page until it is stopped.

    Args:
        out: where the page's address is said.
        lake: what is reviewed.
        other: what it is compared with, if that is another lake.
        request: the wishes.
        listener: the socket that listens at the request's address.

    Raises:
        BackpromptError: if there is nothing to review.
    """
    from jobs.review import server

    site = prepare(out, lake, other, request)

    def say() -> None:
        out.print(f"\n{server.address(request.host, listener)}", markup=False, soft_wrap=True)
        if not server.is_loopback(request.host):
            out.print("Whoever reaches this address can read the pairs and mark them under any name.", markup=False)
        out.print(f"Marks go to {lake.where(REVIEWS_TABLE)}. Ctrl-C stops the page.", markup=False, soft_wrap=True)

    server.serve(site, request.host, listener, say)


def prepare(out: Console, lake: Lake, other: Lake | None, request: ReviewRequest) -> Site:
    """Read what reviewers will see, and what they have said of it so far."""
    from jobs.review.page import Site

    if request.kind != "compare" and (other is not None or request.other_sources):
        raise BackpromptError("--other and --other-source are for --kind compare")
    if request.kind == "compare" and other is None and not request.other_sources:
        raise BackpromptError("--kind compare needs --other LAKE, or --other-source NAME, or both")
    texts = load_texts(request.kind, request.texts)
    compared_with = None
    if request.kind == "compare":
        compared_with = " ".join(filter(None, [str(other) if other else None, ",".join(request.other_sources)]))
        if request.sources:
            compared_with += f" (own pairs: {','.join(request.sources)})"
    reviewing = Reviewing(request.kind, request.seed, texts.guideline_hash, compared_with)
    kept = reviewed(lake, reviewing)
    pairs = _pairs(lake, request.sources)
    if compared_with is None:
        sample = choose(pairs, request.seed, request.rows, request.languages, kept)
    else:
        sides = Sides(pairs, _pairs(other or lake, request.other_sources or request.sources), compared_with)
        sample = choose_comparisons(sides, request.seed, request.rows, request.languages, kept)
    count = sum(map(len, sample.items.values()))
    out.print(f"{count:,} rows to review in {len(sample.items)} languages.", markup=False)
    for note in sample.notes:
        out.print(note, markup=False, soft_wrap=True)
    return Site(texts, sample.items, Store(lake, reviewing, sample.items), request.seed)


def results(lake: Lake) -> Summary:
    """Return what reviewers said.

    Raises:
        BackpromptError: if nobody has reviewed anything in this lake.
    """
    found = summary(lake.read(REVIEWS_TABLE, REVIEWS)) if lake.exists(REVIEWS_TABLE) else Summary(())
    if not found.results and not found.unknown:
        raise BackpromptError(
            f"Nobody has reviewed pairs of lake {lake}. 'backprompt review' serves the page for that."
        )
    return found


def as_json(found: Summary) -> str:
    """Return the results as JSON."""
    return json.dumps(found.as_dict(), ensure_ascii=False, indent=2)


def print_results(out: Console, found: Summary) -> None:
    """Print two tables for each kind of review: averages, and agreement."""
    for shown in found.tables():
        table = Table(shown.header[0], title=shown.title, title_justify="left", box=box.SIMPLE_HEAD)
        for heading in shown.header[1:]:
            table.add_column(heading, justify="right")
        for row in shown.rows:
            table.add_section() if row[0] == AVERAGE else None
            table.add_row(*row)
        out.print(table)
        for note in shown.notes:
            out.print(note, markup=False, soft_wrap=True)
    for name in found.unknown:
        out.print(f"Left out, as this version does not know it: {name}", markup=False, soft_wrap=True)


def _pairs(lake: Lake, sources: Sequence[str]) -> DataFrame:
    """Return the pairs of these sources; of none, the pairs whose instructions were written for their texts."""
    if not lake.exists(LAST):
        raise BackpromptError(f"Lake {lake} has no pairs. 'backprompt run' makes them.")
    pairs = lake.read(LAST)
    there = {row["source"]: row["is_written"] for row in _sources(pairs)}
    for name in sources:
        if name not in there:
            raise BackpromptError(
                f"Lake {lake} has no pairs of source {name!r}; it has {', '.join(sorted(there)) or 'none at all'}"
            )
    if sources:
        return pairs.where(F.col("source").isin(list(sources)))
    if there and not any(there.values()):
        raise BackpromptError(
            f"No instruction of lake {lake} was written for its text: all are their sources' own. "
            f"To review these, name them: --source {','.join(sorted(there))}"
        )
    return pairs.where(F.col("generator") != GIVEN)


def _sources(pairs: DataFrame) -> list[Row]:
    return pairs.groupBy("source").agg(F.max(F.col("generator") != GIVEN).alias("is_written")).collect()
