"""Pages of MediaWiki XML dumps (export-0.3 to 0.11): from the bytes of a dump to articles, from articles to text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote
from xml.etree import ElementTree

import pyarrow as pa

from udfs.arrow import with_columns
from udfs.records import UNREADABLE, CorpusFile, Record, decode, pieces, place, record_batch
from udfs.wikitext import plain_text

PAGE_END: Final = "</page>"
"""What records of a dump are split at; XML escapes it inside a page."""

_PAGE_START: Final = b"<page>"
_TITLE: Final = re.compile(rb"<title>([^<]*)</title>")
_ARTICLES: Final = "0"
_WIKITEXT: Final = "wikitext"


def read_pages(batches: Iterable[pa.RecordBatch], files: Mapping[str, CorpusFile]) -> Iterator[pa.RecordBatch]:
    """Turn pieces of dumps into articles whose text is still wikitext.

    Args:
        batches: value (binary), what stands between two ``</page>``; file_path; file_block_start (bytes).
        files: the dumps by their address.

    Yields:
        Batches of ``RECORD_FIELDS``: a row an article and a row a broken page. Redirects, talk and other pages that
        are no articles give none.
    """
    for batch in batches:
        yield record_batch(
            record for value, address, start in pieces(batch) for record in parse_piece(value, files[address], start)
        )


def parse_piece(piece: bytes, file: CorpusFile, start: int = 0) -> Iterator[Record]:
    """Yield the articles in what stands between two ``</page>`` of a dump.

    That is one page, after a header or the space between pages. A page that lost its end is broken; the page that
    follows it in the same piece is not.
    """
    pages = piece.split(_PAGE_START)[1:]
    for page in pages[:-1]:
        yield _broken_page(page, file, start, "the page has no end")
    for page in pages[-1:]:
        try:
            article = _parse_page(page, file)
        except (ElementTree.ParseError, ValueError) as error:
            yield _broken_page(page, file, start, str(error))
        else:
            if article is not None:
                yield article


def _parse_page(content: bytes, file: CorpusFile) -> Record | None:
    page = ElementTree.fromstring(_PAGE_START + content + PAGE_END.encode())
    if page.findtext("ns", _ARTICLES).strip() != _ARTICLES or page.find("redirect") is not None:
        return None
    title, page_id = page.findtext("title", "").strip(), page.findtext("id", "").strip()
    revisions = page.findall("revision")
    if not page_id or not revisions:
        raise ValueError(f"the page has no <{'revision' if page_id else 'id'}>")
    # Dumps with history list revisions from old to new.
    latest = revisions[-1]
    if latest.findtext("model", _WIKITEXT) != _WIKITEXT:
        return None
    return Record(
        language=file.language,
        corpus_key=f"{file.edition or file.language}:{page_id}",
        origin=file.origin,
        url=page_url(file.edition, title) if file.edition else None,
        date=latest.findtext("timestamp"),
        title=title or None,
        text=latest.findtext("text"),
    )


def _broken_page(content: bytes, file: CorpusFile, start: int, problem: str) -> Record:
    text, _ = decode(content.strip())
    found = _TITLE.search(content)
    title = decode(found[1])[0] if found else None
    named = f"page {title!r}" if title else "a page"
    return Record(
        language=file.language,
        origin=file.origin,
        identity=text,
        title=title,
        text=text,
        reason=UNREADABLE,
        detail=f"{place(file, start)}: {named}: {problem}",
    )


def page_url(edition: str, title: str) -> str:
    """Return the address of a Wikipedia page.

    >>> page_url("es", "Río de la Plata")
    'https://es.wikipedia.org/wiki/R%C3%ADo_de_la_Plata'
    """
    return f"https://{edition}.wikipedia.org/wiki/{quote(title.replace(' ', '_'), safe='/:,()!~*@$;')}"


def pages_to_text(
    batches: Iterable[pa.RecordBatch], order: Sequence[str], interlanguage: frozenset[str]
) -> Iterator[pa.RecordBatch]:
    """Turn the wikitext of rows that are alive into plain text.

    Args:
        batches: text, rejected_for, detail, title, origin and any other columns.
        order: names of all columns, in order.
        interlanguage: see ``plain_text``.

    Yields:
        The batches with the text replaced. A page that the parser fails on is rejected and keeps its wikitext.
    """
    for batch in batches:
        texts = batch.column("text").to_pylist()
        reasons = batch.column("rejected_for").to_pylist()
        details = batch.column("detail").to_pylist()
        for row, wikitext in enumerate(texts):
            if reasons[row] or wikitext is None:
                continue
            try:
                texts[row] = plain_text(wikitext, interlanguage)
            except Exception as error:  # whatever one page does to the parser, the others go on
                reasons[row] = [UNREADABLE]
                title, origin = batch.column("title")[row].as_py(), batch.column("origin")[row].as_py()
                details[row] = f"{origin}: page {title!r}: the wikitext parser failed: {type(error).__name__}: {error}"
        columns = {
            "text": pa.array(texts, pa.string()),
            "rejected_for": pa.array(reasons, pa.list_(pa.string())),
            "detail": pa.array(details, pa.string()),
        }
        yield with_columns(batch, columns, order)
