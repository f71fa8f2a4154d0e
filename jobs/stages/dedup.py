"""Drop documents that are nearly the same as one that is kept: MinHash LSH, incremental.

``sketch`` turns texts into narrow index entries; ``decide`` compares a batch of entries with itself and with the kept
entries of earlier batches. A caller that keeps an index does, for each batch b,

1. ``new = sketch(docs).persist()``;
2. ``decide(new, the index where batch_id < b)``;
3. append ``kept_entries`` to the index, with batch_id b; write the documents with their decisions.

Both writes may be repeated or torn apart by a crash: a replay reads earlier batches only, so it decides the same.
``deduplicate`` does it all for one DataFrame.
"""

from __future__ import annotations

from functools import partial
from typing import Final, Literal

import pyarrow as pa
from pydantic import Field, model_validator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, LongType, StringType, StructField, StructType

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import DEDUP
from jobs.stages.base import Stage, StageSettings
from jobs.stages.components import connected_components
from udfs import clusters, dedup_batches, minhash
from udfs.folding import CLASSES
from udfs.minhash import MAX_SHINGLE_CHARS, SketchPlan
from udfs.settings import OPERATIONAL, Settings

ENTRIES: Final = StructType(
    [
        StructField("doc_id", StringType(), False),
        StructField("revision", StringType(), True),
        StructField("scope", StringType(), True),  # documents of different scopes are never compared
        StructField("source", StringType(), True),
        StructField("date", StringType(), True),
        StructField("chars", LongType(), False),  # characters that count: letters, marks, digits, single gaps
        StructField("content", BinaryType(), False),  # 16 bytes, equal for equal folded texts of a scope
        StructField("keys", BinaryType(), False),  # band keys, 8 bytes each
        StructField("signature", BinaryType(), False),  # 4 bits for each of 2 x bins
        StructField("shingles", BinaryType(), True),  # 4 bytes a shingle, only with ``verify: exact``
    ]
)
INDEX: Final = StructType([*ENTRIES.fields, StructField("batch_id", LongType(), False)])

_POSTINGS: Final = "bucket int, is_indexed boolean, postings binary"
_LINKS: Final = "a binary, b binary"
_DECISION: Final = (
    "doc_id string, duplicate_of string, cluster_id string, cluster_size long, similarity double, is_duplicate boolean"
)
_LAST_DATE: Final = "\U0010ffff"  # a document without a date comes after all that have one


class ShingleChars(Settings):
    """Length of a shingle in characters, by the script of its last character.

    The defaults make one changed word cost about the same share of shingles in every script: a word takes about six
    characters with its space in alphabetic scripts, and fewer where a character holds a syllable or a meaning.
    """

    alphabetic: int = Field(default=9, ge=1, le=MAX_SHINGLE_CHARS)
    """Latin, Cyrillic, Arabic, Devanagari and every script not named below."""
    han: int = Field(default=5, ge=1, le=MAX_SHINGLE_CHARS)
    """Chinese characters, also in Japanese."""
    kana: int = Field(default=6, ge=1, le=MAX_SHINGLE_CHARS)
    """Hiragana, katakana and bopomofo."""
    hangul: int = Field(default=6, ge=1, le=MAX_SHINGLE_CHARS)
    """Korean syllables."""
    unspaced: int = Field(default=9, ge=1, le=MAX_SHINGLE_CHARS)
    """Thai, Lao, Khmer, Myanmar, Tibetan and other alphabets written without spaces between words."""


class DedupSettings(StageSettings):
    """Drop documents that nearly repeat one that is kept."""

    max_files_per_batch: int | None = Field(None, ge=1, json_schema_extra=OPERATIONAL)
    """Files of the table before it that one batch reads; null: all there are, so that what is kept does not depend on
    how rows fell into files."""
    threshold: float = Field(0.8, gt=0, le=1)
    """Least Jaccard similarity of duplicates: shingles that two texts share, as a share of those of both."""
    shingle_chars: ShingleChars = Field(default_factory=ShingleChars)
    """Characters in a shingle, by script."""
    scope: Literal["language", "source", "all"] = "language"
    """Compare documents within a language, within a source, or all with all."""
    keep: Literal["longest", "earliest", "preferred_source"] = "longest"
    """Which document of a cluster stays: the longest; the one with the earliest date, as text, undated ones last; or
    the one of the source that comes first in ``preferred_sources``. Ties go to the longest, then the smallest id."""
    preferred_sources: tuple[str, ...] = ()
    """Sources by preference for ``keep: preferred_source``; all others come after them."""
    verify: Literal["estimate", "exact"] = "estimate"
    """Compare candidates by their signatures (standard error about 0.02), or by their whole sets of shingles, for
    which the index holds four bytes a character more."""
    bins: Literal[32, 64, 128, 256, 512, 1024] = 256
    """Size of a sketch: bytes of a signature, and hash values that the bands draw on."""
    bands: int | None = Field(None, ge=1)
    """Bands of hash values; two documents are compared if they agree in one. null: the best for the threshold."""
    rows_per_band: int | None = Field(None, ge=1)
    """Hash values in a band. null: the best for the threshold."""
    missed_weight: float = Field(0.95, gt=0, lt=1)
    """What a missed pair weighs against a needless comparison, when bands are chosen."""
    components: Literal["auto", "driver", "spark"] = Field("auto", json_schema_extra=OPERATIONAL)
    """Where clusters are put together: in the driver, over Spark, or in the driver if there are few links."""
    max_driver_links: int = Field(2_000_000, ge=0, json_schema_extra=OPERATIONAL)
    """Links that ``components: auto`` takes into the driver; each takes up to some 600 bytes there."""

    @model_validator(mode="after")
    def _bands_fit(self) -> DedupSettings:
        if (self.bands is None) != (self.rows_per_band is None):
            raise ValueError("give both bands and rows_per_band, or neither")
        if self.bands is not None and self.rows_per_band is not None and self.bands * self.rows_per_band > self.bins:
            raise ValueError(
                f"bands x rows_per_band is {self.bands * self.rows_per_band}, more than the {self.bins} bins; lower "
                "one or raise bins"
            )
        return self

    def plan(self) -> SketchPlan:
        """Return what a sketch is made of under these settings."""
        alphabetic, han, kana, hangul, unspaced = (getattr(self.shingle_chars, name) for name in CLASSES)
        sizes = (alphabetic, han, kana, hangul, unspaced)
        if self.bands is not None and self.rows_per_band is not None:
            return SketchPlan(sizes, self.bins, self.bands, self.rows_per_band)
        weights = (1 - self.missed_weight, self.missed_weight)
        return SketchPlan(sizes, self.bins, *minhash.optimal_bands(self.threshold, self.bins, weights))


