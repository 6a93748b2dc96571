"""Read-only access to a warehouse, in threads behind a limiter."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import anyio
import anyio.to_thread
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from blocks.config import Warehouse as Settings
from blocks.home import resolve
from blocks.secrets import secret
from blocks.warehouse.readonly import read_only
from blocks.warehouse.refusal import explained, said

T = TypeVar("T")

ROW_CAP = 10_000
"""Rows that one statement may return."""

_DRIVERS = {
    "sqlite": ("sqlite", "sqlite+pysqlite"),
    "postgresql": ("postgresql", "postgresql+psycopg2"),
    "redshift": ("redshift", "redshift+psycopg2", "redshift+redshift_connector"),
}
_PARALLEL = 4
_CONNECT_SECONDS = 10
_LOCK_SECONDS = 5
_SECRET = ("password", "secret", "token", "key")


class WarehouseError(Exception):
    """The warehouse can't be reached or read; the message is for people and holds no credentials."""


class Reader:
    """One read-only transaction. Blocking: use it inside `Warehouse.read`."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self.sqlite = connection.dialect.name == "sqlite"

    def rows(self, statement: sa.Executable, cap: int = ROW_CAP) -> Sequence[sa.Row[Any]]:
        """All rows of a statement; WarehouseError if there are more than `cap`."""
        with self.connection.execute(statement) as result:
            found = result.fetchmany(cap + 1)
        if len(found) > cap:
            raise WarehouseError(f"the query returned more than {cap} rows")
        return found

    def one(self, statement: sa.Executable) -> sa.Row[Any]:
        """The only row of an aggregate."""
        return self.connection.execute(statement).one()


class Warehouse:
    """A warehouse that is only read.

    Read-only holds in depth: SQLite files are opened with `mode=ro` and `PRAGMA query_only`; PostgreSQL and
    Redshift run each statement in a READ ONLY transaction with a statement timeout. A user with SELECT rights
    only is the real barrier there.
    """

    def __init__(self, settings: Settings, base: Path | None = None) -> None:
        """
        Args:
            settings: the config's section; `ASPORA_WAREHOUSE_URL` wins over its URL.
            base: the config file's directory, for relative paths.

        Raises:
            WarehouseError: the URL is no SQLAlchemy URL of a supported database.
        """
        self._url = _parse(secret("ASPORA_WAREHOUSE_URL") or settings.url)
        self._timeout = settings.statement_timeout
        self._path = _sqlite_path(self._url, base)
        self._limiter: anyio.CapacityLimiter | None = None
        self.engine = self._create_engine()

    async def read(self, work: Callable[[Reader], T]) -> T:
        """Runs `work` in a thread, in one read-only transaction.

        Raises:
            WarehouseError: no such file, no connection, no permission, a timeout, a failing statement.
        """
        self._limiter = self._limiter or anyio.CapacityLimiter(_PARALLEL)
        patience = self._timeout.total_seconds() + _CONNECT_SECONDS
        with anyio.move_on_after(patience):
            return await anyio.to_thread.run_sync(
                self._read, work, limiter=self._limiter, abandon_on_cancel=True
            )
        raise WarehouseError(f"{self.name} did not answer within {patience:g} s")

    @property
    def name(self) -> str:
        """What messages call this warehouse: the file, or database and host, without credentials."""
        if self._path:
            return f"the warehouse {self._path}"
        return f"the warehouse {self._url.database} on {self._url.host}"

    def _read(self, work: Callable[[Reader], T]) -> T:
        with self._errors(), self.engine.connect() as connection:
            try:
                return work(Reader(connection))
            except OSError:
                connection.invalidate()
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise WarehouseError(self._explain(said(error.orig))) from None
        except (SQLAlchemyError, OSError) as error:
            raise WarehouseError(self._explain(said(error))) from None

    def _explain(self, reason: str) -> str:
        return explained(self.name, self._redact(reason), self._timeout.total_seconds())

    def _redact(self, text: str) -> str:
        query = [(key, value) for key, value in self._url.query.items() if isinstance(value, str)]
        hidden = [value for key, value in query if any(word in key.lower() for word in _SECRET)]
        for value in filter(None, [self._url.password, *hidden]):
            text = text.replace(str(value), "***").replace(quote(str(value), safe=""), "***")
        return text

    def _create_engine(self) -> sa.Engine:
        if self._path:
            return _sqlite_engine(self._path, self._timeout)
        try:
            return _server_engine(self._url, self._timeout)
        except (SQLAlchemyError, ImportError, ValueError, TypeError) as error:
            raise WarehouseError(f"warehouse.url: {self._redact(str(error))}") from None


def _parse(text: str) -> sa.URL:
    try:
        url = sa.make_url(text)
    except (ArgumentError, ValueError):
        raise WarehouseError(
            "warehouse.url (or ASPORA_WAREHOUSE_URL) is no SQLAlchemy URL; "
            "write it like postgresql://user:password@host:5432/database"
        ) from None
    known = [name for names in _DRIVERS.values() for name in names]
    if url.drivername not in known:
        raise WarehouseError(
            f"warehouse.url: {url.drivername} is unknown; these are known: {', '.join(known)}"
        )
    return url.set(drivername="redshift+psycopg2") if url.drivername == "redshift" else url


def _sqlite_path(url: sa.URL, base: Path | None) -> Path | None:
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:":
        raise WarehouseError(
            "warehouse.url: an SQLite warehouse needs a file, such as sqlite:///warehouse.db"
        )
    return resolve(url.database, base)


@cache
def _sqlite_engine(path: Path, timeout: timedelta) -> sa.Engine:
    """One a process, as for servers: an engine keeps the statements that it has compiled."""
    connect = _sqlite_connector(path, timeout)
    engine = sa.create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)
    read_only(engine)
    return engine


@cache
def _server_engine(url: sa.URL, timeout: timedelta) -> sa.Engine:
    engine = sa.create_engine(
        url, connect_args=_connect_args(url, timeout), hide_parameters=True, **_pool(url)
    )
    read_only(engine)
    sa.event.listen(engine, "begin", _limited(timeout))
    return engine


def _pool(url: sa.URL) -> dict[str, Any]:
    """redshift_connector doesn't tell that a kept connection was dropped, so none is kept."""
    if url.get_driver_name() == "redshift_connector":
        return {"poolclass": NullPool}
    return {"pool_size": _PARALLEL, "pool_pre_ping": True, "pool_recycle": 1800}


