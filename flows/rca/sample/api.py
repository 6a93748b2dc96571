"""The sample company's deployment API, in process: what an approved rollback calls."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import anyio.to_thread
import httpx

from tasks.ids import key as key_of

_COLUMNS = (
    "id", "at", "service", "kind", "summary", "diff", "author",
    "version", "previous_version", "status", "undoes",
)  # fmt: skip
_SCHEMA = f"""
CREATE TABLE changes ({", ".join(f"{name} TEXT NOT NULL" for name in _COLUMNS)}, PRIMARY KEY (id));
CREATE TABLE requests (key TEXT PRIMARY KEY, path TEXT NOT NULL, body TEXT NOT NULL);
"""
_PATH = re.compile(r"/([^/]+)/(rollback|revert|off)")
_FITS = {"rollback": ("deploy", "rollback"), "revert": ("config",), "off": ("flag",)}
"""What each path takes back."""

Clock = Callable[[], datetime]


class _Reply(NamedTuple):
    status: int
    body: dict[str, str]


def create(path: Path, changes: Sequence[Mapping[str, Any]]) -> None:
    """The company's change log."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(_SCHEMA)
        marks = ", ".join(f":{name}" for name in _COLUMNS)
        connection.executemany(f"INSERT INTO changes VALUES ({marks})", changes)


def company(home: Path, *, clock: Clock | None = None) -> httpx.AsyncBaseTransport:
    """The company's API for `httpx.AsyncClient(mounts={"sample://": company(home)})`.

    `POST sample://changes/{change_id}/{rollback|revert|off}` takes a deploy, a config or a flag back and
    records that as a change of its own. Answers: 200 done; 400 no `Idempotency-Key`; 404 unknown change or
    path; 405 other methods; 409 it was taken back before, or is of another kind; 422 key used for another
    request. A key seen before gets its former answer and has no second effect.

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
        if request.url.host != "changes" or not match:
            return _Reply(404, {"error": f"there is no {request.url}"})
        if request.method != "POST":
            return _Reply(405, {"error": "use POST"})
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            return _Reply(400, {"error": "the header Idempotency-Key is missing"})
        path = self._home / "rca" / "changes.db"
        with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN IMMEDIATE")
            reply = self._once(connection, key, match[1], match[2])
            connection.execute("COMMIT")
        return reply

    def _once(self, connection: sqlite3.Connection, key: str, change_id: str, deed: str) -> _Reply:
        path = f"{change_id}/{deed}"
        known = connection.execute("SELECT path, body FROM requests WHERE key = ?", (key,)).fetchone()
        if known and known["path"] != path:
            return _Reply(422, {"error": f"key {key} was used for {known['path']}"})
        if known:
            return _Reply(200, json.loads(known["body"]))
        reply = self._act(connection, change_id, deed)
        if reply.status == 200:
            row = (key, path, json.dumps(reply.body))
            connection.execute("INSERT INTO requests VALUES (?, ?, ?)", row)
        return reply

    def _act(self, connection: sqlite3.Connection, change_id: str, deed: str) -> _Reply:
        change = connection.execute("SELECT * FROM changes WHERE id = ?", (change_id,)).fetchone()
        if change is None:
            return _Reply(404, {"error": f"there is no change {change_id}"})
        if change["kind"] not in _FITS[deed]:
            return _Reply(409, {"error": f"{change_id} is a {change['kind']}; {deed} does not apply"})
        undone = connection.execute("SELECT id FROM changes WHERE undoes = ?", (change_id,)).fetchone()
        if undone:
            return _Reply(409, {"error": f"{change_id} was taken back by {undone['id']}"})
        back = {
            "id": f"chg-{key_of('undo', change_id)[:8]}",
            "at": self._clock().isoformat(timespec="seconds"),
            "service": change["service"],
            "kind": "rollback" if deed == "rollback" else change["kind"],
            "summary": f"takes back {change_id}: {change['summary']}",
            "diff": "",
            "author": "aspora",
            "version": change["previous_version"],
            "previous_version": change["version"],
            "status": "done",
            "undoes": change_id,
        }
        marks = ", ".join(f":{name}" for name in _COLUMNS)
        connection.execute(f"INSERT INTO changes VALUES ({marks})", back)
        return _Reply(200, {"change_id": change_id, "taken_back_by": back["id"]})
