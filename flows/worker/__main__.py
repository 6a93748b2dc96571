"""`python -m flows.worker --pool NAME`: serves a work pool until SIGTERM, SIGINT, or the parent's end.

With `--commands`, the command line's commands of this state directory too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import threading
import time
from pathlib import Path

import anyio

from blocks.home import home

QUERY_SECONDS = "2"
"""How often the server is asked for runs if it does not tell of any, in seconds."""

PARENT_SECONDS = 0.5
ENDS_WITHIN = 10.0
"""What the worker may take to end when the process that started it is gone, in seconds."""

_END = "-----END CERTIFICATE-----"


def main() -> None:
    """Runs the worker."""
    started = time.time()
    parser = argparse.ArgumentParser(prog="python -m flows.worker")
    parser.add_argument("--pool", default="aspora", help="the work pool's name")
    parser.add_argument("--commands", action="store_true", help="run this state directory's commands too")
    given = parser.parse_args()
    os.environ.setdefault("PREFECT_WORKER_QUERY_SECONDS", QUERY_SECONDS)
    os.environ.setdefault("PREFECT_WORKER_PREFETCH_SECONDS", "0")
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
    from flows.cli import server

    server.prepare()
    _spare_certificates()
    asyncio.run(_serve(given.pool, started if given.commands else None))


def _spare_certificates() -> None:
    """For an API without TLS, lets Prefect's clients load one certificate instead of all.

    Each of the dozen clients of a run loads them, for 25 ms.
    """
    if os.environ.get("PREFECT_API_URL", "").startswith("http://"):
        import certifi

        first, end, _ = Path(certifi.where()).read_text(encoding="utf-8").partition(_END)
        file = home() / "prefect" / "certificate.pem"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{first}{end}\n", encoding="utf-8")
        os.environ.setdefault("PREFECT_API_SSL_CERT_FILE", str(file))


async def _serve(pool: str, commands_since: float | None) -> None:
    from flows.worker import commands
    from flows.worker.forks import Forks

    forks = Forks()
    warming = asyncio.create_task(forks.warm_up())
    from flows.worker.pool import WarmWorker

    await warming
    with anyio.CancelScope() as scope:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, scope.cancel)
        async with anyio.create_task_group() as group:
            group.start_soon(_follow, os.getppid(), scope)
            if commands_since:
                group.start_soon(commands.serve, forks, commands_since)
            await WarmWorker(forks, pool).start()
            scope.cancel()


async def _follow(parent: int, scope: anyio.CancelScope) -> None:
    """Stops the worker once the process that started it is gone.

    The server may be gone as well, to which Prefect would try for long to send what it has left.
    """
    while os.getppid() == parent:  # noqa: ASYNC110 - the system tells nobody
        await asyncio.sleep(PARENT_SECONDS)
    end = threading.Timer(ENDS_WITHIN, os._exit, (1,))
    end.daemon = True
    end.start()
    scope.cancel()


if __name__ == "__main__":
    main()
