"""The language table against the tables it is built from, and against every code that a corpus or engine can write."""

from __future__ import annotations

import ast
import csv
import gzip
import importlib.util
import json
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from jobs.runtime.conf import language_table
from jobs.sources.jsonl import JsonlSettings
from tests.snippets import broken_links, of_kind
from udfs.languages import COLUMNS

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "data" / "tables"
SPEC = importlib.util.spec_from_file_location("build_languages", ROOT / "scripts" / "build_languages.py")
assert SPEC is not None
build_languages = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(build_languages)


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


UNSUPPORTED = rows(TABLES / "unsupported.csv")


def unresolved(codes):
    """Return the codes that are neither in the table nor listed as unsupported."""
    known = language_table()
    return [
        (scheme, code)
        for scheme, code in codes
        if known.find(code, scheme) is None
        and not any(each["scheme"] == scheme and fnmatchcase(code, each["code"]) for each in UNSUPPORTED)
    ]


def codes_of_tables():
    labels = re.findall(r"^\|\s*\d+ \| (\w+)", build_languages.read_text("glotlid_languages-v3.md.gz"), re.MULTILINE)
    yield from (("glotlid", label) for label in labels)
    for row in build_languages.read("fineweb2-language-distribution.csv.gz"):
        yield "glotlid", row["subset"].removesuffix("_removed")
    yield from (("language", code) for code in json.loads(build_languages.read_text("flores_200_langs.json")))
    wikipedias = json.loads(build_languages.read_text("wikipedia_language_metadata.json.gz"))["languages"]
    for code, wiki in wikipedias.items():
        yield "wikipedia", code
        # As its dumps are named.
        yield "wikipedia", wiki["dbname"].removesuffix("wiki").replace("_", "-")
    for row in build_languages.read("wikihow_languages_wikilingua.tsv", "\t"):
        yield "wikihow", row["language"]
        yield "wikihow", row["domain"]
        yield "name", row["language"]
    yield from ((row["scheme"], row["code"]) for row in build_languages.read("scheme_codes.csv"))


def test_table_is_what_the_script_builds():
    assert build_languages.Builder().build() == (ROOT / "conf" / "languages.csv").read_bytes().decode("utf-8")


def test_every_code_of_every_source_and_engine_resolves_or_is_listed_with_why():
    codes = list(codes_of_tables())

    assert len({scheme for scheme, _ in codes}) == 14
    assert len(set(codes)) > 4000
    assert unresolved(codes) == []


def maps_of_codes(text):
    """Return the lines of maps that lead to codes of ours, or of which two keys or values are tags of languages."""
    table = language_table()
    tags = {tag for language in table for tag in (language, *table.get(language).bcp47)}
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Dict):
            keys, values = (
                {each.value for each in side if isinstance(each, ast.Constant)} for side in (node.keys, node.values)
            )
            if any(value in table for value in values) or max(len(keys & tags), len(values & tags)) > 1:
                found.append(node.lineno)
    return found


def test_no_source_holds_a_map_of_language_codes():
    files = [path for folder in ("jobs/sources", "udfs/pairs") for path in (ROOT / folder).glob("*.py")]
    files += [ROOT / "udfs" / f"{name}.py" for name in ("json_lines", "pages", "records", "text_documents", "warc")]

    assert len(files) > 20
    assert {path.name: found for path in files if (found := maps_of_codes(path.read_text(encoding="utf-8")))} == {}
    assert maps_of_codes('A = {"diq": "diq_Latn"}') == [1]
    assert maps_of_codes('A = 1\nB = {"ara": "ar", "aze": "az"}') == [2]
    assert maps_of_codes('A = {"www.wikihow.cz": "cs", "www.wikihow.it": "it"}') == [1]


def test_what_is_listed_as_unsupported_is_so_for_a_reason():
    known = language_table()

    assert [row for row in UNSUPPORTED if not row["reason"] or known.find(row["code"], row["scheme"])] == []


def test_labels_of_py3langid_are_those_of_the_installed_one():
    import py3langid

    listed = {row["code"] for row in build_languages.read("scheme_codes.csv") if row["scheme"] == "py3langid"}
    assert listed == {str(label) for label, _ in py3langid.rank("which languages do you know?")}


def test_codes_of_real_data_resolve():
    codes = [(row["scheme"], row["code"]) for row in rows(ROOT / "tests" / "data" / "language_codes.csv")]

    assert len(codes) > 1000
    assert unresolved(codes) == []


def test_codes_of_the_demo_and_the_test_data_resolve():
    found = set()
    for folder in (ROOT / "data" / "demo", ROOT / "tests" / "data"):
        found |= {("culturax", path.name) for path in folder.glob("culturax/*")}
        found |= {("wikipedia", path.parent.name.removeprefix("20231101.")) for path in folder.rglob("train-*.parquet")}
        found |= {("wikipedia", path.name.partition("wiki")[0]) for path in folder.rglob("*wiki-*.bz2")}
    with gzip.open(ROOT / "tests" / "data" / "lid" / "sentences.jsonl.gz", "rt", encoding="utf-8") as file:
        found |= {("glotlid", json.loads(line)["label"]) for line in file}
    found |= {("language", code) for code in re.findall(r"\b[a-z]{3}_[A-Z][a-z]{3}\b", recipes())}

    assert len(found) > 30
    assert unresolved(sorted(found)) == []


def recipes():
    return "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "conf").glob("*.yaml"))


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """A copy of the tables that a test may change."""
    for path in TABLES.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(build_languages, "TABLES", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("scheme_codes.csv", "cc100,qq", "cc100: 'qq' is no tag of a known language"),
        (
            "corrections.csv",
            "spa_Latn,native_name,español,because",
            "spa_Latn native_name is 'español' without the correction",
        ),
        ("corrections.csv", "spa_Cyrl,name,Spanish,because", "there is no row spa_Cyrl"),
        ("corrections.csv", "spa_Latn,row,,because", "spa_Latn is a row without the correction"),
        ("corrections.csv", "spa_Latn,name,Castilian,", "spa_Latn name has no reason"),
        ("corrections.csv", "spa_Latn,colour,red,because", "'colour' is no column"),
    ],
)
def test_build_names_what_it_cannot_place(tables, name, line, message):
    with (tables / name).open("a", encoding="utf-8") as file:
        file.write(line + "\n")

    with pytest.raises(build_languages.BuildError, match=re.escape(message)):
        build_languages.Builder().build()


PAGE = "docs/languages.md"


def test_page_names_every_column():
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    named = {name for line in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", line)}

    assert named == set(COLUMNS)
    assert broken_links(PAGE) == []


def test_examples_of_the_page_give_what_they_say():
    (example,) = of_kind(PAGE, "python")
    table = language_table()
    said = re.findall(r"^(.*table.*?)  +?# ('\w+'|\[.*?\])", example, re.MULTILINE)

    assert len(said) == 5
    assert [repr(eval(code, {"table": table})) for code, _ in said] == [result for _, result in said]


def test_recipe_of_the_page_is_understood():
    (recipe,) = of_kind(PAGE, "yaml")

    (source,) = yaml.safe_load(recipe)["sources"]
    assert JsonlSettings.model_validate(source).language_codes == "iso639_3"


def test_every_table_has_an_origin_and_a_licence():
    text = (TABLES / "README.md").read_text(encoding="utf-8")

    assert [path.name for path in TABLES.iterdir() if path.name != "README.md" and f"`{path.name}`" not in text] == []
