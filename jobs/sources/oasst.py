"""OpenAssistant Conversations (OASST1, OASST2): trees of messages, as pairs of a prompt and its answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Final, Literal

from pydantic import Field
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.sources.base import RECORD_SCHEMA, Genre, License, PairSourceSettings, SourceName, to_documents
from jobs.sources.files import list_files, wanted_languages
from jobs.sources.jsonl import keep_languages
from jobs.sources.pair_lines import read_checked, read_pair_lines
from udfs.languages import LanguageTable
from udfs.pairs.oasst import READY, OasstFormat, flat_messages, trees_of_messages
from udfs.records import CorpusFile

_LINES: Final = r"(?:jsonl|ndjson|json)(?:\.gz|\.bz2|\.zst)?$"
# Releases have both forms of the same messages side by side.
_TREES: Final = re.compile(rf"^(?!.*\.messages\.{_LINES}).*\.{_LINES}")
_MESSAGES: Final = re.compile(rf"^(?!.*\.trees\.{_LINES}).*\.{_LINES}")
_FORMS: Final = {
    "trees": "trees such as 2023-04-12_oasst_ready.trees.jsonl.gz",
    "messages": "messages such as 2023-04-12_oasst_ready.messages.jsonl.gz",
}
_TREE_FIELDS: Final = (("prompt",), ("message_id", "replies"))
_MESSAGE_FIELDS: Final = (("message_id", "message_tree_id"),)
_LINE: Final = (
    "is_message boolean, value binary, piece_bytes long, file_path string, file_block_start long, number long"
)


class OasstSettings(PairSourceSettings):
    """OASST1 and OASST2, JSON lines: a tree a line, or with ``form: messages`` a message a line.

    A pair is a prompter's message and an assistant's answer; ``messages`` keeps what was said before. Prompts are taken
    down to the second-deepest level of their tree, which is all that have an answer. Deleted messages and those that
    reviewers refused (review_result is false) are left out with all that follows them.
    """

    kind: Literal["oasst"] = "oasst"
    name: SourceName = "oasst"
    license: License = "Apache-2.0"
    genre: Genre = "conversation"
    form: Literal["trees", "messages"] = "trees"
    """Which of the release's two forms is read; files named after the other are passed over."""
    answers: Literal["best", "all"] = "best"
    """Of several answers to a message take the one ranked first, or all."""
    max_level: int | None = Field(None, ge=1)
    """Deepest level of a prompter's message: 1 takes a tree's first message alone; null: all that have an answer."""
    tree_states: tuple[str, ...] = (READY,)
    """States of the trees that are taken; trees that do not tell theirs always are."""
    takes_synthetic: bool = True
    """Take messages that a model wrote, which some exports hold."""
    is_review_required: bool = False
    """Leave out messages without a verdict of reviewers (review_result is null), too."""


def files(
    spark: SparkSession, settings: OasstSettings, languages: LanguageTable, only: Iterable[str] = ()
) -> list[CorpusFile]:
    """Return the files that are read; see ``jobs.sources.files_of``."""
    wanted_languages(settings, languages, only)
    pattern = _TREES if settings.form == "trees" else _MESSAGES
    return list_files(spark, settings, pattern, _FORMS[settings.form])


def read(
    spark: SparkSession,
    settings: OasstSettings,
    languages: LanguageTable,
    *,
    seed: int | None = None,
    only: Iterable[str] = (),
) -> DataFrame:
    """Read OpenAssistant's trees; see ``jobs.sources.read``."""
    found = [replace(file, language=settings.language) for file in files(spark, settings, languages, only)]
    form = OasstFormat(
        languages,
        settings.answers,
        settings.max_level,
        settings.tree_states,
        settings.takes_synthetic,
        settings.is_review_required,
    )
    if settings.form == "trees":
        records = read_pair_lines(spark, found, settings, form, _TREE_FIELDS)
    else:
        records = _read_messages(spark, found, settings, form)
    wanted = wanted_languages(settings, languages, only)
    return to_documents(keep_languages(records, wanted), settings, seed, caps=settings.caps())


def _read_messages(
    spark: SparkSession, found: list[CorpusFile], settings: OasstSettings, form: OasstFormat
) -> DataFrame:
    by_address = {file.uri: file for file in found}
    lines = read_checked(spark, found, settings, _MESSAGE_FIELDS)
    flat = lines.mapInArrow(partial(flat_messages, files=by_address), f"tree string, {_LINE}")
    message = F.struct(*(field.split()[0] for field in _LINE.split(", ")))
    trees = flat.groupBy("tree").agg(F.collect_list(message).alias("messages"))
    return trees.mapInArrow(partial(trees_of_messages, files=by_address, form=form), RECORD_SCHEMA)
