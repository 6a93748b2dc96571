"""Work beside a run: the run does not wait for it, and ends when it is done.

It is for what people look at, such as pages and names. When it fails, that is logged: it fails no run, whose
record stands.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

_works: ContextVar[dict[str, asyncio.Task[None]] | None] = ContextVar("beside", default=None)
"""The newest work about each thing."""

_log = logging.getLogger(__name__)


@asynccontextmanager
async def beside() -> AsyncIterator[None]:
    """Work that is given to `soon` within this block is done when the block ends."""
    works: dict[str, asyncio.Task[None]] = {}
    token = _works.set(works)
    try:
        yield
    finally:
        _works.reset(token)
        await asyncio.gather(*works.values())


async def soon(about: str, work: Coroutine[Any, Any, None]) -> None:
    """Does the work beside the run, after earlier work about the same; here and now outside of `beside`."""
    works = _works.get()
    if works is None:
        await _after(None, about, work)
    else:
        works[about] = asyncio.create_task(_after(works.get(about), about, work))


async def _after(earlier: asyncio.Task[None] | None, about: str, work: Coroutine[Any, Any, None]) -> None:
    try:
        if earlier:
            await earlier
        await work
    except Exception as error:
        _log.warning("what is left about %s is not complete: %r", about, error)
    finally:
        work.close()
