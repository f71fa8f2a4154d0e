"""The sketch kernel: folding, shingles, the estimate's law, stability, and texts that are hostile or odd."""

from __future__ import annotations

import string
import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from datasketch.lsh import _optimal_param
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs import folding, minhash
from udfs.minhash import SketchPlan, optimal_bands, shingle_sets, similarities, sketch

PLAN = SketchPlan((9, 5, 6, 6, 9), 256, 25, 10)
SHORT = SketchPlan((3, 2, 2, 2, 3), 256, 25, 10)
# Letters of every class and length in UTF-8, accents, gaps, expansions, invisible characters, unassigned ones.
ALPHABET = "aBcÉéßﬁıΣςюй中文語かがｶﾞ한국ไทยำहिन्दीשָׁבַּמַּ𐍈𠀀😀 \t\n.,!—\u0301\u200d\u00ad\ufeff½٠\x00\U0010fffe\u0378"
TEXTS = st.text(st.sampled_from(ALPHABET) | st.characters(exclude_categories=["Cs"]), max_size=60)


def fold(text: str) -> str:
    """Fold by the definition, one character at a time."""
    parts = "".join(_folded(c) for c in text)
    return " ".join(part for part in parts.split(" ") if part)


@cache
def _folded(character: str) -> str:
    return folding.fold_character(character)


@cache
def _script(character: str) -> int:
    return int(folding.load()[0][ord(character)]) >> folding.CLASS_SHIFT & 7


def windows(text: str, plan: SketchPlan) -> set[str]:
    """Shingles by the definition; a text shorter than every window is one shingle."""
    folded, found, script = fold(text), set(), 0
    for end, character in enumerate(folded, start=1):
        script = script if character == " " else _script(character)
        size = plan.shingle_chars[script]
        if end >= size:
            found.add(folded[end - size : end])
    return found or ({folded} if folded else set())


def strings(*texts: str) -> pa.Array:
    return pa.array(texts, pa.string())


def exact(left: str, right: str, plan: SketchPlan = PLAN) -> float:
    a, b = (np.frombuffer(value, np.uint32) for value in shingle_sets(strings(left, right), plan).to_pylist())
    return float(minhash.set_similarity(a, b))


def random_pairs(jaccard: float, size: int, count: int) -> tuple[list[str], list[str]]:
    """Pairs of random texts with near ``size`` shingles each and near the given similarity."""
    rng = np.random.default_rng(size * 1000 + round(jaccard * 100))
    letters = np.array(list(string.ascii_lowercase))
    shared = round(2 * jaccard / (1 + jaccard) * size)
    own = size - shared
    lengths = [shared + 8 if shared else 0, own + (0 if shared else 8), own + (0 if shared else 8)]
    texts = [["".join(rng.choice(letters, length)) for length in lengths] for _ in range(count)]
    return [common + one for common, one, _ in texts], [common + other for common, _, other in texts]


def test_table_is_what_its_definition_says() -> None:
    table, expansions = folding.load()
    for code in (*range(0x3400), *range(0xA000, 0xAD00), *range(0xF900, 0x10900), *range(0x1D400, 0x1D800)):
        if unicodedata.category(chr(code)) == "Cn":
            continue  # newer Python versions know more characters
        entry = int(table[code])
        place, length = (entry ^ folding.EXPANDED) >> folding.LENGTH_BITS, entry & 31
        entries = expansions[place : place + length].tolist() if entry & folding.EXPANDED else [entry] if entry else []
        assert "".join(chr(one & folding.CODE_MASK) for one in entries) == folding.fold_character(chr(code))
    assert table[ord("É")] == ord("e")
    assert table[ord("ς")] & folding.CODE_MASK == ord("ς"), "the last sigma stays a letter of its own"
    assert table[ord("ı")] & folding.CODE_MASK == ord("ı"), "and so does the dotless i"
    assert table[ord("中")] >> folding.CLASS_SHIFT == folding.HAN


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Straße", "STRASSE"),
        ("ΜΠΑΜΠΆ ΜΟΥ", "μπαμπά μου"),
        ("KAÇİR", "kacir"),
        ("été — d'hiver", "e\u0301te\u0301 d hiver"),
        ("ﬁn", "fin"),
        ("Ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("ガラス", "ｶﾞﾗｽ"),
        ("مُحَمَّدٌ", "محمد"),
        ("co\u00adoperate", "cooperate"),
        ("  many\n\tgaps!! ", "many gaps"),
    ],
)
def test_same_writing_is_the_same_content(left: str, right: str) -> None:
    content = sketch(strings(left, right), None, PLAN).content
    np.testing.assert_array_equal(content[0], content[1])


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_shingles_follow_the_definition(left: str, right: str) -> None:
    for plan in (SHORT, PLAN):
        a, b = windows(left, plan), windows(right, plan)
        sizes = [len(value) // 4 for value in shingle_sets(strings(left, right), plan).to_pylist()]
        assert sizes == [len(a), len(b)]
        assert exact(left, right, plan) == pytest.approx(len(a & b) / len(a | b) if a | b else 0)


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=8), st.integers(0, 3))
def test_a_sketch_depends_on_its_text_alone(texts: list[str], skipped: int) -> None:
    together = sketch(strings(*["x" * 7] * skipped, *texts, "tail é").slice(skipped, len(texts)), None, SHORT)
    for i, text in enumerate(texts):
        alone = sketch(pa.array([text], pa.large_string()), None, SHORT)
        for name in ("content", "keys", "signatures", "lengths", "key_counts"):
            np.testing.assert_array_equal(getattr(together, name)[i], getattr(alone, name)[0])
        assert alone.lengths[0] == len(fold(text))


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_equal_content_means_equal_folded_text(left: str, right: str) -> None:
    content = sketch(strings(left, right), None, PLAN).content
    folded = fold(left), fold(right)
    same = folded[0] == folded[1] if any(folded) else left == right
    assert np.array_equal(content[0], content[1]) == same


