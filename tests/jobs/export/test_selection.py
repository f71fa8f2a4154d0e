"""Which pairs an export takes, over a small table: every filter, and the reasons counted."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from jobs.export.card import left_out
from jobs.export.licenses import known_licenses
from jobs.export.selection import Selection, check_columns, groups, reason_left_out
from jobs.runtime.errors import BackpromptError
from jobs.runtime.schema import PAIRS
from tests.jobs.export.lakes import ROWS, filled_rows

BOOK = known_licenses()
STAND_INS = {"instruction by the embedded rules": 2}


@pytest.fixture(scope="module")
def table(spark):
    pairs = spark.createDataFrame(filled_rows(ROWS), PAIRS).persist()
    yield SimpleNamespace(pairs=pairs, groups=groups(pairs))
    pairs.unpersist()


@pytest.mark.parametrize(
    ("selection", "kept", "reasons"),
    [
        (Selection(), 22, STAND_INS),
        (Selection(has_stand_ins=True), 24, {}),
        (Selection(is_commercial=True), 20, STAND_INS | {
            "licence of the text forbids commercial use": 1, "licence of a model forbids commercial use": 1}),
        (Selection(languages=("ara",)), 2, {"language not asked for": 22}),
        (Selection(languages=("arz_Arab", "yor")), 2, {"language not asked for": 22}),
        (Selection(excluded_languages=("cat_Latn", "eng")), 3, {"language excluded": 21}),
        (Selection(sources=("own", "oasst")), 2, {"source not asked for": 22}),
        (Selection(splits=("train",)), 20, {"split not asked for": 3, "instruction by the embedded rules": 1}),
        (Selection(licenses=("cc by sa 4.0", "odc-by")), 20, STAND_INS | {"licence not asked for": 2}),
        (Selection(licenses=("MIT", "Apache-2.0")), 1, {"licence not asked for": 23}),
        (Selection(licenses=("CC BY-NC 4.0, MIT",)), 1, {"licence not asked for": 23}),
        (Selection(excluded_licenses=("MIT",)), 21, STAND_INS | {"licence MIT excluded": 1}),
        (Selection(excluded_licenses=("unknown", "CC-BY-ND-4.0")), 22, STAND_INS),
        (Selection(minima={"translation_quality": 0.6}), 9, STAND_INS | {
            "translation_quality not scored": 3, "translation_quality below 0.6": 10}),
        (Selection(maxima={"translation_quality": 0.6}, is_unscored_kept=True), 14, STAND_INS | {
            "translation_quality above 0.6": 8}),
    ],
)  # fmt: skip
def test_filters(table, selection, kept, reasons):
    reason = reason_left_out(selection, table.pairs, table.groups, BOOK, "table pairs")
    found = groups(table.pairs, reason)

    assert sum(each.pairs for each in found if each.left_out is None) == kept
    assert left_out(found) == reasons


def test_licences_that_nobody_knows_are_named(table):
    for selection, problem in (
        (
            Selection(licenses=("GPL-3.0",)),
            r"--license GPL-3.0: no pair has it; there are: Apache-2.0, CC BY-NC 4.0, MIT",
        ),
        (
            Selection(excluded_licenses=("mti",)),
            r"--exclude-license mti: it is no licence of conf/export/licenses.yaml",
        ),
    ):
        with pytest.raises(BackpromptError, match=problem):
            reason_left_out(selection, table.pairs, table.groups, BOOK, "table pairs")


def test_a_conversation_that_ends_otherwise_is_left_out_of_the_chat_form(spark):
    answer = {"role": "assistant", "content": "Va ser un pagès."}
    question = {"role": "user", "content": "Qui?"}
    rows = [{"messages": each} for each in (None, [question, answer], [answer, question], [], [question])]
    pairs = spark.createDataFrame(filled_rows(rows), PAIRS)

    reason = reason_left_out(Selection(has_whole_conversations=True), pairs, groups(pairs), BOOK, "table pairs")

    assert left_out(groups(pairs, reason)) == {"conversation does not end with the output": 3}


def test_a_table_of_an_older_backprompt_may_lack_scores_and_nothing_else(table):
    older = table.pairs.drop("hate_score", "translation_quality")
    check_columns(older, "table pairs")
    with pytest.raises(BackpromptError, match=r"--min hate_score: table pairs has no such score; it has answer_share"):
        reason_left_out(Selection(minima={"hate_score": 0.5}), older, table.groups, BOOK, "table pairs")
    with pytest.raises(BackpromptError, match=r"table pairs lacks the columns subsource, messages: .*--rebuild pairs"):
        check_columns(table.pairs.drop("messages", "subsource"), "table pairs")
