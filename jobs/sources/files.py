"""The files of a corpus: which there are, and which language each holds."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Final

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.runtime.errors import BackpromptError
from jobs.sources.base import SourceSettings
from jobs.sources.hub import is_on_hub, list_hub
from jobs.sources.read_errors import first_line, is_missing_path
from udfs.languages import LanguageTable, Scheme, UnknownLanguageError
from udfs.records import CorpusFile

_LOG = logging.getLogger(__name__)

_GLOB_CHARACTERS: Final = re.compile(r"([\\{}\[\]*?])")
_PARTITION_PREFIX: Final = re.compile(r"^(?:language|lang)=")
# Hugging Face's Wikipedia has folders such as 20231101.ca.
_DATE_PREFIX: Final = re.compile(r"^\d{8}\.")
# CulturaX's own file names: ca_part_00000.parquet.
_PART_NAME: Final = re.compile(r"^([a-z][a-z-]*?)_part_\d+")
_SCHEME: Final = re.compile(r"^[a-z][a-z0-9+.-]*:(?://[^/]*)?")
_SHOWN: Final = 5


def literal(path: str) -> str:
    """Return a path for Spark's readers that means itself, not a pattern."""
    return _GLOB_CHARACTERS.sub(r"\\\1", path)


def list_files(
    spark: SparkSession, settings: SourceSettings, pattern: re.Pattern[str], expected: str
) -> list[CorpusFile]:
    """Return the corpus's files whose name fits ``pattern``, sorted by their path.

    Spark lists them, so that every file system it reads will do; hidden files (``.`` and ``_``) and empty ones are
    left out.

    Args:
        spark: the session.
        settings: names the path.
        pattern: searched in the file's name.
        expected: what is expected at the path, for the error.

    Raises:
        BackpromptError: if the path is missing or cannot be listed, or no file fits.
    """
    try:
        found = _listed(spark, settings)
    except BackpromptError:
        raise
    except Exception as error:  # Spark passes on whatever the file system throws
        reason = "there is nothing" if is_missing_path(error) else f"it cannot be listed ({first_line(error)})"
        raise BackpromptError(f"Source {settings.name}: {settings.path}: {reason}. Expected: {expected}") from error
    origins = _origins([file.path for file in found], settings.path)
    damages = {file.path: file.damage for file in settings.damaged}
    files = [
        CorpusFile(file.uri, file.path, origin, damage=damages.get(file.path))
        for file, origin in zip(found, origins, strict=True)
        if pattern.search(PurePosixPath(file.path).name)
    ]
    if not files:
        there = (
            f"{len(found)} other files, such as {', '.join(sorted(origins)[:_SHOWN])}"
            if found
            else "no files that have content"
        )
        raise BackpromptError(f"Source {settings.name}: {settings.path} holds {there}. Expected: {expected}")
    return sorted(files, key=lambda file: file.origin)


def inventory(spark: SparkSession, settings: SourceSettings) -> str | None:
    """Return a hash of the names, sizes and times of the corpus's files; None if they cannot be listed.

    A corpus with the inventory it had before holds nothing new.
    """
    try:
        files = sorted((file.path, file.bytes, file.version) for file in _listed(spark, settings))
    except Exception:  # what is wrong is for the reader to say
        return None
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def file_sizes(spark: SparkSession, settings: SourceSettings) -> dict[str, int]:
    """Return the bytes of every file at the corpus's path, by the path as ``CorpusFile`` has it."""
    return {file.path: file.bytes for file in _listed(spark, settings)}


def wanted_languages(
    settings: SourceSettings, languages: LanguageTable, only: Iterable[str] = ()
) -> frozenset[str] | None:
    """Return the languages to take, or None for all.

    Args:
        settings: may restrict the languages.
        languages: the table the codes must be in.
        only: a further restriction.

    Raises:
        BackpromptError: if a code of the settings is not in the table.
    """
    for key in ("language", "languages", "max_documents"):
        value = getattr(settings, key)
        for code in (value,) if isinstance(value, str) else value or ():
            try:
                languages.get(code)
            except UnknownLanguageError as error:
                raise BackpromptError(f"Source {settings.name}: {key}: {error}") from error
    restrictions = [frozenset(codes) for codes in (settings.languages, only) if codes]
    return frozenset.intersection(*restrictions) if restrictions else None


