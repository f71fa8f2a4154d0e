"""A recipe's limits over all its sources."""

from __future__ import annotations

import json

from jobs.runtime.conf import language_table
from jobs.runtime.ingest import Ingest
from jobs.runtime.lake import Lake
from jobs.runtime.ledger import BatchId, Ledger
from jobs.runtime.recipe import FIRST, parse_recipe
from jobs.stages.base import Resources

RECIPE = """
name: test
max_documents_per_language: {limit}
max_documents: {{spa_Latn: 3}}
sources:
  - {{kind: jsonl, name: small, path: small, license: x, language: cat_Latn, columns: {{id: id}}}}
  - {{kind: jsonl, name: large, path: large, license: x, language: cat_Latn, columns: {{id: id}}, weight: 3}}
  - {{kind: jsonl, name: other, path: other, license: x, language: spa_Latn, columns: {{id: id}}}}
stages:
  {{clean: , dedup: , translate: {{engine: {{kind: apertium}}}}, instruct: , back_translate: , screen: ,
    group: , pairs: }}
"""


def write(folder, name, count):
    (folder / name).mkdir(exist_ok=True)
    lines = (json.dumps({"id": f"{name}{number}", "text": f"text {number}"}) for number in range(count))
    (folder / name / "a.jsonl").write_text("\n".join(lines))


def ingest(spark, folder, limit):
    recipe = parse_recipe(RECIPE.format(limit=limit), str(folder / "test.yaml"))
    lake = Lake(spark, str(folder / "lake"))
    resources = Resources(language_table(), "eng_Latn", 0)
    return Ingest(
        spark, recipe, lake, resources, Ledger(lake, ""), BatchId("test", FIRST, "", 0, 0), None, lambda: None
    )


def test_sources_share_by_weight_and_fill_up_for_each_other(spark, tmp_path):
    for name, count in (("small", 4), ("large", 30), ("other", 5)):
        write(tmp_path, name, count)

    few, many = ingest(spark, tmp_path, 8), ingest(spark, tmp_path, 24)

    assert few._shared_limits() == {"small": {"cat_Latn": 2}, "large": {"cat_Latn": 6}, "other": {"spa_Latn": 3}}
    # The small one has four: the rest is the large one's.
    assert many._shared_limits() == {"small": {"cat_Latn": 4}, "large": {"cat_Latn": 20}, "other": {"spa_Latn": 3}}
    small, _, other = few.recipe.recipe.sources
    assert (few.compared(small).count(), few.compared(other).count()) == (2, 3)


def test_a_corpus_that_grows_changes_the_state_of_those_it_shares_with(spark, tmp_path):
    for name in ("small", "large", "other"):
        write(tmp_path, name, 4)
    work = ingest(spark, tmp_path, 6)
    before = [work._state(source) for source in work.recipe.recipe.sources]

    write(tmp_path, "large", 9)

    after = [work._state(source) for source in work.recipe.recipe.sources]
    assert not [same for same in zip(before, after, strict=True) if same[0] == same[1]]


def test_a_source_that_grows_beyond_its_part_takes_nothing_from_the_others(spark, tmp_path):
    for name, count in (("small", 4), ("large", 30), ("other", 5)):
        write(tmp_path, name, count)
    before = ingest(spark, tmp_path, 8)._shared_limits()

    write(tmp_path, "small", 9)

    # More of the small one is there, but it had its part already.
    assert ingest(spark, tmp_path, 8)._shared_limits() == before
