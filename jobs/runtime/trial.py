"""A few real documents through the engines of a recipe, in this process; and what all of them would take.

The stages' own functions do the work. Where they hand a function to Spark, the function runs here instead, over the
documents of the trial as one Arrow batch, so that an engine is opened once, where it can be timed.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from jobs.runtime.forecast import CHARACTERS, TOKENS, Observation, Sampled, Stratum, forecast
from jobs.runtime.recipe import LoadedRecipe
from jobs.runtime.schema import DOCUMENTS, TAIL
from jobs.stages.base import Resources, Stage
from jobs.stages.engines import RecipeTranslator, english_names, open_generator, prompt_name, task_devices
from jobs.stages.texts import LABEL, NO_ENGINE, READ, WRITTEN
from udfs.generators import InstructionRequest
from udfs.generators.instructions import ChatGenerator, Prompt
from udfs.loaded import close_all, open_for
from udfs.translators.seq2seq import Seq2SeqTranslator


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
    observations: Mapping[str, Sequence[Observation]] = field(default_factory=dict)
    """What each stage did with each document that reached it, by stage; those of ``clean`` too."""

    def known(self) -> dict[str, Sampled]:
        """Return what the trial tells of each stage."""
        return {
            each.stage: Sampled(self.observations.get(each.stage, ()), each.unit, each.per_second or None)
            for each in self.stages
        }


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


def run_trial(
    spark: SparkSession,
    recipe: LoadedRecipe,
    candidates: pa.Table,
    wanted: int,
    stages: Collection[str] | None = None,
    counts_as_runs: bool = False,
) -> Trial:
    """Send documents through the stages of a recipe that have engines.

    Args:
        spark: the session; the stages' rules for rejecting rows run in it, the engines in this process.
        recipe: a checked recipe, whose engines can be used.
        candidates: columns of a source, living rows in the order of preference.
        wanted: documents that go to the engines. All candidates go through ``clean``, as it rejects some.
        stages: names of the stages whose engines can be used; the trial ends before the first that is not among them.
            None: all.
        counts_as_runs: whether to count of translators what the table ``runs`` has, characters, also where their
            tokens can be counted.

    Raises:
        udfs.engines.EngineUnavailable: if an engine cannot be loaded on this machine.
    """
    resources = recipe.resources()
    schema = StructType([*DOCUMENTS.fields, TAIL["rejected_for"], TAIL["detail"]])
    rows = candidates
    documents: dict[str, TrialDocument] = {}
    found: list[StageTrial] = []
    skipped: list[str] = []
    observations: dict[str, list[Observation]] = defaultdict(list)
    try:
        for stage, settings in recipe.stages():
            if stage.transform is None or not stage.engines:
                skipped.append(stage.name)
                continue
            if stages is not None and stage.name not in stages:
                break
            if not len(rows):
                break
            if not documents and stage.name != "clean":
                rows = _spread(rows, wanted)
            here = _InProcess(spark, rows, schema)
            frame = stage.transform(cast("DataFrame", here), settings, resources)
            made, schema = here.judged(frame), frame.schema
            passages, unit = _passages(stage, settings, resources, rows, made, here.seconds, counts_as_runs)
            is_alive = pc.equal(pc.list_value_length(made["rejected_for"]), 0)
            alive = made.filter(is_alive)
            found.append(
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
            observations[stage.name] = _observations(rows, made, passages)
            if stage.name != "clean":
                _note(documents, made, stage.name, passages)
            rows = alive
    finally:
        close_all()
    return Trial(tuple(documents.values()), tuple(found), tuple(skipped), dict(observations))


def estimate(
    recipe: LoadedRecipe,
    trial: Trial,
    incoming: Mapping[str, int],
    waiting: Mapping[str, Mapping[str, int]],
    uncovered: Mapping[str, Sequence[str]],
) -> list[Estimate]:
    """Return what the whole run would take, by stage and language, as ``forecast`` concludes it.

    A document is taken to be as long as those of its language in the trial are on average, or as all are where there
    is none.

    Args:
        recipe: the recipe.
        trial: what the trial gave.
        incoming: documents that the corpora bring, by language.
        waiting: rows by stage and language that the lake holds and the stage has not seen.
        uncovered: languages by stage that its engine does not cover.
    """
    first: Sequence[Observation] = next(iter(trial.observations.values()), ())
    lengths: dict[str, list[int]] = defaultdict(list)
    for each in first:
        lengths[each.language].append(each.characters_in)
    everywhere = [each.characters_in for each in first]

    def stratum(language: str, documents: int) -> Stratum:
        known = lengths.get(language) or everywhere or [0]
        return Stratum("", language, documents, documents * sum(known) / len(known))

    # Numbers of the lake are by language alone.
    known = {
        name: replace(each, observations=[replace(one, source="") for one in each.observations])
        for name, each in trial.known().items()
    }
    speeds = {each.stage: each.per_second for each in trial.stages}
    plan = forecast(
        recipe.order[1:],
        [stratum(language, count) for language, count in incoming.items()],
        known,
        waiting={name: [stratum(*item) for item in rows.items()] for name, rows in waiting.items()},
        uncovered={name: languages for name, languages in uncovered.items() if name in LABEL},
        seed=recipe.recipe.seed,
    )
    return [
        Estimate(
            row.stage,
            row.language or "",
            round(row.documents.value),
            units := round(row.units_in.value + row.units_out.value),
            row.unit,
            units / speeds[row.stage] / 3600 if speeds[row.stage] else 0.0,
            row.observed > 0,
        )
        for row in plan.languages
        if row.unit is not None and row.units_in is not None and row.units_out is not None
        if round(row.documents.value) and row.language not in uncovered.get(row.stage, ())
    ]


def _observations(rows: pa.Table, made: pa.Table, passages: Mapping[str, Passage]) -> list[Observation]:
    given = rows["text_chars"].to_pylist()
    return [
        Observation(
            row["source"],
            row["language"],
            not row["rejected_for"],
            characters,
            row["text_chars"],
            passages[row["doc_id"]].units_in,
            passages[row["doc_id"]].units_out,
        )
        for row, characters in zip(
            made.select(["doc_id", "source", "language", "text_chars", "rejected_for"]).to_pylist(), given, strict=True
        )
    ]


def _spread(rows: pa.Table, wanted: int) -> pa.Table:
    """Return ``wanted`` rows: the first of each language, then the second of each, its sources by turns, and so on."""
    by_language: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    names = rows.select(["language", "source"]).to_pylist()
    for at, name in enumerate(names):
        by_language[name["language"]][name["source"]].append(at)
    mixed = [_by_turns(list(sources.values())) for sources in by_language.values()]
    return rows.take(sorted(_by_turns(mixed)[:wanted]))


def _by_turns(lists: Sequence[Sequence[int]]) -> list[int]:
    return [each for turn in zip_longest(*lists) for each in turn if each is not None]


def _note(documents: dict[str, TrialDocument], made: pa.Table, stage: str, passages: Mapping[str, Passage]) -> None:
    for row in made.select(["doc_id", "language", "source", "title"]).to_pylist():
        documents.setdefault(row["doc_id"], TrialDocument(**row)).passages[stage] = passages[row["doc_id"]]


def _passages(
    stage: Stage,
    settings: Any,
    resources: Resources,
    rows: pa.Table,
    made: pa.Table,
    seconds: float,
    counts_as_runs: bool,
) -> tuple[dict[str, Passage], str]:
    """Return each document's way through a stage by its id, and what is counted."""
    given, answers = rows.to_pylist(), made.to_pylist()
    asked = [_joined(row, READ.get(stage.name, ())) for row in given]
    answered = [_joined(row, WRITTEN.get(stage.name, ())) for row in answers]
    label = LABEL.get(stage.name)
    has_work = [label is None or row[label] not in (None, NO_ENGINE) for row in answers]
    if stage.name == "instruct":
        asked = _prompts(settings, resources, given, asked)
    unit, units = _units(stage.name, settings, resources, asked, answered, answers, counts_as_runs)
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
    counts_as_runs: bool,
) -> tuple[str, list[tuple[int, int]]]:
    """Return tokens in and out by row where the engine counts them, else characters; arguments as ``run_trial``."""
    if stage == "instruct":
        counts = [(row["prompt_tokens"], row["completion_tokens"]) for row in rows]
        if any(each != (None, None) for each in counts):
            return TOKENS, [(given or 0, made or 0) for given, made in counts]
    if stage in LABEL and not counts_as_runs:
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
