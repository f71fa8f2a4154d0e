"""A stage's decisions under other settings, from the columns that its table keeps: by the stage's own rules.

Of a row, what changes is what the rules say under the new settings and not under the old ones, and the other way
round. What the rules do not speak of (an engine that failed, a newer revision) stays, and so does a row without the
score.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from jobs.explore.cuts import IDENTIFIER, Change, flattened
from jobs.explore.data import Cell, SampleRow, StageChange
from jobs.runtime.schema import join_columns
from jobs.runtime.thresholds import SWITCHES, Threshold, of_stage
from jobs.sources.sampling import sampling_position
from jobs.stages.base import HOLDS_PAIR, Resources, Rule, Stage, StageSettings, reasons
from jobs.stages.engines import RecipeIdentifier
from udfs.arrow import with_columns
from udfs.identifiers import Found

_KEYS: Final = ("doc_id", "revision", "language", "source")
_IDENTIFIED: Final = {"clean": ("document_language", "text"), "screen": ("instruction_language", "instruction_src")}
"""Of a stage that asks an identifier: the prefix of the columns with what it found, and the text it looked at."""
_TEXTS: Final = ("title", "instruction_src", "instruction_en", "text")
_TEXT_CHARS: Final = 700
# Of the rows that change, so many times the wanted ones are expected among those that are ranked: that fewer than
# wanted are is as good as impossible, and a million rows are not sorted.
_MARGIN: Final = 20


@dataclass(frozen=True, slots=True)
class Variant:
    """A stage under other settings."""

    settings: StageSettings
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Recut:
    """A stage, the settings that its table was made with, and those to try."""

    stage: Stage
    before: StageSettings
    variants: tuple[Variant, ...]
    resources: Resources

    def changes(self, rows: DataFrame, sample: int, seed: int) -> list[StageChange]:
        """Count what each variant changes, and draw rows that change sides; one pass over the table, one for the rows.

        Args:
            rows: the stage's table.
            sample: rows that are drawn of those that a variant gains, and of those that it loses.
            seed: of the drawing.
        """
        decided = self.decided(rows)
        counts = self._counted(decided)
        samples = self._sampled(decided, counts, sample, seed)
        return [self._change(number, counts, samples) for number in range(len(self.variants))]

    def decided(self, rows: DataFrame) -> DataFrame:
        """Add what each variant decides.

        Input columns: the stage's table. Output columns: the same; for variant k, ``_after_k``, the reasons that the
        row would have; ``_is_differing``, whether the stored reasons are not what the old settings give. Where
        languages are judged again, only the columns that are needed further on.
        """
        lacking = [field for field in self.stage.adds.fields if field.name not in rows.columns]
        rows = rows.withColumns({field.name: F.lit(None).cast(field.dataType) for field in lacking})
        rows = self._with_outcomes(rows)
        every = [self.before, *(each.settings for each in self.variants)]
        known = dict.fromkeys(rule.reason.value for settings in every for rule in self._rules(settings))
        judged = F.array_intersect("rejected_for", F.array(*map(F.lit, known)).cast("array<string>"))
        rows = rows.withColumns({"_judged": judged, "_before": self._reasons(self.before)})
        plain = {f"_now_{number}": each for number, each in enumerate(self.variants) if not _asks_identifier(each)}
        rows = rows.withColumns({name: self._reasons(each.settings) for name, each in plain.items()})
        for number, each in enumerate(self.variants):
            if _asks_identifier(each):  # under the name that the rules read, while these are applied
                rows = rows.withColumns({"_stored": F.col(self._outcome), self._outcome: F.col(f"_outcome_{number}")})
                rows = rows.withColumn(f"_now_{number}", self._reasons(each.settings))
                rows = rows.withColumn(self._outcome, F.col("_stored")).drop("_stored", f"_outcome_{number}")
        after = {}
        for number in range(len(self.variants)):
            falls = F.array_except("_before", f"_now_{number}")
            comes = F.array_except(f"_now_{number}", "_before")
            after[f"_after_{number}"] = F.array_union(F.array_except("rejected_for", falls), comes)
        is_same = (F.size(F.array_except("_judged", "_before")) == 0) & (
            F.size(F.array_except("_before", "_judged")) == 0
        )
        passes = F.expr(HOLDS_PAIR) if self.stage.of_pairs else F.lit(False)
        rows = rows.withColumns(after | {"_is_differing": ~(is_same | passes)})
        return rows.drop("_judged", "_before", *(f"_now_{number}" for number in range(len(self.variants))))

    def lost(self, rows: DataFrame) -> DataFrame:
        """Return the rows that a variant loses. Output columns: variant, doc_id, revision."""
        lost = [F.when(_is_lost(number), F.lit(number)) for number in range(len(self.variants))]
        rows = self.decided(rows).select(
            "doc_id", "revision", F.explode(F.array_compact(F.array(*lost))).alias("variant")
        )
        return rows.select("variant", "doc_id", "revision")

    def _rules(self, settings: StageSettings) -> Sequence[Rule]:
        assert self.stage.rules is not None, f"stage {self.stage.name} has no rules on what it stores"
        return self.stage.rules(settings, self.resources)

    def _reasons(self, settings: StageSettings) -> Column:
        found = reasons(self._rules(settings))
        if self.stage.of_pairs is None:
            return found
        return F.when(F.expr(HOLDS_PAIR), F.array().cast("array<string>")).otherwise(found)

    # Languages: an outcome follows from the text's letters and from what the identifier found ------------------------

    @property
    def _outcome(self) -> str:
        return f"{_IDENTIFIED[self.stage.name][0]}_outcome"

    def _with_outcomes(self, rows: DataFrame) -> DataFrame:
        engines = {
            f"_outcome_{number}": RecipeIdentifier.of(getattr(each.settings, IDENTIFIER), self.resources)
            for number, each in enumerate(self.variants)
            if _asks_identifier(each)
        }
        if not engines:
            return rows
        prefix, text = _IDENTIFIED[self.stage.name]
        # Every column that goes through Python costs its way.
        needed = dict.fromkeys((*_KEYS, *_TEXTS, "instruction", "instruction_language", "text_chars", "rejected_for"))
        needed |= dict.fromkeys(self.stage.adds.fieldNames())
        rows = rows.select(*(name for name in needed if name in rows.columns))
        schema = join_columns(rows.schema, StructType([StructField(name, StringType()) for name in engines]))
        is_instruction = self.stage.name == "screen"
        run = partial(
            _outcome_batches,
            engines=tuple(engines.items()),
            prefix=prefix,
            text=text,
            candidates=self.resources.candidates if is_instruction else None,
            order=schema.fieldNames(),
        )
        return rows.mapInArrow(run, schema)

    # Counting ----------------------------------------------------------------------------------------------------

    def _counted(self, decided: DataFrame) -> list[Row]:
        """Return rows by language, source, kind, variant and name."""
        is_alive = F.size("rejected_for") == 0
        one = [
            _entry("alive", when=is_alive),
            _entry("rejected", when=~is_alive),
            _entry("differing", when=F.col("_is_differing")),
        ]
        many = []
        for setting in dict.fromkeys(each.setting for variant in self.variants for each in variant.changes):
            one.append(_entry("missing", name=F.lit(setting), when=self._lacks(setting)))
        for number in range(len(self.variants)):
            after, gained, lost = F.col(f"_after_{number}"), _is_gained(number), _is_lost(number)
            falls = F.array_except("rejected_for", after)
            is_still = ~is_alive & (F.size(after) > 0) & (F.size(falls) > 0)
            one += [
                _entry("gained", number, when=gained),
                _entry("lost", number, when=lost),
                _entry("still", number, when=is_still),
            ]
            many += [
                F.when(gained, F.transform("rejected_for", partial(_named, "gained_reason", number))),
                F.when(lost, F.transform(after, partial(_named, "lost_reason", number))),
            ]
        entries = F.concat(F.array_compact(F.array(*one)), F.flatten(F.array_compact(F.array(*many))))
        return (
            decided.select("language", "source", F.explode(entries).alias("entry"))
            .groupBy("language", "source", "entry.kind", "entry.variant", "entry.name")
            .agg(F.count("*").alias("rows"))
            .orderBy("language", "source", "kind", "variant", "name")
            .collect()
        )

    def _lacks(self, setting: str) -> Column:
        """Say of a row whether it is one that a setting is for, and has nothing to decide by."""
        passes = HOLDS_PAIR if self.stage.of_pairs else "false"
        thresholds = [(each.setting, each.score, each.where) for each in of_stage(self.stage.name)]
        switches = [(key, column, where) for stage, key, column, where in SWITCHES if stage == self.stage.name]
        score, where = next((score, where) for name, score, where in (*thresholds, *switches) if name == setting)
        return F.expr(f"NOT ({passes}) AND ({where or 'true'}) AND ({score}) IS NULL")

    # Drawing -----------------------------------------------------------------------------------------------------

    def _sampled(self, decided: DataFrame, counts: Iterable[Row], sample: int, seed: int) -> list[Row]:
        """Return up to ``sample`` rows of each variant and side, in the order of their seeded positions."""
        totals: dict[tuple[str, int], int] = defaultdict(int)
        for row in counts:
            if row["kind"] in ("gained", "lost"):
                totals[row["kind"], row["variant"]] += row["rows"]
        if not totals or not sample:
            return []
        position = F.col("_position")
        sides = [
            F.when(
                (_is_gained(number) if kind == "gained" else _is_lost(number)) & (position < _MARGIN * sample / rows),
                F.struct(
                    F.lit(kind).alias("kind"),
                    F.lit(number).alias("variant"),
                    (F.col("rejected_for") if kind == "gained" else F.col(f"_after_{number}")).alias("reasons"),
                ),
            )
            for (kind, number), rows in sorted(totals.items())
        ]
        texts = [name for name in _TEXTS if name in decided.columns]
        scores = [
            F.expr(each.score).cast("double").alias(f"score:{each.setting}:{place}")
            for place, each in enumerate(self._thresholds())
        ]
        place = F.row_number().over(Window.partitionBy("side.kind", "side.variant").orderBy("_position", *_KEYS))
        return (
            decided.withColumn("_position", sampling_position("doc_id", seed))
            .select(
                *_KEYS,
                "_position",
                *(F.substring(name, 1, _TEXT_CHARS).alias(name) for name in texts),
                *scores,
                F.explode(F.array_compact(F.array(*sides))).alias("side"),
            )
            .withColumn("_place", place)
            .where(F.col("_place") <= sample)
            .orderBy("side.variant", "side.kind", "_place")
            .collect()
        )

    def _thresholds(self) -> list[Threshold]:
        """Return the thresholds whose settings some variant changes."""
        names = {each.setting for variant in self.variants for each in variant.changes}
        return [each for each in of_stage(self.stage.name) if each.setting in names]

    # Results -----------------------------------------------------------------------------------------------------

    def _change(self, number: int, counts: Sequence[Row], samples: Sequence[Row]) -> StageChange:
        variant = self.variants[number]
        sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        cells: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for row in counts:
            if row["variant"] in (None, number):
                sums[row["kind"]][row["name"] or ""] += row["rows"]
                cells[row["language"], row["source"]][row["kind"]] += row["rows"]
        total = {kind: sum(by_name.values()) for kind, by_name in sums.items()}
        old = flattened(self.before)
        names = [each.setting for each in variant.changes]
        return StageChange(
            stage=self.stage.name,
            settings={each.setting: (old.get(each.setting), each.value) for each in variant.changes},
            rows=total.get("alive", 0) + total.get("rejected", 0),
            alive=total.get("alive", 0),
            rejected=total.get("rejected", 0),
            gained=total.get("gained", 0),
            lost=total.get("lost", 0),
            still_rejected=total.get("still", 0),
            gained_by_reason=dict(sums["gained_reason"]),
            lost_by_reason=dict(sums["lost_reason"]),
            missing={name: sums["missing"].get(name, 0) for name in names},
            differing=total.get("differing", 0),
            cells=[
                Cell(language, source, *(of[kind] for kind in ("alive", "rejected", "gained", "lost")))
                for (language, source), of in sorted(cells.items())
                if of["gained"] or of["lost"]
            ],
            gained_sample=self._rows(number, "gained", samples, names),
            lost_sample=self._rows(number, "lost", samples, names),
        )

    def _rows(self, number: int, kind: str, samples: Iterable[Row], names: Sequence[str]) -> list[SampleRow]:
        found = []
        for row in samples:
            if (row["side"]["kind"], row["side"]["variant"]) != (kind, number):
                continue
            values = row.asDict()
            texts = {name: values[name] for name in _TEXTS if values.get(name)}
            scores = _scores(values, self._thresholds(), names)
            codes = list(row["side"]["reasons"])
            found.append(SampleRow(row["doc_id"], row["language"], row["source"], codes, scores, texts))
        return found


def _scores(
    values: Mapping[str, Any], thresholds: Sequence[Threshold], names: Sequence[str]
) -> dict[str, float | None]:
    """Return a row's scores by the settings that bound them; of several that one setting bounds, the worst."""
    found: dict[str, float | None] = {}
    for place, each in enumerate(thresholds):
        if each.setting not in names:
            continue
        score, known = values[f"score:{each.setting}:{place}"], found.get(each.setting)
        if score is not None and known is not None:
            score = max(score, known) if each.direction == "at_most" else min(score, known)
        found[each.setting] = known if score is None else score
    return found


