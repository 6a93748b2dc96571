"""`aspora up` as a process, in a home of its own, and what tests do with it."""

from __future__ import annotations

import base64
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
from tasks import approvals, inbox
from tests.ports import free_port
from tests.worlds import STRAIGHT, draw_world, platform_database, write_config

T = TypeVar("T")

WAIT_SECONDS = 180
"""Long enough for a busy machine; nothing waits longer than it has to."""
PARTS = {
    "server": "flows.cli.server",
    "worker": "flows.worker",
    "gateway": "flows.gateway",
    "services": "flows.services",
}
"""Part → its module."""
TOKEN = "token-of-the-tests"


class Up:
    """A home and the `aspora up` that runs on it, if any."""

    def __init__(self, directory: Path, routing: list[dict[str, str]] = STRAIGHT, **environment: str) -> None:
        self.home = directory / "home"
        self.log = directory / "up.log"
        config = write_config(directory / "aspora.config.yaml", routing, rate_limit=None)
        draw_world(self.home)
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "ASPORA_"))
        }
        self.prefect, self.gateway = free_port(), free_port()
        self.environment = kept | environment | {
            "ASPORA_HOME": str(self.home),
            "ASPORA_CONFIG": str(config),
            "ASPORA_PREFECT_PORT": str(self.prefect),
            "ASPORA_GATEWAY_PORT": str(self.gateway),
            "ASPORA_GATEWAY_TOKEN": TOKEN,
        }  # fmt: skip
        self.api = httpx.Client(
            base_url=f"http://127.0.0.1:{self.prefect}/api", timeout=30, auth=self._authorise
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def password(self) -> str:
        """Prefect's, as `aspora up` has made it."""
        return (self.home / "prefect-password").read_text().strip()

    def beside(self) -> dict[str, str]:
        """The environment of a process that asks its Prefect server."""
        address = {"PREFECT_API_URL": str(self.api.base_url).rstrip("/")}
        return self.environment | address | {"PREFECT_API_AUTH_STRING": self.password}

    def _authorise(self, request: httpx.Request) -> httpx.Request:
        request.headers["Authorization"] = f"Basic {base64.b64encode(self.password.encode()).decode()}"
        return request

    def start(self) -> None:
        """Starts it, and waits for its ready line."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "up"],
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.says("Aspora is up")

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command of `aspora` with the same environment, or with what is given, to its end."""
        return subprocess.run(
            [*COMMAND, *arguments], env=self.environment | environment, cwd=ROOT, text=True,
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip

    def says(self, text: str) -> None:
        """Waits until it has said this."""
        self.until(lambda: text in self.log.read_text(), self.log.read_text)

    def part(self, name: str) -> psutil.Process:
        """The process of a part."""
        assert self.process
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if PARTS[name] in child.cmdline())

    def processes(self) -> list[psutil.Process]:
        """It and all that it has started."""
        assert self.process
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        assert self.process
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.signal(signal.SIGTERM)
        assert self.process
        return self.process.wait(WAIT_SECONDS)

    def kill(self) -> None:
        """Ends it and all that it has started."""
        if self.process and self.process.poll() is None:
            for process in self.processes():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.wait()
        self.api.close()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Asks Prefect's API."""
        answer = self.api.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def trigger(self, key: str) -> str:
        """A webhook at the gateway; the id of its trigger."""
        answer = httpx.post(
            f"http://127.0.0.1:{self.gateway}/api/ecm/analyze",
            json={},
            headers={"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": key},
            timeout=30,
        )
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return str(answer.json()["id"])

    def row(self, id: str) -> inbox.Trigger:
        """A trigger as it stands."""
        return platform_database(self.environment).read_now(lambda conn: inbox.get(conn, id))

    def runs(self, id: str) -> inbox.Trigger:
        """Waits until a trigger's run is over."""
        self.until(lambda: self.row(id).state in ("done", "failed", "refused"), lambda: str(self.row(id)))
        return self.row(id)

    def flow_runs(self, name: str) -> list[dict[str, Any]]:
        """Runs of a flow."""
        found: list[dict[str, Any]] = self.post("/flow_runs/filter", {"flows": {"name": {"any_": [name]}}})
        return found

    def state(self, id: str) -> str:
        """The name of a flow run's state."""
        return str(self.api.get(f"/flow_runs/{id}").json()["state"]["name"])

    def waiting(self) -> approvals.Approval | None:
        """A fix that waits in a suspended run."""
        database = platform_database(self.environment)
        found = database.read_now(lambda conn: approvals.find(conn, statuses=("waiting",)))
        for each in found:
            if each.flow_run_id and self.state(each.flow_run_id) == "Suspended":
                return each
        return None

    def until(self, found: Callable[[], T | None], told: Callable[[], Any] = lambda: "") -> T:
        """Waits until `found` gives something."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            if result := found():
                return result
            time.sleep(0.2)
        pytest.fail(f"waited {WAIT_SECONDS} s in vain: {told()}")


COMMAND = [sys.executable, "-c", "from flows.cli import main; main()"]


def gone(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those of the processes that still live after a while."""
    _, alive = psutil.wait_procs(processes, timeout=30)
    return alive
