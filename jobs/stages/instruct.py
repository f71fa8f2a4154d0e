"""Write the instruction each document answers (MURI, section 3, step 3: reverse instructions)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import pyarrow as pa
from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import GIVEN, INSTRUCT, join_columns
from jobs.stages.base import ENGINE_ERROR, EngineStageSettings, Resources, Stage, flag
from jobs.stages.engines import AnyGenerator, Names, english_names, open_generator, prompt_name, task_devices
from udfs.arrow import with_columns
from udfs.generators import Generator, InstructionRequest
from udfs.generators.template import TemplateSettings
from udfs.loaded import open_for


class InstructSettings(EngineStageSettings):
    """Write, in the pivot language, the instruction that the document answers."""

    engine: AnyGenerator = Field(default_factory=TemplateSettings)
    """Engine that writes the instruction."""


def instruct(docs: DataFrame, settings: InstructSettings, resources: Resources) -> DataFrame:
    """Add an instruction to every document, or the reason why there is none.

    Input columns: doc_id, language, genre, title, text, title_en, text_en, rejected_for, detail.
    Output columns: the same and INSTRUCT.
    """
    schema = join_columns(docs.schema, INSTRUCT, ENGINE_ERROR)
    prompt = prompt_name(settings.engine)
    run = partial(
        _instruct_batches,
        engine=settings.engine,
        prompt=resources.prompts[prompt] if prompt else "",
        names=english_names(resources),
        order=schema.fieldNames(),
    )
    has_none = F.col("instruction_en").isNull() & F.col("instruction_src").isNull()
    return (
        docs.mapInArrow(run, schema)
        .transform(flag, F.col("engine_error").isNotNull(), Reason.INSTRUCT_FAILED, F.col("engine_error"))
        .transform(flag, has_none & F.col("engine_error").isNull(), Reason.NO_INSTRUCTION)
        .drop("engine_error")
    )


def of_pairs(resources: Resources) -> Mapping[str, Column]:
    """Return the columns of rows whose source holds their instruction: that one, as English only where it is."""
    language = F.coalesce("instruction_language", "language")
    return {
        "instruction_src": F.col("instruction"),
        "instruction_en": F.when(language == resources.pivot, F.col("instruction")),
        "generator": F.lit(GIVEN),
    }


def _instruct_batches(
    batches: Iterable[pa.RecordBatch], engine: AnyGenerator, prompt: str, names: Names, order: list[str]
) -> Iterator[pa.RecordBatch]:
    devices = task_devices()
    generator: Generator = open_for((STAGE.name, devices), open_generator, engine, prompt, names, devices)
    for batch in batches:
        columns = [
            batch.column(name).to_pylist()
            for name in ("doc_id", "language", "text", "text_en", "title", "title_en", "genre")
        ]
        made = generator.generate([InstructionRequest(*row) for row in zip(*columns, strict=True)])
        yield with_columns(
            batch,
            {
                "instruction_en": pa.array((each.instruction_en for each in made), pa.string()),
                "instruction_src": pa.array((each.instruction_src for each in made), pa.string()),
                "generator": pa.array((each.label for each in made), pa.string()),
                "prompt_hash": pa.array((each.prompt_hash for each in made), pa.string()),
                "prompt_tokens": pa.array((each.prompt_tokens for each in made), pa.int32()),
                "completion_tokens": pa.array((each.completion_tokens for each in made), pa.int32()),
                "is_prompt_shortened": pa.array((each.is_shortened if prompt else None for each in made), pa.bool_()),
                "engine_error": pa.array((each.error for each in made), pa.string()),
            },
            order,
        )


STAGE = Stage(
    name="instruct",
    settings=InstructSettings,
    adds=INSTRUCT,
    transform=instruct,
    needs=("text_en",),
    engines=("engine",),
    labels=("generator",),
    of_pairs=of_pairs,
)
