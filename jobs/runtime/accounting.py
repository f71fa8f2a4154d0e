"""Checks of a lake against its own contract: nothing lost, nothing doubled, every column what it should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.runtime import ledger, removals
from jobs.runtime.batches import INDEXED, index_table
from jobs.runtime.dedup_index import DedupIndex
from jobs.runtime.errors import BackpromptError
from jobs.runtime.ingest import newest_rows
from jobs.runtime.lake import Lake
from jobs.runtime.reasons import Reason
from jobs.runtime.recipe import FIRST, LAST
from jobs.runtime.schema import PAIRS, ROW_KEY, RUNS, SPLITS, check_schema, record
from jobs.stages import STAGES, group
from jobs.stages.base import HOLDS_PAIR


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, and what is wrong with it ("" if nothing is)."""

    check: str
    problem: str = ""


def tables_in_order(lake: Lake) -> list[str]:
    """Return the lake's tables of documents and pairs, each after the one it was made from.

    A table of a stage that the recipe has no longer is none of them.
    """
    upstream = {name: lake.properties(name).get("upstream") for name in (FIRST, *STAGES) if lake.exists(name)}
    order: list[str] = []
    if LAST in upstream:
        before: str | None = LAST
        while before in upstream:
            order.insert(0, before)
            before = upstream[before]
        return order
    following: str | None = FIRST if FIRST in upstream else None
    while following is not None:
        order.append(following)
        following = next((name for name, before in upstream.items() if before == order[-1]), None)
    return order


def check(lake: Lake) -> Iterator[Finding]:
    """Yield a finding for every check of every table.

    Raises:
        BackpromptError: if the lake has no tables at all.
    """
    order = tables_in_order(lake)
    if not order:
        raise BackpromptError(f"Lake {lake} has no table {FIRST}: nothing has been run into it yet")
    funnel = ledger.tallies(lake)
    interrupted = len(removals.unfinished(lake))
    yield Finding("removals: none is half done", f"'backprompt run' completes {interrupted}" if interrupted else "")
    yield from _check_columns(lake, order)
    for at, name in enumerate(order):
        yield from _check_rows(lake, name)
        yield from _check_runs(lake, name, funnel.get(name, {}))
        if at:
            yield from _check_nothing_lost(lake, order[at - 1], name)
        if name in INDEXED:
            yield from _check_index(lake, name)
    if LAST in order:
        yield from _check_pairs(lake, order)


def _check_columns(lake: Lake, order: list[str]) -> Iterator[Finding]:
    wanted = {ledger.TABLE: RUNS}
    for at, name in enumerate(order):
        wanted[name] = PAIRS if name == LAST else record(STAGES[each].adds for each in order[1 : at + 1])
    for name, schema in wanted.items():
        try:
            check_schema(lake.read(name).schema, schema, name)
        except BackpromptError as error:
            yield Finding(f"{name}: columns", str(error))
        else:
            yield Finding(f"{name}: columns")
    for name in order:
        partitions = lake.delta(name).detail().select("partitionColumns").first()
        found = list(partitions[0]) if partitions else []
        yield Finding(f"{name}: partitioned by language", "" if found == ["language"] else f"partitioned by {found}")


def _check_rows(lake: Lake, name: str) -> Iterator[Finding]:
    key = ["pair_id"] if name == LAST else ROW_KEY
    rows = lake.read(name)
    # A second record under a document's key is a row of its own, and says so.
    named = rows.where(~F.array_contains("rejected_for", Reason.DUPLICATE_ID.value)) if name == FIRST else rows
    doubled = named.groupBy(*key).count().where("count > 1")
    yield _counted(f"{name}: no row twice", doubled, key[0], "rows stand more than once")
    if name == LAST:
        return
    yield _counted(
        f"{name}: text_chars is the length of text",
        rows.where(F.col("text_chars") != F.char_length("text")),
        "doc_id",
        "rows have another length",
    )
    adds = [] if name == FIRST else STAGES[name].adds.fieldNames()
    filled = {"translate": "text_en", "back_translate": "instruction_src", "instruct": "generator"}.get(name)
    if filled in adds:
        empty = rows.where((F.size("rejected_for") == 0) & F.col(filled).isNull())
        if name == "translate":
            empty = empty.where(f"NOT ({HOLDS_PAIR})")
        yield _counted(f"{name}: alive rows have {filled}", empty, "doc_id", f"alive rows have no {filled}")


def _check_runs(lake: Lake, name: str, recorded: dict[str, ledger.Tally]) -> Iterator[Finding]:
    rows = lake.read(name)
    if name == LAST:
        return  # A merge replaces pairs: `runs` counts what came in, not what stands.
    alive = F.size("rejected_for") == 0
    counts = {
        row["language"]: (row["alive"], row["rejected"])
        for row in rows.groupBy("language")
        .agg(F.count_if(alive).alias("alive"), F.count_if(~alive).alias("rejected"))
        .collect()
    }
    problems = []
    for language in sorted(counts.keys() | recorded.keys()):
        stands = counts.get(language, (0, 0))
        tally = recorded.get(language, ledger.Tally())
        if stands != (tally.alive, tally.rejected):
            problems.append(
                f"{language}: {stands[0]} alive and {stands[1]} rejected rows stand, runs says {tally.alive} and "
                f"{tally.rejected}"
            )
        if tally.rows_in != sum(stands):
            problems.append(f"{language}: {tally.rows_in} rows came in, {sum(stands)} stand")
    yield Finding(f"{name}: rows in = alive + rejected, for every language", "; ".join(problems))


