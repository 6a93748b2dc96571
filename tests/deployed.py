"""A real Prefect server and worker in child processes, with this project's deployments."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pytest

from blocks.home import ROOT
from tests.held_model import HeldModel
from tests.ports import free_port
from tests.worlds import STRAIGHT, draw_world, write_config

T = TypeVar("T")

WAIT_SECONDS = 150
"""Long enough for a busy machine; nothing waits longer than it has to."""

_QUICK = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "1",
    "PREFECT_WORKER_QUERY_SECONDS": "0.5",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "[]",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED": "false",
}


class Deployed:
    """The server, the worker, and what a test does with them."""

    def __init__(self, directory: Path, model: HeldModel, **environment: str) -> None:
        self.home = directory / "home"
        self.config = directory / "aspora.config.yaml"
        self.model = model
        self._log = (directory / "log").open("w")
        port = free_port()
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "ASPORA_"))
        }
        self.environment = kept | _QUICK | {
            "ASPORA_HOME": str(self.home),
            "ASPORA_CONFIG": str(self.config),
            "PREFECT_HOME": str(directory / "prefect"),
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        } | environment  # fmt: skip
        self.api = httpx.Client(base_url=self.environment["PREFECT_API_URL"], timeout=30)
        self._server = self._start("flows.cli.server", str(port), str(os.getpid()))
        self.worker: subprocess.Popen[str] | None = None
        self.services: subprocess.Popen[str] | None = None
        self.set_up()

    def set_up(self, routing: list[dict[str, str]] = STRAIGHT, **guardrails: Any) -> None:
        """A new sample world, an empty record, and this config, from the next flow run on."""
        for file in self.home.glob("aspora.db*"):
            file.unlink()
        draw_world(self.home)
        write_config(self.config, routing, **guardrails)

    def deploy(self) -> subprocess.CompletedProcess[str]:
        """What the README says: the work pool, then all deployments."""
        self.until(self._answers, WAIT_SECONDS)
        self.run("prefect", "work-pool", "create", "aspora", "--type", "process")
        return self.run("prefect", "--no-prompt", "deploy", "--all")

    def run(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        command = [sys.executable, "-m", module, *arguments]
        if module == "aspora":
            command = [sys.executable, "-c", "from flows.cli import main; main()", *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=ROOT, text=True, capture_output=True, timeout=120, check=False
        )

    def start_worker(self, **environment: str) -> None:
        """A worker with these variables besides."""
        self.worker = self._start("prefect", "worker", "start", "--pool", "aspora", **environment)

    def stop_worker(self) -> None:
        """SIGKILL for the worker and for the runs that it started."""
        if self.worker:
            end(self.worker)
        self.worker = None

    def start_services(self) -> None:
        """The background services."""
        self.services = self._start("flows.services")

    def stop_services(self) -> None:
        """SIGKILL for the background services."""
        if self.services:
            end(self.services)
        self.services = None

    def start_run(self) -> str:
        """A run of the deployment `ecm`; its flow run id."""
        deployment = self.api.get("/deployments/name/ecm/ecm").json()["id"]
        state = {"state": {"type": "SCHEDULED"}}
        return str(self.post(f"/deployments/{deployment}/create_flow_run", state)["id"])

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Asks the API, and again while its database is busy."""

        def ask() -> httpx.Response | None:
            answer = self.api.post(path, json=body)
            return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

        answer = self.until(ask, WAIT_SECONDS)
        assert answer.is_success, answer.text
        return answer.json()

    def flow_runs(self, name: str, **filters: Any) -> list[dict[str, Any]]:
        """Runs of a flow, newest first."""
        body = {"flows": {"name": {"any_": [name]}}, "sort": "START_TIME_DESC", **filters}
        found: list[dict[str, Any]] = self.post("/flow_runs/filter", body)
        return found

    def state(self, flow_run: str) -> str:
        """The name of a flow run's state, such as `Suspended`."""
        return str(self.api.get(f"/flow_runs/{flow_run}").json()["state"]["name"])

    def reaches(self, flow_run: str, *names: str, seconds: float = WAIT_SECONDS) -> str:
        """Waits until a flow run is in one of these states."""
        self.until(lambda: self.state(flow_run) in names, seconds, lambda: self.state(flow_run))
        return self.state(flow_run)

    def suspended(self) -> str:
        """Runs `ecm` until its fix waits in a suspended run of `ecm-resolve`; that run's id."""
        before = {run["id"] for run in self.flow_runs("ecm-resolve")}
        assert self.reaches(self.start_run(), "Completed", "Failed", "Crashed") == "Completed"

        def waiting() -> str:
            runs = self.flow_runs("ecm-resolve")
            new = [run for run in runs if run["id"] not in before and run["deployment_id"]]
            return next((run["id"] for run in new if self.form(run["id"])), "")

        return self.until(waiting, WAIT_SECONDS)

    def form(self, flow_run: str) -> str:
        """What a suspended run shows above its form; empty until the run can be resumed."""
        run = self.api.get(f"/flow_runs/{flow_run}").json()
        keys = (run["state"]["state_details"] or {}).get("run_input_keyset") or {}
        if run["state"]["name"] != "Suspended" or not keys:
            return ""
        answer = self.api.get(f"/flow_runs/{flow_run}/input/{keys['schema']}")
        text = self.api.get(f"/flow_runs/{flow_run}/input/{keys['description']}")
        return text.text if answer.is_success and text.is_success else ""

    def resume(self, flow_run: str, **verdict: str) -> str:
        """Resumes a suspended run as the UI does; the answer's status."""
        return str(self.post(f"/flow_runs/{flow_run}/resume", {"run_input": verdict})["status"])

    def until(self, found: Callable[[], T | None], seconds: float, told: Callable[[], Any] = lambda: "") -> T:
        """Waits until `found` gives something."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if result := found():
                return result
            time.sleep(0.3)
        pytest.fail(f"waited {seconds:g} s in vain {told()}; {self._log.name}")

    def close(self) -> None:
        """Ends everything."""
        self.stop_worker()
        self.stop_services()
        end(self._server)
        self.api.close()
        self._log.close()

    def _start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", *arguments], env=self.environment | environment, cwd=ROOT, text=True,
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return self.api.get("/health").status_code == 200
        return False


def end(process: subprocess.Popen[str]) -> None:
    """Kills a process and its descendants."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.send_signal(signal.SIGKILL)
    process.kill()
    process.wait()
