"""Requests that are not let in, and how they are told: always JSON, always with what to do."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("aspora.gateway")

_SENTENCES = {
    404: "there is nothing at this address; /docs lists what there is",
    405: "this address does not take this method; the Allow header says which it takes",
}


class Refusal(Exception):
    """A request is not let in.

    Args:
        status: the HTTP status.
        error: what is wrong and what to do, for people.
        headers: of the answer.
        more: further keys of the answer.
    """

    def __init__(
        self, status: int, error: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(error)
        self.status = status
        self.headers = dict(headers or {})
        self.content = {"error": error, **more}


async def refused(request: Request, error: Exception) -> Response:
    """The answer to a refused request."""
    if not isinstance(error, Refusal):
        raise error
    return JSONResponse(error.content, error.status, error.headers)


async def unreachable(request: Request, error: Exception) -> Response:
    """The answer when the database can't be used."""
    log.error("%s: %s", _route(request.scope), error)
    said = "the database can't be used now; come again later"
    return JSONResponse({"error": said}, 503, {"Retry-After": "1"})


async def astray(request: Request, error: Exception) -> Response:
    """The answer to a request that no route takes."""
    if not isinstance(error, HTTPException):
        raise error
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request))
    said = _SENTENCES.get(error.status_code) or str(error.detail)
    return JSONResponse({"error": said}, error.status_code, headers)


def _methods(request: Request) -> list[str]:
    found: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found)


class Guard:
    """Around the whole application: what goes wrong in it is logged without its data, and answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        begun = False

        async def note(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, note)
        except Exception as error:
            if scope["type"] != "http":
                raise
            log.error("%s %s failed: %s", scope["method"], _route(scope), where(error))  # noqa: TRY400
            if not begun:
                said = "this is a fault of Aspora's gateway; its log says where it failed"
                await JSONResponse({"error": said}, 500)(scope, receive, send)


def where(error: BaseException) -> str:
    """An error's type and place; its message may hold what must not be logged."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "an unknown address"))
