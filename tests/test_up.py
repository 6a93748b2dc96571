"""`aspora up` with its real parts: everything comes up, comes back, and goes away."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from blocks.home import ROOT
from tasks import approvals
from tests.held_model import HeldModel
from tests.up_world import COMMAND, PARTS, Up, gone
from tests.worlds import DIAGNOSED, platform_database

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A running one."""
    instance = Up(tmp_path_factory.mktemp("up"))
    try:
        instance.start()
        yield instance
    finally:
        instance.kill()


def test_its_ready_line_names_addresses_that_answer(up: Up) -> None:
    ready = next(line for line in up.log.read_text().splitlines() if line.startswith("Aspora is up"))
    prefect, gateway = f"http://127.0.0.1:{up.prefect}", f"http://127.0.0.1:{up.gateway}"
    assert prefect in ready
    assert f"{gateway}/docs" in ready
    assert "<html" in httpx.get(prefect, follow_redirects=True).text
    assert httpx.get(f"{prefect}/ui-settings").json()["api_url"] == "/api"
    assert httpx.get(f"{gateway}/docs").is_success


def test_the_schedule_has_runs_ahead(up: Up) -> None:
    assert up.until(lambda: [run for run in up.flow_runs("ecm") if run["state_type"] == "SCHEDULED"])


def test_a_webhook_becomes_one_run_started_by_an_automation_and_forked_by_the_worker(up: Up) -> None:
    id = up.trigger("one")
    row = up.runs(id)
    assert (row.state, row.result) == ("done", "awaiting_approval")
    assert up.trigger("one") == id
    (run,) = [run for run in up.flow_runs("ecm") if run["parameters"].get("trigger_id") == id]
    assert run["created_by"]["type"] == "AUTOMATION"
    up.until(lambda: up.state(run["id"]) == "Completed", lambda: up.state(run["id"]))


def test_a_subflow_that_was_born_while_its_run_was_killed_is_ended(up: Up) -> None:
    id = up.trigger("orphaned")
    up.runs(id)
    (run,) = [run for run in up.flow_runs("ecm") if run["parameters"].get("trigger_id") == id]
    up.until(lambda: up.state(run["id"]) == "Completed", lambda: up.state(run["id"]))
    task = up.post("/task_runs/", {"flow_run_id": run["id"], "task_key": "ecm-triage", "dynamic_key": "9"})
    state = {"type": "PENDING", "name": "Pending"}
    born = {"flow_id": run["flow_id"], "parent_task_run_id": task["id"], "state": state}
    orphan = up.post("/flow_runs/", born)["id"]
    up.until(lambda: up.state(orphan) == "Crashed", lambda: up.state(orphan))


@pytest.mark.parametrize("name", list(PARTS))
def test_a_part_that_is_killed_comes_back_and_goes_on(up: Up, name: str) -> None:
    part = up.part(name)
    before = up.log.read_text().count(f"{name} is back")
    part.kill()
    up.until(lambda: up.log.read_text().count(f"{name} is back") > before, up.log.read_text)
    assert "SIGKILL" in up.log.read_text()
    assert up.part(name).pid != part.pid
    assert up.runs(up.trigger(f"after-{name}")).state == "done"


def test_prefects_api_is_closed_and_its_password_for_the_owner_only(up: Up) -> None:
    for headers in ({}, {"Authorization": "Basic YXNwb3JhOmFzcG9yYQ=="}):
        answer = httpx.post(f"{up.api.base_url}flows/filter", json={}, headers=headers)
        assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert {flow["name"] for flow in up.post("/flows/filter", {})} >= {"ecm", "ecm-resolve"}
    file = up.home / "prefect-password"
    assert file.stat().st_mode & 0o777 == 0o600
    assert str(file) in up.log.read_text()
    assert up.password not in up.log.read_text()


