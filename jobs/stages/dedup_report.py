"""What near-duplicate removal did: clusters by size, the largest of them, shares, the error of estimating.

``summarise`` reads the narrow columns of a table of decisions a few times, and texts once, for a sample of pairs and
the largest clusters. ``as_markdown`` and ``as_json`` write the report down; ``jobs.commands.clusters`` prints it.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from jobs.runtime.console import printable
from jobs.runtime.errors import BackpromptError
from jobs.sources.sampling import sampling_position
from jobs.stages.dedup import TARGETS, DedupSettings
from udfs import clusters, minhash

CLUSTERS_SHOWN: Final = 20
SHARES_SHOWN: Final = 40
_SAMPLE_CHARS: Final = 200
_MEASURED_CHARS: Final = 50_000  # longer texts stay where they are: of thousands of books no driver has room
_MARGINS: Final = (0.0, 0.05, 0.1)  # below the threshold; pairs that are less alike than that are counted
_PAIRS_AT_ONCE: Final = 256  # bounds the memory of shingle sets, which take four bytes a character
_SIZES_NOTE: Final = (
    "A cluster is what one batch put together, with the documents kept by earlier batches that it repeats. "
    "A document in clusters of several batches counts in each; size 1 are documents like no other."
)
_MARKDOWN: Final = re.compile(r"([\\`*_\[\]|~$])")


@dataclass(frozen=True, slots=True)
class Share:
    """The documents of one language or source, and how many of them are duplicates."""

    name: str | None
    documents: int
    duplicates: int
    share: float


@dataclass(frozen=True, slots=True)
class SizeBin:
    """The clusters of ``least`` to ``most`` documents, and the documents in them."""

    least: int
    most: int
    clusters: int
    documents: int


@dataclass(frozen=True, slots=True)
class Member:
    """A document of a cluster: its similarity to the kept one, null for that, and the beginning of its text.

    Of a document that is not in the table, only the id is known.
    """

    doc_id: str
    similarity: float | None
    language: str | None
    source: str | None
    text: str | None


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster: the kept document that most of it repeats, and of its duplicates the least and the most like it."""

    cluster_id: str
    size: int
    kept_documents: int
    kept: Member
    duplicates: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class EstimateCheck:
    """The errors of recorded similarities, over pairs of a duplicate and what it repeats.

    An error is recorded minus exact similarity. ``greatest`` is without its sign. ``below`` gives for the threshold,
    and for limits below it, the share of pairs whose exact similarity is less.
    """

    pairs: int
    mean: float
    deviation: float
    greatest: float
    below: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DedupReport:
    """What near-duplicate removal did to a table.

    Attributes:
        threshold: least similarity of duplicates.
        verify: how similarity was found, as the setting of that name.
        documents: rows that were compared; a later revision of a document is a row of its own.
        duplicates: those that were dropped.
        share: duplicates as a share of documents.
        superseded: rows beside them that were not compared, as a newer revision came in the same batch.
        kept_elsewhere: duplicates of documents that the table does not hold, but the index of another run.
        sizes: clusters by size. A cluster is the documents with one ``cluster_id``, and the kept documents of earlier
            batches that they repeat. A document that later batches put in further clusters counts in each.
        shares: by the column they are of, language or source; most duplicates first.
        estimate: null if there are no duplicates to measure.
        largest: the largest clusters, largest first.
    """

    threshold: float
    verify: str
    documents: int
    duplicates: int
    share: float
    superseded: int
    kept_elsewhere: int
    sizes: tuple[SizeBin, ...]
    shares: Mapping[str, tuple[Share, ...]]
    estimate: EstimateCheck | None
    largest: tuple[Cluster, ...]


