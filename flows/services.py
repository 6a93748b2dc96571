"""The background services, `python -m flows.services`: what the platform does by itself, in rounds."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from blocks import secrets, telemetry
from blocks.database import DatabaseError
from flows import approving
from flows.orchestrator import dispatch
from flows.orchestrator.events import Server
from tasks import archive, delivery, digest, outbox, spend
from tasks.platform import Platform, opened

PARENT_SECONDS = 1.0
"""How often it is looked whether the process that started this one still lives."""

_log = logging.getLogger("aspora.services")


@dataclass(frozen=True)
class Round:
    """Work that is done again and again.

    Attributes:
        seconds: from the end of one time to the start of the next.
    """

    name: str
    seconds: float
    work: Callable[[], Awaitable[object]]


def rounds(platform: Platform, server: Server) -> tuple[Round, ...]:
    """All that the platform does by itself."""

    async def leases() -> None:
        await platform.database.write(spend.lapse)
        await dispatch.recover(platform)

    async def prune() -> None:
        await platform.database.write(lambda conn: outbox.prune(conn, list(telemetry.configured())))

    return (
        Round("dispatch", 0.2, lambda: dispatch.dispatch(platform, server)),
        Round("delivery", 0.5, lambda: delivery.deliver(platform)),
        Round("approvals", 2.0, lambda: approving.look_after(platform)),
        Round("leases", 10.0, leases),
        Round("digest", 60.0, lambda: digest.send(platform)),
        Round("secrets", 60.0, lambda: asyncio.to_thread(secrets.load)),
        Round("telemetry", 3600.0, prune),
        Round("archive", 3600.0, lambda: archive.move(platform)),
    )


async def keep_on(each: Round, stopping: asyncio.Event) -> None:
    """Does a round until told to stop. If it fails it is done again; each kind of fault is logged once."""
    told: set[str] = set()
    while not stopping.is_set():
        try:
            await each.work()
            if told:
                _log.warning("%s works again", each.name)
            told.clear()
        except Exception as error:
            fault = f"{type(error).__name__}: {error}"
            if fault not in told:
                _log.warning("%s failed and is tried again: %s", each.name, fault, exc_info=_traced(error))
            told.add(fault)
        await _either(stopping, each.seconds)


async def serve(listed: Sequence[Round], stopping: asyncio.Event) -> None:
    """Does all rounds side by side until told to stop; those under way come to their end."""
    async with asyncio.TaskGroup() as group:
        for each in listed:
            group.create_task(keep_on(each, stopping), name=each.name)


async def run() -> None:
    """Does all rounds until SIGTERM or Ctrl-C, or until the process that started this one is gone."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    parent = follow_parent(stopping)
    async with opened() as platform, Server() as server:
        sys.stderr.write("services are running\n")
        await serve((*rounds(platform, server), parent), stopping)


def follow_parent(stopping: asyncio.Event) -> Round:
    """Stops all once the process that started this one is gone."""
    parent = os.getppid()

    async def look() -> None:
        if os.getppid() != parent:
            stopping.set()

    return Round("parent", PARENT_SECONDS, look)


async def _either(stopping: asyncio.Event, seconds: float) -> None:
    """Returns after that time, or as soon as told to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return


def _traced(error: Exception) -> bool:
    """Whether the fault is one of the program, and not of its surroundings."""
    return not isinstance(error, DatabaseError | OSError)


def main() -> None:
    """Runs the background services."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s services %(levelname)s %(message)s")
    asyncio.run(run())


if __name__ == "__main__":
    main()
