"""`/metrics`: what Prometheus scrapes."""

from __future__ import annotations

import asyncio
from importlib import metadata

from fastapi import APIRouter
from prometheus_client.core import Metric
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from blocks import telemetry
from blocks.database import DatabaseError
from flows.gateway import answers
from tasks import exposition, reading, series
from tasks.platform import Platform

SECONDS = 8.0
"""How long a scrape waits for the database: less than the 10 s after which Prometheus gives up."""
router = APIRouter(tags=["Health"])


class Scrape:
    """What there is to scrape, read once at a time: who asks while it is being read gets the same."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._known = exposition.known(platform.config, platform.provider)
        self._reading: asyncio.Task[list[Metric]] | None = None

    async def metrics(self) -> list[Metric] | None:
        """All metrics; None if the database does not answer in time.

        Raises:
            DatabaseError: it can't be used.
        """
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        done, _ = await asyncio.wait([self._reading], timeout=SECONDS)
        return self._reading.result() if done else None

    async def _read(self) -> list[Metric]:
        destinations = sorted(telemetry.configured())
        return await self._platform.database.read(
            lambda conn: list(
                exposition.metrics(reading.read(conn, self._known.scopes, destinations), self._known)
            )
        )


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        **answers.plain_text("Samples."),
        503: {
            "description": "The database can't be read now.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
    },
    summary="Metrics",
)
async def metrics(request: Request) -> Response:
    """For Prometheus, in its text format; in OpenMetrics, with exemplars, for who accepts that.

    The numbers stand in the database: the same whichever gateway is asked, and going on after a restart.
    """
    scrape: Scrape = request.app.state.scrape
    try:
        found = await scrape.metrics()
    except DatabaseError as error:
        return PlainTextResponse(f"{error}\n", 503)
    if found is None:
        return PlainTextResponse(f"the database did not answer within {SECONDS:g} s\n", 503)
    version = metadata.version("aspora")
    build = series.told("aspora_build_info", "gauge", "The version that runs.", ("version",), {(version,): 1})
    accept = ", ".join(request.headers.getlist("accept"))
    content, kind = await asyncio.to_thread(series.text, [build, *found], accept)
    return Response(content, headers={"Content-Type": kind})
