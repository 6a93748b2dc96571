"""A relay on the loopback between the platform and one of its neighbours, whose connections can fail."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Literal
from urllib.parse import urlsplit

from tests.listener import CHUNK, Listener

Mode = Literal["open", "refusing", "cutting", "hanging"]


class Wire(Listener):
    """Passes bytes to the server at `target` and back.

    `refusing` ends all connections and listens no more, `cutting` ends each as soon as an answer begins,
    `hanging` lets no byte through until it is over.
    """

    def __init__(self, target: str) -> None:
        address = urlsplit(target)
        self._target = (str(address.hostname), int(address.port or 80))
        self._mode: Mode = "open"
        self._open: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self.cut = 0
        """Connections that it ended."""
        super().__init__()
        self.url = f"http://127.0.0.1:{self._port}{address.path}"

    def set(self, mode: Mode) -> None:
        """From now on it behaves so."""
        asyncio.run_coroutine_threadsafe(self._change(mode), self._loop).result(10)

    def close(self) -> None:
        """Ends it."""
        self.set("refusing")
        super().close()

    async def _change(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "hanging":
            self._flows.clear()
        else:
            self._flows.set()
        if mode == "refusing":
            self._server.close()
            self.cut += len(self._open) // 2
            for writer in [*self._open]:
                writer.transport.abort()
        elif not self._server.is_serving():
            self._server = await self._listen()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection(*self._target)
            self._open |= {writer, back}
            try:
                await asyncio.gather(self._pass(reader, back, False), self._pass(there, writer, True))
            finally:
                self._open -= {writer, back}
                for each in (writer, back):
                    each.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bool) -> None:
        while chunk := await reader.read(CHUNK):
            await self._flows.wait()
            if answer and self._mode == "cutting":
                self.cut += 1
                break
            writer.write(chunk)
            await writer.drain()
        if answer:
            writer.close()
        elif writer.can_write_eof():
            writer.write_eof()
        if answer and self._mode == "cutting":
            raise ConnectionAbortedError
