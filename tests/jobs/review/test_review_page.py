"""Reviewers in a real browser: what they mark is what the lake holds, whatever is reloaded, stopped or killed."""

from __future__ import annotations

import io
import threading
import time
from types import SimpleNamespace

import pytest
from playwright.sync_api import Page, expect
from rich.console import Console

from jobs.commands import review
from jobs.review import server
from jobs.review.guideline import load_guideline
from jobs.review.page import add_pages
from jobs.review.sample import is_swapped
from jobs.review.store import latest
from jobs.runtime.schema import REVIEWS
from tests.browser import errors_of
from tests.jobs.review.conftest import pair
from tests.soak.processes import Run

CRITERIA = [criterion.name for criterion in load_guideline("muri").criteria]
SAVED_MS = 30_000
ARABIC = {
    "instruction": "ما هي المنارة؟",
    "output": "wikiHow: المنارة برج (tower) على الشاطئ.\nوهي ترشد السفن.",
    "instruction_en": "What is a lighthouse?",
    "url": "https://ar.wikipedia.org/wiki/منارة",
    "title": "منارة",
}


@pytest.fixture(scope="module")
def lake(lake_of, tmp_path_factory):
    rows = [pair(n) for n in range(3)] + [pair(n, source="wikihow") for n in range(3)]
    hostile = pair(0, "cat_Latn", output="<b onclick=alert(1)>fort</b> & \"clar\" '{x}'", url="javascript:alert(1)")
    return lake_of(tmp_path_factory.mktemp("review") / "lake", [*rows, pair(0, "arb_Arab", **ARABIC), hostile])


@pytest.fixture(scope="module")
def served(lake):
    """The page, served by a thread of this process."""
    listener = server.listen("127.0.0.1", 0)
    site = review.prepare(Console(file=io.StringIO()), lake, None, review.ReviewRequest(rows=4, seed=5))
    web = server.make_server(site, "127.0.0.1")
    thread = threading.Thread(target=web.run, kwargs={"sockets": [listener]})
    thread.start()
    deadline = time.monotonic() + 30
    while not web.started and time.monotonic() < deadline:
        time.sleep(0.05)

    def stop():
        web.should_exit = True
        thread.join()
        site.store.close()

    address = f"127.0.0.1:{listener.getsockname()[1]}"
    yield SimpleNamespace(site=site, stop=stop, url=f"http://{address}/", port=listener.getsockname()[1])
    stop()


def held(lake):
    """What the table holds: marks and comment by reviewer and pair."""
    rows = latest(lake.read("reviews", REVIEWS).where("kind = 'muri'")).collect()
    return {(row["reviewer"], row["pair_id"]): (row["marks"], row["comment"]) for row in rows}


def enter(page: Page, url: str, name: str, language: str) -> None:
    page.goto(url)
    page.get_by_label("Your name").fill(name)
    page.get_by_role("combobox", name="Language").click()
    page.get_by_role("option", name=language).click()
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_test_id("instruction")).to_be_visible()


def click(page: Page, criterion: str, value: int) -> None:
    questions = load_guideline("muri").criteria
    asked = next(each for each in questions if each.name == criterion)
    label = next(point.label for point in asked.points if point.value == value)
    page.get_by_role("radiogroup", name=asked.question).get_by_role("radio", name=label, exact=True).click()


def chosen(page: Page) -> list[str]:
    return [each.get_attribute("aria-label") for each in page.locator("[aria-checked=true]").all()]


def wait_until_saved(page: Page, marks: int) -> None:
    """Wait until the page shows so many marks, and says that they are saved."""
    expect(page.locator("[aria-checked=true]")).to_have_count(marks)
    expect(page.get_by_test_id("status")).to_have_text("Saved", timeout=SAVED_MS)


def test_every_script_is_shown_in_its_own_direction_and_as_text(browser, lake, served):
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    errors = errors_of(page)
    enter(page, served.url, "Noor", "Arabic")
    output = page.get_by_test_id("output")
    expect(output).to_have_text(ARABIC["output"], use_inner_text=True)
    assert output.get_attribute("lang") == "ar-Arab"
    assert output.evaluate("box => getComputedStyle(box).direction") == "rtl"
    expect(page.get_by_role("link")).to_have_attribute("href", ARABIC["url"])
    expect(page.get_by_text(ARABIC["instruction_en"])).to_be_hidden()
    page.get_by_text("The instruction in English").click()
    expect(page.get_by_text(ARABIC["instruction_en"])).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    enter(page, served.url, "Noor", "Catalan")
    expect(page.get_by_test_id("output")).to_have_text("<b onclick=alert(1)>fort</b> & \"clar\" '{x}'")
    expect(page.get_by_text("javascript:alert(1)")).to_be_visible()
    expect(page.get_by_role("link")).to_have_count(0)
    assert errors == []


def test_what_is_missing_is_asked_for(browser, served):
    page = browser.new_page()
    page.goto(f"{served.url}review?name=%20&language=xyz_Latn")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("Please type your name.")).to_be_visible()
    page.get_by_label("Your name").fill("x" * 81)
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("Please use at most 80 characters.")).to_be_visible()
    page.get_by_label("Your name").fill("Ana")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("Please choose a language.")).to_be_visible()


