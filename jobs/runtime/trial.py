"""A few real documents through the engines of a recipe, in this process; and what all of them would take.

The stages' own functions do the work. Where they hand a function to Spark, the function runs here instead, over the
documents of the trial as one Arrow batch, so that an engine is opened once, where it can be timed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from jobs.runtime.recipe import LoadedRecipe
from jobs.runtime.schema import DOCUMENTS, TAIL
from jobs.stages.base import Resources, Stage
from jobs.stages.engines import RecipeTranslator, english_names, open_generator, prompt_name, task_devices
from jobs.stages.translate import NO_ENGINE
from udfs.generators import InstructionRequest
from udfs.generators.instructions import ChatGenerator, Prompt
from udfs.loaded import close_all, open_for
from udfs.translators.seq2seq import Seq2SeqTranslator

CHARACTERS: Final = "characters"
TOKENS: Final = "tokens"
# What a stage's engines read and write; the rest of a row costs them nothing.
_READ: Final[Mapping[str, tuple[str, ...]]] = {
    "clean": ("text",),
    "translate": ("title", "text"),
    "instruct": ("text_en",),
    "back_translate": ("instruction_en",),
    "screen": ("instruction_src", "text"),
}
_WRITTEN: Final[Mapping[str, tuple[str, ...]]] = {
    "translate": ("title_en", "text_en"),
    "instruct": ("instruction_en",),
    "back_translate": ("instruction_src",),
}
_LABEL: Final = {"translate": "translator", "back_translate": "back_translator"}


@dataclass(frozen=True, slots=True)
class Passage:
    """One document's way through one stage."""

    asked: str
    """What the engine was given: the prompt, or the text."""
    answer: str
    units_in: int
    units_out: int
    seconds: float
    """Its share of the time that the batch took, by its units."""
    rejected_for: tuple[str, ...] = ()
    detail: str | None = None

    @property
    def units(self) -> int:
        """Return tokens or characters, in and out."""
        return self.units_in + self.units_out


@dataclass(frozen=True, slots=True)
class TrialDocument:
    """One document of the trial."""

    doc_id: str
    language: str
    source: str
    title: str | None
    passages: dict[str, Passage] = field(default_factory=dict)
    """By stage, in order, down to the one that rejected it."""


@dataclass(frozen=True, slots=True)
class StageTrial:
    """What one stage did with the documents of a trial that reached it."""

    stage: str
    unit: str
    """``tokens``, or ``characters`` where the engine counts no tokens."""
    rows: int
    alive: int
    load_seconds: float
    """Until the engine was ready."""
    seconds: float
    """For the batch, the engine being ready."""
    units_in: int
    units_out: int
    reasons: dict[str, int] = field(default_factory=dict)
    """Documents by the reason that they were rejected for."""

    @property
    def per_second(self) -> float:
        """Return units a second, in and out."""
        return (self.units_in + self.units_out) / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial gave."""

    documents: tuple[TrialDocument, ...]
    stages: tuple[StageTrial, ...]
    skipped: tuple[str, ...]
    """Stages that look across documents or have no engine: every document of the trial passed them."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one stage would have to do in one language."""

    stage: str
    language: str
    documents: int
    units: int
    unit: str
    hours: float
    """Of one engine that works as fast as that of the trial."""
    is_measured: bool
    """Whether documents of this language were in the trial; else its documents are taken to be like all of them."""


class _InProcess:
    """A stand-in for the documents that a stage's function is given: what it maps runs here, and is timed."""

    def __init__(self, spark: SparkSession, rows: pa.Table, schema: StructType) -> None:
        self._spark = spark
        self._rows = self._made = rows
        self.schema = schema
        self.load_seconds = self.seconds = 0.0

    def transform(self, function: Callable[..., DataFrame], *arguments: Any, **named: Any) -> DataFrame:
        """Do what ``DataFrame.transform`` does."""
        return function(self, *arguments, **named)

    def mapInArrow(  # noqa: N802 - Spark's name
        self, function: Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]], schema: StructType
    ) -> DataFrame:
        """Run the function over all rows as one batch; without a batch it opens its engines and ends."""
        started = time.perf_counter()
        for _ in function(iter(())):
            raise AssertionError("a batch came out, and none went in")
        opened = time.perf_counter()
        made = list(function(iter(self._rows.combine_chunks().to_batches())))
        self.load_seconds, self.seconds = opened - started, time.perf_counter() - opened
        self._made = pa.Table.from_batches(made)
        return self._spark.createDataFrame(self._made, schema)

    def judged(self, frame: DataFrame) -> pa.Table:
        """Return what the function made, with what the stage's rules, which run in Spark, say of each row.

        Args:
            frame: what the stage returned; beside the columns that it leaves out, it has changed these two alone.
        """
        said = {row["doc_id"]: row for row in frame.select("doc_id", "rejected_for", "detail").collect()}
        ids = self._made["doc_id"].to_pylist()
        table = self._made.select([name for name in frame.columns if name not in ("rejected_for", "detail")])
        reasons = pa.array([said[each]["rejected_for"] for each in ids], pa.list_(pa.string()))
        table = table.append_column("rejected_for", reasons)
        return table.append_column("detail", pa.array([said[each]["detail"] for each in ids], pa.string()))


