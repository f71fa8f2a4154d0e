"""OpenAssistant's conversation trees as pairs: a prompter's message and an assistant's answer to it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, Literal

import pyarrow as pa

from udfs.json_lines import UnreadableLine, kind_of, load_object
from udfs.languages import LanguageTable
from udfs.pairs.lines import (
    ASSISTANT,
    USER,
    conversation,
    key_of,
    needed_text,
    parse_line,
    rejected,
    text_of,
)
from udfs.records import (
    MIXED_LANGUAGE,
    UNLISTED_LANGUAGE,
    CorpusFile,
    Piece,
    Record,
    numbered_pieces,
    place,
    record_batch,
    to_metadata,
)

READY: Final = "ready_for_export"
_PROMPTER: Final = "prompter"
_ROLES: Final = {_PROMPTER: USER, ASSISTANT: ASSISTANT}
# Deeper trees than any that people wrote would exhaust Python's stack.
_MOST_LEVELS: Final = 200


@dataclass(frozen=True, slots=True)
class OasstFormat:
    """Trees, one a line: an object with ``prompt``, or the first message itself, each with ``replies`` in it."""

    languages: LanguageTable
    """Knows the BCP 47 tags of the field ``lang``."""
    answers: Literal["best", "all"]
    """Whether a prompter's message gives a pair with its best answer or with each; all are followed further down."""
    max_level: int | None
    """Deepest level of a prompter's message, the first message having level 1; None: all that have an answer."""
    tree_states: tuple[str, ...]
    """States of the trees that are taken."""
    takes_synthetic: bool
    """Whether messages that a model wrote are taken."""
    is_review_required: bool
    """Whether a message without a verdict of reviewers is left out."""

    def parse(self, line: str, file: CorpusFile, where: str) -> Iterable[Record]:
        """Return the pairs of the tree on a line."""
        fields = load_object(line)
        root = fields.get("prompt", fields)
        if not isinstance(root, dict):
            raise UnreadableLine(f"prompt is {kind_of(root)}, not an object")
        return self.pairs(root, text_of(fields, "tree_state"), file, where)

    def pairs(self, root: Mapping[str, Any], state: str | None, file: CorpusFile, where: str) -> Iterator[Record]:
        """Yield the pairs of a tree, and a rejected record for each message that cannot be used.

        Args:
            root: the first message, with its replies in it.
            state: the tree's state; None where the corpus does not tell.
            file: its file.
            where: its place, for the details of rejections.
        """
        if (state is None or state in self.tree_states) and self._is_taken(root):
            yield from self._walk(root, [], None, file, where)

    def _walk(
        self,
        message: Any,
        said: Sequence[tuple[str, str]],
        prompter_language: str | None,
        file: CorpusFile,
        where: str,
        is_chosen: bool = True,
    ) -> Iterator[Record]:
        """Yield the pair that a message ends, if it is a chosen answer, and those of all that follows it."""
        level = len(said) + 1
        try:
            role, text, code, replies = self._checked(message, level)
        except UnreadableLine as error:
            yield _rejected(message, file, where, str(error))
            return
        if role == _PROMPTER and self.max_level is not None and level > self.max_level:
            return
        said = [*said, (_ROLES[role], text)]
        found = None if file.language else self.languages.find(code, "bcp47")
        language = found.language if found else file.language
        if role == ASSISTANT and is_chosen:
            yield self._pair(message, said, code, language, prompter_language, file, where)
        kept = [reply for reply in replies if self._is_taken(reply)]
        best = min(kept, key=_order, default=None)
        for reply in kept:
            yield from self._walk(reply, said, language, file, where, self.answers == "all" or reply is best)

    def _checked(self, message: Any, level: int) -> tuple[str, str, str, list[Any]]:
        if not isinstance(message, dict):
            raise UnreadableLine(f"a message of level {level} is {kind_of(message)}, not an object")
        role = needed_text(message, "role")
        expected = ASSISTANT if level % 2 == 0 else _PROMPTER
        if role != expected:
            raise UnreadableLine(f"role is {role!r} where it should be {expected!r}, at level {level}")
        if level > _MOST_LEVELS:
            raise UnreadableLine(f"the tree has more than {_MOST_LEVELS} levels")
        replies = message.get("replies") or []
        if not isinstance(replies, list):
            raise UnreadableLine(f"replies is {kind_of(replies)}, not a list")
        for check, name in ((key_of, "message_id"), (text_of, "created_date")):
            check(message, name)  # here, where what is wrong costs this message alone
        return role, needed_text(message, "text"), needed_text(message, "lang"), replies

    def _pair(
        self,
        message: Mapping[str, Any],
        said: Sequence[tuple[str, str]],
        code: str,
        language: str | None,
        prompter_language: str | None,
        file: CorpusFile,
        where: str,
    ) -> Record:
        if language is None:
            return _rejected(message, file, where, f"lang is {code!r}", UNLISTED_LANGUAGE)
        return Record(
            language=language,
            corpus_key=key_of(message, "message_id"),
            origin=file.origin,
            identity=where,
            date=text_of(message, "created_date"),
            text=said[-1][1],
            instruction=said[-2][1],
            instruction_language=None if prompter_language == language else prompter_language or MIXED_LANGUAGE,
            messages=conversation(said),
            metadata=to_metadata(
                {name: message.get(name) for name in ("message_tree_id", "rank", "labels", "model_name")}
            ),
        )

    def _is_taken(self, message: Any) -> bool:
        """Say whether people kept a message; what is no message is for ``_checked`` to reject."""
        if not isinstance(message, dict):
            return True
        review = message.get("review_result")
        is_refused = review is False or (review is None and self.is_review_required)
        return not (message.get("deleted") or is_refused or (message.get("synthetic") and not self.takes_synthetic))


