"""The page of speed: a section is renewed in its place, and what could not be measured is told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.bench import figures, page
from tests.bench.figures import Figure, Growth, Section
from tests.commands import ASPORA

FIGURES = [Figure("recording", "6.0 ms", "3.0 ms", 2.0, "2"), Figure("help", "0.20 s")]


def test_sections_are_renewed_where_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text("# Performance\n\nBefore.\n")
    for section in (Section("record", "Recording", FIGURES), Section("scrape", "A scrape", FIGURES[:1])):
        page.write(path, section)
    page.write(path, Section("record", "Recording", [Figure("recording", "5.0 ms", "2.5 ms", 2.0, "2")]))
    text = path.read_text()
    assert text.startswith("# Performance\n\nBefore.\n")
    assert text.index("## Recording") < text.index("## A scrape")
    assert "| recording | 5.0 ms | 2.5 ms | 2.00 | 2 |" in text
    assert text.count("6.0 ms") == 1
    assert "`python -m tests.bench.record`" in text


def test_growth_is_drawn_and_its_lines_are_named() -> None:
    growth = Growth("Orders", ["10", "100"], {"tool": [1.0, 2.0], "raw": [0.5, 1.5]})
    drawn = page.markdown(Section("triage", "Triage", FIGURES, [growth]))
    assert "Lines in this order: tool, raw." in drawn
    assert 'x-axis "Orders" ["10", "100"]' in drawn
    assert drawn.index("line [1.0, 2.0]") < drawn.index("line [0.5, 1.5]")


def test_what_fails_is_told_and_the_rest_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> figures.Measured:
        raise RuntimeError("no server")

    monkeypatch.setattr(figures, "SECTIONS", {"broken": broken, "whole": lambda: ("Whole", FIGURES, [])})
    found = list(figures.sections())
    assert [each.name for each in found] == ["broken", "whole"]
    assert "Not measured: RuntimeError('no server')" in page.markdown(found[0])
    assert [each.name for each in figures.sections(["whole"])] == ["whole"]


@pytest.mark.full
def test_a_section_that_does_not_exist_is_named() -> None:
    done = subprocess.run([ASPORA, "bench", "--only", "nope"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nope" in done.stderr