class ReportTable(NamedTuple):
    """A table of the report for a person; the first column names the rows, the others are numbers."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""


def summarise(
    docs: DataFrame,
    column: str,
    settings: DedupSettings,
    sample: int = 2_000,
    seed: int = 0,
    key: str = "doc_id",
) -> DedupReport:
    """Say what near-duplicate removal did to a table.

    Runs some seven Spark jobs over ``docs``, which should be a table, or persisted; one of them reads texts. The texts
    of the sampled pairs come to the driver, but those of more than 50,000 characters, whose pairs are not measured.

    Input columns: ``key``, ``column``, duplicate_of, cluster_id, similarity; and, if there, language, source,
    rejected_for, batch_id.

    Args:
        docs: documents with their decisions: a lake's table ``dedup``, or the result of ``deduplicate``.
        column: the column of the texts that were compared.
        settings: those that the decisions were made under.
        sample: how many pairs of a duplicate and what it repeats are measured again, exactly.
        seed: of the sample, which depends on it and the ids alone.
        key: the column of the ids.

    Raises:
        BackpromptError: if a column is missing.
    """
    missing = sorted({key, "duplicate_of", "cluster_id", "similarity", column} - set(docs.columns))
    if missing:
        raise BackpromptError(
            f"These documents lack the columns {', '.join(missing)}: name a table that deduplication has written, and "
            "the columns of the ids and of the texts that were compared"
        )
    marked = _marked(docs, column, key)
    counted = (F.count_if(~F.col("is_superseded")), F.count("duplicate_of"), F.count_if("is_superseded"))
    cells = marked.groupBy("language", "source").agg(*counted).collect()
    documents, duplicates, superseded = (sum(cell[place] for cell in cells) for place in (2, 3, 4))
    rows = marked.where(~F.col("is_superseded"))
    named = rows.where("duplicate_of is not null").select(F.col("duplicate_of").alias("doc_id"))
    kept_elsewhere = named.join(rows.select("doc_id"), on="doc_id", how="left_anti").count()
    alone = rows.where("cluster_id is null").join(named, on="doc_id", how="left_anti").count()
    # What a document repeats may have been kept by an earlier batch, and then is in no row of the cluster.
    members = rows.select("cluster_id", F.explode(F.array("doc_id", "duplicate_of")).alias("doc_id"))
    in_clusters = members.where("cluster_id is not null").groupBy("cluster_id")
    by_size = in_clusters.agg(F.count_distinct("doc_id").alias("size")).persist()
    try:
        counts = {row[0]: row[1] for row in by_size.groupBy("size").count().collect()}
        largest = _largest(rows, by_size)
    finally:
        by_size.unpersist()
    counts[1] = counts.get(1, 0) + alone
    pairs = _sampled_pairs(rows, sample, seed)
    revisions = _revisions(rows, pairs, largest)
    return DedupReport(
        threshold=settings.threshold,
        verify=settings.verify,
        documents=documents,
        duplicates=duplicates,
        share=duplicates / max(documents, 1),
        superseded=superseded,
        kept_elsewhere=kept_elsewhere,
        sizes=size_bins(counts),
        shares={name: _shares(cells, name) for name in ("language", "source") if name in docs.columns},
        estimate=_check_estimates(pairs, revisions, settings),
        largest=tuple(_cluster(row, revisions) for row in largest),
    )


def size_bins(counts: Mapping[int, int]) -> tuple[SizeBin, ...]:
    """Gather clusters, counted by size, into bins that end at powers of two: 1, 2, 3-4, 5-8; those that are not empty.

    >>> size_bins({3: 2, 4: 1})
    (SizeBin(least=3, most=4, clusters=3, documents=10),)
    """
    bins: dict[int, tuple[int, int]] = {}
    for size, count in counts.items():
        if count:
            power = (size - 1).bit_length()
            held = bins.get(power, (0, 0))
            bins[power] = held[0] + count, held[1] + size * count
    return tuple(SizeBin(2**power // 2 + 1, 2**power, *held) for power, held in sorted(bins.items()))


def exact_similarities(left: Sequence[str], right: Sequence[str], settings: DedupSettings) -> npt.NDArray[np.float64]:
    """Return the Jaccard similarity of pairs of texts by their whole sets of shingles, float64, shape (pairs,).

    Texts without letters, marks or digits have no shingles: they are compared as a whole, as deduplication does.
    """
    plan, found = settings.plan(), np.empty(len(left))
    for start in range(0, len(left), _PAIRS_AT_ONCE):
        here = slice(start, start + _PAIRS_AT_ONCE)
        one, other = (minhash.shingle_sets(pa.array(side[here], pa.large_string()), plan) for side in (left, right))
        is_same = [a == b for a, b in zip(left[here], right[here], strict=True)]
        # Signatures are not looked at where there are sets.
        found[here] = np.where(is_same, 1.0, clusters.pair_similarities(one, other, one, other))
    return found


# Spark ----------------------------------------------------------------------------------------------------------


def _marked(docs: DataFrame, column: str, key: str) -> DataFrame:
    """Output columns: those that are read here, with their own types, and is_superseded."""

    def optional(name: str, kind: str) -> Column:
        return (F.col(name) if name in docs.columns else F.lit(None)).cast(kind)

    reasons = F.array(*(F.lit(target.superseded.value) for target in TARGETS.values()))
    is_superseded = F.arrays_overlap(optional("rejected_for", "array<string>"), reasons)
    names = ("duplicate_of", "cluster_id", "language", "source")
    return docs.select(
        optional(key, "string").alias("doc_id"),
        *(optional(name, "string").alias(name) for name in names),
        optional("similarity", "double").alias("similarity"),
        F.coalesce(optional("batch_id", "long"), F.lit(0)).alias("batch_id"),
        F.coalesce(is_superseded, F.lit(False)).alias("is_superseded"),
        optional(column, "string").alias("text"),  # read by no query that does not name it
    )


def _largest(rows: DataFrame, by_size: DataFrame) -> list[Row]:
    """The largest clusters, as cluster_id, size, kept_documents, kept, least and most.

    ``least`` and ``most`` are similarity, doc_id and batch_id of duplicates, null if no duplicate is in the cluster.
    """
    largest = by_size.orderBy(F.desc("size"), "cluster_id").limit(CLUSTERS_SHOWN)
    pair = F.when(F.col("duplicate_of").isNotNull(), F.struct("similarity", "doc_id", "batch_id"))
    by_kept = (
        rows.join(F.broadcast(largest), on="cluster_id", how="inner")
        .groupBy("cluster_id", "size", F.coalesce("duplicate_of", "doc_id").alias("kept"))
        .agg(F.count("duplicate_of").alias("repeats"), F.min(pair).alias("least"), F.max(pair).alias("most"))
    )
    most_repeated = F.min_by(F.struct("kept", "least", "most"), F.struct(-F.col("repeats"), "kept"))
    chosen = by_kept.groupBy("cluster_id", "size").agg(F.count("*").alias("kept_documents"), most_repeated.alias("one"))
    found = chosen.select("cluster_id", "size", "kept_documents", "one.*").collect()
    return sorted(found, key=lambda row: (-row["size"], row["cluster_id"]))


def _sampled_pairs(rows: DataFrame, sample: int, seed: int) -> list[Row]:
    """A sample of the duplicates whose kept document is in the table."""
    here = rows.select(F.col("doc_id").alias("duplicate_of"))
    pairs = rows.where("duplicate_of is not null and similarity is not null").select(
        "doc_id", "batch_id", "duplicate_of", "similarity", sampling_position("doc_id", seed).alias("position")
    )
    chosen = pairs.join(here, on="duplicate_of", how="left_semi").orderBy("position", "doc_id", "batch_id")
    return chosen.limit(sample).collect()


def _revisions(rows: DataFrame, pairs: Iterable[Row], largest: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows, with texts, of the documents that are measured or shown; a document's revisions, newest first."""
    wanted = {row[end] for row in pairs for end in ("doc_id", "duplicate_of")} | {row["kept"] for row in largest}
    wanted |= {row[end]["doc_id"] for row in largest for end in ("least", "most") if row[end]}
    found: dict[str, list[Row]] = {name: [] for name in wanted}
    if wanted:
        ids = rows.sparkSession.createDataFrame([(name,) for name in wanted], "doc_id string")
        whole = F.when(F.char_length("text") <= _MEASURED_CHARS, F.col("text")).alias("text")
        beginning = F.substring("text", 1, _SAMPLE_CHARS).alias("beginning")
        read = rows.select("doc_id", "batch_id", "language", "source", whole, beginning)
        here = read.join(F.broadcast(ids), on="doc_id", how="left_semi").collect()
        for row in sorted(here, key=lambda row: -row["batch_id"]):
            found[row["doc_id"]].append(row)
    return found


