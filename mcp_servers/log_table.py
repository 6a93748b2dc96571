"""An SQL table of log lines as a stream of records. Only ever read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from blocks import home
from blocks.config import Identifier
from blocks.warehouse import read_only
from mcp_servers import log_lines
from mcp_servers.log_files import OutOfTime, Reading
from mcp_servers.log_lines import Record

_BATCH = 2000
_ZONES = timedelta(hours=26)
"""How far two texts of one moment may lie apart when they are written with different offsets."""


class Columns(BaseModel):
    """Which columns hold a log line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time: str
    level: str | None = None
    service: str | None = None
    message: str


class TableOptions(BaseModel):
    """Where the table is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    table: Identifier
    columns: Columns


class LogTableError(Exception):
    """The table can't be read; the text names table, mapping and reason."""


class LogTable:
    """The log lines of one table. `base` is what a relative SQLite file is relative to."""

    def __init__(self, options: TableOptions, base: Path) -> None:
        self._options = options
        url = make_url(options.url)
        if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
            url = url.set(database=str(home.resolve(str(url.database), base)))
        self._url = url
        schema, _, name = options.table.rpartition(".")
        names = [name for name in options.columns.model_dump().values() if name]
        self._table = sa.table(name, *(sa.column(name) for name in names), schema=schema or None)

    def __str__(self) -> str:
        return f"{self._options.table} in {self._url.render_as_string(hide_password=True)}"

    def newest(self, reading: Reading) -> float | None:
        """The time of the newest line; None if the table is empty.

        Raises:
            LogTableError: the table can't be read.
        """
        with self._connection() as connection:
            return log_lines.time_of(connection.execute(sa.select(sa.func.max(self._time))).scalar())

    def read(self, since: float, until: float, reading: Reading) -> Iterator[Record]:
        """The records of `since` ≤ time < `until`.

        Raises:
            LogTableError: the table can't be read.
        """
        with self._connection() as connection:
            probe = connection.execute(sa.select(sa.func.max(self._time))).scalar()
            low, high = (_bound(moment, probe, shift) for moment, shift in ((since, -1), (until, 1)))
            query = sa.select(*self._table.c).where(self._time >= low, self._time <= high)
            rows = connection.execution_options(yield_per=_BATCH).execute(query)
            try:
                for record in self._records(rows, reading):
                    if since <= record.time < until:
                        yield record
            except OutOfTime:
                return

    @property
    def _time(self) -> sa.ColumnElement[Any]:
        return self._table.c[self._options.columns.time]

    def _records(self, rows: sa.CursorResult[Any], reading: Reading) -> Iterator[Record]:
        columns = self._options.columns
        for number, row in enumerate(rows.mappings()):
            if number % _BATCH == 0:
                reading.check()
            when = log_lines.time_of(row[columns.time])
            if when is None:
                reading.add_bad(str(row[columns.time]), self._options.table)
                continue
            message = log_lines.one_line(str(row[columns.message] or ""))
            level = log_lines.level_of(row[columns.level]) if columns.level else ""
            service = str(row[columns.service] or "") if columns.service else ""
            yield Record(when, level or log_lines.guess_level(message), service or "unknown", message)

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        file = self._url.database if self._url.get_backend_name() == "sqlite" else None
        if file and file != ":memory:" and not Path(file).exists():
            raise LogTableError(f"log table {self}: there is no such file; see mcp_servers: table: url")
        engine = sa.create_engine(self._url, poolclass=sa.NullPool)
        read_only(engine)
        try:
            with engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip()
            raise LogTableError(f"log table {self}: {reason}; see mcp_servers: table: columns") from error
        finally:
            engine.dispose()


def _bound(moment: float, probe: object, direction: int) -> Any:
    """A moment as the column writes its times, shifted outward by what comparing texts may miss.

    Args:
        moment: seconds since 1970.
        probe: a value of the column.
        direction: -1 for a lower bound, 1 for an upper one.
    """
    if isinstance(probe, int | float):
        real = log_lines.time_of(probe)
        return (moment + direction) * (probe / real if real else 1)
    when = datetime.fromtimestamp(moment, UTC)
    if isinstance(probe, datetime):
        return when if probe.tzinfo else when.replace(tzinfo=None)
    text = str(probe or "")
    separator = "T" if "T" in text else " "
    return (when + direction * _ZONES).strftime(f"%Y-%m-%d{separator}%H:%M:%S")
