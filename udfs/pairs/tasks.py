"""Lines of finished pairs: xP3, FLAN v2, conversations, and instruction, context and response as in Dolly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from udfs.json_lines import UnreadableLine, kind_of, load_object
from udfs.pairs.lines import ASSISTANT, USER, UnlistedLanguage, conversation, key_of, needed_text, text_of
from udfs.records import CorpusFile, Record, to_metadata

_ROLES: Final = frozenset({"system", USER, ASSISTANT})
# "cot" as a word of a name: flan_v2_cot, cot_gsm8k, data/cot/x.jsonl.
_CHAIN_OF_THOUGHT: Final = re.compile(r"(?<![a-z])cot(?![a-z])")
# FLAN's own names, and those of its copies.
_ABOUT_TASK: Final = ("task_source", "_task_source", "template_type", "_template_type", "dataset")
COT: Final = "cot"
MAIN: Final = "main"


@dataclass(frozen=True, slots=True)
class Xp3Format:
    """xP3: ``inputs`` and ``targets``; of xP3x also ``language``, ``dataset`` and others."""

    languages: Mapping[str, str]
    """GlotLID codes by the codes of the field ``language``."""
    instruction_language: str | None
    """See ``Record``."""

    def parse(self, line: str, file: CorpusFile, where: str) -> Iterable[Record]:
        """Return the pair on a line."""
        fields = load_object(line)
        language = file.language
        if language is None:
            code = text_of(fields, "language")
            language = self.languages.get(code or "")
            if language is None:
                raise UnlistedLanguage(f"language is {code!r}")
        yield Record(
            language=language,
            subsource=text_of(fields, "dataset"),
            origin=file.origin,
            identity=where,
            text=needed_text(fields, "targets"),
            instruction=needed_text(fields, "inputs"),
            instruction_language=self.instruction_language,
            metadata=to_metadata({name: fields.get(name) for name in ("config", "split", "template")}),
        )


@dataclass(frozen=True, slots=True)
class FlanFormat:
    """FLAN v2: ``inputs`` and ``targets``; ``messages``, as Tulu has it; or FLAN's own files of chains of thought.

    The latter are lines of input, target and rationale between tabs.
    """

    cot_output: str
    """Output of a chain of thought, with {rationale} and {target}."""

    def parse(self, line: str, file: CorpusFile, where: str) -> Iterable[Record]:
        """Return the pair on a line."""
        record = Record(language=file.language, origin=file.origin, identity=where)
        if ".tsv" in PurePosixPath(file.origin).suffixes:
            # FLAN writes line breaks inside a field as backslash and n.
            parts = [part.replace("\\n", "\n").strip() for part in line.rstrip("\r\n").split("\t")]
            if len(parts) != 3 or not all(parts):
                raise UnreadableLine(f"{len(parts)} fields between tabs, not input, target and rationale")
            record.instruction, target, rationale = parts
            record.text = self.cot_output.format(rationale=rationale, target=target)
            record.subsource = COT
            yield record
            return
        fields = load_object(line)
        record.corpus_key = key_of(fields, "id")
        if "messages" in fields:
            fill_conversation(record, fields["messages"])
        else:
            record.instruction, record.text = needed_text(fields, "inputs"), needed_text(fields, "targets")
        record.subsource = _part(fields, file)
        record.metadata = to_metadata({name.lstrip("_"): fields[name] for name in _ABOUT_TASK if name in fields})
        yield record


@dataclass(frozen=True, slots=True)
class InstructionFormat:
    """An instruction, perhaps a context that it is about, and a response; the fields' names are the recipe's."""

    columns: Mapping[str, str]
    """Key in the objects by ``instruction``, ``context``, ``response``, ``id``, ``language``, ``subsource``; those that
    the corpus lacks are left out."""
    languages: Mapping[str, str]
    """GlotLID codes by the codes of the field ``language``."""

    def parse(self, line: str, file: CorpusFile, where: str) -> Iterable[Record]:
        """Return the pair on a line."""
        fields, names = load_object(line), self.columns
        language = file.language
        if language is None and "language" in names:
            code = text_of(fields, names["language"])
            language = self.languages.get(code or "")
            if language is None:
                raise UnlistedLanguage(f"{names['language']} is {code!r}")
        context = text_of(fields, names["context"]) if "context" in names else None
        yield Record(
            language=language,
            subsource=text_of(fields, names["subsource"]) if "subsource" in names else None,
            corpus_key=key_of(fields, names["id"]) if "id" in names else None,
            origin=file.origin,
            identity=where,
            text=needed_text(fields, names["response"]),
            instruction="\n\n".join(filter(None, (needed_text(fields, names["instruction"]), context))),
        )


def fill_conversation(record: Record, messages: Any) -> None:
    """Take a pair from a list of messages: the last answer, and what was said before it.

    Raises:
        UnreadableLine: if the messages hold none.
    """
    if not isinstance(messages, list):
        raise UnreadableLine(f"messages is {kind_of(messages)}, not a list")
    said: list[tuple[str, str]] = []
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict):
            raise UnreadableLine(f"message {number} is {kind_of(message)}, not an object")
        role = needed_text(message, "role")
        if role not in _ROLES:
            raise UnreadableLine(f"message {number} has the role {role!r}; roles are {', '.join(sorted(_ROLES))}")
        said.append((role, needed_text(message, "content")))
    while said and said[-1][0] != ASSISTANT:
        said.pop()
    if len(said) < 2 or said[-2][0] != USER:
        raise UnreadableLine("messages hold no answer to a user")
    record.instruction, record.text = said[-2][1], said[-1][1]
    record.messages = conversation(said)


def _part(fields: Mapping[str, Any], file: CorpusFile) -> str:
    """Return ``cot`` or ``main``, with the task's name where the record has it: ``main/anli_r1``."""
    task = next((name for key in ("task", "task_name", "_task_name") if (name := text_of(fields, key))), None)
    said = next((name for key in ("task_source", "_task_source", "dataset") if (name := text_of(fields, key))), None)
    # What a record says of itself counts more than where it lies.
    is_cot = any(_CHAIN_OF_THOUGHT.search(name.lower()) for name in (said, task) if name) or (
        said is None and _CHAIN_OF_THOUGHT.search(file.origin.lower()) is not None
    )
    return "/".join(filter(None, (COT if is_cot else MAIN, task)))
