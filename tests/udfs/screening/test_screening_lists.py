import copy

import pytest
import yaml

from jobs.runtime.conf import language_table, read_conf, screening_lists
from udfs.screening.lists import ScreeningLists, fold

WORDS = yaml.safe_load(read_conf("screening/instructions.yaml"))
PHRASES = yaml.safe_load(read_conf("screening/phrases.yaml"))


def test_lists_are_folded_and_have_no_entry_twice():
    lists = screening_lists()
    for entries in (lists.refusals, lists.preambles, lists.missing_texts, lists.weak_missing_texts):
        assert len(entries) > 50
        assert len(set(entries)) == len(entries)
        assert all(entry == fold(entry) for entry in entries)
    for name, entries in WORDS.items():
        assert len(set(entries)) == len(entries), [each for each in entries if entries.count(each) > 1] + [name]
    assert not set(lists.words.verbs) & set(lists.words.noun_verbs)


def test_an_entry_may_stand_for_several_phrases():
    phrases = copy.deepcopy(PHRASES)
    phrases["refusals"] = {"eng": ["As {an AI|a model}{,|} I"]}
    found = ScreeningLists.read(WORDS, phrases).refusals
    assert set(found) == {"as an ai, i", "as an ai i", "as a model, i", "as a model i"}


def test_languages_are_known():
    known = {code.partition("_")[0] for code in language_table()}
    assert set(PHRASES["refusals"]) | set(PHRASES["preambles"]) <= known


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda words, _: words.pop("verbs"), "instructions.yaml.*verbs"),
        (lambda words, _: words.update(adverbs=[]), "instructions.yaml.*adverbs"),
        (lambda words, _: words["settings"].append(True), "settings holds True; put it in quotes"),
        (lambda _, phrases: phrases["refusals"]["eng"].append(""), "refusals.eng holds ''"),
        (lambda _, phrases: phrases["missing_text"]["frames"].append("this"), "need {noun}: this"),
    ],
)
def test_mistakes_name_file_and_key(change, message):
    words, phrases = copy.deepcopy(WORDS), copy.deepcopy(PHRASES)
    change(words, phrases)
    with pytest.raises(ValueError, match=message):
        ScreeningLists.read(words, phrases)
