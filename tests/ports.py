"""Ports that nobody listens on."""

from __future__ import annotations

import contextlib
import socket


def free_port() -> int:
    """A TCP port of this machine that was free a moment ago."""
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
