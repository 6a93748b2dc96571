"""What a scrape costs as the record grows: from the totals, and for comparison by counting executions.

Each size is a SQLite file of its own, filled with ended executions over a year, their triggers, and
corrections of one in a thousand. They are scraped in turns, so that a busy machine slows all alike.
`python -m tests.bench.scrape [--sizes N,N,N]`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text

from blocks.database import Database
from blocks.migrations.versions import totals_0004
from tasks import exposition, reading, series
from tests.scraped import OPENMETRICS, project

SIZES = (1_000, 100_000, 1_000_000)
ROUNDS = 15
COUNTED = "aspora_executions_total{"
WORDS = " ".join(["the partner answers 429 since its limit was lowered;"] * 6)
AT = "datetime('now', '-' || ago || ' seconds') || '.000000'"
EXECUTIONS = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :size),
  e AS (SELECT i, i % 3 AS skill, (i * 7919) % 1000 AS dice, (i * 104729) % 31536000 AS ago FROM n)
INSERT INTO executions (execution_id, key, run_id, domain, skill_name, skill_role, model, provider,
  started_at, finished_at, outcome, latency_seconds, cost_micro, output_data)
SELECT 'e-' || i, 'k-' || i, 'r-' || i / 4, 'ecm',
  CASE skill WHEN 0 THEN 'ecm-triage' WHEN 1 THEN 'ecm-diagnose' ELSE 'ecm-resolve' END,
  CASE skill WHEN 0 THEN 'manager' ELSE 'specialist' END,
  'claude-haiku-4.5', 'anthropic', {at}, {at},
  CASE WHEN dice < 930 THEN 'success' WHEN dice < 970 THEN 'partial' ELSE 'error' END,
  dice / 20.0, dice,
  '{{"root_cause": "fault ' || dice || ' at lulu: ' || :words || '", "confidence": "high"}}' FROM e
"""
TRIGGERS = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :size / 4)
INSERT INTO triggers (id, source, domain, dedupe_key, run_id, state, result, created_at, started_at)
SELECT 't-' || i, 'run', 'ecm', 'd-' || i, 'r-' || i, 'done', 'completed', {at}, {at}
FROM (SELECT i, (i * 104729) % 31536000 AS ago FROM n) AS dated
"""
CORRECTIONS = """
INSERT INTO corrections (execution_id, correction, corrected_by, via, created_at)
SELECT execution_id, '{"actual_root_cause": "x"}', 'ann', 'cli', started_at FROM executions
WHERE execution_id LIKE '%000'
"""
SCAN = """
SELECT domain, skill_name, skill_role, model, outcome, COUNT(*), SUM(cost_micro), SUM(latency_seconds)
FROM executions WHERE outcome IS NOT NULL GROUP BY domain, skill_name, skill_role, model, outcome
"""


@dataclass(frozen=True)
class Scrape:
    """Medians, in milliseconds.

    Attributes:
        ours: the whole scrape: read and written.
        scan: one query that counts executions instead, without buckets.
    """

    executions: int
    ours: float
    scan: float


def measure(sizes: Sequence[int] = SIZES) -> list[Scrape]:
    """A scrape at each size."""
    with tempfile.TemporaryDirectory() as folder:
        databases = [filled(Path(folder) / f"{size}.db", size) for size in sizes]
        ours, scans = _medians(databases, _scrape, ROUNDS), _medians(databases, _scan, 3)
        for database in databases:
            database.close()
    return [Scrape(*each) for each in zip(sizes, ours, scans, strict=True)]


def filled(path: Path, size: int) -> Database:
    """A record of so many executions, as the migration that made the totals counts them."""
    database = Database(f"sqlite:///{path}")
    database.migrate()

    def fill(conn: Connection) -> None:
        for statement in (EXECUTIONS, TRIGGERS):
            given = {"size": size, "words": WORDS} if ":words" in statement else {"size": size}
            conn.execute(text(statement.format(at=AT)), given)
        conn.exec_driver_sql(CORRECTIONS)
        cases = " ".join(f"WHEN latency_seconds <= {each} THEN '{each:g}'" for each in totals_0004.BUCKETS)
        conn.exec_driver_sql(totals_0004.TOTALS.format(bucket=f"CASE {cases} ELSE '+Inf' END"))
        conn.exec_driver_sql(totals_0004.SLOTS.format(slot=totals_0004.SQLITE_SLOT))

    database.write_now(fill)
    told = [line for line in _scrape(database).decode().splitlines() if line.startswith(COUNTED)]
    if sum(float(line.rpartition(" ")[2]) for line in told) != size:
        raise RuntimeError(f"there are {size} executions, and others are told")
    return database


def scraped(conn: Connection) -> bytes:
    """What Prometheus is told."""
    known = exposition.known(project(), "anthropic")
    found = reading.read(conn, known.scopes, ["langfuse", "opik"])
    return series.text(exposition.metrics(found, known), OPENMETRICS)[0]


def _scrape(database: Database) -> bytes:
    return database.read_now(scraped)


def _scan(database: Database) -> object:
    return database.read_now(lambda conn: conn.execute(text(SCAN)).all())


def _medians(databases: Sequence[Database], work: Callable[[Database], object], rounds: int) -> list[float]:
    taken: list[list[float]] = [[] for _ in databases]
    for _ in range(rounds):
        for database, times in zip(databases, taken, strict=True):
            started = time.perf_counter()
            work(database)
            times.append((time.perf_counter() - started) * 1000)
    return [statistics.median(times) for times in taken]


def main() -> None:
    """Prints each size against the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    given = parser.parse_args()
    found = measure([int(each) for each in given.sizes.split(",")])
    for each in found:
        sys.stdout.write(
            f"{each.executions:,} executions: {each.ours:.1f} ms a scrape, ratio to the smallest "
            f"{each.ours / found[0].ours:.2f}; counting executions {each.scan:.1f} ms\n"
        )


if __name__ == "__main__":
    main()
