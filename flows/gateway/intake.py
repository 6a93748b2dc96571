"""Messages that come together are stored together: one transaction for all that wait."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, exc

from blocks.database import DatabaseError
from flows import orchestrator
from flows.gateway.refusal import where
from tasks.domain import Incoming
from tasks.inbox import Trigger
from tasks.platform import Platform

log = logging.getLogger("aspora.gateway")

BATCH = 100
"""Messages of one transaction at most."""
WAITING = 20_000
"""Messages that wait at most; more are told to come again."""
SECONDS = 15.0
"""How long a message may wait to be stored."""


class Unstored(Exception):
    """A message may not have been stored, and must be sent again."""


@dataclass(frozen=True)
class Resolved:
    """An alert ended.

    Attributes:
        dedupe_key: of the message that it came in with.
    """

    dedupe_key: str


Message = Incoming | Resolved


@dataclass(frozen=True)
class _Waiting:
    message: Message
    stored: asyncio.Future[Trigger | Unstored | None]


class Intake:
    """Stores messages, many in one transaction, in the order they came."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._waiting: deque[_Waiting] = deque()
        self._come = asyncio.Event()
        self._closing = False

    async def store(self, messages: Sequence[Message], seconds: float = SECONDS) -> list[Trigger | None]:
        """Each message's row once all are committed; None for an end of what never began.

        Raises:
            Unstored: not all were stored in time; what was is recognised when it is sent again.
        """
        if self._closing:
            raise Unstored("the gateway is being stopped; send it again")
        if len(self._waiting) + len(messages) > WAITING:
            raise Unstored("too much is waiting to be stored; send it again later")
        loop = asyncio.get_running_loop()
        places = [_Waiting(message, loop.create_future()) for message in messages]
        self._waiting.extend(places)
        self._come.set()
        try:
            async with asyncio.timeout(seconds):
                kept = [await place.stored for place in places]
        except TimeoutError:
            raise Unstored(f"it was not stored within {seconds:g} s; send it again") from None
        return [_stored(trigger) for trigger in kept]

    async def work(self) -> None:
        """Stores what comes until `close` was called and nothing waits."""
        while self._waiting or not self._closing:
            if self._waiting:
                many = min(BATCH, len(self._waiting))
                await self._keep([self._waiting.popleft() for _ in range(many)])
            else:
                await self._come.wait()
                self._come.clear()

    def close(self) -> None:
        """Nothing new is taken; `work` ends when all that waits is stored."""
        self._closing = True
        self._come.set()

    async def _keep(self, batch: Sequence[_Waiting]) -> None:
        def work(conn: Connection) -> list[Trigger | None]:
            return [_keep(conn, self._platform, place.message) for place in batch]

        try:
            triggers: Sequence[Trigger | Unstored | None] = await self._platform.database.write(work)
        except Exception as error:
            if len(batch) > 1 and not _unusable(error):
                for place in batch:
                    await self._keep([place])
                return
            said = str(error) if isinstance(error, DatabaseError) else where(error)
            log.error("%d messages were not stored: %s", len(batch), said)  # noqa: TRY400 - no values
            triggers = [Unstored("it could not be stored; send it again")] * len(batch)
        for place, trigger in zip(batch, triggers, strict=True):
            if not place.stored.done():
                place.stored.set_result(trigger)


def _keep(conn: Connection, platform: Platform, message: Message) -> Trigger | None:
    if isinstance(message, Resolved):
        return orchestrator.resolve(conn, platform, message.dedupe_key)
    return orchestrator.receive(conn, platform, message)


def _stored(trigger: Trigger | Unstored | None) -> Trigger | None:
    if isinstance(trigger, Unstored):
        raise trigger
    return trigger


def _unusable(error: Exception) -> bool:
    """Whether the database is at fault, and not one of the messages."""
    cause = error.__cause__
    return isinstance(error, DatabaseError) and not isinstance(
        cause, exc.DataError | exc.IntegrityError | exc.ProgrammingError
    )
