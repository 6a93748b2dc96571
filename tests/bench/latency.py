"""How long a webhook waits for its run: from its arrival at the gateway to the domain flow's first line.

All parts are those of `aspora up`; the run is created by a Prefect automation. Two workers serve the pool,
one after the other: the warm worker, and Prefect's own process worker with its default settings.
`python -m tests.bench.latency [--runs N]`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blocks.home import ROOT
from tests.bench import percentile
from tests.up_world import Up

RUNS = 10
PREFECTS = ("-m", "prefect", "worker", "start", "--pool", "aspora")


@dataclass(frozen=True)
class Waits:
    """Seconds that warm runs waited."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        return percentile.at(self.seconds, 0.95)


def measure(runs: int = RUNS) -> dict[str, Waits]:
    """Waits by worker."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        up = Up(Path(folder))
        try:
            up.start()
            found = {"warm worker": _waits(up, runs)}
            with _prefects_worker(up):
                found["Prefect's process worker"] = _waits(up, runs)
        finally:
            if up.process and up.process.poll() is None:
                up.stop()
            up.kill()
    return found


def _waits(up: Up, runs: int) -> Waits:
    """One webhook after the other, each once the run before is over; the first one warms up."""
    return Waits(tuple(_wait(up) for _ in range(runs + 1))[1:])


def _wait(up: Up) -> float:
    arrived = datetime.now(UTC)
    id = up.trigger(f"bench-{uuid.uuid4()}")
    row = up.runs(id)
    if row.started_at is None:
        raise RuntimeError(f"trigger {id} was not run: {row.reason}")
    up.until(lambda: not _under_way(up))
    return (row.started_at - arrived).total_seconds()


def _under_way(up: Up) -> list[dict[str, Any]]:
    states = {"flow_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING"]}}}}
    found: list[dict[str, Any]] = up.post("/flow_runs/filter", states)
    return found


@contextlib.contextmanager
def _prefects_worker(up: Up) -> Iterator[None]:
    """Prefect's worker in place of the warm one, which is held still meanwhile."""
    warm = up.part("worker")
    processes = [warm, *warm.children(recursive=True)]
    for process in processes:
        process.suspend()
    environment = {
        **up.beside(),
        "PREFECT_HOME": str(up.home / "prefect"),
        "PREFECT_LOGGING_LEVEL": "INFO",
    }
    worker = subprocess.Popen(
        [sys.executable, *PREFECTS], env=environment, cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        for process in processes:
            process.resume()


def main() -> None:
    """Prints the waits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    for worker, waits in measure(parser.parse_args().runs).items():
        print(
            f"webhook to first line, {worker}: median {waits.median:.1f} s, 95 % {waits.p95:.1f} s "
            f"({len(waits.seconds)} warm runs)"
        )


if __name__ == "__main__":
    main()
