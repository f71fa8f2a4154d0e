"""The language table: one row a language and script, with its code in every scheme that a corpus or engine uses."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, get_args

Scheme = Literal[
    "language",
    "iso639_3",
    "bcp47",
    "name",
    "wikipedia",
    "culturax",
    "oscar2019",
    "mc4",
    "cc100",
    "xp3",
    "wikihow",
    "cld2",
    "nllb",
    "madlad",
    "glotlid",
    "py3langid",
]
"""``language`` is the project's own: FLORES-200's code, or else GlotLID's, such as ``swh_Latn``."""

_CODE: Final = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
# Identifiers know fewer distinctions than the table: Chinese in both scripts has the label ``zh``.
SHARED: Final = frozenset({"glotlid", "py3langid"})
_JOSHI_CLASSES: Final = range(6)
_SHORT_WORD_CHARS: Final = 4
_NAME_SEPARATOR: Final = "; "
_SCRIPT_SUBTAG: Final = re.compile(r"[a-z]{4}")
_ISO639_3: Final = re.compile(r"[a-z]{3}")


class UnknownLanguageError(LookupError):
    """A code is not in the table, or stands for several of its rows; the message names the closest codes."""


@dataclass(frozen=True, slots=True)
class Language:
    """One row of the table. Where a scheme has several codes for the language, the first is the preferred one."""

    language: str
    name: str
    """In English."""
    other_names: tuple[str, ...]
    """More names in English, such as those that data sets write."""
    native_name: str
    """In the language itself; "" where it is not known."""
    iso639_3: str
    macrolanguage: str
    """ISO 639-3 code of the macrolanguage it belongs to, or ""."""
    script: str
    """ISO 15924 code."""
    bcp47: tuple[str, ...]
    """Tags, the usual one first; among them the ISO 639-3 codes, also of macrolanguages, that mean this row."""
    wikipedia: tuple[str, ...]
    """Codes of the Wikipedias in this language, as in their addresses."""
    culturax: tuple[str, ...]
    """Folders of CulturaX (those of OSCAR 22.01 and 23.01 too)."""
    oscar2019: tuple[str, ...]
    """Codes of OSCAR 2019."""
    mc4: tuple[str, ...]
    """Codes of mC4."""
    cc100: tuple[str, ...]
    """Codes of CC-100."""
    xp3: tuple[str, ...]
    """Codes of xP3."""
    wikihow: tuple[str, ...]
    """Names that WikiLingua gives the languages of WikiHow, and the hosts of WikiHow's sites."""
    cld2: tuple[str, ...]
    """Codes that Common Crawl writes the languages of CLD2, its identifier, with."""
    nllb: tuple[str, ...]
    """Language tokens of NLLB-200."""
    madlad: tuple[str, ...]
    """Language tokens of MADLAD-400, without ``<2`` and ``>``."""
    glotlid: tuple[str, ...]
    """Labels of GlotLID v3, which FineWeb-2 uses too."""
    py3langid: tuple[str, ...]
    """Labels of py3langid 0.4."""
    joshi_class: int | None
    """Class 0 (no data) to 5 (most) of Joshi et al. 2020; None where the language or variety is not classified."""
    word_order: str
    """Order of subject, object and verb, WALS feature 81A (Dryer): ``SOV``, ..., ``none`` if none dominates, or ""."""
    case_marking: str
    """Number of cases, WALS feature 49A (Iggesen): ``none``, ``2`` to ``5``, ``6-7``, ``8-9``, ``10+``, ``borderline``
    for what hardly is case marking, or ""."""

    def codes(self, scheme: Scheme) -> tuple[str, ...]:
        """Return the language's codes in a scheme, the preferred one first."""
        if scheme == "iso639_3":
            return tuple(dict.fromkeys([self.iso639_3, *(tag for tag in self.bcp47 if _ISO639_3.fullmatch(tag))]))
        if scheme == "name":
            return (self.name, *self.other_names)
        value = getattr(self, scheme)
        return value if isinstance(value, tuple) else (value,)

    @property
    def muri(self) -> str:
        """The language's code in MURI-IT, which knows macrolanguages and no scripts: ``zho`` for ``yue_Hant``."""
        return self.macrolanguage or self.iso639_3


