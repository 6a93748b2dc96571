"""The commands that README and docs show, run as a reader would."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from blocks.home import ROOT
from tests.up_world import TOKEN, Up

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
NEVER_END = (
    "make test",
    "make up",
    "make eval",
    "make faults",
    "make setup",
    "make bench",
    ".venv/bin/aspora bench",
)
"""CI runs the tests itself, and `make setup` before them; test_up what `make up` runs, test_quality a small
`make eval`, and test_faults a short course of faults. What `make bench` measures takes half an hour."""
NEEDS_THE_PLATFORM = ("curl ", ".venv/bin/aspora blocks")
"""Run while `aspora up` runs."""
NEEDS_A_SERVER = ("prefect",)
"""Run against a real server in test_deployments."""
BIN = Path(sys.executable).parent


def commands(page: Path) -> list[str]:
    """The page's shell commands, without comments."""
    lines = "\n".join(SHELL.findall(page.read_text(encoding="utf-8"))).splitlines()
    return [plain for line in lines if (plain := line.split("  #")[0].split(" # ")[0].strip())]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("reader")
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "ASPORA_HOME": str(home), "PATH": path, "PREFECT_API_URL": ""}


def run(command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command.replace(".venv/bin/", "")],
        cwd=ROOT, env=environment, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=240,
        check=False,
    )  # fmt: skip


@pytest.mark.full
def test_the_readme_from_the_first_command_to_the_approved_fix(environment: dict[str, str]) -> None:
    shown = commands(ROOT / "README.md")
    assert shown[:2] == ["make run", "make test"]
    first = run("make run", environment)
    assert first.returncode == 0, first.stderr
    assert "waits for approval" in first.stdout
    listed = run("aspora approvals", environment)
    id = re.search(r"apr-\w+", listed.stdout)
    assert id, listed.stderr
    approve = next(line for line in shown if line.startswith(".venv/bin/aspora approve"))
    done = run(approve.replace("ID", id[0]).replace("YOUR-NAME", "reader"), environment)
    assert done.returncode == 0, done.stderr
    assert "still need it" in done.stdout
    assert "no fix waits" in run("aspora approvals", environment).stdout.lower()


def section(page: Path, title: str) -> list[str]:
    """The shell blocks of a page's section."""
    text = page.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2]
    return SHELL.findall(text.partition("\n## ")[0])


@pytest.mark.full
def test_what_was_backed_up_comes_back_and_no_fix_is_carried_out_twice(tmp_path: Path) -> None:
    """Backup and restore, by the commands of the page."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "ASPORA_HOME": str(tmp_path), "PATH": path, "PREFECT_API_URL": ""}
    backup, restore, *_ = section(ROOT / "docs" / "operating.md", "Backup and restore")
    assert run("aspora run ecm", environment).returncode == 4
    waiting = run("aspora approvals --json", environment).stdout
    kept = run("aspora executions --json", environment).stdout
    id = re.search(r"apr-\w+", waiting)
    assert id

    done = run(backup, environment)
    assert done.returncode == 0, done.stderr
    approve = f"aspora approve {id[0]} --as reader"
    assert run(approve, environment).returncode == 0
    called = requests(tmp_path)
    assert called
    assert run("aspora executions --json", environment).stdout != kept

    done = run(restore, environment)
    assert done.returncode == 0, done.stderr
    assert run("aspora executions --json", environment).stdout == kept
    assert run("aspora approvals --json", environment).stdout == waiting
    again = run(approve, environment)
    assert again.returncode == 0, again.stderr
    assert requests(tmp_path) == called


def requests(home: Path) -> list[str]:
    """The idempotency keys that the sample company was called with."""
    with closing(sqlite3.connect(home / "sample" / "truth" / "company.db")) as company:
        return sorted(row[0] for row in company.execute("SELECT key FROM requests"))


@pytest.mark.full
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_works(page: Path, environment: dict[str, str]) -> None:
    for command in commands(page):
        elsewhere = command.startswith((*NEVER_END, "make run", *NEEDS_A_SERVER, *NEEDS_THE_PLATFORM))
        if elsewhere or "…" in command or " ID" in command:
            continue
        done = run(command, environment)
        assert done.returncode in (0, 4), f"{command}: {done.stderr}"


@pytest.mark.full
def test_every_command_for_the_running_platform_works(tmp_path: Path) -> None:
    up = Up(tmp_path)
    shown = [each for page in PAGES for each in commands(page) if each.startswith(NEEDS_THE_PLATFORM)]
    assert shown
    try:
        up.start()
        for command in shown:
            here = command.replace(":8321", f":{up.gateway}").replace("$(cat .aspora/gateway-token)", TOKEN)
            done = run(here, {**up.environment, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"})
            assert done.returncode == 0, f"{command}: {done.stderr}"
            assert '"error":' not in done.stdout, f"{command}: {done.stdout}"
    finally:
        up.kill()


def test_every_command_in_the_tables_exists() -> None:
    told = {
        name
        for page in PAGES
        for name in re.findall(r"`(?:\.venv/bin/)?aspora ([a-z]+)", page.read_text(encoding="utf-8"))
    }
    help = subprocess.run([str(BIN / "aspora"), "--help"], text=True, capture_output=True, check=True).stdout
    assert told <= set(re.findall(r"^  ([a-z]+) ", help, re.MULTILINE))


def test_every_link_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


UNSOURCED = ("none found", "what you write", "the tools you write", "the nodes you write", "does not apply")


def test_what_is_said_of_others_has_a_source() -> None:
    """Each cell of the comparison about another project names one, and each source is named somewhere."""
    text = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
    table, sources = text.partition("\n## ")[0], dict(re.findall(r"^\[(\w+)\]: (\S+)$", text, re.MULTILINE))
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")][2:]
    assert {len(row) for row in rows} == {6}
    for title, _, *others in rows:
        for cell in others if title != "read" else ():
            named = set(re.findall(r"\[(\w\d+)\]", cell))
            assert named <= set(sources), cell
            assert named or "](" in cell or cell.startswith(UNSOURCED), f"{title}: {cell}"
    assert set(sources) == set(re.findall(r"\[(\w\d+)\](?!:)", text))
