"""The table ``runs``: what every batch of every stage took in and gave, by language."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.runtime.lake import Lake
from jobs.runtime.schema import RUNS, check_schema
from jobs.stages.base import HOLDS_PAIR
from jobs.stages.texts import LABEL, NO_ENGINE, READ, WRITTEN

TABLE: Final = "runs"
WITHDRAWN: Final = -1
"""Batch number of rows of ``runs`` that take others back."""


@dataclass(slots=True)
class Tally:
    """Sums over batches: one cell of the funnel."""

    rows_in: int = 0
    alive: int = 0
    rejected: int = 0
    characters: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    engines: tuple[str, ...] = ()
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    """Records of the corpora that are no documents, by kind; they are none of the rows."""
    characters_read: int | None = None
    """Of the texts that the stage's engine was given; None for a stage without one."""
    characters_written: int | None = None
    cache_hits: int | None = None
    cache_misses: int | None = None
    batch_seconds: float = 0.0
    """Of the whole batch, all languages, where this is what was entered of one."""


@dataclass(frozen=True, slots=True)
class BatchId:
    """Which batch of which stage, in which life of its table."""

    recipe: str
    stage: str
    fingerprint: str
    generation: int
    batch_id: int

    @property
    def app_id(self) -> str:
        """Return the application id under which Delta remembers the stage's batches."""
        stream = f"{self.recipe}/{self.stage}/{self.fingerprint}/{self.generation}"
        # Retries count below 0, beside the stream, and Delta takes no version that is not above the last one.
        return f"{stream}/again" if self.batch_id < 0 else stream

    @property
    def version(self) -> int:
        """Return the number under which Delta remembers this batch."""
        return abs(self.batch_id)


def count_rows(docs: DataFrame) -> dict[str, tuple[int, int]]:
    """Return rows and characters by language. Input columns: language, text_chars, instruction."""
    return count_incoming(docs)[0]


def count_incoming(docs: DataFrame) -> tuple[dict[str, tuple[int, int]], dict[str, tuple[int, int]]]:
    """Return rows and characters by language: of all, and of those that lack an instruction; one pass over them.

    Input columns: language, text_chars, instruction.
    """
    is_document = F.expr(f"NOT ({HOLDS_PAIR})")
    counts = docs.groupBy("language").agg(
        F.count("*").alias("rows"),
        F.sum("text_chars").alias("characters"),
        F.count_if(is_document).alias("documents"),
        F.sum(F.when(is_document, F.col("text_chars"))).alias("document_characters"),
    )
    rows = counts.collect()
    everything = {row["language"]: (row["rows"], row["characters"] or 0) for row in rows}
    documents = {row["language"]: (row["documents"], row["document_characters"] or 0) for row in rows}
    return everything, {language: numbers for language, numbers in documents.items() if numbers[0]}


def count(
    written: DataFrame, labels: Iterable[str] = (), has_tokens: bool = False, stage: str = ""
) -> dict[str, Tally]:
    """Return what stands in some rows of a stage's table, by language; one pass over them.

    Args:
        written: rows of the table, alive and rejected.
        labels: columns that hold engine labels.
        has_tokens: whether the stage itself spent the tokens that the rows tell of.
        stage: name of the stage, for what its engines read and wrote; "" where that is of no account.
    """
    engines = [F.collect_set(label) for label in labels]
    has_characters = "text_chars" in written.columns
    groups = written.groupBy("language", "rejected_for").agg(
        F.count("*").alias("rows"),
        (F.sum("text_chars") if has_characters else F.lit(0)).alias("characters"),
        (F.concat(*engines) if engines else F.array().cast("array<string>")).alias("engines"),
        (F.sum("prompt_tokens") if has_tokens else F.lit(None)).alias("prompt_tokens"),
        (F.sum("completion_tokens") if has_tokens else F.lit(None)).alias("completion_tokens"),
        _engine_characters(stage, READ).alias("characters_read"),
        _engine_characters(stage, WRITTEN).alias("characters_written"),
    )
    tallies: dict[str, Tally] = {}
    for row in groups.collect():
        tally = tallies.setdefault(row["language"], Tally())
        if row["rejected_for"]:
            tally.rejected += row["rows"]
        else:
            tally.alive += row["rows"]
        for reason in row["rejected_for"]:
            tally.reasons[reason] = tally.reasons.get(reason, 0) + row["rows"]
        tally.characters += row["characters"] or 0
        tally.engines = tuple(sorted({*tally.engines, *row["engines"]}))
        tally.prompt_tokens = _sum(tally.prompt_tokens, row["prompt_tokens"])
        tally.completion_tokens = _sum(tally.completion_tokens, row["completion_tokens"])
        tally.characters_read = _sum(tally.characters_read, row["characters_read"])
        tally.characters_written = _sum(tally.characters_written, row["characters_written"])
    return tallies