def sketch(docs: DataFrame, settings: DedupSettings, column: str = "text") -> DataFrame:
    """Turn documents into index entries. A document whose text is null gives none.

    Input columns: doc_id (unique, not null), ``column``; the scope's column, ``language`` or ``source``, unless the
    scope is all; and, if there, revision, source, date.
    Output columns: ENTRIES.

    Raises:
        ValueError: if a column that the settings need is missing.
    """
    needed = {"doc_id", column} | ({settings.scope} - {"all"})
    needed |= {"date"} if settings.keep == "earliest" else set()
    needed |= {"source"} if settings.keep == "preferred_source" else set()
    missing = sorted(needed - set(docs.columns))
    if missing:
        raise ValueError(f"Deduplication needs the columns {', '.join(missing)}, which these documents do not have.")
    narrow = docs.where(F.col(column).isNotNull()).select(
        F.col("doc_id").cast("string"),
        _optional(docs, "revision"),
        (F.lit(None) if settings.scope == "all" else F.col(settings.scope)).cast("string").alias("scope"),
        _optional(docs, "source"),
        _optional(docs, "date"),
        F.col(column).cast("string").alias("text"),
    )
    return narrow.mapInArrow(partial(dedup_batches.sketch, settings.plan(), settings.verify == "exact"), ENTRIES)


def decide(new: DataFrame, old: DataFrame | None, settings: DedupSettings) -> DataFrame:
    """Decide which documents of a batch are duplicates.

    Each is compared with the rest of its batch and with the kept documents of earlier ones. Entries in ``old`` of
    documents that come again in ``new`` are void: a document is no duplicate of its own earlier revision, and no
    other is a duplicate of a text that has been replaced.

    Runs Spark jobs over ``new`` and ``old`` several times; both should be tables, or persisted.

    Input columns: ENTRIES, in both. ``old`` holds the kept entries of earlier batches.
    Output columns: doc_id, duplicate_of, cluster_id, cluster_size, similarity, is_duplicate; one row for each document
    of ``new`` in a cluster of two or more. A cluster is a connected component of similar documents; ``old`` ones count.
    """
    if old is not None:
        old = old.join(new.select("doc_id"), on="doc_id", how="left_anti")
    links = _links(new, old)
    in_driver = settings.components == "driver"
    if not in_driver:
        links = links.persist()
    if settings.components == "auto":
        in_driver = links.count() <= settings.max_driver_links
    candidates = _candidates(new, False, settings)
    if old is not None:
        candidates = candidates.union(_candidates(old, True, settings))
    return (_decide_in_driver if in_driver else _decide_in_spark)(links, candidates, settings)


def deduplicate(docs: DataFrame, settings: DedupSettings | None = None, column: str = "text") -> DataFrame:
    """Mark near-duplicates in one DataFrame.

    Runs Spark jobs, and keeps the index entries persisted until the session ends.

    Input columns: as ``sketch``.
    Output columns: the same, duplicate_of, cluster_id, cluster_size, similarity, all null for a document alone;
    if there is a column ``rejected_for``, duplicates get ``dedup.duplicate`` in it.
    """
    settings = settings or DedupSettings()
    decisions = decide(sketch(docs, settings, column).persist(), None, settings)
    return with_decisions(docs, decisions)