@pytest.mark.parametrize("length", [2040, 2047, 2048, 2049, 4096, 6200])
def test_blocks_leave_no_seam(length: int) -> None:
    rng = np.random.default_rng(length)
    text = "".join(rng.choice(list("abc é中"), length))
    assert len(shingle_sets(strings(text), PLAN)[0].as_py()) == 4 * len(windows(text, PLAN))
    shifted = sketch(strings(text, "!" * 1999 + text + "?" * 3000), None, PLAN)
    np.testing.assert_array_equal(shifted.content[0], shifted.content[1])
    np.testing.assert_array_equal(shifted.signatures[0], shifted.signatures[1])


def test_a_gap_at_a_seam_is_neither_lost_nor_doubled() -> None:
    letters_only = "".join(np.random.default_rng(0).choice(list(string.ascii_lowercase), 2060))
    for letters in range(2000, 2060):
        text = letters_only[:letters] + " the end of it"
        assert len(shingle_sets(strings(text), PLAN)[0].as_py()) == 4 * len(windows(text, PLAN))
        assert exact(text, text.replace(" ", " ;\n ")) == 1.0
        a, b = windows(text, PLAN), windows("zz" + text, PLAN)
        assert exact(text, "zz" + text) == pytest.approx(len(a & b) / len(a | b))
        assert len(shingle_sets(strings(text[: letters + 1]), PLAN)[0].as_py()) == 4 * len(
            windows(text[:letters], PLAN)
        )


@pytest.mark.parametrize("size", [5, 50, 500, 5000])
@pytest.mark.parametrize("jaccard", [0.1, 0.3, 0.5, 0.8, 0.95, 1.0])
def test_estimate_is_unbiased(jaccard: float, size: int) -> None:
    left, right = random_pairs(jaccard, size, 300)
    true = np.array([exact(a, b) for a, b in zip(left, right, strict=True)])
    a, b = (sketch(strings(*texts), None, PLAN).signatures for texts in (left, right))
    errors = similarities(a, b) - true
    spread = errors.std(ddof=1)
    assert abs(errors.mean()) <= 3 * spread / np.sqrt(len(errors)) + 1e-12
    if size > 2 * PLAN.bins:
        assert spread <= 1.15 * np.sqrt(jaccard * (1 - jaccard) / PLAN.bins)  # 300 pairs know the spread to 4 %


@pytest.mark.parametrize("size", [5, 40, 400])
def test_bands_meet_as_often_as_the_curve_says(size: int) -> None:
    plan = SketchPlan(PLAN.shingle_chars, 256, 256, 1)
    left, right = random_pairs(0.5, size, 150)
    true = np.array([exact(a, b) for a, b in zip(left, right, strict=True)])
    a, b = (sketch(strings(*texts), None, plan).keys for texts in (left, right))
    errors = (a == b).mean(axis=1) - true
    assert abs(errors.mean()) <= 3 * errors.std(ddof=1) / np.sqrt(len(errors))


def test_golden() -> None:
    made = sketch(
        strings("The quick brown fox jumps over the lazy dog.", "中文维基百科是维基百科协作计划的中文版", "hi"),
        None,
        PLAN,
    )
    contents = [bytes(row).hex() for row in made.content]
    assert contents == GOLDEN_CONTENTS
    assert made.keys[:, 0].tolist() == GOLDEN_KEYS
    assert [int(row.astype(np.int64) @ np.arange(1, 257)) for row in made.signatures] == GOLDEN_SIGNATURES
    assert made.key_counts.tolist() == [25, 25, 1]


