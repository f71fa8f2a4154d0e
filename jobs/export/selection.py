"""Which pairs an export takes, and why it leaves the others out."""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from jobs.export.licenses import LicenseBook
from jobs.export.names import codes_of
from jobs.runtime.errors import BackpromptError
from udfs.generators.template import is_stand_in

WRITERS: Final = ("translator", "generator", "back_translator")
"""Columns with the engines whose words are in a pair's instruction, or were what it was written from."""
UNKNOWN: Final = "unknown"
"""What rows write whose source says nothing of a licence, in upper or lower case."""
GROUP_BY: Final = ("language", "source", "license", "split", *WRITERS)
REASON: Final = "left_out"
_NEEDED: Final = ("pair_id", "instruction", "output", "subsource", "messages", *GROUP_BY)


@dataclass(frozen=True, slots=True)
class Group:
    """Pairs that have their terms in common."""

    language: str
    source: str
    license: str
    split: str
    translator: str | None
    generator: str
    back_translator: str | None
    left_out: str | None
    """Why, for a person; None: the export has them."""
    pairs: int

    @property
    def writers(self) -> tuple[str, ...]:
        """Return the labels of the engines that wrote for these pairs."""
        return tuple(label for label in (self.translator, self.generator, self.back_translator) if label)


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user asks for; empty: everything."""

    languages: tuple[str, ...] = ()
    excluded_languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    licenses: tuple[str, ...] = ()
    excluded_licenses: tuple[str, ...] = ()
    is_commercial: bool = False
    """Whether licences that forbid commercial use or changes, of texts or of models, are left out."""
    minima: Mapping[str, float] = field(default_factory=dict)
    """Least values of scores, by column."""
    maxima: Mapping[str, float] = field(default_factory=dict)
    is_unscored_kept: bool = False
    """Whether pairs without a score that has a limit stay."""
    has_stand_ins: bool = False
    """Whether pairs stay whose instruction the embedded rules wrote."""
    has_whole_conversations: bool = False
    """Whether a conversation must end with the pair's output, as the chat form says it does."""


def check_columns(pairs: DataFrame, where: str) -> None:
    """Make sure that a table of pairs has what every export needs; scores may be missing.

    Raises:
        BackpromptError: naming all that are missing.
    """
    missing = [name for name in _NEEDED if name not in pairs.columns]
    if missing:
        raise BackpromptError(
            f"{where} lacks the columns {', '.join(missing)}: it is no table of pairs, or of a Backprompt that is "
            "older than exports. 'backprompt run --rebuild pairs' makes it again."
        )


def groups(pairs: DataFrame, reason: Column | None = None) -> list[Group]:
    """Return the pairs in groups, with numbers; one pass, and as many rows as terms differ.

    Input columns: those of ``GROUP_BY``, and what ``reason`` reads.
    """
    labelled = pairs.withColumn(REASON, F.lit(None).cast("string") if reason is None else reason)
    counted = labelled.groupBy(*GROUP_BY, REASON).agg(F.count("*").alias("pairs"))
    found = [Group(*(row[name] for name in (*GROUP_BY, REASON, "pairs"))) for row in counted.collect()]
    return sorted(found, key=lambda each: tuple(str(getattr(each, name)) for name in (*GROUP_BY, REASON)))


def reason_left_out(
    selection: Selection, pairs: DataFrame, there: Sequence[Group], book: LicenseBook, where: str
) -> Column:
    """Return why a pair is left out, null if it is not; of several reasons the first.

    Args:
        selection: what is asked for.
        pairs: the table, whose columns say which scores there are.
        there: its groups.
        book: licences and models.
        where: the table's name, for errors.

    Raises:
        BackpromptError: for a language, source, split, licence or score that no pair has.
    """
    rules = [*_rules_of_origin(selection, there), *_rules_of_licenses(selection, there, book)]
    if not selection.has_stand_ins:
        labels = sorted({each.generator for each in there if is_stand_in(each.generator)})
        rules.append(("instruction by the embedded rules", _is_one("generator", labels)))
    rules += _rules_of_scores(selection, pairs, where)
    if selection.has_whole_conversations:
        last = F.try_element_at("messages", F.lit(-1))
        ends = (last["role"] == "assistant") & (last["content"] == F.col("output"))
        broken = F.col("messages").isNotNull() & ~F.coalesce(ends, F.lit(False))
        rules.append(("conversation does not end with the output", broken))
    # F.when takes the first that holds; a condition that is null does not.
    reason = F.lit(None).cast("string")
    for text, condition in reversed(rules):
        reason = F.when(condition, F.lit(text)).otherwise(reason)
    return reason


def _rules_of_origin(selection: Selection, there: Sequence[Group]) -> list[tuple[str, Column]]:
    rules = []
    languages = {each.language for each in there}
    if selection.languages:
        kept = codes_of(selection.languages, languages)
        rules.append(("language not asked for", ~_is_one("language", kept)))
    if selection.excluded_languages:
        rules.append(("language excluded", _is_one("language", codes_of(selection.excluded_languages, languages))))
    for column, wanted in (("source", selection.sources), ("split", selection.splits)):
        if wanted:
            have = sorted({str(getattr(each, column)) for each in there})
            unknown = sorted(set(wanted) - set(have))
            if unknown:
                raise BackpromptError(f"--{column} {unknown[0]}: no pair has it; there are: {', '.join(have)}")
            rules.append((f"{column} not asked for", ~_is_one(column, wanted)))
    return rules


