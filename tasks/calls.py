"""Executes one action on one object: the HTTP call that config declares."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import httpx

from blocks.config import Action
from blocks.home import home
from blocks.secrets import secret
from tasks.actions import Ending
from tasks.domain import Domain

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
_NOT_DONE = (307, 308)
"""Redirects that ask for the same request elsewhere. After others it may be done."""
MAX_RESPONSE = 2000
"""Characters of a response that the record keeps."""


class Unfit(ValueError):
    """No request can be made for an object. The message says why."""


class Call(Protocol):
    """Where a call goes: an action, or its undo."""

    @property
    def url(self) -> str:
        """With fields of the object in braces."""

    @property
    def method(self) -> str:
        """The HTTP method."""


def client(code: Domain) -> httpx.AsyncClient:
    """An HTTP client for actions; a domain's sample company answers under its own scheme.

    Redirects are not followed: an action goes where config says, or nowhere.
    """
    mounts = {scheme: build(Path(home())) for scheme, build in code.companies.items()}
    return httpx.AsyncClient(mounts=mounts, follow_redirects=False)


def prepare(call: Call, fields: Mapping[str, str], body: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The request for one object, as the record keeps it: method, URL, body.

    Args:
        body: body field → field of the object.

    Raises:
        Unfit: the URL or the body names a field that the object lacks, or one that would change the path.
    """
    missing = {*_PLACEHOLDER.findall(call.url), *(body or {}).values()} - fields.keys()
    if missing:
        raise Unfit(f"{call.url} needs the field {', '.join(sorted(missing))}, which the object lacks")
    return {
        "method": call.method,
        "url": _PLACEHOLDER.sub(lambda match: _quoted(match[1], fields[match[1]]), call.url),
        "body": {name: fields[source] for name, source in (body or {}).items()},
    }


def missing_token(action: Action) -> str:
    """The environment variable that the action needs and that is not set; empty if all is there."""
    return action.token_env if action.token_env and not secret(action.token_env) else ""


async def send(
    http: httpx.AsyncClient, action: Action, request: Mapping[str, Any], idempotency_key: str
) -> tuple[Ending, dict[str, Any]]:
    """Sends a prepared request.

    Returns:
        `done` on 2xx; `failed` if nothing was sent or the other side said no, with its words; `unknown` if it
        did not answer in time or broke down, so that it may have acted.
    """
    try:
        headers = _headers(action, idempotency_key)
        async with asyncio.timeout(action.timeout.total_seconds()):
            status, text = await _exchange(http, action, request, headers)
    except (*_NOTHING_SENT, UnicodeError) as error:
        return "failed", {"reason": f"can't reach {request['url']}: {error or type(error).__name__}"}
    except (httpx.HTTPError, TimeoutError) as error:
        reason = str(error) or f"nothing within {action.timeout.total_seconds():g} s"
        return "unknown", {"reason": f"no answer from {request['url']}: {reason}"}
    return _ending(status), {"status": status, "body": text}


async def _exchange(
    http: httpx.AsyncClient, action: Action, request: Mapping[str, Any], headers: Mapping[str, str]
) -> tuple[int, str]:
    """Status and the beginning of the body; the rest is not read."""
    method, url, body = request["method"], request["url"], request["body"] or None
    seconds = action.timeout.total_seconds()
    async with http.stream(method, url, json=body, headers=headers, timeout=seconds) as response:
        kept = b""
        async for chunk in response.aiter_bytes():
            kept += chunk
            if len(kept) >= 4 * MAX_RESPONSE:
                break
        return response.status_code, kept.decode(errors="replace")[:MAX_RESPONSE]


def _ending(status: int) -> Ending:
    if 200 <= status < 300:
        return "done"
    return "failed" if 400 <= status < 500 or status in _NOT_DONE else "unknown"


def _headers(action: Action, idempotency_key: str) -> dict[str, str]:
    headers = {action.idempotency_header: idempotency_key}
    if action.token_env:
        headers["Authorization"] = f"Bearer {secret(action.token_env)}"
    return headers


def _quoted(name: str, value: str) -> str:
    if value.strip(".") == "":
        raise Unfit(f"{name} {value!r} can't stand in a URL")
    return quote(value, safe="")
