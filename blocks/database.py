"""The platform database: short transactions on SQLite or PostgreSQL, in threads for async callers."""

from __future__ import annotations

import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from sqlalchemy import (
    ClauseElement,
    Connection,
    Dialect,
    Engine,
    Table,
    bindparam,
    create_engine,
    event,
    exc,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from blocks.columns import dump_json
from blocks.migrations import HEAD

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPICursor
    from sqlalchemy.sql.compiler import SQLCompiler
    from sqlalchemy.types import TypeEngine

T = TypeVar("T")
_Processor = Callable[[Any], Any]

BUSY_SECONDS = 30
"""How long a transaction waits for another one's lock."""
CONNECTIONS = 8
"""Connections, and so threads, that one event loop uses at a time."""

_LOCKS = 4_160_227
_CACHE_KIB = 32 * 1024
"""Pages that a connection to SQLite keeps at most: a report reads more than its usual 2 MiB repeatedly."""

_READING: dict[str, dict[str, Any]] = {
    "sqlite": {"read": True},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}

_limiter: RunVar[CapacityLimiter] = RunVar("aspora_database")


class DatabaseError(Exception):
    """The platform database can't be used: what happened, where, what to do. Never holds credentials."""


class Database:
    """The platform database.

    Args:
        url: SQLAlchemy URL of a SQLite file or a PostgreSQL database. Nothing is opened until first use.

    Raises:
        DatabaseError: on any use when the URL is wrong, the server unreachable, the file locked, the disk
            full, or the database refuses what it is asked. The transaction is then rolled back.
    """

    def __init__(self, url: str) -> None:
        self._url = _parse(url)
        self._place = _place(self._url)
        self._sqlite = self._url.get_backend_name() == "sqlite"
        self._reading = _READING["sqlite" if self._sqlite else "postgresql"]
        self._rendered = str(self._url)
        self._writing = _writing_locks.setdefault(self._place, threading.Lock())

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction, in a thread; what it returns. Cancellation waits for the commit."""
        return await anyio.to_thread.run_sync(self.write_now, work, limiter=_threads())

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one consistent state, in a thread; what it returns. Its changes are dropped."""
        return await anyio.to_thread.run_sync(self.read_now, work, limiter=_threads())

    def write_now(self, work: Callable[[Connection], T]) -> T:
        """As `write`, in this thread."""
        with self._errors():
            if self._sqlite:
                return self._write_file(work)
            with self._engine().begin() as connection:
                return work(connection)

    def read_now(self, work: Callable[[Connection], T]) -> T:
        """As `read`, in this thread."""
        with self._errors(), self._engine().connect() as connection:
            return work(connection.execution_options(**self._reading))

    def migrate(self) -> None:
        """Bring the tables to this version's state; one SELECT when they already are."""
        if self._version() != HEAD:
            self.write_now(self._upgrade)

    def close(self) -> None:
        """Close the connections. The next use opens new ones."""
        engine = self._engine()
        with self._writing:
            if writer := _writers.pop(engine, None):
                writer.close()
        engine.dispose()

    def _engine(self) -> Engine:
        if self._sqlite:
            return _sqlite_engine(self._rendered, _file(self._url))
        return _postgresql_engine(self._url)

    def _version(self) -> str | None:
        def read(connection: Connection) -> str | None:
            try:
                return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            except (exc.OperationalError, exc.ProgrammingError) as error:
                if "alembic_version" in str(error.orig):
                    return None
                raise

        return self.read_now(read)

    def _upgrade(self, connection: Connection) -> None:
        from blocks.migrations.upgrade import UnknownVersion, upgrade

        try:
            upgrade(connection)
        except UnknownVersion as error:
            raise DatabaseError(
                f"{self._place} was written by another version of Aspora ({error}): "
                "update this checkout, or set ASPORA_DATABASE_URL to another database"
            ) from error

    def _write_file(self, work: Callable[[Connection], T]) -> T:
        """SQLite has one writer: threads of this process queue here instead of polling the file's lock."""
        if not self._writing.acquire(timeout=BUSY_SECONDS):
            raise DatabaseError(_hint("database is locked", self._place))
        try:
            return _written(_writer(self._engine()), work)
        finally:
            self._writing.release()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (exc.DBAPIError, sqlite3.Error) as error:
            said = error.orig if isinstance(error, exc.DBAPIError) else error
            raise DatabaseError(_hint(str(said), self._place)) from error
        except exc.TimeoutError as error:
            raise DatabaseError(f"{self._place}: no free connection in time; try again") from error


class Done(NamedTuple):
    """What a prepared statement did."""

    rows: list[tuple[Any, ...]]
    """What it returned; of a textual statement as the driver gives it."""
    written: int
    """How many rows."""


class Prepared:
    """A statement that is compiled once a dialect and handed to the driver, at a fifth of SQLAlchemy's time.

    Args:
        statement: of fixed size, without lists of values.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def execute(self, connection: Connection, values: Mapping[str, Any]) -> Done:
        """Executes it with these values, in the connection's transaction."""
        dialect = connection.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = _Compiled.of(self._statement, dialect)
        if not connection.in_transaction():
            connection.begin()
        with closing(connection.connection.cursor()) as cursor:
            try:
                cursor.execute(compiled.sql, compiled.parameters(values))
                rows = compiled.rows(cursor) if cursor.description else []
            except dialect.loaded_dbapi.Error as error:
                kind = dialect.loaded_dbapi.Error
                raise exc.DBAPIError.instance(compiled.sql, None, error, kind, dialect=dialect) from error
            return Done(rows, cursor.rowcount)


@dataclass
class _Compiled:
    sql: str
    given: tuple[tuple[str, _Processor | None], ...]
    fixed: Mapping[str, Any]
    positional: bool
    dialect: Dialect
    columns: tuple[TypeEngine[Any], ...]
    returned: list[_Processor | None] | None = None
    """What makes a column's value of the driver's; known once the driver has told how it sends columns."""

    @classmethod
    def of(cls, statement: ClauseElement, dialect: Dialect) -> _Compiled:
        """The statement in a dialect's SQL."""
        compiled = cast("SQLCompiler", statement.compile(dialect=dialect))
        processors = {
            name: bound.type.dialect_impl(dialect).bind_processor(dialect)
            for bound, name in compiled.bind_names.items()
        }
        names = compiled.positiontup or compiled.bind_names.values()
        return cls(
            sql=compiled.string,
            given=tuple((name, processors[name]) for name in names),
            fixed=compiled.params,
            positional=bool(compiled.positional),
            dialect=dialect,
            columns=tuple(
                column.type.dialect_impl(dialect) for column in getattr(statement, "exported_columns", ())
            ),
        )

    def parameters(self, values: Mapping[str, Any]) -> tuple[Any, ...] | dict[str, Any]:
        """The values as the driver takes them."""
        given = {**self.fixed, **values}
        ready = [process(given[name]) if process else given[name] for name, process in self.given]
        if self.positional:
            return tuple(ready)
        return {name: value for (name, _), value in zip(self.given, ready, strict=True)}

    def rows(self, cursor: DBAPICursor) -> list[tuple[Any, ...]]:
        """What the driver returned, with values of the columns' types."""
        fetched = cursor.fetchall()
        if self.returned is None:
            sent = (column[1] for column in cursor.description or ())
            pairs = zip(self.columns, sent, strict=False)
            self.returned = [column.result_processor(self.dialect, code) for column, code in pairs]
        return [self._typed(row) for row in fetched] if any(self.returned) else list(fetched)

    def _typed(self, row: Sequence[Any]) -> tuple[Any, ...]:
        pairs = zip(self.returned or (), row, strict=True)
        return tuple([process(value) if process else value for process, value in pairs])


def insert_new(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row unless a unique key of the table is taken; whether it was inserted.

    A row that another transaction is just inserting is waited for.
    """
    return _insert_new(table, tuple(values)).execute(connection, values).written == 1


def add_up(
    connection: Connection,
    table: Table,
    key: Mapping[str, Any],
    add: Mapping[str, Any],
    put: Mapping[str, Any],
) -> None:
    """Add numbers to a row's columns, and put values into others; the row is made if there is none."""
    values = {**key, **add, **put}
    _add_up(table, tuple(key), tuple(add), tuple(put)).execute(connection, values)


@cache
def _add_up(table: Table, key: tuple[str, ...], add: tuple[str, ...], put: tuple[str, ...]) -> Prepared:
    names = (*key, *add, *put)
    changes = [f'"{name}" = "{table.name}"."{name}" + excluded."{name}"' for name in add]
    changes += [f'"{name}" = excluded."{name}"' for name in put]
    sql = (
        f'INSERT INTO "{table.name}" ({_listed(names)}) VALUES ({", ".join(f":{name}" for name in names)}) '
        f"ON CONFLICT ({_listed(key)}) DO UPDATE SET {', '.join(changes)}"
    )
    return _prepared(sql, table, names)


def alone(connection: Connection, name: str) -> None:
    """Until this transaction ends, others that ask for the same name wait: look and write as one step."""
    if connection.dialect.name == "postgresql":
        lock = {"space": _LOCKS, "number": zlib.crc32(name.encode()) - 2**31}
        connection.execute(text("SELECT pg_advisory_xact_lock(:space, :number)"), lock)


@cache
def _insert_new(table: Table, names: tuple[str, ...]) -> Prepared:
    places = ", ".join(f":{name}" for name in names)
    sql = f'INSERT INTO "{table.name}" ({_listed(names)}) VALUES ({places}) ON CONFLICT DO NOTHING'
    return _prepared(sql, table, names)


def _prepared(sql: str, table: Table, names: Sequence[str]) -> Prepared:
    return Prepared(text(sql).bindparams(*(bindparam(name, type_=table.c[name].type) for name in names)))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _threads() -> CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        limiter = CapacityLimiter(CONNECTIONS)
        _limiter.set(limiter)
        return limiter


_writing_locks: dict[str, threading.Lock] = {}
_writers: dict[Engine, Connection] = {}


def _writer(engine: Engine) -> Connection:
    """The connection that writes to a file, kept since taking one from the pool is half of a transaction."""
    if engine not in _writers or _writers[engine].closed:
        _writers[engine] = engine.connect()
    return _writers[engine]


def _written(writer: Connection, work: Callable[[Connection], T]) -> T:
    """A transaction on a kept connection, which goes back to the pool, and is reset there, if it fails."""
    try:
        with writer.begin():
            return work(writer)
    except BaseException:
        writer.close()
        raise


def _parse(text_: str) -> URL:
    try:
        url = make_url(text_.replace("postgres://", "postgresql://", 1))
    except exc.ArgumentError:
        raise DatabaseError(
            "the database URL can't be read; write sqlite:///path/to/file.db "
            "or postgresql://user:password@host/name in ASPORA_DATABASE_URL"
        ) from None
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise DatabaseError(f"{backend} is no platform database; use a sqlite:/// or postgresql:// URL")
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise DatabaseError("the platform database needs a file; write sqlite:///path/to/file.db")
    return url.set(drivername="sqlite" if backend == "sqlite" else "postgresql+psycopg2")


def _place(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"the database file {url.database}"
    return f"the database {url.database or ''} on {url.host or 'the local socket'}"


def _file(url: URL) -> int:
    """Tells a file from one that took its place, such as a restored backup; made if there is none."""
    try:
        return os.stat(str(url.database)).st_ino  # noqa: PTH116 - asked for in each transaction
    except FileNotFoundError:
        return _new_file(url)
    except OSError as error:
        raise _not_created(url, error) from error


def _new_file(url: URL) -> int:
    path = Path(str(url.database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return path.stat().st_ino
    except OSError as error:
        raise _not_created(url, error) from error


def _not_created(url: URL, error: OSError) -> DatabaseError:
    return DatabaseError(f"{_place(url)} can't be created: {error.strerror}")


@cache
def _sqlite_engine(url: str, _: int) -> Engine:
    """One a file and process, since an engine keeps the statements that it has compiled."""
    engine = create_engine(
        url, pool_size=CONNECTIONS, connect_args={"timeout": BUSY_SECONDS}, json_serializer=dump_json
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")


def _begin_sqlite(connection: Connection) -> None:
    """On the driver's connection, since SQLAlchemy takes several times as long to pass it on."""
    read = connection.get_execution_options().get("read", False)
    driver = cast(sqlite3.Connection, connection.connection.dbapi_connection)
    driver.execute("BEGIN" if read else "BEGIN IMMEDIATE")


@cache
def _postgresql_engine(url: URL) -> Engine:
    options = f"-c timezone=UTC -c lock_timeout={BUSY_SECONDS}s -c statement_timeout={2 * BUSY_SECONDS}s"
    return create_engine(
        url,
        pool_size=CONNECTIONS,
        pool_pre_ping=True,
        json_serializer=dump_json,
        connect_args={"connect_timeout": 10, "application_name": "aspora", "options": options},
    )


_HINTS = {
    "database is locked": "another process holds its lock; end that process or try again",
    "lock timeout": "another process holds its lock; end that process or try again",
    "disk is full": "the disk is full; free some space and run again, nothing was half-written",
    "disk I/O error": "the disk reports an error; check its space and health",
    "unable to open database file": "it can't be opened; check that its directory may be written",
    "readonly database": "it may not be written; check the file's permissions",
    "file is not a database": "it is no SQLite database; set ASPORA_DATABASE_URL to another file",
    "no such table": "its tables are missing; run `aspora run` or `aspora up`, which create them",
    "does not exist": "check the name, and that its tables were created",
    "authentication failed": "user or password is wrong; check ASPORA_DATABASE_URL",
    "connection to server": "the server can't be reached; check ASPORA_DATABASE_URL and that it runs",
}


def _hint(problem: str, place: str) -> str:
    said = problem.strip().split("\n", 1)[0]
    remedy = next((hint for words, hint in _HINTS.items() if words in problem), "")
    return f"{place}: {remedy} ({said})" if remedy else f"{place}: {said}"
