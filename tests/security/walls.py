"""What the process does towards the outside, noted by Python's own audit events while a block runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

_STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_SECRET_PLACES = ("/etc/passwd", "/etc/shadow", "/etc/hosts", "/proc/self", ".ssh/", "gateway-token")


@dataclass
class Deeds:
    """What was done besides talking to the loopback and writing below `home`."""

    home: Path
    hosts: set[str] = field(default_factory=set)
    started: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    allowed: int = 0
    """Connections to the loopback."""

    @property
    def forbidden(self) -> list[str]:
        """All that should not have been."""
        return [*sorted(self.hosts), *self.started, *sorted(self.files)]

    def note(self, event: str, args: tuple[Any, ...]) -> None:
        """Takes one audit event."""
        if event in ("socket.connect", "socket.sendto"):
            self._host(args[1])
        elif event == "socket.getaddrinfo":
            self._host((args[0],))
        elif event in _STARTS:
            self.started.append(f"{event} {args[:2]}")
        elif event == "open" and isinstance(args[0], str | bytes):
            self._file(os.fsdecode(args[0]), args[2] or 0)

    def _host(self, address: Any) -> None:
        if isinstance(address, str | bytes):
            return
        host = os.fsdecode(address[0] or "localhost")
        if host == "localhost" or _loopback(host):
            self.allowed += 1
        else:
            self.hosts.add(host)

    def _file(self, path: str, flags: int) -> None:
        inside = Path(path).absolute().is_relative_to(self.home) or path == "/dev/null"
        written = isinstance(flags, int) and flags & _WRITING and not inside and "__pycache__" not in path
        if written or any(place in path for place in _SECRET_PLACES):
            self.files.add(path)


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


_watching: list[Deeds] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    for deeds in _watching:
        deeds.note(event, args)


@contextmanager
def watched(home: Path) -> Iterator[Deeds]:
    """Notes what the process does until the block ends."""
    _install()
    deeds = Deeds(home)
    _watching.append(deeds)
    try:
        yield deeds
    finally:
        _watching.remove(deeds)


def _install() -> None:
    if not getattr(_hook, "installed", False):
        sys.addaudithook(_hook)
        _hook.installed = True  # type: ignore[attr-defined]
