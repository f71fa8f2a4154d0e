"""From tables to what a report shows: a few Spark jobs a table, whose results are small whatever the table's size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F

from jobs.explore.data import SampleRow
from jobs.report.data import Bins, Histogram, PairCell, Pairs, Sample, Score, VerbNouns
from jobs.runtime.thresholds import SCORES, THRESHOLDS, Threshold
from jobs.sources.sampling import sampling_position
from jobs.stages import STAGES
from jobs.stages.base import HOLDS_PAIR
from jobs.stages.clean import limit_factors
from udfs import verb_noun
from udfs.cleaning.lists import CleaningLists

LENGTHS: Final = {"instruction": Bins(1, 100_000, 30, "log"), "output": Bins(1, 1_000_000, 36, "log")}
"""Bins of lengths in Unicode code points: six a power of ten."""
_SCORE_BINS: Final = 20
_LOG_BINS_A_DECADE: Final = 6
# Values of a column that are counted by name; the rest goes under "(others)".
_NAMES_SHOWN: Final = 50
VERBS_SHOWN: Final = 16
"""As X-Instruction's figure 3."""
NOUNS_SHOWN: Final = 5
_ENGLISH: Final = "eng_Latn"
# Of a group, so many times the wanted rows are expected among those that are ranked: that fewer than wanted are is as
# good as impossible, and a group of millions is not sorted.
_MARGIN: Final = 20
_TEXT_CHARS: Final = 700


# Pairs ----------------------------------------------------------------------------------------------------------


def count_pairs(pairs: DataFrame) -> Pairs:
    """Count pairs and their lengths; two passes over the table.

    Input columns: source, language, split, instruction, output_chars; and, if there, license, generator.
    """
    instruction_chars = F.char_length("instruction")
    cells = (
        pairs.groupBy("source", "language", "split")
        .agg(F.count("*").alias("pairs"), F.sum(instruction_chars).alias("i"), F.sum("output_chars").alias("o"))
        .collect()
    )
    kinds = [
        _entry("instruction", bin=_bin(instruction_chars.cast("double"), LENGTHS["instruction"])),
        _entry("output", bin=_bin(F.col("output_chars").cast("double"), LENGTHS["output"])),
    ]
    if "license" in pairs.columns:
        kinds.append(_entry("license", name=F.col("license")))
    if "generator" in pairs.columns:
        # Behind the colon stand details, such as the genre of a template.
        kinds.append(_entry("generator", name=F.substring_index("generator", ":", 1)))
    counts = _counted(pairs, kinds)
    return Pairs(
        cells=[
            PairCell(row["source"], row["language"], row["split"], row["pairs"], row["i"] or 0, row["o"] or 0)
            for row in sorted(cells, key=lambda row: (row["source"], row["language"], row["split"]))
        ],
        lengths={name: _histogram(counts, name, bins) for name, bins in LENGTHS.items()},
        licenses=_names(counts, "license"),
        generators=_names(counts, "generator"),
    )


# Scores -----------------------------------------------------------------------------------------------------------


def score_bins(threshold: Threshold | None) -> Bins:
    """Return the bins that a score is shown in."""
    if threshold is None:
        return Bins(0, 1, _SCORE_BINS)
    if threshold.scale == "linear":
        return Bins(threshold.low, threshold.high, _SCORE_BINS)
    decades = math.log10(threshold.high / threshold.low)
    return Bins(threshold.low, threshold.high, max(1, round(decades * _LOG_BINS_A_DECADE)), "log")