def test_a_command_of_another_home_does_not_use_it(up: Up, tmp_path: Path) -> None:
    """By default it takes a server of its own; pointed to this one it is told what is missing."""
    other = {"ASPORA_HOME": str(tmp_path / "other")}
    left_alone = up.command("blocks", **other)
    assert left_alone.returncode == 2
    assert "no Prefect server answers" in left_alone.stderr
    pointed = up.command("blocks", **other, PREFECT_API_URL=str(up.api.base_url).rstrip("/"))
    assert pointed.returncode == 1
    assert "PREFECT_API_AUTH_STRING" in pointed.stderr
    assert up.command("blocks").returncode == 0


def test_a_second_one_on_the_same_home_is_refused(up: Up) -> None:
    second = up.command("up")
    assert second.returncode == 2
    assert "runs already" in second.stderr
    assert str(up.process.pid if up.process else "") in second.stderr
    assert up.part("server").is_running()


def test_commands_are_run_by_its_worker_and_nobody_sees_a_difference(up: Up) -> None:
    done = typed(up, "run", "ecm", "--json")
    assert done.returncode == 4, done.stderr
    report = json.loads(done.stdout)
    assert report["state"] == "awaiting_approval"
    id = next(each["id"] for each in report["approvals"])
    rejected = typed(up, "reject", id, "--as", "Ada", "--reason", "not now")
    assert rejected.returncode == 0, rejected.stderr
    fix = platform_database(up.environment).read_now(lambda conn: approvals.get(conn, id))
    assert (fix.status, fix.decided_by) == ("rejected", "Ada")


