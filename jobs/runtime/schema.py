"""Every table's columns, as constants; checked on read and on write.

A document table is ``DOCUMENTS`` plus the columns of the stages that ran so far, in the recipe's order, plus
``TAIL``. A rejected row keeps all it had and has nulls in the columns that its rejection left unfilled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DoubleType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from jobs.runtime.errors import BackpromptError

# Raised by one when a table's meaning changes; a lake written by a newer version is refused.
FORMAT_VERSION: Final = 2
ROW_KEY: Final = ["doc_id", "document_batch"]
"""What names a row of the first table and of those made from it: the document, and the batch its revision came in."""
GIVEN: Final = "source"
"""``generator`` of a row whose source holds its instruction."""


def _columns(*fields: tuple[str, DataType, bool]) -> StructType:
    return StructType([StructField(name, kind, nullable) for name, kind, nullable in fields])


_STRING, _INT, _LONG, _DOUBLE = StringType(), IntegerType(), LongType(), DoubleType()
_STRINGS = ArrayType(_STRING, False)
MESSAGES: Final = ArrayType(_columns(("role", _STRING, False), ("content", _STRING, False)), False)
"""A conversation; roles are system, user and assistant."""

# What a source gives, with ``rejected_for`` and ``detail`` of TAIL.
DOCUMENTS: Final = _columns(
    ("doc_id", _STRING, False),  # sha256 of source name and the corpus's own key, hex
    ("revision", _STRING, False),  # sha256 of title, text and, where there are some, instruction and messages; hex
    ("language", _STRING, False),  # ISO 639-3 + script, "swh_Latn"; of the text; partition column
    ("source", _STRING, False),  # the recipe's name for the corpus, "wikipedia"
    ("subsource", _STRING, True),  # the part of the corpus a row names itself, such as CulturaX's "source"
    ("corpus_key", _STRING, True),  # the corpus's own key: page id, URL
    ("origin", _STRING, False),  # file the row came from, relative to the source's path
    ("license", _STRING, False),
    ("url", _STRING, True),
    ("genre", _STRING, True),  # what the source says its texts are: encyclopedic, news, how-to, ...
    ("date", _STRING, True),  # as the corpus writes it
    ("title", _STRING, True),  # source language
    ("text", _STRING, False),  # source language
    ("text_chars", _INT, False),  # Unicode code points, not bytes
    ("instruction", _STRING, True),  # what the text answers, where the source holds pairs; such rows enter at `screen`
    ("instruction_language", _STRING, True),  # where it is not that of the text; "mul_Zyyy" where it mixes several
    ("messages", MESSAGES, True),  # the conversation that ends with the text, where the source holds conversations
    ("source_metadata", MapType(_STRING, _STRING, False), True),  # what the corpus says of the record besides
    ("part_of", _STRING, True),  # what the row is a part of, such as a conversation tree; its parts share a split
)

TAIL: Final = _columns(
    ("rejected_for", _STRINGS, False),  # [] while the row is alive; codes such as "clean.too_short"
    ("detail", _STRING, True),  # one line for a person, about the rejection
    ("document_batch", _LONG, False),  # the batch of `documents` that brought it; the larger, the newer the revision
    ("batch_id", _LONG, False),  # the batch of this stage that wrote the row
)

# What cleaning took out of a text, and the personal data it found there.
REMOVED: Final = _columns(
    ("rule", _STRING, False),  # udfs.cleaning.lines.CODES
    ("lines", _INT, False),
    ("chars", _INT, False),  # Unicode code points
)
REMOVED_LINE: Final = _columns(("rule", _STRING, False), ("line", _STRING, False))
PERSONAL_DATA: Final = _columns(
    ("kind", _STRING, False),  # email, ip, phone, iban
    ("count", _INT, False),
    ("is_masked", BooleanType(), False),
)
# The columns each stage adds (``clean`` also replaces title, text and text_chars by the cleaned ones).
CLEAN: Final = _columns(
    ("title_from", _STRING, True),  # "source" or "headline": the first line of the text
    ("removed_lines", _INT, True),  # furniture of the site and repeated lines taken out of the text
    ("removed_chars", _INT, True),  # their characters
    ("removed_by_rule", ArrayType(REMOVED, False), True),  # the same by rule; only rules that took something out
    ("removed_text", ArrayType(REMOVED_LINE, False), True),  # the lines, in order; null unless the recipe keeps them
    ("mended_lines", _INT, True),  # lines whose encoding was mended
    ("personal_data", ArrayType(PERSONAL_DATA, False), True),  # only kinds that were found
    ("repeated_line_share", _DOUBLE, True),  # share of characters in lines seen before in the same document
    ("repeated_ngram_share", _DOUBLE, True),  # share of words in the most frequent 4-gram (unspaced: 12 characters)
    ("symbol_share", _DOUBLE, True),  # share of characters that are punctuation or symbols
    ("mean_word_chars", _DOUBLE, True),  # letters, marks and digits a word; null in scripts without blanks
    ("script_share", _DOUBLE, True),  # share of letters of the language's script; null if it is not known
    ("foreign_script_line_share", _DOUBLE, True),  # share of letters in lines mostly of other scripts
    (
        "foreign_language_line_share",
        _DOUBLE,
        True,
    ),  # share of characters in lines of other languages; see identify_lines
    ("han_variant", _STRING, True),  # Hans, Hant, mixed: of Chinese text
    ("document_language_label", _STRING, True),  # the identifier's own label
    ("document_language_score", _DOUBLE, True),  # its probability, 0 to 1
    ("document_language_expected_score", _DOUBLE, True),  # that of the source's language; null if the engine has none
    ("document_language_outcome", _STRING, True),  # match, mismatch, uncertain
    ("document_identifier", _STRING, True),  # engine label
)
DEDUP_LINES: Final = _columns(
    ("deduped_lines", _INT, True),  # lines taken out that many documents share, blank ones not counted
    ("deduped_chars", _INT, True),  # code points by which the text became shorter
    ("deduped_text", _STRINGS, True),  # the lines or paragraphs, in order; null unless the recipe keeps them
)
DEDUP: Final = _columns(
    ("duplicate_of", _STRING, True),  # doc_id of the kept document it is like
    ("cluster_id", _STRING, True),  # smallest doc_id of the cluster
    ("cluster_size", _LONG, True),  # documents in the cluster, this one included
    ("similarity", _DOUBLE, True),  # estimated Jaccard similarity with duplicate_of, 0 to 1
)
# Faults of a translated text, each counted in segments; null where the engine does not tell (udfs.translation_health).
HEALTH: Final = _columns(
    ("segments", _INT, False),
    ("truncated", _INT, False),  # the output limit came before the end token
    ("repeated", _INT, False),  # a loop that the source has not
    ("copied", _INT, False),  # the source came back
    ("empty", _INT, False),  # no letter or digit came back
    ("wrong_script", _INT, False),  # most letters are of another script than the target's
    ("min_length_ratio", _DOUBLE, True),  # target to source length in columns, of the segments long enough to judge
    ("max_length_ratio", _DOUBLE, True),
)
TRANSLATE: Final = _columns(
    ("title_en", _STRING, True),
    ("text_en", _STRING, True),
    ("title_health", HEALTH, True),
    ("text_health", HEALTH, True),
    ("translator", _STRING, True),  # engine label; null where the source holds the instruction
)
INSTRUCT: Final = _columns(
    ("instruction_en", _STRING, True),
    ("instruction_src", _STRING, True),  # set here only where the source itself holds the instruction
    ("generator", _STRING, True),  # engine label, "template-v1:encyclopedic"; "source" for a source's own instruction
    ("prompt_hash", _STRING, True),  # sha256 of the prompt file, hex; null without a prompt
    ("prompt_tokens", _INT, True),
    ("completion_tokens", _INT, True),
    ("is_prompt_shortened", BooleanType(), True),  # the prompt took a part of the document; null without a prompt
)
BACK_TRANSLATE: Final = _columns(
    ("instruction_health", HEALTH, True),
    ("back_translator", _STRING, True),  # engine label; "none" where the instruction needed no translation
)
SCREEN: Final = _columns(
    ("instruction_language_label", _STRING, True),
    ("instruction_language_score", _DOUBLE, True),
    ("instruction_language_expected_score", _DOUBLE, True),  # that of the pair's language
    ("instruction_language_outcome", _STRING, True),  # match, mismatch, uncertain
    ("instruction_identifier", _STRING, True),  # engine label
    ("instruction_chars", _INT, True),  # Unicode code points; this and what follows: null for a source's instruction
    ("format_problems", _STRINGS, True),  # udfs.screening.forms.FORMAT_PROBLEMS
    ("asked_task", _STRING, True),  # summary or translation
    ("instruction_form", _STRING, True),  # udfs.screening.instructions.Form; null if it is not known
    ("instruction_score", _DOUBLE, True),  # how likely that form prompts an answer, 0 to 1
    ("refusal_share", _DOUBLE, True),  # share of sentences in which a model declines
    ("preamble_share", _DOUBLE, True),  # share of characters before the instruction itself
    ("missing_text_share", _DOUBLE, True),  # share of sentences that refer to a text which is not there
    ("copied_share", _DOUBLE, True),  # share of words in runs of five and more that stand in the document
    ("copied_run_words", _INT, True),  # words of the longest such run
    ("answer_share", _DOUBLE, True),  # share of the output's words that stand in the instruction; null for short ones
    ("copied_word_share", _DOUBLE, True),  # share of the English instruction's lower-case words left untranslated
    ("flagged_words", _STRINGS, True),  # entries of the word list met in the instruction or the output
    ("hate_score", _DOUBLE, True),  # the classifier's highest score over the English pair, 0 to 1; null if none
    ("hate_classifier", _STRING, True),  # engine label
    ("translation_quality", _DOUBLE, True),  # estimate for the instruction's translation, about 0 to 1
    ("quality_estimator", _STRING, True),  # engine label
    ("semantic_similarity", _DOUBLE, True),  # cosine of instruction and output, as sentence embeddings: -1 to 1
    ("embedder", _STRING, True),  # engine label
)
DECONTAMINATE: Final = _columns(
    ("contaminated_set", _STRING, True),  # name of the evaluation set with the item found; null where none is
    ("contaminated_item", _STRING, True),  # the item's place in its file: "test.jsonl, line 17"
    ("contaminated_side", _STRING, True),  # text, instruction, text_en or instruction_en
    ("contaminated_span", _STRING, True),  # the words of the row that the item was found in, as they stand there
    ("contaminated_share", _DOUBLE, True),  # share of the item that was found, 0 to 1; of the best match of the row
)
GROUP: Final = _columns(
    ("split", _STRING, True),  # train, validation, test; null where the row is rejected
    ("split_group", _STRING, True),  # a pair_id: rows that are alike, or parts of one thing, and share their split
)

PAIRS: Final = _columns(
    ("pair_id", _STRING, False),  # the document's id: a document gives one pair
    ("revision", _STRING, False),
    ("language", _STRING, False),
    ("source", _STRING, False),
    ("subsource", _STRING, True),
    ("instruction", _STRING, False),  # in the pair's language, unless instruction_language says another
    ("output", _STRING, False),  # the cleaned source text, byte for byte
    ("split", _STRING, False),  # train, validation, test
    ("split_group", _STRING, False),  # a pair_id: pairs that are alike, or parts of one thing, and share their split
    ("instruction_language", _STRING, True),  # where it is not that of the output; "mul_Zyyy" where it mixes several
    ("messages", MESSAGES, True),  # the conversation that ends with the output
    ("source_metadata", MapType(_STRING, _STRING, False), True),  # what the corpus says of the record besides
    ("instruction_en", _STRING, True),
    ("title", _STRING, True),
    ("genre", _STRING, True),
    ("url", _STRING, True),
    ("license", _STRING, False),
    ("origin", _STRING, False),
    ("translator", _STRING, True),
    ("generator", _STRING, False),
    ("prompt_hash", _STRING, True),
    ("back_translator", _STRING, True),
    ("document_language_score", _DOUBLE, True),
    ("instruction_language_score", _DOUBLE, True),
    ("instruction_language_outcome", _STRING, True),
    ("instruction_chars", _INT, True),
    ("instruction_form", _STRING, True),
    ("instruction_score", _DOUBLE, True),
    ("refusal_share", _DOUBLE, True),
    ("preamble_share", _DOUBLE, True),
    ("missing_text_share", _DOUBLE, True),
    ("copied_share", _DOUBLE, True),
    ("copied_run_words", _INT, True),
    ("answer_share", _DOUBLE, True),
    ("copied_word_share", _DOUBLE, True),
    ("flagged_words", _STRINGS, True),
    ("hate_score", _DOUBLE, True),
    ("translation_quality", _DOUBLE, True),
    ("semantic_similarity", _DOUBLE, True),
    ("output_chars", _INT, False),
    ("batch_id", _LONG, False),
)

RUNS: Final = _columns(
    ("run_id", _STRING, False),
    ("recipe", _STRING, False),
    ("stage", _STRING, False),
    ("fingerprint", _STRING, False),
    ("generation", _LONG, False),  # raised by each rebuild of the stage
    ("batch_id", _LONG, False),
    ("language", _STRING, False),
    ("rows_in", _LONG, False),  # counted upstream, not here
    ("rows_alive", _LONG, False),
    ("rows_rejected", _LONG, False),
    ("reasons", MapType(_STRING, _LONG, False), False),  # rows by reason; a row may have several
    ("left_out", MapType(_STRING, _LONG, False), True),  # records of a corpus that are no documents, by kind
    ("characters", _LONG, False),  # of the texts that came in, Unicode code points
    ("prompt_tokens", _LONG, True),
    ("completion_tokens", _LONG, True),
    ("characters_read", _LONG, True),  # of the texts that the stage's engine was given; null for stages without one
    ("characters_written", _LONG, True),  # of its answers
    ("cache_hits", _LONG, True),  # texts that the translation cache held; null for a stage without it
    ("cache_misses", _LONG, True),  # texts that it did not hold; equal ones count each, and go to the engine once
    ("engines", _STRINGS, False),  # labels of the engines that touched the rows
    ("started_at", TimestampType(), False),
    ("batch_seconds", _DOUBLE, False),  # of the whole batch, all languages
)

# What a run was planned to take: numbers, and the ends of their 80 % interval. One plan has one plan_id.
PLANS: Final = _columns(
    ("plan_id", _STRING, False),
    ("recipe", _STRING, False),
    ("created_at", TimestampType(), False),
    ("stage", _STRING, False),
    ("fingerprint", _STRING, False),
    ("language", _STRING, False),
    ("source", _STRING, False),
    ("documents", _DOUBLE, False),  # that come in
    ("documents_low", _DOUBLE, False),
    ("documents_high", _DOUBLE, False),
    ("documents_kept", _DOUBLE, False),  # that leave the stage alive
    ("documents_kept_low", _DOUBLE, False),
    ("documents_kept_high", _DOUBLE, False),
    ("characters", _DOUBLE, False),  # of the texts that come in, Unicode code points
    ("characters_low", _DOUBLE, False),
    ("characters_high", _DOUBLE, False),
    ("unit", _STRING, True),  # tokens, or characters where the engine counts none; null where its work is not known
    ("units_in", _DOUBLE, True),  # that the engine reads
    ("units_in_low", _DOUBLE, True),
    ("units_in_high", _DOUBLE, True),
    ("units_out", _DOUBLE, True),  # that it writes
    ("units_out_low", _DOUBLE, True),
    ("units_out_high", _DOUBLE, True),
    ("engine_hours", _DOUBLE, True),  # of one engine; null where its speed is not known
    ("engine_hours_low", _DOUBLE, True),
    ("engine_hours_high", _DOUBLE, True),
    ("cost", _DOUBLE, True),  # null where no price is named, or what is priced is not known
    ("cost_low", _DOUBLE, True),
    ("cost_high", _DOUBLE, True),
    ("currency", _STRING, True),  # ISO 4217
    ("basis", _STRING, False),  # sampled, counted, stated, assumed: see docs/planning.md
    ("sampled_documents", _LONG, False),  # of this language and source, that the stage was measured on
)

SPLITS: Final = _columns(
    ("pair_id", _STRING, False),
    ("language", _STRING, False),
    ("source", _STRING, False),
    ("split", _STRING, False),
    ("split_group", _STRING, False),
)

REVIEWS_TABLE: Final = "reviews"
# What native speakers said of pairs. A row is what a reviewer holds of a pair after a change; the latest counts.
REVIEWS: Final = _columns(
    ("kind", _STRING, False),  # muri, quality, compare: the guideline of conf/review
    ("language", _STRING, False),
    ("reviewer", _STRING, False),  # the name that the reviewer gave
    ("pair_id", _STRING, False),
    ("source", _STRING, False),  # of the pair
    ("other_pair_id", _STRING, True),  # compare: what it was compared with
    ("compared_with", _STRING, True),  # compare: where that is from; see jobs.review.sample.Sides
    ("is_swapped", BooleanType(), True),  # compare: the other pair was A
    ("shown_hash", _STRING, False),  # sha256 of the texts shown, hex: a mark is about these and no other
    ("seed", _LONG, False),  # of the sample
    ("marks", MapType(_STRING, _INT, False), False),  # by criterion; compare: 1 where the pair is better than the other
    ("comment", _STRING, True),
    ("guideline_hash", _STRING, False),  # sha256 of the guideline file, hex
    ("saved_at", TimestampType(), False),
)


def join_columns(*parts: StructType) -> StructType:
    """Return one schema with the columns of all parts; a later column of the same name replaces the earlier one."""
    fields = {field.name: field for part in parts for field in part.fields}
    return StructType(list(fields.values()))


def record(stage_columns: Iterable[StructType]) -> StructType:
    """Return the schema of a document table after the stages that add ``stage_columns``."""
    return join_columns(DOCUMENTS, *stage_columns, TAIL)


def check_schema(actual: StructType, expected: StructType, where: str) -> None:
    """Compare names and types of columns; order and nullability do not matter.

    Raises:
        BackpromptError: with all differences at once.
    """
    have: Mapping[str, DataType] = {field.name: field.dataType for field in actual.fields}
    want: Mapping[str, DataType] = {field.name: field.dataType for field in expected.fields}
    problems = [f"column {name} is missing" for name in want if name not in have]
    problems += [f"column {name} is not known" for name in have if name not in want]
    problems += [
        f"column {name} is {have[name].simpleString()}, should be {want[name].simpleString()}"
        for name in want
        if name in have and have[name].simpleString() != want[name].simpleString()
    ]
    if problems:
        raise BackpromptError(f"{where}: " + "; ".join(problems))
