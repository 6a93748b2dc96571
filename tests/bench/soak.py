"""A long queue worked off: a thousand webhooks at once, and what becomes of them and of the memory.

`aspora up` on Debian's PostgreSQL, warm worker, a fixed number of runs at a time. Each webhook is one run:
the triage of the sample orders, which leads nowhere. What is not done when the time is over is told by its
state. `python -m tests.bench.soak [--runs N] [--parallel N] [--minutes N]`.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psutil
import sqlalchemy as sa

from blocks.database import Database
from blocks.schema import executions, triggers
from tasks import inbox
from tests import debian_postgres
from tests.bench import percentile
from tests.bench.capacity import platform
from tests.up_world import PARTS, Up

RUNS, PARALLEL, MINUTES = 1000, 6, 60.0
SENDERS = 20
LOOK_SECONDS = 15.0
NOWHERE = [{"when": "manager.critical_count >= 1000000", "route_to": "ecm-diagnose"}]


@dataclass
class Soak:
    """What became of the queue.

    Attributes:
        states: how many triggers ended in which state.
        doubled: runs that more than one execution was begun for.
        missing: runs that are done without an execution.
        acknowledged: milliseconds of each webhook.
        waited: seconds from each webhook to its run's start.
        took: seconds of each run.
        seconds: from the first webhook to the end.
        megabytes: part → its memory at each look, its own alone.
    """

    states: Counter[str]
    doubled: int
    missing: int
    acknowledged: list[float]
    waited: list[float]
    took: list[float]
    seconds: float
    megabytes: dict[str, list[float]]


def measure(runs: int = RUNS, parallel: int = PARALLEL, minutes: float = MINUTES) -> Soak:
    """Queues so many runs, and looks on until they are done or the time is over."""
    with (
        debian_postgres.serving(fsync="on") as (server, _),
        platform(server, NOWHERE, parallel) as (up, database),
    ):
        began = time.monotonic()
        with ThreadPoolExecutor(SENDERS) as senders:
            sent = list(senders.map(lambda _: _send(up), range(runs)))
        megabytes = _watch(up, database, runs, began + minutes * 60)
        rows = database.read_now(lambda conn: [inbox.get(conn, id) for id, _ in sent])
        counted = Counter(database.read_now(lambda conn: conn.scalars(sa.select(executions.c.run_id)).all()))
        done = [row for row in rows if row.state == "done"]
        return Soak(
            states=Counter(row.state for row in rows),
            doubled=sum(1 for count in counted.values() if count > 1),
            missing=sum(1 for row in done if row.run_id not in counted),
            acknowledged=[milliseconds for _, milliseconds in sent],
            waited=[(row.started_at - row.created_at).total_seconds() for row in done if row.started_at],
            took=[
                (row.finished_at - row.started_at).total_seconds()
                for row in done
                if row.started_at and row.finished_at
            ],
            seconds=time.monotonic() - began,
            megabytes=megabytes,
        )


def _send(up: Up) -> tuple[str, float]:
    """A webhook: its trigger, and the milliseconds to its acknowledgement."""
    started = time.perf_counter()
    id = up.trigger(f"soak-{uuid.uuid4()}")
    return id, (time.perf_counter() - started) * 1000


def _watch(up: Up, database: Database, runs: int, deadline: float) -> dict[str, list[float]]:
    """The parts' memory until the queue is empty or the time over."""
    parts = {name: up.part(name) for name in PARTS}
    megabytes: dict[str, list[float]] = {name: [] for name in parts}
    ended = sa.select(sa.func.count()).where(triggers.c.state.in_(("done", "failed", "refused")))
    while time.monotonic() < deadline:
        for name, process in parts.items():
            with contextlib.suppress(psutil.Error):
                megabytes[name].append(process.memory_full_info().uss / 1_000_000)
        over = database.read_now(lambda conn: int(conn.execute(ended).scalar_one()))
        sys.stderr.write(f"{over} of {runs} are over\n")
        if over >= runs:
            break
        time.sleep(LOOK_SECONDS)
    return megabytes


def grown(megabytes: Sequence[float]) -> tuple[float, float]:
    """Median memory in the second quarter of the looks, and in the last one."""
    quarter = max(1, len(megabytes) // 4)
    return statistics.median(megabytes[quarter : 2 * quarter] or megabytes), statistics.median(
        megabytes[-quarter:]
    )


def main() -> None:
    """Prints what became of the queue."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--parallel", type=int, default=PARALLEL)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    given = parser.parse_args()
    found = measure(given.runs, given.parallel, given.minutes)
    print(f"{given.runs} webhooks: {dict(found.states)}, {found.doubled} doubled, {found.missing} missing")
    print(f"{found.states['done'] / found.seconds * 60:.1f} runs a minute over {found.seconds / 60:.1f} min")
    for name, values, unit in (
        ("acknowledged within", found.acknowledged, "ms"),
        ("waited", found.waited, "s"),
        ("a run took", found.took, "s"),
    ):
        ranks = [f"{share:.0%} {percentile.at(values, share):.1f} {unit}" for share in (0.5, 0.95, 1)]
        print(f"{name}: {', '.join(ranks)}")
    for part, megabytes in found.megabytes.items():
        before, after = grown(megabytes)
        print(f"{part}: {before:.0f} MB early, {after:.0f} MB at the end, {max(megabytes):.0f} MB at most")


if __name__ == "__main__":
    main()
