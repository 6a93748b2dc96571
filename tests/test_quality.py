"""All evaluations as one table: what is measured, what is skipped, what it is held against, where it goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.shares import Standard, judged, measured, share, wilson
from flows import quality
from tests.commands import ASPORA

TOY = """
from pathlib import Path
from blocks.shares import Standard, measured
from flows.evaluation import EvaluationError

FAULT_SETS = ()
DATA = "toy/*.txt"
LABELLED = {"right": Standard(reference=0.5, target=0.9)}

def evaluate_data(path: Path):
    words = path.read_text().split()
    if not words:
        raise EvaluationError("there is no word in it")
    return {"n": len(words), **measured({"right": [word == "yes" for word in words], "besides": [True]})}
"""
CONFIG = {
    "models": {},
    "domains": {
        "toy": {"module": "toy_domain", "skills": []},
        "broken": {"module": "broken_domain", "skills": []},
        "bare": {"module": "bare_domain", "skills": []},
    },
}


@pytest.fixture(name="data")
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Labelled data for a config with a domain that can be measured, one that breaks, and a bare one."""
    code = {"toy": TOY, "broken": TOY.replace("path.read_text()", "path.read_texts()"), "bare": None}
    for name, source in code.items():
        package = tmp_path / "code" / f"{name}_domain"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        if source:
            (package / "evaluate.py").write_text(source)
    (tmp_path / "aspora.config.yaml").write_text(json.dumps(CONFIG))
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    monkeypatch.setenv("ASPORA_CONFIG", str(tmp_path / "aspora.config.yaml"))
    monkeypatch.setenv("ASPORA_HOME", str(tmp_path / "home"))
    data = tmp_path / "data"
    (data / "toy").mkdir(parents=True)
    (data / "toy" / "a.txt").write_text("yes " * 36 + "no " * 4)
    return data


@given(st.integers(0, 500), st.integers(0, 500))
def test_an_interval_holds_the_share_and_narrows_with_cases(hits: int, misses: int) -> None:
    found = wilson(hits, hits + misses)
    if not hits + misses:
        assert found is None
        return
    assert found is not None
    low, high = found
    assert 0 <= low <= hits / (hits + misses) + 1e-12 and hits / (hits + misses) - 1e-12 <= high <= 1
    more = wilson(4 * hits, 4 * (hits + misses))
    assert more is not None and more[1] - more[0] < high - low


def test_an_interval_is_wilsons() -> None:
    low, high = wilson(5, 10) or (0, 0)
    assert (round(low, 4), round(high, 4)) == (0.2366, 0.7634)


@pytest.mark.parametrize(
    ("standard", "value", "interval", "said"),
    [
        (Standard(reference=0.8), 0.9, (0.85, 0.95), "better than 0.8"),
        (Standard(reference=0.8), 0.9, (0.75, 0.95), "a tie with 0.8"),
        (Standard(reference=0.8), 0.7, (0.65, 0.75), "worse than 0.8"),
        (Standard(target=0.95), 0.97, (0.96, 0.98), "reaches 0.95"),
        (Standard(target=0.95), 0.97, (0.9, 0.99), "reaches 0.95, within the interval"),
        (Standard(target=0.95), 0.9, (0.8, 0.94), "misses 0.95"),
        (Standard(target=0.03, at_most=True), 0.02, (0.01, 0.025), "reaches 0.03"),
        (Standard(target=0.03, at_most=True), 0.05, None, "misses 0.03"),
        (Standard(reference=0.05, at_most=True), 0.02, (0.01, 0.03), "better than 0.05"),
        (Standard(reference=0.6, target=0.95), 0.9, (0.8, 0.94), "better than 0.6; misses 0.95"),
        (Standard(target=1), 1.0, None, "reaches 1"),
        (Standard(target=0.9), None, None, "nothing to measure"),
        (Standard(), 0.9, (0.8, 0.95), ""),
    ],
)
def test_a_figure_is_judged_by_its_interval(
    standard: Standard, value: float | None, interval: tuple[float, float] | None, said: str
) -> None:
    assert standard.verdict(value, interval) == said


