"""The page on which reviewers mark pairs, made with NiceGUI. All state is the store's: a page may be left any time."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from nicegui import ui
from nicegui.events import KeyEventArguments

from jobs.markup import script_fonts, text_attributes
from jobs.review.guideline import Criterion, Guideline, Point, Texts
from jobs.review.sample import Item, ShownPair, Text, is_swapped
from jobs.review.store import Review, Store
from jobs.runtime.conf import language_table

NAME_CHARS: Final = 80


@dataclass(frozen=True, slots=True)
class Site:
    """What every page shows a part of."""

    texts: Texts
    items: Mapping[str, tuple[Item, ...]]
    store: Store
    seed: int


def add_pages(site: Site) -> None:
    """Register the pages: ``/``, where a reviewer says who they are, and ``/review``."""

    @ui.page("/", title=site.texts.guideline.title)
    def start(name: str = "", language: str = "") -> None:
        _start_page(site, name, language)

    @ui.page("/review", title=site.texts.guideline.title)
    def review(name: str = "", language: str = "", row: int = 0) -> None:
        reviewer = tidy_name(name)
        if not 0 < len(reviewer) <= NAME_CHARS or language not in site.items:
            _start_page(site, name, language)
        else:
            ReviewPage(site, reviewer, language, row)


def tidy_name(name: str) -> str:
    """Return a reviewer's name as the table keeps it: the same however it was typed."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def language_name(code: str) -> str:
    """Return a language's name in English and in itself."""
    known = language_table().find(code, "language")
    if known is None:
        return code
    own = known.native_name
    return f"{known.name} · {own} ({code})" if own and own != known.name else f"{known.name} ({code})"


def _start_page(site: Site, name: str, language: str) -> None:
    words, guideline = site.texts.page, site.texts.guideline
    _style()

    def begin() -> None:
        reviewer = tidy_name(who.value or "")
        if not reviewer:
            ui.notify(words["name_missing"], type="warning")
        elif len(reviewer) > NAME_CHARS:
            ui.notify(words["name_long"], type="warning")
        elif which.value not in site.items:
            ui.notify(words["language_missing"], type="warning")
        else:
            ui.navigate.to("/review?" + urlencode({"name": reviewer, "language": which.value}))

    with ui.element("main").classes("bp-page bp-start"):
        _tell(guideline)
        who = ui.input(words["name"], value=name).props(f'outlined hint="{_attribute(words["name_hint"])}"')
        who.style("width: 100%; margin-bottom: 1rem").on("keydown.enter", begin)
        options = {code: language_name(code) for code in site.items}
        chosen = language if language in options else next(iter(options)) if len(options) == 1 else None
        which = ui.select(options, label=words["language"], value=chosen, with_input=len(options) > 8)
        which.props("outlined").style("width: 100%; margin: 1rem 0")
        ui.button(words["start"], on_click=begin).props("outline no-caps")


