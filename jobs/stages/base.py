"""What a stage is, and the helpers all stages share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from jobs.runtime.reasons import Reason
from udfs.cleaning.lists import CleaningLists
from udfs.contamination import Index
from udfs.languages import LanguageTable
from udfs.screening.lists import ScreeningLists
from udfs.settings import OPERATIONAL, Settings


class Expected(Settings):
    """What a stage is expected to do with a document, for ``backprompt plan`` where that cannot be measured."""

    kept: float | None = Field(None, ge=0, le=1)
    """Share of the documents that it keeps. null: not known; all are taken to stay."""
    prompt_tokens: float | None = Field(None, ge=0)
    """What its engine reads a document. null: not known."""
    completion_tokens: float | None = Field(None, ge=0)
    """What its engine writes a document. null: not known."""


class StageSettings(Settings):
    """Settings that every stage has."""

    max_files_per_batch: int | None = Field(64, ge=1, json_schema_extra=OPERATIONAL)
    """Files of the table before it that one batch reads; a crash repeats at most one batch. null: all there are."""
    tasks: int | None = Field(None, ge=1, json_schema_extra=OPERATIONAL)
    """Spark tasks a batch is spread over; null: Spark's own number of shuffle partitions."""
    expected: Expected | None = Field(None, json_schema_extra=OPERATIONAL)
    """What a plan takes of the stage where no engine is at hand to measure it, or other documents decide."""


class EngineStageSettings(StageSettings):
    """Settings of stages whose engine can fail on a row."""

    max_failure_rate: float = Field(0.2, ge=0, le=1, json_schema_extra=OPERATIONAL)
    """Share of rows the engine may fail on; above it, over 50 rows or more, the run stops before it writes a batch."""


# Beside a stage's columns until it is turned into a reason: what an engine said of a row it failed on.
ENGINE_ERROR: Final = StructType([StructField("engine_error", StringType())])


@dataclass(frozen=True, slots=True)
class Resources:
    """What a stage may need beyond its settings; read on the driver, sent to the executors as values."""

    languages: LanguageTable
    pivot: str
    """GlotLID code of the language instructions are written in."""
    seed: int
    candidates: tuple[str, ...] = ()
    """Languages an instruction of ours can be in: those the recipe's engines write, and the pivot."""
    word_lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cleaning: CleaningLists = field(default_factory=CleaningLists)
    screening: ScreeningLists = field(default_factory=ScreeningLists)
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Texts of the prompts that the recipe names."""
    evaluation_sets: Index | None = None
    """The evaluation sets that the recipe names; None if it names none."""


class Rule(NamedTuple):
    """What rejects a row."""

    condition: Column
    """Null counts as false."""
    reason: Reason
    detail: Column | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the way: a settings model and a ``DataFrame -> DataFrame`` function over alive rows.

    The function gets rows with every column so far, ``rejected_for`` empty, and returns as many, with the columns of
    ``adds`` added and codes appended to ``rejected_for``.
    """

    name: str
    settings: type[StageSettings]
    adds: StructType
    transform: Callable[[DataFrame, Any, Resources], DataFrame] | None = None
    """None: the stage keeps state across batches and has a writer of its own in ``jobs.runtime.batches``."""
    needs: tuple[str, ...] = ()
    """Columns that earlier stages must have added."""
    version: int = 1
    """Part of the fingerprint: raised when the same settings give other results."""
    engines: tuple[str, ...] = ()
    """Names of the settings that are engines."""
    labels: tuple[str, ...] = ()
    """Columns with engine labels, for the record of runs."""
    rules: Callable[[Any, Resources], Sequence[Rule]] | None = None
    """What the stage rejects for by columns that its table keeps, under its settings: the very rules that its transform
    applies, so that other limits can be tried on a table. Only their details may use other columns. None: what it
    rejects for follows from more than its table holds."""
    of_pairs: Callable[[Resources], Mapping[str, Column]] | None = None
    """For a stage that rows pass whose source holds their instruction: what it writes into columns of ``adds`` all the
    same; the others are null. None: the stage works on these rows as on all."""
    treat_pairs: Callable[[DataFrame, Any, Resources], DataFrame] | None = None
    """What the stage does to those rows after that, as many out as in; None: nothing. Loads no engine."""


HOLDS_PAIR: Final = "instruction IS NOT NULL"
"""Which rows of the record are pairs already, as a condition in SQL."""


def no_columns(_: Resources) -> Mapping[str, Column]:
    """Return that a stage writes nothing into rows that pass it; see ``Stage.of_pairs``."""
    return {}


def pass_pairs(pairs: DataFrame, stage: Stage, settings: StageSettings, resources: Resources) -> DataFrame:
    """Return rows that pass a stage, with the columns it adds.

    Input columns: the record, where HOLDS_PAIR. Output columns: the same and those of ``stage.adds``.
    """
    assert stage.of_pairs is not None, f"stage {stage.name} works on pairs"
    values = stage.of_pairs(resources)
    added = {each.name: values.get(each.name, F.lit(None)).cast(each.dataType) for each in stage.adds.fields}
    passing = pairs.withColumns(added)
    return passing if stage.treat_pairs is None else stage.treat_pairs(passing, settings, resources)


def flag(docs: DataFrame, condition: Column, reason: Reason, detail: Column | None = None) -> DataFrame:
    """Append ``reason`` to the rows where ``condition`` is true; null counts as false.

    Input columns: rejected_for, detail. Output columns: the same.
    """
    applies = F.coalesce(condition, F.lit(False))
    note = F.coalesce(F.col("detail"), detail) if detail is not None else F.col("detail")
    return docs.withColumns(
        {
            "rejected_for": F.when(applies, F.concat("rejected_for", F.array(F.lit(reason.value)))).otherwise(
                F.col("rejected_for")
            ),
            "detail": F.when(applies, note).otherwise(F.col("detail")),
        }
    )


def flag_all(docs: DataFrame, rules: Sequence[Rule]) -> DataFrame:
    """Append the reasons of many rules at once, in their order; the detail is that of the first which has one.

    As ``flag`` for each, in one step: a plan of twenty steps takes longer to make than a small batch to run.

    Input columns: rejected_for, detail. Output columns: the same.
    """
    details = [F.when(rule.condition, rule.detail) for rule in rules if rule.detail is not None]
    return docs.withColumns(
        {"rejected_for": F.concat("rejected_for", reasons(rules)), "detail": F.coalesce("detail", *details)}
    )


def reasons(rules: Sequence[Rule]) -> Column:
    """Return the codes of the rules that a row breaks, in their order."""
    broken = (F.when(rule.condition, F.lit(rule.reason.value)) for rule in rules)
    return F.array_compact(F.array(*broken).cast("array<string>"))
