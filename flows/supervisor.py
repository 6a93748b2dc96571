"""Keeps the parts of `aspora up` running: started, watched, started again when they end, stopped together.

Each part is a process with a session of its own, so that Ctrl-C reaches it through the supervisor alone. The
supervisor is its parent, and a part ends by itself when its parent is gone. Process managers such as
supervisord or circus leave their processes behind when they are killed, and know neither "ready" nor "hangs".
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 120.0
"""A part that is not ready by then is given up."""
STOP_SECONDS = 20.0
"""A part that has not ended by then is killed."""
LOOK_SECONDS = 0.1
HEALTH_SECONDS = 5.0
HANGS_AFTER = 6
"""So many looks without an answer, and a part is killed and started again."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
"""Pauses before a part is started again: each is twice the one before."""
SETTLED_SECONDS = 60.0
"""A part that lived so long has no failed starts behind it."""
LOG_BYTES = 20_000_000
"""A log that has grown beyond is moved aside; the one that was aside is deleted."""
LAST_LINES = 15


class PartFailed(Exception):
    """A part did not start. The message has its last lines."""


@dataclass(frozen=True)
class Part:
    """What is to be kept running.

    Attributes:
        address: a URL that answers 200 while the part works.
        says: what its log says once it works, if it has no address.
        environment: variables besides this process's own.
    """

    name: str
    command: tuple[str, ...]
    address: str = ""
    says: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


class Kept:
    """One part, kept running.

    Args:
        directory: where the part runs.
        logs: the folder of its log.
        tell: says a line to people.
    """

    def __init__(self, part: Part, directory: Path, logs: Path, tell: Callable[[str], None]) -> None:
        self.part = part
        self.log = logs / f"{part.name}.log"
        self._directory = directory
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None
        self._from = 0

    async def start(self) -> None:
        """Starts the part, and returns once it is ready.

        Raises:
            PartFailed: it ended, or was not ready in time.
        """
        self._set_aside()
        self._from = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.part.command,
                cwd=self._directory,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.part.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not await self._is_ready():
            if self._process.returncode is not None:
                raise PartFailed(f"{self.part.name} {self._ended()}\n{self._last_lines()}")
            if time.monotonic() > deadline:
                await self.stop(0)
                raise PartFailed(
                    f"{self.part.name} was not ready within {START_SECONDS:g} s\n{self._last_lines()}"
                )
            await asyncio.sleep(LOOK_SECONDS)

    async def keep(self) -> None:
        """Starts the part again whenever it ends or hangs, until cancelled."""
        pause = FIRST_PAUSE
        while True:
            since = time.monotonic()
            why = await self._until_it_ends()
            if time.monotonic() - since > SETTLED_SECONDS:
                pause = FIRST_PAUSE
            self._tell(f"{self.part.name} {why}; starting it again in {pause:g} s (log: {self.log})")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                await self.start()
            except PartFailed:
                continue
            self._tell(f"{self.part.name} is back")

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Asks the part to end, and kills it when it has not after `seconds`."""
        process = self._process
        if process is None:
            return
        if process.returncode is None and seconds:
            process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def _until_it_ends(self) -> str:
        """Why the part is to be started again."""
        if self._process is None or self._process.returncode is not None:
            return self._ended()
        silent = 0
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), HEALTH_SECONDS)
                return self._ended()
            self._set_aside()
            silent = 0 if await self._is_healthy() else silent + 1
            if silent >= HANGS_AFTER:
                await self.stop(0)
                return f"did not answer for {silent * HEALTH_SECONDS:g} s and was killed"

    async def _is_ready(self) -> bool:
        if self.part.address:
            return await asyncio.to_thread(answers, self.part.address)
        return self.part.says in self._said()

    async def _is_healthy(self) -> bool:
        return not self.part.address or await self._is_ready()

    def _said(self) -> str:
        """What the log says since the part was started; all of it, once it was moved aside."""
        with self.log.open("rb") as log:
            log.seek(self._from)
            return log.read().decode(errors="replace")

    def _last_lines(self) -> str:
        lines = self._said().rstrip().splitlines()[-LAST_LINES:]
        return "\n".join(
            ["its last lines were:", *(f"  {line}" for line in lines), f"all of them: {self.log}"]
        )

    def _ended(self) -> str:
        code = self._process.returncode if self._process else None
        if code is not None and code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with code {code}"

    def _set_aside(self) -> None:
        """Copies a large log and empties it; the part goes on appending."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            shutil.copyfile(self.log, self.log.with_suffix(".old.log"))
            os.truncate(self.log, 0)
            self._from = 0


def answers(url: str) -> bool:
    """Whether a URL answers 200 within a few seconds."""
    try:
        with urllib.request.urlopen(url, timeout=HEALTH_SECONDS) as answer:  # noqa: S310 - our own addresses
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False
