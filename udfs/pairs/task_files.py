"""Super-NaturalInstructions: a task a file, a JSON object with a definition and many instances."""

from __future__ import annotations

import gzip
import hashlib
import heapq
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

import pyarrow as pa

from udfs.json_lines import UnreadableLine, kind_of, lone_surrogate
from udfs.pairs.lines import key_of, needed_text, rejected, text_of
from udfs.records import (
    KEPT_CHARS,
    MIXED_LANGUAGE,
    TOO_LARGE,
    UNLISTED_LANGUAGE,
    UNREADABLE,
    CorpusFile,
    Record,
    decode,
    record_batch,
    to_metadata,
)
from udfs.sampling import SEPARATOR, document_id, position

_INSTANCES: Final = "Instances"
_TRANSLATION: Final = "translation"
_SPACE: Final = re.compile(r"[ \t\r\n]*")
# Where the next instance may begin, after a broken one.
_BETWEEN: Final = re.compile(r"\}[ \t\r\n]*,[ \t\r\n]*(?=\{)")
_DECODER: Final = json.JSONDecoder()
_PART_BYTES: Final = 2**16


@dataclass(frozen=True, slots=True)
class TaskFormat:
    """How task files become pairs."""

    name: str
    """The source's name, part of every document's id."""
    seed: int | None
    """Seed of the sample of each task; None takes all instances."""
    translation_instances: int | None
    instances: int | None
    """Most instances of a translation task, and of any other; None: all."""
    languages: Mapping[str, str]
    """GlotLID codes by English names in lower case."""
    output_languages: Mapping[str, str]
    """GlotLID codes of outputs by task, for tasks that do not tell or tell wrongly."""
    max_file_bytes: int
    max_record_bytes: int


@dataclass(slots=True)
class Scan:
    """What was found in a task file."""

    fields: dict[str, Any] = field(default_factory=dict)
    """All but the instances."""
    instances: int | None = None
    """Where the list of instances begins; None: there is none."""
    problem: str | None = None
    """What is wrong with the file after that."""


def read_tasks(
    batches: Iterable[pa.RecordBatch], files: Mapping[str, CorpusFile], form: TaskFormat
) -> Iterator[pa.RecordBatch]:
    """Turn task files into records, a batch a file.

    Args:
        batches: content (binary), file_path.
        files: the files by their address.
        form: how they become pairs.

    Yields:
        Batches of ``RECORD_FIELDS``.
    """
    for batch in batches:
        for content, address in zip(batch.column("content"), batch.column("file_path").to_pylist(), strict=True):
            yield record_batch(parse_task(content.as_py(), files[address], form))


def parse_task(content: bytes, file: CorpusFile, form: TaskFormat) -> Iterator[Record]:
    """Yield the instances of a task file that are in its sample, and what cannot be used."""
    problem = None
    if file.origin.endswith(".gz"):
        content, problem = _unzipped(content, form.max_file_bytes)
    text, is_wrong = decode(content.removeprefix(b"\xef\xbb\xbf"))
    problem = problem or is_wrong
    if not text.strip():
        yield rejected("", file, file.origin, problem or "the file is empty")
        return
    try:
        scan = _scan(text)
        task = _Task.of(scan.fields, file, form)
    except UnreadableLine as error:
        yield rejected(text[:KEPT_CHARS], file, file.origin, problem or str(error))
        return
    if scan.instances is None:
        yield rejected(text[:KEPT_CHARS], file, file.origin, problem or scan.problem or f"no list {_INSTANCES}")
        return
    items = _items(text, scan.instances, form.max_record_bytes)
    records = (_instance(value, number, task, file) for number, value in items)
    yield from _sampled(records, task, form)
    if problem or scan.problem:
        yield rejected(text[-KEPT_CHARS:], file, f"{file.origin}, end", str(problem or scan.problem))


