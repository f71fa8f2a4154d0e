import hashlib

import pytest

from jobs.runtime.conf import cleaning_lists, language_table, read_conf
from jobs.stages.clean import STAGE
from udfs.cleaning.lists import CleaningLists
from udfs.cleaning.phrases import compiled, read_entries

# The lists decide what comes out: who changes one raises the stage's version, and writes both here.
VERSION = 2
DIGEST = "579cc34c43f1028f022d1656d7cede60382c575b5b0b65cfba8f789f50286788"


def test_the_version_of_the_stage_goes_with_its_lists():
    files = ("phrases.yaml", "personal_data.yaml", "limits.csv")
    content = "".join(read_conf(f"cleaning/{name}") for name in files)
    assert (STAGE.version, hashlib.sha256(content.encode()).hexdigest()) == (VERSION, DIGEST)


def test_limits_and_regions_are_of_known_languages():
    known = set(language_table())
    lists = cleaning_lists()
    assert {language for language, _ in lists.factors} <= known
    assert {language for language, _ in lists.regions} <= known
    assert all(0.2 < factors.word_chars < 3 for _, factors in lists.factors)


def test_phrases_are_found_as_wholes():
    phrases = compiled(read_entries({"eng": {"share": {"line": ["share"], "within": ["share on x"]}}}))
    assert phrases.match("» Share (12)").rule == "share"
    assert not phrases.match("Share").is_sure
    assert phrases.match("please share on x now").is_sure
    assert phrases.match("timeshare on x") is None
    assert phrases.match("shares") is None
    assert phrases.match("share on x " + "a" * 120) is None


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"eng": {"cokie": {"line": ["a"]}}}, "eng: cokie.line is not known"),
        ({"eng": {"cookie": {"lines": ["a"]}}}, "eng: cookie.lines is not known"),
        ({"nob": {"share": {"line": [False]}}}, "nob: share.line holds False"),
        ({"nob": {"share": {"line": ["|"]}}}, "nob: share.line holds"),
    ],
)
def test_a_wrong_phrase_is_named(lists, message):
    with pytest.raises(ValueError, match=message):
        read_entries(lists)


@pytest.mark.parametrize("row", ["deu_Latn,1,x,1", "deu_Latn,1,1", "deu_Latn,0,1,1"])
def test_a_wrong_limit_is_named(row):
    with pytest.raises(ValueError, match="line 2"):
        CleaningLists.read({}, {"phone_words": [], "regions": {}}, f"language,word_chars,symbols,ngrams\n{row}\n")
