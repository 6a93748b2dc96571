"""The forwarder, `python -m flows.forwarder`: tells Langfuse and Opik what ended, in a process of its own.

So no run ever waits for either, whatever they do: runs write rows of the record, and this process reads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from functools import partial

from blocks import secrets, telemetry
from blocks.telemetry import Settings
from flows.services import Round, follow_parent, serve
from tasks.forwarding import Courier
from tasks.platform import Platform, opened

SECONDS = 1.0
"""How often it is looked for something new."""
SECRETS_SECONDS = 60.0


class Forwarder:
    """The couriers of all destinations that are set up, made anew when their settings change."""

    def __init__(self, platform: Platform, stopping: asyncio.Event) -> None:
        self._platform = platform
        self._stopping = stopping
        self._couriers: dict[str, tuple[Settings, Courier]] = {}

    async def carry(self, name: str) -> None:
        """Tells one destination of all that is due, if it is set up; left at once when told to stop."""
        settings = telemetry.configured().get(name)
        if settings is None:
            return
        courier = await self._courier(settings)
        work = asyncio.create_task(courier.carry())
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            for task in (work, stopped):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def close(self) -> None:
        """Closes all connections."""
        for _, courier in self._couriers.values():
            await courier.close()

    async def _courier(self, settings: Settings) -> Courier:
        known = self._couriers.get(settings.name)
        if known and known[0] == settings:
            return known[1]
        if known:
            await known[1].close()
        destination = await asyncio.to_thread(telemetry.destination, settings)
        courier = Courier(self._platform, settings, destination)
        self._couriers[settings.name] = (settings, courier)
        return courier


async def run() -> None:
    """Forwards until SIGTERM or Ctrl-C, or until the process that started this one is gone."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    parent = follow_parent(stopping)
    reload = Round("secrets", SECRETS_SECONDS, lambda: asyncio.to_thread(secrets.load))
    await reload.work()
    async with opened() as platform:
        forwarder = Forwarder(platform, stopping)
        rounds = [Round(name, SECONDS, partial(forwarder.carry, name)) for name in telemetry.NAMES]
        sys.stderr.write("forwarder is running\n")
        try:
            await serve([*rounds, reload, parent], stopping)
        finally:
            await forwarder.close()


def main() -> None:
    """Runs the forwarder."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s forwarder %(levelname)s %(message)s")
    asyncio.run(run())


if __name__ == "__main__":
    main()
