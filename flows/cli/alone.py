"""One `aspora up` for each state directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import IO

from blocks.home import home
from flows.cli.errors import Usage


@contextlib.contextmanager
def alone() -> Iterator[bool]:
    """Holds the state directory; gives whether its last `aspora up` was killed, and may still hold its ports.

    Raises:
        Usage: another `aspora up` holds it.
    """
    with (home() / "up.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Usage(
                f"`aspora up` runs already on {home()}, as process {_read(file) or 'unknown'}; stop it, "
                "or set ASPORA_HOME to another directory"
            ) from None
        was_killed = bool(_read(file))
        _write(file, str(os.getpid()))
        yield was_killed
        _write(file, "")


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read().strip()


def _write(file: IO[str], text: str) -> None:
    file.truncate(0)
    file.write(text)
    file.flush()
