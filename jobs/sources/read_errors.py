"""Spark's errors about files, in words that say which file and what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from jobs.runtime.errors import BackpromptError

if TYPE_CHECKING:
    from jobs.sources.base import SourceSettings


class UnreadableFileError(BackpromptError):
    """A file of a corpus is there and cannot be read to its end."""


# Spark 4 says which file it was reading, Spark 3.5 not always; the Parquet library names the file itself.
_FILE: Final = re.compile(
    r"(?:while reading file|footer for file:|converted in file|[Pp]ath does not exist:) (\S.*?)"
    r"(?:\.? +SQLSTATE|\. |\.$)"
    r"|((?:[a-z0-9]+:)?/\S.*?) is not a Parquet file"
    r"|File ((?:[a-z0-9]+:)?/.*?) does not exist",
    re.MULTILINE,
)
_MISSING: Final = re.compile(r"PATH_NOT_FOUND|FILE_NOT_EXIST|FileNotFoundException|NoSuchKey|does not exist")
_TYPE: Final = re.compile(
    r"Parquet column \[(?P<column>.*?)\]\. Expected Spark type (?P<expected>.*?), actual Parquet type (?P<actual>.*?)\."
    r"|Column: \[(?P<column35>.*?)\], Expected: (?P<expected35>.*?), Found: (?P<actual35>\w+)"
)
_NO_ZSTD: Final = re.compile(r"native zStandard library not available")
_DAMAGED: Final = re.compile(
    r"not a Parquet file|[Cc]ould not read footer|could not decode|FAILED_TO_UNCOMPRESS|unexpected end of stream"
    r"|crc error|bad block header|Unexpected end of input stream|not a gzip file|not in the BZip2 format"
    r"|ZstdException|Truncated source"
    r"|unexpected end of file|[Cc]orrupt|invalid block type|incorrect data check|EOFException"
)
_FORBIDDEN: Final = re.compile(r"Permission denied|AccessDenied|AccessControlException|403 Forbidden")
_READING: Final = re.compile(r"FAILED_READ_FILE|while reading file|CANNOT_READ_FILE_FOOTER")
_CAUSE: Final = re.compile(r"^Caused by: (?:[\w.$]+: )?(.+)$", re.MULTILINE)
_JAVA_CLASS: Final = re.compile(r"^: (?:[\w.$]+(?:Exception|Error): )*", re.MULTILINE)
_REPEATED_FILE: Final = re.compile(r"^.*/.* is (?=not a Parquet file)")
_MAX_REASON_CHARS: Final = 200


def explain_read_error(error: BaseException, source: SourceSettings | None = None) -> BackpromptError | None:
    """Return what an error of Spark's says about a corpus's files, or None if it is not about reading files.

    An error that may come from the content of a file is an ``UnreadableFileError``.

    Args:
        error: what Spark raised while it listed, opened or read files.
        source: the source that was read, for its name and path.
    """
    text = str(error)
    who = f"Source {source.name}: " if source else ""
    file = _file_of(text) or (f"a file of {source.path}" if source else "a file")
    reason = _reason(text)
    no_zstd = f"{file} is compressed with zstd, which this Spark cannot read. Recompress it with gzip or bzip2."
    damaged = f"{file} is damaged or cut off ({reason}). Fetch it again, or move it out of the folder."
    missing = f"{file} is not there, or went away while it was read. Check the path and run again."
    explanations: list[tuple[re.Pattern[str], type[BackpromptError], str]] = [
        (_TYPE, BackpromptError, _wrong_type(file, text)),
        (_NO_ZSTD, BackpromptError, no_zstd),
        (_FORBIDDEN, BackpromptError, f"{file} may not be read. Check its permissions or the cluster's credentials."),
        (_DAMAGED, UnreadableFileError, damaged),
        (_MISSING, BackpromptError, missing),
        (_READING, UnreadableFileError, f"{file} could not be read ({reason})."),
    ]
    is_about_files = bool(_READING.search(text) or _file_of(text) or _NO_ZSTD.search(text) or _reads_stream(text))
    fitting = (kind(who + words) for pattern, kind, words in explanations if pattern.search(text))
    return next(fitting, None) if is_about_files else None


def is_missing_path(error: BaseException) -> bool:
    """Return whether an error says that a path is not there."""
    return bool(_MISSING.search(str(error)))


def first_line(error: BaseException) -> str:
    """Return the first line of an error that says something, without Java's class names."""
    text = _JAVA_CLASS.sub("", str(error).split("\n\tat ")[0])
    lines = [line.strip() for line in text.splitlines() if line.strip() and "An error occurred while" not in line]
    return (lines[0] if lines else type(error).__name__)[:_MAX_REASON_CHARS]


def _reads_stream(text: str) -> bool:
    """Return whether a Java stack trace comes from the readers of text files, which name no file on Spark 3.5."""
    return "hadoop.io.compress" in text or "LineRecordReader" in text or "HadoopFileLinesReader" in text


def _file_of(text: str) -> str | None:
    match = _FILE.search(text)
    if match is None:
        return None
    found = next(group for group in match.groups() if group)
    return unquote(re.sub(r"^file:/+", "/", found.strip()))


def _wrong_type(file: str, text: str) -> str:
    match = _TYPE.search(text)
    if match is None:
        return ""
    column, expected, actual = (match[name] or match[f"{name}35"] for name in ("column", "expected", "actual"))
    return (
        f"column {column} of {file} is {actual} where other files of the corpus have {expected}. "
        "Write the file with the type of the others, or move it out of the folder."
    )


def _reason(text: str) -> str:
    causes = _CAUSE.findall(text)
    reason = causes[-1] if causes else first_line(Exception(text))
    return _REPEATED_FILE.sub("", str(reason)).split(". ")[0].strip().rstrip(".")[:_MAX_REASON_CHARS]