# From rows to the report ------------------------------------------------------------------------------------------


def _as_of(revisions: Iterable[Row], batch_id: int) -> Row | None:
    """The newest revision up to a batch: the one that the batch was compared with."""
    return next((row for row in revisions if row["batch_id"] <= batch_id), None)


def _shares(cells: Iterable[Row], column: str) -> tuple[Share, ...]:
    counts: dict[str | None, tuple[int, int]] = {}
    for cell in cells:
        held = counts.get(cell[column], (0, 0))
        counts[cell[column]] = held[0] + cell[2], held[1] + cell[3]
    shares = (Share(name, *held, held[1] / held[0]) for name, held in counts.items() if held[0])
    return tuple(sorted(shares, key=lambda share: (-share.duplicates, -share.documents, share.name or "")))


def _check_estimates(
    pairs: Iterable[Row], revisions: Mapping[str, list[Row]], settings: DedupSettings
) -> EstimateCheck | None:
    measured = []
    for pair in pairs:
        ends = [_as_of(revisions[pair[end]], pair["batch_id"]) for end in ("doc_id", "duplicate_of")]
        texts = [end["text"] for end in ends if end is not None and end["text"] is not None]
        if len(texts) == 2:
            measured.append((*texts, pair["similarity"]))
    if not measured:
        return None
    left, right, recorded = zip(*measured, strict=True)
    exact = exact_similarities(left, right, settings)
    errors = np.array(recorded) - exact
    limits = [round(settings.threshold - margin, 6) for margin in _MARGINS]
    below = {f"{limit:g}": float(np.mean(exact < limit)) for limit in limits}
    return EstimateCheck(
        len(measured), float(np.mean(errors)), float(np.std(errors)), float(np.max(np.abs(errors))), below
    )


