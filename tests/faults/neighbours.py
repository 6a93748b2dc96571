"""The company and the model that the platform works with here: they keep what happened, and can misbehave."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal

from tests.fix_world import Api, Call
from tests.held_model import HeldModel

ModelMode = Literal["well", "slow", "429", "529", "half"]
CompanyMode = Literal["well", "slow", "500", "503", "late 500"]
ORDERS = 12
"""Orders that get stuck again and again."""
SLOW_SECONDS = (2.0, 6.0)


@dataclass(frozen=True)
class Act:
    """What the company did to an order, at whose word."""

    at: float
    order: str
    key: str


class Company:
    """Frees the orders it is asked to, and notes each of its acts; its orders get stuck again.

    In mode `late 500` it acts, and then says that it broke down.
    """

    def __init__(self, api: Api, warehouse: Path, chance: random.Random) -> None:
        self.mode: CompanyMode = "well"
        self.acts: list[Act] = []
        self.acting = threading.Event()
        self._warehouse, self._chance = warehouse, chance
        api.answer = self._answer

    def begin(self) -> None:
        """Of all stuck orders, some critical ones at lulu are left."""
        with closing(sqlite3.connect(self._warehouse, timeout=60)) as connection, connection:
            connection.execute("UPDATE orders SET status = 'completed' WHERE status = 'open'")
            chosen = "SELECT order_id FROM orders WHERE stuck_at = 'lulu' AND priority = 'critical' LIMIT ?"
            self._orders = [row[0] for row in connection.execute(chosen, (ORDERS,))]
            self._stick(connection)

    def stick(self) -> None:
        """Freed orders are stuck anew, since another moment: to the platform they are other objects."""
        with closing(sqlite3.connect(self._warehouse, timeout=60)) as connection, connection:
            self._stick(connection)

    def _stick(self, connection: sqlite3.Connection) -> None:
        again = (
            "UPDATE orders SET status = 'open', stage_entered_at = datetime(stage_entered_at, '-1 second')"
        )
        freed = [(order,) for order in self._orders]
        connection.executemany(f"{again} WHERE order_id = ? AND status = 'completed'", freed)

    def _answer(self, call: Call) -> int:
        if self.mode == "slow":
            time.sleep(self._chance.uniform(0.2, 1.0))
        if self.mode in ("500", "503"):
            return int(self.mode)
        order = call.path.split("/")[2]
        self.acts.append(Act(time.time(), order, call.headers.get("idempotency-key", "")))
        self.acting.set()
        with closing(sqlite3.connect(self._warehouse, timeout=60)) as connection, connection:
            connection.execute("UPDATE orders SET status = 'completed' WHERE order_id = ?", (order,))
        return 500 if self.mode == "late 500" else 200


class Model(HeldModel):
    """Anthropic's API for ECM's skills. `answered` counts the turns given in full, `lost` the others."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.release.set()
        self.mode: ModelMode = "well"
        self.answered, self.lost = 0, 0
        self.turning = threading.Event()
        self._chance = chance
        self._counting = threading.Lock()

    def count(self, given: bool) -> None:
        """A turn was given, or lost on its way."""
        with self._counting:
            self.answered += given
            self.lost += not given

    def _handler(model: Model) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                model.turning.set()
                mode = model.mode
                if mode in ("429", "529"):
                    kind = "rate_limit_error" if mode == "429" else "overloaded_error"
                    error = {"type": "error", "error": {"type": kind, "message": "injected"}}
                    self._send(int(mode), error, {"retry-after-ms": "300"})
                    return
                time.sleep(model._chance.uniform(*(SLOW_SECONDS if mode == "slow" else (0.05, 0.3))))
                model.count(self._send(200, model.answer(request), {}, half=mode == "half"))

            def _send(
                self, status: int, answer: dict[str, Any], headers: dict[str, str], half: bool = False
            ) -> bool:
                """Whether all of it was sent."""
                body = json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body[: len(body) // 2] if half else body)
                except OSError:
                    return False
                return not half

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler
