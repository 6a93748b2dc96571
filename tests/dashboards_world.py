"""A platform with a past: nine sample days in the record and in Prometheus, then real offline runs.

The past is made up: its executions are put into the record in the order of time, through the functions that
real runs use, and after each hour the real exposition is asked for what `/metrics` said then. `promtool`
makes Prometheus' blocks of that. What happens now is real: the domains' runs on their sample worlds, a
gateway process, and Debian's Prometheus that scrapes it.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import yaml
from sqlalchemy import Connection, insert, select

from blocks.config_file import load
from blocks.database import Database
from blocks.home import ROOT
from blocks.schema import executions, metadata
from tasks import corrections, exposition, handoffs, ids, journal, reading, record, spend
from tests import needs
from tests.ports import free_port
from tests.prometheus import WAIT_SECONDS, Prometheus

DAYS = 9
SEED = 11
JOB = "aspora"
LANGFUSE = {
    "LANGFUSE_HOST": "http://127.0.0.1:9",
    "LANGFUSE_PUBLIC_KEY": "pk-sample",
    "LANGFUSE_SECRET_KEY": "sk-sample",
}
"""A destination of traces, so that its lag is told; nothing is sent in these tests."""

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@dataclass(frozen=True)
class Skill:
    """How a skill of the past behaved."""

    domain: str
    name: str
    role: record.Role
    model: str
    seconds: float
    micro: int
    tools: tuple[str, ...]
    causes: tuple[str, ...] = ()
    """What users corrected it to."""


TRIAGE = Skill("ecm", "ecm-triage", "manager", "claude-haiku-4.5", 1.6, 3_000, ("query_stuck_orders",))
DIAGNOSE = Skill(
    "ecm", "ecm-diagnose", "specialist", "claude-sonnet-4.6", 8.7, 120_000,
    ("query_application_logs", "search_runbooks", "get_similar_incidents"),
    ("Timeout of the partner, no rate limit", "Timeout of the partner, no rate limit", "Expired credentials"),
)  # fmt: skip
RESOLVE = Skill("ecm", "ecm-resolve", "specialist", "claude-haiku-4.5", 3.2, 30_000, ("query_stuck_orders",))
DETECT = Skill(
    "auto-rca", "rca-detect-anomaly", "manager", "claude-haiku-4.5", 2.4, 9_000,
    ("find_anomalies", "query_metrics"),
)  # fmt: skip
TRACE = Skill(
    "auto-rca", "rca-trace-deploy", "specialist", "claude-sonnet-4.6", 14.0, 210_000,
    ("query_changes", "query_application_logs"), ("Feature flag of the day before",),
)  # fmt: skip
SIMULATE = Skill(
    "fraud", "fraud-simulate-rule", "manager", "claude-haiku-4.5", 21.0, 40_000, ("backtest_rule",)
)
EDGES = Skill(
    "fraud", "fraud-edge-cases", "specialist", "claude-sonnet-4.6", 35.0, 180_000, ("find_edge_cases",)
)
FLOWS = (
    (TRIAGE, DIAGNOSE, RESOLVE, (0, 8, 16)),
    (DETECT, TRACE, None, (5, 13, 21, 22)),
    (SIMULATE, EDGES, None, (6,)),
)
"""Manager, specialist, what may follow, and how many hours after the day's start the manager ran."""


@dataclass(frozen=True)
class Event:
    """Something of the past, and when it was over."""

    at: datetime
    write: Callable[[Connection], None]


