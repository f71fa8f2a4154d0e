"""Which pairs reviewers see: the same for all of them, whatever the lake's partitions and files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, StringType, StructField, StructType

from jobs.runtime.errors import BackpromptError
from jobs.sources.sampling import sampling_position
from udfs.sampling import SEPARATOR, position

SHOWN_CHARS: Final = 20_000
"""Code points of a text that the page shows, about seven printed pages; it says how many are left out."""
_KEYS: Final = StructType(
    [
        StructField("language", StringType(), False),
        StructField("place", IntegerType(), False),
        StructField("pair_id", StringType(), False),
    ]
)
_SHOWN: Final = (
    "pair_id", "language", "source", "instruction", "output", "instruction_language", "instruction_en", "title", "url",
    "license", "messages",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Text:
    """A text as it is shown."""

    text: str
    left_out_chars: int = 0


@dataclass(frozen=True, slots=True)
class ShownPair:
    """What a reviewer sees of a pair."""

    pair_id: str
    source: str
    language: str
    instruction_language: str
    instruction: Text
    output: Text
    instruction_en: str | None
    title: str | None
    url: str | None
    license: str
    messages: tuple[tuple[str, str], ...] = ()
    """Role and content of what was said before the output; () where it is the instruction alone."""


@dataclass(frozen=True, slots=True)
class Item:
    """One place of the sample: a pair, or two to be compared."""

    pair: ShownPair
    other: ShownPair | None
    shown_hash: str

    @property
    def key(self) -> tuple[str, str]:
        """What a review is of."""
        return self.pair.pair_id, self.shown_hash


@dataclass(frozen=True, slots=True)
class Sides:
    """The two sets of pairs that are compared."""

    pairs: DataFrame
    others: DataFrame
    label: str
    """Where the others are from, as the table of reviews and the results name it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What reviewers see."""

    items: Mapping[str, tuple[Item, ...]]
    """By language, in the order in which they are shown."""
    notes: tuple[str, ...]
    """What the person who serves the page should know."""


def choose(
    pairs: DataFrame, seed: int, rows: int, languages: Sequence[str] = (), kept: DataFrame | None = None
) -> Sample:
    """Return the pairs to review.

    Of a language, each source gives the same number, as far as it has so many; of a source, those come first that
    stand first in the order of their sampling position. More rows keep the pairs of fewer rows.

    Args:
        pairs: columns of PAIRS.
        seed: of the order.
        rows: pairs of a language.
        languages: GlotLID codes; () for all that there are.
        kept: column pair_id: pairs that stay in the sample as somebody has reviewed them, whatever came since.

    Raises:
        BackpromptError: if there are no pairs, or none of a language that was asked for.
    """
    held = _of_languages(pairs, languages)
    chosen = _chosen(_placed(held, seed, kept), rows).select(*_KEYS.fieldNames())
    found: dict[str, list[tuple[int, Item]]] = {}
    for row in _with_texts(held, chosen).collect():
        item = Item(shown(row), None, row["shown_hash"])
        found.setdefault(row["language"], []).append((row["place"], item))
    return _sample(found, rows, languages, "pairs")


def choose_comparisons(
    sides: Sides, seed: int, rows: int, languages: Sequence[str] = (), kept: DataFrame | None = None
) -> Sample:
    """Return pairs of pairs to compare.

    Of a language in which both sides hold a pair of the same document, only such are compared, and only if their texts
    differ. Else the first of one side are set beside the first of the other in the order of their sampling positions.

    Args:
        sides: what is compared; columns of PAIRS.
        seed: of the order.
        rows: comparisons of a language.
        languages: GlotLID codes; () for all that both sides have.
        kept: column pair_id: pairs of the same document that stay in the sample.

    Raises:
        BackpromptError: if there is nothing to compare.
    """
    ours, theirs = (_of_languages(each, languages) for each in (sides.pairs, sides.others))
    on_both = ours.select("pair_id", "language").join(theirs.select("pair_id", "language"), ["pair_id", "language"])
    matched = sorted(row["language"] for row in on_both.select("language").distinct().collect())
    keys = _of_one_document(ours, theirs, seed, rows, kept) + _of_two_documents(ours, theirs, seed, rows, matched)
    if not keys:
        why = "no language is on both sides"
        if matched:
            why = f"the pairs of the same documents have the same texts in {', '.join(matched)}"
        raise BackpromptError(f"There is nothing to compare with {sides.label}: {why}")
    spark = ours.sparkSession
    left = spark.createDataFrame([key[:3] for key in keys], _KEYS)
    right = spark.createDataFrame([(*key[:2], key[3]) for key in keys], _KEYS)
    others = {(row["language"], row["place"]): row for row in _with_texts(theirs, right).collect()}
    found: dict[str, list[tuple[int, Item]]] = {}
    for row in _with_texts(ours, left).collect():
        other = others[row["language"], row["place"]]
        both = hashlib.sha256(f"{row['shown_hash']}{SEPARATOR}{other['shown_hash']}".encode()).hexdigest()
        found.setdefault(row["language"], []).append((row["place"], Item(shown(row), shown(other), both)))
    sample = _sample(found, rows, languages, "pairs to compare")
    unmatched = sorted(set(found) - set(matched))
    if not unmatched:
        return sample
    note = f"{', '.join(unmatched)}: no document is on both sides, so pairs of different documents are compared"
    return Sample(sample.items, (*sample.notes, note))


def _of_one_document(
    ours: DataFrame, theirs: DataFrame, seed: int, rows: int, kept: DataFrame | None
) -> list[tuple[str, int, str, str]]:
    """Return language, place and the two ids of pairs of the same documents with different texts."""
    texts = F.xxhash64("instruction", "output")
    differing = (
        ours.select("pair_id", "language", "source", texts.alias("_ours"))
        .join(theirs.select("pair_id", "language", texts.alias("_theirs")), ["pair_id", "language"], how="inner")
        .where("_ours != _theirs")
    )
    chosen = _chosen(_placed(differing, seed, kept), rows)
    return [(row["language"], row["place"], row["pair_id"], row["pair_id"]) for row in chosen.collect()]


def _of_two_documents(
    ours: DataFrame, theirs: DataFrame, seed: int, rows: int, matched: Sequence[str]
) -> list[tuple[str, int, str, str]]:
    """Return the same for languages other than ``matched``: the first of ours beside the first of theirs."""
    first, second = (
        _chosen(_placed(side.where(~F.col("language").isin(list(matched))), seed, None), rows)
        for side in (ours, theirs)
    )
    beside = first.join(
        second.select("language", "place", F.col("pair_id").alias("other_pair_id")), ["language", "place"], how="inner"
    )
    return [(row["language"], row["place"], row["pair_id"], row["other_pair_id"]) for row in beside.collect()]


def is_swapped(item: Item, reviewer: str, seed: int) -> bool:
    """Say whether the other pair is A for this reviewer: it is for half of all items, drawn with the seed."""
    return position(f"{reviewer}{SEPARATOR}{item.shown_hash}", seed) < 0.5


def shown(row: Row) -> ShownPair:
    """Return what is shown of a row of pairs that has been cut to what is shown."""
    before = [(each["role"], each["content"]) for each in row["messages"] or ()][:-1]
    return ShownPair(
        row["pair_id"],
        row["source"],
        row["language"],
        row["instruction_language"] or row["language"],
        Text(row["instruction"], row["instruction_left_out"]),
        Text(row["output"], row["output_left_out"]),
        row["instruction_en"],
        row["title"],
        row["url"],
        row["license"],
        # A conversation of one turn is the instruction once more.
        tuple(before) if len(before) > 1 else (),
    )


def _of_languages(pairs: DataFrame, languages: Sequence[str]) -> DataFrame:
    return pairs.where(F.col("language").isin(list(languages))) if languages else pairs


def _placed(keys: DataFrame, seed: int, kept: DataFrame | None) -> DataFrame:
    """Input columns: pair_id, language, source, any others. Output columns: those three, _position, _is_new."""
    placed = keys.select("pair_id", "language", "source").withColumn("_position", sampling_position("pair_id", seed))
    if kept is None:
        return placed.withColumn("_is_new", F.lit(True))
    known = kept.select("pair_id").distinct().withColumn("_is_kept", F.lit(True))
    return placed.join(F.broadcast(known), "pair_id", how="left").withColumn("_is_new", F.col("_is_kept").isNull())


def _chosen(placed: DataFrame, rows: int) -> DataFrame:
    """Keep the first rows of each language, source by source in turn; ``place`` counts them from 1.

    Input columns: those of _placed. Output columns: pair_id, language, source, place.
    """
    in_source = Window.partitionBy("language", "source").orderBy("_is_new", "_position", "pair_id")
    in_language = Window.partitionBy("language").orderBy("_is_new", "_turn", "_position", "pair_id")
    return (
        placed.withColumn("_turn", F.row_number().over(in_source))
        .where(F.col("_turn") <= rows)
        .withColumn("place", F.row_number().over(in_language))
        .where(F.col("place") <= rows)
        .select("pair_id", "language", "source", "place")
    )


def _with_texts(pairs: DataFrame, chosen: DataFrame) -> DataFrame:
    """Add what is shown to chosen pairs. Input columns of ``chosen``: those of _KEYS."""
    whole = pairs.join(F.broadcast(chosen), ["pair_id", "language"], how="inner")
    cut = {name: F.substring(name, 1, SHOWN_CHARS) for name in ("instruction", "output")}
    return whole.select(
        "place",
        _shown_hash().alias("shown_hash"),
        *[cut[name].alias(name) if name in cut else F.col(name) for name in _SHOWN],
        *[F.greatest(F.length(name) - SHOWN_CHARS, F.lit(0)).alias(f"{name}_left_out") for name in cut],
    )


def _shown_hash() -> Column:
    return F.sha2(F.concat("instruction", F.lit(SEPARATOR), "output"), 256)


def _sample(found: Mapping[str, list[tuple[int, Item]]], rows: int, languages: Sequence[str], what: str) -> Sample:
    missing = [language for language in languages if language not in found]
    if missing:
        there = f"; there are some in {', '.join(sorted(found))}" if found else ""
        raise BackpromptError(f"--language: there are no {what} in {', '.join(missing)}{there}")
    if not found:
        raise BackpromptError(f"There are no {what} to review")
    items = {
        language: tuple(item for _, item in sorted(placed, key=lambda each: each[0]))
        for language, placed in sorted(found.items())
    }
    notes = tuple(
        f"{language}: {len(each)} {what}, fewer than the {rows} asked for"
        for language, each in items.items()
        if len(each) < rows
    )
    return Sample(items, notes)
