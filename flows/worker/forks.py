"""The fork server, and the processes that it makes."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import reduction
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from flows.worker import child
from tasks import lease

_one_at_a_time = threading.Lock()
"""A start looks after processes that have ended, and of two that look at once one sees a wrong exit code."""


class Fork:
    """A run's process. It leads a process group of its own.

    Attributes:
        name: tells the process apart from all others, `tasks.lease.is_gone` knows whether it lives.
    """

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self._over = asyncio.Event()
        asyncio.get_running_loop().add_reader(process.sentinel, self._end)
        self._pid = process.pid or 0
        self.name = lease.process(self._pid)

    async def wait(self, seconds: float | None = None) -> int | None:
        """The exit code once the process has ended; None if it has not after `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)
        return self._process.exitcode if self._over.is_set() else None

    async def kill(self) -> None:
        """Ends the process and its group at once."""
        self._signal_all(signal.SIGKILL)
        await self.wait()

    def signal(self, number: int) -> None:
        """As a terminal does: what stops the process, and lets it go on, is for its whole group."""
        if number in (signal.SIGTSTP, signal.SIGCONT):
            self._signal_all(signal.SIGSTOP if number == signal.SIGTSTP else signal.SIGCONT)
        elif not self._over.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def _signal_all(self, number: int) -> None:
        if self._pid and not self._over.is_set():
            with contextlib.suppress(ProcessLookupError):
                send = os.killpg if os.getpgid(self._pid) == self._pid else os.kill
                send(self._pid, number)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        with _one_at_a_time:
            self._process.join()
        self._over.set()


class Streams:
    """File descriptors on their way to a fork, which gets a list of its own."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = numbers

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, ([reduction.DupFd(number) for number in self._numbers],)


def _arrived(sent: list[Any]) -> list[int]:
    return [each.detach() for each in sent]


def _start(process: ForkServerProcess) -> None:
    with _one_at_a_time:
        process.start()


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

    async def command(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        directory: str,
        umask: int,
        streams: Sequence[int],
    ) -> Fork:
        """A process that runs a command of `aspora`, with these file descriptors as its standard streams."""
        given = (list(arguments), dict(environment), directory, umask, Streams(streams))
        return await self._start(self._context.Process(target=child.command, args=given))

    @staticmethod
    async def _start(process: ForkServerProcess) -> Fork:
        await asyncio.to_thread(_start, process)
        return Fork(process)
