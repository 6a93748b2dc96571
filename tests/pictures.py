"""`make pictures`: draws the dashboards, with answers of a sample platform, and the approval form.

Needs Debian's chromium and prometheus.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from blocks.home import ROOT
from grafana.preview.page import page
from tests import dashboards, needs
from tests.dashboards_world import Platform, settle
from tests.up_world import Up
from tests.worlds import DIAGNOSED

FOLDER = ROOT / "docs" / "pictures"
WIDTH = 1552
ROUTING = [*DIAGNOSED, {"when": "diagnose.confidence == high && auto_fix", "route_to": "ecm-resolve"}]
"""A fix is proposed once its cause is known."""


def pages(platform: Platform) -> dict[str, str]:
    """Each dashboard as an HTML page."""
    asked = dashboards.sources(platform, platform.database)
    drawn = {}
    for name in dashboards.NAMES:
        dashboard = dashboards.read(name)
        answers = {panel["id"]: answer for panel, answer in dashboards.answers(dashboard, asked)}
        drawn[name] = page(dashboard, dashboards.CHOSEN, answers, platform.at)
    return drawn


def photograph(drawn: dict[str, str], folder: Path) -> list[Path]:
    """The pages as pictures."""
    from tests.browser import QUIET

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    with sync_playwright() as playwright:
        path = needs.program("chromium", "chromium")
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        for name, html in drawn.items():
            sheet = browser.new_page(viewport={"width": WIDTH, "height": 800})
            sheet.set_content(html)
            files.append(folder / f"{name}.png")
            sheet.screenshot(path=files[-1], full_page=True)
        browser.close()
    return files


def form(directory: Path, folder: Path) -> Path:
    """Prefect's form, as it asks for a decision on a fix for the sample world's orders."""
    from tests.browser import QUIET, log_in

    up, file = Up(directory, ROUTING), folder / "approval-form.png"
    try:
        up.start()
        up.trigger("picture")
        asked = up.until(up.waiting)
        with sync_playwright() as playwright:
            path = needs.program("chromium", "chromium")
            browser = playwright.chromium.launch(executable_path=path, args=QUIET)
            sheet = browser.new_page(viewport={"width": 1200, "height": 1500})
            log_in(sheet, up.prefect, up.password)
            sheet.goto(f"http://127.0.0.1:{up.prefect}/runs/flow-run/{asked.flow_run_id}")
            sheet.get_by_role("button", name="Resume").first.click()
            dialog = sheet.locator(".p-modal__content, .p-modal").first
            expect(dialog).to_contain_text(asked.id)
            sheet.wait_for_timeout(1000)
            sheet.screenshot(path=file)
            browser.close()
    finally:
        up.kill()
    return file


def main() -> None:
    """Starts a sample platform, draws, and ends it."""
    directory = Path(tempfile.mkdtemp(prefix="aspora-"))
    try:
        with settle(directory / "home", os.environ) as platform:
            for file in photograph(pages(platform), FOLDER):
                print(file.relative_to(ROOT))
        print(form(directory / "up", FOLDER).relative_to(ROOT))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
