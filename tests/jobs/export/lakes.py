"""A small lake of pairs for tests of exports: kinds of sources, scripts, macrolanguages, engines, licences."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from jobs.runtime.lake import Lake
from jobs.runtime.schema import DOCUMENTS, PAIRS, RUNS, TAIL, join_columns

PROPERTIES = {"recipe": "small", "fingerprint": "0123456789abcdef", "generation": "0"}
SETTINGS = {
    "sources.wiki.kind": "wikipedia-dump",
    "sources.culturax.kind": "culturax",
    "sources.oasst.kind": "oasst",
    "sources.own.kind": "instructions",
}
_DEFAULTS: dict[str, Any] = {
    "revision": "0",
    "language": "cat_Latn",
    "source": "wiki",
    "instruction": "Qui va ser en Joan?",
    "output": "Va ser un pagès.",
    "split": "train",
    "split_group": "0",
    "source_metadata": {"revision": "7"},
    "license": "CC-BY-SA-4.0",
    "origin": "wiki.xml",
    "translator": "ctranslate2-4.8.5:google/madlad400-3b-mt:int8",
    "generator": "openai:mistralai/Mixtral-8x7B-Instruct-v0.1",
    "back_translator": "ctranslate2-4.8.5:google/madlad400-3b-mt:int8",
    "output_chars": 16,
    "batch_id": 0,
}
_GIVEN = {"generator": "source", "back_translator": "none", "translator": None}
TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Good day"},
    {"role": "user", "content": 'Who was John?\nSay it "briefly".'},
    {"role": "assistant", "content": "A farmer.\u2028Of old."},
]
ROWS: list[dict[str, Any]] = [
    *({"translation_quality": 0.5 + number / 100, "split": split, "url": f"https://ca.example/{number}"}
      for number, split in enumerate(["train"] * 16 + ["validation", "test"])),
    {"language": "arb_Arab", "instruction": "من كان يوحنا؟", "output": "كان فلاحا.", "translation_quality": 0.9},
    {"language": "arz_Arab", "source": "culturax", "subsource": "OSCAR-2109", "license": "ODC-BY",
     "back_translator": "ctranslate2-4.8.5:facebook/nllb-200-3.3B:int8"},
    {"source": "oasst", "language": "eng_Latn", "license": "Apache-2.0", **_GIVEN, "messages": TALK,
     "instruction": TALK[3]["content"], "output": TALK[4]["content"]},
    {"source": "own", "language": "yor_Latn", "license": "CC BY-NC 4.0, MIT", **_GIVEN, "subsource": "qa",
     "flagged_words": ["x"]},
    {"generator": "template-v1:biography", "split": "test"},
    {"generator": "title", "back_translator": "none"},
]  # fmt: skip

RUN = {
    "run_id": "a", "recipe": "small", "stage": "documents", "fingerprint": "0", "generation": 0, "batch_id": 0,
    "language": "cat_Latn", "rows_in": 9, "rows_alive": 9, "rows_rejected": 0, "reasons": {}, "left_out": {},
    "characters": 90, "engines": [], "started_at": datetime(2024, 1, 1, tzinfo=UTC), "batch_seconds": 1.0,
    **dict.fromkeys(("prompt_tokens", "completion_tokens", "characters_read", "characters_written")),
    **dict.fromkeys(("cache_hits", "cache_misses")),
}  # fmt: skip
"""What is entered of one batch of documents: a row of RUNS."""


def filled_rows(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return rows of PAIRS: what a test names, the rest filled."""
    filled = []
    for place, row in enumerate(rows):
        values = dict.fromkeys(PAIRS.fieldNames()) | _DEFAULTS | {"pair_id": f"{place:064x}"} | row
        values["flagged_words"] = values["flagged_words"] or []
        filled.append(tuple(values[name] for name in PAIRS.fieldNames()))
    return filled


def make_lake(spark: Any, folder: Any, rows: list[dict[str, Any]] | None = None) -> Lake:
    """Write the tables that an export reads."""
    lake = Lake(spark, str(folder))
    stages = {"settings": json.dumps({"min_chars": 200})}
    lake.ensure("documents", join_columns(DOCUMENTS, TAIL), PROPERTIES | {"settings": json.dumps(SETTINGS)})
    lake.ensure("pairs", PAIRS, PROPERTIES | stages | {"upstream": "documents"})
    lake.ensure("runs", RUNS, {}, partition_by=())
    # Two files a language, so that nothing may depend on there being one.
    lake.append(
        spark.createDataFrame(filled_rows(ROWS if rows is None else rows), PAIRS).repartition(2), "pairs", "test", 0
    )
    return lake
