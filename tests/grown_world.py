"""The platform grown past one process of each kind: the settings of `deploy/`, and two of nearly every part.

Prefect on PostgreSQL and Redis, two API replicas behind a balancer and its background services apart; two
workers, where the machine allows it each in a process namespace of its own, as on two hosts; two gateways
behind a balancer; two background services and two forwarders; the platform's database on PostgreSQL.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import psutil
import pytest
import sqlalchemy as sa

from blocks.database import Database
from blocks.home import ROOT
from tests import debian_postgres
from tests.balancer import Balancer
from tests.faults import world as small
from tests.faults.world import MEMORY, TOKEN
from tests.ports import free_port
from tests.redis_server import RedisServer

T = TypeVar("T")

START_SECONDS = 150.0
"""Long enough for a busy machine to start all parts."""
HASTE = {
    "PREFECT_WORKER_HEARTBEAT_SECONDS": "5",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "1",
}
"""What the tests set besides `deploy/`: they wait less."""


class Replica:
    """One process of a part, which can be killed and started again.

    Attributes:
        alone: whether it has a process namespace of its own: killed, it takes all in it along, like a host.
    """

    def __init__(
        self, name: str, command: tuple[str, ...], environment: dict[str, str], log: Path, alone: bool = False
    ) -> None:
        self.name = name
        self._command = (*(_ALONE if alone else ()), sys.executable, "-m", *command)
        self._environment, self._log, self._alone = environment, log, alone
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, without waiting."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._environment, cwd=ROOT, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def children(self) -> list[psutil.Process]:
        """All that it has started."""
        with contextlib.suppress(psutil.Error):
            if self.process:
                return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def kill(self) -> None:
        """SIGKILL for it; in a namespace of its own, for all there is in it."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def says(self, text: str) -> bool:
        """Whether its log has this."""
        return self._log.exists() and text in self._log.read_text(errors="replace")


