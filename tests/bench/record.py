"""What recording costs: an execution with journal, spend, outcome, totals and outbox, against bare inserts.

The bare side writes the same rows with prepared statements of the driver, in as many transactions, on a
database of the same settings. `python -m tests.bench.record [--executions N]`.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blocks.database import Database
from tasks import journal, record, spend

BUDGETS = spend.Budgets(domain_day=10**12, platform_day=10**12, execution=10**9)
TURNS = 3
CALLS_PER_TURN = 2
STEPS = TURNS * (1 + CALLS_PER_TURN)
RESULT = {"lines": [{"template": "lulu answered <*>", "count": n, "service": "gateway"} for n in range(40)]}
TOKENS = {"input": 2000, "output": 300, "cache_read": 1500, "cache_write": 0}
TABLES = ("executions", "execution_steps", "spend")
AT_THE_END = (
    "UPDATE executions SET error = NULL WHERE execution_id = :id",
    "INSERT INTO execution_totals (domain, skill_name, skill_role, model, outcome, bucket, executions) "
    "VALUES ('ecm', 'ecm-diagnose', 'specialist', 'm', 'success', '10', 1) "
    "ON CONFLICT DO UPDATE SET executions = executions + 1",
    "INSERT INTO execution_slots (slot, domain, skill_name, outcome, executions) "
    "VALUES ('2026-02-17 08:00:00.000000', 'ecm', 'ecm-diagnose', 'success', 1) "
    "ON CONFLICT DO UPDATE SET executions = executions + 1",
    "INSERT INTO outbox (destination, kind, subject, state, next_attempt_at, created_at) VALUES "
    "('langfuse', 'execution', :id, 'pending', '2026-02-17 08:00:00', '2026-02-17 08:00:00')",
    "INSERT INTO outbox (destination, kind, subject, state, next_attempt_at, created_at) VALUES "
    "('opik', 'execution', :id, 'pending', '2026-02-17 08:00:00', '2026-02-17 08:00:00')",
)
"""What an ended execution leaves: outcome, totals, outbox."""


def recorded(database: Database, number: int) -> None:
    """One execution as the platform records it: reserve, turn, its calls, …, outcome."""
    now = datetime.now(UTC)
    given: dict[str, Any] = {"run_id": f"run-{number}", "domain": "ecm", "skill": "ecm-diagnose"}
    given |= {"role": "specialist", "model": "m", "provider": "p", "input_data": {"stuck_at": "lulu"}}
    id_ = database.write_now(lambda c: record.begin(c, **given)).execution_id
    asked: dict[str, Any] = {"domain": "ecm", "execution_id": id_, "micro": 5000, "budgets": BUDGETS}
    sequence = 0
    for _ in range(TURNS):
        sequence += 1
        paid = database.write_now(lambda c, s=sequence: spend.reserve(c, sequence=s, **asked))
        turn = _step(id_, sequence, now, kind="model", cost_micro=4000, tokens=TOKENS)
        database.write_now(lambda c, turn=turn, paid=paid: journal.append(c, turn, paid))
        for _ in range(CALLS_PER_TURN):
            sequence += 1
            call = _step(id_, sequence, now, kind="tool", call=sequence)
            database.write_now(lambda c, call=call: journal.append(c, call))
    database.write_now(lambda c: record.finish(c, id_, "success", output={"root_cause": "rate limit"}))


def _step(id_: str, sequence: int, now: datetime, **given: Any) -> journal.Step:
    values = {"name": "query_application_logs", "input": {"service": "lulu"}, "output": RESULT, **given}
    return journal.Step(execution_id=id_, sequence=sequence, started_at=now, seconds=0.5, **values)


def rows_of(path: Path, run: str) -> dict[str, list[tuple[Any, ...]]]:
    """What one recorded execution left in each table."""
    source = sqlite3.connect(path)
    (id_,) = source.execute("SELECT execution_id FROM executions WHERE run_id = ?", (run,)).fetchone()
    of_it = "WHERE execution_id = ?"
    return {table: source.execute(f"SELECT * FROM {table} {of_it}", (id_,)).fetchall() for table in TABLES}


def bare(connection: sqlite3.Connection, rows: dict[str, list[tuple[Any, ...]]], number: int) -> None:
    """The same rows under a new id, one transaction each, and one more for its end."""
    writes: list[tuple[str, tuple[Any, ...]]] = []
    for row in rows["executions"]:
        writes.append(("executions", (f"e-{number}", f"k-{number}", *row[2:])))
    for row in rows["execution_steps"]:
        writes.append(("execution_steps", (f"e-{number}", *row[1:])))
    for row in rows["spend"]:
        writes.append(("spend", (None, *row[1:4], f"e-{number}", *row[5:])))
    for table, values in writes:
        connection.execute("BEGIN IMMEDIATE")
        marks = ", ".join("?" * len(values))
        connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)
        connection.execute("COMMIT")
    connection.execute("BEGIN IMMEDIATE")
    for statement in AT_THE_END:
        connection.execute(statement, {"id": f"e-{number}"})
    connection.execute("COMMIT")


def medians(works: tuple[Callable[[int], None], ...], count: int) -> list[float]:
    """Median seconds of each, taken in turns so that a busy machine slows all alike; five rounds warm up."""
    times: list[list[float]] = [[] for _ in works]
    for number in range(1, count + 6):
        for work, taken in zip(works, times, strict=True):
            started = time.perf_counter()
            work(number)
            taken.append(time.perf_counter() - started)
    return [statistics.median(taken[5:]) for taken in times]


def measure(count: int = 200) -> tuple[float, float]:
    """Median milliseconds of a recorded execution and of its bare rows; at most twice as many are wanted."""
    with tempfile.TemporaryDirectory() as folder:
        path, other = Path(folder) / "record.db", Path(folder) / "bare.db"
        database = Database(f"sqlite:///{path}")
        database.migrate()
        recorded(database, 0)
        Database(f"sqlite:///{other}").migrate()
        connection = sqlite3.connect(other, isolation_level=None)
        connection.execute("PRAGMA foreign_keys = ON")
        rows = rows_of(path, "run-0")
        works = (lambda number: recorded(database, number), lambda number: bare(connection, rows, number))
        ours, theirs = medians(works, count)
    return ours * 1000, theirs * 1000


def main() -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=200)
    ours, theirs = measure(parser.parse_args().executions)
    print(
        f"recording an execution of {STEPS} steps: {ours:.1f} ms, "
        f"bare inserts of its rows {theirs:.1f} ms, ratio {ours / theirs:.2f}"
    )


if __name__ == "__main__":
    main()
