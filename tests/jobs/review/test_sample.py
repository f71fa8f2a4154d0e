from collections import Counter

import pytest
from pyspark.sql import functions as F

from jobs.review.sample import SHOWN_CHARS, Sides, choose, choose_comparisons, is_swapped
from jobs.runtime.errors import BackpromptError
from tests.jobs.review.conftest import pair

ROWS = [
    *(pair(n) for n in range(40)),
    *(pair(n, source="wikihow") for n in range(4)),
    *(pair(n, "arb_Arab") for n in range(3)),
]


def ids(sample, language="spa_Latn"):
    return [item.pair.pair_id for item in sample.items[language]]


def test_sources_take_turns_and_the_choice_hangs_on_ids_and_seed_alone(pairs_of):
    pairs = pairs_of(ROWS)
    chosen = choose(pairs, 7, 10)
    assert Counter(item.pair.source for item in chosen.items["spa_Latn"]) == {"wikihow": 4, "wikipedia": 6}
    assert ids(choose(pairs_of(ROWS[::-1]).repartition(5), 7, 10)) == ids(chosen)
    assert ids(choose(pairs, 7, 20))[:10] == ids(chosen)
    assert ids(choose(pairs, 8, 10)) != ids(chosen)
    assert len(chosen.items["arb_Arab"]) == 3
    assert chosen.notes == ("arb_Arab: 3 pairs, fewer than the 10 asked for",)


def test_a_reviewed_pair_stays_whatever_comes_since(pairs_of):
    before = ids(choose(pairs_of(ROWS[:20]), 7, 5))
    grown = pairs_of(ROWS)
    assert ids(choose(grown, 7, 5)) != before
    kept = grown.where(F.col("pair_id").isin(before)).select("pair_id")
    assert set(ids(choose(grown, 7, 5, kept=kept))) == set(before)


def test_long_texts_are_cut_and_said_to_be(pairs_of):
    texts = [pair(1, output="a" * (SHOWN_CHARS + 5)), pair(2, output="a" * (SHOWN_CHARS + 4) + "b")]
    one, two = choose(pairs_of(texts), 0, 5).items["spa_Latn"]
    assert (len(one.pair.output.text), one.pair.output.left_out_chars) == (SHOWN_CHARS, 5)
    assert one.shown_hash != two.shown_hash


def test_what_was_said_before_the_output_is_shown(pairs_of):
    talk = [("user", "Hola"), ("assistant", "Hola!"), ("user", "¿Qué es?"), ("assistant", "Una cosa.")]
    rows = [pair(1, messages=talk), pair(2, messages=talk[2:])]
    found = {item.pair.pair_id: item.pair.messages for item in choose(pairs_of(rows), 0, 5).items["spa_Latn"]}
    assert found == {"spa_Latn-wikipedia-1": tuple(talk[:3]), "spa_Latn-wikipedia-2": ()}


def test_two_lakes_are_compared_by_document(pairs_of):
    ours = pairs_of([pair(n) for n in range(6)])
    theirs = pairs_of([pair(n, **({"instruction": f"Habla de {n}."} if n % 2 else {})) for n in range(1, 8)])
    sample = choose_comparisons(Sides(ours, theirs, "other"), 1, 10)
    found = {item.pair.pair_id: (item.other.pair_id, item.other.instruction.text) for item in sample.items["spa_Latn"]}
    assert found == {f"spa_Latn-wikipedia-{n}": (f"spa_Latn-wikipedia-{n}", f"Habla de {n}.") for n in (1, 3, 5)}
    assert sample.notes == ("spa_Latn: 3 pairs to compare, fewer than the 10 asked for",)


def test_two_sources_are_compared_place_by_place(pairs_of):
    rows = pairs_of(ROWS)
    sides = Sides(rows.where("source = 'wikipedia'"), rows.where("source = 'wikihow'"), "wikihow")
    sample = choose_comparisons(sides, 1, 3)
    compared = [(item.pair.source, item.other.source) for item in sample.items["spa_Latn"]]
    assert compared == [("wikipedia", "wikihow")] * 3
    assert len({item.other.pair_id for item in sample.items["spa_Latn"]}) == 3
    assert list(sample.items) == ["spa_Latn"]
    assert "pairs of different documents are compared" in sample.notes[0]


def test_sides_are_drawn_for_each_reviewer(pairs_of):
    items = choose(pairs_of(ROWS), 0, 40).items["spa_Latn"]
    drawn = {name: [is_swapped(item, name, 3) for item in items] for name in ("Ana", "Ben")}
    assert drawn["Ana"] != drawn["Ben"]
    assert all(10 < sum(each) < 30 for each in drawn.values())
    assert drawn["Ana"] == [is_swapped(item, "Ana", 3) for item in items]


def test_nothing_to_review_is_said(pairs_of):
    with pytest.raises(BackpromptError, match="There are no pairs to review"):
        choose(pairs_of([]), 0, 5)
    with pytest.raises(BackpromptError, match="there are no pairs in fra_Latn; there are some in arb_Arab"):
        choose(pairs_of(ROWS), 0, 5, ["arb_Arab", "fra_Latn"])
    same = pairs_of(ROWS)
    with pytest.raises(BackpromptError, match="the pairs of the same documents have the same texts"):
        choose_comparisons(Sides(same, same, "lake2"), 0, 5)
    with pytest.raises(BackpromptError, match="no language is on both sides"):
        choose_comparisons(Sides(same, pairs_of([pair(1, "fra_Latn")]), "lake2"), 0, 5)
