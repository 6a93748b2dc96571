"""The ports that `aspora up` listens on, on the loopback interface."""

from __future__ import annotations

import contextlib
import os
import socket
import time

from flows.cli.errors import Usage

HOST = "127.0.0.1"
LOOK_SECONDS = 0.2


def port_of(variable: str, default: int) -> int:
    """The port that an environment variable names.

    Raises:
        Usage: it is none.
    """
    given = os.environ.get(variable) or str(default)
    if not given.isdecimal() or not 0 < int(given) < 65536:
        raise Usage(f"{variable} is {given!r}; write a port number, such as {default}")
    return int(given)


def free_port(variable: str, default: int, seconds: float) -> int:
    """The port that an environment variable names, once nobody listens on it.

    Raises:
        Usage: somebody still does after `seconds`.
    """
    port, deadline = port_of(variable, default), time.monotonic() + seconds
    while error := _taken(port):
        if time.monotonic() >= deadline:
            raise Usage(
                f"port {port} of {HOST} can't be had ({error.strerror}); end what uses it, or set {variable} "
                "to another"
            )
        time.sleep(LOOK_SECONDS)
    return port


def _taken(port: int) -> OSError | None:
    with contextlib.closing(socket.socket()) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, port))
        except OSError as error:
            return error
    return None
