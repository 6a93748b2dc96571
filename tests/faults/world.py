"""The platform as `aspora up` runs it, with all its neighbours on the loopback."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from blocks.database import Database
from blocks.home import ROOT
from tests import fix_world, slack_server
from tests.faults.neighbours import Company, Model
from tests.faults.wire import Wire
from tests.slack_server import SlackServer
from tests.telemetry_servers import LangfuseServer, OpikServer, langfuse_serving, opik_serving
from tests.telemetry_world import environment
from tests.up_world import PARTS, TOKEN, Up
from tests.worlds import platform_database

SIGNING_SECRET = "slack-secret-of-the-faults"
BOT, PEOPLE = "U0BOT", {"U0ADA": "Ada", "U0BEN": "Ben"}
DISK = "600m"
"""The size of the file system that the home is on, where the machine allows mounting one."""
ROUTING = [
    {"when": "manager.critical_count >= 5", "route_to": "ecm-diagnose"},
    {"when": "diagnose.confidence == low", "route_to": "ecm-resolve"},
]
MODULES = PARTS | {"forwarder": "flows.forwarder"}
MEMORY = "mcp_servers.memory"
"""The MCP server that runs as a child process over stdio."""


class World:
    """The running platform, and its neighbours, each behind a wire.

    Attributes:
        disk: whether the home is on a file system of its own, which can be filled.
        wires: neighbour → its wire: `model`, `company`, `slack`, `langfuse`, `opik`.
    """

    def __init__(self, directory: Path, chance: random.Random, stack: ExitStack) -> None:
        self.disk = stack.enter_context(_disk(directory / "disk"))
        self.model = Model(chance)
        stack.callback(self.model.close)
        api = stack.enter_context(fix_world.serving())
        self.slack: SlackServer = stack.enter_context(slack_server.serving())
        self.langfuse: LangfuseServer = stack.enter_context(langfuse_serving())
        self.opik: OpikServer = stack.enter_context(opik_serving())
        targets = {"model": self.model.url, "company": api.url, "slack": self.slack.url}
        targets |= {"langfuse": self.langfuse.url, "opik": self.opik.url}
        self.wires = {name: Wire(url) for name, url in targets.items()}
        for wire in self.wires.values():
            stack.callback(wire.close)
        told = environment(self.langfuse, self.opik)
        told |= {"LANGFUSE_HOST": self.wires["langfuse"].url, "OPIK_URL_OVERRIDE": self.wires["opik"].url}
        self.up = Up(
            directory / "disk",
            ROUTING,
            ANTHROPIC_BASE_URL=self.wires["model"].url,
            SLACK_API_URL=self.wires["slack"].url,
            SLACK_BOT_TOKEN=slack_server.TOKEN,
            SLACK_SIGNING_SECRET=SIGNING_SECRET,
            **told,
        )
        stack.callback(self.up.kill)
        self.up.log = directory / "up.log"
        self.company = Company(api, self.up.home / "warehouse.db", chance)
        self.company.begin()
        self._configure()
        os.environ.update({name: self.up.environment[name] for name in ("ASPORA_HOME", "ASPORA_CONFIG")})
        os.environ.pop("ASPORA_DATABASE_URL", None)
        self.database: Database = platform_database(self.up.environment)
        self.helpers: list[subprocess.Popen[bytes]] = []
        stack.callback(self.end_helpers)
        self._log = stack.enter_context((directory / "helpers.log").open("wb"))

    @property
    def gateway(self) -> str:
        """The gateway's address."""
        return f"http://127.0.0.1:{self.up.gateway}"

    @property
    def home(self) -> Path:
        """The platform's state directory."""
        return self.up.home

    def part(self, name: str) -> psutil.Process | None:
        """A part's process, if it runs."""
        process = self.up.process
        with contextlib.suppress(psutil.Error):
            for each in psutil.Process(process.pid).children() if process else ():
                if MODULES[name] in each.cmdline():
                    return each
        return None

    def runs(self) -> list[psutil.Process]:
        """The processes of runs: each a fork that leads a process group."""
        worker = self.part("worker")
        found: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            for each in worker.children(recursive=True) if worker else ():
                with contextlib.suppress(psutil.Error, ProcessLookupError):
                    if os.getpgid(each.pid) == each.pid and MEMORY not in each.cmdline():
                        found.append(each)
        return found

    def mcp_children(self) -> list[psutil.Process]:
        """The stdio servers of this home's runs, orphans included."""
        found = []
        for each in psutil.process_iter(["cmdline"]):
            with contextlib.suppress(psutil.Error):
                serves = MEMORY in (each.info["cmdline"] or ())
                if serves and each.environ().get("ASPORA_HOME") == str(self.home):
                    found.append(each)
        return found

    def help(self, *module: str) -> subprocess.Popen[bytes]:
        """One more process of a part, besides the one that `aspora up` keeps."""
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            env=self.up.beside(),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        self.helpers.append(process)
        return process

    def end_helpers(self) -> None:
        """kill -9 for all processes that `help` started."""
        for process in [*self.helpers]:
            self.end_helper(process)

    def end_helper(self, process: subprocess.Popen[bytes]) -> None:
        """kill -9 for one of them."""
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.helpers.remove(process)

    def ask(self, path: str, body: Any = None) -> Any:
        """Prefect's answer.

        Raises:
            httpx.HTTPError: it doesn't answer, or says no.
        """
        answer = self.up.api.get(path) if body is None else self.up.api.post(path, json=body)
        answer.raise_for_status()
        return answer.json()

    def metrics(self) -> str:
        """What the gateway tells Prometheus."""
        answer = httpx.get(f"{self.gateway}/metrics", timeout=30)
        answer.raise_for_status()
        return answer.text

    def heal(self) -> None:
        """All neighbours behave, and nobody helps."""
        for wire in self.wires.values():
            wire.set("open")
        self.model.mode, self.company.mode, self.slack.delay = "well", "well", 0.0
        self.slack.misbehave = lambda method, given: None
        for server in (self.langfuse, self.opik):
            server.misbehave = lambda path, body: None
            server.delay = 0.0
        self.end_helpers()

    def _configure(self) -> None:
        file = Path(self.up.environment["ASPORA_CONFIG"])
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        config["platform"]["guardrails"] = {
            "budget": "$100/day",
            "rate_limit": "20000/hour",
            "max_parallel_runs": 6,
        }
        config["domains"]["ecm"]["guardrails"]["budget"] = "$90/day"
        (alerts,) = [
            each for each in config["triggers"] if each.get("match", {}).get("alertname") == "StuckOrders"
        ]
        alerts |= {"group_by": ["run"], "quiet": "1s"}
        (action,) = config["domains"]["ecm"]["actions"]
        url = f"{self.wires['company'].url}/orders/{{order_id}}/retry"
        action |= {"url": url, "timeout": "15s", "rate": "10/s"}
        config["mcp_servers"]["memory-mcp"] = {
            "command": ["python", "-m", MEMORY], "env": {"PYTHONPATH": str(ROOT)}, "timeout": "30s",
        }  # fmt: skip
        bots = [{"mention": "@ecm-agent", "user_id": BOT}]
        config["slack"] = {"bots": bots, "channels": {"default": "C0OPS"}, "users": PEOPLE}
        file.write_text(yaml.safe_dump(config), encoding="utf-8")


@contextmanager
def running(directory: Path, chance: random.Random) -> Iterator[World]:
    """A world whose platform is up, until the block ends."""
    with ExitStack() as stack:
        world = World(directory, chance, stack)
        world.up.start()
        yield world


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory of its own."""
    with tempfile.TemporaryDirectory(prefix="aspora-faults-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _disk(directory: Path) -> Iterator[bool]:
    """A small file system at that place; a plain directory where the machine does not let us mount one."""
    directory.mkdir(parents=True)
    mounted = _command("mount", "-t", "tmpfs", "-o", f"size={DISK}", "aspora-faults", str(directory))
    try:
        yield mounted
    finally:
        if mounted and not _command("umount", str(directory)):
            _command("umount", "-l", str(directory))


def _command(*words: str) -> bool:
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


__all__ = ["BOT", "DISK", "PEOPLE", "SIGNING_SECRET", "TOKEN", "World", "running", "scratch"]
