"""Brings the corpora's new and changed documents into the lake's first table."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Thread
from typing import Final, TypeVar

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from jobs.runtime import ledger, removals
from jobs.runtime.conf import read_conf
from jobs.runtime.errors import BackpromptError
from jobs.runtime.lake import Lake
from jobs.runtime.ledger import BatchId, Ledger
from jobs.runtime.reasons import Reason
from jobs.runtime.recipe import FIRST, LoadedRecipe
from jobs.sources import AnySource, counts_left_out, despite_damage, inventory, read
from jobs.sources.base import PairSourceSettings
from jobs.sources.sampling import is_sampled, sampling_position
from jobs.stages.base import Resources
from udfs.pages import KINDS_LEFT_OUT
from udfs.records import CorpusFile
from udfs.sampling import shares

_LOG = logging.getLogger(__name__)
_OBSERVED_WITHIN_SECONDS: Final = 10

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Ingest:
    """One run's work on ``documents``.

    Attributes:
        spark: the session.
        recipe: a checked recipe.
        lake: where the tables are.
        resources: what stages need; the languages are used.
        ledger: where batches are entered.
        life: the table's present life; its batch number is of no account.
        max_documents: at most so many new or changed documents are taken; None: all.
        may_begin: called before each corpus; may raise.
        may_be_unentered: whether a run may have been killed after it had written a batch and before it entered it.
        starts_anew: the table is to be emptied first, so nothing that it holds counts.
        note: hears, in a line, what a corpus holds that is no document.
    """

    spark: SparkSession
    recipe: LoadedRecipe
    lake: Lake
    resources: Resources
    ledger: Ledger
    life: BatchId
    max_documents: int | None
    may_begin: Callable[[], None]
    may_be_unentered: bool = True
    starts_anew: bool = False
    note: Callable[[str], None] = lambda _: None
    _observations: dict[str, Observation] = field(default_factory=dict, init=False)
    _shares: dict[str, dict[str, int]] = field(default_factory=dict, init=False)
    _damaged: dict[str, tuple[CorpusFile, ...]] = field(default_factory=dict, init=False)
    """Damaged files that were come upon, by corpus."""

    def go(self) -> Iterator[int]:
        """Append the documents that the table does not hold in this revision, a commit a corpus; yields their numbers.

        Raises:
            BackpromptError: if a corpus is not as the recipe says, or there are no documents at all.
            Exception: what ``may_begin`` raises, between two corpora.
        """
        if self.may_be_unentered:
            self._record_unrecorded()
        seen = self.lake.properties(FIRST)
        read_whole: dict[str, str] = {}
        taken = 0
        try:
            for number, source in enumerate(self.recipe.recipe.sources):
                left = None if self.max_documents is None else self.max_documents - taken
                if left == 0:
                    break
                state = self._state(source)
                if state is not None and seen.get(f"seen.{source.name}") == state:
                    continue
                self.may_begin()
                missing = self._missing(source)
                count = self._take(source, number, left)
                yield count
                taken += count
                if left is None or count < left:
                    if missing is not None:
                        removals.remove(self.lake, missing, "missing")
                    if state is not None:
                        read_whole[f"seen.{source.name}"] = state
        finally:
            if read_whole:
                self.lake.set_properties(FIRST, read_whole)
        is_empty = taken == 0 and self.lake.read(FIRST).isEmpty()
        if is_empty and removals.all_removals(self.lake) is None:
            raise BackpromptError(
                f"The corpora of {self.recipe.recipe.path} hold no documents: "
                + ", ".join(source.path for source in self.recipe.recipe.sources)
            )

    def compared(self, source: AnySource) -> DataFrame:
        """Return a corpus's documents beside what the lake holds; without those that were forgotten.

        Output columns: those of a source, known_revision (null if the lake does not hold the document).
        """
        docs = self._documents(source)
        forgotten = removals.forgotten_ids(self.lake)
        if forgotten is not None:
            docs = docs.join(forgotten, "doc_id", how="left_anti")
        if self.starts_anew or not self.lake.exists(FIRST):
            return docs.withColumn("known_revision", F.lit(None).cast("string"))
        # A second record under one key is a row of its own, which comes again with every dump.
        second = F.array_contains("rejected_for", Reason.DUPLICATE_ID.value)
        seconds = (
            self._held(source).where(second).select("doc_id", "revision", F.lit(True).alias("is_known")).distinct()
        )
        is_known = second & F.coalesce("is_known", F.lit(False))
        found = docs.join(self._known(source), "doc_id", how="left").join(seconds, ["doc_id", "revision"], how="left")
        known = F.when(is_known, F.col("revision")).otherwise(F.col("known_revision"))
        return found.withColumn("known_revision", known).drop("is_known")

    def despite_damage(self, source: AnySource, act: Callable[[], _Result]) -> _Result:
        """Do something that reads a corpus through this object; do it again if damaged files are come upon.

        Raises:
            BackpromptError: if the corpus cannot be read.
        """

        def act_knowing(known: AnySource) -> _Result:
            self._damaged[source.name] = known.damaged
            return act()

        recipe, known = self.recipe.recipe, source.with_damaged(self._damaged.get(source.name, ()))
        return despite_damage(self.spark, known, self.resources.languages, act_knowing, only=recipe.languages)

    def is_unchanged(self, source: AnySource) -> bool:
        """Say whether a corpus's files are those that were read last time."""
        state = self._state(source)
        is_there = state is not None and not self.starts_anew and self.lake.exists(FIRST)
        return is_there and self.lake.properties(FIRST).get(f"seen.{source.name}") == state

    def _documents(self, source: AnySource) -> DataFrame:
        if self.recipe.recipe.is_shared and not isinstance(source, PairSourceSettings):
            limits = dict(source.max_documents) | self._shared_limits()[source.name]
            source = source.model_copy(update={"max_documents": limits})
        return self._read(source)

    def _read(self, source: AnySource) -> DataFrame:
        recipe, known = self.recipe.recipe, source.with_damaged(self._damaged.get(source.name, ()))
        left_out = self._observations.get(source.name)
        return read(
            self.spark, known, self.resources.languages, seed=recipe.seed, only=recipe.languages, left_out=left_out
        )

    def _shared_limits(self) -> dict[str, dict[str, int]]:
        """Return what each source gives of each language to the recipe's limits, by source and language.

        Counts the documents of all sources, once. What a source gives follows from the corpora alone, not from what
        the lake holds, so that a lake that is made anew is the same.
        """
        if not self._shares:
            recipe = self.recipe.recipe
            # Pairs that a source brings itself are not what the recipe limits.
            sources = [source for source in recipe.sources if not isinstance(source, PairSourceSettings)]
            counts = {source.name: self._count(source) for source in sources}
            weights = {source.name: source.weight for source in sources}
            self._shares.update({name: {} for name in counts})
            for language in sorted({language for each in counts.values() for language in each}):
                limit = recipe.document_limit(language)
                if limit is not None:
                    there = {name: each[language] for name, each in counts.items() if language in each}
                    for name, share in shares(there, weights, limit).items():
                        self._shares[name][language] = share
        return self._shares

    def _count(self, source: AnySource) -> dict[str, int]:
        """Return how many documents of each language a source has for the recipe, no more than the recipe's limit."""
        recipe = self.recipe.recipe
        named = {*recipe.max_documents, *source.max_documents}
        limited = source.model_copy(
            update={
                "max_documents": {
                    language: limit
                    for language in named
                    if (limit := _least(source.document_limit(language), recipe.document_limit(language))) is not None
                },
                "max_documents_per_language": _least(
                    source.max_documents_per_language, recipe.max_documents_per_language
                ),
            }
        )

        def count() -> dict[str, int]:
            sampled = self._read(limited).where(is_sampled())
            rows = sampled.groupBy("language").agg(F.count_distinct("doc_id")).collect()
            return {row[0]: row[1] for row in rows}

        return self.despite_damage(source, count)

    def _known(self, source: AnySource) -> DataFrame:
        # The newest revision, so that a document that is changed and changed back is new each time.
        return newest_revision(self._held(source)).select("doc_id", F.col("newest_revision").alias("known_revision"))

    def _held(self, source: AnySource) -> DataFrame:
        return self.lake.read(FIRST).where(F.col("source") == source.name)

    def _take(self, source: AnySource, number: int, left: int | None) -> int:
        last = (self.lake.read(FIRST).agg(F.max("batch_id")).first() or [None])[0]
        # A removal voids rows by their batch's number, so that of a batch whose rows are all gone is not given again.
        batch = self._batch(max(-1 if last is None else last, removals.newest_batch(self.lake)) + 1)
        started_at = datetime.now(UTC)
        columns = self.recipe.schema(FIRST).fieldNames()

        def append() -> None:
            number_of_batch = F.lit(batch.batch_id).cast("long")
            self._observe(source)
            rows = self._new(source, left).withColumns({"document_batch": number_of_batch, "batch_id": number_of_batch})
            app_id = f"{batch.app_id}/{self.ledger.run_id}"
            self.lake.append(rows.select(*columns), FIRST, app_id, number, self.recipe.recipe.rows_per_file)

        try:
            self.despite_damage(source, append)
            left_out = self._left_out(source)
        finally:
            self._observations.clear()
        if left_out:
            self.note(f"{source.name}: left out, as no documents: {left_out_in_words(left_out.values())}")
        return self._record(batch, started_at, left_out)

    def _left_out(self, source: AnySource) -> dict[str, dict[str, int]]:
        observation = self._observations.get(source.name)
        return {} if observation is None else _by_language(_observed(observation))

    def _observe(self, source: AnySource) -> None:
        """Have the next reading of a corpus count what is no document, if it is one that counts this."""
        if not counts_left_out(source):
            return
        if self.recipe.recipe.is_shared:
            self._shared_limits()  # reads the corpora, too
        self._observations[source.name] = Observation()

    def _new(self, source: AnySource, at_most: int | None) -> DataFrame:
        is_new = ~F.col("revision").eqNullSafe(F.col("known_revision"))
        new = self.compared(source).where(is_new).drop("known_revision")
        if at_most is None:
            return new
        first = new.select("doc_id").orderBy(sampling_position("doc_id", self.recipe.recipe.seed), "doc_id")
        return new.join(first.limit(at_most), "doc_id", how="left_semi")

    def _missing(self, source: AnySource) -> DataFrame | None:
        """Return documents that a corpus no longer holds, if the recipe wants them out; asked before it is read.

        Output columns: doc_id.

        Raises:
            BackpromptError: if the corpus holds none of them: it is another one.
        """
        if source.on_missing != "remove":
            return None
        held = self._held(source)
        if self.recipe.recipe.languages:  # those that the run leaves out are not missing
            held = held.where(F.col("language").isin(*self.recipe.recipe.languages))
        known = held.select("doc_id").distinct()

        def gone() -> list[str]:
            there = self._documents(source).select("doc_id")
            return [row["doc_id"] for row in known.join(there, "doc_id", how="left_anti").collect()]

        ids = self.despite_damage(source, gone)
        if self._damaged.get(source.name):
            _LOG.warning(
                "Source %s: files are damaged, so that it is not known which documents the corpus no longer holds: "
                "none is removed until they are mended.",
                source.name,
            )
            return None
        if ids and len(ids) == known.count():
            raise BackpromptError(
                f"Corpus {source.name} ({source.path}) holds none of the {len(ids):,} documents that it held before, "
                "and its on_missing is remove: all of them would go. If that is meant, take the corpus out of the "
                "recipe and use 'backprompt forget'; else mend its path."
            )
        return self.spark.createDataFrame([(each,) for each in ids], "doc_id string") if ids else None

    def _state(self, source: AnySource) -> str | None:
        """Return a hash of all that decides which documents a corpus gives; None if its files cannot be listed."""
        recipe = self.recipe.recipe
        # What a source gives to shared limits depends on what the others have.
        files = [inventory(self.spark, each) for each in (recipe.sources if recipe.is_shared else (source,))]
        if None in files:
            return None
        limits = [recipe.max_documents_per_language, recipe.max_documents, *(each.weight for each in recipe.sources)]
        decisive = [
            *files,
            limits if recipe.is_shared else None,
            source.model_dump_json(),
            recipe.seed,
            recipe.languages,
            read_conf("languages.csv"),
        ]
        return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()

    def _batch(self, batch_id: int) -> BatchId:
        life = self.life
        return BatchId(life.recipe, life.stage, life.fingerprint, life.generation, batch_id)

    def _record(
        self, batch: BatchId, started_at: datetime, left_out: Mapping[str, dict[str, int]] | None = None
    ) -> int:
        written = self.lake.read(FIRST).where(F.col("batch_id") == batch.batch_id)
        stands = ledger.count(written)
        came_in = {language: (tally.alive + tally.rejected, tally.characters) for language, tally in stands.items()}
        if stands:
            self.ledger.record(stands, came_in, batch, started_at, left_out=left_out)
        return sum(rows for rows, _ in came_in.values())

    def _record_unrecorded(self) -> None:
        """Enter the batches that a run was killed after writing and before entering in ``runs``."""
        written = self.lake.read(FIRST).select("batch_id").distinct()
        unrecorded = written.join(ledger.entered(self.lake, FIRST), "batch_id", how="left_anti")
        for row in unrecorded.orderBy("batch_id").collect():
            self._record(self._batch(row["batch_id"]), datetime.now(UTC))


