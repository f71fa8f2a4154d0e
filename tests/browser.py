"""A real browser for tests of pages: Chromium, headless, driven by Playwright."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

PROGRAM_VARIABLE = "BACKPROMPT_CHROMIUM"
_UNPACKED = Path(__file__).resolve().parents[1] / ".chromium" / "chromium"


# A module's, not the session's: while Playwright is open, its event loop runs in the tests' own thread, where asyncio
# lets no other test start one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; a test that needs it fails without it. Each user is a ``browser.new_context()``."""
    program = os.environ.get(PROGRAM_VARIABLE) or str(_UNPACKED)
    if not os.access(program, os.X_OK):
        pytest.fail(f"These tests need Chromium, and there is no program {program}. Type: make chromium", pytrace=False)
    with sync_playwright() as playwright:
        # As root there is no sandbox; the pages are our own.
        chromium = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--font-render-hinting=none"]
        )
        yield chromium
        chromium.close()


def errors_of(page: Page) -> list[str]:
    """Return a list that grows by every error the page throws, writes to its console, or gets from a server."""
    found: list[str] = []

    def log(message: ConsoleMessage) -> None:
        if message.type == "error":
            found.append(message.text)

    page.on("console", log)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("requestfailed", lambda request: found.append(f"{request.url}: {request.failure}"))
    return found
