"""Draws a sample world and writes it."""

from __future__ import annotations

import csv
import json
import math
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from flows.rca.sample import api
from flows.rca.sample.faults import FAULTS, Fault
from flows.rca.sample.services import ENTRY, REQUESTS, SERVICES

DEFAULT_SEED = 7
"""The demo: payments waits for connections after a change of its configuration."""
STEP = 300
HISTORY = timedelta(days=3, hours=2)
LOGS = timedelta(hours=27)
MISSING = 0.01
"""Share of samples that were never scraped."""
CHATTER = 20
"""Lines an hour of what a service says all the time."""
COMPLAINTS = 400
"""Lines of a fault at most."""
FOLDER = "rca"
_ROUTINE = (
    ("deploy", "release {version}: dependency updates", "bumps libraries; no change of behaviour intended"),
    ("deploy", "release {version}: wording of error messages", "texts in messages.properties"),
    ("deploy", "release {version}: export of reports as CSV", "ReportController, CsvWriter; tests"),
    ("config", "log level of the HTTP client lowered", "logging.http: INFO → WARN"),
    ("config", "more memory", "resources.memory: 1Gi → 1.5Gi"),
    ("flag", "flag new_footer turned on for 10%", "new_footer: off → 10%"),
)


@dataclass(frozen=True)
class Trouble:
    """A fault at work in one service."""

    fault: Fault
    service: str
    onset: datetime
    changed: datetime | None
    seconds: float
    failing: float


@dataclass(frozen=True)
class World:
    """A world that was written.

    Attributes:
        now: the moment it shows, UTC.
        alert: labels and beginning of the alert that fires.
        truth: what is wrong, as in the truth file; None if nothing is.
        incidents: past incidents to insert into the platform record.
    """

    seed: int
    now: datetime
    alert: Mapping[str, Any]
    truth: Mapping[str, Any] | None
    incidents: tuple[Mapping[str, Any], ...] = ()


