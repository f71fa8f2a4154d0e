"""A cheap look at a recipe's corpora: which languages they hold, about how much of each, and a few documents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.runtime.conf import language_table
from jobs.runtime.dry_run import incoming
from jobs.runtime.ingest import Ingest
from jobs.runtime.lake import Lake
from jobs.runtime.ledger import BatchId, Ledger
from jobs.runtime.recipe import FIRST, LoadedRecipe
from jobs.sources import AnySource, despite_damage, file_sizes, files_of, read
from jobs.sources.base import PairSourceSettings
from jobs.sources.sampling import sampling_position
from jobs.stages.base import Resources
from udfs.records import CorpusFile

# A corpus of so many bytes, as they lie on the disk, is read as a whole, in a minute or so on a laptop.
_SMALL_BYTES: Final = 64 * 2**20
# So many files of a larger one are read where the records tell their languages.
_FILES_OF_ALL_LANGUAGES: Final = 5
# Documents are taken for each that is wanted: cleaning rejects some.
_SPARE: Final = 3


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus of the recipe, as its files show it."""

    source: AnySource
    files: tuple[tuple[CorpusFile, int], ...]
    """Files with their bytes, largest first."""

    @property
    def bytes(self) -> int:
        """Return the bytes of all files."""
        return sum(size for _, size in self.files)

    @property
    def holds_pairs(self) -> bool:
        """Say whether its rows are pairs, which no engine before the stage ``screen`` works on."""
        return isinstance(self.source, PairSourceSettings)

    @property
    def is_small(self) -> bool:
        """Say whether all of it can be read to look at it."""
        return self.bytes <= _SMALL_BYTES

    def by_language(self) -> dict[str | None, list[tuple[CorpusFile, int]]]:
        """Return the files by language, languages with the most bytes first; None where the records say it."""
        found: dict[str | None, list[tuple[CorpusFile, int]]] = defaultdict(list)
        for file, size in self.files:
            found[file.language].append((file, size))
        return dict(sorted(found.items(), key=lambda item: -sum(size for _, size in item[1])))

    def parts(self, languages: int | None = None) -> Iterator[tuple[AnySource, float]]:
        """Yield a file of each language as a source of its own, and how many times the language has it.

        That of median size: the smallest may hold next to nothing. Where only records tell their languages, several
        files, evenly spread over the paths, as one may hold few of the languages.

        Args:
            languages: so many of them, those with the most bytes; None: all.
        """
        for language, files in list(self.by_language().items())[:languages]:
            if language is None:
                by_path = sorted(files, key=lambda item: item[0].path)
                step = max(1.0, len(files) / _FILES_OF_ALL_LANGUAGES)
                chosen = [by_path[int(step * at)] for at in range(min(len(files), _FILES_OF_ALL_LANGUAGES))]
            else:
                chosen = [files[len(files) // 2]]
            times = sum(size for _, size in files) / max(1, sum(size for _, size in chosen))
            for file, _ in chosen:
                part = self.source.model_copy(
                    update={
                        "path": file.path,
                        "language": language or self.source.language,
                        "on_missing": "keep",
                        "leave_out_languages_below": 0,  # a file has fewer documents than the corpus
                    }
                )
                yield part, times


@dataclass(slots=True)
class Counts:
    """How many documents the corpora bring, by language."""

    documents: dict[str, int] = field(default_factory=dict)
    counted: list[str] = field(default_factory=list)
    """Corpora of which every document was counted."""
    projected: list[str] = field(default_factory=list)
    """Corpora of which one file a language was counted, and the rest concluded from the bytes."""
    pairs: dict[str, int] = field(default_factory=dict)
    """How many pairs corpora of pairs bring, by language."""

    def add(self, languages: Mapping[str, int], are_pairs: bool = False) -> None:
        """Add documents, or pairs, by language."""
        sums = self.pairs if are_pairs else self.documents
        for language, count in languages.items():
            sums[language] = sums.get(language, 0) + count


def list_corpora(spark: SparkSession, recipe: LoadedRecipe) -> list[Corpus]:
    """List the files of the recipe's corpora; reads none of them.

    Raises:
        BackpromptError: if a corpus is missing or its files are not as the recipe says.
    """
    found = []
    for source in recipe.recipe.sources:
        files = files_of(spark, source, language_table(), only=recipe.recipe.languages)
        sizes = file_sizes(spark, source)
        placed = sorted(((file, sizes.get(file.path, 0)) for file in files), key=lambda each: -each[1])
        found.append(Corpus(source, tuple(placed)))
    return found


def named_languages(recipe: LoadedRecipe) -> tuple[str, ...] | None:
    """Return the languages that recipe and sources restrict the run to; None if a corpus may hold any.

    Corpora of pairs do not count: engines have no work with them.
    """
    if recipe.recipe.languages:
        return recipe.recipe.languages
    sources = [source for source in recipe.recipe.sources if not isinstance(source, PairSourceSettings)]
    named = [source.languages or ((source.language,) if source.language else ()) for source in sources]
    return tuple(sorted({code for codes in named for code in codes})) if all(named) else None


def listed_languages(corpora: Sequence[Corpus]) -> tuple[str, ...]:
    """Return the languages that the files of corpora have; those that only records tell are not among them.

    Corpora of pairs do not count: engines have no work with them.
    """
    listed = [corpus for corpus in corpora if not corpus.holds_pairs]
    return tuple(sorted({file.language for corpus in listed for file, _ in corpus.files if file.language}))


def sample_documents(
    spark: SparkSession, recipe: LoadedRecipe, lake: Lake, corpora: Sequence[Corpus], wanted: int
) -> tuple[pa.Table, Counts]:
    """Take some living documents of every language of the corpora, and count what a run would take in.

    A corpus of up to 64 MiB is read whole: the documents are those that a run takes first, and what the lake does not
    hold is counted. Of a larger one a file of a language is read, for ``wanted`` languages at most, those with the most
    bytes; the documents that a run takes first are chosen of that file, and the language's number is concluded from the
    bytes. The sources' own sample rates and limits count.

    Args:
        spark: the session.
        recipe: a checked recipe.
        lake: the lake that the run is for; one without tables holds nothing.
        corpora: what ``list_corpora`` found.
        wanted: documents that the caller needs.

    Returns:
        The documents, columns of a source, in the order in which a run takes them; more than ``wanted`` if there are
        more; no pairs. And the numbers of all.
    """
    languages = {
        language for corpus in corpora if not corpus.holds_pairs for language in corpus.by_language() if language
    }
    each = _SPARE * ceil(wanted / max(1, len(languages))) if languages else _SPARE * wanted
    everything = ingestion(spark, recipe, lake, [corpus.source for corpus in corpora])
    counts = Counts()
    tables: list[pa.Table] = []
    for corpus in corpora:
        if corpus.is_small:
            counts.counted.append(corpus.source.name)
            if not corpus.holds_pairs:
                tables.append(_first_documents(spark, recipe, corpus.source, each))
            continue
        counts.projected.append(corpus.source.name)
        is_unchanged = everything.is_unchanged(corpus.source)
        for part, times in corpus.parts(wanted):
            if not corpus.holds_pairs:
                tables.append(_first_documents(spark, recipe, part, each))
            if not is_unchanged:
                counts.add(_projected(spark, recipe, part, times), corpus.holds_pairs)
    small = {corpus.source.name: corpus for corpus in corpora if corpus.is_small}
    ingest = ingestion(spark, recipe, lake, [corpus.source for corpus in small.values()])
    for name, found in incoming(ingest).items():
        new = {language: count.new + count.changed for language, count in found.items()}
        counts.add(new, small[name].holds_pairs)
    counts.documents = {
        language: number if (limit := recipe.recipe.document_limit(language)) is None else min(number, limit)
        for language, number in counts.documents.items()
    }
    if not tables:
        return pa.table({"language": pa.array([], pa.string())}), counts
    # One schema: sources differ in what they say can be null.
    nullable = [table.cast(pa.schema([each.with_nullable(True) for each in table.schema])) for table in tables]
    return pa.concat_tables(nullable), counts


def ingestion(
    spark: SparkSession,
    recipe: LoadedRecipe,
    lake: Lake,
    sources: Sequence[AnySource],
    has_shared_limits: bool = True,
    starts_anew: bool = False,
) -> Ingest:
    """Return the work that a run would have with some of the recipe's sources.

    Args:
        spark: the session.
        recipe: a checked recipe.
        lake: the lake that the run is for.
        sources: those of the recipe that are looked at.
        has_shared_limits: false: as if the sources shared no limits.
        starts_anew: whether the run would empty the lake's first table.
    """
    changes: dict[str, Any] = {"sources": tuple(sources)}
    if not has_shared_limits:
        changes |= {"max_documents_per_language": None, "max_documents": {}}
    return Ingest(
        spark=spark,
        recipe=LoadedRecipe(recipe.recipe.model_copy(update=changes), recipe.order[1:], recipe.files),
        lake=lake,
        resources=Resources(language_table(), recipe.recipe.pivot, recipe.recipe.seed),
        ledger=Ledger(lake, ""),
        life=BatchId(recipe.name, FIRST, "", 0, 0),
        max_documents=None,
        may_begin=lambda: None,
        note=lambda _: None,
        starts_anew=starts_anew,
    )


def _documents(spark: SparkSession, recipe: LoadedRecipe, source: AnySource) -> DataFrame:
    settings = recipe.recipe
    return read(spark, source, language_table(), seed=settings.seed, only=settings.languages)


def _first_documents(spark: SparkSession, recipe: LoadedRecipe, source: AnySource, each: int) -> pa.Table:
    """Return the living documents that a run takes first, at most ``each`` a language."""
    capped = source.model_copy(
        update={
            "max_documents_per_language": min(each, source.max_documents_per_language or each),
            "max_documents": {language: min(each, cap) for language, cap in source.max_documents.items()},
        }
    )

    def documents(source: AnySource) -> pa.Table:
        alive = _documents(spark, recipe, source).where(F.size("rejected_for") == 0)
        return alive.orderBy(sampling_position("doc_id", recipe.recipe.seed), "doc_id").toArrow()

    return despite_damage(spark, capped, language_table(), documents, only=recipe.recipe.languages)


def _projected(spark: SparkSession, recipe: LoadedRecipe, part: AnySource, times: float) -> dict[str, int]:
    """Return a file's documents by language, times what the corpus has of such files; the source's limit counts."""
    uncapped = part.model_copy(update={"max_documents_per_language": None, "max_documents": {}})

    def count(source: AnySource) -> dict[str, int]:
        rows = _documents(spark, recipe, source).groupBy("language").count().collect()
        return {row["language"]: round(row["count"] * times) for row in rows}

    numbers = despite_damage(spark, uncapped, language_table(), count, only=recipe.recipe.languages)
    limits = {language: part.document_limit(language) for language in numbers}
    return {
        language: number if (limit := limits[language]) is None else min(number, limit)
        for language, number in numbers.items()
    }
