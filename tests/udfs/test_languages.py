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
GALICIAN = "glg_Latn,Galician,Galego,glg,,Latn,gl,gl,glg_Latn,gl,glg_Latn,gl,3"


@pytest.fixture(scope="module")
def table() -> LanguageTable:
    return LanguageTable.from_csv(CSV)


@pytest.mark.parametrize("scheme", ["language", "wikipedia", "culturax", "nllb", "madlad"])
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
        ("cmn_Hani", "glotlid", "zho_Hans"),
        ("gug_Latn", "glotlid", "grn_Latn"),
        ("yor", "iso639_3", "yor_Latn"),
        ("quy_Latn", "language", "quy_Latn"),
    ],
)
def test_by_code(table, code, scheme, language):
    assert table.by_code(code, scheme).language == language
    assert table.by_codes(scheme)[code] == language


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
        ("ace", "iso639_3", ["several languages", "ace_Arab, ace_Latn"]),
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
        ([HEADER, GALICIAN, GALICIAN], "a code stands twice"),
        ([HEADER, GALICIAN.replace("glg_Latn,Gal", "glg,Gal")], "line 2: 'glg' must be iso639_3 and script"),
        ([HEADER, GALICIAN.replace(",Latn,", ",Cyrl,")], "line 2: 'glg_Latn' must be"),
        ([HEADER, GALICIAN + ",extra"], "line 2: the number of columns"),
        ([HEADER, GALICIAN.removesuffix(",3")], "line 2: the number of columns"),
        ([HEADER, GALICIAN[:-1] + "7"], "line 2: joshi_class is '7'"),
        (
            [HEADER, GALICIAN, GALICIAN.replace("glg", "cat").replace("Galician", "Catalan")],
            "the wikipedia code 'gl' stands in cat_Latn and glg_Latn",
        ),
    ],
    ids=["columns", "row twice", "no script", "other script", "too long", "too short", "joshi", "code twice"],
)
def test_malformed_table_is_refused_by_line(lines, message):
    with pytest.raises(ValueError, match=message):
        LanguageTable.from_csv("\n".join(lines) + "\n")
