"""`aspora run` cut off in the middle: nothing is left running, and the run can be continued."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.home import ROOT
from tests.held_model import HeldModel
from tests.worlds import DIAGNOSED, draw_world, write_config

pytestmark = pytest.mark.full

COMMAND = [sys.executable, "-c", "from flows.cli import main; main()"]
RUN_ID = re.compile(r"\brun (ecm-\S+) of ecm")


@pytest.fixture
def model() -> Iterator[HeldModel]:
    held = HeldModel()
    yield held
    held.close()


@pytest.fixture
def environment(tmp_path: Path, model: HeldModel) -> dict[str, str]:
    home = tmp_path / "home"
    draw_world(home)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "ASPORA_"))},
        "ASPORA_HOME": str(home),
        "ASPORA_CONFIG": str(write_config(tmp_path / "aspora.config.yaml", DIAGNOSED)),
        "ASPORA_PREFECT_PORT": "1",
        "ANTHROPIC_BASE_URL": model.url,
    }


@pytest.fixture
def held(environment: dict[str, str], model: HeldModel) -> Iterator[subprocess.Popen[str]]:
    """A run whose diagnosis waits for the model, with a temporary server."""
    process = subprocess.Popen(
        [*COMMAND, "run", "ecm"], env=environment, cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert model.holding.wait(60)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_ends_the_run_with_130_and_it_can_be_continued(
    held: subprocess.Popen[str], environment: dict[str, str], model: HeldModel
) -> None:
    children = children_of(held.pid)
    held.send_signal(signal.SIGINT)
    _, errors = held.communicate(timeout=60)
    assert held.returncode == 130, errors
    assert "Traceback" not in errors
    assert "--continue" in errors
    assert_gone(children)
    assert_continues(run_id(errors), environment, model)


def test_a_killed_run_takes_its_server_along_and_continues_from_its_journal(
    held: subprocess.Popen[str], environment: dict[str, str], model: HeldModel
) -> None:
    children = children_of(held.pid)
    held.kill()
    _, errors = held.communicate(timeout=60)
    assert_gone(children)
    assert_continues(run_id(errors), environment, model)


def assert_continues(run: str, environment: dict[str, str], model: HeldModel) -> None:
    """The run goes on; only the turn that was in flight is asked for again."""
    model.release.set()
    done = subprocess.run(
        [*COMMAND, "run", "ecm", "--continue", run, "--json"], env=environment, cwd=ROOT, text=True,
        capture_output=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["run_id"] == run
    assert [each["outcome"] for each in report["executions"]] == ["success", "success"]
    assert model.asked == {("patterns", 1): 1, ("patterns", 2): 1, ("root_cause", 1): 1, ("root_cause", 2): 2}


def run_id(errors: str) -> str:
    found = RUN_ID.search(errors)
    assert found, errors
    return found[1]


def children_of(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert found, "the run has no temporary server"
    return [int(each) for each in found]


def assert_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(map(alive, pids)):
        time.sleep(0.1)
    assert not [pid for pid in pids if alive(pid)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
