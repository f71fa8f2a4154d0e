"""Units of texts and their removal: hashes, blank lines, layout, sites, odd rows."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs import minhash
from udfs.lines import UnitPlan, cut, find_units, listed, remove_units, site, to_units

BLANKS = ["", " ", "\t\r", "\u00a0", "\u3000 "]
LINES = st.sampled_from([*BLANKS, *BLANKS, "a", "B b", "foot", "Größe 中文", "—", "\u200b", " x "])
TEXTS = st.lists(LINES, max_size=14).map("\n".join)
PARAGRAPH = pytest.mark.parametrize("by_paragraph", [False, True], ids=["line", "paragraph"])


def strings(*texts: str | None) -> pa.Array:
    return pa.array(texts, pa.string())


def scopes(count: int) -> pa.Array:
    return strings(*["site"] * count)


def is_blank(line: str) -> bool:
    return not line or line.isspace()


def unit_numbers(text: str, by_paragraph: bool) -> list[int]:
    """The unit of each line, by the definition; -1 for a blank line."""
    numbers, count, is_open = [], 0, False
    for line in text.split("\n"):
        if is_blank(line):
            numbers.append(-1)
            is_open = False
        else:
            count += not (is_open and by_paragraph)
            numbers.append(count - 1)
            is_open = True
    return numbers


def laid_out(text: str, taken: list[bool]) -> str:
    """Take lines out by a rule over the string of their kinds: blank, kept, taken."""
    lines = text.split("\n")
    kinds = "".join("T" if t else "b" if is_blank(line) else "K" for line, t in zip(lines, taken, strict=True))
    if "T" in kinds and "K" not in kinds:
        return ""
    stay = [kind != "T" for kind in kinds]
    for run in re.finditer("b*T[bT]*", kinds):
        blanks = re.search("b+", run[0]) if run.start() else re.match("b+", run[0])
        first = set() if not blanks else set(range(run.start() + blanks.start(), run.start() + blanks.end()))
        if run.end() == len(kinds) and run[0].endswith("T"):
            first = set()
        for place in range(*run.span()):
            stay[place] = place in first
    return "\n".join(line for line, stays in zip(lines, stay, strict=True) if stays)


def longest_blank_run(text: str) -> int:
    kinds = "".join("b" if is_blank(line) else "K" for line in text.split("\n"))
    return max(map(len, re.findall("b*", kinds)))


@PARAGRAPH
# The first example may compile the kernels.
@settings(deadline=None)
@given(texts=st.lists(TEXTS, max_size=6), data=st.data())
def test_cut_takes_the_chosen_units_and_nothing_else(by_paragraph: bool, texts: list[str], data: st.DataObject) -> None:
    units = find_units(strings(*texts), scopes(len(texts)), by_paragraph)
    chosen = data.draw(st.lists(st.booleans(), min_size=len(units.starts), max_size=len(units.starts)))
    made = cut(strings(*texts), units, np.array(chosen, bool))
    for row, text in enumerate(texts):
        numbers = unit_numbers(text, by_paragraph)
        assert units.firsts[row + 1] - units.firsts[row] == max(1, 1 + max(numbers))
        taken = [number >= 0 and chosen[units.firsts[row] + number] for number in numbers]
        left = made.texts[row].as_py()
        assert left == laid_out(text, taken)
        assert made.lines[row] == sum(taken)
        assert (made.chars[row] + made.chars_left[row], made.chars_left[row]) == (len(text), len(left))
        assert not left or longest_blank_run(left) <= longest_blank_run(text)
        if not any(taken):
            assert left == text
        elif left:
            kept = [line for line, t in zip(text.split("\n"), taken, strict=True) if not t and not is_blank(line)]
            assert [line for line in left.split("\n") if not is_blank(line)] == kept


@PARAGRAPH
# The first example may compile the kernels.
@settings(deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
def test_a_unit_hashes_as_its_text_alone(by_paragraph: bool, texts: list[str]) -> None:
    units = find_units(strings(*texts), scopes(len(texts)), by_paragraph)
    for row, text in enumerate(texts):
        parts: dict[int, list[str]] = {}
        for line, number in zip(text.split("\n"), unit_numbers(text, by_paragraph), strict=True):
            if number >= 0:
                parts.setdefault(number, []).append(line)
        alone = strings(*("\n".join(part) for part in parts.values()))
        expected = minhash.sketch(alone, scopes(len(alone)), minhash.SketchPlan((3, 2, 2, 2, 3), 256, 25, 10))
        own = slice(units.firsts[row], units.firsts[row] + len(parts))
        assert units.lengths[own].tolist() == expected.lengths.tolist()
        folded = expected.lengths > 0  # a unit without letters is never judged
        assert (units.content[own][folded] == expected.content[folded]).all()


def test_units_are_equal_by_their_folded_text_within_a_scope() -> None:
    texts = strings("Cookies, são ÚTEIS!\n\n", " cookies — sao uteis", "cookies sao\nuteis", "cookies sao uteis")
    units = find_units(texts, strings("a", "a", "a", "b"), by_paragraph=True)
    first, second, wrapped, other = units.content.tolist()
    assert first == second == wrapped != other
    assert set(units.lengths.tolist()) == {len("cookies sao uteis")}


def test_blank_lines_are_those_of_str_isspace() -> None:
    characters = [c for c in map(chr, range(0x11000)) if unicodedata.category(c) != "Cs" and c != "\n"]
    units = find_units(strings(*(f"a\n{c}\nb" for c in characters)), scopes(len(characters)), by_paragraph=True)
    assert [c for c, count in zip(characters, np.diff(units.firsts), strict=True) if count == 2] == [
        c for c in characters if c.isspace()
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nfoot\nb", "a\nb"),
        ("a\n\nfoot\n\nb", "a\n\nb"),
        ("a\nfoot\n\nb", "a\n\nb"),
        ("a\n\nfoot\nfoot", "a"),
        ("a\n\nfoot\n", "a\n"),
        ("foot\n\na", "a"),
        ("a\n\n\nfoot\n\n\n\nb", "a\n\n\nb"),
        ("\nfoot\n \n", ""),
        ("a\n\n\n\nb\n", "a\n\n\n\nb\n"),
    ],
)
def test_layout(text: str, expected: str) -> None:
    texts = strings(text)
    units = find_units(texts, scopes(1), by_paragraph=False)
    foot = find_units(strings("foot"), scopes(1), by_paragraph=False).content[0]
    assert cut(texts, units, (units.content == foot).all(axis=1)).texts.to_pylist() == [expected]


@PARAGRAPH
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()], ids=str)
def test_odd_texts(by_paragraph: bool, kind: pa.DataType) -> None:
    long = "word " * 300_000
    texts = pa.array(["not in the slice", None, "", "\n\n \n", long, long + "\nb", "é" * 9], kind)[1:]
    units = find_units(texts, scopes(6), by_paragraph)
    taken = units.lengths == len(long) - 1
    made = cut(texts, units, taken)
    assert made.texts.type == kind
    assert taken.sum() == (1 if by_paragraph else 2)
    assert made.texts.to_pylist() == ["", "", "\n\n \n", "", long + "\nb" if by_paragraph else "b", "é" * 9]
    assert made.chars_left.tolist()[-1] == 9
    assert len(find_units(pa.array([], kind), scopes(0), by_paragraph).starts) == 0


def test_more_units_than_are_hashed_at_once() -> None:
    count = 70_000
    texts = strings("\n".join(f"line {i}" for i in range(count)), "line 69999")
    units = find_units(texts, scopes(2), by_paragraph=False)
    assert len(np.unique(units.content, axis=0)) == count
    assert (units.content[-1] == units.content[-2]).all()


def test_bytes_that_are_no_utf8_are_units_like_others() -> None:
    raw = pa.array([b"\xe2\x80\n\xff\xfe word\n\xc2", b"ok \xe3"], pa.binary())
    texts = pa.StringArray.from_buffers(2, *raw.buffers()[1:])
    units = find_units(texts, scopes(2), by_paragraph=False)
    made = cut(texts, units, np.zeros(len(units.starts), bool))
    assert made.texts.cast(pa.binary()).to_pylist() == raw.to_pylist()


def test_listed_looks_in_the_list_of_the_units_own_text() -> None:
    units = find_units(strings("one\ntwo", "two\none", "three"), scopes(3), by_paragraph=False)
    one, two = (units.content[place].tobytes() for place in (0, 1))
    hashes = pa.array([[two], [two, two, b"\0" * 16], []], pa.list_(pa.binary()))
    assert listed(units, hashes).tolist() == [False, True, True, False, False]
    assert listed(units, pa.array([[], [], [one]], pa.list_(pa.binary()))).tolist() == [False] * 5


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://www.Example.org/a", "example.org"),
        ("http://user:pw@example.org:80?q", "example.org"),
        ("//example.org./a b", "example.org"),
        ("https://news.example.org", "news.example.org"),
        ("https://例え.jp/ページ", "例え.jp"),
        ("http://[::1]/", "::1"),
        ("http://[::1/", None),
        ("http://a b/", None),
        ("https://www./", "www"),
        ("example.org/a", None),
        ("mailto:a@example.org", None),
        ("http://", None),
        ("", None),
        (None, None),
    ],
)
def test_site(url: str | None, expected: str | None) -> None:
    assert site(url) == expected


def test_each_unit_of_a_document_comes_once_and_only_where_there_is_a_site() -> None:
    batch = pa.RecordBatch.from_pydict(
        {
            "document": pa.array([1, 2, 3], pa.int64()),
            "scope": strings("http://a.org/1", None, "no url"),
            "text": strings("a long line\nshort\nA LONG LINE.\n", "a long line", "a long line"),
        }
    )
    found = pa.Table.from_batches(to_units(UnitPlan(True, False, 6), [batch, batch[:0]]))
    assert found["document"].to_pylist() == [1]
    own = find_units(strings("a long line"), strings("a.org"), by_paragraph=False)
    assert found["hash"].to_pylist() == [own.content[0].tobytes()]


def test_a_headline_that_goes_is_no_title_any_more() -> None:
    prose = "Prose goes on for long enough to be the body of a text, and it comes to an end. " * 3
    site_name, own = "Welcome to Our Pages", "The Ship that Came Home"
    text = f"{site_name}\n{own}\n{prose}"
    units = find_units(strings(site_name), strings("s"), by_paragraph=False)
    hashes = [units.content[0].tobytes()]
    rows = [
        (text, site_name, "headline", hashes),
        (text, site_name, "source", hashes),
        (text, site_name, "headline", None),
        (f"{own}\n{prose}\n{site_name}", own, "headline", hashes),
        (f"{site_name}\nshort", site_name, "headline", hashes),
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    batch = pa.RecordBatch.from_arrays(
        [*map(pa.array, columns), strings(*["s"] * 5)], names=["text", "title", "title_from", "_taken", "_scope"]
    )
    order = ["title_from", "title", "text", "deduped_lines", "deduped_chars"]
    (made,) = remove_units(UnitPlan(False, False, 6), order, [batch])
    assert made.schema.names == order
    assert list(zip(made["title"].to_pylist(), made["title_from"].to_pylist(), strict=True)) == [
        (own, "headline"),
        (site_name, "source"),
        (site_name, "headline"),
        (own, "headline"),
        (None, None),
    ]
    assert made["text"].to_pylist()[2] == text
    assert made["deduped_lines"].to_pylist() == [1, 1, 0, 1, 1]
    assert made["deduped_chars"].to_pylist()[2] == 0


def test_what_is_taken_out_is_handed_back_where_it_is_asked_for() -> None:
    foot, other = "Read more of our stories", "Ĉiuj rajtoj rezervitaj"
    units = find_units(strings(f"{foot}\n{other}"), strings("s"), by_paragraph=False)
    hashes = [row.tobytes() for row in units.content]
    texts = [f"{foot}\n\n body\n  {other.upper()} \n", "body", f"{other}\n{foot}"]
    batch = pa.RecordBatch.from_arrays(
        [strings(*texts), pa.array([hashes, None, hashes[:1]]), strings("s", "s", "s")],
        names=["text", "_taken", "_scope"],
    )
    order = ["text", "deduped_lines", "deduped_chars", "deduped_text"]
    (made,) = remove_units(UnitPlan(False, False, 6, keeps_removed=True), order, [batch])
    assert made["deduped_text"].to_pylist() == [[foot, other.upper()], [], [foot]]
    assert made["text"].to_pylist() == [" body\n", "body", other]
    (plain,) = remove_units(UnitPlan(False, False, 6), order, [batch])
    assert plain["deduped_text"].to_pylist() == [None] * 3
