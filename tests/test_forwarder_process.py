"""The forwarder as a process, and `aspora up` with both destinations: killed, stopped, started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from langfuse import Langfuse

from blocks.database import Database
from blocks.home import ROOT
from tasks import corrections, forwarding, record
from tests.record_world import began
from tests.telemetry_servers import LangfuseServer, OpikServer, failing, langfuse_serving, opik_serving
from tests.telemetry_world import environment
from tests.up_world import Up, gone
from tests.worlds import STRAIGHT, write_config

pytestmark = pytest.mark.full


@pytest.fixture(name="langfuse")
def running_langfuse() -> Iterator[LangfuseServer]:
    with langfuse_serving() as server:
        yield server


@pytest.fixture(name="opik")
def running_opik() -> Iterator[OpikServer]:
    with opik_serving() as server:
        yield server


class Forwarder:
    """A home, and the process on it."""

    def __init__(self, directory: Path, **variables: str) -> None:
        kept = {
            name: text for name, text in os.environ.items() if not name.startswith(("PREFECT_", "ASPORA_"))
        }
        config = write_config(directory / "aspora.config.yaml", STRAIGHT)
        self.environment = {
            **kept,
            **variables,
            "ASPORA_HOME": str(directory / "home"),
            "ASPORA_CONFIG": str(config),
        }
        (directory / "home").mkdir()
        self.database = Database(f"sqlite:///{directory}/home/aspora.db")
        self.database.migrate()
        self.log = directory / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flows.forwarder"], env=self.environment, cwd=ROOT, stderr=log
            )

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def ends(self, count: int) -> set[str]:
        """So many further executions end; their ids."""

        def write(conn: object) -> set[str]:
            ids = set()
            for number in range(count):
                row = began(conn, run_id=f"ecm-{time.time_ns()}-{number}")  # type: ignore[arg-type]
                record.finish(conn, row.execution_id, "success", output={"root_cause": "x"})  # type: ignore[arg-type]
                ids.add(row.execution_id)
            return ids

        return self.database.write_now(write)

    @property
    def waiting(self) -> int:
        return sum(state.pending for state in self.database.read_now(forwarding.state))

    def log_lines(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture(name="forwarder")
def new_forwarder(tmp_path: Path, langfuse: LangfuseServer, opik: OpikServer) -> Iterator[Forwarder]:
    made = Forwarder(tmp_path, **environment(langfuse, opik))
    yield made
    if made.process:
        made.process.kill()
        made.process.wait()
    made.database.close()


def until(found: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not found() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found()


def test_killed_in_the_middle_it_loses_and_doubles_nothing(
    forwarder: Forwarder, langfuse: LangfuseServer, opik: OpikServer
) -> None:
    """kill -9 once the servers have taken a batch and before they have confirmed it."""
    executions = forwarder.ends(130)
    langfuse.held, opik.held = threading.Event(), threading.Event()
    forwarder.start()
    until(lambda: langfuse.waiting and opik.waiting)
    forwarder.kill()
    langfuse.held.set()
    opik.held.set()
    executions |= forwarder.ends(5)
    forwarder.start()
    until(lambda: forwarder.waiting == 0)
    traces = {Langfuse.create_trace_id(seed=each) for each in executions}
    assert {span.trace for span in langfuse.spans.values()} == traces
    assert len(langfuse.spans) == len(executions)
    assert max(langfuse.received.values()) > 1
    assert {span["metadata"]["execution_id"] for span in opik.spans.values()} == executions
    assert len(opik.spans) == len(executions)
    assert len(opik.traces) == len(executions)
    assert (langfuse.faults, opik.faults) == ([], [])


def test_it_tells_once_that_one_is_down_and_once_that_it_works(
    forwarder: Forwarder, langfuse: LangfuseServer, opik: OpikServer
) -> None:
    """The other one gets everything meanwhile."""
    langfuse.misbehave = lambda path, body: failing(503)
    executions = forwarder.ends(3)
    forwarder.start()
    until(lambda: len(opik.spans) == 3 and len(langfuse.calls) >= 4)
    langfuse.misbehave = lambda path, body: None
    until(lambda: forwarder.waiting == 0)
    until(lambda: any("again" in line for line in forwarder.log_lines()))
    assert len(langfuse.spans) == len(executions)
    told = [line for line in forwarder.log_lines() if "telemetry" in line]
    assert len(told) == 2
    assert f"Langfuse at {langfuse.url} takes no telemetry (HTTP 503)" in told[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_clean_while_a_destination_hangs(
    forwarder: Forwarder, langfuse: LangfuseServer, opik: OpikServer, number: signal.Signals
) -> None:
    """And lets go of its rows: the next one starts with them at once."""
    forwarder.ends(1)
    langfuse.held = threading.Event()
    forwarder.start()
    until(lambda: langfuse.waiting and opik.spans)
    assert forwarder.process
    forwarder.process.send_signal(number)
    assert forwarder.process.wait(30) == 0
    assert forwarder.log_lines() == ["forwarder is running"]
    langfuse.held.set()
    forwarder.start()
    until(lambda: forwarder.waiting == 0)


def test_it_ends_when_its_parent_is_gone(forwarder: Forwarder, tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time; "
        f"child = subprocess.Popen([sys.executable, '-m', 'flows.forwarder'], cwd={str(ROOT)!r}); "
        f"open({str(tmp_path / 'pid')!r}, 'w').write(f'{{child.pid}}\\n'); time.sleep(600)"
    )
    forwarder.ends(1)
    parent = subprocess.Popen([sys.executable, "-c", script], env=forwarder.environment)
    try:
        until(lambda: forwarder.waiting == 0)
    finally:
        parent.kill()
        parent.wait()
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not psutil.pid_exists(pid))


def test_up_forwards_a_run_and_its_correction(
    tmp_path: Path, langfuse: LangfuseServer, opik: OpikServer
) -> None:
    """With both servers; the forwarder is killed and comes back, and the run does not notice."""
    up = Up(tmp_path, **environment(langfuse, opik))
    try:
        up.start()
        up.says(f"Telemetry goes to Langfuse ({langfuse.url}) and Opik ({opik.url})")
        assert up.process
        part = next(
            child
            for child in psutil.Process(up.process.pid).children()
            if "flows.forwarder" in child.cmdline()
        )
        trigger = up.runs(up.trigger("told"))
        assert trigger.state == "done"
        manager = up.until(lambda: ended_manager(up, trigger.run_id))
        up.until(lambda: langfuse.found("ecm-triage") and opik.traces)
        assert langfuse.found("ecm-triage") == {Langfuse.create_trace_id(seed=manager)}
        up.until(lambda: "ecm-resolve" in str([each["output"] for each in opik.traces.values()]))
        (told,) = opik.traces.values()
        assert trigger.run_id.startswith(told["name"])

        part.kill()
        up.says("forwarder is back")
        database = Database(f"sqlite:///{up.home}/aspora.db")
        database.write_now(
            lambda conn: corrections.add(
                conn, manager, {"actual_root_cause": "a holiday"}, by="ana", via="cli"
            )
        )
        database.close()
        up.until(lambda: langfuse.found("user_corrected"))
        up.until(lambda: opik.scores)
        processes = up.processes()
        assert up.stop() == 0
        assert gone(processes) == []
        assert (langfuse.faults, opik.faults) == ([], [])
    finally:
        up.kill()


def ended_manager(up: Up, run_id: str) -> str:
    """The id of the run's manager's execution, once it has ended."""
    database = Database(f"sqlite:///{up.home}/aspora.db")
    rows = database.read_now(lambda conn: record.of_run(conn, run_id))
    database.close()
    return next((row.execution_id for row in rows if row.skill_role == "manager" and row.outcome), "")
