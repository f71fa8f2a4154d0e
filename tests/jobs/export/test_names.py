"""MURI-IT's names for data sets, their parts, and languages."""

from __future__ import annotations

import csv
import gzip
import io

import pytest

from jobs.export.names import codes_of, dataset_name, export_languages, macrolanguage_names, reversed_part, source_kinds
from jobs.runtime.conf import language_table
from jobs.runtime.errors import BackpromptError
from jobs.runtime.recipe import load_recipe
from tests.conftest import ROOT


def test_data_sets_of_the_recipe_muri_have_the_released_names():
    recipe = load_recipe("muri")
    kinds = source_kinds(recipe.decisive("documents"))
    given = {dataset_name(name, kind, is_given=True) for name, kind in kinds.items()}
    assert {"WikiHow", "SuperNaturalInstructionv2", "xP3", "OpenAssistant", "flan_v2_tulu"} <= given
    assert {dataset_name(name, kind, is_given=False) for name, kind in kinds.items()} == {"MRI"}
    assert reversed_part("wikipedia", kinds["wikipedia"]) == "wikipedia"
    assert reversed_part("culturax", kinds["culturax"]) == "culturax"


def test_other_sources_keep_their_names():
    assert dataset_name("dolly", "instructions", is_given=True) == "dolly"
    assert dataset_name("gone", None, is_given=True) == "gone"
    assert reversed_part("newspapers", "jsonl") == "newspapers"
    assert reversed_part("dump", "wikipedia-dump") == "wikipedia"


@pytest.mark.parametrize(
    ("code", "muri", "name", "hub"),
    [
        ("arb_Arab", "ara", "Arabic", "ar"),
        ("ary_Arab", "ara", "Arabic", "ary"),
        ("zho_Hant", "zho", "Chinese", "zh"),
        ("yue_Hant", "zho", "Chinese", "yue"),
        ("srp_Cyrl", "hbs", "Serbo-Croatian", "sr"),
        ("nob_Latn", "nor", "Norwegian", "nb"),
        ("swh_Latn", "swa", "Swahili", "sw"),
        ("kbp_Latn", "kbp", "Kabiyè", "kbp"),
        ("kas_Deva", "kas", "Kashmiri", "ks"),
        ("cat_Latn", "cat", "Catalan", "ca"),
    ],
)
def test_languages_as_muri_it_writes_them(code, muri, name, hub):
    found = export_languages([code], is_glotlid=False, names={})[code]
    assert (found.code, found.name, found.hub) == (muri, name, hub)


def test_own_codes_can_be_kept():
    found = export_languages(["kas_Deva"], is_glotlid=True, names={})["kas_Deva"]
    assert (found.code, found.name) == ("kas_Deva", "Kashmiri (Devanagari script)")


def test_every_language_of_the_table_has_one_name_a_code():
    table = language_table()
    found = export_languages(table, is_glotlid=False, names={})
    names = {}
    for each in found.values():
        assert each.name
        assert "script)" not in each.name
        assert names.setdefault(each.code, each.name) == each.name
        assert len(each.hub) in (2, 3)


def test_names_of_macrolanguages_are_those_of_iso_639_3():
    with gzip.open(ROOT / "data" / "tables" / "iso-639-3.tab.gz") as packed:
        rows = csv.DictReader(io.TextIOWrapper(packed, "utf-8"), delimiter="\t")
        iso = {row["Id"]: row["Ref_Name"] for row in rows if row["Scope"] == "M"}
    table = language_table()
    used = {table.get(code).muri for code in table} & iso.keys()
    assert macrolanguage_names() == {code: iso[code].removesuffix(" (macrolanguage)") for code in used}


def test_languages_without_a_name_are_listed_with_what_to_do():
    with pytest.raises(
        BackpromptError, match=r"2 languages .* no name.*qqa_Latn, qqb_Latn.*--language-name qqa_Latn=N"
    ):
        export_languages(["cat_Latn", "qqb_Latn", "qqa_Latn"], is_glotlid=False, names={})
    found = export_languages(["qqa_Latn"], is_glotlid=False, names={"qqa_Latn": "Exampelan"})["qqa_Latn"]
    assert (found.code, found.name, found.hub) == ("qqa", "Exampelan", "qqa")


def test_a_name_of_ones_own_changes_no_code():
    found = export_languages(["arb_Arab"], is_glotlid=False, names={"arb_Arab": "Standard Arabic"})["arb_Arab"]
    assert (found.code, found.name, found.hub) == ("ara", "Standard Arabic", "ar")
    with pytest.raises(BackpromptError, match="--language-name fra_Latn: no pair has it; there are: arb_Arab"):
        export_languages(["arb_Arab"], is_glotlid=False, names={"fra_Latn": "French"})
    with pytest.raises(BackpromptError, match="--language-name arb_Arab: write arb_Arab=NAME"):
        export_languages(["arb_Arab"], is_glotlid=False, names={"arb_Arab": " "})


def test_codes_of_the_user():
    there = ["arb_Arab", "arz_Arab", "cat_Latn", "qqa_Latn"]
    assert codes_of(["ara"], there) == ["arb_Arab", "arz_Arab"]
    assert codes_of(["arz_Arab", "ara", "cat"], there) == ["arz_Arab", "arb_Arab", "cat_Latn"]
    assert codes_of(["qqa"], there) == ["qqa_Latn"]
    with pytest.raises(BackpromptError, match=r"No pair has the language 'fra'; there are: arb_Arab"):
        codes_of(["fra"], there)
