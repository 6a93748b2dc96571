"""Whether an error says that the Prefect server can't be reached: no fault of what a run does."""

from __future__ import annotations

import os

import httpx

_BUSY = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS)


def outage(error: BaseException | None) -> str:
    """How the server at `PREFECT_API_URL` failed, for people; empty if it is not what the error is about."""
    if not isinstance(error, httpx.TransportError | httpx.HTTPStatusError) or not _of_prefect(error):
        return ""
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        lasts = status < httpx.codes.INTERNAL_SERVER_ERROR and status not in _BUSY
        return "" if lasts else f"Prefect answered {status}"
    return f"Prefect can't be reached: {type(error).__name__} {error}".strip()[:300]


def _of_prefect(error: httpx.TransportError | httpx.HTTPStatusError) -> bool:
    api = os.environ.get("PREFECT_API_URL", "").rstrip("/")
    try:
        asked = str(error.request.url)
    except RuntimeError:
        return False
    return bool(api) and asked.startswith(f"{api}/")
