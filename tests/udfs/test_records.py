"""Records that are too large, the same for every corpus."""

from __future__ import annotations

import pyarrow as pa
import pytest

from udfs.json_lines import LineFormat, read_lines
from udfs.pairs.lines import read_pairs
from udfs.pairs.tasks import Xp3Format
from udfs.records import KEPT_BYTES, CorpusFile, numbered_pieces
from udfs.text_documents import read_text_documents

FILE = CorpusFile("file:/c/a.txt", "file:/c/a.txt", "a.txt", "amh_Ethi", "am")
FILES = {FILE.uri: FILE}
SIZE = 100_000_000
READERS = {
    "text": lambda batches: read_text_documents(batches, FILES),
    "lines": lambda batches: read_lines(batches, FILES, LineFormat({"text": "text"}, {})),
    "pairs": lambda batches: read_pairs(batches, FILES, Xp3Format({}, None)),
}


def batch(*pieces, start=0):
    values, sizes = zip(*pieces, strict=True)
    return pa.record_batch(
        {
            "value": pa.array(values, pa.binary()),
            "piece_bytes": pa.array(sizes, pa.int64()),
            "file_path": [FILE.uri] * len(pieces),
            "file_block_start": pa.array([start] * len(pieces), pa.int64()),
        }
    )


@pytest.mark.parametrize("reader", READERS)
def test_a_record_that_is_too_large_keeps_its_beginning_and_its_neighbours_go_on(reader):
    good = b'{"text": "a", "inputs": "b", "targets": "c"}'
    large = ("  ሀ" + "x" * KEPT_BYTES).encode()[:KEPT_BYTES]

    (records,) = READERS[reader](
        [batch((good, len(good)), (large, SIZE), (large, SIZE + 1), (good + b" ", len(good) + 1))]
    )

    rows = records.to_pylist()
    assert [row["reason"] for row in rows] == [None, "source.too_large", "source.too_large", None]
    assert rows[1]["text"] == "ሀ" + "x" * 999
    assert (rows[1]["language"], rows[1]["origin"]) == ("amh_Ethi", "a.txt")
    kind = "document" if reader == "text" else "line"
    assert rows[1]["detail"] == f"a.txt, {kind} 2: 100,000,000 bytes, more than max_record_bytes"
    assert rows[1]["identity"] != rows[2]["identity"], "two that begin alike are two"


def test_blank_records_count_and_a_large_one_that_begins_with_blanks_is_none():
    batches = [batch((b"a", 1), (b"\n", 1)), batch((b" " * KEPT_BYTES, SIZE)), batch((b"b", 1), start=9)]

    found = [[(piece.start, piece.number, piece.is_cut) for piece in pieces] for pieces in numbered_pieces(batches)]

    assert found == [[(0, 1, False)], [(0, 3, True)], [(9, 1, False)]]
