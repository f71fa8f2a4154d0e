"""Lines and paragraphs that many documents share: hash the units of texts, and take chosen units out.

A unit is a line that is not blank, or a paragraph: a run of such lines. Line feeds end lines; a line is blank if it
holds white space alone, by the rule of ``str.isspace``. Two units are equal if they fold to the same characters
(``udfs.folding``) and belong to the same scope; their hash is the content hash of ``udfs.minhash``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udfs.arrow import with_columns
from udfs.arrow_bytes import binary_rows
from udfs.headline import headline
from udfs.minhash import CONTENT_BYTES, Bytes, Ints, SketchPlan, buffers, compiled, sketch

_LINE_FEED: Final = 10
# Of a sketch only the hash and the length are used, and neither depends on the plan: this is the cheapest.
_PLAN: Final = SketchPlan((9, 5, 6, 6, 9), bins=32, bands=1, rows_per_band=1)
_UNITS_AT_ONCE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """Which units of a text are looked at. ``min_chars`` counts folded characters and is 1 or more."""

    is_site: bool
    """Whether a scope is given as a URL, whose site it is, or as itself."""
    by_paragraph: bool
    min_chars: int
    keeps_removed: bool = False
    """Whether what is taken out of a text is handed back beside it."""


@dataclass(frozen=True, slots=True)
class Units:
    """The units of n texts, in order; a text without units has one of length 0.

    Attributes:
        starts: int64, shape (m,). First byte of each unit in the texts' buffer; a unit reaches to the next one.
        firsts: int64, shape (n + 1,). Place of each text's first unit.
        content: uint8, shape (m, 16). Hash of the folded unit and its scope.
        lengths: int64, shape (m,). Folded characters.
    """

    starts: Ints
    firsts: Ints
    content: Bytes
    lengths: Ints

    def rows(self) -> Ints:
        """Return the text each unit is of, int64, shape (m,)."""
        return np.repeat(np.arange(len(self.firsts) - 1), np.diff(self.firsts))


@dataclass(frozen=True, slots=True)
class Cut:
    """Texts without the units that were taken out.

    Attributes:
        texts: string, length n.
        lines: int64, shape (n,). Lines taken out, blank ones not counted.
        chars: int64, shape (n,). Code points by which each text became shorter.
        chars_left: int64, shape (n,). Code points of each text now.
    """

    texts: pa.Array
    lines: Ints
    chars: Ints
    chars_left: Ints


def site(url: str | None) -> str | None:
    """Return the host of a URL in lower case, without "www." and port; None for what is no URL with a host.

    >>> site("https://WWW.Example.org:8080/a?b")
    'example.org'
    >>> site("example.org/a") is None
    True
    """
    try:
        host = urlsplit(url or "").hostname or ""
    except ValueError:  # such as a bracket that is not closed
        return None
    host = host.removesuffix(".").removeprefix("www.")
    return None if not host or any(map(str.isspace, host)) else host


def find_units(texts: pa.Array, scopes: pa.Array, by_paragraph: bool) -> Units:
    """Find and hash the units of texts.

    Args:
        texts: string or large_string; a null is read as the empty text.
        scopes: string, as long; equal units of different scopes get different hashes.
        by_paragraph: units are paragraphs, not lines.

    Returns:
        The units of all texts.
    """
    data, offsets = buffers(texts)
    offsets = offsets.astype(np.int64)
    starts, firsts = _unit_starts(data, offsets, by_paragraph)
    units = Units(starts, firsts, np.empty((len(starts), CONTENT_BYTES), np.uint8), np.empty(len(starts), np.int64))
    # Blank lines and line feeds around a unit fold away, so that units need not be copied out of the texts.
    spans = pa.Array.from_buffers(
        pa.large_string(),
        len(starts),
        [None, pa.py_buffer(np.append(starts, offsets[-1])), pa.py_buffer(data)],
    )
    rows = units.rows()
    for start in range(0, len(starts), _UNITS_AT_ONCE):
        part = slice(start, start + _UNITS_AT_ONCE)
        made = sketch(spans[part], scopes.take(pa.array(rows[part])), _PLAN)
        units.content[part], units.lengths[part] = made.content, made.lengths
    return units


def cut(texts: pa.Array, units: Units, is_taken: npt.NDArray[np.bool_]) -> Cut:
    """Take units out of texts.

    A line goes with its line feed. Of the blank lines around and between lines taken out in a row only the first run
    stays; none does at the end of the text, nor behind what opened it. So no run of blank lines grows. All else stays
    byte for byte.

    Args:
        texts: the texts that ``units`` was found in.
        units: their units.
        is_taken: bool, shape (m,).

    Returns:
        The texts and what was taken out of them.
    """
    data, offsets = buffers(texts)
    left, bounds, lines, chars, chars_left = _cut(data, offsets.astype(np.int64), units.starts, units.firsts, is_taken)
    made = pa.Array.from_buffers(pa.large_string(), len(texts), [None, pa.py_buffer(bounds), pa.py_buffer(left)])
    return Cut(made.cast(texts.type), lines, chars, chars_left)


def listed(units: Units, hashes: pa.Array) -> npt.NDArray[np.bool_]:
    """Say which units are in the list of their text.

    Args:
        units: units of n texts.
        hashes: list of binary, length n, without nulls.

    Returns:
        bool, shape (m,).
    """
    flat = hashes.flatten()
    known = flat.unique()
    none = len(known)
    here = pc.index_in(binary_rows(units.content), value_set=known).fill_null(none).to_numpy(zero_copy_only=False)
    wanted = pc.index_in(flat, value_set=known).to_numpy(zero_copy_only=False)
    lists = hashes.value_lengths().to_numpy(zero_copy_only=False)
    pairs = np.repeat(np.arange(len(hashes), dtype=np.int64), lists) * (none + 1) + wanted
    return np.isin(units.rows() * (none + 1) + here, pairs)


def taken_units(texts: pa.Array, units: Units, is_taken: npt.NDArray[np.bool_]) -> list[list[str]]:
    """Return the units that are taken out of each text, without blanks around them."""
    data, offsets = buffers(texts)
    ends = np.append(units.starts[1:], np.int64(offsets[-1]))
    rows = units.rows()
    found: list[list[str]] = [[] for _ in range(len(texts))]
    for place in np.flatnonzero(is_taken):
        found[rows[place]].append(data[units.starts[place] : ends[place]].tobytes().decode("utf-8").strip())
    return found


def to_units(plan: UnitPlan, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn documents into the hashes of the units that are long enough, each once a document.

    Input columns: document, scope, text (not null). Output columns: hash, document.
    """
    for batch in batches:
        scopes = _scopes(batch.column("scope"), plan)
        scoped = batch.filter(pc.is_valid(scopes))
        units = find_units(scoped.column("text"), scopes.drop_null(), plan.by_paragraph)
        is_judged = units.lengths >= plan.min_chars
        documents = scoped.column("document").take(pa.array(units.rows()[is_judged]))
        found = pa.table({"hash": binary_rows(units.content[is_judged]), "document": documents})
        yield from found.group_by(["hash", "document"], use_threads=False).aggregate([]).combine_chunks().to_batches()