class Grown(small.World):
    """The parts, and what a test does with them."""

    def __init__(self, directory: Path, postgres: sa.URL, chance: random.Random, stack: ExitStack) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__(directory, chance, stack)
        self._directory, self._postgres = directory, postgres
        self.redis = RedisServer(directory / "redis")
        stack.callback(self.redis.close)
        names = {each: f"{each}_{uuid.uuid4().hex[:8]}" for each in ("prefect", "aspora")}
        self._create(*names.values())
        ports = {each: (free_port(), free_port()) for each in ("api", "gateway")}
        self.api_balancer = stack.enter_context(_balancing(ports["api"]))
        self.gateway_balancer = stack.enter_context(_balancing(ports["gateway"]))
        self.results = directory / "results"
        self.record_url = _of(postgres, "postgresql", names["aspora"])
        prefect = read_settings("prefect.env") | {
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": _of(postgres, "postgresql+asyncpg", names["prefect"]),
            "PREFECT_REDIS_MESSAGING_URL": self.redis.url(0),
            "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL": self.redis.url(0),
            "PREFECT_SERVER_DOCKET_URL": self.redis.url(1),
        }
        ours = read_settings("aspora.env") | {
            "PREFECT_API_URL": f"{self.api_balancer.url}/api",
            "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(self.results),
            "ASPORA_HOME": self.up.environment["ASPORA_HOME"],
            "ASPORA_CONFIG": self.up.environment["ASPORA_CONFIG"],
            "ASPORA_DATABASE_URL": self.record_url,
            "ASPORA_GATEWAY_TOKEN": TOKEN,
        }
        ours.pop("ASPORA_WAREHOUSE_URL")
        kept = {name: value for name, value in self.up.environment.items() if name != "ASPORA_PREFECT_PORT"}
        self.server_environment = kept | HASTE | prefect
        self.environment = kept | HASTE | ours
        self.up.environment = self.environment
        self.up.api.close()
        self.up.api = self.client(self.environment["PREFECT_API_URL"])
        stack.callback(self.up.api.close)
        os.environ["ASPORA_DATABASE_URL"] = self.record_url
        self.database = Database(self.record_url)
        stack.callback(self.database.close)
        self.replicas = self._replicas(ports)
        stack.callback(self.end)

    def client(self, api: str) -> httpx.Client:
        """One that Prefect's API lets in."""
        user, _, password = self.environment["PREFECT_API_AUTH_STRING"].partition(":")
        return httpx.Client(base_url=api, auth=(user, password), timeout=30)

    @property
    def gateway(self) -> str:
        """The address that leads to both gateways."""
        return self.gateway_balancer.url

    def start(self) -> None:
        """As docs/deploy.md says: Prefect's tables, its parts, `aspora deploy`, and then ours."""
        self._run("prefect", "server", "database", "upgrade", "-y", environment=self.server_environment)
        self.replicas["api 1"].start()
        self.until(lambda: _answers(f"{self.apis[0]}/api/health"))
        for name in ("api 2", "prefect services"):
            self.replicas[name].start()
        self.until(lambda: _answers(f"{self.apis[1]}/api/health"))
        self._run("-c", "from flows.cli import main; main()", "deploy", environment=self.environment)
        for name, replica in self.replicas.items():
            if name not in ("api 1", "api 2", "prefect services"):
                replica.start()
        self.until(lambda: all(_answers(f"{url}/readyz") for url in self.gateways))
        for part, text in (("worker", "started!"), ("services", "are running"), ("forwarder", "is running")):
            self.until(
                lambda part=part, text=text: all(  # type: ignore[misc]
                    self.replicas[f"{part} {n}"].says(text) for n in (1, 2)
                )
            )

    def runs(self) -> list[psutil.Process]:
        """The processes of runs, of both workers."""
        found: list[psutil.Process] = []
        for each in self.replicas["worker 1"].children() + self.replicas["worker 2"].children():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getpgid(each.pid) == each.pid and MEMORY not in each.cmdline():
                    found.append(each)
        return [each for each in found if _is_run(each)]

    def cut_connections(self) -> int:
        """Ends every connection to PostgreSQL; how many."""
        engine = sa.create_engine(self._postgres, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            ended = connection.execute(
                sa.text(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
            ).scalar_one()
        engine.dispose()
        return int(ended)

    def connections(self) -> int:
        """Connections to PostgreSQL now."""
        engine = sa.create_engine(self._postgres)
        with engine.connect() as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            found = connection.execute(sa.text(query)).scalar_one()
        engine.dispose()
        return int(found)

    def until(self, found: Callable[[], T | None], seconds: float = START_SECONDS) -> T:
        """Waits until `found` gives something."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if result := found():
                return result
            time.sleep(0.2)
        pytest.fail(f"waited {seconds:g} s in vain; the logs are in {self._directory}")

    def end(self) -> None:
        """kill -9 for all parts."""
        for replica in reversed(self.replicas.values()):
            replica.kill()

    def _replicas(self, ports: dict[str, tuple[int, int]]) -> dict[str, Replica]:
        self.apis = [f"http://127.0.0.1:{port}" for port in ports["api"]]
        self.gateways = [f"http://127.0.0.1:{port}" for port in ports["gateway"]]
        made: dict[str, Replica] = {}

        def add(name: str, *command: str, alone: bool = False, **environment: str) -> None:
            base = self.server_environment if "server" in command else self.environment
            home = str(self._directory / f"prefect {name}")
            log = self._directory / f"{name}.log"
            made[name] = Replica(name, command, base | environment | {"PREFECT_HOME": home}, log, alone)

        namespaces = _may_have_namespaces()
        for number in (1, 2):
            port = str(ports["api"][number - 1])
            add(f"api {number}", "prefect", "server", "start", "--no-services", "--port", port)
        add("prefect services", "prefect", "server", "services", "start")
        for number in (1, 2):
            gateway = {"ASPORA_GATEWAY_PORT": str(ports["gateway"][number - 1])}
            add(f"gateway {number}", "flows.gateway", **gateway)
            add(f"services {number}", "flows.services")
            add(f"forwarder {number}", "flows.forwarder")
            add(f"worker {number}", "flows.worker", "--pool", "aspora", alone=namespaces)
        return made

    def _create(self, *names: str) -> None:
        engine = sa.create_engine(self._postgres, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for name in names:
                connection.execute(sa.text(f"CREATE DATABASE {name}"))
        engine.dispose()

    def _run(self, *command: str, environment: dict[str, str]) -> None:
        """A command to its end."""
        words = command if command[0] == "-c" else ("-m", *command)
        home = {"PREFECT_HOME": str(self._directory / "prefect commands")}
        done = subprocess.run(
            [sys.executable, *words], env=environment | home, cwd=ROOT, text=True,
            capture_output=True, timeout=START_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def growing(directory: Path, chance: random.Random) -> Iterator[Grown]:
    """All parts, until the block ends."""
    with ExitStack() as stack:
        postgres, _ = stack.enter_context(debian_postgres.serving())
        world = Grown(directory, postgres, chance, stack)
        world.start()
        yield world


def read_settings(name: str) -> dict[str, str]:
    """The variables of a file in `deploy/`."""
    lines = (ROOT / "deploy" / name).read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {variable: value for variable, _, value in pairs}


_ALONE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def _may_have_namespaces() -> bool:
    with contextlib.suppress(OSError):
        return subprocess.run([*_ALONE, "true"], capture_output=True, check=False).returncode == 0
    return False


def _is_run(process: psutil.Process) -> bool:
    """Whether it is a fork of the fork server."""
    with contextlib.suppress(psutil.Error):
        return "multiprocessing.forkserver" in " ".join(process.cmdline())
    return False


@contextmanager
def _balancing(ports: tuple[int, int]) -> Iterator[Balancer]:
    balancer = Balancer(ports)
    try:
        yield balancer
    finally:
        balancer.close()


def _of(server: sa.URL, driver: str, database: str) -> str:
    return server.set(drivername=driver, database=database).render_as_string(hide_password=False)


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, timeout=5).is_success
    return False
