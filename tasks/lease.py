"""Who works on something, and whether they still live."""

from __future__ import annotations

import hashlib
import itertools
import os
import socket
from datetime import datetime
from functools import cache
from pathlib import Path

_claims = itertools.count(1)


def claimant() -> str:
    """A new name for one claim by this process: `host:pid:start time:number`. Keep it until the work ends."""
    return f"{process(os.getpid())}:{next(_claims)}"


def process(pid: int) -> str:
    """A name of a process of this host, `host:pid:start time`, which no later process has."""
    return f"{_host()}:{pid}:{_start_time(pid)}"


def is_free(owner: str | None, lease_until: datetime | None, now: datetime) -> bool:
    """Whether a claim may be taken over: nobody has it, its lease ran out, or its process is dead."""
    return owner is None or lease_until is None or lease_until <= now or is_gone(owner)


def is_gone(owner: str) -> bool:
    """Whether the owner's process ran on this host and has ended. False when that can't be told."""
    _, _, rest = owner.partition(":")
    pid, _, rest = rest.partition(":")
    started = rest.partition(":")[0]
    if not is_here(owner) or not pid.isdigit():
        return False
    return _start_time(int(pid)) != started


def is_here(owner: str) -> bool:
    """Whether the owner's process ran on this host."""
    return owner.partition(":")[0] == _host()


@cache
def _host() -> str:
    """The host's name with a mark of its boot and process namespace: containers may share the name."""
    marks = "".join(_line(path) for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"))
    return f"{socket.gethostname().replace(':', '_')}+{hashlib.sha256(marks.encode()).hexdigest()[:8]}"


def _line(path: str) -> str:
    file = Path(path)
    try:
        return str(file.readlink()) if file.is_symlink() else file.read_text()
    except OSError:
        return ""


def _start_time(pid: int) -> str:
    """Clock ticks from boot to the process's start; `-` where only its life can be told, `` if dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _alive(pid)
    return "" if fields[0] in ("Z", "X") else fields[19]


def _alive(pid: int) -> str:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "-"