def remove_units(plan: UnitPlan, order: Sequence[str], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Take the listed units out of documents.

    A title that was the headline of the text, and went with a unit, is taken anew from what is left.

    Input columns: text, _scope, _taken (list of hashes, or null), any others.
    Output columns: ``order``: those of the input but the last two, with text and, if there, text_chars, title and
    title_from changed; deduped_lines, deduped_chars, deduped_text.
    """
    for batch in batches:
        scopes = _scopes(batch.column("_scope"), plan)
        is_changed = pc.and_(pc.is_valid(batch.column("_taken")), pc.is_valid(scopes))
        some = batch.filter(is_changed)
        texts = some.column("text")
        units = find_units(texts, scopes.filter(is_changed), plan.by_paragraph)
        is_taken = listed(units, some.column("_taken")) & (units.lengths >= plan.min_chars)
        made = cut(texts, units, is_taken)
        none = pa.array(np.zeros(len(batch), np.int32))
        columns = {
            "text": pc.replace_with_mask(batch.column("text"), is_changed, made.texts),
            "deduped_lines": pc.replace_with_mask(none, is_changed, pa.array(made.lines, pa.int32())),
            "deduped_chars": pc.replace_with_mask(none, is_changed, pa.array(made.chars, pa.int32())),
        }
        if "deduped_text" in order:
            kept: list[list[str]] | None = taken_units(texts, units, is_taken) if plan.keeps_removed else None
            columns["deduped_text"] = _spread(kept, is_changed)
        if "text_chars" in order:
            chars = batch.column("text_chars")
            columns["text_chars"] = pc.replace_with_mask(chars, is_changed, pa.array(made.chars_left).cast(chars.type))
        if {"title", "title_from"} <= set(order):
            columns |= _titles(batch, columns["text"], columns["deduped_lines"])
        yield with_columns(batch, columns, order)


def _spread(lists: list[list[str]] | None, is_changed: pa.Array) -> pa.Array:
    """Return the lists at the rows that changed, empty ones at the others; null in all rows for None."""
    changed = is_changed.to_pylist()
    rows = iter(lists or ())
    values = [None] * len(changed) if lists is None else [next(rows) if each else [] for each in changed]
    return pa.array(values, pa.list_(pa.string()))


def _titles(batch: pa.RecordBatch, texts: pa.Array, lines: pa.Array) -> dict[str, pa.Array]:
    titles, origins = batch.column("title").to_pylist(), batch.column("title_from").to_pylist()
    for row, (origin, taken) in enumerate(zip(origins, lines.to_pylist(), strict=True)):
        text = texts[row].as_py() if taken and origin == "headline" else None
        if text is not None and (titles[row] or "") not in text:
            titles[row] = headline(text)
            origins[row] = "headline" if titles[row] else None
    return {
        "title": pa.array(titles, batch.column("title").type),
        "title_from": pa.array(origins, batch.column("title_from").type),
    }


def _scopes(values: pa.Array, plan: UnitPlan) -> pa.Array:
    return pa.array(map(site, values.to_pylist()), pa.string()) if plan.is_site else values


@compiled
def _line_end(data: Any, at: Any, end: Any) -> Any:
    while at < end and data[at] != _LINE_FEED:
        at += 1
    return at


@compiled
def _is_blank(data: Any, at: Any, end: Any) -> Any:
    while at < end:
        first = data[at]
        if first == 0x20 or 0x09 <= first <= 0x0D or 0x1C <= first <= 0x1F:
            at += 1
        elif first == 0xC2 and at + 1 < end and (data[at + 1] == 0x85 or data[at + 1] == 0xA0):
            at += 2
        elif 0xE1 <= first <= 0xE3 and at + 2 < end:
            code = np.int64(first & 15) << 12 | np.int64(data[at + 1] & 63) << 6 | np.int64(data[at + 2] & 63)
            is_wide = 0x2000 <= code <= 0x200A or code == 0x1680 or code == 0x3000
            if not (is_wide or code == 0x2028 or code == 0x2029 or code == 0x202F or code == 0x205F):
                return False
            at += 3
        else:
            return False
    return True


@compiled
def _unit_starts(data: Any, offsets: Any, by_paragraph: Any) -> Any:
    lines = len(offsets) - 1
    for at in range(offsets[0], offsets[-1]):
        lines += data[at] == _LINE_FEED
    starts = np.empty(lines, np.int64)
    firsts = np.empty(len(offsets), np.int64)
    count = 0
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        firsts[row] = count
        starts[count] = at
        count += 1
        is_first, is_after_blank = True, False
        while at < end:
            stop = _line_end(data, at, end)
            is_blank = _is_blank(data, at, stop)
            if not is_blank:
                if not is_first and (is_after_blank or not by_paragraph):
                    starts[count] = at
                    count += 1
                is_first = False
            is_after_blank = is_blank
            at = stop + 1
    firsts[-1] = count
    return starts[:count].copy(), firsts


@compiled
def _chars(data: Any, start: Any, end: Any) -> Any:
    count = 0
    for at in range(start, end):
        count += (data[at] & 0xC0) != 0x80
    return count


@compiled
def _cut(data: Any, offsets: Any, starts: Any, firsts: Any, is_taken: Any) -> Any:
    count = len(offsets) - 1
    left = np.empty(offsets[-1] - offsets[0], np.uint8)
    bounds = np.zeros(count + 1, np.int64)
    lines = np.zeros(count, np.int64)
    chars = np.zeros(count, np.int64)
    chars_left = np.zeros(count, np.int64)
    for row in range(count):
        start, end = offsets[row], offsets[row + 1]
        begin = bounds[row]
        unit, last = firsts[row], firsts[row + 1] - 1
        filled = solid = begin  # bytes written, and those up to the last line that is not blank
        is_any, is_blank_before, is_behind, is_last_taken = False, True, False, False
        at = start
        while at <= end:  # a text that ends in a line feed ends in an empty line
            stop = _line_end(data, at, end)
            while unit < last and starts[unit + 1] <= at:
                unit += 1
            is_blank = _is_blank(data, at, stop)
            is_last_taken = is_taken[unit] and not is_blank
            if is_last_taken:
                lines[row] += 1
                is_behind = True
            elif not (is_blank and is_behind and is_blank_before):
                if is_any:
                    left[filled] = _LINE_FEED
                    filled += 1
                left[filled : filled + stop - at] = data[at:stop]
                filled += stop - at
                if not is_blank:
                    solid = filled
                is_any, is_blank_before, is_behind = True, is_blank, False
            at = stop + 1
        if is_last_taken or (lines[row] and solid == begin):
            filled = solid
        bounds[row + 1] = filled
        chars_left[row] = _chars(left, begin, filled)
        chars[row] = _chars(data, start, end) - chars_left[row]
    return left[: bounds[-1]].copy(), bounds, lines, chars, chars_left