def _engine_characters(stage: str, columns: Mapping[str, tuple[str, ...]]) -> Column:
    """Return the sum of the characters of texts that the stage's engines worked on; null where it has none."""
    if stage not in READ:
        return F.lit(None).cast("long")
    lengths = [F.col("text_chars") if name == "text" else F.char_length(name) for name in columns.get(stage, ())]
    length = sum((F.coalesce(each, F.lit(0)) for each in lengths), F.lit(0))
    has_work = F.lit(True) if stage == "screen" else F.expr(f"NOT ({HOLDS_PAIR})")  # pairs enter there
    if stage in LABEL:
        has_work &= F.coalesce(F.col(LABEL[stage]), F.lit(NO_ENGINE)) != NO_ENGINE
    return F.sum(F.when(has_work, length).otherwise(0))


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one + (other or 0)


class Ledger:
    """Writes and reads ``runs``."""

    def __init__(self, lake: Lake, run_id: str) -> None:
        self.lake, self.run_id = lake, run_id

    def ensure(self) -> None:
        """Make the table if it is not there."""
        self.lake.ensure(TABLE, RUNS, {}, partition_by=())

    def record(
        self,
        written: Mapping[str, Tally],
        rows_in: Mapping[str, tuple[int, int]],
        batch: BatchId,
        started_at: datetime,
        looked_up: Mapping[str, tuple[int, int]] | None = None,
        left_out: Mapping[str, dict[str, int]] | None = None,
    ) -> dict[str, Tally]:
        """Append a batch to ``runs``, once.

        Args:
            written: what stands of the batch in the stage's table, as ``count`` gives it.
            rows_in: rows and characters by language that came in, counted upstream.
            batch: which batch.
            started_at: when work on it began.
            looked_up: texts found in the translation cache, and texts not found, by language; None for a stage without.
            left_out: records of the corpus that are no documents, by language and kind.

        Returns:
            What was entered, by language.
        """
        entered = {}
        passed = left_out or {}
        seconds = (datetime.now(UTC) - started_at).total_seconds()
        for language in sorted(rows_in.keys() | written.keys() | passed.keys()):
            rows, characters = rows_in.get(language, (0, 0))
            hits, misses = (looked_up or {}).get(language, (None, None))
            entered[language] = replace(
                written.get(language, Tally()),
                rows_in=rows,
                characters=characters,
                left_out=passed.get(language, {}),
                cache_hits=hits,
                cache_misses=misses,
                batch_seconds=seconds,
            )
        _append(self.lake, entered, batch, self.run_id, f"runs/{batch.app_id}", batch.version, started_at)
        return entered


def _append(
    lake: Lake,
    entered: Mapping[str, Tally],
    batch: BatchId,
    run_id: str,
    app_id: str,
    version: int,
    started_at: datetime,
) -> None:
    rows = []
    for language, tally in entered.items():
        row = {
            "run_id": run_id,
            "recipe": batch.recipe,
            "stage": batch.stage,
            "fingerprint": batch.fingerprint,
            "generation": batch.generation,
            "batch_id": batch.batch_id,
            "language": language,
            "rows_in": tally.rows_in,
            "rows_alive": tally.alive,
            "rows_rejected": tally.rejected,
            "reasons": dict(sorted(tally.reasons.items())),
            "left_out": tally.left_out or None,
            "characters": tally.characters,
            "prompt_tokens": tally.prompt_tokens,
            "completion_tokens": tally.completion_tokens,
            "characters_read": tally.characters_read,
            "characters_written": tally.characters_written,
            "cache_hits": tally.cache_hits,
            "cache_misses": tally.cache_misses,
            "engines": list(tally.engines),
            "started_at": started_at,
            "batch_seconds": tally.batch_seconds,
        }
        rows.append(tuple(row[name] for name in RUNS.fieldNames()))
    # Two or three rows: one task and one file.
    lake.append(lake.spark.createDataFrame(rows, RUNS).coalesce(1), TABLE, app_id, version)


def present_life(lake: Lake, stage: str) -> BatchId:
    """Return what names the batches of a stage's present table; its batch number is of no account."""
    properties = lake.properties(stage)
    return BatchId(properties["recipe"], stage, properties["fingerprint"], int(properties["generation"]), WITHDRAWN)


def entered(lake: Lake, stage: str) -> DataFrame:
    """Return the batches of a stage's present table that are entered. Output columns: batch_id, started_at."""
    is_present = (F.col("stage") == stage) & (F.col("generation") == int(lake.properties(stage)["generation"]))
    runs = lake.read(TABLE, RUNS).where(is_present & (F.col("batch_id") != WITHDRAWN))
    return runs.groupBy("batch_id").agg(F.min("started_at").alias("started_at"))


