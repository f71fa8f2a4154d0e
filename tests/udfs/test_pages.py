from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.pages import page_url, pages_to_text, parse_piece, read_pages
from udfs.records import RECORD_FIELDS, UNREADABLE, CorpusFile

FILE = CorpusFile("file:/d/eswiki.xml", "file:/d/eswiki.xml", "eswiki.xml", "spa_Latn", "es")
HEADER = b'<mediawiki xml:lang="en">\n <siteinfo><dbname>enwiki</dbname></siteinfo>\n '


def page(
    title: str = "Sol", ns: str = "0", extra: str = "", text: str = "Una ''estrella''.", model: str = "wikitext"
) -> str:
    return (
        f"<page><title>{title}</title><ns>{ns}</ns><id>7</id>{extra}<revision><id>9</id>"
        f"<timestamp>2020-01-02T03:04:05Z</timestamp><model>{model}</model><text>{text}</text></revision>"
    )


def records(piece: str | bytes):
    return list(parse_piece(piece.encode() if isinstance(piece, str) else piece, FILE))


def test_article_gives_its_fields():
    (found,) = records(HEADER + page("Río &amp; mar").encode())

    assert {name: getattr(found, name) for name in RECORD_FIELDS} == {
        "language": "spa_Latn",
        "subsource": None,
        "corpus_key": "es:7",
        "origin": "eswiki.xml",
        "identity": None,
        "url": "https://es.wikipedia.org/wiki/R%C3%ADo_%26_mar",
        "date": "2020-01-02T03:04:05Z",
        "title": "Río & mar",
        "text": "Una ''estrella''.",
        "reason": None,
        "detail": None,
    }


@pytest.mark.parametrize(
    "piece",
    [
        "\n</mediawiki>\n",
        "",
        HEADER,
        page(ns="1"),
        page(ns="14"),
        page(extra='<redirect title="Luna" />'),
        page(model="css"),
    ],
    ids=["end", "nothing", "header", "talk", "category", "redirect", "style sheet"],
)
def test_what_is_no_article_gives_nothing(piece):
    assert records(piece) == []


def test_latest_of_several_revisions_is_taken():
    older = "<revision><timestamp>2019</timestamp><text>old</text></revision>"

    assert [record.text for record in records(page(extra=older, text="new"))] == ["new"]


@pytest.mark.parametrize(
    ("piece", "problem"),
    [
        ("<page><title>Sol</title><ns>0</ns><id>7</id><revision><text>Una es", "mismatched tag"),
        (page() + "\n  </pag", "not well-formed"),
        (page(text="a < b"), "not well-formed"),
        (page(text="a\x00b"), "not well-formed"),
        (page(text="a &nbsp; b"), "undefined entity"),
        (page().encode().replace(b"Una", b"\xff\xfe"), "not well-formed"),
        ("<page><title>Sol</title><ns>0</ns><id>7</id>", "no <revision>"),
        ("<page><title>Sol</title><ns>0</ns><revision><text>a</text></revision>", "no <id>"),
    ],
    ids=["cut in text", "cut in tag", "bare <", "NUL", "entity", "not UTF-8", "no revision", "no id"],
)
def test_broken_page_is_a_rejected_record_that_keeps_its_text(piece, problem):
    (found,) = records(piece)

    assert found.reason == UNREADABLE
    assert found.detail.startswith("eswiki.xml: page 'Sol': ")
    assert problem in found.detail
    assert "Sol" in found.text
    assert (found.language, found.origin, found.corpus_key) == ("spa_Latn", "eswiki.xml", None)


def test_page_without_end_does_not_take_the_next_one_with_it():
    broken, good = records(page("Luna") + "\n" + page("Sol"))

    assert broken.detail == "eswiki.xml: page 'Luna': the page has no end"
    assert (good.title, good.reason) == ("Sol", None)


@given(st.binary(max_size=60), st.integers(0, 200))
def test_no_bytes_raise(noise, at):
    whole = page().encode()

    for found in parse_piece(whole[:at] + noise + whole[at:], FILE):
        assert found.reason in (None, UNREADABLE)
        (found.text or "").encode("utf-8")


def test_batches_are_read_by_file():
    other = CorpusFile("u2", "p2", "frwiki.xml", "fra_Latn", "fr")
    batch = pa.RecordBatch.from_pydict(
        {"value": [page().encode(), page().encode()], "file_path": [FILE.uri, "u2"], "file_block_start": [0, 0]}
    )

    (found,) = read_pages([batch], {FILE.uri: FILE, "u2": other})

    assert found.column("corpus_key").to_pylist() == ["es:7", "fr:7"]
    assert found.schema.names == list(RECORD_FIELDS)


def test_text_is_made_of_alive_rows_alone(monkeypatch):
    def fails_on_bombs(wikitext, interlanguage):
        if wikitext == "bomb":
            raise RecursionError("too deep")
        return wikitext.upper()

    monkeypatch.setattr("udfs.pages.plain_text", fails_on_bombs)
    batch = pa.RecordBatch.from_pydict(
        {
            "title": ["A", "B", "C", "D"],
            "text": ["a", "bomb", "<page>", None],
            "rejected_for": [[], [], [UNREADABLE], []],
            "detail": [None, None, "why", None],
            "origin": ["f"] * 4,
        }
    )

    (found,) = pages_to_text([batch], batch.schema.names, frozenset())

    assert found.column("text").to_pylist() == ["A", "bomb", "<page>", None]
    assert found.column("rejected_for").to_pylist() == [[], [UNREADABLE], [UNREADABLE], []]
    assert found.column("detail").to_pylist() == [
        None,
        "f: page 'B': the wikitext parser failed: RecursionError: too deep",
        "why",
        None,
    ]


@pytest.mark.parametrize(
    ("title", "path"),
    [("A b", "A_b"), ("AC/DC", "AC/DC"), ("¿Qué?", "%C2%BFQu%C3%A9%3F"), ("C#", "C%23"), ("100 %", "100_%25")],
)
def test_page_url(title, path):
    assert page_url("es", title) == f"https://es.wikipedia.org/wiki/{path}"
