"""Drop documents that are nearly the same as one that is kept: MinHash LSH, incremental.

``sketch`` turns texts into narrow index entries; ``decide`` compares a batch of entries with itself and with the kept
entries of earlier batches. A caller that keeps an index does, for each batch b,

1. ``new = sketch(docs).persist()``;
2. ``decide(new, the index where batch_id < b)``;
3. append ``kept_entries`` to the index, with batch_id b; write the documents ``with_decisions``.

Both writes may be repeated or torn apart by a crash: a replay reads earlier batches only, so it decides the same.
``deduplicate`` does it all for one DataFrame.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import BinaryType, LongType, StructField, StructType

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import DEDUP
from jobs.stages.base import HOLDS_PAIR, Stage, StageSettings, no_columns
from jobs.stages.components import connected_components
from udfs import clusters, dedup_batches, dedup_blocks, minhash
from udfs.dedup_batches import Wanted
from udfs.folding import CLASSES
from udfs.minhash import MAX_SHINGLE_CHARS, SketchPlan
from udfs.sampling import SEPARATOR
from udfs.settings import OPERATIONAL, Settings

ENTRIES: Final = from_arrow_schema(dedup_blocks.ENTRY)
BLOCKS: Final = from_arrow_schema(dedup_blocks.BLOCK)

_WANTED: Final = "scopes array<string>, keys binary, ids binary"
_POSTINGS: Final = "bucket int, is_indexed boolean, postings binary"
_LINK_ROWS: Final = "links long, a binary, b binary"
_LINKS: Final = "a binary, b binary"
_CANDIDATES: Final = from_arrow_schema(clusters.CANDIDATE)
_DECISIONS: Final = from_arrow_schema(clusters.DECISION)
_ROOTED: Final = StructType([*_CANDIDATES.fields, StructField("root", BinaryType())])
# What goes to every task as a plain value: ids or contents, some 16 to 64 bytes each.
_MOST_VALUES: Final = 500_000


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

    max_files_per_batch: int | None = Field(10_000, ge=1, json_schema_extra=OPERATIONAL)
    """Files of the table before it that one batch reads: so many that most corpora are one batch, and what is kept
    does not depend on how rows fell into files."""
    threshold: float = Field(0.8, gt=0, le=1)
    """Least Jaccard similarity of duplicates: shingles that two texts share, as a share of those of both. Estimates up
    to one standard error lower count too (0.018 at 0.8 and 256 bins)."""
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
    """Links that ``components: auto`` takes into the driver, to some thousands; each takes up to 600 bytes there."""
    max_looked_up: int = Field(400_000, ge=0, json_schema_extra=OPERATIONAL)
    """Documents of a batch up to which the index is searched for their keys, in one pass and without a shuffle; each
    takes some 300 bytes in every task. The keys of a larger batch and the index meet in a shuffle."""

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

    def least_similarity(self) -> float:
        """Return what a pair's similarity must be for it to count as duplicates.

        With estimates one standard error less than the threshold, or every second pair at the threshold would be lost.
        """
        error = math.sqrt(self.threshold * (1 - self.threshold) / (2 * self.bins))
        return self.threshold - (error if self.verify == "estimate" else 0)

    def compared(self, column: str) -> Column:
        """Return what of a row of the record is compared, in place of ``column``."""
        return F.col(column)

    def plan(self) -> SketchPlan:
        """Return what a sketch is made of under these settings."""
        alphabetic, han, kana, hangul, unspaced = (getattr(self.shingle_chars, name) for name in CLASSES)
        sizes = (alphabetic, han, kana, hangul, unspaced)
        if self.bands is not None and self.rows_per_band is not None:
            return SketchPlan(sizes, self.bins, self.bands, self.rows_per_band)
        weights = (1 - self.missed_weight, self.missed_weight)
        return SketchPlan(sizes, self.bins, *minhash.optimal_bands(self.threshold, self.bins, weights))

    def entries_made_with(self) -> str:
        """Return, as JSON, all that entries must have in common to be compared."""
        plan = {**asdict(self.plan()), "scope": self.scope, "shingles": self.verify == "exact"}
        return json.dumps({**plan, "version": minhash.SKETCH_VERSION}, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Decisions:
    """What was decided on a batch.

    Attributes:
        rows: doc_id, duplicate_of, cluster_id, cluster_size, similarity, is_duplicate; one row for each document of the
            batch in a cluster of two or more. A cluster is a connected component of similar documents, those of
            earlier batches included.
        local: the same, if it was decided in the driver.
        superseded: entries of the index that are of documents of the batch; None if that was not counted.
    """

    rows: DataFrame
    local: pa.Table | None = None
    superseded: int | None = 0


@dataclass(frozen=True, slots=True)
class Similar:
    """Documents that are like another.

    Attributes:
        rows: columns of ``clusters.CANDIDATE``, root (binary): the name of the connected component of similar
            documents. Those of the batch, and those of earlier batches that they are compared with.
        local: the same, if it was found in the driver.
        superseded: as that of ``Decisions``.
    """

    rows: DataFrame
    local: pa.Table | None = None
    superseded: int | None = 0


def sketch(docs: DataFrame, settings: DedupSettings, column: str = "text", key: str = "doc_id") -> DataFrame:
    """Turn documents into index entries, in blocks. A document whose text is null gives none.

    Input columns: ``key`` (unique, not null), ``column``; the scope's column, ``language`` or ``source``, unless the
    scope is all; and, if there, revision, source, date.
    Output columns: BLOCKS.

    Raises:
        ValueError: if a column that the settings need is missing.
    """
    needed = {key, column} | ({settings.scope} - {"all"})
    needed |= {"date"} if settings.keep == "earliest" else set()
    needed |= {"source"} if settings.keep == "preferred_source" else set()
    missing = sorted(needed - set(docs.columns))
    if missing:
        raise ValueError(f"Deduplication needs the columns {', '.join(missing)}, which these documents do not have.")
    narrow = docs.where(F.col(column).isNotNull()).select(
        F.col(key).cast("string").alias("doc_id"),
        _optional(docs, "revision"),
        (F.lit(None) if settings.scope == "all" else F.col(settings.scope)).cast("string").alias("scope"),
        _optional(docs, "source"),
        _optional(docs, "date"),
        F.col(column).cast("string").alias("text"),
    )
    return narrow.mapInArrow(partial(dedup_batches.sketch, settings.plan(), settings.verify == "exact"), BLOCKS)


def entries(blocks: DataFrame) -> DataFrame:
    """Open blocks. Input columns: BLOCKS. Output columns: ENTRIES, a row a document."""
    return blocks.select(*BLOCKS.fieldNames()).mapInArrow(dedup_batches.unpacked, ENTRIES)


def wanted(blocks: DataFrame, settings: DedupSettings) -> Wanted | None:
    """Gather in the driver what a batch looks for in an index: its band keys and ids.

    None if there are more than ``max_looked_up`` documents: too many keys to take to every task.

    Input columns: BLOCKS.
    """
    size = blocks.agg(F.sum("entries")).first()
    if size is None or (size[0] or 0) > settings.max_looked_up:
        return None
    rows = blocks.select(*BLOCKS.fieldNames()).mapInArrow(dedup_batches.wanted, _WANTED).toArrow()
    return dedup_batches.wanted_of(rows)


def decide(new: DataFrame, old: DataFrame | None, settings: DedupSettings, sought: Wanted | None = None) -> Decisions:
    """Decide which documents of a batch are duplicates.

    Each is compared with the rest of its batch and with the kept documents of earlier ones. Entries in ``old`` of
    documents that come again in ``new`` are void: a document is no duplicate of its own earlier revision, and no
    other is a duplicate of a text that has been replaced.

    Runs Spark jobs over ``new`` several times, so it should be a table or persisted; ``old`` is read once.

    Input columns: BLOCKS, in both. ``old`` holds the kept entries of earlier batches. ``sought`` is what ``wanted``
    gave, if it was called.
    """
    with _linked(new, old, settings, sought) as (links, found, old, superseded):
        if found is None:
            return Decisions(_decide_in_spark(links, new, old, settings), superseded=superseded)
        return _decide_in_driver(found, new, old, settings, superseded)


def similar(new: DataFrame, old: DataFrame | None, settings: DedupSettings) -> Similar:
    """Find the documents of a batch that are like another, in it or in earlier batches; decides nothing.

    Runs Spark jobs as ``decide`` does. Input columns: BLOCKS, in both; ``old`` may hold documents that are alike.
    """
    with _linked(new, old, settings) as (links, found, old, superseded):
        if found is None:
            return Similar(_rooted(links, new, old, settings), superseded=superseded)
        unpacked, candidates = _linked_candidates(found, new, old, settings)
        local = clusters.root_linked(candidates, unpacked, settings.least_similarity())
        rows = new.sparkSession.createDataFrame(local, schema=_ROOTED)
        return Similar(rows, local, superseded)


@contextmanager
def _linked(
    new: DataFrame, old: DataFrame | None, settings: DedupSettings, sought: Wanted | None = None
) -> Iterator[tuple[DataFrame, pa.Table | None, DataFrame | None, int | None]]:
    """Yield the links, the same in the driver or None, what matters of the index, and how many entries are void."""
    superseded: int | None = 0
    if old is not None:
        old, superseded = _indexed(new, old, settings, sought or wanted(new, settings))
    links = _links(new, old).persist()
    try:
        if settings.components == "spark":
            found = None
        elif settings.components == "driver":
            found = links.toArrow()
        else:
            # One row more than may come: all are here if fewer came.
            most = settings.max_driver_links // dedup_batches.LINKS_PER_ROW
            found = links.limit(most + 1).toArrow()
            found = found if len(found) <= most else None
        yield links, found, old, superseded
    finally:
        links.unpersist()
        if old is not None:
            old.unpersist()


def deduplicate(
    docs: DataFrame, settings: DedupSettings | None = None, column: str = "text", key: str = "doc_id"
) -> DataFrame:
    """Mark near-duplicates in one DataFrame.

    Runs Spark jobs; reads ``docs`` twice.

    Input columns: as ``sketch``.
    Output columns: the same, duplicate_of, cluster_id, cluster_size, similarity, all null for a document alone;
    if there is a column ``rejected_for``, duplicates get ``dedup.duplicate`` in it.

    Raises:
        ValueError: if a column is missing, or ``key`` is null or the same in two rows.
    """
    settings = settings or DedupSettings()
    new = sketch(docs, settings, column, key).persist()
    try:
        refuse_repeated(new, key)
        return with_decisions(docs, decide(new, None, settings), column=column, key=key)
    finally:
        new.unpersist()


def with_decisions(
    docs: DataFrame,
    decisions: Decisions,
    reason: Reason = Reason.DUPLICATE,
    column: str = "text",
    key: str = "doc_id",
    prefix: str = "",
) -> DataFrame:
    """Add the columns of DEDUP to documents, and the reason to ``rejected_for`` if they have it.

    A document whose text is null was compared with none, and gets nothing, even where another has its id.

    Input columns: ``key``, ``column``, any others. Output columns: those of ``docs`` and of DEDUP, with ``prefix``.
    """
    added = {prefix + name: name for name in DEDUP.fieldNames()}
    others = [name for name in docs.columns if name not in added]
    named = decisions.rows.select(
        F.col("doc_id").cast(docs.schema[key].dataType).alias("decided_id"),
        F.col("is_duplicate").alias("is_duplicate_here"),
        *(F.col(name).alias(new) for new, name in added.items()),
    )
    if decisions.local is not None and len(decisions.local) <= _MOST_VALUES:
        named = F.broadcast(named)
    is_theirs = (F.col(key) == F.col("decided_id")) & F.col(column).isNotNull()
    joined = docs.select(*others).join(named, is_theirs, how="left")
    result = {name: F.col(name) for name in [*others, *added]}
    if "rejected_for" in result:
        result["rejected_for"] = F.when(
            F.coalesce("is_duplicate_here", F.lit(False)), F.concat("rejected_for", F.array(F.lit(reason.value)))
        ).otherwise(F.col("rejected_for"))
    return joined.select(*(value.alias(name) for name, value in result.items()))


def kept_entries(new: DataFrame, decisions: Decisions) -> DataFrame:
    """Return the entries of the documents that stay: those to append to the index.

    Input columns: BLOCKS. Output columns: BLOCKS.
    """
    if decisions.local is not None:
        gone = decisions.local.filter(decisions.local["is_duplicate"])["doc_id"].combine_chunks()
        if len(gone) <= _MOST_VALUES:
            return new.mapInArrow(partial(dedup_batches.without, gone), BLOCKS)
    return without(new, decisions.rows.where("is_duplicate").select("doc_id"))


def refuse_repeated(blocks: DataFrame, key: str = "doc_id", sought: Wanted | None = None) -> None:
    """Make sure that no two documents have the same id, or one has none.

    Input columns: BLOCKS. ``sought`` is what ``wanted`` gave, if it was called: it saves a shuffle.

    Raises:
        ValueError: naming some.
    """
    names = _repeated(blocks) if sought is None else sought.repeated().slice(0, 5).to_pylist()
    if names:
        raise ValueError(
            f"Column {key} must name each document once, but some values are null or in more than one row: "
            f"{', '.join(map(str, names))}. Choose another column, or drop the repeated rows."
        )


def _repeated(blocks: DataFrame) -> list[str | None]:
    hashes = blocks.select("ids").mapInArrow(dedup_batches.id_hashes_of, "id long")
    again = hashes.groupBy("id").count().where("count > 1").select("id")
    found = [row["id"] for row in again.limit(5).collect()]
    if not found:
        return []
    names = blocks.select(*BLOCKS.fieldNames()).mapInArrow(partial(dedup_batches.ids_of, found), "doc_id string")
    return [row["doc_id"] for row in names.distinct().limit(5).collect()]


def without(blocks: DataFrame, ids: DataFrame) -> DataFrame:
    """Take documents out of blocks. Input columns: BLOCKS; doc_id. Output columns: BLOCKS."""
    left = entries(blocks).join(ids.distinct(), on="doc_id", how="left_anti").select(*ENTRIES.fieldNames())
    return left.mapInArrow(dedup_batches.packed, BLOCKS)


def _optional(docs: DataFrame, name: str) -> Column:
    return (F.col(name) if name in docs.columns else F.lit(None)).cast("string").alias(name)


def _indexed(
    new: DataFrame, old: DataFrame, settings: DedupSettings, sought: Wanted | None
) -> tuple[DataFrame, int | None]:
    """Choose what of the index matters to a batch: persisted blocks, and how many of its entries are void.

    Input columns: BLOCKS, in both. Output columns: BLOCKS, perhaps others.
    """
    if sought is None:
        # All keys of the index go through the shuffle with those of the batch.
        ids = entries(new).select("doc_id")
        return without(old, ids).persist(), None
    named = sorted(each for each in sought.scopes if each is not None)
    is_in_scope = F.coalesce(F.col("scope").isin(named), F.lit(False))
    if None in sought.scopes:
        is_in_scope |= F.col("scope").isNull()
    schema = StructType([*BLOCKS.fields, StructField("superseded", LongType())])
    blocks = old.where(is_in_scope).select(*BLOCKS.fieldNames())
    hits = blocks.mapInArrow(partial(dedup_batches.probe, sought), schema).persist()
    counts = hits.select("superseded")
    if settings.scope != "all":
        # A document may come again in another scope. It is compared with nothing there, but its entry has to go.
        elsewhere = old.where(~is_in_scope).select("ids")
        counts = counts.union(elsewhere.mapInArrow(partial(dedup_batches.count_again, sought), "superseded long"))
    superseded = (counts.agg(F.sum("superseded")).first() or [0])[0] or 0
    return hits, superseded


def _links(new: DataFrame, old: DataFrame | None) -> DataFrame:
    """Contents that share a band key, as links between two of them; a content of several documents with itself.

    Band keys travel in blocks, a row for each bucket and each 20,000 documents, so that Spark moves few rows.
    Output columns: links (how many), a, b (contents, one after another).
    """
    session = new.sparkSession
    buckets = _buckets(session.conf.get("spark.sql.shuffle.partitions"))
    names = BLOCKS.fieldNames()
    postings = new.select(*names).mapInArrow(partial(dedup_batches.post, buckets, False), _POSTINGS)
    if old is not None:
        indexed = old.select(*names).mapInArrow(partial(dedup_batches.post, buckets, True), _POSTINGS)
        postings = postings.union(indexed)
    return postings.repartition("bucket").mapInArrow(dedup_batches.link, _LINK_ROWS)


def _buckets(partitions: str | None) -> int:
    """A power of two, some times the shuffle partitions, so that they are filled evenly."""
    wanted = 8 * int(partitions) if partitions and partitions.isdigit() else 4096
    return 1 << max(6, min(16, wanted.bit_length()))


def _candidates(new: DataFrame, old: DataFrame | None, chosen: pa.Array | None, settings: DedupSettings) -> DataFrame:
    """Documents as the choice of survivors sees them. Output columns: those of ``clusters.CANDIDATE``."""
    by_source = settings.keep == "preferred_source"
    rule = dedup_batches.KeepRule(settings.keep == "earliest", settings.preferred_sources if by_source else None)
    names = BLOCKS.fieldNames()
    found = new.select(*names).mapInArrow(partial(dedup_batches.candidates, rule, chosen, False), _CANDIDATES)
    if old is not None:
        indexed = partial(dedup_batches.candidates, rule, chosen, True)
        found = found.union(old.select(*names).mapInArrow(indexed, _CANDIDATES))
    return found


def _decide_in_driver(
    rows: pa.Table, new: DataFrame, old: DataFrame | None, settings: DedupSettings, superseded: int | None
) -> Decisions:
    links, linked = _linked_candidates(rows, new, old, settings)
    decided = clusters.decide_linked(linked, links, settings.least_similarity())
    return Decisions(new.sparkSession.createDataFrame(decided, schema=_DECISIONS), decided, superseded)


def _linked_candidates(
    rows: pa.Table, new: DataFrame, old: DataFrame | None, settings: DedupSettings
) -> tuple[pa.Table, pa.Table]:
    """Return links, and the documents at their ends, from rows of ``_links``."""
    links = pa.table({end: dedup_batches.contents(rows[end]) for end in ("a", "b")})
    chosen = pc.unique(pa.concat_arrays([links["a"].combine_chunks(), links["b"].combine_chunks()]))
    return links, _candidates(new, old, chosen, settings).toArrow()


def _decide_in_spark(link_rows: DataFrame, new: DataFrame, old: DataFrame | None, settings: DedupSettings) -> DataFrame:
    choose = partial(dedup_batches.choose, settings.least_similarity())
    return _rooted(
        link_rows, new, old, settings, lambda rooted: rooted.repartition("root").mapInArrow(choose, _DECISIONS)
    )


def _rooted(
    link_rows: DataFrame,
    new: DataFrame,
    old: DataFrame | None,
    settings: DedupSettings,
    then: Callable[[DataFrame], DataFrame] = lambda rooted: rooted,
) -> DataFrame:
    """Verify links, find the components over Spark, and compute what is made of them.

    Output columns: those of ``clusters.CANDIDATE``, root; or those that ``then`` makes of them.
    """
    least = settings.least_similarity()
    links = link_rows.mapInArrow(dedup_batches.unpacked_links, _LINKS).distinct().persist()
    ends = links.select(F.col("a").alias("content")).union(links.select("b")).distinct()
    everyone = _candidates(new, old, None, settings)
    linked = everyone.join(ends, on="content", how="left_semi").select(*everyone.columns).persist()
    sketches = linked.groupBy("content").agg(F.min("signature").alias("signature"), F.min("shingles").alias("shingles"))
    pairs = links.where("a <> b")
    for end in ("a", "b"):
        one = sketches.select(
            F.col("content").alias(end), F.col("signature").alias(f"signature_{end}"),
            F.col("shingles").alias(f"shingles_{end}"),
        )  # fmt: skip
        pairs = pairs.join(one, on=end, how="inner")
    edges = pairs.mapInArrow(partial(dedup_batches.verify, least), _LINKS)
    labels = connected_components(edges).withColumnRenamed("node", "content")
    rooted = linked.join(labels, on="content", how="left").select(
        *linked.columns, F.coalesce("root", "content").alias("root")
    )
    made = then(rooted).localCheckpoint()
    linked.unpersist()
    links.unpersist()
    return made


@dataclass(frozen=True, slots=True)
class Target:
    """What a stage of the recipe compares, and how it says so."""

    column: str
    duplicate: Reason
    superseded: Reason
    prefix: str = ""
    """Of the columns it adds."""

    @property
    def adds(self) -> StructType:
        """Return the columns of DEDUP under their names here."""
        return StructType([StructField(self.prefix + each.name, each.dataType) for each in DEDUP.fields])


class InstructionDedupSettings(DedupSettings):
    """Drop pairs whose instruction nearly repeats that of one that is kept."""

    threshold: float = Field(0.95, gt=0, le=1)
    """Least Jaccard similarity of duplicates. High, as two short instructions may differ in one name alone.
    Instructions that a source holds are duplicates only if they are equal, with all that was said before: those of
    one task differ in their input alone."""

    def compared(self, column: str) -> Column:
        """Return the instruction; of one that its source holds a digest, which is like no other."""
        before = F.slice("messages", 1, F.size("messages") - 1)
        said = F.when(F.size("messages") > 0, F.to_json(before)).otherwise(F.col("instruction"))
        return F.when(F.expr(HOLDS_PAIR), F.sha2(said, 256)).otherwise(F.col(column))


class OutputDedupSettings(DedupSettings):
    """Drop pairs whose output nearly repeats that of one that is kept, whatever its language or source."""

    scope: Literal["language", "source", "all"] = "all"
    """Compare outputs within a language, within a source, or all with all."""
    min_given_chars: int = Field(200, ge=0)
    """An output of a pair that its source holds is a duplicate only together with its instruction if it is shorter:
    "yes" answers many questions."""

    def compared(self, column: str) -> Column:
        """Return the output; of a short one that its source holds a digest of the pair, which is like no other."""
        is_short = F.expr(HOLDS_PAIR) & (F.char_length(column) < self.min_given_chars)
        pair = F.sha2(F.concat("instruction", F.lit(SEPARATOR), F.col(column)), 256)
        return F.when(is_short, pair).otherwise(F.col(column))


TARGETS: Final = {
    "dedup": Target("text", Reason.DUPLICATE, Reason.SUPERSEDED),
    "dedup_instructions": Target(
        "instruction_src", Reason.DUPLICATE_INSTRUCTION, Reason.SUPERSEDED_INSTRUCTION, "instruction_"
    ),
    "dedup_outputs": Target("text", Reason.DUPLICATE_OUTPUT, Reason.SUPERSEDED_OUTPUT, "output_"),
}
"""What each deduplicating stage compares."""

STAGE, INSTRUCTIONS, OUTPUTS = (
    Stage(
        name=name,
        settings=settings,
        adds=TARGETS[name].adds,
        needs=needs,
        version=minhash.SKETCH_VERSION,
        of_pairs=of_pairs,
    )
    for name, settings, needs, of_pairs in (
        ("dedup", DedupSettings, (), no_columns),
        ("dedup_instructions", InstructionDedupSettings, ("instruction_src",), None),
        ("dedup_outputs", OutputDedupSettings, ("instruction_src",), None),
    )
)