def left_out_in_words(counts: Iterable[Mapping[str, int]]) -> str:
    """Return the numbers of records that are no documents, summed by kind, for a person."""
    sums = Counter[str]()
    for each in counts:
        sums.update(each)
    return ", ".join(f"{count:,} {KINDS_LEFT_OUT.get(kind, kind)}" for kind, count in sums.most_common())


def _observed(observation: Observation) -> dict[str, int | None]:
    """Return what Spark counted as it wrote; nothing if it saw that it need not read."""
    found: list[dict[str, int | None]] = []
    # `get` waits for a reading that counts, for ever if there is none.
    waiting = Thread(target=lambda: found.append(observation.get), daemon=True)
    waiting.start()
    waiting.join(_OBSERVED_WITHIN_SECONDS)
    return found[0] if found else {}


def _by_language(observed: Mapping[str, int | None]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for name, count in observed.items():
        if count:
            language, _, kind = name.partition("/")
            found.setdefault(language, {})[kind] = count
    return found


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def newest_rows(lake: Lake) -> DataFrame:
    """Return which row of the first table is each document's newest. Output columns: ROW_KEY."""
    return newest_revision(lake.read(FIRST)).select("doc_id", F.col("newest_batch").alias("document_batch"))


def newest_revision(documents: DataFrame) -> DataFrame:
    """Return what the newest revision of each document is.

    Input columns: those of ``documents``. Output columns: doc_id, newest_revision, newest_batch (its document_batch).
    """
    # A second record under a document's key is none of its revisions.
    revisions = documents.where(~F.array_contains("rejected_for", Reason.DUPLICATE_ID.value))
    newest = F.max_by(F.struct("revision", "document_batch"), "document_batch")
    found = revisions.groupBy("doc_id").agg(newest.alias("newest"))
    return found.select(
        "doc_id",
        F.col("newest.revision").alias("newest_revision"),
        F.col("newest.document_batch").alias("newest_batch"),
    )
