"""WikiHow articles as pairs: the title is the instruction, the steps are the output (MURI, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from udfs.json_lines import UnreadableLine, kind_of, load_object
from udfs.pairs.lines import UnlistedLanguage, key_of, needed_text, text_of
from udfs.records import CorpusFile, Record
from udfs.sampling import SEPARATOR, document_id, position

_HALF: Final = 0.5


@dataclass(frozen=True, slots=True)
class Step:
    """A step of an article, or in WikiLingua's form the steps of a section."""

    title: str | None
    text: str | None
    heading: str | None = None
    """Heading of the section."""


@dataclass(frozen=True, slots=True)
class WikiHowFormat:
    """JSON lines of articles, in WikiLingua's form or with title, abstract and steps."""

    name: str
    """The source's name, part of every document's id."""
    seed: int
    """Seed of the draws for each article's form."""
    languages: Mapping[str, str]
    """GlotLID codes by the hosts of WikiHow's sites, by BCP 47 tags and by English names in lower case."""
    title_prefixes: Mapping[str, str]
    """What an instruction begins with, by GlotLID code, where the address gives the title without it."""

    def parse(self, line: str, file: CorpusFile, where: str) -> Iterable[Record]:
        """Return the article on a line as a pair."""
        fields = load_object(line)
        url = text_of(fields, "url")
        if "sections" in fields:
            title, steps = _title_of(url), list(_sections(fields["sections"]))
        else:
            title, steps = needed_text(fields, "title"), list(_steps(fields.get("steps")))
        language = file.language or self._language(fields, url)
        if "sections" in fields:
            prefix = self.title_prefixes.get(language, "")
            title = title if title.lower().startswith(prefix.lower()) else f"{prefix} {title}"
        key = key_of(fields, "id") or url
        drawn_by = document_id(self.name, key or f"{title}{SEPARATOR}{line}")
        has_abstract = position(f"{drawn_by}{SEPARATOR}abstract", self.seed) < _HALF
        has_texts = position(f"{drawn_by}{SEPARATOR}texts", self.seed) < _HALF
        yield Record(
            language=language,
            corpus_key=key,
            origin=file.origin,
            identity=where,
            url=url,
            title=title,
            text=render(text_of(fields, "abstract") if has_abstract else None, steps, has_texts),
            instruction=title,
        )

    def _language(self, fields: Mapping[str, Any], url: str | None) -> str:
        named = text_of(fields, "language")
        host = (_split(url).hostname or "") if url else ""
        # Sites that the table does not list are named after their language, too.
        codes = [named.strip().casefold()] if named else [host, host.removesuffix(".wikihow.com")]
        language = next((self.languages[code] for code in codes if code in self.languages), None)
        if language is None:
            said = f"language is {named!r}" if named else f"there is no language, and url is {url!r}"
            raise UnlistedLanguage(said)
        return language


def render(abstract: str | None, steps: Iterable[Step], has_texts: bool) -> str:
    """Return an article's steps as a text; a step without a title has its text, one without a text its title.

    Args:
        abstract: what the answer begins with; None: the steps.
        steps: the steps in their order.
        has_texts: whether the steps' texts follow their titles.
    """
    blocks = [abstract.strip()] if abstract else []
    lines: list[str] = []
    for step in steps:
        parts = (step.title, step.text) if has_texts else (step.title or step.text,)
        block = "\n".join(part.strip() for part in (step.heading, *parts) if part)
        (blocks if has_texts or step.heading else lines).append(block)
    return "\n\n".join([*blocks, "\n".join(lines)] if lines else blocks)


def _title_of(url: str | None) -> str:
    """Return the title that an article's address ends with.

    >>> _title_of("https://de.wikihow.com/Geschenkband-binden")
    'Geschenkband binden'
    """
    if url is None:
        raise UnreadableLine("an article with sections needs its url, which holds its title")
    title = unquote(_split(url).path.rstrip("/").rpartition("/")[2]).replace("-", " ").strip()
    if not title or "\ufffd" in title:
        raise UnreadableLine(f"url {url} holds no title")
    return title


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise UnreadableLine(f"url {url} is no address: {error}") from error


def _sections(value: Any) -> Iterator[Step]:
    """Yield the sections of WikiLingua's form: ``summary`` has the titles of the steps, ``document`` their texts."""
    if not isinstance(value, dict):
        raise UnreadableLine(f"sections is {kind_of(value)}, not an object")
    for heading, section in value.items():
        if not isinstance(section, dict):
            raise UnreadableLine(f"section {heading!r} is {kind_of(section)}, not an object")
        yield Step(
            needed_text(section, "summary"), needed_text(section, "document"), heading if len(value) > 1 else None
        )


def _steps(value: Any) -> Iterator[Step]:
    if not isinstance(value, list):
        raise UnreadableLine(f"steps is {kind_of(value)}, not a list" if value is not None else "there are no steps")
    for number, step in enumerate(value, 1):
        if not isinstance(step, dict):
            raise UnreadableLine(f"step {number} is {kind_of(step)}, not an object")
        yield Step(text_of(step, "title"), text_of(step, "text"))