def test_the_better_pair_is_stored_whichever_side_it_was_on(browser, lake, served):
    wishes = review.ReviewRequest(
        "compare", ("spa_Latn",), rows=3, seed=5, sources=("wikipedia",), other_sources=("wikihow",)
    )
    site = review.prepare(Console(file=io.StringIO()), lake, None, wishes)
    items = site.items["spa_Latn"]
    # A reviewer for whom both cases come.
    name = next(name for name in map(str, range(99)) if len({is_swapped(item, name, 5) for item in items}) == 2)
    page = browser.new_context().new_page()
    try:
        add_pages(site)  # in place of the others, as there is one site a process
        page.goto(f"{served.url}review?name={name}&language=spa_Latn")
        expected = {}
        for place, item in enumerate(items, start=1):
            expect(page.get_by_test_id("where")).to_have_text(f"Pair {place} of 3")
            swapped = is_swapped(item, name, 5)
            first = item.other if swapped else item.pair
            expect(page.get_by_test_id("output").first).to_have_text(first.output.text)
            expect(page.get_by_text("CC-BY-SA-4.0")).to_have_count(0)
            page.get_by_role("radio", name="A is better" if place < 3 else "No difference").click()
            wait_until_saved(page, 1)
            expected[item.pair.pair_id] = 0 if place == 3 else -1 if swapped else 1
            page.keyboard.press("ArrowRight")
        expect(page.get_by_text("All 3 pairs are done.")).to_be_visible()
    finally:
        add_pages(served.site)
        site.store.close()
    rows = lake.read("reviews", REVIEWS).where("kind = 'compare'").collect()
    assert {row["pair_id"]: row["marks"]["preference"] for row in rows} == expected
    assert {row["compared_with"] for row in rows} == {"wikihow (own pairs: wikipedia)"}
    assert {row["pair_id"]: row["is_swapped"] for row in rows} == {
        item.pair.pair_id: is_swapped(item, name, 5) for item in items
    }


def test_a_name_that_points_here_is_no_way_in(browser, served):
    page = browser.new_page()
    answer = page.request.get(served.url, headers={"Host": "evil.example"})
    assert (answer.status, answer.text()) == (400, "Invalid host header")


def test_two_reviewers_a_reload_and_a_killed_server(browser, lake, served, tmp_path):
    ana, ben = browser.new_context().new_page(), browser.new_context().new_page()
    errors = [errors_of(page) for page in (ana, ben)]
    addresses = []
    ana.on("request", lambda request: addresses.append(request.url))
    items = served.site.items["spa_Latn"]
    first, second = (item.pair.pair_id for item in items[:2])
    enter(ana, served.url, "  Ana   María ", "Spanish")
    enter(ben, served.url, "Ben", "Spanish")
    for page in (ana, ben):
        expect(page.get_by_test_id("instruction")).to_have_text(items[0].pair.instruction.text)
        expect(page.get_by_test_id("where")).to_have_text("Pair 1 of 4")

    # Both at once: Ana with the mouse, Ben with the keyboard.
    for criterion, value, key in zip(CRITERIA, (4, 1, 5, 5, 3), "42553", strict=True):
        click(ana, criterion, value)
        ben.keyboard.press("2" if criterion == "alignment" else key)
    ana.get_by_label("Comment").fill("Molt bé: «sí» ✓")
    ana.get_by_role("button", name="Next", exact=True).click()
    expect(ana.get_by_test_id("where")).to_have_text("Pair 2 of 4")
    click(ana, "alignment", 1)
    wait_until_saved(ana, 1)
    wait_until_saved(ben, 5)
    expect(ana.get_by_test_id("done")).to_have_text("1 of 4 done")
    whole = dict(zip(CRITERIA, (4, 1, 5, 5, 3), strict=True))
    assert held(lake) == {
        ("Ana María", first): (whole, "Molt bé: «sí» ✓"),
        ("Ana María", second): ({"alignment": 1}, None),
        ("Ben", first): ({**whole, "alignment": 2}, None),
    }

    # A reload in the middle of a pair: the same pair, with its mark.
    ana.reload()
    expect(ana.get_by_test_id("where")).to_have_text("Pair 2 of 4")
    assert chosen(ana) == ["1"]
    click(ana, "instruction_format", 0)
    wait_until_saved(ana, 2)
    assert {url.split("/")[2] for url in addresses} == {f"127.0.0.1:{served.port}"}
    assert errors == [[], []]

    # The server goes, another comes: the open page finds it, and the reviewer goes on. Then that one is killed.
    ana.evaluate("window.is_old = true")
    served.stop()
    again = Run(
        ["review", "--lake", lake, "--port", served.port, "--rows", 4, "--seed", 5, "--log", tmp_path / "spark.log"],
        tmp_path / "log",
    )
    try:
        ana.wait_for_function("!window.is_old", timeout=120_000)
        expect(ana.get_by_test_id("done")).to_have_text("1 of 4 done")
        assert chosen(ana) == ["1", "No"]
        click(ana, "output_correctness", 2)
        wait_until_saved(ana, 3)
    finally:
        again.kill()
    assert held(lake)["Ana María", second] == (
        {"alignment": 1, "instruction_format": 0, "output_correctness": 2},
        None,
    )

    found = review.results(lake)
    out = io.StringIO()
    review.print_results(Console(file=out, width=120), found)
    of_muri = [each for each in found.results if each.kind == "muri"]
    by_criterion = {each.criterion: each for each in of_muri if each.language == "spa_Latn"}
    # One pair with the marks 4 and 2, nothing else marked twice: one value each, so no better than chance.
    assert by_criterion["alignment"].alpha == 0.0
    assert "0.00" in out.getvalue()
    assert by_criterion["output_correctness"].alpha_reason == "not defined: all marks are the same"
    assert (by_criterion["alignment"].mean, by_criterion["alignment"].reviewers) == (pytest.approx(7 / 3), 2)
