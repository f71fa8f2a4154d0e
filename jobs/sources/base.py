"""What every source has in common: its settings, and how records become documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import Field, PrivateAttr, model_validator
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from jobs.runtime.reasons import Reason
from jobs.runtime.schema import DOCUMENTS, MESSAGES
from jobs.sources.sampling import SampleSize, sample
from udfs.records import RECORD_FIELDS, UNKNOWN_LANGUAGE, UNREADABLE, CorpusFile, Record
from udfs.sampling import SEPARATOR
from udfs.settings import OPERATIONAL, Settings

COLUMNS: Final = (*DOCUMENTS.fieldNames(), "rejected_for", "detail")
"""Columns of what a source gives, in order."""

RECORD_SCHEMA: Final = ", ".join(f"{name} string" for name in RECORD_FIELDS)


_METADATA: Final = "map<string, string>"

SourceName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="The corpus's name on every row, part of every document's id.",
    ),
]
License = Annotated[str, Field(min_length=1, description="Licence of the texts, on every row.")]
Genre = Annotated[str | None, Field(description="What the texts are: encyclopedic, news, how-to, web, ...")]


class SourceSettings(Settings):
    """Settings that every source has."""

    name: SourceName
    path: str = Field(min_length=1, json_schema_extra=OPERATIONAL)
    """A file, a folder, or an address that Spark reads; relative paths are relative to the recipe."""
    license: License
    licenses: dict[str, str] = Field(default_factory=dict)
    """Licences of parts of the corpus that have another one, by the part's name in ``subsource``."""
    language: str | None = None
    """GlotLID code of the whole corpus; null: its folders, files or records say it."""
    languages: tuple[str, ...] = ()
    """GlotLID codes to take; empty: every language of the corpus."""
    genre: Genre = None
    genres: dict[str, str] = Field(default_factory=dict)
    """Genres of parts of the corpus that are something else, by the part's name in ``subsource``."""
    sample_rate: float = Field(1.0, gt=0, le=1, json_schema_extra=OPERATIONAL)
    """Share of the corpus to take, chosen by a hash of the id: a larger share takes the same documents and more."""
    max_documents_per_language: int | None = Field(None, ge=1, json_schema_extra=OPERATIONAL)
    """At most so many documents a language, chosen the same way; null: no limit. Spark reads the corpus once more."""
    max_documents: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict, json_schema_extra=OPERATIONAL)
    """Limits of single languages, by GlotLID code, instead of max_documents_per_language; 0 leaves one out."""
    min_documents_per_language: int = Field(0, ge=0, json_schema_extra=OPERATIONAL)
    """At least so many documents a language, or all that it has, whatever sample_rate is."""
    leave_out_languages_below: int = Field(0, ge=0, json_schema_extra=OPERATIONAL)
    """Languages of which the corpus has fewer documents are left out; 0: none is."""
    weight: float = Field(1.0, gt=0, json_schema_extra=OPERATIONAL)
    """The source's part in the recipe's max_documents_per_language, against the other sources of a language."""
    max_record_bytes: int = Field(16 * 2**20, ge=1_000, json_schema_extra=OPERATIONAL)
    """A larger record is rejected, and keeps its beginning. Crawlers cut pages at 1 or 5 MiB; a task holds several
    times as much as its largest record."""
    on_missing: Literal["keep", "remove"] = Field("keep", json_schema_extra=OPERATIONAL)
    """What becomes of a document that the corpus, or the sample of it, no longer holds: ``remove`` takes it and its
    pair out of every table, and reads the corpus once more."""
    _damaged: tuple[CorpusFile, ...] = PrivateAttr(())

    @property
    def damaged(self) -> tuple[CorpusFile, ...]:
        """Return the files that are known to be damaged."""
        return self._damaged

    def with_damaged(self, files: Sequence[CorpusFile]) -> Self:
        """Return the settings with files that are known to be damaged: of these is read what can be read."""
        known = self.model_copy()
        known._damaged = tuple(files)
        return known

    @property
    def sample_size(self) -> SampleSize:
        """Return how much the settings take."""
        return SampleSize(
            rate=self.sample_rate,
            cap=self.max_documents_per_language,
            caps=self.max_documents,
            floor=self.min_documents_per_language,
            smallest=self.leave_out_languages_below,
        )

    def document_limit(self, language: str) -> int | None:
        """Return how many documents of a language the settings allow; None: any number."""
        return self.max_documents.get(language, self.max_documents_per_language)

    @model_validator(mode="after")
    def _floor_is_below_cap(self) -> Self:
        cap, floor = self.max_documents_per_language, self.min_documents_per_language
        if cap is not None and floor > cap:
            raise ValueError(f"min_documents_per_language ({floor}) is more than max_documents_per_language ({cap})")
        return self


