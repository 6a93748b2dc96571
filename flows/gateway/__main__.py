"""`python -m flows.gateway`: serves until SIGTERM, or until the process that started it is gone."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from types import FrameType

import uvicorn

from blocks import secrets
from blocks.config_file import ConfigError
from blocks.database import DatabaseError
from blocks.model import ModelError
from flows.gateway.app import create_app
from tasks.platform import open_now

HOST = "127.0.0.1"
"""Where it listens unless ASPORA_GATEWAY_HOST says otherwise, as a container's must."""
PORT = 8321
STOP_SECONDS = 30
"""How long requests under way may take once it is told to stop."""
WATCH_SECONDS = 0.5
SWITCH_SECONDS = 0.0005
"""How long the thread that stores may keep the one that answers from running. At Python's 5 ms, each system
call of an answer may wait so long while something is stored."""


class Server(uvicorn.Server):
    """Uvicorn that ends with its parent process and with exit code 0 when it is told to stop."""

    def __init__(self, config: uvicorn.Config, parent: int) -> None:
        super().__init__(config)
        self._parent = parent

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Answers what was accepted, then ends."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves, and says where."""
        await super().startup(sockets)
        gc.freeze()
        self._watch = asyncio.create_task(self._follow())
        for each in sockets or ():
            sys.stderr.write("gateway at http://{}:{}\n".format(*each.getsockname()[:2]))

    async def _follow(self) -> None:
        while os.getppid() == self._parent:  # noqa: ASYNC110 - the system tells nobody
            await asyncio.sleep(WATCH_SECONDS)
        self.should_exit = True


def main() -> int:
    """The gateway's whole life; its exit code: 2 for a config that can't be used."""
    parent = os.getppid()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("aspora").setLevel(logging.INFO)
    try:
        sock = _listen()
        secrets.load()
        platform = open_now()
    except (ConfigError, ModelError, _Taken) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 2
    except (DatabaseError, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    sys.setswitchinterval(SWITCH_SECONDS)
    config = uvicorn.Config(
        create_app(platform),
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = Server(config, parent)
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, server.stop)
    server.run([sock])
    platform.database.close()
    return 0 if server.started else 1


class _Taken(Exception):
    """The port can't be had."""


def _listen() -> socket.socket:
    given = os.environ.get("ASPORA_GATEWAY_PORT") or str(PORT)
    if not given.isdecimal() or int(given) > 65535:
        raise _Taken(f"ASPORA_GATEWAY_PORT is {given!r}; write a port number, such as {PORT}")
    host = os.environ.get("ASPORA_GATEWAY_HOST") or HOST
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, int(given)))
    except OSError as error:
        sock.close()
        raise _Taken(
            f"port {given} of {host} can't be had ({error.strerror}); "
            "end what uses it, or set ASPORA_GATEWAY_PORT or ASPORA_GATEWAY_HOST to another"
        ) from None
    return sock


if __name__ == "__main__":
    sys.exit(main())
