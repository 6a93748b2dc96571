"""What the platform adds to Prefect: a manager→specialist run against a bare flow of the same shape.

Both run offline, in one process, against one server: as many subflows and tasks, all async. Run it with
`python -m tests.bench.overhead`.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from flows.cli import server
from tests.worlds import STRAIGHT, draw_world, write_config

ROUNDS = 7


def measure(rounds: int = ROUNDS) -> dict[str, Any]:
    """Median seconds of both, and their ratio; at most 1.3 is wanted."""
    with tempfile.TemporaryDirectory() as directory:
        _prepare(Path(directory))
        temporary = server.TemporaryServer()
        os.environ["PREFECT_API_URL"] = temporary.url
        try:
            temporary.wait()
            return asyncio.run(_compare(rounds))
        finally:
            temporary.stop()


def _prepare(directory: Path) -> None:
    home = directory / "home"
    draw_world(home)
    os.environ["ASPORA_HOME"] = str(home)
    os.environ["ASPORA_CONFIG"] = str(
        write_config(directory / "aspora.config.yaml", STRAIGHT, rate_limit=None)
    )
    os.environ["PREFECT_HOME"] = str(directory / "prefect")
    server.prepare()


async def _compare(rounds: int) -> dict[str, Any]:
    from flows.ecm.flow import ecm

    report = await ecm()
    subflows = [len(await _steps(each["execution_id"])) for each in report["executions"]]
    bare = _bare(subflows)
    await bare()
    ours, bares = [], []
    for _ in range(rounds):
        bares.append(await _seconds(bare))
        ours.append(await _seconds(ecm))
    result = {"subflows": len(subflows), "tasks": sum(subflows), "bare_seconds": statistics.median(bares)}
    result["run_seconds"] = statistics.median(ours)
    result["ratio"] = result["run_seconds"] / result["bare_seconds"]
    return result


async def _steps(execution_id: str) -> list[Any]:
    from tasks import journal
    from tasks.platform import opened

    async with opened() as platform:
        return await platform.database.read(lambda conn: journal.steps(conn, execution_id))


async def _seconds(work: Callable[[], Awaitable[Any]]) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


def _bare(subflows: list[int]) -> Callable[[], Awaitable[None]]:
    """A flow of as many subflows, one after the other, each of as many tasks."""
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE

    @task(persist_result=False, cache_policy=NO_CACHE)
    async def step() -> None: ...

    @flow(name="bare-skill", persist_result=False)
    async def skill(tasks: int) -> None:
        for _ in range(tasks):
            await step()

    @flow(name="bare", persist_result=False)
    async def bare() -> None:
        for tasks in subflows:
            await skill(tasks)

    return bare


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name}: {value:.3g}")