@dataclass(frozen=True, slots=True)
class _Task:
    name: str
    definition: str
    is_translation: bool
    language: str | None
    language_problem: str
    instruction_language: str | None
    url: str | None
    license: str | None
    metadata: str | None

    @classmethod
    def of(cls, fields: Mapping[str, Any], file: CorpusFile, form: TaskFormat) -> _Task:
        name = PurePosixPath(file.origin).name.removesuffix(".gz").removesuffix(".json")
        definition = "\n".join(_texts(fields, "Definition")).strip()
        if not definition:
            raise UnreadableLine("there is no Definition")
        given = form.output_languages.get(name) or file.language
        named = _texts(fields, "Output_language")
        outputs = {form.languages.get(each.strip().casefold()) for each in named}
        own = next(iter(outputs)) if len(outputs) == 1 else None
        said = ", ".join(named) or "not there"
        language = given or own
        inputs = {
            form.languages.get(each.strip().casefold(), MIXED_LANGUAGE)
            for key in ("Instruction_language", "Input_language")
            for each in _texts(fields, key)
        }
        # A task that names no languages is taken to be in one.
        spoken = next(iter(inputs)) if len(inputs) == 1 else MIXED_LANGUAGE if inputs else None
        licenses = _texts(fields, "Instance License")
        return cls(
            name,
            definition,
            any(_TRANSLATION in each.lower() for each in _texts(fields, "Categories")),
            language,
            f"Output_language is {said}; name the task in output_languages",
            spoken if spoken != language else None,
            next((each for each in _texts(fields, "URL") if "://" in each), None),
            ", ".join(licenses) or None,
            to_metadata({name.lower(): fields.get(name) or None for name in ("Categories", "Domains", "Source")}),
        )


def _texts(fields: Mapping[str, Any], key: str) -> list[str]:
    """Return the texts of a field, which older files write as one string."""
    value = fields.get(key)
    values = value if isinstance(value, list) else [] if value is None else [value]
    for each in values:
        if not isinstance(each, str):
            raise UnreadableLine(f"{key} holds {kind_of(each)}, not a string")
        if lone_surrogate(each) is not None:
            raise UnreadableLine(f"{key} holds half a surrogate pair")
    return [each for each in values if each.strip()]


def _instance(value: Any, number: int, task: _Task, file: CorpusFile) -> Record:
    where = f"{file.origin}, instance {number}"
    if isinstance(value, _Broken):
        return rejected(value.text, file, where, value.problem, value.reason)
    try:
        if not isinstance(value, dict):
            raise UnreadableLine(f"it is {kind_of(value)}, not an object")
        given = text_of(value, "input")
        outputs = value.get("output")
        # Of several references the first is taken; older files have one as a string.
        first = {"output": (outputs[0] if outputs else None) if isinstance(outputs, list) else outputs}
        output = needed_text(first, "output")
        key = key_of(value, "id")
    except UnreadableLine as error:
        return rejected(_beginning(value), file, where, str(error))
    if task.language is None:
        return rejected(_beginning(value), file, where, task.language_problem, UNLISTED_LANGUAGE)
    if key is None:
        key = hashlib.sha256(f"{given or ''}{SEPARATOR}{output}".encode()).hexdigest()[:32]
    return Record(
        language=task.language,
        subsource=task.name,
        # Translations of a task keep the ids of its instances.
        corpus_key=f"{task.name}:{key}",
        origin=file.origin,
        identity=where,
        url=task.url,
        text=output,
        instruction=f"{task.definition}\n\n{given}" if given else task.definition,
        instruction_language=task.instruction_language,
        license=task.license,
        metadata=task.metadata,
    )


def _beginning(value: Any) -> str:
    return json.dumps(value)[:KEPT_CHARS]


