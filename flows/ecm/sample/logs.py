"""The services' logs of the last three days."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from flows.ecm.sample import noise
from flows.ecm.sample.fault import Affliction, Line
from flows.ecm.sample.orders import Order
from flows.ecm.sample.stages import PLAIN, SHARED, STAGE, STAGES, Stage
from flows.ecm.sample.values import fill, of_stage

DAYS = 3
_HOUR = 3600.0
_CALLS_OUT = frozenset(stage.name for stage in STAGES) - {"kyc", "compliance_review", "fx"}
_ATTEMPTS = 6
_OTHER_KEYS = "payments-queue"
"""This service names its JSON fields differently, as services of another team do."""

Entry = tuple[float, str, str]
"""When, level, message."""


@dataclass(frozen=True)
class _Drawing:
    """The state of one drawing of logs."""

    rng: Random
    start: float
    end: float
    entries: dict[str, list[Entry]]
    versions: Mapping[str, str]

    def known(self, stage: Stage) -> dict[str, str]:
        return of_stage(stage, self.versions[stage.name])

    def add(self, service: str, at: float, line: Line, known: Mapping[str, str]) -> None:
        if self.start <= at <= self.end:
            if "since" in known:
                known = {**known, "minutes": str(int((at - float(known["since"])) / 60) + 6)}
            self.entries[service].append((at, line.level, fill(line.text, self.rng, known)))

    def steadily(
        self, service: str, line: Line, known: Mapping[str, str], since: float, orders: Sequence[str]
    ) -> None:
        hours = (self.end - since) / _HOUR
        for _ in range(round(line.per_hour * hours * self.rng.uniform(0.85, 1.15))):
            chosen = {**known, "order": self.rng.choice(orders)}
            self.add(service, since + self.rng.random() * (self.end - since), line, chosen)


def _business(drawing: _Drawing, orders: Iterable[Order], undelivered: Container[str]) -> None:
    """What orders leave behind on their way; held ones of an undelivered stage never reached its service."""
    rng = drawing.rng
    for order in orders:
        if (order.left or drawing.end) < drawing.start:
            continue
        stage = order.stage
        known = {**drawing.known(stage), "order": order.order_id}
        accepted = Line("INFO", f"accepted {{order}} {order.corridor} {order.amount}")
        drawing.add("order-api", order.created, accepted, known)
        if not (order.afflicted and stage.name in undelivered):
            drawing.add("payments-queue", order.entered, noise.DELIVERED, known)
            drawing.add(stage.service, order.entered + 0.2, rng.choice(noise.ENTER[stage.payout]), known)
        if order.left is not None:
            drawing.add(stage.service, order.left, rng.choice(noise.LEAVE[stage.payout]), known)
            if rng.random() < 0.7:
                drawing.add("ledger-core", order.left + 1, noise.POSTED, known)
            if rng.random() < 0.3:
                drawing.add("notifications", order.left + 2, noise.INFORMED, known)


def _usual(drawing: _Drawing, orders: Sequence[str]) -> None:
    for stage in STAGES:
        pool = noise.GATEWAY if stage.name in _CALLS_OUT else noise.INTERNAL
        for line in drawing.rng.sample(pool, k=len(pool) - 2):
            drawing.steadily(stage.service, line, drawing.known(stage), drawing.start, orders)
    for service, lines in noise.SHARED.items():
        for line in lines:
            stage = drawing.rng.choice(STAGES)
            drawing.steadily(service, line, drawing.known(stage), drawing.start, orders)


def _herrings(drawing: _Drawing, orders: Sequence[str], around: float) -> None:
    """Bursts elsewhere, an alarming but harmless warning, releases that broke nothing, a mean text."""
    rng = drawing.rng
    for line in rng.sample(noise.BURSTS, k=rng.randint(1, 3)):
        begin = rng.uniform(drawing.start, drawing.end - _HOUR)
        for _ in range(rng.randrange(40, 160)):
            known = {**drawing.known(STAGES[0]), "order": rng.choice(orders)}
            drawing.add(line.service, begin + rng.random() * rng.uniform(0.3, 2) * _HOUR, line, known)
    stage = rng.choice(STAGES)
    begin = around + rng.uniform(-1.5, 1.5) * _HOUR
    drawing.steadily(stage.service, rng.choice(noise.SCARES), drawing.known(stage), begin, orders)
    for service in rng.sample(noise.DEPLOYED, k=2):
        _release(
            drawing, service, around + rng.uniform(-2, 2) * _HOUR, f"4.{rng.randrange(60)}.{rng.randrange(9)}"
        )
    for quiet in rng.sample(STAGES, k=2):
        _release(
            drawing, quiet.service, drawing.start + rng.uniform(2, 20) * _HOUR, f"2.{rng.randrange(40)}.0"
        )
    at = rng.uniform(max(around, drawing.start), drawing.end)
    drawing.add("order-api", at, noise.INJECTION, {"order": rng.choice(orders)})


def _release(drawing: _Drawing, service: str, at: float, version: str) -> None:
    known = {"service": service, "version": version}
    drawing.add("deployer", at, Line("INFO", "rollout {service} {version} finished, 6/6 pods ready"), known)
    drawing.add(service, at + 5, Line("INFO", "starting {service} {version}"), known)


def _affliction(drawing: _Drawing, affliction: Affliction, orders: Sequence[Order]) -> None:
    rng, stage = drawing.rng, STAGE[affliction.stage]
    onset = affliction.onset.timestamp()
    known = {
        **drawing.known(stage),
        "since": str(onset),
        "time": affliction.onset.strftime("%H:%M"),
        "day": affliction.onset.strftime("%Y-%m-%d"),
        "next_day": (affliction.onset + timedelta(days=2)).strftime("%Y-%m-%d"),
    }
    lines = affliction.fault.wordings[affliction.wording]
    names = [order.order_id for order in orders if order.afflicted and order.stage is stage]
    for line in lines:
        service = line.service or stage.service
        if line.when == "once":
            drawing.add(service, onset + rng.uniform(-120, 30), line, {**known, "order": rng.choice(names)})
        elif line.when == "steady":
            drawing.steadily(service, line, known, onset, names)
    tries = [line for line in lines if line.when == "attempt"]
    for order in orders:
        if order.afflicted and order.stage is stage:
            _attempts(drawing, order, stage, tries, known)


def _attempts(
    drawing: _Drawing, order: Order, stage: Stage, tries: Sequence[Line], known: Mapping[str, str]
) -> None:
    """Attempts at growing intervals; the first line of a wording is what the failing step itself prints."""
    rng, at = drawing.rng, order.entered + drawing.rng.uniform(0.3, 40)
    known = {**known, "order": order.order_id}
    for attempt in range(rng.randint(2, _ATTEMPTS)):
        line = tries[0] if attempt == 0 else rng.choice(tries)
        drawing.add(line.service or stage.service, at, line, known)
        at += rng.uniform(0.5, 1.5) * 60 * 4**attempt


def _json(service: str, entry: Entry) -> str:
    at, level, message = entry
    when = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if service == _OTHER_KEYS:
        record = {"timestamp": when, "severity": level, "logger": service, "message": message}
    else:
        record = {"ts": when, "level": level, "service": service, "msg": message}
    return json.dumps(record, ensure_ascii=False)


def _plain(service: str, entry: Entry) -> str:
    at, level, message = entry
    when = datetime.fromtimestamp(at, UTC).isoformat(" ", "milliseconds")[:23].replace(".", ",")
    return f"{when} {level:<5} [{service}] {message}"


def write(
    folder: Path, rng: Random, now: datetime, orders: Sequence[Order], afflictions: Sequence[Affliction]
) -> int:
    """One file a service: `<service>.jsonl`, or `.log` for those that write plain text. Returns lines."""
    end = now.timestamp()
    versions = {stage.name: f"3.{rng.randrange(4, 30)}.{rng.randrange(9)}" for stage in STAGES}
    drawing = _Drawing(rng, end - DAYS * 24 * _HOUR, end, defaultdict(list), versions)
    recent = [order.order_id for order in orders if order.entered > drawing.start]
    onset = afflictions[0].onset.timestamp() if afflictions else end - rng.uniform(3, 30) * _HOUR
    undelivered = {other.stage for other in afflictions if other.fault.wordings[other.wording][0].service}
    _business(drawing, orders, undelivered)
    _usual(drawing, recent)
    _herrings(drawing, recent, onset)
    for affliction in afflictions:
        _affliction(drawing, affliction, orders)
    folder.mkdir()
    for service in (*(stage.service for stage in STAGES), *SHARED):
        entries = sorted(drawing.entries[service])
        render, suffix = (_plain, "log") if service in PLAIN else (_json, "jsonl")
        text = "".join(f"{render(service, entry)}\n" for entry in entries)
        (folder / f"{service}.{suffix}").write_text(text, encoding="utf-8")
    return sum(map(len, drawing.entries.values()))