def measure_scores(
    rows: DataFrame, stage: str, settings: Mapping[str, Any], lists: CleaningLists
) -> tuple[list[Score], dict[str, int]]:
    """Return a stage's scores and how many rows of its table each reason rejected; one pass, without texts.

    Args:
        rows: the stage's table, alive and rejected rows. Input columns: rejected_for, language, and those of the
            scores.
        stage: its name.
        settings: what the table was made with, flat.
        lists: for the factors of languages.
    """
    wanted: list[tuple[str, str, Threshold | None, str]] = [
        (f"score:{place}", each.score, each, each.meaning)
        for place, each in enumerate(THRESHOLDS)
        if each.stage == stage
    ]
    wanted += [(f"score:{column}", column, None, meaning) for name, column, meaning in SCORES if name == stage]
    present = set(rows.columns)
    # Rows that hold their instruction go past these stages without being asked; an old table has none.
    passes = HOLDS_PAIR if stage in STAGES and STAGES[stage].of_pairs and "instruction" in present else "false"
    factors = limit_factors(settings.get("limits"), lists)
    kinds, limits = [], {}
    for kind, expression, threshold, _ in wanted:
        if not _columns(expression, threshold) <= present:
            continue
        asked = F.expr(f"NOT ({passes}) AND ({(threshold.where if threshold else '') or 'true'})")
        score = F.when(asked, F.expr(expression).cast("double"))
        limits[kind] = limit = threshold.limit(settings) if threshold is not None else None
        is_kept = F.lit(True)
        if threshold is not None and threshold.is_recut and limit is not None:
            bound = F.lit(limit) * factors.get(threshold.factor, F.lit(1.0))
            is_kept = score >= bound if threshold.direction == "at_least" else score <= bound
            is_kept &= (score != bound) | F.lit(not threshold.is_strict)
        kinds.append(_entry(kind, bin=_bin(score, score_bins(threshold)), is_kept=F.coalesce(is_kept, F.lit(False))))
    reasons = F.transform("rejected_for", lambda reason: _entry("reason", name=reason))
    counts = _counted(rows, kinds, F.concat(F.array(_entry("rows")), reasons))
    total = sum(row["rows"] for row in counts if row["kind"] == "rows")
    scores = []
    for kind, expression, threshold, meaning in wanted:
        bins = score_bins(threshold)
        histogram = _histogram(counts, kind, bins)
        kept = sum(row["rows"] for row in counts if row["kind"] == kind and row["bin"] is not None and row["is_kept"])
        missing = total - histogram.rows
        scores.append(
            Score(stage, expression, meaning, threshold, limits.get(kind), histogram, kept, missing, kind not in limits)
        )
    return scores, _names(counts, "reason", shown=None)


def _columns(expression: str, threshold: Threshold | None) -> frozenset[str]:
    return threshold.columns if threshold is not None else frozenset({expression})


# Counting many things at once -------------------------------------------------------------------------------------


def _entry(kind: str, name: Column | None = None, bin: Column | None = None, is_kept: Column | None = None) -> Column:
    nothing = F.lit(None)
    return F.struct(
        F.lit(kind).alias("kind"),
        (nothing if name is None else name).cast("string").alias("name"),
        (nothing if bin is None else bin).cast("int").alias("bin"),
        (nothing if is_kept is None else is_kept).cast("boolean").alias("is_kept"),
    )


def _counted(rows: DataFrame, kinds: Sequence[Column], more: Column | None = None) -> list[Row]:
    """Count rows by each of the kinds, all in one pass. Output columns: kind, name, bin, is_kept, rows."""
    entries = F.array(*kinds) if kinds else None
    if more is not None:
        entries = more if entries is None else F.concat(entries, more)
    assert entries is not None
    exploded = rows.select(F.explode(entries).alias("_entry")).select("_entry.*")
    return exploded.groupBy(*exploded.columns).agg(F.count("*").alias("rows")).collect()


def _bin(value: Column, bins: Bins) -> Column:
    """Return the place of a value among bins; null for null and NaN."""
    if bins.scale == "log":
        low, high = math.log10(bins.low), math.log10(bins.high)
        value = F.when(value > 0, F.log10(value)).otherwise(F.when(value.isNotNull(), F.lit(low)))
    else:
        low, high = bins.low, bins.high
    # Room for what the logarithm of a bound itself is rounded to.
    place = F.floor((value - low) * (bins.count / (high - low)) + 1e-9)
    inside = F.greatest(F.lit(0), F.least(F.lit(bins.count - 1), place))
    return F.when(value.isNotNull() & ~F.isnan(value), inside)


def _histogram(counts: Iterable[Row], kind: str, bins: Bins) -> Histogram:
    found = [0] * bins.count
    for row in counts:
        if row["kind"] == kind and row["bin"] is not None:
            found[row["bin"]] += row["rows"]
    return Histogram(bins, found)


def _names(counts: Iterable[Row], kind: str, shown: int | None = _NAMES_SHOWN) -> dict[str, int]:
    found = {row["name"] or "(none)": row["rows"] for row in counts if row["kind"] == kind}
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    if shown is None or len(ordered) <= shown:
        return dict(ordered)
    return dict(ordered[:shown]) | {"(others)": sum(count for _, count in ordered[shown:])}


# Verbs and nouns --------------------------------------------------------------------------------------------------


