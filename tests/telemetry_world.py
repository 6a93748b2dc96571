"""A record with the architecture document's run in it, a Langfuse and an Opik, and couriers between them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from blocks import secrets, telemetry
from blocks.config import Config
from blocks.config_file import load
from blocks.database import Database
from blocks.home import ROOT
from blocks.schema import outbox as table
from tasks import forwarding, handoffs, journal, outbox, record, spend
from tasks.clock import utc
from tasks.forwarding import Courier
from tasks.handoffs import Handoff
from tasks.masking import Masker
from tasks.platform import Platform
from tests.record_world import NOW, began, step
from tests.telemetry_servers import (
    API_KEY,
    PUBLIC,
    SECRET,
    WORKSPACE,
    LangfuseServer,
    OpikServer,
    Server,
    langfuse_serving,
    opik_serving,
)

RUN = "ecm-2026-02-17-08:00:23-1a2b"
TRIAGED = [("query_stuck_orders", 0.4, "500 orders")]
DIAGNOSED = [
    ("query_application_logs", 2.3, "127 errors found"),
    ("search_runbooks", 0.8, "runbook 25"),
    ("get_similar_incidents", 0.5, "incident 123, 80 % similar"),
]
PRICED = {"input": 20_000, "output": 3_000, "cache_read": 10_000, "cache_write": 1_000}


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.passed = 0.0

    def seconds(self) -> float:
        return self.passed

    def now(self) -> datetime:
        return utc() + timedelta(seconds=self.passed)


class World:
    """The record, the two servers, and what is done with them."""

    def __init__(self, database: Database, langfuse: LangfuseServer, opik: OpikServer) -> None:
        self.database = database
        self.langfuse = langfuse
        self.opik = opik
        self.clock = Clock()
        self.platform = Platform(settings(), ROOT, database, "offline", Masker(b"k" * 32))
        self._couriers: dict[str, Courier] = {}
        self._made: list[Courier] = []

    def server(self, name: str) -> Server:
        """The server of a destination."""
        return self.langfuse if name == "langfuse" else self.opik

    def courier(self, name: str) -> Courier:
        """A new courier: what the one before knew is gone, as after a restart."""
        found = telemetry.configured()[name]
        clock = self.clock
        made = Courier(self.platform, found, telemetry.destination(found), clock.seconds, clock.now)
        self._made.append(made)
        self._couriers[name] = made
        return made

    async def close(self) -> None:
        """Closes what the couriers have open."""
        for courier in self._made:
            await courier.close()

    async def carry(self, *names: str) -> int:
        """One round to each destination; how many rows were confirmed."""
        count = 0
        for name in names or tuple(telemetry.NAMES):
            count += await (self._couriers.get(name) or self.courier(name)).carry()
        return count

    async def carry_for(self, name: str, seconds: float, every: float = 5.0) -> int:
        """Rounds for so long, without waiting."""
        count = 0
        for _ in range(round(seconds / every)):
            count += await self.carry(name)
            self.clock.passed += every
        return count

    def states(self) -> dict[str, outbox.State]:
        """How far each destination has been told."""
        return {state.destination: state for state in self.database.read_now(forwarding.state)}

    def rows(self, name: str) -> list[outbox.Row]:
        """What is left in the outbox."""
        chosen = table.select().where(table.c.destination == name).order_by(table.c.id)
        return self.database.read_now(
            lambda conn: [outbox.Row.model_validate(row) for row in conn.execute(chosen)]
        )

    def documents_run(self) -> tuple[str, str]:
        """The document's run: triage finds lulu, diagnosis its cause; the ids of both executions."""
        return self.database.write_now(documents_run)

    def ended(self, number: int, skill: str = "ecm-diagnose", **given: Any) -> str:
        """A further execution that has ended, in a run of its own; its id."""

        def write(conn: Connection) -> str:
            run_id = f"ecm-2026-02-17-{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}-abcd"
            row = began(conn, skill, run_id, input_data=given.get("input_data"))
            found = {"root_cause": f"cause {number}"}
            record.finish(conn, row.execution_id, "success", output=found, latency_seconds=1.0)
            return row.execution_id

        return self.database.write_now(write)

    def grow_old(self, by: timedelta) -> None:
        """As if all rows had been written so long ago."""
        old = update(table).values(created_at=utc() - by, next_attempt_at=utc() - by)
        self.database.write_now(lambda conn: conn.execute(old))