def draw(seed: int, home: Path, *, now: datetime | None = None, faults: Sequence[Fault] = FAULTS) -> World:
    """Writes the world of a seed and a moment into `home/rca`, in place of an earlier one.

    Written are `metrics/` (series, graph, alerts), `logs/`, `changes.db`, and in `truth/` what only the
    evaluation may read. All of it is written beside and renamed.

    Args:
        now: with a time zone; the present minute if absent. The same seed and moment give the same world.
        faults: what can be wrong in the world.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC).replace(second=0, microsecond=0)
    trouble = plan(seed, moment, faults)
    home.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".drawing-", dir=home))
    try:
        world = _write(beside, seed, moment, trouble)
        _replace(home / FOLDER, beside)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return world


def plan(seed: int, now: datetime, faults: Sequence[Fault] = FAULTS) -> Trouble | None:
    """What is wrong in a world; nothing in one of six."""
    rng = Random(f"{seed}:plan")  # noqa: S311
    if seed == DEFAULT_SEED:
        fault = next((fault for fault in faults if fault.name == "pool_too_small"), faults[0])
        return _trouble(rng, fault, fault.services[0], now)
    if rng.random() < 1 / 6:
        return None
    fault = rng.choice(faults)
    return _trouble(rng, fault, rng.choice(fault.services), now)


def _trouble(rng: Random, fault: Fault, service: str, now: datetime) -> Trouble:
    onset = now - timedelta(minutes=rng.randint(20, 40), seconds=rng.randint(0, 59))
    changed = onset - timedelta(minutes=rng.randint(*fault.minutes), seconds=rng.randint(5, 50))
    return Trouble(
        fault,
        service,
        onset,
        changed if fault.change else None,
        rng.uniform(*fault.seconds),
        rng.uniform(*fault.failing),
    )


def _write(folder: Path, seed: int, now: datetime, trouble: Trouble | None) -> World:
    rows = list(_series(Random(f"{seed}:series"), now, trouble))  # noqa: S311
    metrics = folder / "metrics"
    metrics.mkdir()
    with (metrics / "series.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("metric", "service", "time", "value"))
        writer.writerows(rows)
    graph: dict[str, list[str]] = {name: list(service.calls) for name, service in SERVICES.items()}
    if trouble and trouble.fault.new_callee:
        graph[trouble.service] = [*graph[trouble.service], trouble.fault.new_callee]
    _json(metrics / "graph.json", graph)
    alert = _alert(Random(f"{seed}:alert"), now, trouble)  # noqa: S311
    _json(metrics / "alerts.json", [alert])
    changes = _changes(Random(f"{seed}:changes"), now, trouble)  # noqa: S311
    api.create(folder / "changes.db", changes)
    _logs(folder / "logs", Random(f"{seed}:logs"), now, trouble)  # noqa: S311
    truth = _truth(trouble, changes)
    (folder / "truth").mkdir()
    _json(folder / "truth" / "rca.json", truth)
    _json(folder / "world.json", {"seed": seed, "drawn_at": now.isoformat()})
    return World(seed, now, alert, truth)


def _truth(trouble: Trouble | None, changes: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    if trouble is None:
        return None
    at = trouble.changed.isoformat() if trouble.changed else ""
    change = next(
        (one["id"] for one in changes if one["at"] == at and one["service"] == trouble.service), None
    )
    return {
        "fault": trouble.fault.name,
        "service": trouble.service,
        "change": change,
        "action": trouble.fault.action,
        "onset": trouble.onset.isoformat(),
    }


def _replace(target: Path, beside: Path) -> None:
    old = beside.with_name(beside.name + "-old")
    if target.exists():
        target.rename(old)
    beside.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _series(rng: Random, now: datetime, trouble: Trouble | None) -> Iterator[tuple[str, str, int, str]]:
    end = int(now.timestamp()) // STEP * STEP
    for at in range(end - int(HISTORY.total_seconds()), end + 1, STEP):
        touched = _touched(at, trouble)
        state = _state(rng, at, trouble, touched)
        for name, (requests, seconds, failing) in state.items():
            count = max(0, round(rng.gauss(requests * STEP, math.sqrt(requests * STEP))))
            failed = min(count, _poisson(rng, failing * count))
            if rng.random() >= MISSING:
                yield "requests", name, at, f"{count / STEP:.4f}"
            if count and rng.random() >= MISSING:
                yield "latency", name, at, f"{seconds * rng.lognormvariate(0, 0.03):.6f}"
                yield "failures", name, at, f"{failed / count:.6f}"


def _touched(at: int, trouble: Trouble | None) -> float:
    """Which share of the sample that ends at that time is in trouble."""
    if trouble is None:
        return 0.0
    return min(1.0, max(0.0, (at - trouble.onset.timestamp()) / STEP))


def _state(
    rng: Random, at: int, trouble: Trouble | None, touched: float
) -> dict[str, tuple[float, float, float]]:
    """Requests a second, seconds and share of failures of each service, callers' from their callees'."""
    hour = at % 86_400 / 3600
    daily = 1 + 0.45 * math.sin((hour - 9) / 24 * 2 * math.pi) + 0.1 * math.sin(hour / 12 * 2 * math.pi)
    busy = 0.85 + 0.15 * daily
    requests = dict.fromkeys(SERVICES, 0.0)
    requests[ENTRY] = REQUESTS * daily * rng.lognormvariate(0, 0.03)
    for name in _order():
        for callee, calls in SERVICES[name].calls.items():
            requests[callee] += requests[name] * calls
    extra = {name: rng.lognormvariate(0, 0.05) * busy for name in SERVICES}
    state: dict[str, tuple[float, float, float]] = {}
    for name in reversed(_order()):
        service = SERVICES[name]
        hit = touched if trouble and trouble.service == name else 0.0
        seconds = service.seconds * extra[name] + hit * (trouble.seconds if trouble else 0)
        passing = (1 - service.failing) * (1 - hit * (trouble.failing if trouble else 0))
        for callee, calls in service.calls.items():
            seconds += calls * state[callee][1]
            passing *= (1 - state[callee][2]) ** calls
        state[name] = (requests[name], seconds, 1 - passing)
    if trouble and trouble.fault.new_callee and touched:
        calls = requests[trouble.service] * trouble.failing * touched
        state[trouble.fault.new_callee] = (calls, 0.02, 1.0)
    return state


@cache
def _order() -> tuple[str, ...]:
    """The services, callers before callees."""
    depth = dict.fromkeys(SERVICES, 0)
    for _ in SERVICES:
        for name, service in SERVICES.items():
            for callee in service.calls:
                depth[callee] = max(depth[callee], depth[name] + 1)
    return tuple(sorted(SERVICES, key=lambda name: depth[name]))


def _poisson(rng: Random, expected: float) -> int:
    if expected > 50:
        return max(0, round(rng.gauss(expected, math.sqrt(expected))))
    limit, product, count = math.exp(-expected), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def _alert(rng: Random, now: datetime, trouble: Trouble | None) -> dict[str, Any]:
    if trouble is None:
        since, slow = now - timedelta(minutes=rng.randint(3, 20)), rng.random() < 0.5
    else:
        since = min(now, trouble.onset + timedelta(minutes=rng.randint(5, 9)))
        slow = trouble.seconds >= 0.05 and trouble.failing < 0.05
    name, metric = ("HighAPILatency", "latency") if slow else ("HighErrorRate", "failures")
    labels = {"alertname": name, "service": ENTRY, "metric": metric, "severity": "critical"}
    summary = f"{ENTRY}: {'responses are slow' if slow else 'requests fail'}"
    return {"labels": labels, "since": since.isoformat(), "summary": summary}


def _changes(rng: Random, now: datetime, trouble: Trouble | None) -> list[dict[str, Any]]:
    """Routine changes of three days, one of them failed, and the one that caused the trouble."""
    own = [name for name, service in SERVICES.items() if service.own]
    found = []
    for _ in range(rng.randint(10, 22)):
        service = rng.choice(own)
        kind, summary, diff = rng.choice(_ROUTINE)
        at = now - timedelta(minutes=rng.randint(15, 72 * 60))
        if trouble and service == trouble.service and at > trouble.onset - timedelta(hours=6):
            at -= timedelta(hours=12)
        found.append(_change(rng, at, service, kind, summary, diff))
    found[0]["status"] = "failed"
    if trouble and trouble.fault.change and trouble.changed:
        fault = trouble.fault
        found.append(
            _change(rng, trouble.changed, trouble.service, str(fault.change), fault.summary, fault.diff)
        )
    if trouble and rng.random() < 0.5:
        kind, summary, diff = _ROUTINE[3]
        later = trouble.onset + timedelta(minutes=rng.randint(8, 15))
        found.append(_change(rng, min(later, now), trouble.service, kind, summary, diff))
    return sorted(found, key=lambda change: str(change["at"]))


def _change(rng: Random, at: datetime, service: str, kind: str, summary: str, diff: str) -> dict[str, Any]:
    minor = rng.randint(3, 60)
    version = f"v2.{minor}.0" if kind == "deploy" else ""
    return {
        "id": f"chg-{rng.randrange(16**8):08x}",
        "at": at.isoformat(),
        "service": service,
        "kind": kind,
        "summary": summary.format(version=version),
        "diff": diff,
        "author": rng.choice(("mara", "jonas", "li", "ada", "release-bot")),
        "version": version,
        "previous_version": f"v2.{minor - 1}.0" if version else "",
        "status": "done",
        "undoes": "",
    }


def _logs(folder: Path, rng: Random, now: datetime, trouble: Trouble | None) -> None:
    folder.mkdir()
    hours = LOGS.total_seconds() / 3600
    for name, service in SERVICES.items():
        lines = [
            (now - LOGS * rng.random(), "INFO", rng.choice(service.chatter))
            for _ in range(int(hours * CHATTER) if service.chatter else 0)
        ]
        lines += [
            (now - LOGS * rng.random(), "WARN", "retrying {id} after a connection reset")
            for _ in range(rng.randint(5, 30) if service.chatter else 0)
        ]
        if trouble and name == trouble.service:
            lines += _complaints(rng, now, trouble)
        if lines:
            _write_log(folder / f"{name}.jsonl", name, sorted(lines), rng)


def _complaints(rng: Random, now: datetime, trouble: Trouble) -> list[tuple[datetime, str, str]]:
    lasting = now - trouble.onset
    count = min(COMPLAINTS, int(lasting.total_seconds() / 10)) if trouble.fault.lines else 0
    return [(trouble.onset + lasting * rng.random(), *rng.choice(trouble.fault.lines)) for _ in range(count)]


def _write_log(path: Path, service: str, lines: Sequence[tuple[datetime, str, str]], rng: Random) -> None:
    with path.open("w", encoding="utf-8") as file:
        for at, level, text in lines:
            values = {"id": f"PAY-{rng.randrange(10**7):07d}", "ms": rng.randint(5, 900), "page": "home"}
            told = {
                "ts": at.isoformat(),
                "level": level,
                "service": service,
                "msg": text.format_map(values),
            }
            file.write(json.dumps(told) + "\n")


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def changes_of(home: Path) -> list[dict[str, Any]]:
    """The changes of the world in a state directory."""
    with closing(sqlite3.connect(home / FOLDER / "changes.db")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM changes ORDER BY at")]
