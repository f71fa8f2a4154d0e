from __future__ import annotations

import csv
import io
import pickle
from pathlib import Path

import pytest

from udfs.languages import LanguageTable, UnknownLanguageError

CSV = (Path(__file__).resolve().parents[2] / "conf" / "languages.csv").read_text(encoding="utf-8")
ROWS = list(csv.DictReader(io.StringIO(CSV)))
HEADER = CSV.splitlines()[0]
GALICIAN = "glg_Latn,Galician,,Galego,glg,,Latn,gl glg,gl,gl,gl,gl,gl,,,glg,glg_Latn,gl,glg_Latn,gl,3,SVO,none"


@pytest.fixture(scope="module")
def table() -> LanguageTable:
    return LanguageTable.from_csv(CSV)


@pytest.mark.parametrize("scheme", ["language", "wikipedia", "culturax", "oscar2019", "nllb", "madlad"])
def test_no_code_stands_twice_in_a_scheme(scheme):
    codes = [code for row in ROWS for code in row[scheme].split()]

    assert len(codes) == len(set(codes)) > 100


def test_rows_are_sorted_and_clean():
    assert [row["language"] for row in ROWS] == sorted(row["language"] for row in ROWS)
    assert not [row for row in ROWS for value in row.values() if value != value.strip() or "  " in value]


def test_every_language_of_nllb_and_culturax_is_there(table):
    assert len(table.codes("nllb")) == 202
    assert sum(len(row["culturax"].split()) for row in ROWS) == 167


def test_labels_are_those_of_the_installed_py3langid(table):
    import py3langid

    labels = {str(label) for label, _ in py3langid.rank("which languages do you know?")}

    assert set(table.codes("py3langid").values()) == labels - {"zxx"}


