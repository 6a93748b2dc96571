"""A real browser without a screen: Debian's Chromium."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests import needs

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(name="page")
def new_page() -> Iterator[Page]:
    """An empty page; what it can't find within half a minute is an error."""
    chromium = needs.program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(30_000)
        yield page
        browser.close()


def log_in(page: Page, port: int, password: str) -> None:
    """Pastes the password where the pages of the Prefect server on that port ask for it."""
    page.goto(f"http://127.0.0.1:{port}")
    asked = page.get_by_placeholder("admin:pass")
    asked.fill(password)
    page.get_by_role("button", name="Login").click()
    expect(asked).to_be_hidden()
