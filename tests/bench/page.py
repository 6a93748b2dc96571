"""`docs/performance.md`: each section of figures between markers of its own, renewed when it is measured."""

from __future__ import annotations

import os
import platform
import re
import time
from pathlib import Path

from tests.bench.figures import Figure, Growth, Section

_HEAD = "| | ours | reference | ratio | wanted |\n| --- | ---: | ---: | ---: | ---: |"


def write(path: Path, section: Section) -> None:
    """Put a section in place of its former figures, or at the page's end."""
    begin, end = f"<!-- {section.name}: begin -->", f"<!-- {section.name}: end -->"
    text, new = path.read_text(encoding="utf-8"), f"{begin}\n{markdown(section)}\n{end}"
    old = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    renewed = old.sub(lambda _: new, text) if old.search(text) else f"{text.rstrip()}\n\n{new}\n"
    path.write_text(renewed, encoding="utf-8")


def markdown(section: Section) -> str:
    """The section as markdown."""
    if section.failed:
        return f"## {section.title}\n\nNot measured: {section.failed}"
    parts = [
        f"## {section.title}",
        f"`{section.command}` on {time.strftime('%Y-%m-%d')}; {os.cpu_count()} cores, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"load before it {section.load:.1f}.",
        "\n".join([_HEAD, *map(_row, section.figures)]),
        *map(_chart, section.growth),
    ]
    return "\n\n".join(parts)


def _row(figure: Figure) -> str:
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return f"| {figure.what} | {figure.ours} | {figure.reference} | {ratio} | {figure.wanted} |"


def _chart(growth: Growth) -> str:
    """A drawing that GitHub renders; it has no legend, so the lines are named above it."""
    names = ", ".join(growth.lines)
    sizes = ", ".join(f'"{size}"' for size in growth.sizes)
    lines = [f"    line [{', '.join(f'{each:.1f}' for each in values)}]" for values in growth.lines.values()]
    drawing = ["xychart-beta", f'    x-axis "{growth.title}" [{sizes}]', '    y-axis "ms"', *lines]
    return "\n".join([f"Lines in this order: {names}.", "", "```mermaid", *drawing, "```"])