def flat_messages(batches: Iterable[pa.RecordBatch], files: Mapping[str, CorpusFile]) -> Iterator[pa.RecordBatch]:
    """Sort lines by the tree that their message is of.

    Args:
        batches: as ``read_pairs``.
        files: the files by their address.

    Yields:
        Batches of tree (its id; the line's place for a line that is no message), is_message, value (binary),
        piece_bytes, file_path, file_block_start, number (of the line).
    """
    names = ["tree", "is_message", "value", "piece_bytes", "file_path", "file_block_start", "number"]
    kinds = (pa.string(), pa.bool_(), pa.binary(), pa.int64(), pa.string(), pa.int64(), pa.int64())
    for lines in numbered_pieces(batches):
        rows: list[tuple[str, bool, bytes, int, str, int, int]] = []
        for line in lines:
            tree = _tree_of(line)
            name = tree or place(files[line.address], line.start, line.number)
            rows.append((name, tree is not None, line.value, line.size, line.address, line.start, line.number))
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
        yield pa.RecordBatch.from_arrays(
            [pa.array(list(column), kind) for column, kind in zip(columns, kinds, strict=True)], names=names
        )


def _tree_of(line: Piece) -> str | None:
    if line.is_cut:
        return None
    try:
        fields = load_object(line.value.decode("utf-8"))
        needed_text(fields, "message_id")
        return needed_text(fields, "message_tree_id")
    except (UnicodeDecodeError, UnreadableLine):
        return None


def trees_of_messages(
    batches: Iterable[pa.RecordBatch], files: Mapping[str, CorpusFile], form: OasstFormat
) -> Iterator[pa.RecordBatch]:
    """Put messages together to trees, and turn them into records.

    Args:
        batches: tree and messages, a list of structs of what ``flat_messages`` yields beside it: all of one tree.
        files: the files by their address.
        form: how trees are read.

    Yields:
        Batches of ``RECORD_FIELDS``.
    """
    for batch in batches:
        records: list[Record] = []
        for lines in batch.column("messages").to_pylist():
            records += tree_records(lines, files, form)
        yield record_batch(records)


def tree_records(
    lines: Sequence[Mapping[str, Any]], files: Mapping[str, CorpusFile], form: OasstFormat
) -> Iterator[Record]:
    """Yield the records of one tree's messages; those that hang on no first message are rejected."""
    messages: dict[str, dict[str, Any]] = {}
    places: dict[str, tuple[CorpusFile, str]] = {}
    place_in_corpus = itemgetter("file_path", "file_block_start", "number")
    for line in sorted(lines, key=place_in_corpus):
        file = files[line["file_path"]]
        piece = Piece(line["value"], line["piece_bytes"], *place_in_corpus(line))
        if not line["is_message"]:
            yield from parse_line(piece, file, _NO_MESSAGE)
            continue
        message = load_object(piece.value.decode("utf-8"))
        name = message["message_id"]
        if name not in messages:  # the same message may stand in two files
            messages[name] = message | {"replies": []}
            places[name] = (file, place(file, piece.start, piece.number))
    roots = []
    for name, message in messages.items():
        parent = message.get("parent_id")
        if parent is None:
            roots.append(name)
        elif parent in messages:
            messages[parent]["replies"].append(message)
        else:
            yield _rejected(message, *places[name], f"parent_id {parent!r} is no message of its tree")
    for name in roots:
        root = messages[name]
        yield from form.pairs(root, text_of(root, "tree_state"), *places[name])


class _NoMessage:
    """Says what a line lacks that is no message."""

    def parse(self, line: str, _file: CorpusFile, _where: str, /) -> Iterable[Record]:
        fields = load_object(line)
        for name in ("message_id", "message_tree_id"):
            needed_text(fields, name)
        return ()


_NO_MESSAGE: Final = _NoMessage()


def _order(reply: Any) -> tuple[bool, int | float, str]:
    """Return what answers are ordered by: the rank that people gave, 0 the best; unranked ones come last, by id."""
    message = reply if isinstance(reply, dict) else {}
    rank, name = message.get("rank"), str(message.get("message_id"))
    if isinstance(rank, (int, float)) and not isinstance(rank, bool):
        return False, rank, name
    return True, 0, name


def _rejected(message: Any, file: CorpusFile, where: str, problem: str, reason: str | None = None) -> Record:
    name = message.get("message_id") if isinstance(message, dict) else None
    alone = {key: value for key, value in message.items() if key != "replies"} if isinstance(message, dict) else message
    record = rejected(json.dumps(alone), file, f"{where}, message {name}" if name else where, problem)
    if reason is not None:
        record.reason = reason
    return record
