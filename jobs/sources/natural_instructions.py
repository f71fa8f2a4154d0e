"""Super-NaturalInstructions v2: a task a file, definition and input being the instruction (Wang et al. 2022)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Final, Literal

from pydantic import Field
from pyspark.sql import DataFrame, SparkSession

from jobs.runtime.errors import BackpromptError
from jobs.sources.base import RECORD_SCHEMA, Genre, License, PairSourceSettings, SourceName, to_documents
from jobs.sources.files import file_sizes, list_files, literal, wanted_languages
from jobs.sources.jsonl import keep_languages
from udfs.languages import LanguageTable
from udfs.pairs.lines import rejected
from udfs.pairs.task_files import TaskFormat, read_tasks
from udfs.records import RECORD_FIELDS, CorpusFile
from udfs.settings import OPERATIONAL

_FILES: Final = re.compile(r"\.json(?:\.gz)?$")
_FORM: Final = "task files such as tasks/task1147_country_currency.json, also with .gz"


class NaturalInstructionsSettings(PairSourceSettings):
    """Super-NaturalInstructions v2: its task files, ``tasks/task*.json``.

    The instruction is the task's definition and the instance's input, the output the first of the references. Languages
    are the task's own fields: a pair has that of the output, and the instruction the one that definition and input are
    in, or none that is checked where these differ. The numbers are MURI's: 200 instances of each translation task
    and 500 of each other.
    """

    kind: Literal["natural-instructions"] = "natural-instructions"
    name: SourceName = "natural_instructions"
    license: License = "Apache-2.0"
    """Licence of the texts, on every row; that of a task's ``Instance License`` goes before it."""
    genre: Genre = "task"
    max_translation_instances: int | None = Field(200, ge=1, json_schema_extra=OPERATIONAL)
    """At most so many instances of a translation task, chosen by a hash of the id; null: all."""
    max_instances: int | None = Field(500, ge=1, json_schema_extra=OPERATIONAL)
    """At most so many instances of any other task; null: all."""
    output_languages: dict[str, str] = Field(default_factory=dict)
    """GlotLID codes of outputs by task (the file's name without .json), for tasks that name none or several."""
    max_file_bytes: int = Field(128 * 2**20, ge=1_000, json_schema_extra=OPERATIONAL)
    """A larger task file is rejected: a task is read in one piece."""


def files(
    spark: SparkSession, settings: NaturalInstructionsSettings, languages: LanguageTable, only: Iterable[str] = ()
) -> list[CorpusFile]:
    """Return the files that are read; see ``jobs.sources.files_of``."""
    wanted_languages(settings, languages, only)
    unknown = sorted(set(settings.output_languages.values()) - set(languages))
    if unknown:
        raise BackpromptError(
            f"Source {settings.name}: output_languages: {', '.join(unknown)} is not in conf/languages.csv"
        )
    found = list_files(spark, settings, _FILES, _FORM)
    return [replace(file, language=settings.language) for file in found]


def read(
    spark: SparkSession,
    settings: NaturalInstructionsSettings,
    languages: LanguageTable,
    *,
    seed: int | None = None,
    only: Iterable[str] = (),
) -> DataFrame:
    """Read tasks; see ``jobs.sources.read``."""
    found, sizes = files(spark, settings, languages, only), file_sizes(spark, settings)
    form = TaskFormat(
        settings.name,
        seed,
        settings.max_translation_instances,
        settings.max_instances,
        languages.by_codes("name"),
        settings.output_languages,
        settings.max_file_bytes,
        settings.max_record_bytes,
    )
    large = [file for file in found if sizes.get(file.path, 0) > settings.max_file_bytes]
    small = [file for file in found if file not in large]
    records = _rejected(spark, large, sizes) if large else None
    if small:
        tasks = (
            spark.read.format("binaryFile")
            .option("recursiveFileLookup", "true")
            .load([literal(file.path) for file in small])
            .select("content", "_metadata.file_path")
        )
        by_address = {file.uri: file for file in small}
        read_small = tasks.mapInArrow(partial(read_tasks, files=by_address, form=form), RECORD_SCHEMA)
        records = read_small if records is None else read_small.unionByName(records)
    assert records is not None, "a corpus has files"
    wanted = wanted_languages(settings, languages, only)
    return to_documents(keep_languages(records, wanted), settings, seed, caps=settings.caps())


def _rejected(spark: SparkSession, large: list[CorpusFile], sizes: dict[str, int]) -> DataFrame:
    """Return a rejected record for each file that is too large to be read."""
    records = [
        rejected("", file, file.origin, f"a file of {sizes[file.path]:,} bytes, more than max_file_bytes")
        for file in large
    ]
    rows = [tuple(getattr(record, name) for name in RECORD_FIELDS) for record in records]
    return spark.createDataFrame(rows, RECORD_SCHEMA)