class PairSourceSettings(SourceSettings):
    """Settings of sources that hold pairs: each row brings its instruction, and enters at the stage ``screen``."""

    max_pairs: int | None = Field(None, ge=1, json_schema_extra=OPERATIONAL)
    """At most so many pairs of the whole corpus, chosen by a hash of the id, so that languages keep their shares;
    null: no limit."""

    def caps(self) -> tuple[tuple[Column, int | None], ...]:
        """Return the limits of the sample beside that a language; see ``to_documents``."""
        return ((F.lit(""), self.max_pairs),)


def to_documents(
    records: DataFrame,
    settings: SourceSettings,
    seed: int | None,
    convert: Callable[[DataFrame], DataFrame] | None = None,
    caps: Sequence[tuple[Column, int | None]] = (),
) -> DataFrame:
    """Turn records into documents: ids, a sample, licences, and the rejection of what cannot go on.

    Args:
        records: columns ``RECORD_FIELDS``, strings.
        settings: the source's settings.
        seed: seed of the sample that the settings ask for; None takes every record.
        convert: work on the text that only the sampled rows need.
        caps: further limits of the sample: at most so many ids for each value of a column, None for no limit.

    Returns:
        Columns ``COLUMNS``; every ``doc_id`` once among the rows that are alive. Each damaged file of the settings is a
        rejected row beside the records.
    """
    docs = with_ids(_with_damages(records, settings.damaged), settings.name)
    if seed is not None:
        docs = sample(docs, seed, settings.sample_size)
        for group, cap in caps:
            grouped = docs.withColumn("_part", group)
            docs = sample(grouped, seed, SampleSize(cap=cap), group=("_part",)).drop("_part")
    if convert is not None:
        docs = convert(docs)
    docs = flag_missing_text(docs).transform(with_terms, settings)
    return flag_duplicate_ids(docs).select(*COLUMNS)


def _with_damages(records: DataFrame, damaged: Sequence[CorpusFile]) -> DataFrame:
    if not damaged:
        return records
    found = [
        Record(
            language=file.language,
            origin=file.origin,
            identity=f"damage{file.damage.where}",
            reason=UNREADABLE,
            detail=file.damage.describe(file.origin),
        )
        for file in damaged
        if file.damage is not None
    ]
    rows = [tuple(getattr(record, name) for name in RECORD_FIELDS) for record in found]
    return records.unionByName(records.sparkSession.createDataFrame(rows, RECORD_SCHEMA))


def with_ids(records: DataFrame, name: str) -> DataFrame:
    """Add the document's id and turn the reason into a list.

    The id is a hash of the source's name and the corpus's own key. A record without a key is known by its content;
    a rejected one, or one without text, by its place or its bytes, so that each stays a row of its own.

    Input columns: RECORD_FIELDS. Output columns: the same without identity and reason, doc_id, source, rejected_for;
    messages as MESSAGES, metadata as the map source_metadata.
    """
    has_content = F.col("reason").isNull() & F.col("text").isNotNull()
    content = _content(F.col("messages"))
    place = F.concat(_text_or_empty("origin"), F.lit(SEPARATOR), _text_or_empty("identity"))
    key = F.coalesce(F.col("corpus_key"), _sha256(F.when(has_content, content).otherwise(place)))
    return records.select(
        _sha256(F.concat(F.lit(name + SEPARATOR), key)).alias("doc_id"),
        F.coalesce("language", F.lit(UNKNOWN_LANGUAGE)).alias("language"),
        F.lit(name).alias("source"),
        "subsource",
        "corpus_key",
        _text_or_empty("origin").alias("origin"),
        "url",
        "date",
        "title",
        "text",
        "instruction",
        "instruction_language",
        F.from_json("messages", MESSAGES).alias("messages"),
        F.from_json("metadata", _METADATA).alias("source_metadata"),
        "license",
        F.array_remove(F.array(_text_or_empty("reason")), "").alias("rejected_for"),
        "detail",
    )


