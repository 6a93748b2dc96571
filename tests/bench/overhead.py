"""What the platform adds to Prefect: a manager→specialist run against other flows of the same size.

All run offline, against one server, in turns:

- bare: as many subflows and tasks, which do nothing;
- loop: as many tasks in one flow, one after the other;
- calling: as the bare one, and its tasks make the run's tool calls, which ask the sample world's warehouse of
  tens of thousands of orders;
- durable: pydantic-ai's durable agent with the same turns and tools, in a process and an environment of its
  own; its tools answer at once.

Run it with `python -m tests.bench.overhead`.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from blocks.home import ROOT
from flows.cli import server
from tests.worlds import STRAIGHT, draw_world, write_config

ROUNDS = 21
DURABLE = "pydantic-ai-slim[prefect]==2.59.0"
"""The newest one that takes the Prefect of `requirements.lock`."""
_ENVIRONMENT = ROOT / ".aspora" / "bench" / "pydantic-ai"
_PROGRAM = Path(__file__).with_name("durable.py")

Work = Callable[[], Awaitable[Any]]


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
    async with _durable(subflows) as durable:
        flows: dict[str, Work] = {
            "bare": _bare(subflows),
            "loop": _loop(sum(map(len, subflows))),
            "calling": _bare(subflows, calls=True),
            "durable": durable,
            "run": ecm,
        }
        seconds: dict[str, list[float]] = {name: [] for name in flows}
        for number in range(rounds + 1):
            for name, flow in flows.items():
                taken = await _seconds(flow)
                if number:
                    seconds[name].append(taken)
    result: dict[str, Any] = {"subflows": len(subflows), "tasks": sum(map(len, subflows))}
    return result | {f"{name}_seconds": statistics.median(taken) for name, taken in seconds.items()}


async def _steps(execution_id: str) -> list[Any]:
    from tasks import journal
    from tasks.platform import opened

    async with opened() as platform:
        return await platform.database.read(lambda conn: journal.steps(conn, execution_id))


@asynccontextmanager
async def _durable(subflows: list[list[Any]]) -> AsyncIterator[Work]:
    """Runs pydantic-ai's flow once each time it is called."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([_turns(steps) for steps in subflows], file)
        file.flush()
        program = await asyncio.create_subprocess_exec(
            str(_python()), str(_PROGRAM), file.name,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip

        async def once() -> None:
            if program.stdin is None or program.stdout is None:
                raise RuntimeError("the durable agent has no pipes")
            program.stdin.write(b"\n")
            if not await program.stdout.readline():
                raise RuntimeError("the durable agent has ended")

        try:
            yield once
        finally:
            if program.stdin:
                program.stdin.close()
            await program.wait()


def _python() -> Path:
    """The interpreter of pydantic-ai's environment, which is made at first use."""
    python = _ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(_ENVIRONMENT, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", DURABLE]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return python


def _turns(steps: list[Any]) -> list[list[dict[str, Any]]]:
    """The calls of each turn."""
    turns: list[list[dict[str, Any]]] = []
    for step in steps:
        if step.kind == "model":
            turns.append([])
        else:
            turns[-1].append({"tool": step.name, "input": step.input, "output": step.output})
    return [calls for calls in turns if calls]


async def _seconds(work: Work) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


def _loop(tasks: int) -> Work:
    """A flow of so many tasks that do nothing."""
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE

    @task(persist_result=False, cache_policy=NO_CACHE)
    async def step() -> None:
        return None

    @flow(name="loop", persist_result=False)
    async def loop() -> None:
        for _ in range(tasks):
            await step()

    return loop


def _bare(subflows: list[list[Any]], calls: bool = False) -> Work:
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
    found = measure()
    for name, value in found.items():
        print(f"{name}: {value:.3g}")
    for name in ("bare", "loop", "calling", "durable"):
        print(f"ratio to {name}: {found['run_seconds'] / found[f'{name}_seconds']:.2f}")