@pytest.mark.parametrize(
    ("code", "scheme", "language"),
    [
        ("eo", "wikipedia", "epo_Latn"),
        ("gl", "culturax", "glg_Latn"),
        ("ca", "wikipedia", "cat_Latn"),
        ("no", "wikipedia", "nob_Latn"),
        ("nb", "wikipedia", "nob_Latn"),
        ("nn", "culturax", "nno_Latn"),
        ("zh", "wikipedia", "zho_Hans"),
        ("zh", "py3langid", "zho_Hans"),
        ("zh_Hant", "madlad", "zho_Hant"),
        ("zh-yue", "wikipedia", "yue_Hant"),
        ("sr", "wikipedia", "srp_Cyrl"),
        ("hr", "culturax", "hrv_Latn"),
        ("bs", "culturax", "bos_Latn"),
        ("sh", "wikipedia", "hbs_Latn"),
        ("ku", "wikipedia", "kmr_Latn"),
        ("ckb", "culturax", "ckb_Arab"),
        ("fa", "culturax", "pes_Arab"),
        ("ar", "culturax", "arb_Arab"),
        ("ms", "wikipedia", "zsm_Latn"),
        ("id", "wikipedia", "ind_Latn"),
        ("sw", "culturax", "swh_Latn"),
        ("az", "wikipedia", "azj_Latn"),
        ("azb", "culturax", "azb_Arab"),
        ("uz", "wikipedia", "uzn_Latn"),
        # Not Tosk Albanian, whose ISO 639-3 code it is: Wikipedia and CulturaX write Alemannic so.
        ("als", "wikipedia", "gsw_Latn"),
        ("als", "culturax", "gsw_Latn"),
        ("sq", "wikipedia", "als_Latn"),
        ("simple", "wikipedia", "eng_Latn"),
        ("be-x-old", "wikipedia", "bel_Cyrl"),
        ("mni", "wikipedia", "mni_Mtei"),
        ("sat_Beng", "nllb", "sat_Olck"),
        ("fil", "madlad", "tgl_Latn"),
        ("fil", "mc4", "tgl_Latn"),
        ("ak", "xp3", "aka_Latn"),
        ("diq", "oscar2019", "diq_Latn"),
        ("zho", "cld2", "zho_Hans"),
        ("blu", "cld2", "hmn_Latn"),
        ("cmn_Hani", "glotlid", "zho_Hans"),
        ("gug_Latn", "glotlid", "grn_Latn"),
        ("yor", "iso639_3", "yor_Latn"),
        ("quy_Latn", "language", "quy_Latn"),
        ("no", "madlad", "nob_Latn"),
        ("nb", "bcp47", "nob_Latn"),
        ("no", "bcp47", "nob_Latn"),
        ("nor", "iso639_3", "nob_Latn"),
        ("nn", "oscar2019", "nno_Latn"),
        # Chinese and its relatives.
        ("zh", "mc4", "zho_Hans"),
        ("zh-Hans", "cc100", "zho_Hans"),
        ("zh-Hant", "cc100", "zho_Hant"),
        ("zh-Latn", "mc4", "zho_Latn"),
        ("cmn", "iso639_3", "zho_Hans"),
        ("chinese", "wikihow", "zho_Hans"),
        ("zh.wikihow.com", "wikihow", "zho_Hans"),
        ("www.wikihow.com.tr", "wikihow", "tur_Latn"),
        ("yue_Hani", "glotlid", "yue_Hant"),
        ("zh-min-nan", "wikipedia", "nan_Latn"),
        ("zh-classical", "wikipedia", "lzh_Hani"),
        ("wuu", "oscar2019", "wuu_Hani"),
        # Serbo-Croatian in both scripts.
        ("srp_Latn", "glotlid", "srp_Latn"),
        ("srp", "iso639_3", "srp_Cyrl"),
        ("sh", "madlad", "hbs_Latn"),
        ("hbs", "iso639_3", "hbs_Latn"),
        # Kurdish, Persian, Arabic.
        ("ku", "cc100", "kmr_Latn"),
        ("kur", "iso639_3", "kmr_Latn"),
        ("kur", "cld2", "kmr_Latn"),
        ("ckb", "madlad", "ckb_Arab"),
        ("fas", "iso639_3", "pes_Arab"),
        ("prs", "madlad", "prs_Arab"),
        ("fas_Arab", "glotlid", "pes_Arab"),
        ("ara", "iso639_3", "arb_Arab"),
        ("arz", "wikipedia", "arz_Arab"),
        ("ary", "madlad", "ary_Arab"),
        ("arb_Latn", "glotlid", "arb_Latn"),
        # Malay and Indonesian, Swahili, Azerbaijani, Uzbek.
        ("ms", "mc4", "zsm_Latn"),
        ("ms_Arab", "madlad", "zsm_Arab"),
        ("id", "mc4", "ind_Latn"),
        ("sw", "xp3", "swh_Latn"),
        ("swa", "iso639_3", "swh_Latn"),
        ("az", "mc4", "azj_Latn"),
        ("aze", "iso639_3", "azj_Latn"),
        ("uz", "oscar2019", "uzn_Latn"),
        ("uzn_Cyrl", "glotlid", "uzn_Cyrl"),
        # Albanian and Alemannic.
        ("als", "oscar2019", "gsw_Latn"),
        ("als", "iso639_3", "als_Latn"),
        ("gsw", "madlad", "gsw_Latn"),
        ("sq", "oscar2019", "als_Latn"),
        # Wikipedias whose codes are none of ISO's.
        ("be-tarask", "wikipedia", "bel_Cyrl"),
        ("roa-rup", "wikipedia", "rup_Latn"),
        ("bat-smg", "wikipedia", "sgs_Latn"),
        ("fiu-vro", "wikipedia", "vro_Latn"),
        ("cbk-zam", "wikipedia", "cbk_Latn"),
        # Former codes, romanised text, scripts that MADLAD marks the other way round.
        ("iw", "mc4", "heb_Hebr"),
        ("ns", "cc100", "nso_Latn"),
        ("hi_rom", "cc100", "hin_Latn"),
        ("crh", "madlad", "crh_Cyrl"),
        ("kaa", "wikipedia", "kaa_Latn"),
        ("kaa", "madlad", "kaa_Cyrl"),
        # An ISO 639-3 code means the row in its usual script.
        ("ace", "iso639_3", "ace_Latn"),
        ("kaa", "iso639_3", "kaa_Latn"),
    ],
)
def test_by_code(table, code, scheme, language):
    assert table.by_code(code, scheme).language == language
    assert table.by_codes(scheme)[code] == language


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("en-US", "eng_Latn"),
        ("EN", "eng_Latn"),
        ("de_AT", "deu_Latn"),
        ("pt-BR", "por_Latn"),
        ("zh-TW", "zho_Hant"),
        ("zho-TW", "zho_Hant"),
        ("zh-Hant-HK", "zho_Hant"),
        ("zh-CN", "zho_Hans"),
        ("sr-Latn-RS", "srp_Latn"),
        ("sr-RS", "srp_Cyrl"),
        ("srp_Cyrl", "srp_Cyrl"),
        ("uz-Cyrl", "uzn_Cyrl"),
        ("bos_cyrl", "bos_Cyrl"),
        ("pa-PK", "pnb_Arab"),
        ("az-Arab", "azb_Arab"),
        ("ku-Arab", "ckb_Arab"),
        ("fa-AF", "prs_Arab"),
        ("ell_monotonic", "ell_Grek"),
    ],
)
def test_tags_are_looked_up_without_what_the_table_does_not_know(table, tag, language):
    assert table.by_code(tag, "bcp47").language == language