def documents_run(conn: Connection) -> tuple[str, str]:
    """See `World.documents_run`."""
    triage = began(
        conn, "ecm-triage", RUN, model="claude-haiku-4.5", provider="anthropic", input_data={"stage": "all"}
    )
    _tools(conn, triage, TRIAGED)
    _turn(conn, triage, 2, "claude-haiku-4.5", 1.2, 3_000, {"input": 1_000, "output": 400})
    handoff = Handoff(
        run_id=RUN, from_execution_id=triage.execution_id, from_skill="ecm-triage",
        to_skill="ecm-diagnose", pattern_key="lulu", rule="manager.critical_count >= 10",
    )  # fmt: skip
    handoffs.add(conn, handoff)
    found = {"patterns": [{"stuck_at": "lulu", "count": 90, "critical_count": 68, "trend": "UP"}]}
    record.finish(
        conn, triage.execution_id, "success", output=found, latency_seconds=1.6,
        now=NOW + timedelta(seconds=1.6),
    )  # fmt: skip
    diagnose = began(
        conn, "ecm-diagnose", RUN, from_skill="ecm-triage", handoff=handoff.key, pattern_key="lulu",
        rule=handoff.rule, provider="anthropic", now=NOW + timedelta(seconds=2),
        input_data={"stuck_at": "lulu", "count": 90, "contact": "jo.doe@example.com"},
    )  # fmt: skip
    _tools(conn, diagnose, DIAGNOSED)
    _turn(conn, diagnose, 4, "claude-sonnet-4.6", 8.7, 120_000, PRICED)
    record.finish(
        conn, diagnose.execution_id, "success", latency_seconds=12.3, now=NOW + timedelta(seconds=14.3),
        output={"root_cause": "Rate limit", "confidence": "high", "evidence": ["Logs", "Runbook #25"]},
        trace="Logs show HTTP 429 errors; jo.doe@example.com and +44 20 7946 0958 wait",
    )  # fmt: skip
    return triage.execution_id, diagnose.execution_id


def _tools(conn: Connection, row: record.Execution, calls: list[tuple[str, float, str]]) -> None:
    at = row.started_at
    for number, (name, seconds, summary) in enumerate(calls, 1):
        asked = {"service": "lulu", "customer_name": "Jo Doe"}
        made = step(
            row.execution_id, number, name=name, seconds=seconds, summary=summary, started_at=at, input=asked,
            status="error" if name == "get_similar_incidents" else "ok",
        )  # fmt: skip
        journal.append(conn, made)
        at += timedelta(seconds=seconds)


def _turn(
    conn: Connection,
    row: record.Execution,
    sequence: int,
    model: str,
    seconds: float,
    micro: int,
    tokens: dict[str, int],
) -> None:
    reserved = spend.reserve(
        conn, domain="ecm", execution_id=row.execution_id, sequence=sequence, micro=micro,
        budgets=spend.Budgets(),
    )  # fmt: skip
    content = [
        {"type": "text", "text": "The account GB33BUKB20201555555555 hit HTTP 429"},
        {"type": "tool_use", "id": "t1", "name": "search_runbooks", "input": {"query": "lulu"}},
    ]
    made = step(
        row.execution_id, sequence, kind="model", name=model, call=None, input=None,
        output={"content": content, "stop_reason": "tool_use"}, summary="tool_use",
        started_at=row.started_at + timedelta(seconds=3), seconds=seconds, tokens=tokens, cost_micro=micro,
    )  # fmt: skip
    journal.append(conn, made, reserved)


@cache
def settings() -> Config:
    """The project's own config."""
    return load(ROOT / "aspora.config.yaml")


@pytest.fixture(name="migrated", scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty record as SQLite file, to be copied: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "record.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture(name="servers")
def running_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LangfuseServer, OpikServer]]:
    """Both servers, and settings that lead to them."""
    monkeypatch.setattr(secrets, "_loaded", {})
    with langfuse_serving() as langfuse, opik_serving() as opik:
        for name, value in environment(langfuse, opik).items():
            monkeypatch.setenv(name, value)
        yield langfuse, opik


@pytest.fixture(name="world")
async def new_world(database: Database, servers: tuple[LangfuseServer, OpikServer]) -> AsyncIterator[World]:
    """The record, the servers, the couriers. No fault of the wire format is passed over."""
    world = World(database, *servers)
    yield world
    assert world.langfuse.faults == []
    assert world.opik.faults == []
    await world.close()


def environment(langfuse: LangfuseServer, opik: OpikServer) -> dict[str, str]:
    """The variables that set both up."""
    return {
        "LANGFUSE_HOST": langfuse.url,
        "LANGFUSE_PUBLIC_KEY": PUBLIC,
        "LANGFUSE_SECRET_KEY": SECRET,
        "OPIK_URL_OVERRIDE": opik.url,
        "OPIK_API_KEY": API_KEY,
        "OPIK_WORKSPACE": WORKSPACE,
    }