def is_entered(lake: Lake, batch: BatchId) -> bool:
    """Say whether a batch is entered, which is the last that is done of it."""
    is_of_table = (F.col("stage") == batch.stage) & (F.col("generation") == batch.generation)
    return not lake.read(TABLE, RUNS).where(is_of_table & (F.col("batch_id") == batch.batch_id)).isEmpty()


def withdraw(lake: Lake, stage: str, rows: DataFrame, app_id: str, run_id: str) -> None:
    """Take rows that are about to leave a stage's table off its account in ``runs``, once for each ``app_id``.

    Args:
        lake: the lake.
        stage: name of the stage and its table.
        rows: rows of the table, alive or rejected.
        app_id: name of what takes them out; a repeat with the same one does nothing.
        run_id: what ``runs`` has for it.
    """
    gone = {
        language: Tally(
            rows_in=-(tally.alive + tally.rejected),
            alive=-tally.alive,
            rejected=-tally.rejected,
            characters=-tally.characters,
            reasons={reason: -number for reason, number in tally.reasons.items()},
        )
        for language, tally in count(rows).items()
    }
    if gone:
        _append(lake, gone, present_life(lake, stage), run_id, f"{app_id}/{stage}", 0, datetime.now(UTC))


def tallies(lake: Lake) -> dict[str, dict[str, Tally]]:
    """Return the funnel of a lake: stage -> language -> sums over the batches of the table's present life."""
    runs = present(lake)
    sums = runs.groupBy("stage", "language").agg(
        *(F.sum(name).alias(name) for name in ("rows_in", "rows_alive", "rows_rejected", "characters")),
        F.sort_array(F.array_distinct(F.flatten(F.collect_list("engines")))).alias("engines"),
    )
    reasons = (
        runs.select("stage", "language", F.explode("reasons").alias("reason", "count"))
        .groupBy("stage", "language", "reason")
        .agg(F.sum("count").alias("count"))
        .where("count <> 0")  # rows that were all taken back
    )
    left_out = (
        runs.select("stage", "language", F.explode("left_out").alias("kind", "count"))
        .groupBy("stage", "language", "kind")
        .agg(F.sum("count").alias("count"))
    )
    funnel: dict[str, dict[str, Tally]] = defaultdict(dict)
    for row in sums.collect():
        funnel[row["stage"]][row["language"]] = Tally(
            row["rows_in"], row["rows_alive"], row["rows_rejected"], row["characters"], engines=tuple(row["engines"])
        )
    for row in reasons.orderBy("reason").collect():
        funnel[row["stage"]][row["language"]].reasons[row["reason"]] = row["count"]
    for row in left_out.orderBy("kind").collect():
        funnel[row["stage"]][row["language"]].left_out[row["kind"]] = row["count"]
    return dict(funnel)


def seconds_by_stage(lake: Lake) -> dict[str, float]:
    """Return the seconds each stage worked, over the batches of its table's present life."""
    batches = present(lake).dropDuplicates(["stage", "batch_id"])
    rows = batches.groupBy("stage").agg(F.sum("batch_seconds").alias("seconds")).collect()
    return {row["stage"]: row["seconds"] for row in rows}


def tokens_by_stage(lake: Lake) -> dict[str, tuple[int | None, int | None]]:
    """Return prompt and completion tokens of each stage's present table; None where no batch of it counted any."""
    sums = (F.sum(name).alias(name) for name in ("prompt_tokens", "completion_tokens"))
    rows = present(lake).groupBy("stage").agg(*sums).collect()
    return {row["stage"]: (row["prompt_tokens"], row["completion_tokens"]) for row in rows}


def completed(runs: DataFrame) -> DataFrame:
    """Return rows of ``runs`` with all its columns: those that an older Backprompt did not write yet are null."""
    missing = [field for field in RUNS.fields if field.nullable and field.name not in runs.columns]
    return runs.withColumns({field.name: F.lit(None).cast(field.dataType) for field in missing})


def present(lake: Lake) -> DataFrame:
    """Return what is entered of the tables' present lives. Output columns: RUNS."""
    runs = completed(lake.read(TABLE))
    check_schema(runs.schema, RUNS, f"table {TABLE} of {lake}")
    newest = runs.groupBy("stage").agg(F.max("generation").alias("generation"))
    return runs.join(newest, ["stage", "generation"], how="left_semi")


def waiting_rows(order: tuple[str, ...], funnel: Mapping[str, Mapping[str, Tally]]) -> dict[str, dict[str, int]]:
    """Return the rows that each stage has still to take in, by stage and language; none are left out.

    Args:
        order: names of the stages, ``documents`` first.
        funnel: sums of ``runs``, as ``ledger.tallies`` gives them.
    """
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for before, stage in pairwise(order):
        taken = funnel.get(stage, {})
        for language, tally in sorted(funnel.get(before, {}).items()):
            left = tally.alive - (taken[language].rows_in if language in taken else 0)
            if left > 0:
                found[stage][language] = left
    return dict(found)
