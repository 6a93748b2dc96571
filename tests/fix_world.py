"""A small company for tests: an order table, an API over HTTP, a config, and runs without Prefect."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from blocks.database import Database
from flows.ecm import DOMAIN
from flows.ecm.models import EcmInput
from tasks import actions, approvals, decision, fix, record, report
from tasks.platform import opened
from tasks.run import admitted
from tasks.skill import equipped, perform

STRAIGHT = [{"when": "manager.count >= 1", "route_to": "ecm-resolve"}]
FLOWS = {"ecm-diagnose": perform, "ecm-resolve": perform}


@dataclass
class Call:
    """A request that the API got."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Api:
    """A real HTTP server on the loopback; `answer` decides what it says: status, or status and headers."""

    port: int = 0
    calls: list[Call] = field(default_factory=list)
    answer: Callable[[Call], Any] = lambda call: 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving() -> Iterator[Api]:
    """The API for the time of a test."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            call = Call(self.command, self.path, headers, json.loads(body) if body else None)
            api.calls.append(call)
            said = api.answer(call)
            status, extra = said if isinstance(said, tuple) else (said, {})
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(f"answer {status}".encode())

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET = _handle

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield api
    server.shutdown()
    server.server_close()


class World:
    """A state directory with an order table, and a config that points at it and at an API."""

    def __init__(self, home: Path, url: str) -> None:
        self.home, self.url = home, url
        self.config_file = home / "aspora.config.yaml"
        self.config: dict[str, Any] = self._config()
        self.write()
        with self.orders() as connection:
            connection.execute(
                "CREATE TABLE orders (order_id TEXT, status TEXT, stuck_at TEXT, stage_entered_at TEXT, "
                "left_at TEXT, priority TEXT, amount_usd REAL)"
            )

    @property
    def domain(self) -> dict[str, Any]:
        return self.config["domains"]["ecm"]

    @property
    def action(self) -> dict[str, Any]:
        return self.domain["actions"][0]

    @property
    def database(self) -> Database:
        database = Database(f"sqlite:///{self.home}/aspora.db")
        database.migrate()
        return database

    def write(self) -> None:
        """Writes the config as it stands."""
        self.config_file.write_text(json.dumps(self.config, indent=1))

    @contextmanager
    def orders(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.home / "orders.db", timeout=10)
        with connection:
            yield connection
        connection.close()

    def fill(
        self, ids: list[str], stage: str = "lulu", priority: str = "critical", hours: float = 10
    ) -> None:
        """Adds stuck orders; the first is the oldest."""
        start = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=hours)
        rows = [
            (id, "open", stage, (start + timedelta(seconds=n)).isoformat(" ", "seconds"), None, priority, 100)
            for n, id in enumerate(ids)
        ]
        with self.orders() as connection:
            connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def free(self, *ids: str) -> None:
        """Orders that move on by themselves, or by the API."""
        with self.orders() as connection:
            connection.executemany(
                "UPDATE orders SET status = 'done' WHERE order_id = ?", [(id,) for id in ids]
            )

    def stuck(self) -> set[str]:
        with self.orders() as connection:
            return {row[0] for row in connection.execute("SELECT order_id FROM orders WHERE status = 'open'")}

    def _config(self) -> dict[str, Any]:
        columns = {
            "order_id": "order_id", "stage": "stuck_at", "entered_at": "stage_entered_at",
            "priority": "priority", "amount": "amount_usd",
        }  # fmt: skip
        (self.home / "logs").mkdir(exist_ok=True)
        (self.home / "runbooks").mkdir(exist_ok=True)
        return {
            "platform": {"provider": "offline"},
            "models": {"small": {"id": "claude-haiku-4-5"}},
            "warehouse": {
                "url": f"sqlite:///{self.home}/orders.db",
                "tables": {
                    "orders": {
                        "table": "orders",
                        "columns": columns,
                        "open_when": "status = 'open'",
                        "critical_when": "priority = 'critical'",
                        "stage_sla": {"default": "4h"},
                    }
                },
            },
            "mcp_servers": {
                "redshift-mcp": {"module": "mcp_servers.redshift"},
                "runbooks-mcp": {"module": "mcp_servers.runbooks", "path": str(self.home / "runbooks")},
                "logs-mcp": {"module": "mcp_servers.logs", "path": str(self.home / "logs")},
                "memory-mcp": {"module": "mcp_servers.memory"},
            },
            "domains": {
                "ecm": {
                    "module": "flows.ecm",
                    "auto_fix": True,
                    "skills": [
                        {"name": "ecm-triage", "role": "manager", "model": "small",
                         "tools": ["query_stuck_orders"]},
                        {"name": "ecm-diagnose", "role": "specialist", "model": "small",
                         "tools": ["query_application_logs", "search_runbooks", "get_similar_incidents"]},
                        {"name": "ecm-resolve", "role": "specialist", "model": "small",
                         "tools": ["query_stuck_orders"]},
                    ],
                    "routing": STRAIGHT,
                    "guardrails": {"human_in_loop": ["ecm-resolve"], "approvers": ["ops-leads"]},
                    "mcp_tools": {
                        "redshift-mcp": ["query_stuck_orders"],
                        "runbooks-mcp": ["search_runbooks"],
                        "logs-mcp": ["query_application_logs"],
                        "memory-mcp": ["get_similar_incidents"],
                    },
                    "actions": [
                        {
                            "name": "retry_orders",
                            "url": f"{self.url}/orders/{{order_id}}/retry",
                            "rate": "200/s",
                        }
                    ],
                }
            },
        }  # fmt: skip


@pytest.fixture(name="api")
def new_api() -> Iterator[Api]:
    """An API that says yes to all."""
    with serving() as server:
        yield server


@pytest.fixture(name="world")
def new_world(tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch) -> World:
    """Three critical orders are stuck at lulu; the API frees what it is asked to."""
    made = World(tmp_path, api.url)
    monkeypatch.setenv("ASPORA_HOME", str(tmp_path))
    monkeypatch.setenv("ASPORA_CONFIG", str(made.config_file))
    for name in ("ASPORA_DATABASE_URL", "ASPORA_WAREHOUSE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    made.fill(["A1", "A2", "A3"])

    def frees(call: Call) -> int:
        made.free(call.path.split("/")[2])
        return 200

    api.answer = frees
    return made


async def run(given: EcmInput | None = None, trigger_id: str = "") -> dict[str, Any]:
    """A whole run; its report."""
    async with opened() as platform:
        async with admitted(DOMAIN, given or EcmInput(), trigger_id) as admitted_run:
            if not admitted_run.refusal:
                manager = await admitted_run.manage(perform)
                await admitted_run.pursue(manager, FLOWS)
        return await platform.database.read(lambda conn: report.of_run(conn, admitted_run.run_id))


async def proposed() -> dict[str, Any]:
    """A run whose one fix waits; the approval."""
    result = await run()
    assert result["state"] == "awaiting_approval", result
    return dict(next(each for each in result["approvals"] if each["status"] == "waiting"))


async def approve(id: str, by: str = "ann", **given: Any) -> approvals.Decision:
    async with opened() as platform:
        return await decision.decide(platform, id, True, by=by, via="cli", **given)


async def carry_out(id: str) -> approvals.Approval:
    async with opened() as platform:
        domain = await platform.database.read(lambda conn: approvals.get(conn, id).domain)
        async with equipped(platform, domain) as toolbox:
            return await fix.carry_out(platform, id, toolbox)


async def carried_out(id: str) -> approvals.Approval:
    """Approved by ann, and done."""
    await approve(id)
    return await carry_out(id)


def done_to(world: World, id: str) -> dict[str, actions.Action]:
    """What was done to each order, by its id."""
    found = world.database.read_now(lambda conn: actions.of_approval(conn, id))
    return {each.object_key.rpartition("@")[0]: each for each in found}


def outcome(world: World, approval: approvals.Approval) -> record.Execution:
    return world.database.read_now(lambda conn: record.get(conn, approval.execution_id))
