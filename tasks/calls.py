"""Executes one action on one object: the HTTP call that config declares."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from blocks.config import Action
from blocks.home import home
from tasks.actions import Ending
from tasks.domain import Domain

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
MAX_RESPONSE = 2000
"""Characters of a response that the record keeps."""


def client(code: Domain) -> httpx.AsyncClient:
    """An HTTP client for actions; a domain's sample company answers under its own scheme.

    Redirects are not followed: an action goes where config says, or nowhere.
    """
    mounts = {scheme: build(Path(home())) for scheme, build in code.companies.items()}
    return httpx.AsyncClient(mounts=mounts, follow_redirects=False)


def prepare(action: Action, fields: Mapping[str, str]) -> dict[str, Any]:
    """The request for one object, as the record keeps it: method, URL, body.

    Raises:
        KeyError: the URL or the body names a field that the object lacks.
    """
    url = _PLACEHOLDER.sub(lambda match: quote(fields[match[1]], safe=""), action.url)
    return {
        "method": action.method,
        "url": url,
        "body": {name: fields[source] for name, source in action.body.items()},
    }


async def send(
    http: httpx.AsyncClient, action: Action, request: Mapping[str, Any], idempotency_key: str
) -> tuple[Ending, dict[str, Any]]:
    """Sends a prepared request.

    Returns:
        `done` on 2xx; `failed` if the other side said no, with its words; `unknown` if it did not answer or
        broke down, so that it may have acted.
    """
    headers = {action.idempotency_header: idempotency_key}
    if action.token_env:
        headers["Authorization"] = f"Bearer {os.environ.get(action.token_env, '')}"
    try:
        response = await http.request(
            request["method"],
            request["url"],
            json=request["body"] or None,
            headers=headers,
            timeout=action.timeout.total_seconds(),
        )
    except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        return "failed", {"reason": f"can't reach {request['url']}: {error}"}
    except httpx.HTTPError as error:
        return "unknown", {"reason": f"no answer from {request['url']}: {error or type(error).__name__}"}
    answer = {"status": response.status_code, "body": response.text[:MAX_RESPONSE]}
    if response.is_success:
        return "done", answer
    return ("unknown" if response.status_code >= 500 else "failed"), answer
