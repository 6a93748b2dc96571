"""A small WhatsApp Cloud API on the loopback: checks the bearer token, keeps messages, can say no."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.slack_server import listening

TOKEN = "whatsapp-test"


@dataclass
class WhatsappServer:
    """What was sent to it. `misbehave` may answer a call instead of it: status, headers, body."""

    url: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    misbehave: Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes] | None] = lambda given: None

    @property
    def texts(self) -> list[str]:
        """The texts that people got, in order."""
        return [message["text"]["body"] for message in self.messages]


def fault(status: int, code: int) -> tuple[int, dict[str, str], bytes]:
    """An error as the Graph API words it."""
    return status, {}, json.dumps({"error": {"message": "no", "code": code}}).encode()


@contextmanager
def serving() -> Iterator[WhatsappServer]:
    """The server for the time of a test."""
    whatsapp = WhatsappServer()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        given = json.loads(message["body"])
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        said = whatsapp.misbehave(given)
        if said is None and headers.get("authorization") != f"Bearer {TOKEN}":
            said = fault(401, 190)
        if said is None:
            whatsapp.paths.append(scope["path"])
            whatsapp.messages.append(given)
            said = 200, {}, json.dumps({"messages": [{"id": f"wamid.{len(whatsapp.messages)}"}]}).encode()
        status, extra, body = said
        fields = [(name.encode(), value.encode()) for name, value in extra.items()]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    with listening(app) as url:
        whatsapp.url = url
        yield whatsapp
