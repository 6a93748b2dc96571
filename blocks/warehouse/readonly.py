"""READ ONLY transactions on PostgreSQL and Redshift, and SQLite connections that only read.

Redshift documents READ ONLY as a part of BEGIN alone, so that is how its transactions begin.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


def read_only(engine: sa.Engine) -> None:
    """Makes every transaction of the engine READ ONLY; of other databases than these it knows no way."""
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _query_only)
    elif engine.dialect.name not in ("postgresql", "redshift"):
        return
    elif engine.driver == "psycopg2":
        sa.event.listen(engine, "checkout", _told)
        sa.event.listen(engine, "checkin", _forgotten)
    elif engine.driver == "redshift_connector":
        sa.event.listen(engine, "connect", _without_own_begin)
        sa.event.listen(engine, "begin", _begin)
    else:
        sa.event.listen(engine, "begin", _set)


def _query_only(dbapi: Any, record: object) -> None:
    dbapi.execute("PRAGMA query_only = ON")


def _told(dbapi: Any, record: object, proxy: object) -> None:
    """psycopg2 begins transactions with BEGIN READ ONLY then."""
    dbapi.readonly = True


def _forgotten(dbapi: Any, record: object) -> None:
    """Or the pool's check, which needs no transaction, would change a setting that Redshift may not know."""
    if dbapi and not dbapi.closed:
        dbapi.readonly = None


def _without_own_begin(dbapi: Any, record: object) -> None:
    """redshift_connector begins each transaction with a plain BEGIN otherwise."""
    dbapi.autocommit = True


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN READ ONLY")


def _set(connection: sa.Connection) -> None:
    connection.exec_driver_sql("SET TRANSACTION READ ONLY")
