from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.pages import (
    KINDS_LEFT_OUT,
    LEFT_OUT,
    PageRules,
    is_redirect,
    page_url,
    pages_to_text,
    parse_piece,
    read_pages,
)
from udfs.records import RECORD_FIELDS, UNREADABLE, CorpusFile
from udfs.wikitext import read_wikitext

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

    assert {name: value for name in RECORD_FIELDS if (value := getattr(found, name)) is not None} == {
        "language": "spa_Latn",
        "corpus_key": "es:7",
        "origin": "eswiki.xml",
        "url": "https://es.wikipedia.org/wiki/R%C3%ADo_%26_mar",
        "date": "2020-01-02T03:04:05Z",
        "title": "Río & mar",
        "text": "Una ''estrella''.",
        "metadata": '{"revision_id": "9"}',
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
        page(text="#REDIRECCIÓN [[Luna]]"),
        page(model="css"),
    ],
    ids=["end", "nothing", "header", "talk", "category", "redirect", "redirect of old", "style sheet"],
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
        (page(ns="articles"), "<ns> is 'articles', not a number"),
        (page().replace("<id>7</id>", "<id>Sol</id>"), "<id> is 'Sol', not a number"),
    ],
    ids=["cut in text", "cut in tag", "bare <", "NUL", "entity", "not UTF-8", "no revision", "no id", "ns", "id"],
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


def test_page_without_title_is_broken():
    (found,) = records(page().replace("<title>Sol</title>", ""))

    assert found.detail == "eswiki.xml: a page: the page has no <title>"


def test_page_that_is_too_large_is_rejected_and_keeps_its_start():
    (found,) = parse_piece(page(text="x" * 5_000).encode()[:200], FILE, 900, 5_400)

    assert found.reason == "source.too_large"
    assert found.detail == "eswiki.xml, after byte 900: page 'Sol': 5,400 bytes, more than max_record_bytes"
    assert found.text.startswith("<page><title>Sol</title>")


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        ("#REDIRECT [[A]]", True),
        ("  #weiterleitung: [[A]]", True),
        ("#перенаправление [[A]]\n{{x}}", True),
        ("#転送[[A]]", True),
        ("# [[A]]", False),
        ("#first [[A]]", False),
        ("Text #REDIRECT [[A]]", False),
    ],
)
def test_redirects_are_told_by_their_word(wikitext, expected):
    assert is_redirect(wikitext) is expected


@given(st.binary(max_size=60), st.integers(0, 200))
def test_no_bytes_raise(noise, at):
    whole = page().encode()

    for found in parse_piece(whole[:at] + noise + whole[at:], FILE):
        assert found.reason in (None, UNREADABLE)
        (found.text or "").encode("utf-8")


def pieces_of(*parts: tuple[str, int, list[bytes]], size: int = 100):
    """Return a batch with the pieces of parts of files of ``size`` bytes: address, first byte, pieces."""
    found = [(value, len(value), uri, start, size - start, size) for uri, start, values in parts for value in values]
    names = ("value", "piece_bytes", "file_path", "file_block_start", "file_block_length", "file_size")
    return pa.RecordBatch.from_pydict(dict(zip(names, map(list, zip(*found, strict=True)), strict=True)))


END = b"\n</mediawiki>\n"


def test_batches_are_read_by_file():
    other = CorpusFile("u2", "p2", "frwiki.xml", "fra_Latn", "fr")
    batch = pieces_of((FILE.uri, 0, [page().encode(), END]), ("u2", 0, [page().encode(), END]))

    (found,) = read_pages([batch], {FILE.uri: FILE, "u2": other})

    assert found.column("corpus_key").to_pylist() == ["es:7", "fr:7"]
    assert found.schema.names == list(RECORD_FIELDS)


@pytest.mark.parametrize(
    ("pieces", "is_cut"),
    [
        ([page().encode(), END], False),
        ([page().encode()], True),
        ([page().encode(), b"\n"], True),
        ([page().encode(), page().encode()[:-40]], False),  # a broken page says it
    ],
)
def test_dump_that_was_cut_between_two_pages_is_told(pieces, is_cut):
    other = CorpusFile("u2", "p2", "frwiki.xml", "fra_Latn", "fr")
    whole = ("u2", 0, [page().encode(), END])
    files = {FILE.uri: FILE, "u2": other}

    for parts in ((whole, (FILE.uri, 50, pieces)), ((FILE.uri, 50, pieces), whole)):
        found = [
            detail
            for batch in read_pages([pieces_of(part) for part in parts], files)
            for detail in batch.column("detail").to_pylist()
        ]
        cut = "eswiki.xml: the dump was cut off: it ends between two pages, without </mediawiki>"
        assert (cut in found) is is_cut


