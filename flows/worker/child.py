"""A run's own process, a fork of the fork server: Prefect's engine, as `python -m prefect.engine` runs it."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from multiprocessing import connection
from typing import NoReturn

LOOK_SECONDS = 0.5
_KEPT = ("PREFECT_API_SSL_CERT_FILE",)
"""Variables of the worker that speed a command up."""


def execute(flow_run_id: str, environment: Mapping[str, str | None], directory: str) -> None:
    """Runs a flow run to its end, in a process group of its own; ends when the worker is gone."""
    os.setsid()
    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    _enter(environment, directory)
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()
    sys.argv = ["prefect.engine", flow_run_id]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")
        runpy.run_module("prefect.engine", run_name="__main__")


def command(
    arguments: list[str], environment: Mapping[str, str], directory: str, umask: int, streams: Sequence[int]
) -> None:
    """Runs a command of `aspora`, in a process group of its own; ends when the worker is gone."""
    os.setsid()
    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for as long as the process lives
    sys.stdout, sys.stderr = (
        open(number, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
        for number in (1, 2)
    )
    left_out = {name: None for name in os.environ if name not in {*environment, *_KEPT}}
    _enter({**left_out, **environment}, directory)
    os.umask(umask)
    sys.argv = ["aspora", *arguments]
    from flows.cli import start

    start()


def ready() -> None:
    """Does nothing: a process that has run it shows that the fork server has its imports."""


def _enter(environment: Mapping[str, str | None], directory: str) -> None:
    os.environ.update({name: value for name, value in environment.items() if value is not None})
    for name in [name for name, value in environment.items() if value is None]:
        os.environ.pop(name, None)
    os.chdir(directory)


def _follow(forker: int) -> NoReturn:
    """Ends this process group once the worker is gone, or the fork server, which tells it how runs end."""
    worker = multiprocessing.parent_process()
    sentinels = [worker.sentinel] if worker else []
    while os.getppid() == forker and not connection.wait(sentinels, LOOK_SECONDS):
        pass
    os.killpg(0, signal.SIGKILL)
    raise SystemExit
