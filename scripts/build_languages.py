"""Build conf/languages.csv from the tables in data/tables; `make languages` runs it, and a test compares the result.

The rows are the languages and scripts of FLORES-200 and GlotLID v3, and what a corpus or an engine names beyond them.
Every code of every scheme is looked up as a BCP 47 tag (its language's ISO 639 code, with a script where one stands in
it). What that rule gets wrong, or cannot know, is in data/tables/corrections.csv, one cell a line with its reason;
codes that are no language of the table are in data/tables/unsupported.csv. A code in neither ends the build.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from udfs.languages import COLUMNS, MULTIPLE, SHARED  # noqa: E402

TABLES: Final = ROOT / "data" / "tables"
TARGET: Final = ROOT / "conf" / "languages.csv"
ROW: Final = "row"
"""A correction of this column adds a row."""
STANDS_FOR: Final = "stands for"
"""A correction of this column lists ISO 639-3 codes that mean the row where they come without a script."""
# Columns of codes that are looked up, in the order in which they may add rows.
SCHEMES: Final = (
    "nllb",
    "wikipedia",
    "culturax",
    "oscar2019",
    "mc4",
    "cc100",
    "xp3",
    "madlad",
    "py3langid",
    "wikihow",
    "cld2",
)
_LABEL: Final = re.compile(r"^\|\s*\d+ \| (\w+)\s*(?:\|[^|]*){4}\|\s*(\d+) \|", re.MULTILINE)
# Names of ISO 15924 scripts, where a language has several rows or none of them is in its usual script.
_SCRIPT_NAMES: Final = {
    "Arab": "Arabic",
    "Beng": "Bengali",
    "Cans": "Canadian Syllabics",
    "Cyrl": "Cyrillic",
    "Deva": "Devanagari",
    "Ethi": "Ethiopic",
    "Grek": "Greek",
    "Gujr": "Gujarati",
    "Hang": "Hangul",
    "Hani": "Han",
    "Hebr": "Hebrew",
    "Java": "Javanese",
    "Kali": "Kayah Li",
    "Khmr": "Khmer",
    "Knda": "Kannada",
    "Laoo": "Lao",
    "Latn": "Latin",
    "Mlym": "Malayalam",
    "Mong": "Mongolian",
    "Mtei": "Meetei Mayek",
    "Mymr": "Myanmar",
    "Limb": "Limbu",
    "Olck": "Ol Chiki",
    "Orya": "Odia",
    "Sylo": "Syloti Nagri",
    "Syrc": "Syriac",
    "Taml": "Tamil",
    "Telu": "Telugu",
    "Tfng": "Tifinagh",
    "Tglg": "Baybayin",
    "Thai": "Thai",
    "Wara": "Warang Citi",
}
_WORD_ORDERS: Final = ("SOV", "SVO", "VSO", "VOS", "OVS", "OSV")
# WALS 49A: classes, as short as they can be written.
_CASES: Final = {
    "No morphological case-marking": "none",
    "Exclusively borderline case-marking": "borderline",
    "2 cases": "2",
    "3 cases": "3",
    "4 cases": "4",
    "5 cases": "5",
    "6-7 cases": "6-7",
    "8-9 cases": "8-9",
    "10 or more cases": "10+",
}


class BuildError(Exception):
    """The tables and the corrections do not give every code a language."""


def read(name: str, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """Yield the rows of a table with a header."""
    yield from csv.DictReader(io.StringIO(read_text(name)), delimiter=delimiter)


def read_text(name: str) -> str:
    """Return a table's text, unpacked if it is packed."""
    content = (TABLES / name).read_bytes()
    return (gzip.decompress(content) if name.endswith(".gz") else content).decode("utf-8")


def plain(name: str) -> str:
    """Return the name of a language in ISO 639-3 without what it adds in brackets or after a comma."""
    return re.sub(r" \(.*\)|,.*|^Modern (?=Greek)", "", name)