def _sampled(records: Iterable[Record], task: _Task, form: TaskFormat) -> Iterator[Record]:
    """Yield the instances with the smallest positions, and all that are rejected; holds no more than those."""
    most = form.translation_instances if task.is_translation else form.instances
    if form.seed is None or most is None:
        yield from records
        return
    first: list[tuple[float, str, Record]] = []
    held: set[str] = set()
    for record in records:
        if record.reason is not None or record.corpus_key is None:
            yield record
            continue
        at = position(document_id(form.name, record.corpus_key), form.seed)
        # Two records of one key are both kept, for the source to say so; the key counts once.
        entry = (-at, record.corpus_key, record)
        if record.corpus_key in held:
            yield record
        elif len(first) < most:
            heapq.heappush(first, entry)
            held.add(record.corpus_key)
        elif -at > first[0][0]:
            held.discard(heapq.heapreplace(first, entry)[1])
            held.add(record.corpus_key)
    yield from (record for _, _, record in sorted(first, key=lambda entry: -entry[0]))


@dataclass(frozen=True, slots=True)
class _Broken:
    text: str
    problem: str
    reason: str = UNREADABLE


def _scan(text: str) -> Scan:
    """Go through the top of a task file: the instances are only found, so that they need not be held at once.

    Raises:
        UnreadableLine: if it is no object.
    """
    scan = Scan()
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        raise UnreadableLine("the file is no JSON object")
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        try:
            key, at = _DECODER.raw_decode(text, at)
            at = _skip(text, at)
            if text[at : at + 1] != ":":
                raise ValueError(f"no colon after {str(key)[:50]!r}")
            at = _skip(text, at + 1)
            if key == _INSTANCES and text[at : at + 1] == "[":
                scan.instances = at
                at = _end_of_items(text, at)
            else:
                scan.fields[str(key)], at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            scan.problem = f"not JSON behind character {at}: {error}"
            return scan
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "}":
            scan.problem = f"the file ends at character {at}" if at >= len(text) else f"not JSON at character {at}"
            return scan
    return scan


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _items(text: str, at: int, max_chars: int) -> Iterator[tuple[int, Any]]:
    """Yield the items of a list with their numbers, one decoded at a time; broken ones as ``_Broken``.

    After a broken item the next is looked for at the next ``}, {``, so that a fault inside costs one item.
    """
    number = 0
    for value, start, end in _walk_items(text, at):
        if value is not _END:
            number += 1
            problem = f"{end - start:,} characters, more than max_record_bytes"
            is_long = end - start > max_chars
            yield number, _Broken(text[start : start + KEPT_CHARS], problem, TOO_LARGE) if is_long else value


_END: Final = object()


def _end_of_items(text: str, at: int) -> int:
    return max(end for _, _, end in _walk_items(text, at))


def _walk_items(text: str, at: int) -> Iterator[tuple[Any, int, int]]:
    """Yield items with where they begin and end, and at last _END with where the list ends."""
    at = _skip(text, at + 1)
    while at < len(text) and text[at] != "]":
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            found = _BETWEEN.search(text, at)
            end = found.start() + 1 if found else len(text)
            value = _Broken(text[at : min(end, at + KEPT_CHARS)], f"not JSON: {error}")
        yield value, at, end
        at = _skip(text, end)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif at < len(text) and text[at] != "]":
            found = _BETWEEN.search(text, at)
            yield _Broken(text[at : at + KEPT_CHARS], "no comma between two instances"), at, at
            at = found.end() if found else len(text)
    end = min(at + 1, len(text))
    yield _END, end, end


def _unzipped(content: bytes, max_bytes: int) -> tuple[bytes, str | None]:
    """Return the content of a gzip file, as far as it can be read, and what is wrong with it."""
    found, problem = bytearray(), None
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            while part := stream.read1(_PART_BYTES):
                found += part
                if len(found) > max_bytes:
                    return bytes(found[:KEPT_CHARS]), "the file is larger than max_file_bytes"
    except EOFError:
        problem = "the gzip file is cut off"
    except (OSError, zlib.error) as error:
        problem = f"damaged gzip file ({error})"
    return bytes(found), problem