@pytest.mark.parametrize("tag", ["tgl-Thai", "zh-Cyrl", "code", "", "-", "x"])
def test_a_script_is_never_left_out_of_a_tag(table, tag):
    assert table.find(tag, "bcp47") is None


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("English", "eng_Latn"),
        ("arabic", "arb_Arab"),
        ("Persian", "pes_Arab"),
        ("Chinese", "zho_Hans"),
        ("Norwegian", "nob_Latn"),
        ("Panjabi", "pan_Guru"),
        ("Deutsch", "deu_Latn"),
        ("Zhuang", "zyb_Latn"),
        ("Farsi", "pes_Arab"),
        ("bangla", "ben_Beng"),
        ("Traditional Chinese", "zho_Hant"),
    ],
)
def test_languages_are_found_by_name(table, name, language):
    assert table.by_code(name, "name").language == language


@pytest.mark.parametrize(
    ("code", "languages"),
    [
        ("zho", ["zho_Hans", "zho_Hant", "yue_Hant", "wuu_Hani", "nan_Latn"]),
        ("ara", ["arb_Arab", "arz_Arab", "ary_Arab", "arb_Latn"]),
        ("fas", ["pes_Arab", "prs_Arab"]),
        ("kur", ["kmr_Latn", "ckb_Arab"]),
        ("hbs", ["hbs_Latn", "srp_Cyrl", "srp_Latn", "hrv_Latn", "bos_Latn"]),
        ("ori", ["ory_Orya"]),
        ("eng", ["eng_Latn"]),
        ("uzb", ["uzn_Latn", "uzn_Cyrl"]),
    ],
)
def test_codes_of_muri_stand_for_macrolanguages(table, code, languages):
    found = table.of_muri(code)

    assert found[0].language == languages[0]
    assert {each.language for each in found} >= set(languages)
    assert {each.muri for each in found} == {code}


def test_every_language_has_a_code_of_muri(table):
    assert all(table.get(language) in table.of_muri(table.get(language).muri) for language in table)
    with pytest.raises(UnknownLanguageError, match="'zh' is not a code of MURI-IT"):
        table.of_muri("zh")


def test_iso_codes_and_preferred_tags_lead_back_to_the_language(table):
    for each in map(table.get, table):
        assert table.by_code(each.bcp47[0], "bcp47") is each
        assert table.by_code(each.iso639_3, "iso639_3").iso639_3 in (each.iso639_3, *each.codes("iso639_3"))
        assert table.by_code(each.name, "name") is each