def with_decisions(docs: DataFrame, decisions: DataFrame) -> DataFrame:
    """Add the columns of DEDUP to documents, and ``dedup.duplicate`` to ``rejected_for`` if they have it.

    Input columns: doc_id, any others; and those of ``decide``. Output columns: those of ``docs`` and DEDUP.
    """
    others = [name for name in docs.columns if name not in DEDUP.fieldNames()]
    named = decisions.withColumn("doc_id", F.col("doc_id").cast(docs.schema["doc_id"].dataType))
    joined = docs.select(*others).join(named, on="doc_id", how="left")
    result = {name: F.col(name) for name in [*others, *DEDUP.fieldNames()]}
    if "rejected_for" in result:
        result["rejected_for"] = F.when(
            F.coalesce("is_duplicate", F.lit(False)), F.concat("rejected_for", F.array(F.lit(Reason.DUPLICATE.value)))
        ).otherwise(F.col("rejected_for"))
    return joined.select(*(value.alias(name) for name, value in result.items()))


def kept_entries(new: DataFrame, decisions: DataFrame) -> DataFrame:
    """Return the entries of the documents that stay: those to append to the index.

    Input columns: ENTRIES; and those of ``decide``. Output columns: ENTRIES.
    """
    return new.join(decisions.where("is_duplicate").select("doc_id"), on="doc_id", how="left_anti")


def _optional(docs: DataFrame, name: str) -> Column:
    return (F.col(name) if name in docs.columns else F.lit(None)).cast("string").alias(name)


def _links(new: DataFrame, old: DataFrame | None) -> DataFrame:
    """Contents that share a band key, as links between two of them; a content of several documents with itself.

    Band keys travel in blocks, a row for each bucket and each 20,000 documents, so that Spark moves few rows.
    """
    session = new.sparkSession
    buckets = _buckets(session.conf.get("spark.sql.shuffle.partitions"))
    blocks = new.select("content", "keys").mapInArrow(partial(dedup_batches.post, buckets, False), _POSTINGS)
    if old is not None:
        blocks = blocks.union(
            old.select("content", "keys").mapInArrow(partial(dedup_batches.post, buckets, True), _POSTINGS)
        )
    return blocks.repartition("bucket").mapInArrow(dedup_batches.link, _LINKS)


def _buckets(partitions: str | None) -> int:
    """A power of two, some times the shuffle partitions, so that they are filled evenly."""
    wanted = 8 * int(partitions) if partitions and partitions.isdigit() else 4096
    return 1 << max(6, min(16, wanted.bit_length()))


def _candidates(entries: DataFrame, is_indexed: bool, settings: DedupSettings) -> DataFrame:
    preference, date = F.lit(0), F.lit("")
    if settings.keep == "preferred_source":
        names = F.array(*map(F.lit, settings.preferred_sources)) if settings.preferred_sources else F.array(F.lit(""))
        place = F.array_position(names, F.coalesce("source", F.lit(""))).cast("int")
        preference = F.when(place == 0, F.lit(len(settings.preferred_sources) + 1)).otherwise(place)
    if settings.keep == "earliest":
        date = F.coalesce("date", F.lit(_LAST_DATE))
    return entries.select(
        "doc_id", "content", "signature", "shingles", F.lit(is_indexed).alias("is_indexed"),
        preference.cast("int").alias("preference"), date.alias("date"), "chars",
    )  # fmt: skip


def _decide_in_driver(links: DataFrame, candidates: DataFrame, settings: DedupSettings) -> DataFrame:
    found = links.toArrow()
    _, wanted = clusters.number_nodes(pa.chunked_array([*found["a"].chunks, *found["b"].chunks], pa.binary()))
    session = links.sparkSession
    wanted_rows = session.createDataFrame(pa.table({"content": wanted}))
    linked = candidates.join(F.broadcast(wanted_rows), on="content", how="left_semi")
    decided = clusters.decide_linked(linked.select(*candidates.columns).toArrow(), found, settings.threshold)
    return session.createDataFrame(decided, schema=_DECISION)


def _decide_in_spark(links: DataFrame, candidates: DataFrame, settings: DedupSettings) -> DataFrame:
    ends = links.select(F.col("a").alias("content")).union(links.select("b")).distinct()
    linked = candidates.join(ends, on="content", how="left_semi").select(*candidates.columns).persist()
    sketches = linked.groupBy("content").agg(F.min("signature").alias("signature"), F.min("shingles").alias("shingles"))
    pairs = links.where("a <> b").distinct()
    for end in ("a", "b"):
        one = sketches.select(
            F.col("content").alias(end), F.col("signature").alias(f"signature_{end}"),
            F.col("shingles").alias(f"shingles_{end}"),
        )  # fmt: skip
        pairs = pairs.join(one, on=end, how="inner")
    edges = pairs.mapInArrow(partial(dedup_batches.verify, settings.threshold), _LINKS)
    labels = connected_components(edges).withColumnRenamed("node", "content")
    rooted = linked.join(labels, on="content", how="left").select(
        *linked.columns, F.coalesce("root", "content").alias("root")
    )
    return rooted.repartition("root").mapInArrow(partial(dedup_batches.choose, settings.threshold), _DECISION)


STAGE = Stage(name="dedup", settings=DedupSettings, adds=DEDUP, version=minhash.SKETCH_VERSION)
