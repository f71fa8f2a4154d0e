"""Rows that hold their instruction are led past the stages before screen."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from pyspark.sql import functions as F

from jobs.runtime.batches import BatchProcessor, Work, write_records
from jobs.runtime.conf import language_table
from jobs.runtime.errors import BackpromptError
from jobs.runtime.ledger import BatchId, count_incoming
from jobs.runtime.schema import record
from jobs.stages import STAGES
from jobs.stages.base import Resources
from tests.builders import documents


class Written:
    """A lake that remembers what was appended."""

    def append(self, rows, *_):
        self.rows = rows

    def read(self, _):
        return self.rows


def work(spark, rows, transform):
    stage = replace(STAGES["clean"], transform=transform)
    docs = documents(spark, rows)
    everything, without_instruction = count_incoming(docs)
    return Work(
        Written(),
        stage,
        stage.settings(),
        Resources(language_table(), "eng_Latn", 0),
        tuple(record([stage.adds]).fieldNames()),
        BatchId("r", "clean", "f", 0, 0),
        docs,
        rows_per_file=10,
        failures=None,
        holds_pairs=everything != without_instruction,
        holds_documents=bool(without_instruction),
    )


def fails(*_):
    raise AssertionError("the stage works on rows that pass it")


def rejects_all(docs, *_):
    adds = {each.name: F.lit(None).cast(each.dataType) for each in STAGES["clean"].adds.fields}
    return docs.withColumns({**adds, "rejected_for": F.array(F.lit("clean.too_short"))})


@pytest.mark.parametrize(
    ("own", "transform"), [(3, fails), (1, rejects_all), (0, rejects_all)], ids=["all", "some", "none"]
)
def test_a_stage_sees_only_the_rows_without_an_instruction(spark, own, transform):
    rows = [{"text": f"text {number}", "instruction": f"do {number}" if number < own else None} for number in range(3)]
    found = write_records(work(spark, rows, transform)).select("text", "instruction", "rejected_for").collect()
    assert sorted(tuple(row) for row in found) == [
        (row["text"], row["instruction"], [] if row["instruction"] else ["clean.too_short"]) for row in rows
    ]


def test_a_stage_whose_engines_were_not_checked_refuses_documents(spark, tmp_path):
    processor = BatchProcessor(
        str(tmp_path),
        "translate",
        STAGES["translate"].settings(),
        Resources(language_table(), "eng_Latn", 0),
        (),
        BatchId("r", "translate", "f", 0, 0),
        "run",
        rows_per_file=10,
        takes_documents=False,
    )
    docs = documents(spark, [{"instruction": "do"}, {"instruction": None}])
    with pytest.raises(BackpromptError, match=r"^Stage translate: 1 rows that came in are documents .* Put the source"):
        processor.process(docs, 0, None, may_be_repeated=False)


def test_a_stage_that_takes_pairs_sees_all_rows():
    alike = SimpleNamespace(stage=STAGES["screen"], holds_pairs=True)
    assert Work.parted(alike, "docs") == ("docs", None)
    assert {name for name, stage in STAGES.items() if stage.of_pairs is not None} == {
        "clean", "dedup_lines", "dedup", "translate", "instruct", "back_translate",
    }  # fmt: skip
