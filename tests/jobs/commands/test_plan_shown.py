"""What ``backprompt plan`` prints; no Spark."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from jobs.commands.plan import _short, as_json, comparison_as_json, print_comparison, print_planned
from jobs.runtime.comparison import Amount, Compared, Comparison
from jobs.runtime.forecast import Observation, Sampled, Stratum, forecast
from jobs.runtime.planning import Planned
from tests.jobs.commands.test_check_engines import load


def printed(show: object, what: object) -> str:
    out = io.StringIO()
    show(Console(file=out, width=120, color_system=None), what)  # type: ignore[operator]
    return out.getvalue()


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    recipe = load(tmp_path)
    seen = [Observation("own", "cat_Latn", at % 4 > 0, 100 + at, 100 + at, 50, 7) for at in range(40)]
    plan = forecast(
        recipe.order,
        [Stratum("own", "cat_Latn", 12_345_678, 12_345_678_000), Stratum("own", "oci_Latn", 3, 300)],
        {"translate": Sampled(seen, "tokens", 1_000.0)},
        prices={"translate": lambda read, written, hours: (read + written + 0 * hours) / 1e6},
    )
    return Planned(
        recipe, plan, "EUR", (), None, ("own",), ("big",), 40, {"instruct": "it is not there"}, ("instruct",)
    )


def test_numbers_are_short_and_whole_in_120_columns(planned: Planned) -> None:
    text = printed(print_planned, planned)
    assert "…" not in text
    for part in ("12.3M", "12.3G", "tokens", "cost, EUR", "Not measured: instruct (it is not there)", "--read-all"):
        assert part in text, part
    assert "The cost is without instruct" in " ".join(text.split())
    assert planned.plan.money is not None
    assert f"Cost: {planned.plan.money.value:,.2f} EUR" in text


def test_json_has_all_rows(planned: Planned) -> None:
    found = json.loads(as_json(planned))
    assert {(row["stage"], row["language"], row["source"]) for row in found["rows"]} == {
        (stage, language, "own") for stage in planned.recipe.order for language in ("cat_Latn", "oci_Latn")
    }
    assert found["cost_without"] == ["instruct"]
    (translate,) = (row for row in found["stages"] if row["stage"] == "translate")
    assert translate["documents_kept"]["low"] < translate["documents_kept"]["value"] < 12_345_681


def comparison_of(actual: float | None) -> Comparison:
    nothing = Amount(None, None, None, None)
    documents = Amount(110.0, 100.0, 120.0, actual)
    one = Compared("clean", None, documents, documents, *[nothing] * 6)
    return Comparison("abc", "own", datetime(2026, 1, 2, tzinfo=UTC), None, (one,), ())


def test_planned_against_actual() -> None:
    text = printed(print_comparison, comparison_of(100.0))
    assert "+10.0%" in text
    assert "tokens" not in text, "what was not planned is not shown"
    assert json.loads(comparison_as_json(comparison_of(100.0)))["stages"][0]["documents"]["actual"] == 100
    assert "nothing to compare yet" in printed(print_comparison, comparison_of(None))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *((0, "0"), (9_999, "9,999"), (9_999.6, "10k"), (12_345, "12.3k"), (999_960, "1M"), (4.5678e6, "4.57M")),
        *((999.6e6, "1G"), (1.2e10, "12G"), (2e12, "2e+12")),
    ],
)
def test_short_numbers(number: float, text: str) -> None:
    assert _short(number) == text
