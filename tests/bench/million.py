"""What people wait for at a record of a million executions and ten million steps, page by page.

The record is a SQLite file of some gigabytes: executions over a year, ten steps each. Each page is asked
for several times. `python -m tests.bench.million [--executions N] [--keep FILE]`; FILE is used if it is
there.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, text

from blocks.database import Database
from tasks import approvals, inbox, page, record, reports
from tests.bench import scrape
from tests.scraped import project

EXECUTIONS = 1_000_000
STEPS = 10
ROUNDS = 7
LIMIT_MS = 200
JOURNAL = """
WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < :steps)
INSERT INTO execution_steps (execution_id, sequence, kind, name, call, input, output, summary, status,
  started_at, seconds)
SELECT e.execution_id, s.i, CASE s.i % 3 WHEN 0 THEN 'model' ELSE 'tool' END,
  CASE s.i % 3 WHEN 0 THEN 'claude-haiku-4.5' WHEN 1 THEN 'query_application_logs' ELSE 'search_runbooks' END,
  s.i, '{"service": "lulu"}', '{"lines": [{"template": "lulu answered <*>", "count": 40}]}', '1 lines', 'ok',
  e.started_at, 0.5
FROM executions e CROSS JOIN s ORDER BY e.execution_id, s.i
"""

Ask = Callable[[Connection], object]


def measure(executions: int = EXECUTIONS, file: Path | None = None) -> dict[str, tuple[float, float]]:
    """Milliseconds by page: the median, and the longest."""
    with tempfile.TemporaryDirectory() as folder:
        database = _record(file or Path(folder) / "record.db", executions)
        times: dict[str, list[float]] = {name: [] for name in _pages()}
        for _ in range(ROUNDS):
            for name, ask in _pages().items():
                started = time.perf_counter()
                database.read_now(ask)
                times[name].append((time.perf_counter() - started) * 1000)
        database.close()
    return {name: (statistics.median(taken), max(taken)) for name, taken in times.items()}


def _record(path: Path, executions: int) -> Database:
    if path.exists():
        return Database(f"sqlite:///{path}")
    database = scrape.filled(path, executions)
    database.write_now(lambda conn: conn.execute(text(JOURNAL), {"steps": STEPS}))
    return database


def _pages() -> Mapping[str, Ask]:
    """What people ask for, as the command line, Slack, and the gateway ask it."""
    week = datetime.now(UTC) - timedelta(days=7)
    return {
        "executions": lambda conn: record.search(conn, since=week, limit=50),
        "executions --skill --outcome": lambda conn: record.search(
            conn, skill="ecm-diagnose", outcome="error", since=week, limit=50
        ),
        "executions --outcome user_corrected": lambda conn: record.search(
            conn, outcome=record.CORRECTED, since=week, limit=50
        ),
        "executions --text, found": lambda conn: record.search(conn, text="fault 17 ", since=week, limit=50),
        "executions --text, nowhere": lambda conn: record.search(conn, text="zzz", since=week, limit=50),
        "show": lambda conn: page.page(conn, "e-1000"),
        "report platform": reports.platform,
        "report domain": lambda conn: reports.domain(conn, project(), "ecm"),
        "report skill": lambda conn: reports.skill(conn, project(), "ecm-diagnose"),
        "triggers": inbox.find,
        "approvals": approvals.find,
        "metrics": scrape.scraped,
    }


def main() -> None:
    """Prints the pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=EXECUTIONS)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    for name, (median, longest) in measure(given.executions, given.keep).items():
        sys.stdout.write(f"{name}: {median:.0f} ms, at most {longest:.0f} ms\n")


if __name__ == "__main__":
    main()
