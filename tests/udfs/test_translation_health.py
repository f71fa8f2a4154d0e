"""Health of translations: each fault alone, and what looks like one but is none."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.scripts import NAMES
from udfs.translation_health import Health, combine, measure

SPANISH = "La casa que vimos ayer cerca del río era de mis abuelos."
ENGLISH = "The house that we saw yesterday near the river was my grandparents'."
FAULTS = ("truncated", "repeated", "copied", "empty", "wrong_script")


def faults(source: str, target: str, ended: bool = True, languages: tuple[str, str] = ("spa_Latn", "eng_Latn")):
    health = measure(source, target, ended, *languages)
    assert health.segments == 1
    return {name for name in FAULTS if getattr(health, name)}


@pytest.mark.parametrize(
    ("source", "target", "languages"),
    [
        (SPANISH, ENGLISH, ("spa_Latn", "eng_Latn")),
        (ENGLISH, "Мы вчера видели дом у реки, он был IBM и Microsoft Windows", ("eng_Latn", "rus_Cyrl")),
        ("Juan García", "Juan García", ("spa_Latn", "eng_Latn")),
        (
            "Capítulo primero ................................ 12",
            "Chapter one ................................ 12",
            ("spa_Latn", "eng_Latn"),
        ),
        ("ja ja ja ja ja ja ja ja ja ja ja", "ha ha ha ha ha ha ha ha ha ha ha", ("spa_Latn", "eng_Latn")),
        (
            "El número 1000000000000000000000000 es muy grande",
            "The number 1000000000000000000000000 is very big",
            ("spa_Latn", "eng_Latn"),
        ),
        (ENGLISH, "Kuća koju smo vidjeli jučer pored rijeke.", ("eng_Latn", "hrv_Latn")),
        (ENGLISH, "昨日川の近くで見た家は祖父母のものでした。", ("eng_Latn", "jpn_Jpan")),
        (ENGLISH, "우리가 어제 강 근처에서 본 집", ("eng_Latn", "kor_Hang")),
        (ENGLISH, "ቤቱ ትናንት ያየነው ቤት የአያቶቼ ነበር", ("eng_Latn", "amh_Ethi")),
        (ENGLISH, ENGLISH, ("eng_Latn", "eng_Latn")),
    ],
)
def test_no_fault(source, target, languages):
    assert faults(source, target, languages=languages) == set()


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("The house that we saw", {"truncated"}),
        ("The house of the of the of the of the of the of the of the", {"truncated", "repeated"}),
    ],
)
def test_cut_at_the_limit(target, found):
    assert faults(SPANISH, target, ended=False) == found


@pytest.mark.parametrize("part", ["a", "of the ", "his house was near the river, and then ", "的房子", "।ह "])
def test_loops_of_any_length(part):
    times = max(4, -(-24 // len(part)))
    assert "repeated" in faults(SPANISH, "The house is " + part * times + ".")
    assert "repeated" not in faults(SPANISH, "The house is " + part * 2 + ".")


def test_a_source_that_comes_back():
    assert faults(SPANISH, SPANISH) == {"copied"}
    assert faults(SPANISH, SPANISH.upper().replace(" ", "  ")) == {"copied"}
    assert faults(SPANISH, "Well: " + SPANISH) == {"copied"}
    assert faults(
        "那是我祖父母的房子，我们昨天在河边看到的。",
        "那是我祖父母的房子，我们昨天在河边看到的。",
        languages=("zho_Hans", "eng_Latn"),
    ) == {"copied", "wrong_script"}


@pytest.mark.parametrize("target", ["", "   ", "...", "?!"])
def test_nothing_comes_back(target):
    assert faults(SPANISH, target) == {"empty"}


@pytest.mark.parametrize(
    ("target", "language"),
    [
        (ENGLISH, "rus_Cyrl"),
        (ENGLISH, "arb_Arab"),
        ("Дом, который мы видели вчера", "eng_Latn"),
        ("那是我祖父母的房子，我们昨天在河边看到的", "kat_Geor"),
    ],
)
def test_the_wrong_script(target, language):
    assert faults(SPANISH, target, languages=("spa_Latn", language)) == {"wrong_script"}


def test_every_script_of_the_language_table_is_known():
    table = Path(__file__).resolve().parents[2] / "conf" / "languages.csv"
    scripts = {row["script"] for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines())}
    assert scripts <= set(NAMES)


def test_length_ratio():
    assert measure("a" * 40, "b" * 60, True, "spa_Latn", "eng_Latn").max_length_ratio == 1.5
    assert measure("a" * 19, "b" * 60, True, "spa_Latn", "eng_Latn").max_length_ratio is None
    # A wide character is as long as two others.
    assert measure("a" * 40, "房子" * 10, True, "eng_Latn", "zho_Hans").min_length_ratio == 1.0


def test_a_text_is_the_sum_of_its_segments():
    parts = [
        measure(SPANISH, text, ended, "spa_Latn", "eng_Latn")
        for text, ended in [(ENGLISH, True), ("", True), ("The", False), (SPANISH, True), ("x" * 560, True)]
    ]
    whole = combine(parts)
    assert (whole.segments, whole.empty, whole.truncated, whole.copied, whole.repeated) == (5, 1, 1, 1, 1)
    assert whole.min_length_ratio == 0.0
    assert whole.max_length_ratio == 10.0
    assert combine([]) == Health()


@given(st.text(), st.text(), st.booleans())
def test_any_text_is_measured(source, target, ended):
    health = measure(source, target, ended, "spa_Latn", "eng_Latn")
    assert health.truncated == (not ended)
    assert all(getattr(health, name) in (0, 1) for name in FAULTS)
