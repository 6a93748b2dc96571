"""The sample company's messaging API, in process: what an approved offer calls."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread
import httpx

_SCHEMA = "CREATE TABLE requests (key TEXT PRIMARY KEY, path TEXT NOT NULL, body TEXT NOT NULL)"
_PATH = re.compile(r"/([^/]+)/offers/([a-z][a-z0-9_]*)")

Clock = Callable[[], datetime]


class _Reply(NamedTuple):
    status: int
    body: dict[str, str]


def create(path: Path) -> None:
    """The company's own state: which requests it has answered. An earlier one is replaced."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(_SCHEMA)


def company(home: Path, *, clock: Clock | None = None) -> httpx.AsyncBaseTransport:
    """The company's API for `httpx.AsyncClient(mounts={"sample://": company(home)})`.

    `POST sample://customers/{customer_id}/offers/{offer}` sends a customer an offer, and records the contact.
    Answers: 200 sent; 400 no `Idempotency-Key`; 404 unknown customer or path; 405 other methods; 409 the
    customer opted out or has left; 422 key used for another request. A key seen before gets its former answer
    and has no second effect.

    Args:
        clock: the time, with a time zone; the present by default.
    """
    return _Company(home, clock or (lambda: datetime.now(UTC)))


class _Company(httpx.AsyncBaseTransport):
    def __init__(self, home: Path, clock: Clock) -> None:
        self._home, self._clock = home, clock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        reply = await anyio.to_thread.run_sync(self._answer, request)
        return httpx.Response(reply.status, json=reply.body)

    def _answer(self, request: httpx.Request) -> _Reply:
        match = _PATH.fullmatch(request.url.path)
        if request.url.host != "customers" or not match:
            return _Reply(404, {"error": f"there is no {request.url}"})
        if request.method != "POST":
            return _Reply(405, {"error": "use POST"})
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            return _Reply(400, {"error": "the header Idempotency-Key is missing"})
        warehouse = self._home / "warehouse.db"
        with closing(sqlite3.connect(warehouse, timeout=10, isolation_level=None)) as connection:
            connection.execute("ATTACH ? AS company", (str(self._home / "churn" / "company.db"),))
            connection.execute("BEGIN IMMEDIATE")
            reply = self._once(connection, key, match[1], match[2])
            connection.execute("COMMIT")
        return reply

    def _once(self, connection: sqlite3.Connection, key: str, customer: str, offer: str) -> _Reply:
        path = f"{customer}/{offer}"
        known = connection.execute("SELECT path, body FROM company.requests WHERE key = ?", (key,)).fetchone()
        if known and known[0] != path:
            return _Reply(422, {"error": f"key {key} was used for {known[0]}"})
        if known:
            return _Reply(200, json.loads(known[1]))
        reply = self._send(connection, customer, offer)
        if reply.status == 200:
            row = (key, path, json.dumps(reply.body))
            connection.execute("INSERT INTO company.requests VALUES (?, ?, ?)", row)
        return reply

    def _send(self, connection: sqlite3.Connection, customer: str, offer: str) -> _Reply:
        found = connection.execute(
            "SELECT marketing_opt_in, left_at FROM churn_customers WHERE customer_id = ?", (customer,)
        ).fetchone()
        if found is None:
            return _Reply(404, {"error": f"there is no customer {customer}"})
        if not found[0] or found[1]:
            return _Reply(409, {"error": f"{customer} opted out or has left"})
        at = self._clock().astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        connection.execute("INSERT INTO churn_contacts VALUES (?, ?, ?)", (customer, at, offer))
        return _Reply(200, {"customer_id": customer, "offer": offer, "sent_at": at})
