"""The page in a real browser: quiet, on its own, readable on a phone and in the dark, safe, and every script as it
runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from jobs.report.charts import bars
from jobs.report.data import PairCell, Pairs, ReportData
from jobs.report.page import render
from jobs.report.sections import sections
from jobs.runtime.conf import language_table
from jobs.runtime.reasons import Reason
from tests.browser import errors_of
from tests.jobs.report.example import HOSTILE, TEXTS, example

# WCAG 2.2, 1.4.3: text of usual size.
LEAST_CONTRAST = 4.5
_CONTRASTS = """() => {
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
  const read = colour => colour.match(/[\\d.]+/g).map(Number);
  const behind = each => {
    for (; each; each = each.parentElement) {
      const colour = read(getComputedStyle(each).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const shown = "h1,h2,p,a,summary,figcaption,th,td,dt,dd,li,button,caption,.words,svg text";
  for (const each of document.querySelectorAll(shown)) {
    if (!each.textContent.trim()) continue;
    const style = getComputedStyle(each);
    const ink = read(each.closest("svg") ? style.fill : style.color);
    const [one, other] = [light(ink), light(behind(each))].sort((a, b) => b - a);
    found.push([(one + .05) / (other + .05), each.tagName + " " + each.textContent.slice(0, 30)]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}"""


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(render(example()), encoding="utf-8")
    return file


@pytest.fixture
def opened(browser: Browser, html: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Page, list[str], list[str]]]:
    """The page in a context of its own; the errors it gives, and what it asks for beside itself."""
    context = browser.new_context(**getattr(request, "param", {}))
    page = context.new_page()
    errors, asked = errors_of(page), []  # type: tuple[list[str], list[str]]
    page.on("request", lambda each: asked.append(each.url))
    page.goto(html.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    yield page, errors, asked
    context.close()


def test_it_is_quiet_and_asks_for_nothing(opened: tuple[Page, list[str], list[str]], html: Path) -> None:
    page, errors, asked = opened
    assert errors == []
    assert [url for url in asked if not url.startswith("data:")] == [html.as_uri()]
    assert page.locator("section h2").count() == len(list(sections(example())))


def test_texts_of_the_lake_are_texts(opened: tuple[Page, list[str], list[str]]) -> None:
    page, errors, _ = opened
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0
    assert page.evaluate("document.querySelectorAll('[onerror]').length") == 0
    assert HOSTILE in page.title()
    assert page.get_by_text(HOSTILE, exact=True).count() > 3
    assert errors == []


@pytest.mark.parametrize("opened", [{"viewport": {"width": 360, "height": 740}}], indirect=True, ids=["phone"])
def test_on_a_phone_nothing_is_wider_than_the_screen(opened: tuple[Page, list[str], list[str]]) -> None:
    page, _, _ = opened
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    # Charts are shown at the size that they were drawn for: their letters are no smaller than on a desk.
    scale = page.evaluate(
        "Math.min(...[...document.querySelectorAll('figure svg')].map(e => e.clientWidth / e.viewBox.baseVal.width))"
    )
    assert scale > 0.85


@pytest.mark.parametrize("opened", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=str)
def test_every_text_stands_out_from_what_is_behind_it(opened: tuple[Page, list[str], list[str]]) -> None:
    page, _, _ = opened
    contrasts = page.evaluate(_CONTRASTS)
    assert len(contrasts) > 100
    assert contrasts[0][0] >= LEAST_CONTRAST, contrasts[:3]


@pytest.mark.parametrize("opened", [{"color_scheme": "dark"}], indirect=True, ids=["dark"])
def test_the_button_changes_the_colours(opened: tuple[Page, list[str], list[str]]) -> None:
    page, errors, _ = opened
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Show in light colours").click()
    assert page.evaluate(ground) == "rgb(255, 255, 255)" != dark
    page.reload()
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    assert errors == []


@pytest.mark.parametrize(
    ("code", "tag", "direction"),
    [
        ("arb_Arab", "ar-Arab", "rtl"),
        ("heb_Hebr", "he-Hebr", "rtl"),
        ("hin_Deva", "hi-Deva", "ltr"),
        ("xxx_Test", "xxx-Test", "ltr"),
    ],
)
def test_texts_have_their_language_and_direction(
    opened: tuple[Page, list[str], list[str]], code: str, tag: str, direction: str
) -> None:
    page, _, _ = opened
    words = page.locator(f"#samples .words[lang='{tag}']").last
    assert words.inner_text().startswith(TEXTS[code][:20])
    assert words.evaluate("each => getComputedStyle(each).direction") == direction


def test_every_chart_has_a_name_and_its_numbers(opened: tuple[Page, list[str], list[str]]) -> None:
    page, _, _ = opened
    charts = page.locator("figure svg")
    assert charts.count() >= 10
    for figure in page.locator("figure").all():
        if figure.locator("svg").count():
            assert figure.locator("svg").get_attribute("aria-label") == figure.locator("figcaption").inner_text()
            assert figure.locator("table tbody tr").count() > 0
    names: list[str] = page.evaluate("[...document.querySelectorAll('[id]')].map(each => each.id)")
    assert len(names) == len(set(names))


def test_reasons_are_not_cut() -> None:
    reasons = [each.value for each in Reason]
    for first in range(0, len(reasons), 20):
        shown = reasons[first : first + 20]
        svg = bars("Reasons", [(reason, 1) for reason in shown], "rows", kind="reason").svg
        assert "…" not in svg
        for part in {part for reason in shown for part in (reason.split(".")[0] + ".", reason.split(".")[1])}:
            assert f">{part}<" in svg


def empty(**values: Any) -> ReportData:
    return ReportData(lake="/lake", recipe="", made_at="now", seed=0, languages=language_table(), **values)


def test_instructions_by_rules_are_counted_with_titles() -> None:
    cells = [PairCell("web", "cat_Latn", "train", 4, 1, 1)]
    page = render(empty(pairs=Pairs(cells=cells, generators={"openai": 2, "template-v1": 1, "title": 1})))
    assert "50.0 % of the pairs have an instruction that a rule wrote" in page


def test_what_is_missing_is_said_section_by_section() -> None:
    page = render(empty())
    for section in sections(empty()):
        found = re.search(rf'<section id="{section.name}".*?</section>', page, re.DOTALL)
        assert found is not None
        assert ('class="empty"' in found.group()) == (section.name != "summary"), section.name