COLUMNS: Final = tuple(field.name for field in fields(Language))
MULTIPLE: Final = tuple(field.name for field in fields(Language) if str(field.type).startswith("tuple"))
"""Columns of several values: separated by a space, names by a semicolon."""
_UNIQUE: Final = tuple(column for column in MULTIPLE if column not in SHARED | {"other_names", "bcp47"})


class LanguageTable:
    """The languages, looked up by any scheme's codes. Iterates over its own codes, sorted."""

    def __init__(self, languages: Iterable[Language]) -> None:
        self._languages = {each.language: each for each in sorted(languages, key=lambda each: each.language)}
        self._indexes: dict[str, dict[str, list[Language]]] = {}

    def _index(self, scheme: Scheme) -> dict[str, list[Language]]:
        """Return the languages by a scheme's codes; a scheme is indexed when it is first asked for."""
        if scheme not in self._indexes:
            index: dict[str, list[Language]] = {}
            for each in self._languages.values():
                for code in each.codes(scheme):
                    index.setdefault(_folded(code, scheme), []).append(each)
            if scheme == "name":
                for each in self._languages.values():
                    index.setdefault(_folded(each.native_name, scheme), [each])
            if scheme == "iso639_3":
                # Of a language's scripts the usual one is meant: the row that has the code as a tag.
                index = {code: [each for each in rows if code in each.bcp47] or rows for code, rows in index.items()}
            self._indexes[scheme] = index
        return self._indexes[scheme]

    def __getstate__(self) -> dict[str, object]:
        return {"_languages": self._languages, "_indexes": {}}

    @classmethod
    def from_csv(cls, text: str) -> LanguageTable:
        """Read ``conf/languages.csv``.

        Args:
            text: the file's content: a header and one row a language; several codes are separated by a space.

        Raises:
            ValueError: if a column is missing, a row is malformed, or a code stands twice where it must not; the
                message names the row.
        """
        reader = csv.reader(io.StringIO(text))
        header = next(reader, None)
        if header != list(COLUMNS):
            raise ValueError(f"languages.csv must have the columns {','.join(COLUMNS)}, not {header}")
        languages = [_parse_row(row, reader.line_num) for row in reader]
        _refuse_doubled_codes(languages)
        return cls(languages)

    def __iter__(self) -> Iterator[str]:
        return iter(self._languages)

    def __len__(self) -> int:
        return len(self._languages)

    def __contains__(self, code: object) -> bool:
        return code in self._languages

    def get(self, language: str) -> Language:
        """Return the row of one of the table's own codes.

        Raises:
            UnknownLanguageError: if it has none.
        """
        return self.by_code(language, "language")

    def by_code(self, code: str, scheme: Scheme) -> Language:
        """Return the language that ``scheme`` writes ``code``.

        A label that an identifier gives to several rows means the first of them: ``zh`` is ``zho_Hans``. A BCP 47 tag
        is looked up as RFC 4647 (section 3.4) says, without regard to case, and with ``_`` for ``-``: without the
        subtags that the table does not know, but never without the script. Names are found without regard to case.

        Raises:
            UnknownLanguageError: if there is none.
        """
        found = self.find(code, scheme)
        if found is None:
            kind = "a language code" if scheme == "language" else f"a {scheme} code"
            near = ", ".join(self.closest(code, scheme))
            hint = f"; close to it: {near}" if near else ""
            raise UnknownLanguageError(f"{code!r} is not {kind} of conf/languages.csv{hint}")
        return found

    def find(self, code: str, scheme: Scheme) -> Language | None:
        """Do the same as ``by_code``; None if there is none."""
        found = self._by_tag(code) if scheme == "bcp47" else self._index(scheme).get(_folded(code, scheme))
        return found[0] if found else None

    def of_muri(self, code: str) -> tuple[Language, ...]:
        """Return the languages that MURI-IT writes ``code``, the one that the code means elsewhere first.

        Raises:
            UnknownLanguageError: if there is none.
        """
        found = [each for each in self._languages.values() if code in (each.muri, each.iso639_3)]
        if not found:
            raise UnknownLanguageError(f"{code!r} is not a code of MURI-IT, an ISO 639-3 code")
        usual = self._index("iso639_3").get(code, [])
        return tuple(dict.fromkeys([*usual, *found]))

    def _by_tag(self, tag: str) -> list[Language]:
        index = self._index("bcp47")
        subtags = _folded(tag, "bcp47").split("-")
        for end in range(len(subtags), 0, -1):
            if found := index.get("-".join(subtags[:end])):
                break
        else:
            return []
        # A script that the entry does not name: that of the language's row, or of another row of it.
        script = next((each for each in subtags[end:] if _SCRIPT_SUBTAG.fullmatch(each)), None)
        if script is None or script.title() == found[0].script:
            return found
        other = self._languages.get(f"{found[0].iso639_3}_{script.title()}")
        return [] if other is None else [other]

    def codes(self, scheme: Scheme) -> dict[str, str]:
        """Return the preferred code of every language that has one in ``scheme``, by the table's own code."""
        return {each.language: codes[0] for each in self._languages.values() if (codes := each.codes(scheme))}

    def by_codes(self, scheme: Scheme) -> dict[str, str]:
        """Return the table's own code of every code that ``scheme`` lists, and of the own codes.

        Of BCP 47 these are the tags that the table lists; ``by_code`` understands more.
        """
        known = {code: found[0].language for code, found in self._index(scheme).items()}
        written = {
            code: known[_folded(code, scheme)] for each in self._languages.values() for code in each.codes(scheme)
        }
        return known | written | {code: code for code in self}

    def closest(self, code: str, scheme: Scheme = "language", count: int = 5) -> list[str]:
        """Return codes of ``scheme`` that may have been meant, best first.

        Looks at the codes of all schemes and at the English and native names: as written, else spelled alike.
        """
        words: dict[str, list[Language]] = {}
        for each in self._languages.values():
            for word in _words_of(each):
                words.setdefault(word, []).append(each)
        wanted = code.strip().lower()
        # Of a short word half the letters say something, of a long one they say nothing.
        cutoff = 0.4 if len(wanted) <= _SHORT_WORD_CHARS else 0.6
        alike = [wanted] if wanted in words else difflib.get_close_matches(wanted, words, n=count, cutoff=cutoff)
        meant = (language for word in alike for language in words[word])
        return list(dict.fromkeys(codes[0] for each in meant if (codes := each.codes(scheme))))[:count]


