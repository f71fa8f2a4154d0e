from __future__ import annotations

import pyarrow as pa

from udfs.records import CorpusFile
from udfs.text_documents import read_text_documents

FILE = CorpusFile("file:/c/am.txt", "file:/c/am.txt", "am.txt", "amh_Ethi", "am")


def read(*pieces, start=0):
    batch = pa.record_batch(
        {
            "value": pa.array(pieces, pa.binary()),
            "piece_bytes": pa.array(map(len, pieces), pa.int64()),
            "file_path": [FILE.uri] * len(pieces),
            "file_block_start": pa.array([start] * len(pieces), pa.int64()),
        }
    )
    (records,) = read_text_documents([batch], {FILE.uri: FILE})
    return records.to_pylist()


def test_pieces_are_documents_and_lines_their_paragraphs():
    rows = read(b"\xef\xbb\xbfone\ntwo", b"", b"\n", "\nሦስት\n".encode())

    assert [row["text"] for row in rows] == ["one\ntwo", "ሦስት"]
    assert {(row["language"], row["origin"], row["corpus_key"], row["reason"]) for row in rows} == {
        ("amh_Ethi", "am.txt", None, None)
    }


def test_wrong_bytes_are_rejected_with_their_place():
    rows = read(b"one", b"", b"caf\xe9", b"last", start=4096)

    assert [(row["text"], row["reason"]) for row in rows] == [
        ("one", None),
        ("caf\N{REPLACEMENT CHARACTER}", "source.unreadable"),
        ("last", None),
    ]
    assert rows[1]["detail"] == "am.txt, document 3 after byte 4096: byte 4 is not UTF-8"
