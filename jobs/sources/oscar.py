"""OSCAR: JSON lines with the page's headers and warnings (22.01, 23.01), plain text before."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final, Literal

from pyspark.sql import DataFrame, SparkSession

from jobs.sources.base import Genre, SourceName, SourceSettings, to_documents
from jobs.sources.files import folder_codes, list_files, place_files, wanted_languages
from jobs.sources.jsonl import JSON_LINES, read_json_lines
from jobs.sources.text import TEXT_PARTS, read_documents
from udfs.languages import LanguageTable, Scheme
from udfs.records import CorpusFile

_TEXT: Final = re.compile(rf"\.txt{TEXT_PARTS}$")
_FILES: Final = re.compile(f"{_TEXT.pattern}|{JSON_LINES.pattern}")
_FORM: Final = "OSCAR's JSON lines (content, warc_headers, metadata) or texts, such as af_meta/af_meta_part_1.jsonl.zst"
_NAME: Final = re.compile(r"^([a-z]{2,3}(?:-[a-z]+)?)(?:_meta)?(?:_part_\d+)?\.(?:jsonl|txt)")
_COLUMNS: Final = {
    "text": "content",
    "id": "warc_headers.warc-record-id",
    "url": "warc_headers.warc-target-uri",
    "date": "warc_headers.warc-date",
}
# CulturaX has the codes of 22.01 and 23.01, which leave out some of the earlier releases'.
_SCHEMES: Final[tuple[Scheme, ...]] = ("culturax", "oscar2019")
# 22.01 calls them annotation.
_WARNINGS: Final = ("metadata.quality_warnings", "metadata.annotation")
_METADATA: Final = {
    "quality_warnings": "metadata.quality_warnings",
    "annotation": "metadata.annotation",
    "harmful_pp": "metadata.harmful_pp",
    "categories": "metadata.categories",
    "tlsh": "metadata.tlsh",
    "identification_label": "metadata.identification.label",
    "identification_prob": "metadata.identification.prob",
}
# One entry a line of the text, which is much where every table keeps it.
_COUNTED: Final = (("sentence_labels", "metadata.sentence_identifications", "label"),)

Warning = Literal["tiny", "short_sentences", "header", "footer", "noisy", "adult"]


class OscarSettings(SourceSettings):
    """OSCAR: the JSON lines of 22.01 and 23.01, the plain text of 2019 and 21.09; also ``.gz``, ``.zst``, ``.bz2``.

    JSON lines have ``content``, ``warc_headers`` and ``metadata``, one page a line; in plain text blank lines stand
    between documents.

    The language is the one of the file's name or folder (``af.txt.gz``, ``af_meta/``), in OSCAR's or GlotLID's codes.
    A page is known by its ``warc-record-id``, a document of plain text by its content. What OSCAR says of a page is
    kept in ``source_metadata``: its warnings and categories, ``harmful_pp`` (perplexity under a model of adult text:
    the lower, the more like it), ``tlsh``, the language that was identified, and how many lines have which.
    """

    kind: Literal["oscar"] = "oscar"
    name: SourceName = "oscar"
    genre: Genre = "web"
    refuse_warnings: tuple[Warning, ...] = ()
    """Quality warnings of OSCAR's for which a page is rejected: tiny, short_sentences, header, footer, noisy, adult."""


def files(
    spark: SparkSession, settings: OscarSettings, languages: LanguageTable, only: Iterable[str] = ()
) -> list[CorpusFile]:
    """Return the files that are read, with their languages; see ``jobs.sources.files_of``."""
    wanted = wanted_languages(settings, languages, only)
    found = list_files(spark, settings, _FILES, _FORM)
    return place_files(found, settings, languages, wanted, _SCHEMES, _codes)


def read(
    spark: SparkSession,
    settings: OscarSettings,
    languages: LanguageTable,
    *,
    seed: int | None = None,
    only: Iterable[str] = (),
) -> DataFrame:
    """Read OSCAR; see ``jobs.sources.read``."""
    found = files(spark, settings, languages, only)
    texts = [file for file in found if _TEXT.search(file.origin)]
    lines = [file for file in found if not _TEXT.search(file.origin)]
    parts = []
    if texts:
        parts.append(read_documents(spark, texts, settings.max_record_bytes))
    if lines:
        refused = settings.refuse_warnings
        parts.append(
            read_json_lines(
                spark,
                lines,
                settings,
                _COLUMNS,
                ("text", "id"),
                {},
                _WARNINGS if refused else (),
                refused,
                _METADATA,
                _COUNTED,
            )
        )
    records = parts[0] if len(parts) == 1 else parts[0].unionByName(parts[1])
    return to_documents(records, settings, seed)


def _codes(file: CorpusFile, path: str) -> list[str]:
    """Return the code that a file's name begins with, ``af_meta_part_1.jsonl.zst``, then those of its folders."""
    named = _NAME.match(PurePosixPath(file.origin).name)
    folders = [code.removesuffix("_meta") for code in folder_codes(file, path)]
    return [*([named[1]] if named else []), *folders]
