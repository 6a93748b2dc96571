"""The supervisor keeps parts running, says what happens, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from flows import supervisor
from flows.supervisor import Kept, Part, PartFailed
from tests.ports import free_port

LIVES = "print('ready'); import time; time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + LIVES
PARENT = (
    "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    + LIVES
)
SERVES = (
    "import http.server, sys; print('serving'); "
    "s = http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler); "
    "s.serve_forever()"
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses."""
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(supervisor, "HEALTH_SECONDS", 0.2)


class World:
    """A part of this code, and what was said about it."""

    def __init__(self, folder: Path, code: str, *arguments: str, address: str = "") -> None:
        self.said: list[str] = []
        part = Part("part", (sys.executable, "-c", code, *arguments), address=address, says="ready")
        self.kept = Kept(part, folder, folder, self.said.append)

    @property
    def process(self) -> psutil.Process:
        """The part's process."""
        name = self.kept.part.command[2]
        return next(each for each in psutil.Process().children() if name in each.cmdline())

    async def until(self, text: str) -> None:
        """Waits until this was said."""
        async with asyncio.timeout(30):
            while not any(text in line for line in self.said):
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def kept_running(self) -> AsyncIterator[None]:
        """Started, and started again whenever it ends."""
        await self.kept.start()
        keeping = asyncio.create_task(self.kept.keep())
        try:
            yield
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping
            await self.kept.stop(1)


async def test_a_part_that_dies_at_start_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    world = World(tmp_path, "import sys; print('no such config'); sys.exit(2)")
    with pytest.raises(PartFailed, match=r"part ended with code 2\n(.*\n)*.*no such config"):
        await world.kept.start()


async def test_what_an_earlier_start_said_makes_no_part_ready(tmp_path: Path) -> None:
    (tmp_path / "part.log").write_text("ready\n")
    with pytest.raises(PartFailed):
        await World(tmp_path, "raise SystemExit(1)").kept.start()


async def test_a_killed_part_is_started_again_and_it_is_said(tmp_path: Path) -> None:
    world = World(tmp_path, LIVES)
    async with world.kept_running():
        first = world.process.pid
        os.kill(first, signal.SIGKILL)
        await world.until("is back")
        assert world.process.pid != first
    assert "was ended by SIGKILL" in world.said[0]
    assert str(world.kept.log) in world.said[0]


async def test_a_part_that_keeps_dying_is_started_again_after_longer_and_longer(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    once = (
        f"import pathlib, sys; p = pathlib.Path({str(mark)!r}); p.exists() and sys.exit(3); p.touch(); "
        + LIVES
    )
    world = World(tmp_path, once)
    async with world.kept_running():
        world.process.kill()
        await world.until("in 0.2 s")
    pauses = [line.split(" in ")[1].split(" s")[0] for line in world.said]
    assert pauses[:3] == ["0.05", "0.1", "0.2"]
    assert "ended with code 3" in world.said[1]


@pytest.mark.full
async def test_a_part_that_hangs_is_killed_and_started_again(tmp_path: Path) -> None:
    port = free_port()
    world = World(tmp_path, SERVES, str(port), address=f"http://127.0.0.1:{port}/")
    async with world.kept_running():
        first = world.process
        first.suspend()
        await world.until("is back")
        assert not first.is_running()
    assert "did not answer" in world.said[0]


@pytest.mark.full
async def test_a_part_that_does_not_end_is_killed_and_its_children_too(tmp_path: Path) -> None:
    for code in (STUBBORN, PARENT):
        world = World(tmp_path, code)
        await world.kept.start()
        processes = [world.process, *world.process.children(recursive=True)]
        await world.kept.stop(0.2)
        assert psutil.wait_procs(processes, timeout=10)[1] == []


async def test_a_log_that_has_grown_is_moved_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOG_BYTES", 10)
    (tmp_path / "part.log").write_text("what was said before\n")
    world = World(tmp_path, LIVES)
    await world.kept.start()
    await world.kept.stop(1)
    assert (tmp_path / "part.old.log").read_text() == "what was said before\n"
    assert (tmp_path / "part.log").read_text() == "ready\n"