def _refuse_doubled_codes(languages: Iterable[Language]) -> None:
    seen: dict[tuple[str, str], Language] = {}
    for each in languages:
        # A loop over columns, as it is over all codes at every start: one of schemes takes twice as long.
        codes = [("language", each.language), ("name", each.name.casefold())]
        codes += [("name", name.casefold()) for name in each.other_names]
        codes += [("bcp47", tag.lower()) for tag in each.bcp47]
        codes += [(scheme, code) for scheme in _UNIQUE for code in getattr(each, scheme)]
        for key in codes:
            if (other := seen.setdefault(key, each)) is not each:
                raise ValueError(
                    f"languages.csv: the {key[0]} code {key[1]!r} stands in {other.language} and {each.language}"
                )


def _folded(code: str, scheme: Scheme) -> str:
    """Return a code as it is looked up: BCP 47 tags and names are the same in upper and lower case."""
    if scheme == "bcp47":
        return code.lower().replace("_", "-")
    return code.casefold() if scheme == "name" else code


def _parse_row(row: list[str], line: int) -> Language:
    if len(row) != len(COLUMNS):
        raise ValueError(f"languages.csv, line {line}: the number of columns differs from the header's")
    cells: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
    language = cells["language"]
    if not _CODE.fullmatch(language) or language != f"{cells['iso639_3']}_{cells['script']}" or not cells["name"]:
        raise ValueError(
            f"languages.csv, line {line}: {language!r} must be iso639_3 and script, such as swh_Latn, and have a name"
        )
    joshi = cells["joshi_class"]
    if joshi and (not joshi.isdigit() or int(joshi) not in _JOSHI_CLASSES):
        raise ValueError(f"languages.csv, line {line}: joshi_class is {joshi!r}, not 0 to 5")
    for column in MULTIPLE:
        if text := cells[column]:
            cells[column] = tuple(text.split(_NAME_SEPARATOR if column == "other_names" else None))
        else:
            cells[column] = ()
    cells["joshi_class"] = int(joshi) if joshi else None
    return Language(**cells)


def _words_of(language: Language) -> set[str]:
    words = {language.native_name, language.macrolanguage}
    for scheme in get_args(Scheme):
        words.update(language.codes(scheme))
    return {word.lower() for word in words if word}
