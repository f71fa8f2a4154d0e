"""The head of a fastText model file: what kind it is, its labels, and whether it is whole. Nothing is loaded.

fastText itself reads a file that was cut, as by a download that broke off, for minutes and then answers nonsense. The
layout is that of fastText's ``fasttext.cc``, ``args.cc`` and ``dictionary.cc``, version 12.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MAGIC: Final = 793_712_314
_VERSIONS: Final = (11, 12)
_CLASSIFIER: Final = 3
# Magic and version; dim, ws, epoch, minCount, neg, wordNgrams, loss, model, bucket, minn, maxn, lrUpdateRate, and t;
# the dictionary's entries, words, labels, tokens, and pruned n-grams (-1: none are).
_HEAD: Final = struct.Struct("<2i12id3i2q")
# An entry is its text, a zero byte, its count and its type: 0 a word, 1 a label.
_COUNT_AND_TYPE: Final = struct.Struct("<qb")
_LABEL: Final = 1
_PRUNED_PAIR_BYTES: Final = 8
# A matrix is its rows and columns, and 32-bit floats.
_SHAPE: Final = struct.Struct("<2q")
_FLOAT_BYTES: Final = 4
_PREFIX: Final = b"__label__"


class NotAClassifierError(ValueError):
    """A file is no fastText classifier, or not all of one."""


def read_labels(path: Path) -> tuple[str, ...]:
    """Return the labels of a fastText classifier, without ``__label__``, in the order of the file.

    A second for GlotLID's 1.7 GB, of which only the dictionary is read.

    Raises:
        NotAClassifierError: if the file is of another kind, or cut.
        OSError: if it cannot be read.
    """
    if path.stat().st_size < _HEAD.size:
        raise NotAClassifierError("too short for a fastText model")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        head = _Head.read(content)
        labels, end = _read_dictionary(content, head)
        _require_whole(content, end)
    return labels


@dataclass(frozen=True, slots=True)
class _Head:
    entries: int
    pruned: int

    @classmethod
    def read(cls, content: mmap.mmap) -> _Head:
        magic, version, *arguments = _HEAD.unpack_from(content)
        model = arguments[7]
        entries, pruned = arguments[13], arguments[17]
        if magic != _MAGIC or version not in _VERSIONS:
            raise NotAClassifierError("no fastText model")
        if model != _CLASSIFIER:
            raise NotAClassifierError("a fastText model of words, no classifier")
        return cls(entries, pruned)


def _read_dictionary(content: mmap.mmap, head: _Head) -> tuple[tuple[str, ...], int]:
    """Return the labels, and where the dictionary ends."""
    labels = []
    position = _HEAD.size
    for _ in range(head.entries):
        end = content.find(b"\0", position)
        if end < 0 or end + 1 + _COUNT_AND_TYPE.size > len(content):
            raise NotAClassifierError("cut within its dictionary")
        _, kind = _COUNT_AND_TYPE.unpack_from(content, end + 1)
        if kind == _LABEL:
            labels.append(content[position:end].removeprefix(_PREFIX).decode("utf-8", "replace"))
        position = end + 1 + _COUNT_AND_TYPE.size
    return tuple(labels), position + max(head.pruned, 0) * _PRUNED_PAIR_BYTES


def _require_whole(content: mmap.mmap, position: int) -> None:
    """See that two matrices follow, each after a byte that says whether it is quantised; such a one is not measured."""
    for _ in range(2):
        if position + 1 + _SHAPE.size > len(content):
            raise NotAClassifierError("cut before its weights")
        if content[position]:
            return
        rows, columns = _SHAPE.unpack_from(content, position + 1)
        position += 1 + _SHAPE.size + rows * columns * _FLOAT_BYTES
    if position > len(content):
        missing = position - len(content)
        raise NotAClassifierError(f"cut: {missing:,} of {position:,} bytes are missing")