def verbs_and_nouns(pairs: DataFrame, pivot: str, seed: int, at_most: int, parser: str | None = None) -> VerbNouns:
    """Count root verbs with their direct noun objects over English instructions; see ``udfs.verb_noun``.

    Input columns: pair_id, language, instruction; and, if there, instruction_language, instruction_en.

    Args:
        pairs: the table ``pairs``.
        pivot: the language of instruction_en.
        seed: of the sample.
        at_most: about so many instructions are looked at, those with the smallest sampling position.
        parser: name or folder of a spaCy pipeline; None: by rules.
    """
    added = {
        name: F.lit(None).cast("string") for name in ("instruction_language", "instruction_en")
        if name not in pairs.columns
    }  # fmt: skip
    pairs = pairs.withColumns(added)
    own = F.when(F.coalesce("instruction_language", "language") == _ENGLISH, F.col("instruction"))
    english = F.coalesce(F.col("instruction_en"), own) if pivot == _ENGLISH else own
    texts = pairs.select("pair_id", english.alias("text")).where("text is not null")
    total = texts.count()
    if total > at_most:
        texts = texts.where(sampling_position("pair_id", seed) < at_most / total)
    run = partial(_find_batches, parser=parser)
    counts = texts.select("text").mapInArrow(run, "verb string, noun string").groupBy("verb", "noun").count().persist()
    try:
        sums = counts.agg(
            F.coalesce(F.sum("count"), F.lit(0)).alias("looked_at"),
            F.coalesce(F.sum(F.when(F.col("verb").isNotNull(), F.col("count"))), F.lit(0)).alias("found"),
            F.count("verb").alias("distinct"),
        ).first()
        assert sums is not None
        nth = F.row_number().over(Window.partitionBy("verb").orderBy(F.desc("count"), "noun"))
        ranked = counts.where("verb is not null").withColumns(
            {"nth": nth, "total": F.sum("count").over(Window.partitionBy("verb"))}
        )
        verbs = (
            ranked.where(F.col("nth") <= NOUNS_SHOWN)
            .groupBy("verb", "total")
            .agg(F.sort_array(F.collect_list(F.struct("nth", "noun", "count"))).alias("nouns"))
            .orderBy(F.desc("total"), "verb")
            .limit(VERBS_SHOWN)
            .collect()
        )
    finally:
        counts.unpersist()
    return VerbNouns(
        measure=parser or "rules",
        instructions=sums["looked_at"],
        of_instructions=total,
        found=sums["found"],
        distinct=sums["distinct"],
        verbs=[(row["verb"], row["total"], [(each["noun"], each["count"]) for each in row["nouns"]]) for row in verbs],
    )


def _find_batches(batches: Iterable[pa.RecordBatch], parser: str | None) -> Iterator[pa.RecordBatch]:
    pipeline = verb_noun.open_parser(parser) if parser else None
    for batch in batches:
        texts = batch.column("text").to_pylist()
        found = list(verb_noun.by_parser(pipeline, texts) if pipeline else map(verb_noun.by_rules, texts))
        verbs, nouns = ([each and each[side] for each in found] for side in (0, 1))
        yield pa.RecordBatch.from_arrays([pa.array(verbs, pa.string()), pa.array(nouns, pa.string())], ["verb", "noun"])


# Samples ----------------------------------------------------------------------------------------------------------

# Texts of a row, in the order of reading: column, label, and whether it is in the pivot language.
_PAIR_TEXTS: Final = (
    ("instruction", "instruction", False),
    ("instruction_en", "instruction in the pivot language", True),
    ("output", "output", False),
)
_ROW_TEXTS: Final = (
    ("title", "title", False),
    ("instruction_src", "instruction", False),
    ("instruction_en", "instruction in the pivot language", True),
    ("text", "text", False),
)
_PAIR_FACTS: Final = (
    *("source", "subsource", "split", "license", "url", "origin", "pair_id", "revision", "generator", "prompt_hash"),
    *("translator", "back_translator", "instruction_language_outcome", "instruction_form"),
)
_ROW_FACTS: Final = (
    *("detail", "contaminated_span", "source", "url", "origin", "doc_id", "duplicate_of", "instruction_duplicate_of"),
)


