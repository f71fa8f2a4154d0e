"""Pages of MediaWiki XML dumps (export-0.3 to 0.11): from the bytes of a dump to articles, from articles to text.

The schema is https://www.mediawiki.org/xml/export-0.11.xsd. Redirects and pages outside the article namespace are no
documents: they are counted, and give no row; every other page gives one, rejected if it cannot be read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote
from xml.etree import ElementTree

import pyarrow as pa

from udfs.arrow import with_columns
from udfs.records import UNREADABLE, CorpusFile, Record, decode, place, record_batch, to_metadata, too_large
from udfs.wikitext import WikiText, read_wikitext
from udfs.wikitext_kinds import is_disambiguation, is_stub
from udfs.wikitext_names import REDIRECT_WORDS

PAGE_END: Final = "</page>"
"""What records of a dump are split at; XML escapes it inside a page."""

# Values of jobs.runtime.reasons.Reason, which code on executors does not import.
DISAMBIGUATION: Final = "source.disambiguation"
LIST: Final = "source.list"
STUB: Final = "source.stub"

LEFT_OUT: Final = "left out"
"""Mark, as reason, of records that count pages which are no documents: their kind is in subsource, their number in
identity."""
KINDS_LEFT_OUT: Final = {
    "redirect": "redirects",
    "other_namespace": "pages of other namespaces",
    "not_wikitext": "pages that are not wikitext",
}
"""Kinds of such pages, with the words for a person."""

_PAGE_START: Final = b"<page>"
_DUMP_END: Final = b"</mediawiki>"
_TITLE: Final = re.compile(rb"<title>([^<]*)</title>")
_ARTICLES: Final = "0"
_NUMBER: Final = re.compile(r"-?\d{1,18}", re.ASCII)
_WIKITEXT: Final = "wikitext"
_REDIRECT: Final = re.compile(r"\s*#([^\s:\[]+(?: [^\s:\[]+)?)\s*:?\s*\[\[")


@dataclass(frozen=True, slots=True)
class PageRules:
    """Which pages are rejected although they can be read."""

    is_disambiguation_rejected: bool = False
    max_list_share: float | None = None
    """A page with at least this share of its characters in list items is rejected; None: none is."""
    is_stub_rejected: bool = False


def read_pages(batches: Iterable[pa.RecordBatch], files: Mapping[str, CorpusFile]) -> Iterator[pa.RecordBatch]:
    """Turn pieces of dumps into articles whose text is still wikitext.

    Args:
        batches: the rows of parts of dumps, in order, a part's rows together: value (binary), what stands between two
            ``</page>``, or its start where that is all that was read; piece_bytes, the length of all of it; file_path;
            file_block_start, file_block_length, file_size (bytes).
        files: the dumps by their address.

    Yields:
        Batches of ``RECORD_FIELDS``: a row an article, a row a broken page, and a row for the end of a dump that is
        missing. Redirects, talk and other pages that are no articles give none of their own, but a row a batch,
        language and kind that counts them; see ``LEFT_OUT``.
    """
    names = ("value", "piece_bytes", "file_path", "file_block_start", "file_block_length", "file_size")
    last: _Piece | None = None
    for batch in batches:
        records: list[Record] = []
        left_out = Counter[tuple[str | None, str]]()
        for piece in map(_Piece, *(batch.column(name).to_pylist() for name in names)):
            if last is not None and (last.address, last.start) != (piece.address, piece.start):
                records.extend(_missing_end(last, files))
            found = list(parse_piece(piece.value, files[piece.address], piece.start, piece.size, left_out))
            piece.is_broken = any(record.reason for record in found)
            records.extend(found)
            last = piece
        records += [
            Record(language=language, subsource=kind, identity=str(count), reason=LEFT_OUT)
            for (language, kind), count in sorted(left_out.items())
        ]
        yield record_batch(records)
    if last is not None and (ends := list(_missing_end(last, files))):
        yield record_batch(ends)


@dataclass(slots=True)
class _Piece:
    """A row of ``read_pages``."""

    value: bytes
    size: int
    address: str
    start: int
    length: int
    file_bytes: int
    is_broken: bool = False


def _missing_end(piece: _Piece, files: Mapping[str, CorpusFile]) -> Iterator[Record]:
    """Yield a record if a piece is the last of its dump, whole, and not the dump's end.

    Where an archive of several streams was cut between two of them, nothing else tells it.
    """
    file = files[piece.address]
    is_last_part = piece.start + piece.length >= piece.file_bytes and file.damage is None
    if is_last_part and not piece.is_broken and _DUMP_END not in piece.value:
        yield Record(
            language=file.language,
            origin=file.origin,
            identity="end",
            reason=UNREADABLE,
            detail=f"{file.origin}: the dump was cut off: it ends between two pages, without </mediawiki>",
        )


def parse_piece(
    piece: bytes,
    file: CorpusFile,
    start: int = 0,
    size: int | None = None,
    left_out: Counter[tuple[str | None, str]] | None = None,
) -> Iterator[Record]:
    """Yield the articles in what stands between two ``</page>`` of a dump.

    That is one page, after a header or the space between pages. A page that lost its end is broken; the page that
    follows it in the same piece is not.

    Args:
        piece: the bytes.
        file: the dump they are from.
        start: first byte of the part of the file that the task reads.
        size: bytes that the piece has in the dump; more than ``piece`` has if it is too large to be taken.
        left_out: gets the pages that are no articles, by language and kind.
    """
    if size is not None and size > len(piece):
        title, named = _named(piece)
        record = too_large(piece, size, file, f"{place(file, start)}: {named}")
        record.title = title
        yield record
        return
    pages = piece.split(_PAGE_START)[1:]
    for page in pages[:-1]:
        yield _broken_page(page, file, start, "the page has no end")
    for page in pages[-1:]:
        try:
            article = _parse_page(page, file)
        except (ElementTree.ParseError, ValueError) as error:
            yield _broken_page(page, file, start, str(error))
        else:
            if isinstance(article, Record):
                yield article
            elif left_out is not None:
                left_out[file.language, article] += 1


def _parse_page(content: bytes, file: CorpusFile) -> Record | str:
    """Return an article, or of a page that is none the kind."""
    page = ElementTree.fromstring(_PAGE_START + content + PAGE_END.encode())
    title, page_id = page.findtext("title", "").strip(), page.findtext("id", "").strip()
    namespace = page.findtext("ns", _ARTICLES).strip()
    revisions = page.findall("revision")
    fields = {"title": title, "id": page_id, "ns": namespace, "revision": revisions}
    if missing := [name for name, value in fields.items() if not value]:
        raise ValueError(f"the page has no <{missing[0]}>")
    for name, value in (("id", page_id), ("ns", namespace)):
        if not _NUMBER.fullmatch(value):
            raise ValueError(f"<{name}> is {value[:40]!r}, not a number")
    # Dumps with history list revisions from old to new.
    latest = revisions[-1]
    text = latest.findtext("text")
    if namespace != _ARTICLES:
        return "other_namespace"
    if page.find("redirect") is not None or is_redirect(text or ""):
        return "redirect"
    if latest.findtext("model", _WIKITEXT) != _WIKITEXT:
        return "not_wikitext"
    return Record(
        language=file.language,
        corpus_key=f"{file.edition or file.language}:{page_id}",
        origin=file.origin,
        url=page_url(file.edition, title) if file.edition else None,
        date=latest.findtext("timestamp"),
        title=title,
        text=text,
        metadata=to_metadata({"revision_id": latest.findtext("id")}),
    )


def is_redirect(wikitext: str) -> bool:
    """Return whether a page only leads to another one; dumps before export-0.6 say it nowhere else.

    >>> is_redirect("#WEITERLEITUNG [[Sonne]]"), is_redirect("# [[Sonne]]")
    (True, False)
    """
    match = _REDIRECT.match(wikitext)
    return match is not None and match[1].strip().lower() in REDIRECT_WORDS


def _named(content: bytes) -> tuple[str | None, str]:
    """Return the title of a page that cannot be read, if it can be seen, and what to call the page."""
    found = _TITLE.search(content)
    title = decode(found[1])[0] if found else None
    return title, f"page {title!r}" if title else "a page"


def _broken_page(content: bytes, file: CorpusFile, start: int, problem: str) -> Record:
    text, _ = decode(content.strip())
    title, named = _named(content)
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
    batches: Iterable[pa.RecordBatch],
    order: Sequence[str],
    interlanguage: frozenset[str],
    rules: PageRules = PageRules(),
) -> Iterator[pa.RecordBatch]:
    """Turn the wikitext of rows that are alive into plain text, and reject pages of the kinds that are not wanted.

    Args:
        batches: text, rejected_for, detail, title, origin, corpus_key and any other columns.
        order: names of all columns, in order.
        interlanguage: see ``udfs.wikitext.plain_text``.
        rules: the kinds of pages to reject.

    Yields:
        The batches with the text replaced. A page that is rejected for its kind keeps its plain text; one that the
        scanner fails on is rejected and keeps its wikitext.
    """
    for batch in batches:
        texts = batch.column("text").to_pylist()
        reasons = batch.column("rejected_for").to_pylist()
        details = batch.column("detail").to_pylist()
        titles = batch.column("title").to_pylist()
        keys = batch.column("corpus_key").to_pylist()
        for row, wikitext in enumerate(texts):
            if reasons[row] or wikitext is None:
                continue
            try:
                page = read_wikitext(wikitext, interlanguage, titles[row] or "")
                rejection = _rejection(page, (keys[row] or "").partition(":")[0], rules)
            except Exception as error:  # whatever one page does to the scanner, the others go on
                reasons[row] = [UNREADABLE]
                origin = batch.column("origin")[row].as_py()
                details[row] = f"{origin}: page {titles[row]!r}: its wikitext: {type(error).__name__}: {error}"
                continue
            texts[row] = page.text
            # A page without any text is rejected for that, further on.
            if rejection is not None and page.text:
                reasons[row], details[row] = [rejection[0]], rejection[1]
        columns = {
            "text": pa.array(texts, pa.string()),
            "rejected_for": pa.array(reasons, pa.list_(pa.string())),
            "detail": pa.array(details, pa.string()),
        }
        yield with_columns(batch, columns, order)


def _rejection(page: WikiText, edition: str, rules: PageRules) -> tuple[str, str | None] | None:
    """Return the reason and the detail of a page that is not wanted."""
    if rules.is_disambiguation_rejected and is_disambiguation(
        page.templates, page.categories, page.magic_words, edition
    ):
        return DISAMBIGUATION, None
    if rules.max_list_share is not None and page.list_share >= rules.max_list_share:
        return LIST, f"{page.list_share:.0%} of its characters are in list items"
    if rules.is_stub_rejected and is_stub(page.templates, edition):
        return STUB, None
    return None
