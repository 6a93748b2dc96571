"""The commands that README and docs show, run as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from blocks.home import ROOT
from tests.up_world import TOKEN, Up

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
NEVER_END = ("make test", "make up", "make eval", "make faults")
"""CI runs the tests by itself, test_up what `make up` runs, test_quality a small `make eval`, and test_faults
a short course of faults."""
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
