"""How many runs this machine does: `aspora up` on PostgreSQL, warm worker, more and more runs at a time.

Each run is one webhook: triage of the sample orders and a diagnosis, by the offline model. For each number of
runs at a time it tells runs a minute, how long each took, where the processor's time went, memory of a run,
and connections to PostgreSQL. `python -m tests.bench.capacity [--parallel 1,4,8,16] [--runs N]`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import sqlalchemy as sa
import yaml

from blocks.database import Database
from tasks import inbox
from tests import debian_postgres
from tests.up_world import PARTS, Up
from tests.worlds import DIAGNOSED

PARALLEL = (1, 4, 8, 16)
RUNS = 40
WARM_UP = 4
LOOK_SECONDS = 0.5
IDLE_SECONDS = 10.0
ASK_SECONDS = 0.2
PATIENCE = 300.0


@dataclass(frozen=True)
class Found:
    """What so many runs at a time came to.

    Attributes:
        seconds: from the first webhook to the last run's end.
        took: of each run, from its claim to its end.
        cpu: part → seconds of processor time that a run takes, above what the part takes when idle.
        idle: processors that all parts take when nothing runs.
        run_megabytes: memory of its own that a run's process had at most; median over looks.
        connections: to PostgreSQL at most.
        busy: share of all cores' time that anybody used.
    """

    parallel: int
    runs: int
    seconds: float
    took: tuple[float, ...]
    cpu: dict[str, float]
    idle: float
    run_megabytes: float
    connections: int
    busy: float
    most_at_once: int

    @property
    def a_minute(self) -> float:
        return self.runs / self.seconds * 60


class Watch:
    """Looks at the processes while runs are under way."""

    def __init__(self, up: Up, server: sa.URL, postmaster: psutil.Process) -> None:
        self._parts = {name: up.part(name) for name in PARTS} | {"PostgreSQL": postmaster}
        self._engine = sa.create_engine(server)
        self._over = threading.Event()
        self._before = self._spent()
        self._idle = psutil.cpu_times()
        self.megabytes: list[float] = []
        self.connections = 0
        self.most = 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> tuple[dict[str, float], float]:
        """Processor seconds by part, and the share of the machine that was busy."""
        self._over.set()
        self._thread.join()
        self._engine.dispose()
        after, idle = self._spent(), psutil.cpu_times()
        all_, free = sum(idle) - sum(self._idle), idle.idle - self._idle.idle
        return {name: after[name] - self._before[name] for name in after}, 1 - free / all_

    def _spent(self) -> dict[str, float]:
        return {name: _seconds(process) for name, process in self._parts.items()}

    def _look(self) -> None:
        query = sa.text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        while not self._over.wait(LOOK_SECONDS):
            sizes = [_own_megabytes(each) for each in _forks(self._parts["worker"])]
            self.most = max(self.most, len(sizes))
            self.megabytes += [max(sizes)] if sizes else []
            with self._engine.connect() as connection:
                self.connections = max(self.connections, connection.execute(query).scalar_one() - 1)


def measure(parallel: tuple[int, ...] = PARALLEL, runs: int = RUNS) -> Iterator[Found]:
    """One figure after the other, each on a platform and databases of its own."""
    with debian_postgres.serving(fsync="on") as (server, postmaster):
        for number in parallel:
            yield _measure(server, postmaster, number, runs)


def _measure(server: sa.URL, postmaster: psutil.Process, parallel: int, runs: int) -> Found:
    with platform(server, DIAGNOSED, max_parallel_runs=1000) as (up, database):
        _run(up, database, parallel, max(WARM_UP, parallel))
        idle = _idle(up, server, postmaster)
        watch = Watch(up, server, postmaster)
        began = time.monotonic()
        rows = _run(up, database, parallel, runs)
        seconds = time.monotonic() - began
        spent, busy = watch.end()
    took = tuple((row.finished_at - row.started_at).total_seconds() for row in rows)  # type: ignore[operator]
    cpu = {name: (each - idle[name] * seconds) / runs for name, each in spent.items()}
    return Found(
        parallel=parallel,
        runs=runs,
        seconds=seconds,
        took=took,
        cpu=cpu,
        idle=sum(idle.values()),
        run_megabytes=statistics.median(watch.megabytes),
        connections=watch.connections,
        busy=busy,
        most_at_once=watch.most,
    )


def _idle(up: Up, server: sa.URL, postmaster: psutil.Process) -> dict[str, float]:
    """Part → processors that it takes while nothing runs."""
    time.sleep(IDLE_SECONDS / 2)
    watch = Watch(up, server, postmaster)
    time.sleep(IDLE_SECONDS)
    return {name: spent / IDLE_SECONDS for name, spent in watch.end()[0].items()}


def _run(up: Up, database: Database, parallel: int, runs: int) -> list[inbox.Trigger]:
    """So many runs at a time, the next one as soon as one is over."""
    with ThreadPoolExecutor(parallel) as senders:
        return list(senders.map(lambda _: _one(up, database), range(runs)))


def _one(up: Up, database: Database) -> inbox.Trigger:
    id = up.trigger(f"capacity-{uuid.uuid4()}")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        row = database.read_now(lambda conn: inbox.get(conn, id))
        if row.state == "done":
            return row
        if row.state in ("failed", "refused"):
            raise RuntimeError(f"a run did not end well: {row.reason}")
        time.sleep(ASK_SECONDS)
    raise RuntimeError(f"a run did not end within {PATIENCE:g} s")


@contextlib.contextmanager
def platform(
    server: sa.URL, routing: list[dict[str, str]], max_parallel_runs: int
) -> Iterator[tuple[Up, Database]]:
    """`aspora up` on two new databases, without limits but this one; and its record."""
    record, prefects = _created(server, "aspora"), _created(server, "prefect", "postgresql+asyncpg")
    with tempfile.TemporaryDirectory(prefix="aspora-bench-", ignore_cleanup_errors=True) as folder:
        given = {"ASPORA_DATABASE_URL": record, "PREFECT_SERVER_DATABASE_CONNECTION_URL": prefects}
        up = Up(Path(folder), routing, **given)
        _limit(Path(up.environment["ASPORA_CONFIG"]), max_parallel_runs)
        database = Database(record)
        try:
            up.start()
            yield up, database
        finally:
            if up.process and up.process.poll() is None:
                up.stop()
            up.kill()
            database.close()


def _limit(config: Path, max_parallel_runs: int) -> None:
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    limits = {"rate_limit": "100000/hour", "max_parallel_runs": max_parallel_runs}
    document["platform"]["guardrails"] |= limits
    document["domains"]["ecm"]["guardrails"] |= limits
    document["gateway"] = {"flood": "100000/s"}
    config.write_text(yaml.safe_dump(document), encoding="utf-8")


def _created(server: sa.URL, purpose: str, driver: str = "postgresql") -> str:
    """The URL of a new database, with its password."""
    name = f"{purpose}_{uuid.uuid4().hex[:8]}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.set(drivername=driver, database=name).render_as_string(hide_password=False)


def _seconds(process: psutil.Process) -> float:
    """Processor time of a process, of all below it, and of those that ended."""
    total = 0.0
    with contextlib.suppress(psutil.Error):
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += sum(each.cpu_times()[:4])
    return total


def _forks(worker: psutil.Process) -> list[psutil.Process]:
    """Runs' processes: each leads a process group."""
    found = []
    with contextlib.suppress(psutil.Error):
        for each in worker.children(recursive=True):
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getpgid(each.pid) == each.pid:
                    found.append(each)
    return found


def _own_megabytes(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        return float(process.memory_full_info().uss) / 1_000_000
    return 0.0


def main() -> None:
    """Prints a line for each number of runs at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parallel", default=",".join(map(str, PARALLEL)))
    parser.add_argument("--runs", type=int, default=RUNS)
    given = parser.parse_args()
    for each in measure(tuple(map(int, given.parallel.split(","))), given.runs):
        cpu = ", ".join(f"{name} {spent:.2f}" for name, spent in each.cpu.items())
        print(
            f"{each.parallel} at a time ({each.most_at_once} seen): {each.a_minute:.1f} runs a minute; "
            f"a run took {statistics.median(each.took):.1f} s, the slowest {max(each.took):.1f} s; "
            f"processor seconds a run: {cpu}, all {sum(each.cpu.values()):.2f}; "
            f"{each.idle:.2f} processors when nothing runs; "
            f"the machine was busy {each.busy:.0%}; a run's own memory {each.run_megabytes:.0f} MB; "
            f"{each.connections} connections",
            flush=True,
        )


if __name__ == "__main__":
    main()