def _check_nothing_lost(lake: Lake, before: str, name: str) -> Iterator[Finding]:
    alive = lake.read(before).where(F.size("rejected_for") == 0)
    rows = lake.read(name)
    if name == LAST:
        # A document's newest revision makes the pair, or takes it away.
        alive = alive.join(newest_rows(lake), ROW_KEY, how="left_semi").select("doc_id", "revision").distinct()
        rows = rows.select(F.col("pair_id").alias("doc_id"), "revision")
    key = rows.columns if name == LAST else ROW_KEY
    missing = alive.join(rows.select(*key), key, how="left_anti")
    yield _counted(
        f"{name}: every alive row of {before} is there",
        missing,
        "doc_id",
        f"rows of {before} are not in it: 'backprompt run' goes on with them, or they were lost",
    )
    orphans = rows.join(alive.select(*key), key, how="left_anti")
    yield _counted(f"{name}: no row without its {before}", orphans, "doc_id", f"rows are not alive in {before}")


def _check_index(lake: Lake, name: str) -> Iterator[Finding]:
    """Compare the index that later batches are deduplicated against with the rows that were kept."""
    table = index_table(name)
    # What a document's newest revision in this table came to; an earlier one has no entry.
    order = F.struct("document_batch", "batch_id")
    rows = lake.read(name)
    if STAGES[name].of_pairs is not None:  # pairs pass it, and are compared with nothing
        rows = rows.where(f"NOT ({HOLDS_PAIR})")
    newest = rows.groupBy("doc_id").agg(F.max_by(F.size("rejected_for") == 0, order).alias("is_kept"))
    kept = newest.where("is_kept").select("doc_id")
    held = DedupIndex(lake, table).ids()
    missing = kept.join(held, "doc_id", how="left_anti")
    yield _counted(f"{table}: every kept row has its entry", missing, "doc_id", f"kept rows of {name} have no entry")
    orphans = held.join(kept, "doc_id", how="left_anti")
    yield _counted(f"{table}: no entry without its row", orphans, "doc_id", f"entries are of no kept row of {name}")
    doubled = held.groupBy("doc_id").count().where("count > 1")
    yield _counted(f"{table}: no document twice", doubled, "doc_id", "documents have more than one entry")


def _check_pairs(lake: Lake, order: list[str]) -> Iterator[Finding]:
    rows, splits = lake.read(LAST), lake.read("splits", SPLITS)
    last_change = next((name for name in ("dedup_lines", "clean") if name in order), FIRST)
    sources = lake.read(last_change).select(
        F.col("doc_id").alias("pair_id"), "revision", F.col("text").alias("cleaned")
    )
    changed = rows.join(sources, ["pair_id", "revision"], how="left").where(
        ~F.col("output").eqNullSafe(F.col("cleaned"))
    )
    yield _counted(
        "pairs: outputs are the cleaned source texts", changed, "pair_id", "outputs differ from their source"
    )
    kept = splits.withColumnsRenamed({"split": "kept_split", "split_group": "kept_group"})
    moved = rows.join(kept, "pair_id", how="left").where(
        ~(F.col("split").eqNullSafe(F.col("kept_split")) & F.col("split_group").eqNullSafe(F.col("kept_group")))
    )
    yield _counted(
        "pairs: no pair left its split", moved.select(rows["pair_id"]), "pair_id", "pairs are not in their split"
    )
    doubled = splits.groupBy("pair_id").count().where("count > 1")
    yield _counted("splits: no pair twice", doubled, "pair_id", "pairs stand more than once")
    yield _counted(
        "splits: no group on two sides", _on_two_sides(splits, "split_group"), "split_group", "groups have two splits"
    )
    if group.STAGE.name in order:
        parts = lake.read(group.STAGE.name).where(F.col("part_of").isNotNull())
        parts = parts.select(F.col("doc_id").alias("pair_id"), "source", "part_of")
        apart = _on_two_sides(rows.select("pair_id", "split").join(parts, "pair_id"), "source", "part_of")
        yield _counted("pairs: no parts of one thing on two sides", apart, "part_of", "have parts in two splits")


def _on_two_sides(rows: DataFrame, *keys: str) -> DataFrame:
    return rows.groupBy(*keys).agg(F.count_distinct("split").alias("splits")).where("splits > 1")


def _counted(check: str, bad: DataFrame, key: str, problem: str) -> Finding:
    found = bad.agg(F.count("*").alias("count"), F.min(key).alias("example")).first()
    if found is None or not found["count"]:
        return Finding(check)
    return Finding(check, f"{found['count']} {problem}, the first is {found['example']}")