def run_trial(spark: SparkSession, recipe: LoadedRecipe, candidates: pa.Table, wanted: int) -> Trial:
    """Send documents through the stages of a recipe that have engines.

    Args:
        spark: the session; the stages' rules for rejecting rows run in it, the engines in this process.
        recipe: a checked recipe, whose engines can be used.
        candidates: columns of a source, living rows in the order of preference.
        wanted: documents that go to the engines. All candidates go through ``clean``, as it rejects some.

    Raises:
        udfs.engines.EngineUnavailable: if an engine cannot be loaded on this machine.
    """
    resources = recipe.resources()
    rows, schema = candidates, StructType([*DOCUMENTS.fields, TAIL["rejected_for"], TAIL["detail"]])
    documents: dict[str, TrialDocument] = {}
    stages: list[StageTrial] = []
    skipped: list[str] = []
    try:
        for stage, settings in recipe.stages():
            if stage.transform is None or not stage.engines:
                skipped.append(stage.name)
                continue
            if not len(rows):
                break
            if not documents and stage.name != "clean":
                rows = _spread(rows, wanted)
            here = _InProcess(spark, rows, schema)
            frame = stage.transform(cast("DataFrame", here), settings, resources)
            made, schema = here.judged(frame), frame.schema
            passages, unit = _passages(stage, settings, resources, rows, made, here.seconds)
            is_alive = pc.equal(pc.list_value_length(made["rejected_for"]), 0)
            alive = made.filter(is_alive)
            stages.append(
                StageTrial(
                    stage.name,
                    unit,
                    len(made),
                    len(alive),
                    here.load_seconds,
                    here.seconds,
                    sum(each.units_in for each in passages.values()),
                    sum(each.units_out for each in passages.values()),
                    dict(Counter(reason for each in passages.values() for reason in each.rejected_for)),
                )
            )
            if stage.name != "clean":
                _note(documents, made, stage.name, passages)
            rows = alive
    finally:
        close_all()
    return Trial(tuple(documents.values()), tuple(stages), tuple(skipped))


def estimate(
    recipe: LoadedRecipe,
    trial: Trial,
    incoming: Mapping[str, int],
    waiting: Mapping[str, Mapping[str, int]],
    uncovered: Mapping[str, Sequence[str]],
) -> list[Estimate]:
    """Return what the whole run would take, by stage and language.

    A document is taken to be as long as those of its language in the trial are on average, or as all are where there
    is none, and as likely to be rejected as all of the trial were.

    Args:
        recipe: the recipe.
        trial: what the trial gave.
        incoming: documents that the corpora bring, by language.
        waiting: rows by stage and language that the lake holds and the stage has not seen.
        uncovered: languages by stage that its engine does not cover.
    """
    measured = {each.stage: each for each in trial.stages}
    coming = {language: float(count) for language, count in incoming.items()}
    found: list[Estimate] = []
    for name in recipe.order[1:]:
        for language, count in waiting.get(name, {}).items():
            coming[language] = coming.get(language, 0.0) + count
        stage = measured.get(name)
        if stage is None:
            continue
        gone = set(uncovered.get(name, ())) if name in _LABEL else set()
        for language, documents in sorted(coming.items()):
            if language not in gone and round(documents):
                found.append(_estimate(recipe, trial, stage, language, documents))
        reached = [each for each in trial.documents if name in each.passages and each.language not in gone]
        passed = [each for each in reached if not each.passages[name].rejected_for]
        # All candidates went through `clean`, and the documents are those that passed.
        kept, of = (stage.alive, stage.rows) if name == "clean" else (len(passed), len(reached))
        share = kept / of if of else 0.0
        coming = {language: count * share for language, count in coming.items() if language not in gone}
    return found


