"""What the stage searches, what it stores, and what it rejects."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from jobs.runtime.conf import language_table
from jobs.runtime.evaluation_sets import read_index
from jobs.runtime.schema import BACK_TRANSLATE, CLEAN, DECONTAMINATE, DEDUP, INSTRUCT, SCREEN, TRANSLATE
from jobs.stages.base import Resources
from jobs.stages.decontaminate import DecontaminateSettings, _search, decontaminate
from tests.builders import documents
from tests.udfs.test_contamination import demo_texts, sentences, translated_items, translated_texts

ADDS = (CLEAN, DEDUP, TRANSLATE, INSTRUCT, BACK_TRANSLATE, SCREEN)
ENGLISH, SPANISH = (sentences()[language] for language in ("eng_Latn", "spa_Latn"))


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """FLORES in English, as the stage reads it; its resources and settings."""
    file = tmp_path_factory.mktemp("sets") / "flores.eng.txt"
    file.write_text("\n".join(ENGLISH), encoding="utf-8")
    settings = DecontaminateSettings(sets=[{"name": "flores", "path": str(file), "language": "eng_Latn"}])
    return settings, Resources(language_table(), "eng_Latn", 0, evaluation_sets=read_index(settings, "eng_Latn"))


def searched(stage, rows):
    """The columns that the stage adds, without Spark."""
    settings, resources = stage
    empty = ("instruction_src", "instruction_language", "messages", "text_en", "instruction_en")
    defaults = {"language": "spa_Latn", "text": "", **dict.fromkeys(empty)}
    message = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    fields = [(name, message if name == "messages" else pa.string()) for name in defaults]
    batch = pa.RecordBatch.from_pylist([defaults | row for row in rows], schema=pa.schema(fields))
    order = [*defaults, *DECONTAMINATE.fieldNames()]
    found = _search([batch], resources.evaluation_sets, settings.min_share, resources.pivot, order)
    return pa.Table.from_batches(found).to_pylist()


def test_items_that_stand_in_the_pivot_s_text_are_found(stage):
    """A translation that has the item's own words gives it away, where the document is in another language."""
    rows = [
        {
            "text": f"{around[:400]} {spanish} {around[400:800]}",
            "text_en": f"Before that. {english.lower()} After it, more.",
        }
        for around, spanish, english in zip(demo_texts(), SPANISH, ENGLISH, strict=False)
    ]
    found = searched(stage, rows)
    assert len(found) == 80
    for at, row in enumerate(found):
        assert (row["contaminated_set"], row["contaminated_side"]) == ("flores", "text_en"), row
        assert row["contaminated_item"] == f"flores.eng.txt, line {at + 1}"
        assert row["contaminated_span"] in row["text_en"]
        assert row["contaminated_share"] >= 0.9
    assert {row["contaminated_set"] for row in searched(stage, [{**row, "text_en": None} for row in rows])} == {None}


def test_items_that_a_machine_translated_are_found(stage):
    """The items in Spanish, and what Apertium makes of them; docs/splits.md says how many of them are found."""
    rows = [
        {"text": text, "text_en": f"{around[:200]} {text_en}"}
        for (text, text_en), around in zip(translated_items(), translated_texts(), strict=False)
    ]
    found = {at: row for at, row in enumerate(searched(stage, rows)) if row["contaminated_set"]}
    right = [at for at, row in found.items() if row["contaminated_item"] == f"flores.eng.txt, line {at + 1}"]
    assert len(right) >= 40
    assert len(found) - len(right) <= 1, "the next sentence of an article may be nearer"
    for row in found.values():
        assert row["contaminated_side"] == "text_en"
        assert row["contaminated_span"] in row["text_en"]
    # What nobody translated is searched for n-grams alone.
    own = [{"language": "eng_Latn", "text": row["text_en"], "text_en": row["text_en"]} for row in rows]
    assert {row["contaminated_set"] for row in searched(stage, own)} == {None}
    settings, resources = stage
    settings = settings.model_copy(update={"search_translations": False})
    resources = replace(resources, evaluation_sets=read_index(settings, "eng_Latn"))
    assert {row["contaminated_set"] for row in searched((settings, resources), rows)} == {None}


def test_every_side_is_searched_in_its_language(stage):
    said = [{"role": "user", "content": ENGLISH[0]}, {"role": "assistant", "content": "Hm."},
            {"role": "user", "content": "And?"}, {"role": "assistant", "content": "No."}]  # fmt: skip
    rows = [
        {"language": "eng_Latn", "text": ENGLISH[0], "text_en": ENGLISH[0]},
        {"text": ENGLISH[0]},  # the set is English, and the row says that the text is not
        {"instruction_src": ENGLISH[0]},
        {"instruction_src": ENGLISH[0], "instruction_language": "eng_Latn"},
        {"instruction_src": ENGLISH[0], "instruction_language": "mul_Zyyy"},
        {"instruction_src": "¿Qué?", "instruction_en": ENGLISH[0]},
        {"language": "eng_Latn", "text": "No.", "instruction_src": "And?", "messages": said},
        {"text": ENGLISH[0], "text_en": ENGLISH[0]},  # the engine gave back what it got
        {"text": "No.", "instruction_src": ENGLISH[0], "instruction_en": ENGLISH[0]},
    ]
    sides = [row["contaminated_side"] for row in searched(stage, rows)]
    assert sides[:4] == ["text", None, None, "instruction"]
    assert sides[4:] == ["instruction", "instruction_en", "instruction", "text_en", "instruction_en"]


def test_the_share_is_stored_whatever_the_threshold(stage):
    settings, resources = stage
    words = max(ENGLISH, key=len).split()
    row = {"language": "eng_Latn", "text": " ".join([*words[: len(words) * 6 // 10], "and so on", "for ever"])}
    at_half = searched(stage, [row])[0]
    assert 0.5 <= at_half["contaminated_share"] < 0.8
    assert at_half["contaminated_set"] == "flores"
    strict = searched((settings.model_copy(update={"min_share": 0.9}), resources), [row])[0]
    assert (strict["contaminated_share"], strict["contaminated_set"]) == (at_half["contaminated_share"], None)
    assert searched(stage, [{"text": "Un text."}])[0]["contaminated_share"] == 0.0


def test_rows_in_are_alive_and_rejected(spark, stage):
    settings, resources = stage
    rows = [{"text": "Un text.", "instruction_src": "P?", "text_en": "A text."} for _ in range(3)]
    rows[1] = rows[1] | {"text_en": f"As it is said: {ENGLISH[3]}"}
    found = decontaminate(documents(spark, rows, *ADDS), settings, resources).collect()
    assert len(found) == 3
    [rejected] = [row for row in found if row["rejected_for"]]
    assert rejected["rejected_for"] == ["decontaminate.contaminated"]
    assert rejected["detail"] == "100 % of flores, flores.eng.txt, line 4, in text_en"
    with pytest.raises(AssertionError, match="were not read"):
        decontaminate(documents(spark, rows, *ADDS), settings, replace(resources, evaluation_sets=None))
