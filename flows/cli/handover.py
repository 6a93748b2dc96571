"""Hands a command over to the worker of this home's `aspora up`, which runs it in a fork.

A run imports for seconds; a fork of the worker's fork server has it all imported. What people see, type and
get back is the same. The worker says that it is ready, and the command that it may go: before that the
command runs here if anything is amiss, after it never again.
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
READY, GO = b"ready", b"go"
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGCONT)
"""Signals that reach the command."""
READY_SECONDS = 5.0
INTERRUPTS = 3
"""So many say that one waits no longer."""
_CODE = ("blocks", "flows", "mcp_servers", "tasks", "requirements.lock")
_CUT_OFF, _INTERRUPTED = 1, 130


def hand_over(arguments: list[str]) -> int | None:
    """The exit code of a command that was run elsewhere; None if it has to be run here."""
    if not arguments or arguments[0] not in COMMANDS or {"-h", "--help"} & {*arguments}:
        return None
    try:
        worker = _worker(arguments)
        if worker is None:
            return None
        with worker:
            return _wait(worker)
    except KeyboardInterrupt:
        return _INTERRUPTED


def surroundings() -> list[str]:
    """What has to be the same in two processes for a command to do the same in both."""
    from blocks.home import ROOT

    spaces = [Path("/proc/self/ns", name) for name in ("mnt", "net", "pid")]
    return [
        str(ROOT),
        sys.prefix,
        str(os.geteuid()),
        *(str(space.readlink()) for space in spaces if space.exists()),
        os.environ.get("PYTHONPATH", ""),
        sys.stdout.encoding,
    ]


def _worker(arguments: list[str]) -> socket.socket | None:
    """A connection to the worker once it is ready for this command; None if there is none that would be."""
    if os.environ.get("PREFECT_API_URL") or None in (sys.stdin, sys.stdout, sys.stderr) or not _in_front():
        return None
    from blocks.home import home

    worker = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path = home() / SOCKET
        if not _changed_since(path.stat().st_mtime):
            worker.settimeout(READY_SECONDS)
            worker.connect(str(path))
            _say(worker, arguments)
            if worker.recv(len(READY)) == READY:
                return worker
    except OSError:
        pass
    worker.close()
    return None


def _in_front() -> bool:
    """Whether this process may read from its terminal, if it has one."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return True


def _changed_since(moment: float) -> bool:
    """Whether code was written since: the worker has imported it as it was before."""
    from blocks.home import ROOT

    places = [ROOT / name for name in _CODE]
    files = (file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place]))
    return any(file.stat().st_mtime > moment for file in files)


def _say(worker: socket.socket, arguments: list[str]) -> None:
    umask = os.umask(0)
    os.umask(umask)
    command: dict[str, Any] = {
        "surroundings": surroundings(),
        "arguments": arguments,
        "environment": dict(os.environ),
        "directory": str(Path.cwd()),
        "umask": umask,
    }
    body = json.dumps(command).encode()
    sys.stdout.flush()
    sys.stderr.flush()
    socket.send_fds(worker, [len(body).to_bytes(4, "big")], [0, 1, 2])
    worker.sendall(body)


def _wait(worker: socket.socket) -> int:
    """Lets the command go, and passes signals on until it has ended."""
    code = b""
    with contextlib.suppress(OSError):
        worker.settimeout(None)
        worker.sendall(GO)
        _pass_signals_on(worker)
        code = worker.makefile("rb").readline()
    if not code:
        sys.stderr.write("aspora up's worker has ended, and this command with it; see: aspora executions\n")
        return _CUT_OFF
    return int(code) if int(code) >= 0 else 128 - int(code)


def _pass_signals_on(worker: socket.socket) -> None:
    """To the process that does the work, each as one byte; what is ignored here is ignored there."""
    interrupts = 0

    def tell(number: int, _: FrameType | None) -> None:
        nonlocal interrupts
        interrupts += number == signal.SIGINT
        if interrupts == INTERRUPTS:
            raise KeyboardInterrupt
        if number == signal.SIGCONT and not _in_front():
            signal.raise_signal(signal.SIGTTIN)
            return
        with contextlib.suppress(OSError):
            worker.sendall(bytes([number]))
        if number == signal.SIGTSTP:
            signal.raise_signal(signal.SIGSTOP)

    for number in PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, tell)
