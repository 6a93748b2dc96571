"""The triage tool against the same figures as one raw SQL statement, at growing sizes.

`python -m tests.bench.triage [SIZE…]` prints one line a size, share of open orders, and table. `raw` is the
grouped count with critical orders, amount, onset and the previous days; `ratio` is the tool's time, through
MCP, over it.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mcp

from blocks.config import Config
from mcp_servers.redshift import Options, build

AS_OF = datetime(2026, 2, 17, 8, tzinfo=UTC)
STAGES = ("lulu", "kyc", "payout", "bank-a", "bank-b", "fx", "screening", "refund", "wallet", "cash")
SHARES = (0.01, 0.1, 1.0)
"""Shares of the orders that are open."""
ROUNDS = 7


@dataclass(frozen=True)
class Measure:
    """Medians of one size, in milliseconds, and the bytes of the tool's answer."""

    orders: int
    share: float
    left_at: bool
    raw_ms: float
    tool_ms: float
    bytes: int

    @property
    def ratio(self) -> float:
        return self.tool_ms / self.raw_ms

    @property
    def within(self) -> bool:
        """At most 1.2 times the raw statement plus 20 ms."""
        return self.tool_ms <= 1.2 * self.raw_ms + 20


def bench_triage(sizes: Sequence[int] = (10_000, 100_000, 1_000_000)) -> list[Measure]:
    """Measures each size and share of open orders, with and without a mapped `left_at`."""
    found = []
    for size in sizes:
        for share in SHARES:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "orders.db"
                _generate(path, size, share)
                found += [asyncio.run(_measure(path, size, share, left_at)) for left_at in (False, True)]
    return found


def _generate(path: Path, size: int, share: float) -> None:
    """14 days of orders: a share of them is still open, about 40 % of those beyond their SLA."""
    draw = random.Random(size)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE orders (order_id TEXT PRIMARY KEY, status TEXT, stuck_at TEXT, "
            "stage_entered_at TEXT, left_at TEXT, priority TEXT, amount_usd REAL)"
        )
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)", (_order(draw, n, share) for n in range(size))
        )
        connection.commit()


def _order(draw: random.Random, number: int, share: float) -> tuple[object, ...]:
    is_open = draw.random() < share
    age = timedelta(hours=draw.expovariate(1 / 4) if is_open else draw.uniform(1, 14 * 24))
    entered = AS_OF - age
    left = None if is_open else min(AS_OF, entered + timedelta(hours=draw.expovariate(2)))
    return (
        f"ORD-{number:09d}",
        "open" if is_open else "paid",
        draw.choice(STAGES),
        _iso(entered),
        left and _iso(left),
        "critical" if draw.random() < 0.1 else "normal",
        round(draw.lognormvariate(5, 1), 2),
    )


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


async def _measure(path: Path, size: int, share: float, left_at: bool) -> Measure:
    server = build(Options(), _config(path, left_at), path.parent)
    statement = _raw_history() if left_at else _raw_arrivals()
    raw, tool, answer = [], [], 0
    async with mcp.Client(server) as client:
        for _ in range(ROUNDS + 1):
            raw.append(_timed_raw(path, statement))
            started = time.perf_counter()
            result = await client.call_tool("query_stuck_orders", {"as_of": AS_OF.isoformat()})
            tool.append((time.perf_counter() - started) * 1000)
            if result.is_error:
                raise RuntimeError(result.content)
            answer = len(str(result.structured_content))
    return Measure(size, share, left_at, statistics.median(raw[1:]), statistics.median(tool[1:]), answer)


def _timed_raw(path: Path, statement: str) -> float:
    with closing(sqlite3.connect(path)) as connection:
        started = time.perf_counter()
        if not connection.execute(statement).fetchall():
            raise RuntimeError("the raw statement found nothing")
        return (time.perf_counter() - started) * 1000


def _cutoff(days: int) -> str:
    moment = AS_OF - timedelta(days=days)
    return (
        f"CASE stuck_at WHEN 'lulu' THEN '{_iso(moment - timedelta(hours=2))}' "
        f"ELSE '{_iso(moment - timedelta(hours=4))}' END"
    )


def _raw_arrivals() -> str:
    days = ", ".join(f"sum(stage_entered_at < {_cutoff(k)})" for k in range(1, 7))
    return (
        "SELECT stuck_at, count(*), sum(priority = 'critical'), sum(amount_usd), min(stage_entered_at), "
        f"{days} FROM orders WHERE status = 'open' AND stage_entered_at < {_cutoff(0)} GROUP BY stuck_at"
    )


def _raw_history() -> str:
    was = [
        f"(stage_entered_at < {_cutoff(k)} AND "
        f"(left_at IS NULL OR left_at >= '{_iso(AS_OF - timedelta(days=k))}'))"
        for k in range(1, 6)
    ]
    now = f"(status = 'open' AND stage_entered_at < {_cutoff(0)})"
    days = ", ".join(f"sum({condition})" for condition in was)
    return (
        f"SELECT stuck_at, sum({now}), sum({now} AND priority = 'critical'), "
        f"sum(CASE WHEN {now} THEN amount_usd END), min(CASE WHEN {now} THEN stage_entered_at END), {days} "
        f"FROM orders WHERE {now} OR {' OR '.join(was)} GROUP BY stuck_at"
    )


def _config(path: Path, left_at: bool) -> Config:
    columns = {
        "order_id": "order_id",
        "stage": "stuck_at",
        "entered_at": "stage_entered_at",
        "priority": "priority",
        "amount": "amount_usd",
    }
    if left_at:
        columns["left_at"] = "left_at"
    orders = {
        "table": "orders",
        "columns": columns,
        "open_when": "status = 'open'",
        "critical_when": "priority = 'critical'",
        "stage_sla": {"default": "4h", "lulu": "2h"},
    }
    warehouse = {"url": f"sqlite:///{path}", "tables": {"orders": orders}}
    return Config.model_validate({"models": {}, "domains": {}, "warehouse": warehouse})


def main() -> None:
    """Prints the measures."""
    for measure in bench_triage([int(size) for size in sys.argv[1:]] or (10_000, 100_000, 1_000_000)):
        print(
            f"{measure.orders:>9} orders, {measure.share:4.0%} open, "
            f"left_at {'mapped' if measure.left_at else 'absent'}: "
            f"raw {measure.raw_ms:7.1f} ms, tool {measure.tool_ms:7.1f} ms, ratio {measure.ratio:.2f}, "
            f"answer {measure.bytes} bytes, {'within' if measure.within else 'BEYOND'} 1.2 x + 20 ms"
        )


if __name__ == "__main__":
    main()
