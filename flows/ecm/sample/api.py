"""The sample company's API, in process: what an approved fix calls."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread
import httpx

from flows.ecm.sample import orders
from flows.ecm.sample.fault import Affliction
from flows.ecm.sample.stages import STAGE, Stage
from flows.ecm.sample.values import of_stage

_SCHEMA = """
CREATE TABLE faults (stage TEXT PRIMARY KEY, action TEXT, status INTEGER NOT NULL, refusal TEXT NOT NULL);
CREATE TABLE requests (key TEXT, order_id TEXT, action TEXT, status INTEGER NOT NULL, body TEXT NOT NULL,
                       PRIMARY KEY (key));
"""
_ACTIONS = {
    "retry": "retry_orders",
    "reroute": "reroute_orders",
    "requeue": "requeue_orders",
    "release": "release_holds",
    "unlock": "clear_locks",
}
"""Last part of the path → action. POST sample://orders/{order_id}/retry and so on."""
_PATH = re.compile(r"/([^/]+)/([a-z]+)")

Clock = Callable[[], datetime]


class _Reply(NamedTuple):
    status: int
    body: dict[str, str]


def create(path: Path, afflictions: Sequence[Affliction]) -> None:
    """The company's own state: which actions help where, and which requests it has answered."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_SCHEMA)
        for affliction in afflictions:
            status, refusal = affliction.fault.refusal
            why = refusal.format_map(of_stage(STAGE[affliction.stage], ""))
            row = (affliction.stage, affliction.fault.action, status, why)
            connection.execute("INSERT INTO faults VALUES (?, ?, ?, ?)", row)
        connection.commit()


def repair(home: Path, stage: str) -> bool:
    """A person puts the cause in a stage right, say by renewing a credential. True if there was one."""
    with closing(sqlite3.connect(_state(home))) as connection, connection:
        return connection.execute("DELETE FROM faults WHERE stage = ?", (stage,)).rowcount > 0


def company(home: Path, *, clock: Clock | None = None, pace: int | None = None) -> httpx.AsyncBaseTransport:
    """The company's API for `httpx.AsyncClient(mounts={"sample://": company(home)})`.

    `POST sample://orders/{order_id}/{retry|reroute|requeue|release|unlock}` frees the order if that helps
    against what is wrong in its stage: an order at a payout partner is completed, another goes on to its
    payout stage. Answers: 200 done; 400 no `Idempotency-Key`; 404 unknown order or path; 405 other methods;
    409 the order is not stuck, or the action cannot help it; 422 key used for another request; 429 too fast;
    5xx still broken. A key seen before gets its former answer and has no second effect; refusals are not
    kept, so they can be repeated.

    Args:
        clock: the time, with a time zone; the present by default. Worlds of another moment need theirs.
        pace: requests a second that it takes, 429 beyond; no limit by default.
    """
    return _Company(home, clock or (lambda: datetime.now(UTC)), pace)


class _Company(httpx.AsyncBaseTransport):
    def __init__(self, home: Path, clock: Clock, pace: int | None) -> None:
        self._home, self._clock, self._pace = home, clock, pace
        self._recent: deque[float] = deque(maxlen=pace or 1)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        if self._too_fast():
            return httpx.Response(429, headers={"Retry-After": "1"}, json={"error": "too many requests"})
        reply = await anyio.to_thread.run_sync(self._answer, request)
        return httpx.Response(reply.status, json=reply.body)

    def _too_fast(self) -> bool:
        at = self._clock().timestamp()
        if self._pace and len(self._recent) == self._pace and at - self._recent[0] < 1:
            return True
        self._recent.append(at)
        return False

    def _answer(self, request: httpx.Request) -> _Reply:
        match = _PATH.fullmatch(request.url.path)
        if request.url.host != "orders" or not match or match[2] not in _ACTIONS:
            return _Reply(404, {"error": f"there is no {request.url}"})
        if request.method != "POST":
            return _Reply(405, {"error": "use POST"})
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            return _Reply(400, {"error": "the header Idempotency-Key is missing"})
        with closing(
            sqlite3.connect(self._home / "warehouse.db", timeout=10, isolation_level=None)
        ) as connection:
            connection.execute("ATTACH ? AS company", (str(_state(self._home)),))
            connection.execute("BEGIN IMMEDIATE")
            reply = self._once(connection, key, match[1], _ACTIONS[match[2]])
            connection.execute("COMMIT")
        return reply

    def _once(self, connection: sqlite3.Connection, key: str, order_id: str, action: str) -> _Reply:
        known = connection.execute(
            "SELECT order_id, action, status, body FROM company.requests WHERE key = ?", (key,)
        ).fetchone()
        if known and known[:2] != (order_id, action):
            return _Reply(422, {"error": f"key {key} was used for {known[1]} of {known[0]}"})
        if known:
            return _Reply(known[2], json.loads(known[3]))
        reply = self._act(connection, order_id, action)
        if reply.status == 200:
            row = (key, order_id, action, reply.status, json.dumps(reply.body))
            connection.execute("INSERT INTO company.requests VALUES (?, ?, ?, ?, ?)", row)
        return reply

    def _act(self, connection: sqlite3.Connection, order_id: str, action: str) -> _Reply:
        order = connection.execute(
            "SELECT status, stuck_at, stage_entered_at, corridor FROM orders WHERE order_id = ?", (order_id,)
        ).fetchone()
        if not order:
            return _Reply(404, {"error": f"there is no order {order_id}"})
        status, name, entered, corridor = order
        stage = STAGE[name]
        due = orders.text(self._clock().timestamp() - stage.sla * 3600)
        if status != "open" or entered > due:
            return _Reply(409, {"error": f"order {order_id} is not stuck"})
        refused = _refusal(connection, stage, action)
        return refused or self._free(connection, order_id, stage, corridor)

    def _free(self, connection: sqlite3.Connection, order_id: str, stage: Stage, corridor: str) -> _Reply:
        now = orders.text(self._clock().timestamp())
        if stage.payout:
            connection.execute(
                "UPDATE orders SET status = 'completed', left_at = ? WHERE order_id = ?", (now, order_id)
            )
            return _Reply(200, {"order_id": order_id, "status": "completed"})
        following = _payout_stage(corridor)
        connection.execute(
            "UPDATE orders SET stuck_at = ?, stage_entered_at = ? WHERE order_id = ?",
            (following, now, order_id),
        )
        return _Reply(200, {"order_id": order_id, "status": "open", "stage": following})


def _state(home: Path) -> Path:
    return home / "sample" / "truth" / "company.db"


def _payout_stage(corridor: str) -> str:
    target = corridor[-3:]
    fitting = (stage.name for stage in STAGE.values() if stage.payout and stage.corridors[0].endswith(target))
    return next(fitting, "lulu")


def _refusal(connection: sqlite3.Connection, stage: Stage, action: str) -> _Reply | None:
    fault = connection.execute(
        "SELECT action, status, refusal FROM company.faults WHERE stage = ?", (stage.name,)
    ).fetchone()
    if fault:
        return None if fault[0] == action else _Reply(fault[1], {"error": fault[2]})
    if action == "retry_orders" or (action == "reroute_orders" and stage.payout):
        return None
    return _Reply(
        409, {"error": f"{action} does not apply: nothing of that kind holds orders in {stage.name}"}
    )
