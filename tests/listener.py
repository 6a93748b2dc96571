"""A server on a free port of the loopback, on an event loop in a thread of its own."""

from __future__ import annotations

import abc
import asyncio
import threading
from typing import Any

from tests.ports import free_port

CHUNK = 65536
"""Bytes that are passed on at a time."""


class Listener(abc.ABC):
    """Listens from its making until `close`."""

    def __init__(self) -> None:
        self._port = free_port()
        self._server: asyncio.Server
        self._under_way: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait()

    def close(self) -> None:
        """Ends it."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @abc.abstractmethod
    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves a connection to its end."""

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._hold, "127.0.0.1", self._port)

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Of a connection that the client has half closed, nothing else refers to the task."""
        task = asyncio.current_task()
        assert task
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await self._accept(reader, writer)

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(self._listen())
        ready.set()
        self._loop.run_forever()
