from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import zlib
from dataclasses import replace
from functools import partial

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from udfs import file_streams
from udfs.file_streams import DamagedFileError, find_damage, stream_pieces, stream_rows
from udfs.records import CorpusFile, Damage

PACKERS = {
    ".txt": bytes,
    ".txt.xz": partial(lzma.compress, preset=0),
    ".txt.gz": gzip.compress,
    ".txt.bz2": partial(bz2.compress, compresslevel=1),
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


def damage_of(*paths):
    files = [file_at(path) for path in paths]
    rows = [row for batch in find_damage(numbers(len(files)), files) for row in batch.to_pylist()]
    return {row["id"]: Damage(row["where"], row["cause"], tuple(row["row_groups"])) for row in rows}


def unpacked_by(suffix, packed):
    """Return what the decompressor itself makes of a file that is cut off."""
    if suffix == ".txt.zst":
        # Arrow's own reader at its finest: it fails where it is asked for more than there is.
        stream = pa.CompressedInputStream(pa.BufferReader(packed), "zstd")
        return b"".join(iter(lambda: read_or_end(stream), b""))
    of = {".txt.gz": lambda: zlib.decompressobj(31), ".txt.bz2": bz2.BZ2Decompressor, ".txt.xz": lzma.LZMADecompressor}
    return of[suffix]().decompress(packed)


def read_or_end(stream):
    try:
        return stream.read(1)
    except OSError:
        return b""


@pytest.mark.parametrize("suffix", [suffix for suffix in PACKERS if suffix != ".txt"])
@pytest.mark.parametrize("share", [0.4, 0.97])
def test_what_stands_before_the_damage_is_read_to_the_byte(tmp_path, suffix, share):
    randomness = random.Random(7)
    lines = [randomness.randbytes(randomness.randrange(5, 60)).hex().encode() for _ in range(20_000)]
    content = b"\n".join(lines)
    whole_archive = PACKERS[suffix](content)
    packed = whole_archive[: int(len(whole_archive) * share)]
    (tmp_path / f"a{suffix}").write_bytes(packed)
    (tmp_path / f"b{suffix}").write_bytes(whole_archive)
    expected = unpacked_by(suffix, packed)
    assert (len(expected) > 2**20) == (share > 0.9), "the damage is in the first block that is read, and behind it"
    assert content.startswith(expected)

    found = damage_of(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")

    whole = expected.count(b"\n")
    assert list(found) == [0]
    assert found[0].where == f", line {whole + 1}"
    assert found[0].cause.startswith(f"damaged or cut off after {len(expected):,} unpacked bytes (")
    file = replace(file_at(tmp_path / f"a{suffix}"), damage=found[0])
    read = [value for batch in stream_pieces(numbers(), [file], b"\n", 1000) for value in batch["value"].to_pylist()]
    assert read == lines[:whole]


def test_damage_in_the_middle_of_an_archive_is_found_to_the_byte(tmp_path):
    packed = bytearray(gzip.compress("\n".join(map(str, range(20_000))).encode()))
    packed[len(packed) // 2 : len(packed) // 2 + 40] = b"\xff" * 40
    (tmp_path / "a.txt.gz").write_bytes(packed)
    stream, made = zlib.decompressobj(31), 0
    with pytest.raises(zlib.error):  # noqa: PT012
        some, rest = stream.decompress(packed, 1), stream.unconsumed_tail
        while some:
            made += 1
            some, rest = stream.decompress(rest, 1), stream.unconsumed_tail

    (damage,) = damage_of(tmp_path / "a.txt.gz").values()

    assert made % 2**10
    assert damage.cause.startswith(f"damaged or cut off after {made:,} unpacked bytes (Error -3 ")


@pytest.mark.parametrize("suffix", [suffix for suffix in PACKERS if suffix != ".txt"])
def test_nothing_is_read_of_a_file_that_is_no_archive(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"plain text\nnot packed\n")

    found = damage_of(tmp_path / f"a{suffix}")

    assert found[0].where == ", line 1"
    assert found[0].cause.startswith("damaged or cut off after 0 unpacked bytes (")
    file = replace(file_at(tmp_path / f"a{suffix}"), damage=found[0])
    assert list(stream_pieces(numbers(), [file], b"\n", 1000)) == []


def test_a_file_that_cannot_be_opened_is_not_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        damage_of(tmp_path / "none.txt.gz")


@pytest.mark.parametrize("codec", ["snappy", "zstd", "gzip", "none"])
def test_row_groups_that_can_be_read(tmp_path, codec):
    path = tmp_path / "a.parquet"
    texts = [random.Random(number).randbytes(200).hex() for number in range(300)]
    parquet.write_table(pa.table({"text": texts}), path, row_group_size=100, compression=codec, use_dictionary=False)
    chunk = parquet.ParquetFile(path).metadata.row_group(1).column(0)
    content = bytearray(path.read_bytes())
    # The header of the page, or lengths and packed bytes.
    content[chunk.data_page_offset : chunk.data_page_offset + 200] = b"\xff" * 200
    path.write_bytes(content)

    (damage,) = damage_of(path).values()

    assert (damage.where, damage.row_groups) == (", row group 2 of 3", (0, 2))
    assert damage.cause.startswith("damaged, 100 rows cannot be read (")
    file = replace(file_at(path), damage=damage)
    rows = [row for batch in stream_rows(numbers(), [file], {"raw_text": "text"}) for row in batch.to_pylist()]
    assert [(row["row_index"], row["raw_text"]) for row in rows] == [
        (number, text) for number, text in enumerate(texts) if not 100 <= number < 200
    ]
    path.write_bytes(content[:-50])
    (damage,) = damage_of(path).values()
    assert (damage.where, damage.row_groups) == ("", ())
    assert damage.cause.startswith("damaged or cut off (")


@given(
    content=st.lists(st.binary(max_size=30).filter(lambda piece: b"\n" not in piece), max_size=20),
    block=st.integers(1, 40),
    longest=st.integers(1, 20),
)
def test_blocks_decide_nothing(content, block, longest):
    whole = b"\n\n".join(content)

    blocks = (whole[at : at + block] for at in range(0, len(whole), block))
    found = list(file_streams._pieces_of(blocks, b"\n\n", longest))

    pieces = whole.split(b"\n\n")
    expected = [(piece if len(piece) <= longest else piece[:longest], len(piece)) for piece in pieces]
    assert found == (expected if pieces[-1] else expected[:-1])


@pytest.mark.parametrize("block", range(1, 60))
def test_separator_behind_a_long_piece_is_found_wherever_a_block_ends(block):
    whole = b"x" * 50 + b"\n\nlast"
    blocks = (whole[at : at + block] for at in range(0, len(whole), block))

    assert list(file_streams._pieces_of(blocks, b"\n\n", 5)) == [(b"xxxxx", 50), (b"last", 4)]


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