def flag_missing_text(docs: DataFrame) -> DataFrame:
    """Reject rows without text.

    Input columns: text, rejected_for. Output columns: the same; the text is never null.
    """
    # (?U): white space of every script, not of ASCII alone.
    is_blank = ~_text_or_empty("text").rlike(r"(?U)\S")
    is_missing = is_blank & (F.size("rejected_for") == 0)
    return docs.withColumns(
        {
            "text": _text_or_empty("text"),
            "rejected_for": F.when(is_missing, F.array(F.lit(Reason.MISSING_TEXT.value))).otherwise(
                F.col("rejected_for")
            ),
        }
    )


def with_terms(docs: DataFrame, settings: SourceSettings) -> DataFrame:
    """Add what the settings say of each row, and what follows from its text.

    Input columns: subsource, title, text, instruction, messages, license. Output columns: the same, genre, text_chars,
    revision.
    """
    content = _content(F.to_json("messages"))
    return docs.withColumns(
        {
            "license": _by_subsource(settings.licenses, F.coalesce("license", F.lit(settings.license))),
            "genre": _by_subsource(settings.genres, F.lit(settings.genre).cast("string")),
            "text_chars": F.length("text"),
            "revision": _sha256(content),
        }
    )


def flag_duplicate_ids(docs: DataFrame) -> DataFrame:
    """Keep one row of those that are the same, and flag those whose id a living row has, the smallest revision.

    One shuffle of the rows. Finding the few ids that repeat without it would read the corpus twice or three times,
    and by now the rows are those of the sample.

    Input columns: COLUMNS. Output columns: the same.
    """
    is_alive = F.size("rejected_for") == 0
    # Of rows that are the same in id and content the first in an order of their own is kept, so that a run on other
    # partitions keeps the same one.
    others = ("revision", "origin", "detail", "url", "date", "subsource", "language", "corpus_key")
    rows = Window.partitionBy("doc_id").orderBy(~is_alive, *others, F.to_json("source_metadata"))
    is_second = F.col("_is_first_alive") & (F.col("revision") != F.col("_first"))
    flagged = F.array_append("rejected_for", F.lit(Reason.DUPLICATE_ID.value))
    note = F.concat(F.lit("another record has the key "), F.coalesce("corpus_key", F.lit("")))
    return (
        docs.withColumns(
            {
                "_before": F.lag("revision").over(rows),
                "_first": F.first("revision").over(rows),
                "_is_first_alive": F.first(is_alive).over(rows),
            }
        )
        .where(F.col("_before").isNull() | (F.col("_before") != F.col("revision")))
        .withColumns(
            {
                "rejected_for": F.when(is_second, flagged).otherwise(F.col("rejected_for")),
                "detail": F.when(is_second, F.coalesce("detail", note)).otherwise(F.col("detail")),
            }
        )
        .drop("_before", "_first", "_is_first_alive")
    )


def _content(messages: Column) -> Column:
    """Return all that a row says, for hashing; that of a row without an instruction is its title and text alone."""
    pair = F.concat(
        F.lit(SEPARATOR), F.col("instruction"), F.lit(SEPARATOR), F.coalesce(messages, F.lit("")), F.lit(SEPARATOR)
    )
    return F.concat(_text_or_empty("title"), F.lit(SEPARATOR), _text_or_empty("text"), F.coalesce(pair, F.lit("")))


def _text_or_empty(name: str) -> Column:
    return F.coalesce(F.col(name), F.lit(""))


def _sha256(text: Column) -> Column:
    # Spark takes the hash for nullable whatever the text is.
    return F.coalesce(F.sha2(text, 256), F.lit(""))


def _by_subsource(values: Mapping[str, str], default: Column) -> Column:
    value = default
    for subsource, other in values.items():
        value = F.when(F.col("subsource") == subsource, F.lit(other)).otherwise(value)
    return value