def _asks_identifier(variant: Variant) -> bool:
    return asks_identifier(variant.changes)


def asks_identifier(changes: Iterable[Change]) -> bool:
    """Say whether changes have languages judged again, for which texts are read."""
    return any(each.setting.startswith(f"{IDENTIFIER}.") for each in changes)


def _is_gained(number: int) -> Column:
    return (F.size("rejected_for") > 0) & (F.size(f"_after_{number}") == 0)


def _is_lost(number: int) -> Column:
    return (F.size("rejected_for") == 0) & (F.size(f"_after_{number}") > 0)


def _entry(kind: str, variant: int | None = None, name: Column | None = None, when: Column | None = None) -> Column:
    entry = F.struct(
        F.lit(kind).alias("kind"),
        F.lit(variant).cast("int").alias("variant"),
        (F.lit(None) if name is None else name).cast("string").alias("name"),
    )
    return entry if when is None else F.when(when, entry)


def _named(kind: str, variant: int, name: Column) -> Column:
    return _entry(kind, variant, name)


def _outcome_batches(
    batches: Iterable[pa.RecordBatch],
    engines: tuple[tuple[str, RecipeIdentifier], ...],
    prefix: str,
    text: str,
    candidates: tuple[str, ...] | None,
    order: list[str],
) -> Iterator[pa.RecordBatch]:
    """Add an outcome for each of the engines' settings.

    Args:
        batches: rows with what the identifier found of them.
        engines: settings, by the column that their outcome goes into.
        prefix: of the columns that hold what was found.
        text: column that was looked at.
        candidates: languages that an instruction of ours was compared with; a source's own, and a document, with all.
        order: names of the columns that come out.
    """
    for batch in batches:
        languages = batch.column("language").to_pylist()
        given = [False] * len(batch)
        if candidates is not None:
            named = batch.column("instruction_language").to_pylist()
            languages = [own or language for own, language in zip(named, languages, strict=True)]
            given = batch.column("instruction").is_valid().to_pylist()
        texts = batch.column(text).to_pylist()
        labels, scores, expected = (
            batch.column(f"{prefix}_{name}").to_pylist() for name in ("label", "score", "expected_score")
        )
        # A row that the identifier has not seen has no outcome.
        seen = [row for row, label in enumerate(labels) if label is not None]
        columns = {}
        for column, engine in engines:
            outcomes: list[str | None] = [None] * len(batch)
            for is_given in (False, True):
                rows = [row for row in seen if given[row] is is_given]
                found = [
                    Found(texts[row] or "", languages[row], labels[row], scores[row], expected[row]) for row in rows
                ]
                drawn = engine.outcomes(found, None if is_given else candidates)
                for row, outcome in zip(rows, drawn, strict=True):
                    outcomes[row] = outcome
            columns[column] = pa.array(outcomes, pa.string())
        yield with_columns(batch, columns, order)


def missing_columns(stage: str, changes: Iterable[Change], columns: Iterable[str]) -> dict[str, list[str]]:
    """Return, by setting, the columns that decide by it and that a table lacks, as one of an older version may."""
    present, found = set(columns), {}
    for each in changes:
        needed = {name for it in of_stage(stage) if it.setting == each.setting for name in it.columns}
        needed |= {name for of, setting, name, _ in SWITCHES if (of, setting) == (stage, each.setting)}
        if needed - present:
            found[each.setting] = sorted(needed - present)
    return found


def lost_pairs(pairs: DataFrame, lost: DataFrame) -> DataFrame:
    """Count the pairs that cuts lose: those whose row is lost in some stage.

    Input columns: of ``pairs``, pair_id, revision, language, source; of ``lost``, cut, doc_id, revision, repeated
    where several stages lose a row.
    Output columns: cut, language, source, lost.
    """
    rows = lost.dropDuplicates(["cut", "doc_id", "revision"]).withColumnRenamed("doc_id", "pair_id")
    return (
        pairs.select("pair_id", "revision", "language", "source")
        .join(rows, ["pair_id", "revision"], how="inner")
        .groupBy("cut", "language", "source")
        .agg(F.count("*").alias("lost"))
    )
