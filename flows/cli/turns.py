"""Prefect's SQLite database, one writing transaction at a time.

Writers that overlap are what SQLite is slow at: Prefect's server answers 503 and its client comes again after
two seconds, or they wait for each other until SQLite gives up after a minute. 25 subflows at once take 31 s
that way, and 4 s in turns; on PostgreSQL they take 5 s on the same machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.database.dependencies import MODELS_DEPENDENCIES
from prefect.settings import get_current_settings
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

_taken: ContextVar[bool] = ContextVar("taken", default=False)


class Turns(AioSqliteConfiguration):
    """The database whose transactions, of requests and of the server's own services, take turns.

    Each holds SQLite's write lock from its start: what services write outside of transactions then waits for
    it, where it would make the transaction fail otherwise. A transaction begun within another's is part of
    the same turn.
    """

    _turn: asyncio.Lock | None = None

    @asynccontextmanager
    async def begin_transaction(
        self, session: AsyncSession, with_for_update: bool = False
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        """A transaction in its turn."""
        if _taken.get():
            async with super().begin_transaction(session, with_for_update) as transaction:
                yield transaction
            return
        self._turn = self._turn or asyncio.Lock()
        async with self._turn:
            token = _taken.set(True)
            try:
                async with super().begin_transaction(session, with_for_update=True) as transaction:
                    yield transaction
            finally:
                _taken.reset(token)


def take_turns() -> None:
    """Makes the server of this process use it, if its database is SQLite. Call before the server is made."""
    database = get_current_settings().server.database
    url = database.connection_url.get_secret_value() if database.connection_url else ""
    if url.startswith("sqlite"):
        MODELS_DEPENDENCIES["database_config"] = Turns(connection_url=url)
