"""Evaluation sets as their makers give them: files of questions, answers and passages, read in the driver."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import lzma
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
from pyarrow import parquet

from jobs.runtime.errors import BackpromptError
from jobs.stages.decontaminate import DecontaminateSettings, EvaluationFile
from udfs import contamination
from udfs.contamination import Index, Item

_COMPRESSIONS = (".gz", ".bz2", ".zst", ".xz")
_FORMATS = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
    ".txt": "text",
}  # fmt: skip
_MOST_CELL_CHARS = 2**27


def read_index(settings: DecontaminateSettings, pivot: str) -> Index:
    """Read the evaluation sets of a recipe, whose texts are translated into ``pivot``.

    Raises:
        BackpromptError: naming file and place, if a file is missing, cannot be read, or has not what the recipe says,
            or if the sets hold more n-grams than ``max_ngrams``.
    """
    sets = [contamination.EvaluationSet(each.name, each.language, _items(each)) for each in settings.sets]
    try:
        translated_into = pivot if settings.search_translations else None
        return contamination.build(sets, settings.plan(), settings.max_ngrams, translated_into)
    except contamination.TooManyNgramsError as error:
        raise BackpromptError(
            f"stages.decontaminate: the evaluation sets hold {error}. Each takes some 30 bytes in every Python worker: "
            "leave out columns that are not part of the questions, or raise max_ngrams"
        ) from error


def short_items(index: Index) -> list[str]:
    """Say of each set that has them how many texts are too short to look for."""
    return [
        f"Evaluation set {each.set_name}: of {each.texts:,} texts {each.left_out:,} are too short to look for, and "
        f"{each.only_whole:,} are looked for as a whole text only"
        for each in index.short
        if each.left_out or each.only_whole
    ]


def content_hash(file: EvaluationFile) -> str:
    """Return the hash of a file's bytes, sha256, hex; a changed file is a changed setting.

    Raises:
        BackpromptError: if the file cannot be read.
    """
    path = _path(file)
    stat = path.stat()
    return _hash(str(path), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1_000)
def _hash(path: str, _size: int, _changed_at: int) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _path(file: EvaluationFile) -> Path:
    if "://" in file.path:
        raise _problem(
            file, f"{file.path} is an address; evaluation sets are files that the driver opens: copy it there"
        )
    path = Path(file.path)
    if not path.is_file():
        raise _problem(file, f"there is no file {file.path}")
    return path


def _items(file: EvaluationFile) -> Iterator[Item]:
    path, count = _path(file), 0
    suffixes = path.suffixes[:-1] if path.suffix in _COMPRESSIONS else path.suffixes
    form = file.format or _FORMATS.get(suffixes[-1] if suffixes else "")
    if form is None:
        raise _problem(file, f"the name of {path.name} does not say its format; set format: {', '.join(_NAMES)}")
    try:
        for place, record in _READERS[form](path):
            for name, text in _texts(file, record, f"{path.name}, {place}"):
                if text.strip():
                    count += 1
                    yield Item(f"{path.name}, {place}" + (f", {name}" if name else ""), text)
    except BackpromptError:
        raise
    except _Unreadable as error:
        raise _problem(file, f"{path}, {error}") from error
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise _problem(file, f"{path} cannot be read as {form}: {error}") from error
    if not count:
        raise _problem(file, f"{path} holds no text" + (f" in {', '.join(file.columns)}" if file.columns else ""))


def _texts(file: EvaluationFile, record: Any, where: str) -> Iterator[tuple[str, str]]:
    """Yield the texts of a record with their column; a list of strings, such as choices, gives each."""
    if isinstance(record, str):
        yield "", record
        return
    missing = [name for name in file.columns if name not in record]
    if missing:
        raise _problem(file, f"{where}: there is no {', '.join(missing)}; it has {', '.join(map(str, record))}")
    for name in file.columns or record:
        value = record[name]
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str):
                yield name, each
            elif file.columns and each is not None:
                raise _problem(file, f"{where}: {name} is {json.dumps(each, default=str)[:40]}, not a text")


class _Unreadable(ValueError):
    """A record cannot be read; the message begins with its place."""


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".xz":
        return cast("IO[bytes]", lzma.open(path))
    return cast("IO[bytes]", pa.input_stream(str(path), compression="detect"))


def _text(path: Path) -> io.TextIOWrapper:
    return io.TextIOWrapper(_open(path), encoding="utf-8-sig", newline="")


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    with _text(path) as stream:
        for number, line in enumerate(stream, 1):
            yield f"line {number}", line.rstrip("\r\n")


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    for place, line in _lines(path):
        if line.strip():
            yield place, _record(_loaded(line, place), place)


def _json(path: Path) -> Iterator[tuple[str, Any]]:
    """A list of objects or strings, or lines of objects, which some call ``.json`` too."""
    with _text(path) as stream:
        text = stream.read()
    if not text.lstrip().startswith("["):
        yield from _json_lines(path)
        return
    for number, value in enumerate(_loaded(text, "the list"), 1):
        yield f"record {number}", _record(value, f"record {number}")


def _loaded(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _Unreadable(f"{place}: not JSON: {error}") from error


def _record(value: Any, place: str) -> Any:
    if not isinstance(value, (dict, str)):
        raise _Unreadable(f"{place}: neither an object nor a string")
    return value


def _separated(path: Path, delimiter: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    before = csv.field_size_limit(_MOST_CELL_CHARS)
    try:
        with _text(path) as stream:
            reader = csv.DictReader(stream, delimiter=delimiter, strict=True)
            for number, row in enumerate(reader, 1):
                if None in row or None in row.values():
                    raise _Unreadable(f"row {number}: not as many fields as the first line")
                yield f"row {number}", row
    finally:
        csv.field_size_limit(before)


def _csv(path: Path) -> Iterator[tuple[str, Any]]:
    return _separated(path, ",")


def _tsv(path: Path) -> Iterator[tuple[str, Any]]:
    return _separated(path, "\t")


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    number = 0
    with parquet.ParquetFile(path) as table:
        for batch in table.iter_batches(batch_size=1_000):
            for record in batch.to_pylist():
                number += 1
                yield f"row {number}", record


_READERS = {"jsonl": _json_lines, "json": _json, "csv": _csv, "tsv": _tsv, "parquet": _parquet, "text": _lines}
_NAMES: Sequence[str] = tuple(_READERS)


def _problem(file: EvaluationFile, what: str) -> BackpromptError:
    return BackpromptError(f"stages.decontaminate: evaluation set {file.name}: {what}")