class Standards:
    """What the tables say of ISO 639-3 codes."""

    def __init__(self) -> None:
        self.iso_names = {row["Id"]: row["Ref_Name"] for row in read("iso-639-3.tab.gz", "\t")}
        self.two_letters = {row["Id"]: row["Part1"] for row in read("iso-639-3.tab.gz", "\t") if row["Part1"]}
        self.by_two_letters = {short: code for code, short in self.two_letters.items()} | {"sh": "hbs"}
        self.meta = {row["iso_639_3_code"]: row for row in read("linguameta.tsv.gz", "\t")}
        tags = {row["bcp_47_code"]: code for code, row in self.meta.items()}
        self.macrolanguage = {
            code: tags.get(macro, macro)
            for code, row in self.meta.items()
            if (macro := row["macrolanguage_bcp_47_code"])
        }
        self.former = {old: code for code, row in self.meta.items() if (old := row["deprecated_bcp_47_code"])}
        self.scripts = {
            row["ISO639-3"]: row["ISO15924-Main"].split(", ")
            for row in read("GlotScript.tsv.gz", "\t")
            if row["ISO15924-Main"]
        }
        self.glotlid_names: dict[str, str] = json.loads(read_text("glotlid_language_names.json.gz"))
        self.fineweb_names = {
            row["code"]: row["name"] for row in read("fineweb2-language-distribution.csv.gz") if row["name"] != "-"
        }
        lines = (line.split(",", 2) for line in read_text("lang2tax.txt.codes").splitlines())
        self.joshi = {code: number for code, number, _ in lines if code}
        self.word_order = self._wals("81A", lambda name: name if name in _WORD_ORDERS else "none")
        self.cases = self._wals("49A", _CASES.__getitem__)

    def iso(self, subtag: str) -> str | None:
        """Return the ISO 639-3 code of a language subtag, today's one of a former subtag; None if it is none."""
        if len(subtag) == 2 and subtag in self.by_two_letters:
            return self.by_two_letters[subtag]
        return subtag if subtag in self.iso_names or subtag in self.meta else self.former.get(subtag)

    def english_name(self, code: str) -> str:
        """Return the English name of an ISO 639-3 code."""
        return (self.english_names(code) or [self.fineweb_names.get(code, "")])[0]

    def english_names(self, code: str) -> list[str]:
        """Return all English names of an ISO 639-3 code, the usual one first."""
        names = (self.meta.get(code, {}).get("english_name"), self.glotlid_names.get(code), self.iso_names.get(code))
        return [plain(name) for name in names if name]

    def _wals(self, feature: str, of: Any) -> dict[str, str]:
        """Return a feature's value by ISO 639-3 code; where several lects share a code, the sampled or first one's."""
        lects = {row["ID"]: row for row in read("wals_languages.csv.gz")}
        ranked: dict[str, list[tuple[bool, bool, str, str]]] = defaultdict(list)
        for row in read("wals_values_81A_49A.csv.gz"):
            lect = lects.get(row["Language_ID"])
            if row["Parameter_ID"] == feature and lect and lect["ISO639P3code"]:
                in_200, in_100 = lect["Samples_200"] == "true", lect["Samples_100"] == "true"
                ranked[lect["ISO639P3code"]].append((not in_100, not in_200, row["Language_ID"], of(row["Code_Name"])))
        return {code: min(found)[-1] for code, found in ranked.items()}


