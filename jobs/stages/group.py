"""Give every pair its split: those that are alike, or parts of one thing, the same one (see ``udfs.splits``).

A caller that keeps an index of what was placed, and a table of SPLITS, does for each batch

1. ``blocks = sketch(docs, settings).persist()``;
2. ``found = find_groups(docs, blocks, the index of earlier batches, their parts, splits, settings)``;
3. write ``with_splits(docs, found.rows, splits, seed)``; then append the splits of its alive rows, and the entries of
   those rows to the index.

Splits and entries follow from the rows, so a batch that was killed after its rows were written is finished from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import pyarrow as pa
from pydantic import Field
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import GROUP
from jobs.sources.sampling import sampling_position
from jobs.stages import dedup
from jobs.stages.base import HOLDS_PAIR, Stage, StageSettings, flag
from jobs.stages.components import connected_components
from jobs.stages.dedup import DedupSettings, ShingleChars
from udfs import minhash, splits
from udfs.sampling import SEPARATOR
from udfs.settings import OPERATIONAL

PARTS: Final = ("doc_id", "source", "part_of")
"""What ``find_groups`` reads of rows that were placed before."""
_FACTS: Final = from_arrow_schema(splits.FACT)
_GROUPED: Final = from_arrow_schema(splits.GROUPED)
# Parts that are gathered in the driver, some hundred bytes each there.
_MOST_PARTS: Final = 500_000


class GroupSettings(StageSettings):
    """Give every pair its split: 90 % train, 5 % validation, 5 % test of each source and language.

    Near-duplicates and parts of one thing, such as a conversation tree, share a split, also when they come in different
    runs. A pair keeps its split for good. A new one that is like pairs of two splits is rejected.
    """

    max_files_per_batch: int | None = Field(10_000, ge=1, json_schema_extra=OPERATIONAL)
    """Files of the table before it that one batch reads: so many that splits do not depend on files."""
    near_duplicate_similarity: float = Field(0.5, gt=0, le=1)
    """Least Jaccard similarity of outputs that share a split. Lower than that of duplicates: a model that has seen a
    text knows much of another that shares half of its shingles with it."""
    shingle_chars: ShingleChars = Field(default_factory=ShingleChars)
    """Characters in a shingle, by script."""
    min_given_chars: int = Field(200, ge=0)
    """A shorter output of a pair that its source holds counts only together with its instruction, as "yes" answers many
    questions. Where both are shorter, two such pairs share a split if both are equal but for case, punctuation and
    white space."""
    given_similarity: float = Field(0.8, gt=0, le=1)
    """Least Jaccard similarity of instruction and output of such pairs that share a split. Higher than that of outputs:
    instructions of one task have its wording in common."""
    components: Literal["auto", "driver", "spark"] = Field("auto", json_schema_extra=OPERATIONAL)
    """Where groups are put together: in the driver, over Spark, or in the driver if there are few links."""
    max_driver_links: int = Field(2_000_000, ge=0, json_schema_extra=OPERATIONAL)
    """As that of ``dedup``."""
    max_looked_up: int = Field(400_000, ge=0, json_schema_extra=OPERATIONAL)
    """As that of ``dedup``."""

    def comparison(self) -> DedupSettings:
        """Return how outputs are compared: all with all, whatever their language or source."""
        return DedupSettings(
            threshold=self.near_duplicate_similarity,
            shingle_chars=self.shingle_chars,
            scope="all",
            components=self.components,
            max_driver_links=self.max_driver_links,
            max_looked_up=self.max_looked_up,
        )


@dataclass(frozen=True, slots=True)
class Groups:
    """What was found on a batch.

    Attributes:
        rows: columns of ``udfs.splits.GROUPED``, of the rows that are not alone; None if all are.
        superseded: entries of the index that are of rows of the batch; None if that was not counted.
    """

    rows: DataFrame | None
    superseded: int | None


def sketch(docs: DataFrame, settings: GroupSettings) -> DataFrame:
    """Turn rows into index entries. Input columns: doc_id, text, instruction. Output columns: ``dedup.BLOCKS``."""
    is_short = F.expr(HOLDS_PAIR) & (F.char_length("text") < settings.min_given_chars)
    pair = F.concat("instruction", F.lit(SEPARATOR), F.col("text"))
    letters = F.regexp_replace(pair, r"[^\p{L}\p{M}\p{N}]+", " ")
    # A digest is like no other.
    digest = F.sha2(F.lower(F.trim(letters)), 256)
    compared = (
        F.when(is_short & (F.char_length(pair) < settings.min_given_chars), digest)
        .when(is_short, _made_unlike(pair, settings))
        .otherwise(F.col("text"))
    )
    return dedup.sketch(docs.withColumn("text", compared), settings.comparison())


def _made_unlike(pair: Column, settings: GroupSettings) -> Column:
    """Add letters of its own to a text, so many that pairs of ``given_similarity`` come out just like outputs.

    Of two texts with n shingles together, s * n of them in common, s * n of n + 2 * m are if each gains m of its own.
    """
    own_share = max(0.0, (settings.given_similarity / settings.near_duplicate_similarity - 1) / 2)
    count = F.ceil(F.char_length(pair) * own_share).cast("int")
    digests = F.transform(F.sequence(F.lit(0), F.floor(count / 64).cast("int")),
                          lambda number: F.sha2(F.concat("doc_id", number.cast("string")), 256))  # fmt: skip
    return F.concat(pair, F.lit(SEPARATOR), F.substring(F.array_join(digests, ""), F.lit(1), count))


def find_groups(
    docs: DataFrame,
    blocks: DataFrame,
    old: DataFrame | None,
    earlier: DataFrame | None,
    assigned: DataFrame,
    settings: GroupSettings,
) -> Groups:
    """Find the groups that a batch makes with itself and with what was placed before.

    Runs Spark jobs; ``blocks`` is read several times and should be persisted.

    Input columns: of ``docs``: doc_id (unique), source, part_of; of ``blocks`` and ``old``, the index of earlier
    batches: ``dedup.BLOCKS``; of ``earlier``, the rows of earlier batches: PARTS; of ``assigned``: SPLITS.
    """
    comparison = settings.comparison()
    similar = dedup.similar(blocks, old, comparison)
    is_part = F.col("part_of").isNotNull()
    new_parts = docs.where(is_part).select("doc_id", _part().alias("part"))
    count = new_parts.limit(_MOST_PARTS + 1).count()
    if not count and similar.local is not None and not len(similar.local):
        return Groups(None, similar.superseded)
    facts = [
        similar.rows.select(
            "doc_id", "root", "content", "signature", _null("part"), (~F.col("is_indexed")).alias("is_new")
        )
    ]
    if count:
        facts.append(_parts(new_parts, is_new=True))
        if earlier is not None:
            known = earlier.where(is_part).select("doc_id", _part().alias("part")).distinct()
            known = known.join(new_parts.select("part").distinct(), "part", how="left_semi")
            known = known.join(docs.select("doc_id"), "doc_id", how="left_anti")  # of an older revision
            facts.append(_parts(known, is_new=False))
    told = facts[0]
    for each in facts[1:]:
        told = told.unionByName(each)
    has = assigned.select(F.col("pair_id").alias("doc_id"), "split", "split_group")
    told = told.join(has, "doc_id", how="left").select(*splits.FACT.names)
    # What is known of an earlier document links others only by the split it has.
    told = told.where(F.col("is_new") | F.col("split").isNotNull())
    least = comparison.least_similarity()
    if similar.local is not None and count <= _MOST_PARTS:
        local = splits.group(told.toArrow(), least)
        return Groups(docs.sparkSession.createDataFrame(local, schema=_GROUPED), similar.superseded)
    told = told.localCheckpoint()
    labelled = _labelled(told).repartition("label").select(*splits.FACT.names)
    return Groups(labelled.mapInArrow(partial(_grouped, least), _GROUPED).localCheckpoint(), similar.superseded)


def with_splits(docs: DataFrame, groups: DataFrame | None, assigned: DataFrame, seed: int) -> DataFrame:
    """Give rows their split, and reject those between two.

    Runs Spark jobs over the ids of ``docs``.

    Input columns: of ``docs``: doc_id (unique), source, language, rejected_for, detail, any others; of ``groups``:
    those of ``udfs.splits.GROUPED``; of ``assigned``: SPLITS.
    Output columns: those of ``docs``, GROUP.
    """
    session = docs.sparkSession
    if groups is None:
        groups = session.createDataFrame([], _GROUPED)
    has = assigned.select(
        F.col("pair_id").alias("doc_id"), F.col("split").alias("has_split"), F.col("split_group").alias("has_group")
    )
    placed = (
        docs.select("doc_id", "source", "language")
        .join(groups, "doc_id", how="left")
        .join(has, "doc_id", how="left")
        .withColumns({"split": F.coalesce("has_split", "split"), "split_group": F.coalesce("has_group", "split_group")})
        .localCheckpoint()
    )
    keys = ("source", "language", "split", "split_group")
    # Rows of a split count by it alone; so do those that are in it for good.
    group = F.when(F.col("split").isNull(), F.col("split_group")).alias("split_group")
    new = placed.where(F.col("between").isNull() & F.col("has_split").isNull()).select(*keys[:3], group)
    held = assigned.select(*keys[:3], _null("split_group"))
    counted = new.unionByName(held).groupBy(*keys).count().collect()
    spread = splits.balance(*splits.strata(tuple(row) for row in counted))

    of_groups = [(name, split) for name, split in spread.groups.items()]
    chosen = session.createDataFrame(of_groups, "split_group string, group_split string")
    alone = [(*stratum, *rows[1:]) for stratum, rows in spread.alone.items()]
    quotas = session.createDataFrame(alone, "source string, language string, validation long, test long")
    order = Window.partitionBy("source", "language", "is_alone").orderBy(sampling_position("doc_id", seed), "doc_id")
    _, validation, test = splits.SPLITS
    drawn = (
        F.when(F.col("place") <= F.col("validation"), validation)
        .when(F.col("place") <= F.col("validation") + F.col("test"), test)
        .otherwise(splits.SPLITS[0])
    )
    is_between = F.col("between").isNotNull()
    decided = (
        placed.join(F.broadcast(chosen), "split_group", how="left")
        .withColumn("is_alone", F.col("split_group").isNull() & ~is_between)
        .withColumn("place", F.row_number().over(order))
        .join(F.broadcast(quotas), ["source", "language"], how="left")
        .select(
            "doc_id",
            "between",
            F.when(~is_between, F.coalesce("split", "group_split", drawn)).alias("split"),
            F.when(~is_between, F.coalesce("split_group", "doc_id")).alias("split_group"),
        )
    )
    rows = docs.join(decided, "doc_id", how="left")
    return flag(rows, is_between, Reason.BETWEEN_SPLITS, F.concat(F.lit("like "), F.col("between"))).drop("between")


def splits_of(rows: DataFrame, assigned: DataFrame) -> DataFrame:
    """Return the splits of rows that have none in ``assigned``. Input columns: the record; SPLITS. Output: SPLITS."""
    alive = rows.where(F.size("rejected_for") == 0).withColumn("pair_id", F.col("doc_id"))
    return alive.join(assigned.select("pair_id"), "pair_id", how="left_anti").select(*assigned.columns)


def _part() -> Column:
    return F.concat("source", F.lit(SEPARATOR), "part_of")


def _null(name: str) -> Column:
    return F.lit(None).cast("string").alias(name)


def _parts(parts: DataFrame, is_new: bool) -> DataFrame:
    nothing = (F.lit(None).cast("binary").alias(name) for name in ("root", "content", "signature"))
    return parts.select("doc_id", *nothing, "part", F.lit(is_new).alias("is_new"))


def _labelled(facts: DataFrame) -> DataFrame:
    """Add ``label``, the name of the component that roots and parts make. Input columns: those of FACT."""
    root, part = F.concat(F.lit("r"), F.hex("root")), F.concat(F.lit("p"), F.col("part"))
    nodes = facts.select("doc_id", F.explode(F.array_compact(F.array(root, part))).alias("node")).distinct()
    document = F.concat(F.lit("d"), F.col("doc_id"))
    labels = connected_components(nodes.select(document.alias("a"), F.col("node").alias("b")))
    return facts.join(labels.select("node", F.col("root").alias("label")), document == F.col("node"))


def _grouped(least: float, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    held = [batch for batch in batches if len(batch)]
    if held:
        found = splits.group(pa.Table.from_batches(held).cast(splits.FACT), least)
        yield from found.combine_chunks().to_batches()


STAGE = Stage(
    name="group",
    settings=GroupSettings,
    adds=GROUP,
    needs=("instruction_src",),
    version=minhash.SKETCH_VERSION,
)
