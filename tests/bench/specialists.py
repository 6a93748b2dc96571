"""Many specialists at once: subflows with gather on the Prefect server of `aspora up`, and on Prefect's own.

`python -m tests.bench.specialists [--database URL]` adds Prefect's own server on that database, such as
`postgresql+asyncpg://…`. Each server has a new home; the best of a few rounds counts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from blocks.home import ROOT
from flows.cli.up import SERVER_SETTINGS
from flows.supervisor import answers
from tests.ports import free_port

SPECIALISTS = 25
ROUNDS = 3
START_SECONDS = 120.0
OURS = ("-m", "flows.cli.server")
PREFECTS = ("-m", "prefect", "server", "start", "--port")


def measure(database: str = "") -> dict[str, float]:
    """Seconds for all specialists, by server."""
    found = {
        "aspora up, SQLite": _seconds(OURS, SERVER_SETTINGS),
        "Prefect's server, SQLite": _seconds(PREFECTS),
    }
    if database:
        settings = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database}
        found["Prefect's server, given database"] = _seconds(PREFECTS, settings)
    return found


def _seconds(server: tuple[str, ...], settings: dict[str, str] | None = None) -> float:
    with tempfile.TemporaryDirectory() as home, _running(server, settings or {}, home) as environment:
        rounds = 1 if server == PREFECTS and not settings else ROUNDS
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.specialists", "--rounds", str(rounds)],
            env=environment, cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    return min(float(line) for line in done.stdout.split())


@contextmanager
def _running(server: tuple[str, ...], settings: dict[str, str], home: str) -> Iterator[dict[str, str]]:
    """A server; the environment of its clients."""
    port = str(free_port())
    environment = {
        **os.environ,
        "ASPORA_HOME": home,
        "PREFECT_HOME": home,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
    }
    parent = (str(os.getpid()),) if server == OURS else ()
    process = subprocess.Popen(
        [sys.executable, *server, port, *parent], env=environment | settings, cwd=ROOT,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(f"{environment['PREFECT_API_URL']}/health"):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError("the Prefect server did not start")
            time.sleep(0.1)
        yield environment
    finally:
        process.terminate()
        process.wait()


async def _gather(rounds: int) -> None:
    """Prints the seconds of each round, after one that warms up."""
    from prefect import flow

    @flow(name="specialist", persist_result=False)
    async def specialist(number: int) -> None: ...

    @flow(name="manager", persist_result=False)
    async def manager(count: int) -> float:
        started = time.perf_counter()
        await asyncio.gather(*(specialist(number) for number in range(count)))
        return time.perf_counter() - started

    await manager(2)
    for _ in range(rounds):
        print(await manager(SPECIALISTS))


def main() -> None:
    """Prints the measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", default="")
    parser.add_argument("--rounds", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.rounds:
        asyncio.run(_gather(given.rounds))
        return
    for server, seconds in measure(given.database).items():
        print(f"{SPECIALISTS} specialists at once, {server}: {seconds:.1f} s")


if __name__ == "__main__":
    main()
