"""Debian's PostgreSQL on the loopback: Prefect's tables need `pg_trgm`, which comes with it."""

from __future__ import annotations

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import sqlalchemy as sa

from tests.needs import program
from tests.ports import free_port

START_SECONDS = 60
SETTINGS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
"""Commits need not outlive the machine."""


@contextmanager
def serving(**settings: str) -> Iterator[tuple[sa.URL, psutil.Process]]:
    """URL of its database `postgres`, as its superuser, and its first process.

    Args:
        settings: of `postgresql.conf`, besides its defaults.
    """
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name))
    path = os.pathsep.join(map(str, reversed(places)))
    tools = {each: program(each, "postgresql", path) for each in ("initdb", "pg_ctl")}
    port, user = free_port(), "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="aspora-", ignore_cleanup_errors=True) as folder:
        if user:
            os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        data = f"{folder}/data"
        _run(user, folder, tools["initdb"], "--auth=trust", "--username=postgres", "--no-sync", data)
        options = " ".join(f"-c {name}='{value}'" for name, value in (SETTINGS | settings).items())
        start = ("-w", f"-t{START_SECONDS}", "-l", f"{folder}/log", "-o", f"-p {port} {options}")
        _run(user, folder, tools["pg_ctl"], "start", "-D", data, *start)
        try:
            pid = int(Path(data, "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
            url = sa.URL.create("postgresql+psycopg2", "postgres", None, "127.0.0.1", port, "postgres")
            yield url, psutil.Process(pid)
        finally:
            _run(user, folder, tools["pg_ctl"], "stop", "-D", data, "-m", "immediate")


def _run(user: str | None, folder: str, *command: str) -> None:
    """As that user, since PostgreSQL does not run as root."""
    who = {"user": user, "group": user, "extra_groups": []} if user else {}
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        check=False, **who,  # type: ignore[call-overload]
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")
