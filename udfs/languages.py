"""The language table: one row a language and script, with its code in every scheme that a corpus or engine uses."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Final, Literal, get_args

Scheme = Literal["language", "wikipedia", "culturax", "nllb", "madlad", "glotlid", "py3langid", "iso639_3"]
"""``language`` is the project's own: FLORES-200's code, or else GlotLID's, such as ``swh_Latn``."""

_CODE: Final = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
# Identifiers know fewer distinctions than the table: Chinese in both scripts has the label ``zh``.
_SHARED: Final = frozenset({"glotlid", "py3langid"})
_JOSHI_CLASSES: Final = range(6)


class UnknownLanguageError(LookupError):
    """A code is not in the table, or stands for several of its rows; the message names the closest codes."""


@dataclass(frozen=True, slots=True)
class Language:
    """One row of the table. Where a scheme has several codes for the language, the first is the preferred one."""

    language: str
    name: str
    """In English."""
    native_name: str
    """In the language itself; "" where it is not known."""
    iso639_3: str
    macrolanguage: str
    """ISO 639-3 code of the macrolanguage it belongs to, or ""."""
    script: str
    """ISO 15924 code."""
    wikipedia: tuple[str, ...]
    """Codes of the Wikipedias in this language, as in their addresses."""
    culturax: tuple[str, ...]
    """Folders of CulturaX (those of OSCAR 22.01 and 23.01 too)."""
    nllb: tuple[str, ...]
    """Language tokens of NLLB-200."""
    madlad: tuple[str, ...]
    """Language tokens of MADLAD-400, without ``<2`` and ``>``."""
    glotlid: tuple[str, ...]
    """Labels of GlotLID v3."""
    py3langid: tuple[str, ...]
    """Labels of py3langid 0.4."""
    joshi_class: int | None
    """Class 0 (no data) to 5 (most) of Joshi et al. 2020; None where the language or variety is not classified."""

    def codes(self, scheme: Scheme) -> tuple[str, ...]:
        """Return the language's codes in a scheme, the preferred one first."""
        value = getattr(self, scheme)
        return value if isinstance(value, tuple) else (value,)


class LanguageTable:
    """The languages, looked up by any scheme's codes. Iterates over its own codes, sorted."""

    def __init__(self, languages: Iterable[Language]) -> None:
        self._languages = {each.language: each for each in sorted(languages, key=lambda each: each.language)}
        self._by_code: dict[str, dict[str, list[Language]]] = {}
        for scheme in get_args(Scheme):
            index = self._by_code.setdefault(scheme, {})
            for each in self._languages.values():
                for code in each.codes(scheme):
                    index.setdefault(code, []).append(each)

    @classmethod
    def from_csv(cls, text: str) -> LanguageTable:
        """Read ``conf/languages.csv``.

        Args:
            text: the file's content: a header and one row a language; several codes are separated by a space.

        Raises:
            ValueError: if a column is missing, a row is malformed, or a code stands twice where it must not; the
                message names the row.
        """
        reader = csv.DictReader(io.StringIO(text))
        expected = [field.name for field in fields(Language)]
        if reader.fieldnames != expected:
            raise ValueError(f"languages.csv must have the columns {','.join(expected)}, not {reader.fieldnames}")
        languages = [_parse_row(row, reader.line_num) for row in reader]
        table = cls(languages)
        table._refuse_doubled_codes(len(languages))
        return table

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

        A label that an identifier gives to several rows means the first of them: ``zh`` is ``zho_Hans``.

        Raises:
            UnknownLanguageError: if there is none, or if an ISO 639-3 code is written in several scripts.
        """
        found = self._by_code[scheme].get(code, [])
        if len(found) > 1 and scheme not in _SHARED:
            listed = ", ".join(each.language for each in found)
            raise UnknownLanguageError(f"{code!r} stands for several languages of conf/languages.csv: {listed}")
        if not found:
            kind = "a language code" if scheme == "language" else f"a {scheme} code"
            near = ", ".join(self.closest(code, scheme))
            hint = f"; close to it: {near}" if near else ""
            raise UnknownLanguageError(f"{code!r} is not {kind} of conf/languages.csv{hint}")
        return found[0]

    def codes(self, scheme: Scheme) -> dict[str, str]:
        """Return the preferred code of every language that has one in ``scheme``, by the table's own code."""
        return {each.language: codes[0] for each in self._languages.values() if (codes := each.codes(scheme))}

    def by_codes(self, scheme: Scheme) -> dict[str, str]:
        """Return the table's own code of every code that ``by_code`` knows in ``scheme``, and of the own codes."""
        index = self._by_code[scheme]
        known = {code: found[0].language for code, found in index.items() if len(found) == 1 or scheme in _SHARED}
        return known | {code: code for code in self}

    def closest(self, code: str, scheme: Scheme = "language", count: int = 5) -> list[str]:
        """Return codes of ``scheme`` that may have been meant, best first.

        Looks at the codes of all schemes and at the English and native names: as written, else spelled alike.
        """
        words: dict[str, list[Language]] = {}
        for each in self._languages.values():
            for word in _words_of(each):
                words.setdefault(word, []).append(each)
        wanted = code.strip().lower()
        alike = [wanted] if wanted in words else difflib.get_close_matches(wanted, words, n=count, cutoff=0.4)
        meant = (language for word in alike for language in words[word])
        return list(dict.fromkeys(codes[0] for each in meant if (codes := each.codes(scheme))))[:count]

    def _refuse_doubled_codes(self, rows: int) -> None:
        if rows != len(self._languages):
            raise ValueError(f"languages.csv has {rows} rows for {len(self._languages)} languages: a code stands twice")
        for scheme in get_args(Scheme):
            if scheme in _SHARED or scheme == "iso639_3":
                continue
            for code, languages in self._by_code[scheme].items():
                if len(languages) > 1:
                    listed = " and ".join(each.language for each in languages)
                    raise ValueError(f"languages.csv: the {scheme} code {code!r} stands in {listed}")


def _parse_row(row: dict[str, str], line: int) -> Language:
    if None in row or None in row.values():
        raise ValueError(f"languages.csv, line {line}: the number of columns differs from the header's")
    language = row["language"]
    if not _CODE.fullmatch(language) or language != f"{row['iso639_3']}_{row['script']}" or not row["name"]:
        raise ValueError(
            f"languages.csv, line {line}: {language!r} must be iso639_3 and script, such as swh_Latn, and have a name"
        )
    joshi = row["joshi_class"]
    if joshi and (not joshi.isdigit() or int(joshi) not in _JOSHI_CLASSES):
        raise ValueError(f"languages.csv, line {line}: joshi_class is {joshi!r}, not 0 to 5")
    return Language(
        language=language,
        name=row["name"],
        native_name=row["native_name"],
        iso639_3=row["iso639_3"],
        macrolanguage=row["macrolanguage"],
        script=row["script"],
        wikipedia=tuple(row["wikipedia"].split()),
        culturax=tuple(row["culturax"].split()),
        nllb=tuple(row["nllb"].split()),
        madlad=tuple(row["madlad"].split()),
        glotlid=tuple(row["glotlid"].split()),
        py3langid=tuple(row["py3langid"].split()),
        joshi_class=int(joshi) if joshi else None,
    )


def _words_of(language: Language) -> set[str]:
    words = {language.name, language.native_name, language.macrolanguage}
    for scheme in get_args(Scheme):
        words.update(language.codes(scheme))
    return {word.lower() for word in words if word}