def _connect_args(url: sa.URL, timeout: timedelta) -> dict[str, Any]:
    if url.get_driver_name() == "redshift_connector":
        # Its timeout is that of every read from the socket, an answer's included.
        return {**_switches(url), "timeout": ceil(timeout.total_seconds()) + _CONNECT_SECONDS}
    if "connect_timeout" in url.query:
        return {}
    return {"connect_timeout": _CONNECT_SECONDS}


def _switches(url: sa.URL) -> dict[str, bool]:
    """The URL's `iam=true` and its like as redshift_connector takes them; it compares them with True."""
    texts = {name: text.lower() for name, text in url.query.items() if isinstance(text, str)}
    return {name: text == "true" for name, text in texts.items() if text in ("true", "false")}


def _sqlite_connector(path: Path, timeout: timedelta) -> Callable[[], sqlite3.Connection]:
    def connect() -> sqlite3.Connection:
        if not path.is_file():
            raise WarehouseError(
                f"there is no warehouse at {path}; set warehouse.url or ASPORA_WAREHOUSE_URL to your database"
            )
        address = f"file:{quote(str(path))}?mode=ro"
        patience = min(_LOCK_SECONDS, timeout.total_seconds())
        connection = sqlite3.connect(address, uri=True, timeout=patience, check_same_thread=False)
        deadline = time.monotonic() + timeout.total_seconds()
        connection.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
        return connection

    return connect


def _limited(timeout: timedelta) -> Callable[[sa.Connection], None]:
    milliseconds = max(1, int(timeout.total_seconds() * 1000))

    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {milliseconds}")

    return begin
