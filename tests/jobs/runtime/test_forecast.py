"""What all documents take, concluded from a few; the demo's own numbers are the truth that it is held against."""

from __future__ import annotations

import csv
import gzip
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest

from jobs.runtime.forecast import Counted, Forecast, Observation, Plan, Range, Sampled, Stated, Stratum, forecast
from jobs.runtime.planning import LEAST_SAMPLED, _allocated
from tests.conftest import DATA
from udfs.sampling import SEPARATOR

ORDER = ("clean", "dedup", "translate", "instruct", "back_translate", "screen", "pairs")
MEASURED = ("clean", "translate", "instruct", "back_translate", "screen")
COVERED = {"spa_Latn", "cat_Latn", "fra_Latn", "por_Latn", "ita_Latn", "epo_Latn", "glg_Latn"}
WITHIN = 0.15

Demo = Mapping[int, Mapping[str, Observation]]


@pytest.fixture(scope="module")
def demo() -> Demo:
    """What each stage of the whole demo did with each document."""
    found: dict[int, dict[str, Observation]] = defaultdict(dict)
    with gzip.open(DATA / "planning" / "demo_measures.tsv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            numbers = (int(row[name]) for name in ("characters_in", "characters_out", "units_in", "units_out"))
            found[int(row["document"])][row["stage"]] = Observation(
                row["source"], row["language"], row["is_alive"] == "1", *numbers
            )
    return found


def strata_of(demo: Demo) -> list[Stratum]:
    documents: Counter[tuple[str, str]] = Counter()
    characters: Counter[tuple[str, str]] = Counter()
    for each in demo.values():
        first = each["clean"]
        documents[first.source, first.language] += 1
        characters[first.source, first.language] += first.characters_in
    return [Stratum(*key, documents[key], characters[key]) for key in documents]


def sample_of(demo: Demo, size: int, seed: int) -> dict[str, Sampled]:
    """What a sample shows, drawn as a plan draws it."""
    by_stratum: dict[str, list[int]] = defaultdict(list)
    for document, each in demo.items():
        by_stratum[SEPARATOR.join((each["clean"].source, each["clean"].language))].append(document)
    draw = random.Random(seed)
    numbers = _allocated({name: len(each) for name, each in by_stratum.items()}, size)
    chosen = [document for name, each in by_stratum.items() for document in draw.sample(each, numbers[name])]
    return {stage: Sampled([demo[each][stage] for each in chosen if stage in demo[each]]) for stage in MEASURED}


def plan_of(demo: Demo, known: Mapping[str, Sampled], seed: int = 0) -> Plan:
    strata = strata_of(demo)
    uncovered = {each.language for each in strata} - COVERED
    return forecast(ORDER, strata, known, uncovered={"translate": uncovered}, seed=seed)


def actual_of(demo: Demo) -> dict[str, tuple[int, ...]]:
    """Documents, characters, and what the engine read and wrote, by stage."""
    found = {}
    for stage in MEASURED:
        there = [each[stage] for each in demo.values() if stage in each]
        rows = [(1, one.characters_in, one.units_in, one.units_out) for one in there]
        found[stage] = tuple(sum(column) for column in zip(*rows, strict=True))
    return found


def numbers(row: Forecast) -> tuple[Range, ...]:
    assert row.units_in is not None
    assert row.units_out is not None
    return row.documents, row.characters, row.units_in, row.units_out


def errors(plan: Plan, actual: Mapping[str, Sequence[int]]) -> dict[tuple[str, int], float]:
    return {
        (row.stage, at): abs(found.value / true - 1)
        for row in plan.stages
        if row.stage in actual
        for at, (found, true) in enumerate(zip(numbers(row), actual[row.stage], strict=True))
        if true
    }


def test_a_sample_of_the_least_size_predicts_the_demo_within_15_percent(demo: Demo) -> None:
    actual = actual_of(demo)
    assert len(demo) == 1_257
    for seed in range(12):
        found = errors(plan_of(demo, sample_of(demo, LEAST_SAMPLED, seed)), actual)
        assert max(found.values()) <= WITHIN, (seed, max(found.items(), key=lambda item: item[1]))


def test_one_percent_of_the_demo_would_not_do(demo: Demo) -> None:
    """Why a sample has a least size: of 13 documents, a third or so of the draws would be near enough."""
    actual = actual_of(demo)
    worst = [max(errors(plan_of(demo, sample_of(demo, 13, seed)), actual).values()) for seed in range(10)]
    assert sum(each > WITHIN for each in worst) >= 3


def test_intervals_hold_about_what_they_say(demo: Demo) -> None:
    """Of 80 % intervals over 15 draws; model stages alone, as what comes in is counted."""
    actual = actual_of(demo)
    held = []
    for seed in range(15):
        plan = plan_of(demo, sample_of(demo, LEAST_SAMPLED, seed), seed)
        for row in plan.stages:
            if row.stage in actual and row.stage != "clean":
                pairs = zip(numbers(row), actual[row.stage], strict=True)
                held += [found.low <= true <= found.high for found, true in pairs if true]
    assert 0.65 <= sum(held) / len(held) <= 0.95


def test_a_larger_sample_leaves_less_open(demo: Demo) -> None:
    def width(size: int) -> float:
        kept = plan_of(demo, sample_of(demo, size, 0)).stages[-1].kept
        return kept.high - kept.low

    assert width(800) < width(200) < width(60)


def test_what_was_sampled_whole_is_exact(demo: Demo) -> None:
    plan = plan_of(demo, sample_of(demo, len(demo), 0))
    actual = actual_of(demo)
    for row in plan.stages:
        if row.stage in actual:
            for found, true in zip(numbers(row), actual[row.stage], strict=True):
                # Shared lines, which no sample shows, take 0.3 % of the characters between clean and translate.
                assert found.value == pytest.approx(true, rel=4e-3), row.stage
    translated = {row.language: row for row in plan.languages if row.stage == "instruct"}
    for language in COVERED:
        true = sum("instruct" in each and each["clean"].language == language for each in demo.values())
        assert translated[language].documents.value == pytest.approx(true, rel=1e-6)


def seen(language: str, *, alive: bool = True, length: int = 100, units: int = 10, source: str = "a") -> Observation:
    return Observation(source, language, alive, length, length, units, units)


def by_stage(plan: Plan) -> dict[str, Forecast]:
    return {row.stage: row for row in plan.stages}


class TestRules:
    def test_rows_sum_up_to_stages_and_each_takes_in_what_the_one_before_kept(self, demo: Demo) -> None:
        plan = plan_of(demo, sample_of(demo, 200, 3))
        for stage in ORDER:
            (whole,) = (row for row in plan.stages if row.stage == stage)
            for rows in (plan.rows, plan.languages):
                own = [row.documents.value for row in rows if row.stage == stage]
                assert sum(own) == pytest.approx(whole.documents.value)
        for before, after in pairwise(plan.stages):
            assert after.documents.value == pytest.approx(before.kept.value)

    def test_a_language_without_a_sample_is_like_the_rest(self) -> None:
        known = {"clean": Sampled([seen("x", alive=at % 2 == 0) for at in range(40)])}
        plan = forecast(["clean"], [Stratum("a", "x", 100, 10_000), Stratum("a", "y", 100, 20_000)], known)
        other = next(row for row in plan.languages if row.language == "y")
        assert other.kept.value == pytest.approx(50)
        assert other.observed == 0
        assert other.kept.low < 50 < other.kept.high

    def test_a_small_sample_of_a_language_leans_on_the_others(self) -> None:
        known = {"clean": Sampled([*[seen("x")] * 50, *[seen("y", alive=False)] * 2])}
        strata = [Stratum("a", "x", 1_000, 100_000), Stratum("a", "y", 1_000, 100_000)]
        kept = {row.language: row.kept.value for row in forecast(["clean"], strata, known).languages}
        assert 900 < kept["x"] <= 1_000
        assert 100 < kept["y"] < 700

    def test_languages_that_an_engine_lacks_cost_it_nothing_and_end_there(self) -> None:
        known = {"translate": Sampled([seen("x")] * 10)}
        strata = [Stratum("a", "x", 10, 1_000), Stratum("a", "y", 30, 3_000)]
        found = by_stage(forecast(["translate", "pairs"], strata, known, uncovered={"translate": ["y"]}))
        assert found["translate"].documents.value == 40
        assert found["pairs"].documents.value == pytest.approx(10)
        assert found["translate"].units_in is not None
        assert found["translate"].units_in.value == pytest.approx(100)

    def test_rows_that_hold_their_instruction_pass(self) -> None:
        known = {
            "translate": Sampled([seen("x", alive=False)] * 10),
            "screen": Sampled([seen("x", alive=at % 2 == 0, source="pairs") for at in range(10)]),
        }
        strata = [Stratum("a", "x", 10, 1_000), Stratum("pairs", "x", 10, 500, holds_pairs=True)]
        plan = forecast(["translate", "screen"], strata, known, uncovered={"translate": ["y"]}, passed={"translate"})
        found = by_stage(plan)
        assert found["translate"].documents.value == 20
        assert found["translate"].units_in is not None
        assert found["translate"].units_in.value == pytest.approx(100), "ten documents, and no pair"
        assert found["screen"].documents.value == pytest.approx(10)
        assert found["screen"].kept.value == pytest.approx(5)

    def test_what_waits_in_a_lake_comes_in_at_its_stage(self) -> None:
        waiting = {"instruct": [Stratum("a", "x", 5, 500)]}
        found = by_stage(forecast(["translate", "instruct"], [Stratum("a", "x", 10, 1_000)], {}, waiting=waiting))
        assert (found["translate"].documents.value, found["instruct"].documents.value) == (10, 15)
        assert found["instruct"].characters.value == 1_500

    def test_counted_stated_and_unknown_stages(self) -> None:
        known = {
            "dedup": Counted({("a", "x"): (0.5, 0.4)}),
            "instruct": Stated(0.8, 2_000, 50, per_second=1_000),
        }
        plan = forecast(["dedup", "translate", "instruct"], [Stratum("a", "x", 100, 10_000)], known)
        found = by_stage(plan)
        assert {name: row.basis for name, row in found.items()} == {
            "dedup": "counted",
            "translate": "assumed",
            "instruct": "stated",
        }
        assert found["translate"].characters.value == pytest.approx(4_000)
        assert found["translate"].unit is None
        assert found["translate"].units_in is None
        instruct = found["instruct"]
        assert (instruct.unit, instruct.units_in, instruct.units_out) == (
            "tokens",
            Range(*[pytest.approx(100_000)] * 3),
            Range(*[pytest.approx(2_500)] * 3),
        )
        assert instruct.hours is not None
        assert instruct.hours.value == pytest.approx(102.5 / 3_600)
        assert instruct.kept.value == pytest.approx(40)

    def test_prices_are_put_on_amounts(self) -> None:
        known = {"translate": Sampled([seen("x", units=50)] * 10, "tokens", 100.0)}
        strata = [Stratum("a", "x", 36, 3_600)]
        prices = {"translate": lambda read, written, hours: read * 2 + written + hours * 1_000}
        plan = forecast(["translate"], strata, known, prices=prices)
        assert plan.hours is not None
        assert plan.hours.value == pytest.approx(0.01)
        assert plan.money is not None
        assert plan.money.value == pytest.approx(1_800 * 3 + 10)

    def test_amounts_follow_the_text_or_not_as_the_sample_shows(self) -> None:
        texts = [Observation("a", "x", True, length, length, length * 2, 20) for length in (50, 100, 300, 1_000)]
        # The corpus has longer texts than the sample.
        (row,) = forecast(["s"], [Stratum("a", "x", 100, 80_000)], {"s": Sampled(texts)}).stages
        assert row.units_in is not None
        assert row.units_out is not None
        assert row.units_in.value == pytest.approx(160_000)
        assert row.units_out.value == pytest.approx(2_000)

    def test_nothing_comes_in(self) -> None:
        assert forecast(["clean"], [], {"clean": Sampled([seen("x")])}).stages == ()

    def test_the_same_seed_gives_the_same_plan(self, demo: Demo) -> None:
        sample = sample_of(demo, 60, 1)
        assert plan_of(demo, sample, 5) == plan_of(demo, sample, 5)
        assert plan_of(demo, sample, 5) != plan_of(demo, sample, 6)


def test_a_sample_misses_no_small_language() -> None:
    found = _allocated({"large": 1_000_000, "small": 90, "one": 1}, 1_000)
    assert found["one"] == 1
    assert found["small"] >= 2
    assert sum(found.values()) == 1_000
    halves = _allocated({"large": 40_000, "small": 100}, 104)
    assert halves["large"] / halves["small"] == pytest.approx(20, rel=0.4), "by the roots of their sizes"
    assert _allocated({"a": 5, "b": 5}, 1) == {"a": 2, "b": 2}, "two of each, whatever was asked for"
    assert _allocated({"a": 5, "b": 3}, 100) == {"a": 5, "b": 3}
