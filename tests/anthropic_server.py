"""A server on loopback that speaks the Messages API: answers as a test scripted, keeps every request."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Failure:
    """An error answer."""

    status: int
    kind: str = "api_error"
    message: str = "scripted failure"
    headers: dict[str, str] = field(default_factory=lambda: {"retry-after-ms": "1"})


@dataclass(frozen=True)
class Raw:
    """An answer that is no JSON of the Messages API."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"


@dataclass(frozen=True)
class Drop:
    """The connection ends without an answer."""


@dataclass(frozen=True)
class Held:
    """The answer comes only when the test ends or sets the event."""

    until: threading.Event = field(default_factory=threading.Event)


Reply = dict[str, Any] | Failure | Raw | Drop | Held
Script = Reply | Callable[[dict[str, Any]], Reply]


def message(*blocks: dict[str, Any], stop: str = "end_turn", **usage: int) -> dict[str, Any]:
    """A message of these content blocks."""
    return {
        "id": f"msg_{next(_numbers)}",
        "type": "message",
        "role": "assistant",
        "model": "scripted",
        "content": list(blocks),
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 100, "output_tokens": 10, **usage},
    }


def says(answer: Any, stop: str = "end_turn", **usage: int) -> dict[str, Any]:
    """A text answer; anything but a string as JSON."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return message({"type": "text", "text": text}, stop=stop, **usage)


def calls(
    *wanted: tuple[str, Any], thought: str = "", stop: str = "tool_use", **usage: int
) -> dict[str, Any]:
    """A turn that calls tools, each a name with arguments."""
    uses = [
        {"type": "tool_use", "id": f"toolu_{next(_numbers)}", "name": name, "input": arguments}
        for name, arguments in wanted
    ]
    texts = [{"type": "text", "text": thought}] if thought else []
    return message(*texts, *uses, stop=stop, **usage)


class AnthropicServer:
    """The running server. `requests` are the bodies in order of arrival, `headers` theirs."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._script: Iterator[Script] = iter(())
        self._lock = threading.Lock()
        self._held: list[threading.Event] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def script(self, *replies: Script, then: Script | None = None) -> None:
        """The replies to come, and the one for ever after; without it, the test fails with a 400."""
        rest: Iterable[Script] = itertools.repeat(then) if then is not None else ()
        self._script = itertools.chain(replies, rest)

    def text(self) -> str:
        """All that ever arrived."""
        return json.dumps(self.requests, ensure_ascii=False)

    def reply(self, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        """Notes a request and takes the next reply."""
        with self._lock:
            self.requests.append(body)
            self.headers.append(headers)
            reply = next(self._script, Failure(400, "invalid_request_error", "nothing more is scripted"))
        reply = reply(body) if callable(reply) else reply
        if isinstance(reply, Held):
            self._held.append(reply.until)
            reply.until.wait(30)
            return Drop()
        return reply

    @contextmanager
    def running(self) -> Iterator[AnthropicServer]:
        """Serves until the block ends."""
        thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            for event in self._held:
                event.set()
            self._http.shutdown()
            thread.join()
            self._http.server_close()


def _handler(server: AnthropicServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path != "/v1/messages":
                self._send(404, b"no such path", "text/plain", {})
                return
            reply = server.reply(body, {name.lower(): value for name, value in self.headers.items()})
            if isinstance(reply, Drop):
                self.close_connection = True
            elif isinstance(reply, Raw):
                self._send(reply.status, reply.body, reply.content_type, {})
            elif isinstance(reply, Failure):
                error = {"type": "error", "error": {"type": reply.kind, "message": reply.message}}
                self._send(reply.status, json.dumps(error).encode(), "application/json", reply.headers)
            else:
                self._send(200, json.dumps(reply).encode(), "application/json", {})

        def _send(self, status: int, body: bytes, content_type: str, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"content-type": content_type, **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
