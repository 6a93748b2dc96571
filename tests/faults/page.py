"""The table of a course, for the terminal and for `docs/reliability.md`."""

from __future__ import annotations

import os
import platform
import re
import time
from collections import Counter
from pathlib import Path

from tests.faults.audit import CHECKS
from tests.faults.campaign import Outcome
from tests.faults.faults import FAULTS

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


def table(outcome: Outcome) -> str:
    """What was injected how often, and what was found in the batches with it, as markdown."""
    found = Counter(kind for kinds, _ in outcome.violations for kind in kinds)
    lines = ["| fault | what happens | injected | violations in its batches |", "| --- | --- | ---: | ---: |"]
    lines += [
        f"| {each.name} | {each.does} | {outcome.injected[each.name]} | {found[each.name]} |"
        for each in FAULTS
    ]
    total = sum(outcome.injected.values())
    lines.append(f"| **all** | | **{total}** | **{len(outcome.violations)}** |")
    return "\n".join(lines)


def section(outcome: Outcome, command: str) -> str:
    """The measured part of the page."""
    rests = sorted(outcome.rests) or [0.0]
    lines = [
        f"`{command}`, seed {outcome.seed}, {time.strftime('%Y-%m-%d')}: "
        f"{sum(outcome.injected.values())} injections in {outcome.seconds / 60:.0f} minutes, "
        f"{len(outcome.violations)} violations. After {len(rests)} batches the platform came to rest within "
        f"{rests[len(rests) // 2]:.0f} s (median; {rests[-1]:.0f} s at most). "
        f"Machine: {os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, SQLite"
        f"{', home on a tmpfs of its own' if outcome.disk else '; the disk could not be filled here'}.",
        "",
        table(outcome),
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {_told(value)} |" for name, value in outcome.facts.items()),
        *(
            f"| drawn, with nothing to harm: {name} | {count} |"
            for name, count in sorted(outcome.missed.items())
        ),
        *(f"| injected {name} | {count} |" for name, count in sorted(outcome.moments.items())),
        "",
    ]
    if outcome.violations:
        lines += ["Violations:", "", *(f"- {told}" for _, told in outcome.violations), ""]
    return "\n".join(lines)


def write(page: Path, text: str) -> None:
    """Replaces what stands between the page's markers."""
    whole = page.read_text(encoding="utf-8")
    fresh = f"{BEGIN}\n{text}{END}"
    page.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: fresh, whole, flags=re.DOTALL), encoding="utf-8")


def _told(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in sorted(value.items())) or "none"
    return str(value)


__all__ = ["CHECKS", "section", "table", "write"]
