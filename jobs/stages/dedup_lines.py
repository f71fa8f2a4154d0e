"""Take lines or paragraphs out that many documents of a site share: exact, incremental.

What many documents hold is furniture of the place they come from: menus, notices, addresses. A caller that keeps a
table of LINE_INDEX does, for each batch b,

1. append ``line_holders(docs)`` to the table, with batch_id b;
2. ``repeated_lines(the table where batch_id = b, the table where batch_id < b)``;
3. write ``remove_lines(docs, repeated)``.

A replay reads what the append left and no later batch, so it decides the same. Documents of earlier batches are not
looked at again: they keep a unit that only later turns out to be shared. ``deduplicate_lines`` does it all for one
DataFrame.

A unit travels as 16 bytes of hash and 8 of its document's id; texts are joined with the hashes to take out of them.
Of the documents that hold a unit, each batch keeps no more than are needed to decide, those whose ids have the
smallest hashes. So the footer of a million documents costs a few rows, and a document that comes again in a later
batch is one document still. (It counts on for a unit that its newer revision has lost.)
"""

from __future__ import annotations

from functools import partial
from typing import Final, Literal

from pydantic import Field
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, LongType, StructField, StructType

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import DEDUP_LINES, join_columns
from jobs.stages.base import Resources, Rule, Stage, StageSettings, flag_all, no_columns
from udfs import lines, minhash
from udfs.lines import UnitPlan
from udfs.settings import OPERATIONAL

LINE_INDEX: Final = StructType(
    [
        StructField("hash", BinaryType(), False),  # 16 bytes, equal for equal folded units of a scope
        StructField("document", LongType(), False),  # xxhash64 of the id of a document that holds the unit
        StructField("batch_id", LongType(), False),
    ]
)
_UNITS: Final = "hash binary, document long"
_THIS_BATCH: Final = 2**63 - 1  # comes after every number of a batch


class DedupLinesSettings(StageSettings):
    """Take out lines or paragraphs that many documents share."""

    max_files_per_batch: int | None = Field(10_000, ge=1, json_schema_extra=OPERATIONAL)
    """Files of the table before it that one batch reads: so many that most corpora are one batch, and what is taken out
    does not depend on how rows fell into files."""
    unit: Literal["line", "paragraph"] = "line"
    """What is compared: lines, or runs of lines between blank ones. Case, accents and punctuation do not count."""
    scope: Literal["site", "source", "language"] = "site"
    """Count documents of a site (the host of ``url`` without "www."), of a source, or of a language. A document without
    a usable URL has no site and is left alone."""
    min_documents: int = Field(3, ge=2, le=1000)
    """A unit that at least so many documents of a scope hold is taken out."""
    keep: Literal["none", "first"] = "none"
    """Take a unit out of all documents, or leave it in one: of those in the earliest batch that had it, the one whose
    id has the smallest hash."""
    min_unit_chars: int = Field(30, ge=1)
    """Shorter units stay: short ones, such as headings, repeat by chance. In letters, marks, digits and single gaps."""
    min_chars_left: int = Field(200, ge=0)
    """A document that lost units is rejected if fewer characters are left."""

    keep_removed: bool = False
    """Store the units that were taken out in ``deduped_text``."""

    def plan(self) -> UnitPlan:
        """Return which units these settings look at."""
        return UnitPlan(self.scope == "site", self.unit == "paragraph", self.min_unit_chars, self.keep_removed)

    def scope_column(self) -> str:
        """Return the column that a document's scope comes from."""
        return "url" if self.scope == "site" else self.scope


def line_holders(docs: DataFrame, settings: DedupLinesSettings) -> DataFrame:
    """Find, for each unit, up to ``min_documents`` documents that hold it.

    Input columns: doc_id (unique, not null), text; ``url``, ``source`` or ``language``, which the scope comes from.
    Output columns: hash, document; each pair once.

    Raises:
        ValueError: if a column that the settings need is missing.
    """
    # Spark drops what is behind the limit before the shuffle too.
    by_document = Window.partitionBy("hash").orderBy("document")
    return (
        _units(docs, settings)
        .withColumn("place", F.row_number().over(by_document))
        .where(F.col("place") <= settings.min_documents)
        .select("hash", "document")
    )


