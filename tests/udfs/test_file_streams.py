from __future__ import annotations

import bz2
import gzip
import lzma
import os

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from udfs import file_streams
from udfs.file_streams import DamagedFileError, stream_pieces, stream_rows
from udfs.records import CorpusFile

PACKERS = {
    ".txt": bytes,
    ".txt.xz": lzma.compress,
    ".txt.gz": gzip.compress,
    ".txt.bz2": bz2.compress,
    ".txt.zst": lambda content: pa.compress(content, codec="zstd", asbytes=True),
}


def numbers(count=1):
    return [pa.record_batch({"id": pa.array(range(count), pa.int64())})]


def file_at(path):
    return CorpusFile(f"file://{path}", f"file:{path}", path.name)


def pieces(path, separator=b"\n\n", max_bytes=100):
    batches = stream_pieces(numbers(), [file_at(path)], separator, max_bytes)
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert {row["piece_bytes"] - len(row["value"]) for row in rows} <= {0}
    return [row["value"] for row in rows]


@pytest.mark.parametrize("suffix", PACKERS)
def test_packed_files_are_cut_at_separators(tmp_path, suffix):
    path = tmp_path / f"a b%20{suffix}"
    path.write_bytes(PACKERS[suffix](b"one\n\ntwo\nlines\n\n\n\nlast"))

    assert pieces(path) == [b"one", b"two\nlines", b"", b"last"]


@pytest.mark.parametrize("suffix", [suffix for suffix in PACKERS if suffix != ".txt"])
@pytest.mark.parametrize("damage", ["cut", "other"])
def test_damaged_archives_are_named(tmp_path, suffix, damage):
    path = tmp_path / f"a{suffix}"
    content = PACKERS[suffix](os.urandom(5000))
    path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"plain text, not packed")

    if suffix == ".txt.bz2" and damage == "cut":
        # One stream, cut inside its only block.
        content = content[:-10]
    with pytest.raises(DamagedFileError, match=f"{path}. Truncated source"):
        pieces(path, max_bytes=10_000)


@given(
    content=st.lists(st.binary(max_size=30).filter(lambda piece: b"\n" not in piece), max_size=20),
    block=st.integers(1, 40),
    longest=st.integers(1, 20),
)
def test_blocks_decide_nothing(content, block, longest):
    whole = b"\n\n".join(content)

    def blocks(path, _):
        return (whole[at : at + block] for at in range(0, len(whole), block))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_streams, "_blocks", blocks)
        found = list(file_streams._pieces_of("a", b"\n\n", longest, None))

    pieces = whole.split(b"\n\n")
    expected = [(piece if len(piece) <= longest else piece[:longest], len(piece)) for piece in pieces]
    assert found == (expected if pieces[-1] else expected[:-1])


@pytest.mark.parametrize("block", range(1, 60))
def test_separator_behind_a_long_piece_is_found_wherever_a_block_ends(monkeypatch, block):
    whole = b"x" * 50 + b"\n\nlast"
    monkeypatch.setattr(
        file_streams, "_blocks", lambda *_: (whole[at : at + block] for at in range(0, len(whole), block))
    )

    assert list(file_streams._pieces_of("a", b"\n\n", 5, None)) == [(b"xxxxx", 50), (b"last", 4)]


def test_rows_of_parquet_have_their_place(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(
        pa.table({"text": ["a", None, "c"], "n": [1, 2, 3], "x": [[1], [2], [3]]}), path, row_group_size=2
    )

    batches = stream_rows(numbers(), [file_at(path)], {"raw_text": "text", "raw_id": "n", "raw_url": "url"})
    rows = [row for batch in batches for row in batch.to_pylist()]

    assert [(row["row_index"], row["raw_text"], row["raw_id"], row["raw_url"]) for row in rows] == [
        (0, "a", "1", None),
        (1, None, "2", None),
        (2, "c", "3", None),
    ]
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DamagedFileError, match=r"a\.parquet"):
        list(stream_rows(numbers(), [file_at(path)], {"raw_text": "text"}))
