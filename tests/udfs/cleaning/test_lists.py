import hashlib

import pytest

from jobs.runtime.conf import cleaning_lists, language_table, read_conf
from jobs.stages.clean import STAGE
from udfs.cleaning.lists import CleaningLists
from udfs.cleaning.phrases import MAX_NOTICE_CHARS, Match, compiled, read_entries
from udfs.cleaning.split import SplitText

# The lists decide what comes out: who changes one raises the stage's version, and writes both here.
VERSION = 3
DIGEST = "8a99d6d5633ec7e6da80a26aa4079fa28d2abdb9ddda105c56a291b3c3b3fd0c"


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
    expected = {
        "» Share (12)": Match("share", False),
        "Share": Match("share", False),
        "please share on x now": Match("share", True),
        "timeshare on x": None,
        "shares": None,
        "share on x " + "a" * 120: None,
        '{"share on x": 1}': None,
        "": None,
        "SHARE ON X": Match("share", True),
    }
    assert dict(zip(expected, phrases.match(SplitText.of("\n".join(expected))), strict=True)) == expected


def test_the_first_phrase_of_a_line_has_it_and_of_those_the_longest():
    lists = {"share": {"within": ["on x", "on x or y"]}, "footer": {"within": ["x or y", "y only"]}}
    phrases = compiled(read_entries({"eng": lists | {"login": {"within": ["on x or y only"]}}}))
    lines = "on x or y\non x or y only\nsee x or y on x\ny only on x"
    assert [each.rule for each in phrases.match(SplitText.of(lines))] == ["share", "login", "footer", "footer"]


def test_a_notice_needs_both_halves_in_one_line():
    lists = {"eng": {"cookie": {"both": ["cookie + we use", "Cookie + This site"]}}}
    phrases = compiled(read_entries(lists))
    expected = {
        "We use all kinds of small files, cookies too, so that you may enjoy these pages as much.": "cookie",
        "Cookies make this site what it is.": "cookie",
        "We use eggs and flour.": None,
        "Cookies are baked for twelve minutes.": None,
        "This site, we use it.": None,
        "We use cookies. " + "a" * MAX_NOTICE_CHARS: None,
    }
    found = phrases.match(SplitText.of("\n".join(expected)))
    assert [each and each.rule for each in found] == list(expected.values())
    assert not any(each.is_sure for each in found if each)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"eng": {"cokie": {"line": ["a"]}}}, "eng: cokie.line is not known"),
        ({"eng": {"cookie": {"lines": ["a"]}}}, "eng: cookie.lines is not known"),
        ({"nob": {"share": {"line": [False]}}}, "nob: share.line holds False"),
        ({"nob": {"share": {"line": ["|"]}}}, "nob: share.line holds"),
        ({"nob": {"share": {"both": ["one"]}}}, r"nob: share.both holds 'one'; write 'one \+ other'"),
        ({"nob": {"share": {"both": ["one + two + three"]}}}, "nob: share.both holds"),
        ({"nob": {"share": {"both": ["one + "]}}}, "nob: share.both holds"),
    ],
)
def test_a_wrong_phrase_is_named(lists, message):
    with pytest.raises(ValueError, match=message):
        read_entries(lists)


@pytest.mark.parametrize("row", ["deu_Latn,1,x,1", "deu_Latn,1,1", "deu_Latn,0,1,1"])
def test_a_wrong_limit_is_named(row):
    with pytest.raises(ValueError, match="line 2"):
        CleaningLists.read({}, {"phone_words": [], "regions": {}}, f"language,word_chars,symbols,ngrams\n{row}\n")