class Builder:
    """Collects the rows."""

    def __init__(self) -> None:
        self.standards = Standards()
        self.flores: dict[str, str] = json.loads(read_text("flores_200_langs.json"))
        self.labels = {label: int(count) for label, count in _LABEL.findall(read_text("glotlid_languages-v3.md.gz"))}
        self.wikipedias: dict[str, Any] = json.loads(read_text("wikipedia_language_metadata.json.gz"))["languages"]
        self.cells: dict[tuple[str, str], str] = {}
        self.added: set[str] = set()
        self.stands_for: dict[str, str] = {}
        self._read_corrections()
        self.unsupported: dict[str, list[str]] = defaultdict(list)
        for row in read("unsupported.csv"):
            self.unsupported[row["scheme"]].append(row["code"])
        self.rows: dict[str, dict[str, str]] = {}
        self.codes: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.problems: list[str] = []

    def build(self) -> str:
        """Return the text of conf/languages.csv.

        Raises:
            BuildError: naming every code that has no language, and corrections that do not change their cell.
        """
        self._start_rows()
        listed = defaultdict(list)
        for row in read("scheme_codes.csv"):
            listed[row["scheme"]].append(row["code"])
        listed["wikipedia"] = list(self.wikipedias)
        self.hosts = {row["language"]: row["domain"] for row in read("wikihow_languages_wikilingua.tsv", "\t")}
        listed["wikihow"] = list(self.hosts)
        for scheme in SCHEMES:
            self._place(scheme, listed[scheme])
        for label in self.labels:
            self._place_label(label)
        self._fill()
        self._other_names()
        self._correct()
        if self.problems:
            raise BuildError("\n".join(self.problems))
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows[language] for language in sorted(self.rows))
        return text.getvalue()

    def _read_corrections(self) -> None:
        for at, row in enumerate(read("corrections.csv"), start=2):
            language, column, value = row["language"], row["column"], row["value"]
            if not row["reason"] or None in row.values():
                raise BuildError(f"corrections.csv, line {at}: {language} {column} has no reason")
            if column == ROW:
                self.added.add(language)
            elif column == STANDS_FOR:
                self.stands_for |= dict.fromkeys(value.split(), language)
            elif column not in COLUMNS or (language, column) in self.cells:
                raise BuildError(f"corrections.csv, line {at}: {column!r} is no column, or corrected twice")
            else:
                self.cells[language, column] = value

    def _start_rows(self) -> None:
        absorbed = {
            label for (_, column), value in self.cells.items() if column == "glotlid" for label in value.split()
        }
        labels = {label for label in self.labels if not self._is_unsupported("glotlid", label)}
        known = labels - absorbed | self.flores.keys()
        self.problems += [
            f"corrections.csv: {language} is a row without the correction" for language in known & self.added
        ]
        for language in sorted(known | self.added):
            self._add(language)
        self.claimed = {
            (column, code)
            for (_, column), value in self.cells.items()
            if column in MULTIPLE and column not in SHARED
            for code in value.split()
        }

    def _add(self, language: str) -> str:
        code, _, script = language.partition("_")
        self.rows[language] = dict.fromkeys(COLUMNS, "") | {
            "language": language,
            "iso639_3": code,
            "script": script,
            "macrolanguage": self.standards.macrolanguage.get(code, ""),
        }
        return language

    def _usual(self, code: str) -> str | None:
        """Return the row that an ISO 639-3 code without a script means."""
        if code in self.stands_for:
            return self.stands_for[code]
        own = [language for language in self.rows if language.startswith(f"{code}_")]
        of_flores = [language for language in own if language in self.flores]
        return max(of_flores or own, key=lambda language: self.labels.get(language, 0), default=None)

    def _row_of(self, code: str) -> str | None:
        """Return the row of a code, read as a BCP 47 tag of a language and perhaps a script; one is added if needed."""
        subtag, *others = re.split("[-_]", code)
        iso = subtag if subtag in self.stands_for else self.standards.iso(subtag)
        if iso is None or len(others) > 1 or (others and not re.fullmatch("[A-Z][a-z]{3}", others[0])):
            return None
        usual = self._usual(iso)
        if not others:
            scripts = self.standards.scripts.get(iso, [])
            return usual or (self._add(f"{iso}_{scripts[0]}") if scripts else None)
        language = f"{usual.partition('_')[0] if usual else iso}_{others[0]}"
        return language if language in self.rows else self._add(language)

    def _is_unsupported(self, scheme: str, code: str) -> bool:
        return any(fnmatchcase(code, pattern) for pattern in self.unsupported[scheme])

    def _place(self, scheme: str, codes: Iterable[str]) -> None:
        for code in codes:
            if self._is_unsupported(scheme, code) or (scheme, code) in self.claimed:
                continue
            row = self._named(code) if scheme == "wikihow" else self._row_of(code)
            if row is None:
                self.problems.append(
                    f"{scheme}: {code!r} is no tag of a known language: correct it, or say why it is none"
                )
            else:
                self.codes[row, scheme] += [code, self.hosts[code]] if scheme == "wikihow" else [code]

    def _named(self, name: str) -> str | None:
        """Return the row of a language's English name."""
        codes = [code for code, known in self.standards.iso_names.items() if plain(known).casefold() == name]
        return next((row for code in codes if code in self.standards.two_letters and (row := self._usual(code))), None)

    def _place_label(self, label: str) -> None:
        if label in self.rows:
            self.codes[label, "glotlid"].append(label)

    def _fill(self) -> None:
        tags = self._tags()
        for language, row in self.rows.items():
            for scheme in (*SCHEMES, "glotlid"):
                row[scheme] = " ".join(self.codes[language, scheme])
            row["bcp47"] = tags[language]
            row["name"] = self._name(language)
            row["native_name"] = unicodedata.normalize("NFC", self._native_name(language))
            isos = self._isos(language)
            # The list of Joshi et al. has some languages twice, as themselves and as their macrolanguages.
            row["joshi_class"] = max(
                (self.standards.joshi[code] for code in isos if code in self.standards.joshi), default=""
            )
            for column, known in [("word_order", self.standards.word_order), ("case_marking", self.standards.cases)]:
                row[column] = next((known[code] for code in isos if code in known), "")
        for language, row in self.rows.items():
            if language not in self.flores and self._usual(row["iso639_3"]) != language:
                row["name"] = f"{row['name']} ({_SCRIPT_NAMES[row['script']]} script)"
        names = Counter(
            self.cells.get((language, "name"), row["name"]).casefold() for language, row in self.rows.items()
        )
        for language, row in self.rows.items():
            if names[row["name"].casefold()] > 1 and language not in self.flores:
                row["name"] = f"{row['name']} ({row['iso639_3']})"

    def _other_names(self) -> None:
        """List what tables call the languages beside their names; a name of two languages is left out."""
        taken = {self.cells.get((language, "name"), row["name"]).casefold() for language, row in self.rows.items()}
        found: dict[str, list[str]] = {}
        for language, row in self.rows.items():
            codes = [code for code, other in self.stands_for.items() if other == language]
            codes += [row["iso639_3"]] if self._usual(row["iso639_3"]) == language else []
            names = [name for code in codes for name in self.standards.english_names(code)]
            found[language] = list({name.casefold(): name for name in reversed([row["name"], *names])}.values())[::-1]
        of_macro = {
            plain(self.standards.iso_names[code]).casefold(): language
            for code, language in self.stands_for.items()
            if code in self.standards.iso_names
        }
        counts = Counter(name.casefold() for names in found.values() for name in names)
        for language, names in found.items():
            others = [
                name
                for name in names
                if (key := name.casefold()) not in taken
                and of_macro.get(key, language) == language
                and (counts[key] == 1 or key in of_macro)
            ]
            self.rows[language]["other_names"] = "; ".join(others)

    def _isos(self, language: str) -> list[str]:
        """Return the ISO 639-3 codes under which tables of facts may list a row's language, the most likely first."""
        iso = self.rows[language]["iso639_3"]
        macro = self.rows[language]["macrolanguage"]
        labels = self.cells.get((language, "glotlid"), "").split()
        stood_for = [code for code, row in self.stands_for.items() if row == language]
        usual = self.stands_for.get(macro, "").partition("_")[0]
        # Data sets and tables that have a macrolanguage mean the member that stands for it.
        first = [macro] if usual == iso else []
        return list(dict.fromkeys([*first, iso, *(label.partition("_")[0] for label in labels), *stood_for]))

    def _tags(self) -> dict[str, str]:
        """Return the BCP 47 tags of every row, the preferred first; no tag is in two rows."""
        found: dict[str, list[str]] = {}
        for language, row in self.rows.items():
            iso = row["iso639_3"]
            codes = [iso] if self._usual(iso) == language else []
            codes += [code for code, other in self.stands_for.items() if other == language and code != iso]
            short = [self.standards.two_letters[code] for code in codes if code in self.standards.two_letters]
            of_script = f"{self.standards.two_letters.get(iso, iso)}-{row['script']}"
            found[language] = [*short, *codes] or [of_script]
        for old, code in self.standards.former.items():
            if (usual := self._usual(code)) and not self._usual(old):
                found[usual].append(old)
        return {language: " ".join(dict.fromkeys(tags)) for language, tags in found.items()}

    def _name(self, language: str) -> str:
        if language in self.flores:
            return self.flores[language]
        own = [code for code in self.codes[language, "wikipedia"] if code in self.wikipedias]
        return self.wikipedias[own[0]]["localname"] if own else self.standards.english_name(language[:3])

    def _native_name(self, language: str) -> str:
        iso = self.rows[language]["iso639_3"]
        is_usual = self._usual(iso) == language
        endonym = self.standards.meta.get(iso, {}).get("endonym", "") if is_usual else ""
        if language in self.flores and endonym:
            return endonym
        cell = self.cells.get((language, "wikipedia"))
        own = [
            code for code in (cell.split() if cell else self.codes[language, "wikipedia"]) if code in self.wikipedias
        ]
        return str(self.wikipedias[own[0]]["name"]).partition(" / ")[0] if own else endonym

    def _correct(self) -> None:
        for (language, column), value in self.cells.items():
            if language not in self.rows:
                self.problems.append(f"corrections.csv: there is no row {language}")
            elif self.rows[language][column] == value:
                self.problems.append(f"corrections.csv: {language} {column} is {value!r} without the correction")
            else:
                self.rows[language][column] = value


def main() -> int:
    """Write the table, or with ``--check`` say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the table differs")
    is_check = parser.parse_args().check
    try:
        text = Builder().build()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 2
    if is_check:
        is_same = TARGET.read_text(encoding="utf-8") == text
        print("conf/languages.csv is up to date" if is_same else "conf/languages.csv differs: run make languages")
        return int(not is_same)
    TARGET.write_text(text, encoding="utf-8", newline="\n")
    print(f"conf/languages.csv: {text.count(chr(10)) - 1} languages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