@pytest.mark.parametrize(
    ("language", "word_order", "case_marking"),
    [
        ("tur_Latn", "SOV", "6-7"),
        ("fin_Latn", "SVO", "10+"),
        ("zho_Hant", "SVO", "none"),
        ("arb_Arab", "VSO", ""),
        ("deu_Latn", "none", "4"),
        ("cym_Latn", "VSO", "none"),
        ("swh_Latn", "SVO", "none"),
        ("glg_Latn", "", ""),
    ],
)
def test_word_order_and_cases_are_those_of_wals(table, language, word_order, case_marking):
    assert (table.get(language).word_order, table.get(language).case_marking) == (word_order, case_marking)


def test_get_gives_the_whole_row(table):
    glg = table.get("glg_Latn")

    assert (glg.name, glg.native_name, glg.iso639_3, glg.script, glg.joshi_class) == (
        "Galician",
        "Galego",
        "glg",
        "Latn",
        3,
    )
    assert table.get("nob_Latn").wikipedia == ("no", "nb")
    assert table.get("swh_Latn").macrolanguage == "swa"


def test_table_is_a_collection_of_its_codes(table):
    assert "cat_Latn" in table
    assert "ca" not in table
    assert list(table) == [row["language"] for row in ROWS]
    assert len(table) == len(ROWS)
    assert table.codes("culturax")["zho_Hans"] == "zh"
    assert "zho_Hant" not in table.codes("culturax")


def test_table_travels_to_executors(table):
    assert list(pickle.loads(pickle.dumps(table))) == list(table)


@pytest.mark.parametrize(
    ("code", "scheme", "words"),
    [
        ("spa_Lat", "language", ["'spa_Lat' is not a language code", "close to it: spa_Latn"]),
        ("catalan", "language", ["close to it: cat_Latn"]),
        ("es", "nllb", ["'es' is not a nllb code", "close to it: spa_Latn"]),
        ("swa", "culturax", ["close to it: sw"]),
        ("qqqqqq", "wikipedia", ["'qqqqqq' is not a wikipedia code of conf/languages.csv"]),
        ("Spanich", "name", ["'Spanich' is not a name code", "close to it: Spanish"]),
        ("tgl-Cyrl", "bcp47", ["'tgl-Cyrl' is not a bcp47 code"]),
    ],
)
def test_unknown_code_is_told_with_its_neighbours(table, code, scheme, words):
    with pytest.raises(UnknownLanguageError) as raised:
        table.by_code(code, scheme)

    assert all(word in str(raised.value) for word in words), raised.value


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["language,name", "glg_Latn,Galician"], "must have the columns"),
        ([HEADER, GALICIAN, GALICIAN], "the language code 'glg_Latn' stands in"),
        ([HEADER, GALICIAN.replace("glg_Latn,Gal", "glg,Gal")], "line 2: 'glg' must be iso639_3 and script"),
        ([HEADER, GALICIAN.replace(",Latn,", ",Cyrl,")], "line 2: 'glg_Latn' must be"),
        ([HEADER, GALICIAN + ",extra"], "line 2: the number of columns"),
        ([HEADER, GALICIAN.removesuffix(",none")], "line 2: the number of columns"),
        ([HEADER, GALICIAN.replace(",3,", ",7,")], "line 2: joshi_class is '7'"),
        (
            [HEADER, GALICIAN, GALICIAN.replace("gl glg", "ca").replace("glg", "cat").replace("Galician", "Catalan")],
            "the wikipedia code 'gl' stands in glg_Latn and cat_Latn",
        ),
    ],
    ids=["columns", "row twice", "no script", "other script", "too long", "too short", "joshi", "code twice"],
)
def test_malformed_table_is_refused_by_line(lines, message):
    with pytest.raises(ValueError, match=message):
        LanguageTable.from_csv("\n".join(lines) + "\n")
