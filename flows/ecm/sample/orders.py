"""The order book: fourteen days of orders, slow ones of every stage, and those that a fault holds back."""

from __future__ import annotations

import math
import sqlite3
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from random import Random

from flows.ecm.sample.fault import Affliction
from flows.ecm.sample.stages import STAGES, Stage

DAYS = 14
_WARM_UP = 4
_FAST = 25_000
"""Orders that keep the SLA, in all stages over all days."""
_HOUR = 3600.0

_CREATE = """
CREATE TABLE orders (
    order_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, corridor TEXT NOT NULL, status TEXT NOT NULL,
    stuck_at TEXT NOT NULL, stage_entered_at TIMESTAMP NOT NULL, left_at TIMESTAMP, priority TEXT NOT NULL,
    amount_usd NUMERIC(12, 2) NOT NULL, currency TEXT NOT NULL, created_at TIMESTAMP NOT NULL
)"""
_INDEXES = (
    "CREATE INDEX orders_stage ON orders (stuck_at, stage_entered_at)",
    "CREATE INDEX orders_status ON orders (status)",
)


@dataclass(slots=True)
class Order:
    """One order. Times are seconds since the epoch; `left` is None while it is in its stage.

    A finished order keeps the stage in which it stayed longest.
    """

    stage: Stage
    entered: float
    left: float | None
    corridor: str
    priority: str
    amount: float
    created: float
    afflicted: bool = False
    order_id: str = ""
    customer_id: str = ""


class _Clock:
    """Draws moments that follow the company's day: busy by day, quiet at night."""

    def __init__(self, start: float, end: float) -> None:
        self.start, self.end = start, end
        self._bins = [start + i * _HOUR for i in range(math.ceil((end - start) / _HOUR))]
        self._cumulated = list(accumulate(_busyness(moment) for moment in self._bins))

    def weight(self, start: float, end: float) -> float:
        """Expected share of moments between two times."""
        low, high = (bisect(self._bins, moment) - 1 for moment in (start, end))
        if high <= low:
            return (end - start) / _HOUR * _busyness(start) / self._cumulated[-1]
        return (self._cumulated[max(high, 0)] - self._cumulated[max(low, 0)]) / self._cumulated[-1]

    def draw(self, rng: Random, count: int) -> list[float]:
        """That many moments."""
        starts = rng.choices(self._bins, cum_weights=self._cumulated, k=count)
        return [min(start + rng.random() * _HOUR, self.end) for start in starts]


def _busyness(moment: float) -> float:
    hour = moment / _HOUR % 24
    return 1 + 0.6 * math.sin((hour - 8) / 24 * 2 * math.pi)


def _about(rng: Random, mean: float) -> int:
    return max(0, round(rng.gauss(mean, math.sqrt(mean))))


def _order(rng: Random, stage: Stage, entered: float, left: float | None, priority: str) -> Order:
    return Order(
        stage=stage,
        entered=entered,
        left=left,
        corridor=rng.choice(stage.corridors),
        priority=priority,
        amount=round(min(rng.lognormvariate(5.8, 0.9), 25_000), 2),
        created=entered - rng.expovariate(1 / 900) - 20,
    )


def _priority(rng: Random, critical: float) -> str:
    drawn = rng.random()
    return "critical" if drawn < critical else "high" if drawn < critical + 0.2 else "normal"


def _closed(left: float, now: float) -> float | None:
    return left if left <= now else None


def _fast(rng: Random, stage: Stage, now: float, critical: float) -> list[Order]:
    count = _about(rng, _FAST * stage.share / sum(other.share for other in STAGES))
    orders = []
    for entered in _Clock(now - DAYS * 24 * _HOUR, now).draw(rng, count):
        stay = min(rng.lognormvariate(math.log(0.15), 0.7), 0.95) * stage.sla * _HOUR
        orders.append(_order(rng, stage, entered, _closed(entered + stay, now), _priority(rng, critical)))
    return orders


