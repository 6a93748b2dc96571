"""Ports that nobody listens on, now and when the server that has one was killed and is started again."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections.abc import Iterator

RANGE = range(20_000, 32_000)
"""Below those that Linux and macOS give to outgoing connections."""
WORKERS = 16
"""So many of pytest's workers have ports of their own."""


def free_port() -> int:
    """A TCP port of the loopback that is free, and that no other test gets."""
    for port in _PORTS:
        with contextlib.closing(socket.socket()) as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")


def _ports() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
    own = RANGE[worker::WORKERS]
    yield from random.sample(own, len(own))


_PORTS = _ports()
