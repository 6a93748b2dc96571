"""The Prefect server that a run talks to: the one that is there, or a temporary one of our own."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from secrets import token_urlsafe
from typing import Any

from blocks import secrets
from blocks.home import ROOT, home
from blocks.passwords import PREFECT_PASSWORD, generated

START_SECONDS = 120.0
PORT = 4200
USER = "aspora"
_AUTH_STRINGS = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")
OWN_ORIGIN = "http://127.0.0.1"
"""Prefect answers pages of any origin by default: one open in a browser here could then approve fixes."""
_SETTINGS = {
    "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": OWN_ORIGIN,
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "[]",
    **{
        f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false"
        for service in (
            "CANCELLATION_CLEANUP", "CLEANUP_RECONCILER", "EVENT_PERSISTER", "FOREMAN", "LATE_RUNS",
            "PAUSE_EXPIRATIONS", "REPOSSESSOR", "SCHEDULER", "TASK_RUN_RECORDER", "TRIGGERS",
        )
    },
}  # fmt: skip
"""A server for one run needs no schedules, and nobody looks at its events and tasks: each service is one more
writer, and on SQLite writers have kept each other waiting for a minute."""


class ServerError(Exception):
    """The Prefect server did not start. The message is for people."""


def prepare() -> None:
    """Sets Prefect's home and quiet logging for this process. Call before prefect is imported."""
    os.environ.setdefault("PREFECT_HOME", str(home() / "prefect"))
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")


def reachable() -> str:
    """The API URL of the server to use: `PREFECT_API_URL`, or that of this home's `aspora up`; empty if none.

    Raises:
        ServerError: the one at `PREFECT_API_URL` wants another password.
    """
    configured, local = os.environ.get("PREFECT_API_URL", ""), _local()
    if configured and _healthy(configured) and not _admits(configured):
        raise ServerError(
            f"the Prefect server at PREFECT_API_URL, {configured}, wants a password: "
            "set PREFECT_API_AUTH_STRING; "
            f"that of `aspora up` stands in its state directory, in {PREFECT_PASSWORD}"
        )
    return configured or (local if _healthy(local) and _admits(local) else "")


def close() -> None:
    """Gives the server that this process starts, and whoever in it asks the server, the same password.

    It is `PREFECT_SERVER_API_AUTH_STRING` or `PREFECT_API_AUTH_STRING`, or the one in the state directory.
    """
    given = next((os.environ[name] for name in _AUTH_STRINGS if os.environ.get(name)), "")
    for name in _AUTH_STRINGS:
        os.environ[name] = os.environ.get(name) or given or _auth_string()


def place_of_password() -> str:
    """Where people find what `close` has set."""
    path = home() / PREFECT_PASSWORD
    ours = path.exists() and os.environ[_AUTH_STRINGS[0]] == _auth_string()
    return f"the line in {path}" if ours else f"the value of {_AUTH_STRINGS[0]}"


def join() -> bool:
    """Points this process to the server that is there, and reads its secrets; False if there is none."""
    prepare()
    url = reachable()
    if url:
        use(url)
    return bool(url)


def use(url: str) -> None:
    """Points this process to a server that is there, and reads its secrets."""
    os.environ["PREFECT_API_URL"] = url
    if auth := _auth_for(url):
        os.environ["PREFECT_API_AUTH_STRING"] = auth
    heed()
    secrets.load()


def heed() -> None:
    """Prefect reads its settings when it is imported; if it is imported already, it reads them again."""
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context
        from prefect.logging.configuration import setup_logging

        refresh_global_settings_context()
        setup_logging()


class TemporaryServer:
    """A Prefect server for the time of one run, in a child process, started beside this process's imports."""

    def __init__(self) -> None:
        self._port = _free_port()
        os.environ.setdefault("PREFECT_API_AUTH_STRING", f"{USER}:{token_urlsafe()}")
        auth = {"PREFECT_SERVER_API_AUTH_STRING": os.environ["PREFECT_API_AUTH_STRING"]}
        self._process = subprocess.Popen(  # noqa: S603 - a fixed command
            [sys.executable, "-m", "flows.cli.server", str(self._port), str(os.getpid())],
            env={**os.environ, **_SETTINGS, **auth, "PREFECT_API_URL": ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            start_new_session=True,
        )
        atexit.register(self.stop)

    @property
    def url(self) -> str:
        """The API's URL."""
        return f"http://127.0.0.1:{self._port}/api"

    def wait(self) -> None:
        """Returns once the server answers.

        Raises:
            ServerError: it ended, or did not answer in time.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServerError(
                    f"the temporary Prefect server ended with code {self._process.returncode}; look into "
                    f"{home() / 'prefect'}, or set PREFECT_API_URL to a running server"
                )
            if _healthy(self.url):
                return
            time.sleep(0.05)
        raise ServerError(f"the temporary Prefect server did not answer within {START_SECONDS:g} s")

    def stop(self) -> None:
        """Ends the server."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)


def _local() -> str:
    return f"http://127.0.0.1:{os.environ.get('ASPORA_PREFECT_PORT') or PORT}/api"


def _auth_string() -> str:
    return generated(PREFECT_PASSWORD, USER)


def _auth_for(url: str) -> str:
    """What this process would send to a server as user and password; empty for nothing."""
    given = os.environ.get("PREFECT_API_AUTH_STRING", "")
    return given or (_auth_string() if url == _local() and (home() / PREFECT_PASSWORD).exists() else "")


def _admits(url: str) -> bool:
    """Whether a server that answers lets this process in."""
    headers = secrets.authorisation(_auth_for(url))
    request = urllib.request.Request(f"{url.rstrip('/')}/admin/version", headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310 - `_healthy` has looked at its scheme
            return True
    except urllib.error.HTTPError as error:
        return error.code != HTTPStatus.UNAUTHORIZED
    except OSError:
        return True


def _healthy(url: str) -> bool:
    if not url.startswith(("http://", "https://")):
        return False
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=1) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def serve(port: int, parent: int) -> None:
    """Runs the server in this process until it is told to stop or the parent process is gone.

    Garbage is not collected before it is up, which costs a fifth of its imports.
    """
    gc.disable()
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    import uvicorn

    class Server(uvicorn.Server):
        """Takes its turn at the database of the Prefect home, which two servers must not migrate at once."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            with _turn():
                await super().startup(sockets)
            gc.freeze()
            gc.enable()

    config = uvicorn.Config(
        _app, factory=True, host="127.0.0.1", port=port, log_level="critical", lifespan="on"
    )
    Server(config).run()


def _app() -> Any:
    """Prefect's server, with its SQLite database used by one writer at a time."""
    from prefect.server.api.server import create_app

    from flows.cli.turns import take_turns

    take_turns()
    return create_app()


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    with (home() / "prefect.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
