"""Commands of the command line, run in forks: a fork has imported what the command would import for seconds.

The command line hands over its arguments, its environment and its three streams, through a socket in the
state directory that is its owner's alone, and waits; `flows.cli.handover` is the other end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from blocks.home import ROOT, home
from flows.cli.handover import SOCKET
from flows.worker.forks import Fork, Forks

RECEIVE_SECONDS = 5.0
"""So long a command has to say what it is."""
MOST_BYTES = 4_000_000
"""Of arguments and environment."""
_STREAMS = 3
_HEAD = 4
"""Bytes that tell the length of what follows."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Command:
    """What was typed, where, and the streams of who typed it: input, output, errors."""

    arguments: list[str]
    environment: dict[str, str]
    directory: str
    streams: list[int]


async def serve(forks: Forks) -> None:
    """Runs commands until it is cancelled; without a place for the socket, none."""
    path = home() / SOCKET
    try:
        listener = _listen(path)
    except OSError as error:
        _log.warning("commands are not taken over: %s: %s", path, error)
        return
    under_way: set[asyncio.Task[None]] = set()
    try:
        while True:
            client, _ = await asyncio.get_running_loop().sock_accept(listener)
            task = asyncio.create_task(_serve(client, forks))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
    finally:
        listener.close()
        path.unlink(missing_ok=True)


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(stat.S_IRWXG | stat.S_IRWXO)
    try:
        listener.bind(str(path))
        listener.listen()
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


async def _serve(client: socket.socket, forks: Forks) -> None:
    """Runs one command; tells the number of its process, and then its exit code."""
    loop = asyncio.get_running_loop()
    with client, contextlib.suppress(OSError, ValueError):
        command = await asyncio.to_thread(_receive, client)
        client.setblocking(False)
        try:
            fork = await forks.command(
                command.arguments, command.environment, command.directory, command.streams
            )
        finally:
            for stream in command.streams:
                os.close(stream)
        await loop.sock_sendall(client, b"%d\n" % fork.pid)
        code = await _until_ended(fork, client)
        await loop.sock_sendall(client, b"%d\n" % code)


async def _until_ended(fork: Fork, client: socket.socket) -> int:
    """The exit code. Who waits for it says nothing; when they are gone, the fork is ended."""
    ended = asyncio.create_task(fork.wait())
    gone = asyncio.create_task(asyncio.get_running_loop().sock_recv(client, 1))
    try:
        await asyncio.wait({ended, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            await fork.kill()
        return int(await ended or 0)
    finally:
        gone.cancel()
        if not ended.done():
            await fork.kill()


def _receive(client: socket.socket) -> Command:
    """What a command says of itself.

    Raises:
        OSError: it did not say it in time.
        ValueError: what it said can't be read, or it is of another checkout.
    """
    client.settimeout(RECEIVE_SECONDS)
    head, streams, *_ = socket.recv_fds(client, _HEAD, _STREAMS)
    try:
        return _read(client, head, streams)
    except Exception:
        for stream in streams:
            os.close(stream)
        raise


def _read(client: socket.socket, head: bytes, streams: list[int]) -> Command:
    length = int.from_bytes(head, "big")
    if len(head) < _HEAD or len(streams) < _STREAMS or length > MOST_BYTES:
        raise ValueError("no command")
    with client.makefile("rb") as file:
        said = json.loads(file.read(length))
    if said["code"] != str(ROOT):
        raise ValueError("a command of another checkout")
    return Command(said["arguments"], said["environment"], said["directory"], streams)