def test_pages_that_are_no_articles_are_counted_by_kind():
    other = CorpusFile("u2", "p2", "frwiki.xml", "fra_Latn", "fr")
    redirect = page(extra='<redirect title="Luna" />').encode()
    pages = [page().encode(), page(ns="1").encode(), page(ns="14").encode(), redirect, page(model="css").encode(), END]
    old = [page(text="#REDIRECCIÓN [[Luna]]").encode(), redirect, END]
    batch = pieces_of((FILE.uri, 0, pages), ("u2", 0, old))

    (found,) = read_pages([batch], {FILE.uri: FILE, "u2": other})

    rows = [row for row in found.to_pylist() if row["reason"] == LEFT_OUT]
    assert [(row["language"], row["subsource"], row["identity"]) for row in rows] == [
        ("fra_Latn", "redirect", "2"),
        ("spa_Latn", "not_wikitext", "1"),
        ("spa_Latn", "other_namespace", "2"),
        ("spa_Latn", "redirect", "1"),
    ]
    assert {row["subsource"] for row in rows} == KINDS_LEFT_OUT.keys()
    assert [row["corpus_key"] for row in found.to_pylist() if row["reason"] is None] == ["es:7"]


def test_parts_before_the_last_need_no_end():
    batch = pieces_of((FILE.uri, 0, [page().encode()]))
    first = batch.set_column(4, "file_block_length", pa.array([50]))

    (found,) = read_pages([first], {FILE.uri: FILE})

    assert found.column("reason").to_pylist() == [None]


def rows(*texts: str | None, **columns: list):
    names = [chr(ord("A") + number) for number in range(len(texts))]
    fields = {
        "title": names,
        "text": list(texts),
        "rejected_for": [[] for _ in texts],
        "detail": pa.nulls(len(texts), pa.string()),
        "origin": ["f"] * len(texts),
        "corpus_key": [f"nl:{name}" for name in names],
    }
    return pa.RecordBatch.from_pydict(fields | columns)


def test_text_is_made_of_alive_rows_alone(monkeypatch):
    def fails_on_bombs(wikitext, interlanguage, title):
        if wikitext == "bomb":
            raise RecursionError("too deep")
        return read_wikitext(wikitext, interlanguage, title)

    monkeypatch.setattr("udfs.pages.read_wikitext", fails_on_bombs)
    batch = rows(
        "''a'' [[fr:A]]",
        "bomb",
        "<page>",
        None,
        rejected_for=[[], [], [UNREADABLE], []],
        detail=[None, None, "why", None],
    )

    (found,) = pages_to_text([batch], batch.schema.names, frozenset({"fr"}))

    assert found.column("text").to_pylist() == ["a", "bomb", "<page>", None]
    assert found.column("rejected_for").to_pylist() == [[], [UNREADABLE], [UNREADABLE], []]
    assert found.column("detail").to_pylist() == [
        None,
        "f: page 'B': its wikitext: RecursionError: too deep",
        "why",
        None,
    ]


def test_pages_of_a_kind_that_is_not_wanted_are_rejected_and_keep_their_text():
    batch = rows(
        "A is:\n* a town of many people\n{{Dp}}",
        "Two.\n* eighteen letters!!\n[[Category:x]]",
        "Begin. {{beginnetje|stad}}",
        "An article.\n* x",
        "{{dp}}",
    )

    def reasons(**rules):
        (found,) = pages_to_text([batch], batch.schema.names, frozenset(), PageRules(**rules))
        assert found.column("text").to_pylist()[:2] == ["A is:\na town of many people", "Two.\neighteen letters!!"]
        return [codes[0] if codes else None for codes in found.column("rejected_for").to_pylist()], found

    assert reasons()[0] == [None] * 5
    kinds, found = reasons(is_disambiguation_rejected=True, max_list_share=0.8, is_stub_rejected=True)
    # The last has no text: it is rejected for that, further on.
    assert kinds == ["source.disambiguation", "source.list", "source.stub", None, None]
    assert found.column("detail").to_pylist()[1] == "82% of its characters are in list items"
    assert reasons(max_list_share=0.83)[0] == [None] * 5
    assert reasons(max_list_share=0.8)[0][:2] == ["source.list", "source.list"]


@pytest.mark.parametrize(
    ("title", "path"),
    [("A b", "A_b"), ("AC/DC", "AC/DC"), ("¿Qué?", "%C2%BFQu%C3%A9%3F"), ("C#", "C%23"), ("100 %", "100_%25")],
)
def test_page_url(title, path):
    assert page_url("es", title) == f"https://es.wikipedia.org/wiki/{path}"
