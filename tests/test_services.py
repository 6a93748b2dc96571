"""The background services: rounds that go on whatever happens, and an end when told or left alone."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blocks.home import ROOT
from flows.services import Round, serve
from tests.worlds import STRAIGHT, write_config


async def until(done: asyncio.Event, *rounds: Round) -> None:
    """Does the rounds until the event."""
    async with asyncio.timeout(20):
        await serve(rounds, done)


async def test_a_round_that_fails_is_told_once_for_each_kind_and_done_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Another round does not notice."""
    done, calls, others = asyncio.Event(), list[int](), list[int]()

    async def fails() -> None:
        calls.append(1)
        if len(calls) < 6:
            raise OSError("no route" if len(calls) % 2 else "no answer")
        if len(calls) == 8:
            done.set()

    async def other() -> None:
        others.append(1)

    with caplog.at_level(logging.WARNING):
        await until(done, Round("first", 0.001, fails), Round("second", 0.001, other))
    assert [record.getMessage() for record in caplog.records] == [
        "first failed and is tried again: OSError: no route",
        "first failed and is tried again: OSError: no answer",
        "first works again",
    ]
    assert others


async def test_a_round_never_overtakes_itself_and_ends_what_it_began() -> None:
    done, under_way, ended = asyncio.Event(), 0, 0

    async def slow() -> None:
        nonlocal under_way, ended
        under_way += 1
        assert under_way == 1
        if ended == 3:
            done.set()
        await asyncio.sleep(0.02)
        under_way -= 1
        ended += 1

    await until(done, Round("slow", 0.0, slow))
    assert (under_way, ended) == (0, 4)


async def test_told_to_stop_it_does_not_sit_out_its_pause() -> None:
    done = asyncio.Event()

    async def once() -> None:
        done.set()

    await until(done, Round("rare", 3_600, once))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("PREFECT_", "ASPORA_"))}
    return {
        **kept,
        "ASPORA_HOME": str(tmp_path / "home"),
        "ASPORA_CONFIG": str(write_config(tmp_path / "aspora.config.yaml", STRAIGHT)),
        "PREFECT_HOME": str(tmp_path / "prefect"),
    }


def opened(environment: dict[str, str]) -> bool:
    """Whether the services have opened their record."""
    return (Path(environment["ASPORA_HOME"]) / "aspora.db").exists()


def waits(for_: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not for_() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.1)
    assert for_()  # type: ignore[operator]


@pytest.mark.full
def test_the_process_ends_cleanly_when_told(environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.services"], env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        waits(lambda: opened(environment))
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, said) == (0, "services are running\n")


@pytest.mark.full
def test_the_process_ends_when_its_parent_is_gone(environment: dict[str, str], tmp_path: Path) -> None:
    """Killed, the parent can tell nobody."""
    script = (
        "import subprocess, sys, time; "
        f"child = subprocess.Popen([sys.executable, '-m', 'flows.services'], cwd={str(ROOT)!r}); "
        f"open({str(tmp_path / 'pid')!r}, 'w').write(f'{{child.pid}}\\n'); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], env=environment)
    try:
        waits(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
        pid = int((tmp_path / "pid").read_text())
        waits(lambda: opened(environment))
    finally:
        parent.kill()
        parent.wait()
    waits(lambda: not Path(f"/proc/{pid}").exists())