def sample_pairs(pairs: DataFrame, counts: Mapping[str, int], pivot: str, seed: int, each: int) -> list[Sample]:
    """Return pairs of every language, those with the smallest seeded position; one pass.

    Input columns: pair_id, language, instruction, output. Others are shown if there.

    Args:
        pairs: the table ``pairs``.
        counts: pairs by language.
        pivot: the language of instruction_en.
        seed: of the sample.
        each: how many of a language.
    """
    grouped = pairs.withColumn("_group", F.col("language"))
    facts = (*_PAIR_FACTS, *_score_columns())
    found = _first_of_each(grouped, "pair_id", counts, _PAIR_TEXTS, facts, seed, each)
    return [_sample(row, _PAIR_TEXTS, facts, pivot) for row in found]


def sample_rejections(
    rows: DataFrame, stage: str, counts: Mapping[str, int], pivot: str, seed: int, each: int
) -> list[Sample]:
    """Return rows of every reason that a stage's table has; one pass.

    Input columns: doc_id, language, rejected_for. Others are shown if there. ``stage`` is the table's; other arguments
    as ``sample_pairs``, ``counts`` by reason.
    """
    if not counts:
        return []
    exploded = rows.where(F.size("rejected_for") > 0).withColumn("_group", F.explode("rejected_for"))
    facts = (*_ROW_FACTS, *_score_columns(stage))
    found = _first_of_each(exploded, "doc_id", counts, _ROW_TEXTS, facts, seed, each)
    return [_sample(row, _ROW_TEXTS, facts, pivot) for row in found]


def _score_columns(stage: str | None = None) -> list[str]:
    """Return the columns that are scores, of a stage or of all; those that are made of several are not stored."""
    bounded = [(each.stage, each.score) for each in THRESHOLDS if each.score.isidentifier()]
    found = [*((name, column) for name, column, _ in SCORES), *bounded]
    return list(dict.fromkeys(column for name, column in found if stage in (None, name)))


def _first_of_each(
    rows: DataFrame,
    key: str,
    counts: Mapping[str, int],
    texts: Sequence[tuple[str, str, bool]],
    facts: Sequence[str],
    seed: int,
    each: int,
) -> list[Row]:
    """Return the rows of each group (column _group) with the smallest positions, texts cut; sorted."""
    if not counts:
        return []
    shares = {group: min(1.0, _MARGIN * each / count) for group, count in counts.items() if count > 0}
    share = F.create_map(*(F.lit(value) for item in sorted(shares.items()) for value in item))[F.col("_group")]
    near = rows.withColumn("_position", sampling_position(key, seed)).where(F.col("_position") < share)
    present = set(rows.columns)
    shown = [F.substring(name, 1, _TEXT_CHARS + 1).alias(name) for name, *_ in texts if name in present]
    kept = [name for name in dict.fromkeys(("language", "instruction_language", key, *facts)) if name in present]
    nth = F.row_number().over(Window.partitionBy("_group").orderBy("_position", key))
    chosen = near.select("_group", "_position", *shown, *kept).withColumn("_nth", nth).where(F.col("_nth") <= each)
    return sorted(chosen.collect(), key=lambda row: (row["_group"], row["_nth"]))


def _sample(row: Row, texts: Sequence[tuple[str, str, bool]], facts: Sequence[str], pivot: str) -> Sample:
    values = row.asDict()
    language = values["language"]
    shown = []
    for name, label, is_pivot in texts:
        text = values.get(name)
        # What is the same in the pivot language need not be read twice.
        if not text or (is_pivot and text in (values.get("instruction"), values.get("instruction_src"))):
            continue
        own = values.get("instruction_language") if name.startswith("instruction") else None
        shown.append((label, text[:_TEXT_CHARS], pivot if is_pivot else own or language, len(text) > _TEXT_CHARS))
    return Sample(
        group=values["_group"],
        language=language,
        texts=shown,
        facts=[(name, _shown(values[name])) for name in facts if values.get(name) is not None],
    )


def changed_sample(group: str, row: SampleRow, pivot: str) -> Sample:
    """Return a row that changes sides under other thresholds, to be read."""
    return Sample(
        group=group,
        language=row.language,
        texts=[
            # These were cut to as many characters where they were drawn.
            (label, text, pivot if is_pivot else row.language, len(text) >= _TEXT_CHARS)
            for name, label, is_pivot in _ROW_TEXTS
            if (text := row.texts.get(name))
        ],
        facts=[
            ("reasons", ", ".join(row.reasons)),
            *((setting, "no score" if score is None else _shown(score)) for setting, score in row.scores.items()),
            ("source", row.source),
            ("doc_id", row.doc_id),
        ],
    )


def _shown(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
