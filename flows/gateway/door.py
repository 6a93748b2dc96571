"""What every route needs: who is let in, how often, and where messages go."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import math
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn, TypeVar

from starlette.requests import Request

from blocks.config import Config
from blocks.secrets import secret
from flows.gateway import body
from flows.gateway.flood import Flood
from flows.gateway.intake import SECONDS, Intake, Message, Unstored
from flows.gateway.refusal import Refusal
from flows.gateway.token import generated_token
from tasks.inbox import Trigger
from tasks.platform import Platform

T = TypeVar("T")

log = logging.getLogger("aspora.gateway")

SIGNATURE_SECONDS = 300.0
"""How long Slack's signature of a request holds."""
LOG_SECONDS = 10.0
"""Between two lines about requests of one route that were turned away."""
BEARER = "the bearer token is missing or wrong; send Authorization: Bearer and the token"


class Door:
    """The gateway's state: one for each application."""

    def __init__(self, platform: Platform, clock: Callable[[], float] = time.monotonic) -> None:
        self.platform = platform
        self.intake = Intake(platform)
        self._generated = "" if secret("ASPORA_GATEWAY_TOKEN") else generated_token()
        self._flood = Flood(self.config.gateway.flood, clock)
        self._clock = clock
        self._turned_away: dict[str, tuple[int, float]] = {}
        self._errands: set[asyncio.Task[Any]] = set()
        self._seen: dict[str, float] = {}

    @property
    def token(self) -> str:
        """The gateway's token; one in a Prefect block counts as soon as it is read."""
        return secret("ASPORA_GATEWAY_TOKEN") or self._generated

    @property
    def config(self) -> Config:
        """The config as it was when the gateway started."""
        return self.platform.config

    async def store(self, messages: Sequence[Message], seconds: float = SECONDS) -> list[Trigger | None]:
        """Each message's row, once all are stored; Refusal (503) if they could not be."""
        try:
            return await self.intake.store(messages, seconds)
        except Unstored as error:
            raise Refusal(503, str(error), {"Retry-After": "1"}) from None

    def admit(self, request: Request, route: str, genuine: bool, told: str) -> None:
        """Lets a request in whose sender has proven itself.

        Forged requests have a limit of their own: they keep no genuine one out.

        Raises:
            Refusal: 401 with `told`, or 429 when there are too many of the kind.
        """
        if not genuine:
            self.turn_away(request, route, 401, told)
        self._limit(route)

    def turn_away(self, request: Request, route: str, status: int, told: str) -> NoReturn:
        """Refusal of a sender that has not proven itself, and a line in the log."""
        self._note(route, told, request.client.host if request.client else "")
        self._limit(f"not proven: {route}")
        raise Refusal(status, told, {"WWW-Authenticate": "Bearer"} if status == 401 else None)

    def admit_bearer(self, request: Request, route: str, token: str = "") -> None:
        """Lets a request in that carries the bearer token: this one, or the gateway's."""
        self.admit(request, route, bears(request, token or self.token), BEARER)

    def repeated(self, signature: str) -> bool:
        """Whether a request with that signature was let in before, within the time that Slack's ones hold."""
        now = self._clock()
        self._seen = {each: at for each, at in self._seen.items() if now - at < SIGNATURE_SECONDS}
        known = signature in self._seen
        self._seen.setdefault(signature, now)
        return known

    async def ask(self, work: Coroutine[Any, Any, T], seconds: float) -> T | None:
        """What `work` gives; None if it takes longer. It is then finished in the background."""
        task = asyncio.create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        done, _ = await asyncio.wait([task], timeout=seconds)
        return task.result() if done else None

    async def finish(self) -> None:
        """Waits for what is done in the background."""
        if self._errands:
            await asyncio.gather(*self._errands, return_exceptions=True)

    def _limit(self, key: str) -> None:
        wait = self._flood.wait(key)
        if wait:
            seconds = str(math.ceil(wait))
            said = f"too many requests at once; come again in {seconds} s"
            raise Refusal(429, said, {"Retry-After": seconds})

    def _note(self, route: str, told: str, client: str) -> None:
        """A line about a request that was turned away; one for many of them."""
        count, logged = self._turned_away.get(route, (0, -math.inf))
        now = self._clock()
        if now - logged < LOG_SECONDS:
            self._turned_away[route] = (count + 1, logged)
            return
        more = f"; {count} more since the last line" if count else ""
        log.warning("%s: turned away a request from %s: %s%s", route, client or "?", told, more)
        self._turned_away[route] = (0, now)


def of(request: Request) -> Door:
    """The application's door."""
    door: Door = request.app.state.door
    return door


def same(one: str, other: str) -> bool:
    """Whether two secrets are the same, in a time that tells nothing about them; empty ones never are."""
    compared = hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
    return bool(one) and compared


def bears(request: Request, token: str) -> bool:
    """Whether the request carries this bearer token."""
    scheme, _, given = body.header(request, "authorization").partition(" ")
    return scheme.lower() == "bearer" and same(given.strip(), token)


def signed(given: str, key: str, sent: bytes) -> bool:
    """Whether `given`, as `sha256=<hex>` or bare hex, is the HMAC-SHA256 of the body."""
    right = hmac.new(key.encode(), sent, hashlib.sha256).hexdigest()
    return bool(key) and same(given.strip().lower().removeprefix("sha256="), right)
