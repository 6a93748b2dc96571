"""Hands a command over to the worker of this home's `aspora up`, which runs it in a fork.

A run imports for seconds; a fork of the worker's fork server has it all imported. What people see, type and
get back is the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Any

COMMANDS = ("run", "approve", "reject")
"""Those that import most."""
SOCKET = "commands.sock"
"""Where the worker listens, in the state directory."""
ACCEPT_SECONDS = 5.0
_CODE = ("blocks", "flows", "mcp_servers", "tasks")
_CUT_OFF = 1


def hand_over(arguments: list[str]) -> int | None:
    """The exit code of a command that was run elsewhere; None if it has to be run here."""
    if arguments[:1] and arguments[0] in COMMANDS and not {"-h", "--help"} & {*arguments}:
        worker = _worker()
        if worker:
            with worker:
                return _handed(worker, arguments)
    return None


def _worker() -> socket.socket | None:
    """A connection to the worker, if there is one that runs this code, and no other server is asked for."""
    from blocks.home import home

    path = home() / SOCKET
    if os.environ.get("PREFECT_API_URL") or not path.exists() or _changed_since(path.stat().st_mtime):
        return None
    worker = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    worker.settimeout(ACCEPT_SECONDS)
    try:
        worker.connect(str(path))
    except OSError:
        worker.close()
        return None
    return worker


def _changed_since(moment: float) -> bool:
    """Whether a module was written since: the worker has imported it as it was before."""
    from blocks.home import ROOT

    modules = (path for folder in _CODE for path in (ROOT / folder).rglob("*.py"))
    return any(path.stat().st_mtime > moment for path in modules)


def _handed(worker: socket.socket, arguments: list[str]) -> int | None:
    body = json.dumps(_said(arguments)).encode()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        socket.send_fds(worker, [len(body).to_bytes(4, "big")], [0, 1, 2])
        worker.sendall(body)
        with worker.makefile("rb") as answers:
            process = answers.readline()
            if not process:
                return None
            _pass_signals_on(int(process))
            worker.settimeout(None)
            code = answers.readline()
    except OSError:
        return None
    if not code:
        sys.stderr.write("`aspora up` has ended, and this command with it; see: aspora executions\n")
        return _CUT_OFF
    return int(code) if int(code) >= 0 else 128 - int(code)


def _said(arguments: list[str]) -> dict[str, Any]:
    from blocks.home import ROOT

    return {
        "code": str(ROOT),
        "arguments": arguments,
        "environment": dict(os.environ),
        "directory": str(Path.cwd()),
    }


def _pass_signals_on(process: int) -> None:
    """To the process that does the work."""

    def kill(number: int, _: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, kill)