def _cluster(row: Row, revisions: Mapping[str, list[Row]]) -> Cluster:
    def member(doc_id: str, batch_id: int, similarity: float | None) -> Member:
        row = _as_of(revisions[doc_id], batch_id)
        if row is None:
            return Member(doc_id, similarity, None, None, None)
        return Member(doc_id, similarity, row["language"], row["source"], row["beginning"])

    # One duplicate is both the least and the most like the kept document.
    ends = dict.fromkeys(row[end] for end in ("least", "most") if row[end])
    as_of = next((end["batch_id"] for end in ends), 2**63)
    duplicates = tuple(member(end["doc_id"], end["batch_id"], end["similarity"]) for end in ends)
    kept = member(row["kept"], as_of, None)
    return Cluster(row["cluster_id"], row["size"], row["kept_documents"], kept, duplicates)


# For a person and for programs ------------------------------------------------------------------------------------


def headline(report: DedupReport) -> list[str]:
    """Return the report's first sentences, one a line."""
    how = "whole sets of shingles" if report.verify == "exact" else "signatures"
    notes = {
        "Older revisions beside them, not compared": report.superseded,
        "Duplicates of documents that this table does not hold": report.kept_elsewhere,
    }
    return [
        f"{report.documents:,} documents, {report.duplicates:,} of them duplicates ({report.share:.1%}): at least "
        f"{report.threshold:g} alike, by their {how}.",
        *(f"{note}: {count:,}." for note, count in notes.items() if count),
    ]


def tables(report: DedupReport) -> Iterator[ReportTable]:
    """Yield the report's tables of numbers."""
    sizes = [(_span(each), f"{each.clusters:,}", f"{each.documents:,}") for each in report.sizes]
    yield ReportTable("Clusters by size", ("size", "clusters", "documents"), sizes, _SIZES_NOTE)
    for column, shares in report.shares.items():
        rows = [
            (_shown(each.name or "(none)"), f"{each.documents:,}", f"{each.duplicates:,}", f"{each.share:.1%}")
            for each in shares[:SHARES_SHOWN]
        ]
        more = f"And {len(shares) - SHARES_SHOWN:,} more: JSON has all." if shares[SHARES_SHOWN:] else ""
        yield ReportTable(f"Duplicates by {column}", (column, "documents", "duplicates", "share"), rows, more)
    if check := report.estimate:
        named = ("mean error", check.mean), ("standard deviation", check.deviation), ("greatest error", check.greatest)
        measures = [(name, f"{value:.4f}") for name, value in named]
        measures += [(f"exact similarity below {limit}", f"{part:.1%} of pairs") for limit, part in check.below.items()]
        yield ReportTable(f"Recorded minus exact similarity, {check.pairs:,} pairs", ("measure", "value"), measures)


def described(cluster: Cluster) -> tuple[str, list[tuple[str, str, str]]]:
    """Return a heading for a cluster and, of each member shown, a label, the id and so on, and the text."""
    members = []
    for each in (cluster.kept, *cluster.duplicates):
        label = "kept" if each is cluster.kept else "?" if each.similarity is None else f"{each.similarity:.3f}"
        text = "(not in this table)" if each.text is None else each.text
        members.append((label, "  ".join(filter(None, (each.doc_id, each.language, each.source))), text))
    return f"{cluster.size:,} documents, kept: {cluster.kept_documents:,}", members


def as_json(report: DedupReport) -> str:
    """Return the report as JSON."""
    return json.dumps(asdict(report), ensure_ascii=False, indent=2)


def as_markdown(report: DedupReport) -> str:
    """Return the report as a Markdown document; texts are escaped, and right-to-left ones keep to themselves."""
    parts = ["# Near-duplicates", "\\\n".join(headline(report))]
    for table in tables(report):
        ruler = ("---", *("---:" for _ in table.header[1:]))
        lines = [table.header, ruler, *((_escaped(row[0]), *row[1:]) for row in table.rows)]
        parts += [f"## {table.title}", "\n".join(f"| {' | '.join(line)} |" for line in lines), table.note]
    if report.largest:
        parts.append("## The largest clusters")
    for number, cluster in enumerate(report.largest, 1):
        heading, members = described(cluster)
        shown = ((label, *(_escaped(_shown(each)) for each in texts)) for label, *texts in members)
        listed = "\n".join(f"- {label}: {name}\\\n  {text}" for label, name, text in shown)
        parts += [f"### {number}. {heading}", listed]
    return "\n\n".join(filter(None, parts)) + "\n"


def _span(size: SizeBin) -> str:
    return f"{size.least:,}" if size.least == size.most else f"{size.least:,}-{size.most:,}"


def _shown(text: str) -> str:
    return printable(" ".join(text.split()))


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", html.escape(text, quote=False))
