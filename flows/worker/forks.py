"""The fork server, and the processes that it makes."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from flows.worker import child
from tasks import lease


class Fork:
    """A run's process. It leads a process group of its own.

    Attributes:
        name: tells the process apart from all others, `tasks.lease.is_gone` knows whether it lives.
    """

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self._over = asyncio.Event()
        asyncio.get_running_loop().add_reader(process.sentinel, self._end)
        self.name = lease.process(process.pid or 0)

    async def wait(self, seconds: float | None = None) -> int | None:
        """The exit code once the process has ended; None if it has not after `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)
        return self._process.exitcode if self._over.is_set() else None

    async def kill(self) -> None:
        """Ends the process and its group at once."""
        pid = self._process.pid
        if pid and not self._over.is_set():
            with contextlib.suppress(ProcessLookupError):
                end = os.killpg if os.getpgid(pid) == pid else os.kill
                end(pid, signal.SIGKILL)
        await self.wait()

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._process.join()
        self._over.set()


class Forks:
    """The fork server. It ends with this process and with the last of its forks."""

    def __init__(self) -> None:
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["flows.worker.preload"])

    async def warm_up(self) -> None:
        """Returns once the fork server has imported what runs need."""
        await (await self._start(self._context.Process(target=child.ready))).wait()

    async def start(self, flow_run_id: str, environment: Mapping[str, str | None], directory: Path) -> Fork:
        """A process that runs this flow run."""
        arguments = (flow_run_id, dict(environment), str(directory))
        return await self._start(self._context.Process(target=child.execute, args=arguments))

    @staticmethod
    async def _start(process: ForkServerProcess) -> Fork:
        await asyncio.to_thread(process.start)
        return Fork(process)
