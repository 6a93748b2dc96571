"""A load balancer on the loopback: connections go to the replicas in turn, past those that don't listen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from tests.listener import CHUNK, Listener


class Balancer(Listener):
    """Passes bytes between clients and replicas.

    Attributes:
        served: port of a replica → connections that it was given.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self.served = dict.fromkeys(ports, 0)
        self._turn = 0
        super().__init__()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            try:
                there, back = await self._connect()
            except OSError:
                writer.transport.abort()
                raise
            try:
                await asyncio.gather(_pass(reader, back), _pass(there, writer))
            finally:
                for each in (writer, back):
                    each.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        ports = [*self.served]
        self._turn += 1
        for place in range(len(ports)):
            port = ports[(self._turn + place) % len(ports)]
            with contextlib.suppress(OSError):
                streams = await asyncio.open_connection("127.0.0.1", port)
                self.served[port] += 1
                return streams
        raise ConnectionRefusedError


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
