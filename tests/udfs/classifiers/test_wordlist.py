from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.classifiers.wordlist import WordListSettings

LISTS = {
    "spa": ("Zopenco", "hijo de tal", "coño"),
    "fra": ("va te cacher", "nom d'un chien"),
    "jpn": ("ばか", "阿呆"),
    "hin": ("कमल",),
    "srp_Cyrl": ("будала",),
    "srp": ("budala",),
    "nonsense": ("", "  ", "!!"),
}
PACKAGED = Path(__file__).parents[3] / "conf/wordlists"
LANGUAGES = ("eng", "spa", "cat", "glg", "por", "ita", "fra", "epo")


def flag(text: str, language: str) -> list[str]:
    (found,) = WordListSettings().open(LISTS).flag([text], [language])
    return found


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("Es un zopenco.", "spa_Latn", ["Zopenco"]),
        ("¡ZOPENCO!", "spa_Latn", ["Zopenco"]),
        ("zopenco, zopenco", "spa_Latn", ["Zopenco"]),
        ("Los zopencos", "spa_Latn", []),
        ("Superzopenco", "spa_Latn", []),
        ("El hijo\n  de tal", "spa_Latn", ["hijo de tal"]),
        ("un hijo de tales", "spa_Latn", []),
        ("coño y zopenco", "spa_Latn", ["Zopenco", "coño"]),
        (unicodedata.normalize("NFD", "COÑO"), "spa_Latn", ["coño"]),
        ("cono", "spa_Latn", []),
        ("ｚｏｐｅｎｃｏ", "spa_Latn", ["Zopenco"]),
        ("Nom d’un chien !", "fra_Latn", ["nom d'un chien"]),
        ("あのばかもの", "jpn_Jpan", ["ばか"]),
        ("阿呆とばか", "jpn_Jpan", ["ばか", "阿呆"]),
        ("वह कमल है", "hin_Deva", ["कमल"]),
        ("कमला हैरिस", "hin_Deva", []),
        ("Он је будала", "srp_Cyrl", ["будала"]),
        ("On je budala", "srp_Latn", ["budala"]),
        ("zopenco", "por_Latn", []),
        ("!! ??", "nonsense_Zyyy", []),
        ("", "spa_Latn", []),
    ],
)
def test_flags(text: str, language: str, found: list[str]) -> None:
    assert flag(text, language) == found


def test_each_text_has_its_own_list() -> None:
    found = WordListSettings().open(LISTS).flag(["zopenco", "zopenco", "ばか"], ["spa_Latn", "fra_Latn", "jpn_Jpan"])
    assert found == [["Zopenco"], [], ["ばか"]]


@given(st.text(), st.sampled_from(LISTS["spa"]), st.text())
def test_an_entry_between_blanks_is_always_found(before: str, entry: str, after: str) -> None:
    for form in (entry, entry.upper(), entry.title()):
        assert entry in flag(f"{before} {form} {after}", "spa_Latn")


@given(st.text(), st.sampled_from(["spa_Latn", "jpn_Jpan", "hin_Deva", "zzz_Latn"]))
def test_what_is_flagged_is_of_the_list_and_once(text: str, language: str) -> None:
    found = flag(text, language)
    entries = LISTS.get(language.partition("_")[0], ())
    assert found == [entry for entry in entries if entry in found]


@pytest.mark.parametrize("language", LANGUAGES)
def test_packaged_lists_are_short_and_clean(language: str) -> None:
    lines = (PACKAGED / f"{language}.txt").read_text(encoding="utf-8").splitlines()
    entries = [line for line in lines if not line.startswith("#")]
    assert 10 <= len(entries) <= 25
    assert entries == [entry.strip().casefold() for entry in entries]
    assert len(set(entries)) == len(entries)
    assert not any("#" in entry for entry in entries)
    found = WordListSettings().open({language: entries}).flag([" / ".join(entries)], [f"{language}_Latn"])
    assert found == [entries]


def test_settings_need_nothing() -> None:
    WordListSettings().check()
    assert WordListSettings().label == "word-list"
    assert hash(WordListSettings())