def repeated_lines(new: DataFrame, old: DataFrame | None, settings: DedupLinesSettings) -> DataFrame:
    """Choose the units of a batch that enough documents hold, in it or in earlier batches.

    Reads ``new`` twice if there is an ``old``; both should be tables, or persisted.

    Input columns: hash, document; in ``old``, the entries of earlier batches, also batch_id.
    Output columns: hash; first, the document that keeps the unit, null with ``keep: none``.
    """
    holders = new.select("hash", "document", F.lit(_THIS_BATCH).alias("batch_id"))
    if old is not None:
        # First, as a small batch has few of the units of a large table.
        known = old.join(new.select("hash"), on="hash", how="left_semi")
        holders = holders.union(known.select(*holders.columns))
    first: Column = F.lit(None)
    if settings.keep == "first":
        first = F.min(F.struct("batch_id", "document"))["document"]
    return (
        holders.groupBy("hash")
        .agg(F.count_distinct("document").alias("documents"), first.cast("long").alias("first"))
        .where(F.col("documents") >= settings.min_documents)
        .select("hash", "first")
    )


def remove_lines(docs: DataFrame, repeated: DataFrame, settings: DedupLinesSettings) -> DataFrame:
    """Take units out of the documents that hold them, and flag those that become too short.

    A title that was the text's headline, and went with a unit, is taken anew from what is left.

    Input columns: those of ``line_holders``, any others; and those of ``repeated_lines``.
    Output columns: those of ``docs``, with text and, if there, text_chars, title (with title_from), rejected_for and
    detail changed; and DEDUP_LINES, 0 where nothing was taken out.
    """
    units = _units(docs, settings)
    # A unit may be all documents' own, so the list of what to take out is by document: lists by scope would be as long
    # as the scope is large, for every row. A list that holds a stranger's unit by a collision of ids takes nothing.
    others = F.col("first").isNull() | (F.col("unit.document") != F.col("first"))
    is_taken = (F.col("unit.hash") == F.col("repeated.hash")) & others
    taken = (
        units.alias("unit")
        .join(repeated.alias("repeated"), on=is_taken, how="left_semi")
        .groupBy(F.col("document").alias("_document"))
        .agg(F.collect_list("hash").alias("_taken"))
    )
    columns = [name for name in docs.columns if name not in DEDUP_LINES.fieldNames()]
    schema = join_columns(docs.select(*columns).schema, DEDUP_LINES)
    rows = (
        docs.select(*columns, _document(), F.col(settings.scope_column()).cast("string").alias("_scope"))
        .join(taken, on="_document", how="left")
        .drop("_document")
        .mapInArrow(partial(lines.remove_units, settings.plan(), schema.fieldNames()), schema)
    )
    if not {"rejected_for", "detail"} <= set(columns):
        return rows
    return flag_all(rows, [_too_short(settings, F.char_length("text"))])


def rules(settings: DedupLinesSettings, _: Resources) -> list[Rule]:
    """Return what rejects a document that lost units; a newer revision in its batch rejects it apart."""
    return [_too_short(settings, F.col("text_chars"))]


def _too_short(settings: DedupLinesSettings, left: Column) -> Rule:
    is_too_short = (F.col("deduped_chars") > 0) & (left < settings.min_chars_left)
    reason = Reason.LINES_TOO_SHORT
    return Rule(is_too_short, reason, F.concat(F.lit(reason.meaning + ": "), left.cast("string")))


def dedup_lines(docs: DataFrame, old: DataFrame | None, settings: DedupLinesSettings) -> tuple[DataFrame, DataFrame]:
    """Take shared units out of a batch.

    Input columns: those of ``line_holders``, any others; and LINE_INDEX, of earlier batches.
    Output columns: those of ``remove_lines``; and those of ``line_holders``, to append to the table.
    """
    new = line_holders(docs, settings)
    return remove_lines(docs, repeated_lines(new, old, settings), settings), new


def deduplicate_lines(docs: DataFrame, settings: DedupLinesSettings | None = None) -> DataFrame:
    """Take shared units out of the documents of one DataFrame.

    Reads ``docs`` three times; it should be a table, or persisted.

    Input columns: those of ``line_holders``, any others. Output columns: those of ``remove_lines``.
    """
    rows, _ = dedup_lines(docs, None, settings or DedupLinesSettings())
    return rows


def _units(docs: DataFrame, settings: DedupLinesSettings) -> DataFrame:
    scope = settings.scope_column()
    missing = sorted({"doc_id", "text", scope} - set(docs.columns))
    if missing:
        raise ValueError(
            f"Deduplication of lines needs the columns {', '.join(missing)}, which these documents do not have."
        )
    return (
        docs.where(F.col("text").isNotNull() & F.col(scope).isNotNull())
        .select(_document().alias("document"), F.col(scope).cast("string").alias("scope"), F.col("text"))
        .mapInArrow(partial(lines.to_units, settings.plan()), _UNITS)
    )


def _document() -> Column:
    return F.xxhash64(F.col("doc_id").cast("string")).alias("_document")


STAGE = Stage(
    name="dedup_lines",
    settings=DedupLinesSettings,
    adds=DEDUP_LINES,
    version=minhash.SKETCH_VERSION,
    rules=rules,
    of_pairs=no_columns,
)