def test_nothing_to_measure_is_no_share() -> None:
    assert share([]) is None
    found = judged(measured({"a": []}), {"a": Standard(target=0.5)})
    assert (found["metrics"], found["intervals"], found["cases"]) == ({"a": None}, {"a": None}, {"a": 0})
    assert found["verdicts"] == {"a": "nothing to measure"}


def test_everything_that_is_there_is_measured_and_the_rest_is_told(data: Path) -> None:
    done = quality.evaluate_all(data, seeds=1, first=0)
    toy, broken, bare, runbooks = done
    assert toy["metrics"]["right"] == 0.9 and toy["verdicts"]["right"] == (
        "better than 0.5; reaches 0.9, within the interval"
    )
    assert "read_texts" in broken["failed"]
    assert "bare_domain.evaluate does not exist" in bare["skipped"]
    assert runbooks["skipped"] == "there is no runbooks-prometheus in data"
    shown = quality.table(done)
    assert (
        "| toy, toy | right | 40 | 0.500 | 0.900 | 0.900 | 0.769 to 0.960 | "
        "better than 0.5; reaches 0.9, within the interval |"
    ) in shown.splitlines()
    assert "besides" not in shown, "where there are standards, they say what counts"
    assert "- runbooks, runbooks-prometheus: skipped: there is no runbooks-prometheus in data" in shown


def test_the_runbook_search_is_measured_where_pages_and_queries_are(data: Path) -> None:
    pages = data / "runbooks-prometheus"
    pages.mkdir()
    (pages / "DiskFull.md").write_text("# DiskFull\n\nThe disk of a node has no space left.\n")
    (pages / "CertExpired.md").write_text("# CertExpired\n\nA certificate has expired.\n")
    queries = [{"query": "no space left on the disk", "gold": "DiskFull"}]
    (data / "runbooks-queries.json").write_text(json.dumps(queries))
    runbooks = quality.evaluate_all(data, seeds=1, first=0)[-1]
    assert runbooks["metrics"] == {"top1": 1.0, "top5": 1.0}
    assert runbooks["standards"]["top1"] == {"reference": 0.76, "target": 0.85}


def test_the_table_goes_between_the_pages_markers(tmp_path: Path) -> None:
    page = tmp_path / "q.md"
    page.write_text(f"# Q\n\n{quality.BEGIN}\nold\n{quality.END}\n\nafter\n")
    quality.write(page, "new | 1")
    quality.write(page, "newer | 2")
    assert page.read_text() == f"# Q\n\n{quality.BEGIN}\nnewer | 2\n{quality.END}\n\nafter\n"


@pytest.mark.parametrize("content", [None, b"# no markers", b"\xff\xfe\x00"])
def test_a_page_that_can_not_take_it_is_refused_before_anything_is_measured(
    tmp_path: Path, content: bytes | None
) -> None:
    page = tmp_path / "q.md"
    if content is not None:
        page.write_bytes(content)
    with pytest.raises(quality.PageError, match="--page"):
        quality.check_page(page)


def test_the_command_writes_page_and_document_and_fails_if_one_evaluation_did(
    data: Path, tmp_path: Path
) -> None:
    page = tmp_path / "q.md"
    page.write_text(f"{quality.BEGIN}\n{quality.END}\n")
    done = subprocess.run(
        [ASPORA, "eval", "--data", str(data), "--page", str(page), "--json"],
        env=os.environ, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert [each["evaluation"] for each in json.loads(done.stdout)] == ["toy", "broken", "bare", "runbooks"]
    assert "| toy, toy | right | 40 |" in page.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--held-out"], "without a name"),
        (["--data", "/nowhere/at/all"], "no such folder"),
        (["ecm", "--page", "x.md"], "without a name only"),
    ],
)
def test_what_does_not_fit_together_is_said(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import flows.cli

    monkeypatch.setattr(sys, "argv", ["aspora", "eval", *words])
    with pytest.raises(SystemExit) as ended:
        flows.cli.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_committed_page_can_take_the_table() -> None:
    quality.check_page(Path(__file__).parent.parent / "docs" / "quality.md")
