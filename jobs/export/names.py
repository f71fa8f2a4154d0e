"""Names that MURI-IT gives data sets, their parts and languages, for what a lake calls otherwise."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from jobs.runtime.conf import language_table, read_conf
from jobs.runtime.errors import BackpromptError
from udfs.languages import LanguageTable, UnknownLanguageError

REVERSED: Final = "MRI"
"""The data set of the pairs whose instruction was written for a text: multilingual reverse instructions."""
DATASET_NAMES: Final = {
    "wikihow": "WikiHow",
    "natural-instructions": "SuperNaturalInstructionv2",
    "xp3": "xP3",
    "oasst": "OpenAssistant",
    "flan": "flan_v2_tulu",
}
"""By kind of source; a source of another kind that holds pairs has its own name."""
_WIKIPEDIA: Final = "wikipedia"
_IN_SCRIPT: Final = re.compile(r" \([^)]* script\)$")
_SOURCE_KIND: Final = re.compile(r"sources\.(.+)\.kind")


def source_kinds(settings: Mapping[str, object]) -> dict[str, str]:
    """Return the kind of every source by its name, from the settings that table ``documents`` carries.

    >>> source_kinds({"sources.my.corpus.kind": "jsonl", "seed": 7})
    {'my.corpus': 'jsonl'}
    """
    found = ((_SOURCE_KIND.fullmatch(key), kind) for key, kind in settings.items())
    return {match[1]: str(kind) for match, kind in found if match}


def dataset_name(source: str, kind: str | None, is_given: bool) -> str:
    """Return the data set of a pair, as MURI-IT names it.

    Args:
        source: the recipe's name for the corpus.
        kind: kind of the source, None if it is not known.
        is_given: whether the source itself holds the instruction.
    """
    return DATASET_NAMES.get(kind or "", source) if is_given else REVERSED


def reversed_part(source: str, kind: str | None) -> str:
    """Return what MURI-IT's ``subdataset_name`` begins with, for texts of a source: ``wikipedia``, ``culturax``."""
    return _WIKIPEDIA if (kind or "").startswith(_WIKIPEDIA) else source


@dataclass(frozen=True, slots=True)
class ExportLanguage:
    """A language of the export."""

    code: str
    """What the column ``language`` has."""
    name: str
    hub: str
    """Its code in a card: ISO 639-1, or else 639-3."""


def export_languages(codes: Iterable[str], is_glotlid: bool, names: Mapping[str, str]) -> dict[str, ExportLanguage]:
    """Return the languages of an export by the lake's code.

    Args:
        codes: GlotLID codes, ``arb_Arab``.
        is_glotlid: whether the export keeps these codes; else it has those of MURI-IT, ``ara``: ISO 639-3 at the level
            of macrolanguages, without scripts.
        names: English names by code, for languages that conf/languages.csv does not have, or names otherwise.

    Raises:
        BackpromptError: naming every language without a name; and for a name of a language that is not among them.
    """
    table, found, missing = language_table(), {}, []
    there = sorted(codes)
    for code, name in names.items():
        if code not in there:
            raise BackpromptError(f"--language-name {code}: no pair has it; there are: {', '.join(there)}")
        if not name.strip():
            raise BackpromptError(f"--language-name {code}: write {code}=NAME")
    for code in there:
        if code in table:
            known = _of_table(table, code, is_glotlid)
            found[code] = replace(known, name=names.get(code, known.name))
        elif code in names:
            iso = code.partition("_")[0]
            found[code] = ExportLanguage(code if is_glotlid else iso, names[code], iso)
        else:
            missing.append(code)
    if missing:
        raise BackpromptError(
            f"{len(missing)} languages of the pairs have no name, as conf/languages.csv does not have them: "
            f"{', '.join(missing)}. Name each with --language-name {missing[0]}=NAME, or leave its pairs out with "
            f"--exclude-language {missing[0]}"
        )
    return found


def _of_table(table: LanguageTable, code: str, is_glotlid: bool) -> ExportLanguage:
    language = table.get(code)
    hub = language.bcp47[0].partition("-")[0] if language.bcp47 else language.iso639_3
    if is_glotlid:
        return ExportLanguage(code, language.name, hub)
    usual = table.of_muri(language.muri)[0].name
    name = macrolanguage_names().get(language.muri) or _IN_SCRIPT.sub("", usual)
    return ExportLanguage(language.muri, name, hub)


@cache
def macrolanguage_names() -> dict[str, str]:
    """Return the English names of ISO 639-3's macrolanguages (conf/export/macrolanguages.csv); ``ara`` is Arabic."""
    rows = csv.DictReader(io.StringIO(read_conf("export/macrolanguages.csv")))
    return {row["iso639_3"]: row["name"] for row in rows}


def codes_of(wanted: Iterable[str], there: Iterable[str]) -> list[str]:
    """Return the lake's codes that a user's codes mean: ``arb_Arab``, or MURI-IT's ``ara`` for all its members.

    Raises:
        BackpromptError: naming each that no pair has.
    """
    table, have = language_table(), sorted(set(there))
    found: list[str] = []
    for code in wanted:
        if code in have:
            found.append(code)
            continue
        try:
            meant = {each.language for each in table.of_muri(code)}
        except UnknownLanguageError:
            meant = set()
        matching = [each for each in have if each in meant or each.partition("_")[0] == code]
        if not matching:
            raise BackpromptError(f"No pair has the language {code!r}; there are: {', '.join(have)}")
        found += matching
    return list(dict.fromkeys(found))