def _estimate(recipe: LoadedRecipe, trial: Trial, stage: StageTrial, language: str, documents: float) -> Estimate:
    reached = [each for each in trial.documents if stage.stage in each.passages]
    own = [each for each in reached if each.language == language]
    is_measured = bool(own) or stage.stage == "clean"
    if language == recipe.recipe.pivot and stage.stage in _LABEL:
        mean = 0.0
    elif stage.stage == "clean":
        mean = (stage.units_in + stage.units_out) / stage.rows
    else:
        # Those that the engine had no work with say nothing of the others.
        worked = [units for each in own or reached if (units := each.passages[stage.stage].units)]
        mean = sum(worked) / len(worked) if worked else 0.0
    units = round(documents * mean)
    hours = units / stage.per_second / 3600 if stage.per_second else 0.0
    return Estimate(stage.stage, language, round(documents), units, stage.unit, hours, is_measured)


def _spread(rows: pa.Table, wanted: int) -> pa.Table:
    """Return ``wanted`` rows: the first of each language, then the second of each, and so on."""
    by_language: dict[str, list[int]] = {}
    for at, language in enumerate(rows["language"].to_pylist()):
        by_language.setdefault(language, []).append(at)
    turns = [at for turn in zip_longest(*by_language.values()) for at in turn if at is not None]
    return rows.take(sorted(turns[:wanted]))


def _note(documents: dict[str, TrialDocument], made: pa.Table, stage: str, passages: Mapping[str, Passage]) -> None:
    for row in made.select(["doc_id", "language", "source", "title"]).to_pylist():
        documents.setdefault(row["doc_id"], TrialDocument(**row)).passages[stage] = passages[row["doc_id"]]


def _passages(
    stage: Stage, settings: Any, resources: Resources, rows: pa.Table, made: pa.Table, seconds: float
) -> tuple[dict[str, Passage], str]:
    """Return each document's way through a stage by its id, and what is counted."""
    given, answers = rows.to_pylist(), made.to_pylist()
    asked = [_joined(row, _READ.get(stage.name, ())) for row in given]
    answered = [_joined(row, _WRITTEN.get(stage.name, ())) for row in answers]
    label = _LABEL.get(stage.name)
    has_work = [label is None or row[label] not in (None, NO_ENGINE) for row in answers]
    if stage.name == "instruct":
        asked = _prompts(settings, resources, given, asked)
    unit, units = _units(stage.name, settings, resources, asked, answered, answers)
    units = [each if works else (0, 0) for each, works in zip(units, has_work, strict=True)]
    total = sum(map(sum, units)) or 1
    return {
        row["doc_id"]: Passage(
            question, answer, *each, seconds * sum(each) / total, tuple(row["rejected_for"]), row["detail"]
        )
        for row, question, answer, each in zip(answers, asked, answered, units, strict=True)
    }, unit


def _joined(row: Mapping[str, Any], columns: Iterable[str]) -> str:
    return "\n".join(row[name] for name in columns if row.get(name))


def _units(
    stage: str,
    settings: Any,
    resources: Resources,
    asked: Sequence[str],
    answered: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
) -> tuple[str, list[tuple[int, int]]]:
    """Return tokens in and out by row where the engine counts them, else characters."""
    if stage == "instruct":
        counts = [(row["prompt_tokens"], row["completion_tokens"]) for row in rows]
        if any(each != (None, None) for each in counts):
            return TOKENS, [(given or 0, made or 0) for given, made in counts]
    if stage in _LABEL:
        engine = RecipeTranslator.of(settings.engine, resources)
        # The one that the stage has just used.
        devices = task_devices()
        translator = open_for((stage, devices), RecipeTranslator.open, engine, devices)
        if isinstance(translator, Seq2SeqTranslator):
            sides = translator.count_tokens(asked), translator.count_tokens(answered)
            return TOKENS, list(zip(*sides, strict=True))
    return CHARACTERS, [(len(question), len(answer)) for question, answer in zip(asked, answered, strict=True)]


def _prompts(settings: Any, resources: Resources, rows: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> list[str]:
    """Return the prompts as the generator sent them; the texts for one that takes no prompt."""
    name = prompt_name(settings.engine)
    if name is None:
        return list(texts)
    prompt, names = resources.prompts[name], english_names(resources)
    devices = task_devices()
    # The one that the stage has just used.
    generator = open_for(("instruct", devices), open_generator, settings.engine, prompt, names, devices)
    if not isinstance(generator, ChatGenerator):
        return list(texts)
    requests = [
        InstructionRequest(
            row["doc_id"], row["language"], row["text"], row["text_en"], row["title"], row["title_en"], row["genre"]
        )
        for row in rows
    ]
    return [each.text if isinstance(each, Prompt) else str(each) for each in generator.prompts(requests)]
