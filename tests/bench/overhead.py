"""What the platform adds to Prefect: a manager→specialist run against bare flows of the same shape.

All run offline, in one process, against one server, in turns: as many subflows and tasks, all async. The
tasks of the bare flow do nothing; those of the calling one make the run's tool calls, which ask the sample
world's warehouse of tens of thousands of orders. Run it with `python -m tests.bench.overhead`.
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
    """Median seconds of each, and the run's ratio to the others; at most 1.3 to the bare one is wanted."""
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
    subflows = [await _steps(each["execution_id"]) for each in report["executions"]]
    flows: dict[str, Callable[[], Awaitable[Any]]] = {
        "bare": _bare(subflows),
        "calling": _bare(subflows, calls=True),
        "run": ecm,
    }
    seconds: dict[str, list[float]] = {name: [] for name in flows}
    for number in range(rounds + 1):
        for name, flow in flows.items():
            taken = await _seconds(flow)
            if number:
                seconds[name].append(taken)
    result: dict[str, Any] = {"subflows": len(subflows), "tasks": sum(map(len, subflows))}
    result |= {f"{name}_seconds": statistics.median(taken) for name, taken in seconds.items()}
    result["ratio"] = result["run_seconds"] / result["bare_seconds"]
    result["ratio_with_calls"] = result["run_seconds"] / result["calling_seconds"]
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


def _bare(subflows: list[list[Any]], calls: bool = False) -> Callable[[], Awaitable[None]]:
    """A flow of as many subflows, one after the other, each of as many tasks, idle or with its tool calls."""
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE

    from tasks.platform import opened
    from tasks.skill import equipped

    @task(persist_result=False, cache_policy=NO_CACHE)
    async def step(subflow: int, number: int) -> None:
        done = subflows[subflow][number]
        if calls and done.kind == "tool":
            async with opened() as platform, equipped(platform, "ecm") as toolbox:
                await toolbox.call(done.name, done.input)

    @flow(name="bare-skill", persist_result=False)
    async def skill(subflow: int) -> None:
        for number in range(len(subflows[subflow])):
            await step(subflow, number)

    async def all_skills() -> None:
        for subflow in range(len(subflows)):
            await skill(subflow)

    @flow(name="bare", persist_result=False)
    async def bare() -> None:
        if not calls:
            return await all_skills()
        async with opened() as platform, equipped(platform, "ecm"):
            return await all_skills()

    return bare


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name}: {value:.3g}")
