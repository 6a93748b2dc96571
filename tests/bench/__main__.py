"""All measurements of speed, as ratios within this run: `make bench`."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import figures, page


def main() -> None:
    """Measures, prints a table a section, and renews the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], choices=figures.SECTIONS, help="only this section"
    )
    parser.add_argument("--page", type=Path, help="renew the figures on this page")
    logging.disable(logging.INFO)
    given, console = parser.parse_args(), Console(width=120)
    failed = False
    for section in figures.sections(given.only):
        console.print(_table(section))
        failed |= bool(section.failed)
        if given.page:
            page.write(given.page, section)
    raise SystemExit(failed)


def _table(section: figures.Section) -> Table:
    table = Table(title=section.title, caption=section.failed or section.command, title_justify="left")
    for column in ("what", "ours", "reference", "ratio", "wanted"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for each in section.figures:
        ratio = "" if each.ratio is None else f"{each.ratio:.2f}"
        table.add_row(each.what, each.ours, each.reference, ratio, each.wanted)
    return table


if __name__ == "__main__":
    main()
