"""Sources: corpora of monolingual text or of pairs, read into documents; a module a corpus format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Annotated, Final, TypeVar

from pydantic import Field
from pyspark.sql import DataFrame, Observation, SparkSession

from jobs.runtime.errors import BackpromptError
from jobs.sources import (
    c4,
    cc100,
    common_crawl,
    culturax,
    flan,
    instructions,
    jsonl,
    natural_instructions,
    oasst,
    oscar,
    wikihow,
    wikipedia,
    xp3,
)
from jobs.sources.c4 import C4Settings
from jobs.sources.cc100 import Cc100Settings
from jobs.sources.common_crawl import CommonCrawlSettings
from jobs.sources.culturax import CulturaxSettings
from jobs.sources.damage import damaged_files
from jobs.sources.files import file_sizes, inventory
from jobs.sources.flan import FlanSettings
from jobs.sources.instructions import InstructionSettings
from jobs.sources.jsonl import JsonlSettings
from jobs.sources.natural_instructions import NaturalInstructionsSettings
from jobs.sources.oasst import OasstSettings
from jobs.sources.oscar import OscarSettings
from jobs.sources.read_errors import UnreadableFileError, explain_read_error
from jobs.sources.wikihow import WikiHowSettings
from jobs.sources.wikipedia import WikipediaDumpSettings, WikipediaParquetSettings
from jobs.sources.xp3 import Xp3Settings
from udfs.file_streams import DamagedFileError
from udfs.languages import LanguageTable
from udfs.records import UNKNOWN_LANGUAGE, CorpusFile

__all__ = [
    "SOURCES",
    "UNKNOWN_LANGUAGE",
    "AnySource",
    "counts_left_out",
    "despite_damage",
    "explain_read_error",
    "file_sizes",
    "files_of",
    "inventory",
    "read",
]

_Result = TypeVar("_Result")

AnySource = Annotated[
    WikipediaDumpSettings
    | WikipediaParquetSettings
    | CulturaxSettings
    | OscarSettings
    | C4Settings
    | Cc100Settings
    | CommonCrawlSettings
    | JsonlSettings
    | WikiHowSettings
    | NaturalInstructionsSettings
    | Xp3Settings
    | OasstSettings
    | FlanSettings
    | InstructionSettings,
    Field(discriminator="kind"),
]

SOURCES: Final[dict[str, ModuleType]] = {
    "wikipedia-dump": wikipedia,
    "wikipedia-parquet": wikipedia,
    "culturax": culturax,
    "oscar": oscar,
    "c4": c4,
    "cc100": cc100,
    "common-crawl": common_crawl,
    "jsonl": jsonl,
    "wikihow": wikihow,
    "natural-instructions": natural_instructions,
    "xp3": xp3,
    "oasst": oasst,
    "flan": flan,
    "instructions": instructions,
}
"""The module that reads each kind of source."""


def read(
    spark: SparkSession,
    settings: AnySource,
    languages: LanguageTable,
    *,
    seed: int | None = None,
    only: Iterable[str] = (),
    left_out: Observation | None = None,
) -> DataFrame:
    """Read a corpus into documents.

    Lists the files and looks at the first of them now; the rest is lazy.

    Args:
        spark: the session.
        settings: which corpus, and how.
        languages: the language table.
        seed: seed of the sample that the settings ask for. The sample is drawn before the work that only its
            documents need, such as parsing wikitext. None gives the whole corpus, for ``sampling.sample`` to draw
            from; for what can be read the choice is the same.
        only: GlotLID codes that the run is restricted to; empty: no restriction beyond the settings'.
        left_out: of a corpus for which ``counts_left_out`` is true, gets the number of records that are no documents
            and give no row, as ``LANGUAGE/KIND``, when the rows are read; null for none.

    Returns:
        The columns of ``DOCUMENTS``, rejected_for and detail. A record that cannot be used is a rejected row that
        keeps its text: ``source.unreadable``, ``source.missing_text``, ``source.unknown_language``,
        ``source.duplicate_id``, ``source.flagged``, ``source.not_a_page``, ``source.disambiguation``, ``source.list``
        or ``source.stub``; of ``source.too_large`` its beginning.
        Ids are unique among the rows that are alive.

    Raises:
        BackpromptError: if the path, its files, their columns or their languages are not as the settings say. What
            Spark finds out later, as it reads, ``explain_read_error`` puts into words; a damaged file is such an error,
            see ``despite_damage``.
    """
    more = {"left_out": left_out} if left_out is not None else {}
    try:
        rows: DataFrame = SOURCES[settings.kind].read(spark, settings, languages, seed=seed, only=only, **more)
    except DamagedFileError as error:
        raise UnreadableFileError(
            f"Source {settings.name}: {error.path} is {error.reason}. Rename it or fetch it again."
        ) from error
    return rows


def counts_left_out(settings: AnySource) -> bool:
    """Say whether a corpus holds records that are no documents, and counts them."""
    return isinstance(settings, WikipediaDumpSettings)


def files_of(
    spark: SparkSession, settings: AnySource, languages: LanguageTable, *, only: Iterable[str] = ()
) -> list[CorpusFile]:
    """List the files that ``read`` reads, each with its language; without one where records say theirs.

    Raises:
        BackpromptError: as ``read``.
    """
    found: list[CorpusFile] = SOURCES[settings.kind].files(spark, settings, languages, only)
    return found


def despite_damage(
    spark: SparkSession,
    settings: AnySource,
    languages: LanguageTable,
    act: Callable[[AnySource], _Result],
    *,
    only: Iterable[str] = (),
) -> _Result:
    """Read a corpus; if files of it are damaged, read it again, and of these what can be read.

    Each damaged file is then a rejected row with its place beside the documents.

    Args:
        spark: the session.
        settings: which corpus, and how.
        languages: the language table.
        act: reads the corpus by the settings that it is given; it is called again behind an error.
        only: as for ``read``.

    Returns:
        What ``act`` returns.

    Raises:
        BackpromptError: if the corpus cannot be read. What ``act`` raises about other things goes on as it is.
    """
    try:
        return act(settings)
    except Exception as error:  # Spark passes on what its readers throw in more than one wrapping
        explained = explain_read_error(error, settings) if not isinstance(error, BackpromptError) else None
        unreadable = explained or error
        if settings.damaged or not isinstance(unreadable, UnreadableFileError):
            if explained is None:
                raise
            raise explained from error
    found = damaged_files(spark, settings, files_of(spark, settings, languages, only=only), unreadable)
    return despite_damage(spark, settings.with_damaged(found), languages, act, only=only)
