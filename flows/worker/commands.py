"""Commands of the command line, run in forks: a fork has imported what the command would import for seconds.

The command line hands over its arguments, its environment and its three streams, through a socket in the
state directory that is its owner's alone, and waits; `flows.cli.handover` is the other end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from blocks.home import home
from flows.cli.handover import GO, PASSED_ON, READY, SOCKET, surroundings
from flows.worker.forks import Fork, Forks

RECEIVE_SECONDS = 5.0
"""So long a command has to say what it is, and to go."""
MOST_BYTES = 4_000_000
"""Of arguments and environment."""
_STREAMS = 3
_HEAD = 4
"""Bytes that tell the length of what follows."""

_log = logging.getLogger(__name__)


class Command(BaseModel):
    """What was typed, where, and by whom."""

    surroundings: list[str]
    arguments: list[str]
    environment: dict[str, str]
    directory: str
    umask: int


async def serve(forks: Forks, imported_at: float) -> None:
    """Runs commands until it is cancelled; without a place for the socket, none.

    Args:
        imported_at: seconds since the epoch before which all modules were read.
    """
    path = home() / SOCKET
    try:
        listener = _listen(path, imported_at)
    except OSError as error:
        _log.warning("commands are not taken over: %s: %s", path, error)
        return
    under_way: set[asyncio.Task[None]] = set()
    with listener:
        while True:
            client, _ = await asyncio.get_running_loop().sock_accept(listener)
            task = asyncio.create_task(_serve(client, forks))
            under_way.add(task)
            task.add_done_callback(under_way.discard)


def _listen(path: Path, imported_at: float) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(stat.S_IRWXG | stat.S_IRWXO)
    try:
        listener.bind(str(path))
        os.utime(path, (imported_at, imported_at))
        listener.listen()
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


async def _serve(client: socket.socket, forks: Forks) -> None:
    """Runs one command, and tells its exit code."""
    with client, contextlib.suppress(OSError, ValueError, EOFError):
        head, streams, *_ = await asyncio.to_thread(_begin, client)
        with _closing(streams):
            command = await asyncio.to_thread(_receive, client, head, len(streams))
            fork = await forks.command(
                command.arguments, command.environment, command.directory, command.umask, streams
            )
        client.setblocking(False)
        code = await _until_ended(fork, client)
        await asyncio.get_running_loop().sock_sendall(client, b"%d\n" % code)


@contextmanager
def _closing(streams: list[int]) -> Iterator[None]:
    try:
        yield
    finally:
        for stream in streams:
            os.close(stream)


async def _until_ended(fork: Fork, client: socket.socket) -> int:
    """The exit code. Who waits for it passes signals on; when they are gone, the fork is ended."""
    ended = asyncio.create_task(fork.wait())
    gone = asyncio.create_task(_pass_signals_on(client, fork))
    try:
        await asyncio.wait({ended, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            await fork.kill()
        return int(await ended or 0)
    finally:
        gone.cancel()
        if not ended.done():
            await fork.kill()


async def _pass_signals_on(client: socket.socket, fork: Fork) -> None:
    """Until the client is gone; each byte is a signal."""
    with contextlib.suppress(OSError):
        while numbers := await asyncio.get_running_loop().sock_recv(client, 64):
            for number in numbers:
                if number in PASSED_ON:
                    fork.signal(number)


def _begin(client: socket.socket) -> tuple[bytes, list[int], int, object]:
    client.settimeout(RECEIVE_SECONDS)
    return socket.recv_fds(client, _HEAD, _STREAMS)


def _receive(client: socket.socket, head: bytes, streams: int) -> Command:
    """What a command says of itself, once it has been told that the worker is ready and has said go.

    Raises:
        OSError: it did not say it in time.
        ValueError: what it said can't be read, it would do something else here, or nobody waits for it.
    """
    length = int.from_bytes(head, "big")
    if len(head) < _HEAD or streams < _STREAMS or length > MOST_BYTES:
        raise ValueError("no command")
    command = Command.model_validate_json(_read(client, length))
    if command.surroundings != surroundings() or not os.access(command.directory, os.X_OK):
        raise ValueError("a command of other surroundings")
    client.sendall(READY)
    if _read(client, len(GO)) != GO:
        raise ValueError("nobody waits for it")
    return command


def _read(client: socket.socket, length: int) -> bytes:
    """So many bytes; fewer if the other end is gone."""
    found = b""
    while len(found) < length and (more := client.recv(length - len(found))):
        found += more
    return found
