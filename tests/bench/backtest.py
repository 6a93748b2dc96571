"""A backtest through the tool against the same rule as one raw SQL statement, over 1.7 million transactions.

`python -m tests.bench.backtest [SIZE]` prints one line a rule. `raw` counts by day what a backtest has:
transactions, frauds and their money, hits, frauds caught, money and customers hit, first and last time, with
the rule's window written by hand; both are asked of the same SQLite file, in turns. The tool counts besides
whom the rule hurts, the rules in force, and what passes just under the threshold.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mcp

from blocks.config import Config
from flows.fraud.tools import Options, build

SIZE = 1_700_000
ROUNDS = 3
DAYS = 120
AS_OF = datetime(2026, 2, 17, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Measure:
    """Medians of one rule, in seconds, and what both counted."""

    rule: str
    raw_seconds: float
    tool_seconds: float
    raw_hits: int
    tool_hits: int

    @property
    def ratio(self) -> float:
        return self.tool_seconds / self.raw_seconds


def bench_backtest(size: int = SIZE) -> list[Measure]:
    """Measures a rule of each kind of feature."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "transactions.db"
        _generate(path, size)
        return [asyncio.run(_measure(path, rule, raw)) for rule, raw in _rules().items()]


def _rules() -> dict[str, str]:
    """Rule → the same by hand."""
    return {
        "block if amount > 220": _raw("", "amount > 220"),
        "review if count(terminal, 1h) > 3": _raw(_window("count(*)", "terminal", 3600), "n > 3"),
        "review if sum(amount, customer, 1d) > 500": _raw(
            _window("sum(amount)", "customer", 86400), "n > 500"
        ),
        "block if amount > 3 * avg(amount, customer, 7d) and amount > 100": _raw(
            _window("avg(amount)", "customer", 7 * 86400), "amount > 3 * n AND amount > 100"
        ),
    }


def _window(function: str, key: str, seconds: int) -> str:
    order = f"PARTITION BY {key} ORDER BY unixepoch(time) RANGE BETWEEN {seconds} PRECEDING AND CURRENT ROW"
    return f", {function} OVER ({order}) AS n"


def _raw(window: str, condition: str) -> str:
    inner = f"SELECT time, unixepoch(time) / 86400 AS day, amount, fraud, customer{window} FROM transactions"
    hit = f"CASE WHEN {condition} THEN"
    return (
        f"SELECT day, count({hit} 1 END), count({hit} nullif(fraud, 0) END), sum({hit} amount END), "
        f"count(DISTINCT {hit} customer END), count(*), sum(fraud), sum(CASE WHEN fraud THEN amount END), "
        f"min(time), max(time) FROM ({inner}) GROUP BY day"
    )


def _generate(path: Path, size: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE transactions (transaction_id INTEGER PRIMARY KEY, time TEXT, amount REAL, "
            "customer INTEGER, terminal INTEGER, fraud INTEGER)"
        )
        connection.executemany("INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?)", _rows(size))
        connection.commit()


def _rows(size: int) -> Iterator[tuple[object, ...]]:
    draw = random.Random(size)
    start = AS_OF - timedelta(days=DAYS)
    for number in range(size):
        at = start + timedelta(seconds=number * DAYS * 86400 // size)
        amount = round(draw.lognormvariate(3.7, 0.8), 2)
        yield (
            number, at.strftime("%Y-%m-%d %H:%M:%S"), amount, draw.randrange(5000), draw.randrange(10_000),
            int(draw.random() < 0.008),
        )  # fmt: skip


async def _measure(path: Path, rule: str, statement: str) -> Measure:
    raw, tool, raw_hits, tool_hits = [], [], 0, 0
    async with mcp.Client(build(Options(), _config(path), path.parent)) as client:
        for _ in range(ROUNDS):
            started = time.perf_counter()
            raw_hits = _hits(path, statement)
            raw.append(time.perf_counter() - started)
            started = time.perf_counter()
            result = await client.call_tool("backtest_rule", {"rule": rule, "as_of": AS_OF.isoformat()})
            tool.append(time.perf_counter() - started)
            if result.is_error or not result.structured_content:
                raise RuntimeError(result.content)
            tool_hits = result.structured_content["backtests"][0]["proposed"]["hits"]
    return Measure(rule, statistics.median(raw), statistics.median(tool), raw_hits, tool_hits)


def _hits(path: Path, statement: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return sum(row[1] for row in connection.execute(statement))


def _config(path: Path) -> Config:
    names = ("transaction_id", "time", "amount", "customer", "terminal")
    table = {
        "table": "transactions",
        "columns": {name: name for name in names},
        "fraud_when": "fraud = 1",
    }
    warehouse = {
        "url": f"sqlite:///{path}", "statement_timeout": "10m", "tables": {"transactions": table},
    }  # fmt: skip
    return Config.model_validate({"models": {}, "domains": {}, "warehouse": warehouse})


def main() -> None:
    """Prints the measures."""
    for each in bench_backtest(int(sys.argv[1]) if len(sys.argv) > 1 else SIZE):
        print(
            f"{each.rule}: raw {each.raw_seconds:.2f} s, tool {each.tool_seconds:.2f} s, "
            f"ratio {each.ratio:.2f}; hits {each.raw_hits} and {each.tool_hits}"
        )


if __name__ == "__main__":
    main()