def place_files(
    files: Sequence[CorpusFile],
    settings: SourceSettings,
    languages: LanguageTable,
    wanted: frozenset[str] | None,
    schemes: Sequence[Scheme],
    codes_of: Callable[[CorpusFile, str], list[str]],
) -> list[CorpusFile]:
    """Give every file its language, and leave out those in languages that are not wanted.

    Args:
        files: the corpus's files.
        settings: may say the language of all of them.
        languages: the language table.
        wanted: the languages to take, or None for all.
        schemes: codes that folders or names are in, the likeliest first; the table's own are understood too.
        codes_of: what of a file may be its language code, most likely first, given the corpus's path.

    Raises:
        BackpromptError: if a file's language is not known, or none of the files is in a wanted language.
    """
    placed = []
    for file in files:
        codes = codes_of(file, settings.path)
        known = next(((code, found) for code in codes if (found := _language_of(code, schemes, languages))), None)
        if settings.language is not None:
            edition = known[0] if known and known[1] == settings.language else None
            placed.append(replace(file, language=settings.language, edition=edition))
        elif known is not None:
            placed.append(replace(file, language=known[1], edition=known[0]))
        elif wanted is None:
            raise BackpromptError(_unknown_language(file, codes, settings, languages, schemes))
    return _restricted(placed, settings, wanted)


def folder_codes(file: CorpusFile, path: str) -> list[str]:
    """Return the folders a file is in, nearest first, and the start of its name, as what may be a language code."""
    origin, root = PurePosixPath(file.origin), PurePosixPath(_without_scheme(path))
    parts = origin.parts[:-1] or ((root.parent.name,) if root.name == origin.name else (root.name,))
    part_name = _PART_NAME.match(origin.name)
    codes = [_DATE_PREFIX.sub("", _PARTITION_PREFIX.sub("", part)) for part in reversed(parts)]
    return codes + ([part_name[1]] if part_name else [])


@dataclass(frozen=True, slots=True)
class _Listed:
    uri: str
    path: str
    bytes: int
    version: str
    """Changes when the file's content does."""


def _listed(spark: SparkSession, settings: SourceSettings) -> list[_Listed]:
    if is_on_hub(settings.path):
        found = list_hub(settings.path, settings.name)
        return [_Listed(file.path, file.path, file.bytes, file.version) for file in found]
    listing = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(literal(settings.path))
    rows = listing.select(F.col("_metadata.file_path").alias("uri"), "path", "length", "modificationTime").collect()
    return [_Listed(row["uri"], row["path"], row["length"], row["modificationTime"].isoformat()) for row in rows]


def _language_of(code: str, schemes: Iterable[Scheme], languages: LanguageTable) -> str | None:
    if code in languages:
        return code
    return next((found.language for scheme in schemes if (found := languages.find(code, scheme))), None)


def _unknown_language(
    file: CorpusFile,
    codes: Sequence[str],
    settings: SourceSettings,
    languages: LanguageTable,
    schemes: Sequence[Scheme],
) -> str:
    hint = "Set language to the GlotLID code of the whole corpus, or languages to what you want from it"
    if not codes:
        return f"Source {settings.name}: neither folder nor name of {file.origin} says its language. {hint}."
    near = list(dict.fromkeys(each for scheme in schemes for each in languages.closest(codes[0], scheme)))
    close = f" (close to it: {', '.join(near)})" if near else ""
    return (
        f"Source {settings.name}: {codes[0]!r}, for {file.origin}, is neither a {' or '.join(schemes)} code nor a "
        f"GlotLID code of conf/languages.csv{close}. {hint}."
    )


def _restricted(placed: list[CorpusFile], settings: SourceSettings, wanted: frozenset[str] | None) -> list[CorpusFile]:
    if wanted is None:
        return placed
    there = {file.language for file in placed if file.language is not None}
    if not wanted & there:
        asked = ", ".join(sorted(wanted)) or "the languages asked for"
        held = ", ".join(sorted(there)) or "no language of conf/languages.csv"
        raise BackpromptError(f"Source {settings.name}: {settings.path} holds nothing in {asked}; it holds {held}")
    if missing := wanted & set(settings.languages) - there:
        _LOG.warning("Source %s: %s holds nothing in %s", settings.name, settings.path, ", ".join(sorted(missing)))
    return [file for file in placed if file.language in wanted]


def _origins(paths: Sequence[str], root: str) -> list[str]:
    """Return paths relative to the corpus's; a corpus that is one file has its name."""
    base = _without_scheme(root).rstrip("/")
    return [_relative(_without_scheme(path), base) for path in paths]


def _relative(path: str, base: str) -> str:
    # A base that is relative itself stands somewhere in what Spark made absolute.
    _, found, rest = path.partition(f"{base}/")
    return rest.lstrip("/") if found else PurePosixPath(path).name


def _without_scheme(path: str) -> str:
    return _SCHEME.sub("", path)