def _slow(rng: Random, stage: Stage, now: float, critical: float) -> list[Order]:
    hours = (DAYS + _WARM_UP) * 24
    orders = []
    for entered in _Clock(now - hours * _HOUR, now).draw(
        rng, _about(rng, stage.slow / stage.overshoot * hours)
    ):
        left = entered + (stage.sla + rng.expovariate(1 / stage.overshoot)) * _HOUR
        if left > now - DAYS * 24 * _HOUR:
            orders.append(_order(rng, stage, entered, _closed(left, now), _priority(rng, critical)))
    return orders


def _stuck(orders: Sequence[Order], stage: Stage, now: float) -> list[Order]:
    return [order for order in orders if order.left is None and order.entered < now - stage.sla * _HOUR]


def _held(rng: Random, affliction: Affliction, usual: Sequence[Order], now: float) -> list[Order]:
    """The orders that the fault holds back: enough beyond the SLA to make up the count, and fresh ones."""
    stage = usual[0].stage
    onset, due = affliction.onset.timestamp(), now - stage.sla * _HOUR - 120
    beyond = _stuck(usual, stage, now)
    missing = max(8, affliction.stuck - len(beyond))
    critical = min(
        missing, max(0, affliction.critical - sum(order.priority == "critical" for order in beyond))
    )
    clock = _Clock(now - DAYS * 24 * _HOUR, now)
    fresh = round(missing * clock.weight(due, now) / max(clock.weight(onset, due), 1e-6))
    held = []
    for index, entered in enumerate(_Clock(onset, due).draw(rng, missing)):
        held.append(_order(rng, stage, entered, None, "critical" if index < critical else _priority(rng, 0)))
    for entered in _Clock(due, now).draw(rng, min(fresh, 2 * missing)):
        held.append(_order(rng, stage, entered, None, _priority(rng, critical / missing)))
    for order in held:
        order.afflicted = True
    return held


def _of_stage(rng: Random, stage: Stage, now: float, affliction: Affliction | None) -> list[Order]:
    critical = rng.uniform(0.04, 0.14)
    fast, slow = _fast(rng, stage, now, critical), _slow(rng, stage, now, critical)
    if not affliction:
        return fast + slow
    onset = affliction.onset.timestamp()
    fast = [order for order in fast if order.entered < onset or rng.random() < affliction.fault.passing]
    return fast + slow + _held(rng, affliction, fast + slow, now)


def book(rng: Random, now: datetime, afflictions: Sequence[Affliction]) -> list[Order]:
    """All orders, in the order of their creation."""
    by_stage = {affliction.stage: affliction for affliction in afflictions}
    moment = now.timestamp()
    orders = [order for stage in STAGES for order in _of_stage(rng, stage, moment, by_stage.get(stage.name))]
    orders.sort(key=lambda order: order.created)
    number = rng.randrange(10_000_000, 60_000_000)
    for order in orders:
        number += rng.randrange(1, 9)
        order.order_id, order.customer_id = f"ORD-{number}", f"C-{rng.randrange(100_000, 999_999)}"
    return orders


def text(moment: float) -> str:
    """A time as SQLAlchemy writes it to SQLite, UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat(" ", "microseconds")[:26]


def _row(order: Order) -> tuple[object, ...]:
    status = "open" if order.left is None else "completed"
    left = None if order.left is None else text(order.left)
    return (
        order.order_id, order.customer_id, order.corridor, status, order.stage.name, text(order.entered),
        left, order.priority, order.amount, order.corridor[-3:], text(order.created),
    )  # fmt: skip


def write(connection: sqlite3.Connection, orders: Sequence[Order]) -> None:
    """The order book, in place of an earlier one."""
    connection.execute("DROP TABLE IF EXISTS orders")
    connection.execute(_CREATE)
    connection.executemany(f"INSERT INTO orders VALUES ({', '.join('?' * 11)})", map(_row, orders))
    for index in _INDEXES:
        connection.execute(index)