def test_such_a_command_has_its_own_directory_and_variables(up: Up, tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text("{stage: lulu")
    done = typed(up, "run", "ecm", "--input", "@input.json", directory=tmp_path)
    assert done.returncode == 2
    assert "--input is no JSON" in done.stderr
    done = typed(up, "run", "ecm", ASPORA_CONFIG=str(tmp_path / "elsewhere.yaml"))
    assert done.returncode == 2
    assert "elsewhere.yaml" in done.stderr


def test_such_a_command_asks_on_the_terminal(up: Up) -> None:
    here, there = pty.openpty()
    environment = up.environment | {"TERM": "dumb"}
    process = subprocess.Popen(
        [*COMMAND, "run", "ecm"], env=environment, cwd=ROOT, stdin=there, stdout=there, stderr=there
    )
    os.close(there)
    said = ""
    answers = {"[l]ater": "y\n", "Your name": "Ada\n"}
    with contextlib.suppress(OSError):  # the terminal's other end is closed
        while chunk := os.read(here, 4096).decode(errors="replace"):
            said += chunk
            for question in [each for each in answers if each in said]:
                os.write(here, answers.pop(question).encode())
    assert process.wait(60) == 0, said
    assert not answers, said
    assert "still need it" in said
    os.close(here)


def test_a_killed_one_leaves_nothing_behind_and_a_clean_one_neither(up: Up) -> None:
    """And what waited meanwhile is done by the next."""
    assert up.process
    processes = up.processes()
    up.process.kill()
    up.process.wait()
    assert gone(processes) == []
    up.start()
    assert up.runs(up.trigger("after-the-kill")).state == "done"
    processes = up.processes()
    assert up.stop() == 0
    assert gone(processes) == []
    assert "Traceback" not in up.log.read_text()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    for variable in ("ASPORA_PREFECT_PORT", "ASPORA_GATEWAY_PORT"):
        with socket.create_server(("127.0.0.1", 0)) as sock:
            taken = str(sock.getsockname()[1])
            up = Up(tmp_path)
            up.environment[variable] = taken
            answer = up.command("up")
        assert answer.returncode == 2
        assert f"port {taken}" in answer.stderr
        assert variable in answer.stderr


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    up = Up(tmp_path, PREFECT_API_URL="http://127.0.0.1:9/api")
    up.environment["PREFECT_API_URL"] = "http://127.0.0.1:9/api"
    answer = up.command("up")
    assert answer.returncode == 1
    assert "PREFECT_API_URL" in answer.stderr


def typed(
    up: Up, *words: str, directory: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A command that would fail if it imported Prefect itself."""
    command = [
        sys.executable, "-c",
        "import sys; sys.path.insert(0, sys.argv.pop(1)); sys.modules['prefect'] = None; "
        "from flows.cli import main; main()",
        str(ROOT), *words,
    ]  # fmt: skip
    return subprocess.run(
        command, env=up.environment | environment, cwd=directory, text=True, capture_output=True,
        stdin=subprocess.DEVNULL, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Iterator[HeldModel]:
    """A model server that holds a run's answer back until it is told."""
    held = HeldModel()
    yield held
    held.close()


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory, model: HeldModel) -> Iterator[Up]:
    """A running one with that model."""
    directory = tmp_path_factory.mktemp("held")
    instance = Up(directory, DIAGNOSED, ANTHROPIC_BASE_URL=model.url)
    try:
        instance.start()
        yield instance
    finally:
        instance.kill()


def test_a_run_is_cancelled_from_prefect(held: Up, model: HeldModel) -> None:
    held.trigger("cancelled")
    assert model.holding.wait(180)
    run = next(run for run in held.flow_runs("ecm") if run["state_type"] == "RUNNING")
    process = psutil.Process(int(run["infrastructure_pid"].split(":")[1]))
    held.post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLING"}})
    assert gone([process]) == []
    held.until(lambda: held.state(run["id"]) == "Cancelled", lambda: held.state(run["id"]))


def test_signals_reach_a_command_that_the_worker_runs(held: Up, model: HeldModel) -> None:
    """Ctrl-Z, `fg`, and Ctrl-C; not a hang-up under `nohup`."""
    process, fork = held_command(held, model, "nohup")
    itself = psutil.Process(process.pid)
    stopped = psutil.STATUS_STOPPED
    process.send_signal(signal.SIGTSTP)
    held.until(lambda: itself.status() == fork.status() == stopped, fork.status)
    process.send_signal(signal.SIGCONT)
    held.until(lambda: stopped not in (itself.status(), fork.status()), fork.status)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "--continue" in errors
    assert gone([fork]) == []


def test_a_command_ends_in_the_worker_when_nobody_waits_for_it_any_more(held: Up, model: HeldModel) -> None:
    process, fork = held_command(held, model)
    process.kill()
    process.communicate()
    assert gone([fork]) == []


def held_command(held: Up, model: HeldModel, *before: str) -> tuple[subprocess.Popen[str], psutil.Process]:
    """`aspora run`, whose model holds its answer back; and the process that does its work."""
    model.holding.clear()
    model.release.clear()
    process = subprocess.Popen(
        [*before, *COMMAND, "run", "ecm"], env=held.environment, cwd=ROOT, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert model.holding.wait(60)
    worked = held.part("worker").children(recursive=True)
    return process, next(each for each in worked if os.getpgid(each.pid) == each.pid)


def test_a_run_goes_on_after_its_worker_was_killed(held: Up, model: HeldModel) -> None:
    model.holding.clear()
    model.asked.clear()
    id = held.trigger("worker-killed")
    assert model.holding.wait(180)
    processes = held.part("worker").children(recursive=True)
    held.part("worker").kill()
    assert gone(processes) == []
    model.release.set()
    assert held.runs(id).state == "done"
    assert model.asked == {
        ("patterns", 1): 1,
        ("patterns", 2): 1,
        ("root_cause", 1): 1,
        ("root_cause", 2): 2,
    }


def test_a_run_goes_on_after_everything_was_stopped_and_started(held: Up, model: HeldModel) -> None:
    model.holding.clear()
    model.release.clear()
    model.asked.clear()
    id = held.trigger("stopped")
    assert model.holding.wait(180)
    processes = held.processes()
    held.signal(signal.SIGINT)
    assert held.process
    assert held.process.wait(60) == 0
    assert gone(processes) == []
    assert held.row(id).state not in ("done", "failed")
    model.release.set()
    held.start()
    assert held.runs(id).state == "done"