GOLDEN_CONTENTS = [
    "4f9716177c9391a1f5df7948875968f5",
    "783b23f2c826485aa778a93273eaa63d",
    "ef5576a9d4dd249fb48828259143d783",
]
GOLDEN_KEYS = [2087095848520646698, 2062851697774279161, -6979209617071516177]
GOLDEN_SIGNATURES = [380225, 67655, 336]


def test_scopes_keep_texts_apart() -> None:
    texts, scopes = strings("the same words in both", "the same words in both"), strings("eng_Latn", "sco_Latn")
    apart, together = sketch(texts, scopes, PLAN), sketch(texts, None, PLAN)
    assert not np.array_equal(apart.content[0], apart.content[1])
    assert not np.intersect1d(apart.keys[0], apart.keys[1]).size
    np.testing.assert_array_equal(together.keys[0], together.keys[1])


def _raw(*values: bytes) -> pa.Array:
    """A string array whose bytes nobody checked, as a JVM may send it."""
    binary = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(binary), binary.buffers())


@settings(deadline=None)
@given(st.lists(st.binary(max_size=12), min_size=1, max_size=6))
def test_any_bytes_are_read_within_their_text(values: list[bytes]) -> None:
    together = sketch(_raw(*values), None, SHORT)
    for i, value in enumerate(values):
        alone = sketch(_raw(value), None, SHORT)
        np.testing.assert_array_equal(together.content[i], alone.content[0])
        np.testing.assert_array_equal(together.signatures[i], alone.signatures[0])
    shingle_sets(_raw(*values), SHORT)


def test_texts_without_letters_compare_by_their_bytes() -> None:
    made = sketch(strings("", "", "!!!", "???", "😀", "a", "b"), None, PLAN)
    distinct = {bytes(row) for row in made.content}
    assert len(distinct) == 6
    assert made.key_counts.tolist() == [1] * 7
    assert made.lengths.tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert len(set(made.keys[:, 0].tolist())) == 6


def test_a_null_reads_as_empty() -> None:
    made = sketch(pa.array([None, "", "x"], pa.string()), None, PLAN)
    np.testing.assert_array_equal(made.content[0], made.content[1])


@pytest.mark.parametrize(
    "text", ["a" * 50_000_000, "e" + "\u0301" * 3_000_000, "ﷺ" * 200_000, "\x00" * 1_000_000 + "end"],
    ids=["50 MB", "combining marks", "expansions", "NULs"],
)  # fmt: skip
def test_hostile_texts(text: str) -> None:
    made = sketch(strings(text, "a harmless neighbour of some length"), None, PLAN)
    neighbour = sketch(strings("a harmless neighbour of some length"), None, PLAN)
    np.testing.assert_array_equal(made.signatures[1], neighbour.signatures[0])


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.1, 0.9), (0.05, 0.95)])
@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9])
@pytest.mark.parametrize("size", [64, 128])
def test_bands_are_those_of_datasketch(threshold: float, size: int, weights: tuple[float, float]) -> None:
    assert optimal_bands(threshold, size, weights) == _optimal_param(threshold, size, *weights)


@given(st.integers(0, 2**32), st.integers(1, 300))
@settings(max_examples=20, deadline=None)
def test_signature_similarity_matches_its_definition(seed: int, filled: int) -> None:
    rng = np.random.default_rng(seed)
    levels = np.where(rng.random((2, 64)) < filled / 300, rng.integers(1, 16, (2, 64)), 0).astype(np.uint8)
    levels[1, :20] = levels[0, :20]
    a, b = levels
    either, both = ((a > 0) | (b > 0)).sum(), (a > 0) & (b > 0)
    same = both.sum() - (both & (a != b)).sum() * 15 / 14
    packed: npt.NDArray[np.uint8] = levels[:, 0::2] | levels[:, 1::2] << 4
    expected = min(1, max(0, same / either)) if either else 0
    assert similarities(packed[:1], packed[1:])[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    "plan", [((9,) * 5, 100, 5, 5), ((9,) * 5, 64, 9, 8), ((0, 5, 5, 5, 5), 64, 4, 8)], ids=["bins", "bands", "chars"]
)
def test_impossible_plans_are_refused(plan: tuple[tuple[int, int, int, int, int], int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"bins|bands|shingle_chars"):
        SketchPlan(*plan)
