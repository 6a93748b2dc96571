"""`make pictures`: draws the dashboards with the answers of a sample platform into docs/pictures/.

Needs Debian's chromium and prometheus.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from blocks.home import ROOT
from grafana.preview.page import page
from tests import dashboards, needs
from tests.dashboards_world import Platform, settle

FOLDER = ROOT / "docs" / "pictures"
WIDTH = 1552


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


def main() -> None:
    """Starts a sample platform, draws, and ends it."""
    directory = Path(tempfile.mkdtemp(prefix="aspora-"))
    try:
        with settle(directory / "home", os.environ) as platform:
            for file in photograph(pages(platform), FOLDER):
                print(file.relative_to(ROOT))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