class ReviewPage:
    """One browser page of a reviewer: a pair, the questions about it, and the way to the others."""

    def __init__(self, site: Site, reviewer: str, language: str, row: int) -> None:
        self._site, self._reviewer, self._language = site, reviewer, language
        self._words = site.texts.page
        self._items = site.items[language]
        self._criteria = site.texts.guideline.criteria
        self._place = row - 1 if 0 < row <= len(self._items) else self._next_open(-1) or 0
        self._current = 0
        self._unsaved = 0
        self._buttons: dict[tuple[str, int], ui.element] = {}
        self._meanings: dict[str, ui.label] = {}
        self._questions: list[ui.element] = []
        _style()
        ui.keyboard(on_key=self._on_key, repeating=False, ignore=["input", "select", "textarea"])
        self._help = self._make_help()
        with ui.element("main").classes("bp-page"):
            self._make_top()
            self._thanks = ui.label(self._words["all_done"].format(rows=len(self._items)))
            self._thanks.classes("bp-thanks").props("role=status")
            self._body = ui.element("div")
        self._make_bar()
        self._show()

    # What is on the page -----------------------------------------------------------------------------------------

    def _make_top(self) -> None:
        with ui.element("div").classes("bp-top"):
            ui.label(language_name(self._language)).classes("bp-name").props("dir=auto")
            ui.label(self._reviewer).classes("bp-quiet").props("dir=auto")
            ui.element("div").classes("bp-grow")
            ui.button(self._words["how"], on_click=self._help.open).props("flat dense no-caps")
            back = "/?" + urlencode({"name": self._reviewer, "language": self._language})
            ui.button(self._words["change"], on_click=lambda: ui.navigate.to(back)).props("flat dense no-caps")
        with ui.element("div").classes("bp-top"):
            self._where = ui.label().classes("bp-quiet").props("data-testid=where")
            ui.element("div").classes("bp-grow")
            self._done = ui.label().classes("bp-quiet").props("data-testid=done")
        self._progress = ui.linear_progress(0, show_value=False).props("aria-hidden=true")
        self._progress.style("margin-bottom: .75rem")

    def _make_bar(self) -> None:
        with ui.element("nav").classes("bp-bar"), ui.element("div"):
            self._previous = ui.button(self._words["previous"], on_click=lambda: self._go(self._place - 1))
            self._status = ui.label().classes("bp-status").props("role=status aria-live=polite data-testid=status")
            self._open = ui.button(self._words["next_open"], on_click=lambda: self._go(self._next_open(self._place)))
            self._next = ui.button(self._words["next"], on_click=lambda: self._go(self._place + 1))
        for button in (self._previous, self._open):
            button.props("flat no-caps")
        self._next.props("outline no-caps")

    def _make_help(self) -> ui.dialog:
        with ui.dialog() as dialog, ui.card():
            with ui.element("div").classes("bp-help"):
                _tell(self._site.texts.guideline)
                for criterion in self._criteria:
                    with ui.element("h2"):
                        ui.label(criterion.question)
                    with ui.element("dl"):
                        for point in criterion.points:
                            with ui.element("dt"):
                                ui.label(point.label)
                            with ui.element("dd"):
                                ui.label(point.explanation)
                with ui.element("p").classes("bp-quiet"):
                    ui.label(self._words["keys"])
            ui.button(self._words["close"], on_click=dialog.close).props("flat no-caps")
        return dialog

    def _show(self) -> None:
        """Put the present pair on the page."""
        item, review = self._item, self._review
        self._buttons.clear()
        self._meanings.clear()
        self._questions.clear()
        self._body.clear()
        with self._body:
            if item.other is None:
                with ui.element("div").classes("bp-columns"):
                    with ui.element("article"):
                        self._make_pair(item.pair, is_blind=False)
                    with ui.element("section"):
                        self._make_questions(review)
            else:
                first, second = (item.other, item.pair) if self._is_swapped else (item.pair, item.other)
                with ui.element("div").classes("bp-sides"):
                    for heading, pair in ((self._words["first"], first), (self._words["second"], second)):
                        with ui.element("article").classes("bp-side"):
                            with ui.element("h2"):
                                ui.label(heading)
                            self._make_pair(pair, is_blind=True)
                with ui.element("section"):
                    self._make_questions(review)
        marked = [criterion.name in review.marks for criterion in self._criteria]
        self._current = marked.index(False) if False in marked else 0
        self._where.set_text(self._words["row"].format(row=self._place + 1, rows=len(self._items)))
        self._previous.set_enabled(self._place > 0)
        self._next.set_enabled(self._place < len(self._items) - 1)
        self._update()

    def _make_pair(self, pair: ShownPair, is_blind: bool) -> None:
        """Show a pair; blind: without what would tell where it is from."""
        words = self._words
        if pair.messages:
            with ui.expansion(words["conversation"]).classes("bp-card"):
                for role, content in pair.messages[:-1]:
                    ui.label(f"{role}:").classes("bp-quiet")
                    _text(Text(content), pair.language, words)
        with ui.element("div").classes("bp-card"):
            with ui.element("h2"):
                ui.label(words["instruction"])
            _text(pair.instruction, pair.instruction_language, words).classes("bp-instruction").props(
                "data-testid=instruction"
            )
            if pair.instruction_en and pair.instruction_en != pair.instruction.text:
                with ui.expansion(words["english"]).props("dense").classes("bp-quiet"):
                    _text(Text(pair.instruction_en), "eng_Latn", words)
        with ui.element("div").classes("bp-card bp-output"):
            with ui.element("h2"):
                ui.label(words["output"])
            _text(pair.output, pair.language, words).props("data-testid=output tabindex=0")
        if not is_blind:
            with ui.element("div").classes("bp-quiet bp-from"):
                if pair.title:
                    ui.label(f"{words['from']}: {pair.title}").props("dir=auto")
                if pair.url and urlsplit(pair.url).scheme in ("http", "https"):
                    ui.link(pair.url, pair.url, new_tab=True).props('rel="noopener noreferrer"')
                elif pair.url:
                    ui.label(pair.url)
                ui.label(f"{words['license']}: {pair.license}")

    def _make_questions(self, review: Review) -> None:
        for number, criterion in enumerate(self._criteria):
            with ui.element("div").classes("bp-question") as box:
                ui.label(criterion.question).classes("bp-ask").props(f"id=bp-ask-{number}")
                points = ui.element("div").classes("bp-points")
                points.props(f"role=radiogroup aria-labelledby=bp-ask-{number}")
                with points:
                    for key, point in enumerate(criterion.points, start=1):
                        self._buttons[criterion.name, point.value] = self._make_point(criterion, point, key)
                self._meanings[criterion.name] = ui.label().classes("bp-meaning")
            box.on("click", lambda _, number=number: self._choose(number))
            self._questions.append(box)
        comment = ui.textarea(self._words["comment"], value=review.comment)
        comment.props(f'outlined autogrow debounce=700 dir=auto hint="{_attribute(self._words["comment_hint"])}"')
        comment.style("width: 100%")
        item = self._item
        comment.on_value_change(lambda event: self._comment(item, event.value or ""))

    def _make_point(self, criterion: Criterion, point: Point, key: int) -> ui.element:
        button = ui.element("button").classes("bp-point")
        button.props("type=button role=radio").props(f'aria-label="{_attribute(point.label)}"')
        button.props(f'title="{_attribute(point.explanation)}"')
        with button:
            with ui.element("span"):
                ui.label(point.label).style("display: inline")
            if point.label != str(key):
                with ui.element("small").props("aria-hidden=true"):
                    ui.label(str(key)).style("display: inline")
        # Not the question's own click too, which would take the choice back to it.
        button.on("click.stop", lambda: self._mark(criterion, point.value))
        return button

    def _update(self) -> None:
        """Show what is marked and what is saved."""
        marks, words = self._review.marks, self._words
        for number, criterion in enumerate(self._criteria):
            chosen = self._on_screen(marks.get(criterion.name))
            for point in criterion.points:
                is_chosen = point.value == chosen
                self._buttons[criterion.name, point.value].props(f"aria-checked={'true' if is_chosen else 'false'}")
            meaning = next((point.explanation for point in criterion.points if point.value == chosen), "")
            self._meanings[criterion.name].set_text(meaning or _scale(criterion))
            self._questions[number].classes(remove="bp-current")
        self._questions[self._current].classes(add="bp-current")
        done, rows = sum(map(self._is_done, self._items)), len(self._items)
        self._done.set_text(words["done"].format(done=done, rows=rows))
        self._progress.set_value(done / rows)
        self._thanks.set_visibility(done == rows)
        self._open.set_visibility(done < rows)
        self._tell_status()

    def _tell_status(self) -> None:
        trouble = self._site.store.trouble if self._unsaved else ""
        review = self._site.store.saved(self._reviewer, self._item)
        if trouble:
            text = self._words["not_saved"].format(error=trouble)
        elif self._unsaved:
            text = self._words["saving"]
        else:
            text = self._words["saved"] if review.marks or review.comment else ""
        self._status.set_text(text)
        self._status.classes(add="bp-bad") if trouble else self._status.classes(remove="bp-bad")

    # What a reviewer does ----------------------------------------------------------------------------------------

    @property
    def _item(self) -> Item:
        return self._items[self._place]

    @property
    def _review(self) -> Review:
        return self._site.store.get(self._reviewer, self._item)

    @property
    def _is_swapped(self) -> bool:
        return self._item.other is not None and is_swapped(self._item, self._reviewer, self._site.seed)

    def _on_screen(self, value: int | None) -> int | None:
        """Turn a value as the table has it into one as the screen has it, and back: another side, another sign."""
        return -value if value is not None and self._is_swapped else value

    def _is_done(self, item: Item) -> bool:
        marks = self._site.store.saved(self._reviewer, item).marks
        return all(criterion.name in marks for criterion in self._criteria)

    def _next_open(self, place: int) -> int | None:
        """Return the first place after this one whose pair is not done, starting again at the beginning."""
        rows = len(self._items)
        after = [*range(place + 1, rows), *range(place + 1)]
        return next((each for each in after if not self._is_done(self._items[each])), None)

    def _go(self, place: int | None) -> None:
        if place is None or not 0 <= place < len(self._items):
            return
        self._place = place
        where = {"name": self._reviewer, "language": self._language, "row": place + 1}
        ui.navigate.history.replace("/review?" + urlencode(where))
        self._show()
        ui.run_javascript("window.scrollTo(0, 0)")

    def _choose(self, number: int) -> None:
        self._current = number
        self._update()

    async def _mark(self, criterion: Criterion, value: int) -> None:
        stored = self._on_screen(value)
        assert stored is not None
        number = self._criteria.index(criterion)
        self._current = min(number + 1, len(self._criteria) - 1)
        review = self._review
        await self._save(replace(review, marks={**review.marks, criterion.name: stored}))

    async def _comment(self, item: Item, comment: str) -> None:
        review = self._site.store.get(self._reviewer, item)
        if comment != review.comment:
            await self._save(replace(review, comment=comment))

    async def _save(self, review: Review) -> None:
        swapped = is_swapped(review.item, self._reviewer, self._site.seed) if review.item.other else None
        saved = asyncio.wrap_future(self._site.store.save(replace(review, is_swapped=swapped)))
        self._unsaved += 1
        self._update()
        try:
            while not (await asyncio.wait([saved], timeout=2))[0]:
                self._tell_status()
        finally:
            self._unsaved -= 1
        self._update()

    async def _on_key(self, event: KeyEventArguments) -> None:
        held = event.modifiers
        if not event.action.keydown or self._help.value or held.ctrl or held.alt or held.meta:
            return
        code = event.key.code  # of the place on the keyboard, whatever digits or letters its layout has there
        digit = code.removeprefix("Digit").removeprefix("Numpad")
        if code == "ArrowLeft":
            self._go(self._place - 1)
        elif code == "ArrowRight":
            self._go(self._place + 1)
        elif code == "Backspace":
            self._choose(max(self._current - 1, 0))
        elif len(digit) == 1 and digit.isdigit() and 0 < int(digit) <= len(self._criteria[self._current].points):
            criterion = self._criteria[self._current]
            await self._mark(criterion, criterion.points[int(digit) - 1].value)


def _style() -> None:
    ui.add_css(files("jobs.review").joinpath("page.css").read_text(encoding="utf-8") + script_fonts())


def _tell(guideline: Guideline) -> None:
    with ui.element("h1"):
        ui.label(guideline.title)
    with ui.element("p"):
        ui.label(guideline.task)
    with ui.element("ul"):
        for line in guideline.advice:
            with ui.element("li"):
                ui.label(line)


def _text(text: Text, language: str, words: Mapping[str, Any]) -> ui.label:
    """Show a text in its own direction and with its language's fonts."""
    attributes = text_attributes(language_table(), language)
    label = ui.label(text.text).classes(f"bp-text {attributes['class']}")
    label.props(f"dir={attributes['dir']} lang={attributes['lang']}")
    if text.left_out_chars:
        ui.label(words["cut"].format(chars=f"{text.left_out_chars:,}")).classes("bp-quiet")
    return label


def _scale(criterion: Criterion) -> str:
    """Name the ends of a scale that is not marked yet."""
    ends = criterion.points[0], criterion.points[-1]
    return " · ".join(f"{point.label}: {point.short}" for point in ends if point.short)


def _attribute(text: str) -> str:
    """Return a text as the value of a property in double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