def _rules_of_licenses(selection: Selection, there: Sequence[Group], book: LicenseBook) -> list[tuple[str, Column]]:
    written = sorted({each.license for each in there})
    ids = {each: book.of(each) for each in written}
    rules = []
    if selection.licenses:
        allowed = {name for option in selection.licenses for name in _meant(option, written, book)}
        if not allowed & {name for each in written for name in (each, *(ids[each] or ()))}:
            raise BackpromptError(
                f"--license {', '.join(selection.licenses)}: no pair has it; there are: {', '.join(written)}"
            )
        kept = [each for each in written if each in allowed or (ids[each] and set(ids[each] or ()) <= allowed)]
        rules.append(("licence not asked for", ~_is_one("license", kept)))
    for option in selection.excluded_licenses:
        names = _meant(option, written, book)
        if not names and option.lower() != UNKNOWN:
            raise BackpromptError(
                f"--exclude-license {option}: it is no licence of conf/export/licenses.yaml, and no pair has it; "
                f"there are: {', '.join(written)}"
            )
        gone = [each for each in written if {each, *(ids[each] or ())} & names]
        rules.append((f"licence {option} excluded", _is_one("license", gone)))
    if selection.is_commercial:
        closed = [each for each in written if book.forbids_business(ids[each] or ())]
        fixed = [each for each in written if book.forbids_changes(ids[each] or ())]
        rules.append(("licence of the text forbids commercial use", _is_one("license", closed)))
        rules.append(("licence of the text forbids changes", _is_one("license", fixed)))
        labels = sorted({label for each in there for label in each.writers})
        shut = [label for label in labels if book.forbids_business(_model_ids(label, book))]
        by_model = functools.reduce(operator.or_, (_is_one(column, shut) for column in WRITERS))
        rules.append(("licence of a model forbids commercial use", by_model))
    return rules


def _model_ids(label: str, book: LicenseBook) -> tuple[str, ...]:
    terms = book.of_model(label)
    return () if terms is None or terms.license is None or terms.is_output_free else (terms.license,)


def _meant(asked: str, written: Iterable[str], book: LicenseBook) -> set[str]:
    """Return what a user's name of a licence stands for: its id, and what rows write."""
    return {each for each in written if each.lower() == asked.lower()} | set(book.of(asked) or ())


def _rules_of_scores(selection: Selection, pairs: DataFrame, where: str) -> list[tuple[str, Column]]:
    numbers = {each.name for each in pairs.schema.fields if isinstance(each.dataType, NumericType)}
    rules = []
    for option, limits in (("min", selection.minima), ("max", selection.maxima)):
        for column, limit in limits.items():
            if column not in numbers:
                raise BackpromptError(
                    f"--{option} {column}: {where} has no such score; it has {', '.join(sorted(numbers - _NO_SCORES))}"
                )
            value = F.col(column)
            # A score that is no number is none.
            unscored = value.isNull() | F.isnan(value.cast("double"))
            if not selection.is_unscored_kept:
                rules.append((f"{column} not scored", unscored))
            beyond = value < limit if option == "min" else value > limit
            side = "below" if option == "min" else "above"
            rules.append((f"{column} {side} {limit:g}", ~unscored & beyond))
    return rules


_NO_SCORES: Final = frozenset({"batch_id"})


def _is_one(column: str, values: Collection[str]) -> Column:
    # Of a null nothing is known, so it is none of them.
    return F.coalesce(F.col(column).isin(list(values)), F.lit(False)) if values else F.lit(False)


def check_terms(kept: Sequence[Group], book: LicenseBook) -> None:
    """Make sure that the licence of every text and of every model that wrote is known.

    Raises:
        BackpromptError: naming each with its sources and numbers, and what to write.
    """
    problems = []
    sources: dict[str, dict[str, int]] = {}
    labels: dict[str, int] = {}
    for each in kept:
        if book.of(each.license) is None:
            by_source = sources.setdefault(each.license, {})
            by_source[each.source] = by_source.get(each.source, 0) + each.pairs
        for label in each.writers:
            if book.of_model(label) is None:
                labels[label] = labels.get(label, 0) + each.pairs
    for written, by_source in sorted(sources.items()):
        listed = ", ".join(f"{source} ({number:,} pairs)" for source, number in sorted(by_source.items()))
        problems.append(
            f"The licence {written!r} of source {listed} is not known. Leave these pairs out with --exclude-license "
            f"{written!r}; or set the source's `license` or `licenses` in the recipe; or say what you rely on and what "
            f"it obliges to: --license-note '{written}=TEXT'"
        )
    for label, number in sorted(labels.items()):
        problems.append(
            f"The licence of the model {label!r}, which wrote for {number:,} pairs, is not known. Name it: "
            f"--model-license '{label}=Apache-2.0'; or add to a file for --licenses: "
            f"models: [{{match: ['{label}'], license: Apache-2.0}}]"
        )
    if problems:
        raise BackpromptError("\n".join(problems))