@dataclass
class Platform:
    """The record, what it was run with, and where its Prometheus is.

    Use it in a `with` block: it begins once everything runs and is scraped.

    Attributes:
        at: the moment that every query is about, once the block has begun.
    """

    home: Path
    environment: Mapping[str, str]
    ends: ExitStack = field(default_factory=ExitStack)
    port: int = field(default_factory=free_port)
    at: float = 0

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = Database(f"sqlite:///{self.home}/aspora.db")
        self.prometheus: Prometheus
        self._gateway: subprocess.Popen[bytes]

    def __enter__(self) -> Platform:
        with self.ends as ends:
            start = datetime.fromtimestamp(time.time() // 60 * 60, tz=UTC)
            self.database.migrate()
            samples = past(self.database, load(self.home / "aspora.config.yaml"), start, self.port)
            directory = self.home / "prometheus"
            _make_blocks(directory, samples)
            _run_module("tests.dashboards_runs", self.environment)
            ends.callback(self._stop)
            self._serve()
            prometheus = Prometheus(directory, f"{self.url}/metrics", job=JOB)
            self.prometheus = ends.enter_context(prometheus)
            prometheus.until(lambda: prometheus.query("up == 1"))
            self.at = time.time()
            self.ends = ends.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ends.close()
        self.database.close()

    def restart(self) -> float:
        """The gateway ends and begins again; a moment at which Prometheus has seen it since."""
        self._stop()
        until(lambda: not self.prometheus.query("up == 1"), "Prometheus to miss the gateway")
        self._serve()
        until(lambda: self.prometheus.query("up == 1"), "Prometheus to find the gateway")
        return time.time()

    def _serve(self) -> None:
        environment = {**self.environment, **LANGFUSE, "ASPORA_GATEWAY_PORT": str(self.port)}
        command = [sys.executable, "-m", "flows.gateway"]
        self._gateway = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        until(lambda: _answers(f"{self.url}/readyz"), "the gateway")

    def _stop(self) -> None:
        self._gateway.terminate()
        self._gateway.wait(30)


def until(found: Callable[[], object], what: str) -> None:
    """Waits for it."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not found():
        assert time.monotonic() < deadline, f"waited {WAIT_SECONDS} s in vain for {what}"
        time.sleep(0.1)


def settle(home: Path, environment: Mapping[str, str]) -> Platform:
    """A home with the project's own config; nothing runs yet.

    Args:
        environment: of the processes to start.
    """
    home.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = yaml.safe_load((ROOT / "aspora.config.yaml").read_text(encoding="utf-8"))
    config["mcp_servers"]["runbooks-mcp"]["path"] = str(ROOT / "runbooks")
    path = home / "aspora.config.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    others = ("ASPORA_", "PREFECT_", "ANTHROPIC_", "SLACK_", "LANGFUSE_", "OPIK_")
    kept = {name: value for name, value in environment.items() if not name.startswith(others)}
    return Platform(home, {**kept, "ASPORA_HOME": str(home), "ASPORA_CONFIG": str(path)})


def copied(source: Database, url: str) -> Database:
    """The same record on another database, row for row."""
    target = Database(url)
    target.migrate()
    rows = {
        table: source.read_now(lambda conn, t=table: [dict(row._mapping) for row in conn.execute(select(t))])
        for table in metadata.sorted_tables
    }

    def write(conn: Connection) -> None:
        for table, all_rows in rows.items():
            if all_rows:
                conn.execute(insert(table), all_rows)

    target.write_now(write)
    return target


def past(database: Database, config: Any, now: datetime, port: int) -> Iterator[str]:
    """Writes the sample days into the record; what `/metrics` said meanwhile."""
    known = exposition.known(config, "anthropic")
    events = sorted(_events(now), key=lambda each: each.at)
    name = f"127.0.0.1:{port}"
    for at in moments(now):
        while events and events[0].at <= at:
            database.write_now(events.pop(0).write)
        yield from _said(database, known, at, name)


def moments(now: datetime) -> list[datetime]:
    """When the past was scraped: each hour, and often where the queries' windows begin."""
    first = (now - DAYS * 24 * HOUR).replace(minute=0)
    hourly = [first + HOUR * number for number in range(DAYS * 24 + 1)]
    around = [
        now - timedelta(days=days) + MINUTE * (3 * number - 9) for days in (1, 7) for number in range(12)
    ]
    return sorted({at for at in (*hourly, *around, now) if at <= now})


def _events(now: datetime) -> Iterator[Event]:
    chance = random.Random(SEED)
    for day in range(DAYS, 0, -1):
        start = now - timedelta(days=day) + 30 * MINUTE
        for manager, specialist, follower, hours in FLOWS:
            for hour in hours:
                yield from _run(chance, start + hour * HOUR, manager, specialist, follower)


def _run(
    chance: random.Random, at: datetime, manager: Skill, specialist: Skill, follower: Skill | None
) -> Iterator[Event]:
    run_id = f"{manager.domain}-{at:%Y-%m-%d-%H:%M:%S}-past"
    patterns = chance.choice((0, 1, 2, 3, 3))
    yield _execution(chance, at, run_id, manager, None, "")
    at += timedelta(seconds=40)
    if not patterns:
        yield _handoff(at, run_id, manager, None, "")
    for number in range(patterns):
        yield _handoff(at, run_id, manager, specialist, str(number))
        yield _execution(chance, at + timedelta(seconds=number), run_id, specialist, manager, str(number))
        if follower and chance.random() < 0.3:
            later = at + timedelta(seconds=60 + number)
            yield _handoff(later, run_id, specialist, follower, str(number))
            yield _execution(chance, later, run_id, follower, specialist, str(number))


def _execution(
    chance: random.Random, at: datetime, run_id: str, skill: Skill, sender: Skill | None, key: str
) -> Event:
    seconds = skill.seconds * chance.uniform(0.6, 1.6)
    micro = int(skill.micro * chance.uniform(0.7, 1.4))
    outcome: record.Outcome = chance.choices(("success", "partial", "error"), (94, 4, 2))[0]
    used = [tool for tool in skill.tools if chance.random() < 0.94] or list(skill.tools[:1])
    cause = chance.choice(skill.causes) if skill.causes and chance.random() < 0.12 else ""
    end = at + timedelta(seconds=seconds)

    def write(conn: Connection) -> None:
        begun = record.begin(
            conn, run_id=run_id, domain=skill.domain, skill=skill.name, role=skill.role, model=skill.model,
            provider="anthropic", handoff=key, from_skill=sender.name if sender else None, now=at,
        )  # fmt: skip
        id = begun.execution_id
        paid = spend.reserve(
            conn,
            domain=skill.domain,
            execution_id=id,
            sequence=1,
            micro=micro,
            budgets=spend.Budgets(),
            now=at,
        )
        common = {"execution_id": id, "started_at": at}
        turn = journal.Step(
            sequence=1, kind="model", name=skill.model, seconds=seconds * 0.6, cost_micro=micro, **common
        )
        journal.append(conn, turn, paid)
        for number, tool in enumerate(used, 1):
            call = {"kind": "tool", "name": tool, "call": number, "input": {}, "summary": "sample"}
            spent = seconds * 0.4 / len(used)
            journal.append(conn, journal.Step(sequence=number + 1, seconds=spent, **call, **common))
        record.finish(
            conn, id, outcome, output={"patterns": []}, trace="sample", latency_seconds=seconds, now=end
        )
        if cause and outcome == "success":
            corrections.add(conn, id, {"actual_root_cause": cause}, by="ann", via="cli", now=end)

    return Event(end, write)


def _handoff(at: datetime, run_id: str, sender: Skill, to: Skill | None, key: str) -> Event:
    sent_by = ids.execution_key(run_id, sender.name, key if sender.role == "specialist" else "")

    def write(conn: Connection) -> None:
        id = conn.execute(select(executions.c.execution_id).where(executions.c.key == sent_by)).scalar_one()
        handoff = handoffs.Handoff(
            run_id=run_id,
            from_execution_id=id,
            from_skill=sender.name,
            to_skill=to.name if to else handoffs.NONE,
            pattern_key=key,
        )
        handoffs.add(conn, handoff, at)

    return Event(at, write)


def _said(database: Database, known: exposition.Known, at: datetime, instance: str) -> Iterator[str]:
    """What `/metrics` said at a moment, as Prometheus stores it."""
    read = database.read_now(lambda conn: reading.read(conn, known.scopes, ("langfuse",), at))
    scraped = {"instance": instance, "job": JOB}
    for metric in exposition.metrics(read, known):
        for sample in metric.samples:
            labels = {**sample.labels, **scraped}
            written = ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
            yield f"{sample.name}{{{written}}} {sample.value!r} {at.timestamp():.3f}"


def _make_blocks(directory: Path, samples: Iterator[str] | Sequence[str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "past.txt"
    file.write_text("\n".join((*samples, "# EOF\n")), encoding="utf-8")
    command = [needs.program("promtool", "prometheus"), "tsdb", "create-blocks-from", "--quiet"]
    command += ["--max-block-duration=720h", "openmetrics", str(file), str(directory / "data")]
    subprocess.run(command, check=True, capture_output=True)


def _run_module(module: str, environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", module]
    done = subprocess.run(
        command, cwd=ROOT, env=dict(environment), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.HTTPError:
        return False
