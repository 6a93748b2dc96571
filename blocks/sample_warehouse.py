"""The SQLite file that the domains' sample worlds share as their warehouse: each replaces its own tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

PATIENCE = 30
"""Seconds to wait for others who write."""


@contextmanager
def rewritten(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to write a domain's tables through: all of it is kept at the end, or nothing.

    The file is made if there is none; one that is no database is replaced.

    Raises:
        OSError: it can't be written: locked by others, or the disk is full.
    """
    try:
        with closing(_opened(path)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise OSError(f"{path} can't be written: {error}") from error


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    try:
        connection.execute("PRAGMA schema_version")
    except sqlite3.DatabaseError as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):
            raise
        for suffix in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    return connection
