"""Telemetry: what Langfuse and Opik are told, which of them is set up, and how they are spoken to.

Nothing here imports their SDKs. `destination` does, and only for one that is set up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import urlsplit

from blocks.messengers import Limited, Refused, Unreachable, wait
from blocks.printable import printable
from blocks.secrets import secret

if TYPE_CHECKING:
    import httpx

SECONDS = 15.0
"""How long telling may take in all; less than a part of `aspora up` is given to stop."""
LANGFUSE_CLOUD = "https://cloud.langfuse.com"
OPIK_CLOUD = "https://www.comet.com/opik/api"
NAMES = {"langfuse": "Langfuse", "opik": "Opik"}
_LONGEST_REASON = 300
_CONFIRMS = (200, 201, 202, 204)
_OF_THE_DESTINATION = (401, 402, 403, 404, 405, 407)
"""Answers that tell of a wrong key or address, not of what was sent."""

Kind = Literal["skill", "tool", "model"]
Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Span:
    """What took time: a skill, a tool call or a model turn.

    Attributes:
        key: names it for ever; ids are made of it.
        parent: key of the span that it is part of; empty for the trace itself.
        note: what was wrong, if `level` is not `ok`.
        tokens: by kind: `input`, `output`, `cache_read`, `cache_write`.
        cost: dollars by the same kinds, and `total`.
    """

    key: str
    name: str
    kind: Kind
    start: datetime
    end: datetime
    parent: str = ""
    input: Any = None
    output: Any = None
    level: Level = "ok"
    note: str = ""
    model: str = ""
    provider: str = ""
    tokens: Mapping[str, int] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trace:
    """A whole that is looked at as one: an execution for Langfuse, a run for Opik.

    Attributes:
        key: names it for ever; ids are made of it.
        stamp: the time that goes into its id, where ids have one; it never changes either.
        session: what traces are grouped by.
        spans: all of them, or those that are new; a destination keeps what it has.
    """

    key: str
    name: str
    start: datetime
    end: datetime
    stamp: datetime | None = None
    session: str = ""
    input: Any = None
    output: Any = None
    level: Level = "ok"
    note: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Score:
    """What people say about an execution. Told again under the same keys, it takes the former one's place.

    Attributes:
        trace: the trace that it is about; `span` one of its spans.
        at: when it was first said.
    """

    trace: Trace
    span: Span | None
    name: str
    value: float
    comment: str
    at: datetime
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Destination(Protocol):
    """Langfuse or Opik."""

    async def send(self, traces: Sequence[Trace], scores: Sequence[Score]) -> None:
        """Tells it, and returns once it has confirmed all. The same again changes nothing there.

        Raises:
            Unreachable: no usable answer in time.
            Limited: it asks to come back later.
            Refused: it does not take this; if not `final`, it takes nothing at all as it is set up.
        """

    async def close(self) -> None:
        """Closes its connections."""


@dataclass(frozen=True)
class Settings:
    """A destination that is set up."""

    name: str
    url: str
    key: str = field(repr=False)
    secret: str = field(default="", repr=False)
    workspace: str = ""

    @property
    def place(self) -> str:
        """Its address for people, without credentials."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}" if host else self.url.rpartition("@")[2]

    @property
    def title(self) -> str:
        """How it calls itself."""
        return NAMES[self.name]


def configured() -> dict[str, Settings]:
    """The destinations that are set up, by name."""
    found: dict[str, Settings] = {}
    public, private = secret("LANGFUSE_PUBLIC_KEY"), secret("LANGFUSE_SECRET_KEY")
    if public and private:
        url = secret("LANGFUSE_HOST") or secret("LANGFUSE_BASE_URL") or LANGFUSE_CLOUD
        found["langfuse"] = Settings("langfuse", url.rstrip("/"), public, private)
    url, key = secret("OPIK_URL_OVERRIDE"), secret("OPIK_API_KEY")
    if url or key:
        workspace = secret("OPIK_WORKSPACE")
        found["opik"] = Settings("opik", (url or OPIK_CLOUD).rstrip("/"), key, workspace=workspace)
    return found


def whereabouts() -> dict[str, str]:
    """Where telemetry goes, for people: each destination's address, or why it is off."""
    found = configured()
    return {name: found[name].place if name in found else _why_off(name) for name in NAMES}


def destination(settings: Settings) -> Destination:
    """A client of a destination. This imports its SDK, which takes seconds."""
    if settings.name == "langfuse":
        from blocks.langfuse import Langfuse

        return Langfuse(settings)
    from blocks.opik import Opik

    return Opik(settings)


def http_client(**headers: str) -> httpx.AsyncClient:
    """An HTTP client that takes nothing but a confirmation for one.

    Redirects are not followed: telemetry goes where the settings say, or nowhere.
    """
    import httpx

    async def look(answer: httpx.Response) -> None:
        await answer.aread()
        judge(answer)

    return httpx.AsyncClient(
        headers=headers, timeout=SECONDS, follow_redirects=False, event_hooks={"response": [look]}
    )


def judge(answer: httpx.Response) -> None:
    """Raises what `Destination.send` raises, unless the answer confirms all that was sent."""
    status, page = answer.status_code, "html" in answer.headers.get("content-type", "")
    if status in _CONFIRMS and not page:
        return
    if status == 429:
        raise Limited(wait(answer.headers.get("retry-after")))
    said = f"HTTP {status}" + (f": {said}" if (said := _said(answer, page)) else "")
    if status == 408 or status >= 500:
        raise Unreachable(said)
    raise Refused(said, final=status == 207 or (status >= 400 and status not in _OF_THE_DESTINATION))


@asynccontextmanager
async def bounded() -> AsyncIterator[None]:
    """What is done here ends in time, and fails as `Destination.send` does."""
    import httpx

    try:
        async with asyncio.timeout(SECONDS):
            yield
    except (TimeoutError, httpx.TimeoutException) as error:
        raise Unreachable(f"no answer within {SECONDS:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
        raise Unreachable(f"{type(error).__name__}: {error}"[:_LONGEST_REASON]) from error


def _why_off(name: str) -> str:
    if name == "langfuse":
        for one, other in _PAIR:
            if secret(one) and not secret(other):
                return f"off: {one} is set and {other} is not"
    return "off"


def _said(answer: httpx.Response, page: bool) -> str:
    return "a web page" if page else printable(" ".join(answer.text.split())[:_LONGEST_REASON])


_PAIR = (("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"), ("LANGFUSE_SECRET_KEY", "LANGFUSE_PUBLIC_KEY"))
