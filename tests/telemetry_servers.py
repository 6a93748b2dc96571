"""A small Langfuse and a small Opik on the loopback: they speak the wire formats, and can misbehave.

Both keep what they were told under its ids, as the real ones do, and note what those would not have taken.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.slack_server import listening

PUBLIC, SECRET, API_KEY, WORKSPACE = "pk-lf-test", "sk-lf-test", "opik-key-test", "operations"
Answer = tuple[int, dict[str, str], bytes]
OK: Answer = (200, {"content-type": "application/json"}, b"{}")
NO_CONTENT: Answer = (204, {}, b"")
_PROTOBUF = {"content-type": "application/x-protobuf"}


@dataclass
class Told:
    """A span as Langfuse keeps it."""

    trace: str
    id: str
    parent: str
    name: str
    start: datetime
    end: datetime
    failed: bool
    attributes: dict[str, Any]

    def json(self, name: str) -> Any:
        """An attribute that holds JSON."""
        return json.loads(self.attributes[name])

    @property
    def tags(self) -> list[str]:
        """What it is found under."""
        found: list[str] = self.attributes["langfuse.trace.tags"]
        return found


@dataclass
class Server:
    """What was asked of it, and how it behaves.

    Attributes:
        misbehave: may answer a request instead of it, by its path and its body; nothing is kept then.
        late: may answer instead of it after it has kept what it was told.
        delay: seconds before an answer.
        held: an answer waits for this, if it is set.
    """

    url: str = ""
    calls: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    misbehave: Callable[[str, Any], Answer | None] = lambda path, body: None
    late: Callable[[str], Answer | None] = lambda path: None
    delay: float = 0.0
    held: threading.Event | None = None
    waiting: int = 0

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """What it says to a request."""
        self.calls.append(path)
        plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        document = self._read(path, headers, plain)
        if (said := self.misbehave(path, document)) is not None:
            return said
        if not self._knows(headers):
            return 401, {}, b'{"message": "Invalid credentials"}'
        said = self._keep(method, path, document)
        return self.late(path) or said

    def _read(self, path: str, headers: dict[str, str], plain: bytes) -> Any:
        return json.loads(plain)

    def _knows(self, headers: dict[str, str]) -> bool:
        raise NotImplementedError

    def _keep(self, method: str, path: str, document: Any) -> Answer:
        raise NotImplementedError

    def _fault(self, wrong: bool, what: str) -> None:
        if wrong:
            self.faults.append(what)


@dataclass
class LangfuseServer(Server):
    """Langfuse: spans and scores by id."""

    spans: dict[str, Told] = field(default_factory=dict)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    received: Counter[str] = field(default_factory=Counter)

    def found(self, tag: str) -> set[str]:
        """Ids of the traces under a tag."""
        return {span.trace for span in self.spans.values() if tag in span.tags}

    def trace(self, id: str) -> list[Told]:
        """A trace's spans by their start, the root first."""
        spans = [span for span in self.spans.values() if span.trace == id]
        return sorted(spans, key=lambda span: (bool(span.parent), span.start))

    def _read(self, path: str, headers: dict[str, str], plain: bytes) -> Any:
        if path.endswith("/traces"):
            self._fault(headers.get("content-type") != "application/x-protobuf", "no protobuf")
            return ExportTraceServiceRequest.FromString(plain)
        return json.loads(plain)

    def _knows(self, headers: dict[str, str]) -> bool:
        expected = base64.b64encode(f"{PUBLIC}:{SECRET}".encode()).decode()
        return headers.get("authorization") == f"Basic {expected}"

    def _keep(self, method: str, path: str, document: Any) -> Answer:
        if (method, path) == ("POST", "/api/public/otel/v1/traces"):
            return self._keep_spans(document)
        if (method, path) == ("POST", "/api/public/scores"):
            return self._keep_scores(document)
        return 404, {}, b"{}"

    def _keep_spans(self, request: ExportTraceServiceRequest) -> Answer:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self._fault(scope.scope.name != "langfuse-sdk", f"scope {scope.scope.name}")
                for span in scope.spans:
                    self._keep_span(span)
        return 200, _PROTOBUF, ExportTraceServiceResponse().SerializeToString()

    def _keep_span(self, span: Any) -> None:
        attributes = {each.key: _value(each.value) for each in span.attributes}
        told = Told(
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            name=span.name,
            start=_time(span.start_time_unix_nano),
            end=_time(span.end_time_unix_nano),
            failed=span.status.code == 2,
            attributes=attributes,
        )
        self._fault(len(told.trace) != 32 or len(told.id) != 16, f"ids {told.trace} {told.id}")
        self._fault(told.end < told.start, f"{told.name} ends before it starts")
        self._fault(not attributes.get("langfuse.observation.type"), f"{told.name} has no type")
        long = [name for name, value in attributes.items() if "trace.metadata" in name and len(value) > 200]
        self._fault(bool(long), f"too long: {long}")
        self.spans[told.id] = told
        self.received[told.id] += 1

    def _keep_scores(self, scores: Any) -> Answer:
        self._fault(not isinstance(scores, list), "scores are no list")
        for score in scores:
            self._fault(not score.get("traceId") or not score.get("name"), f"score {score}")
            self._fault(not re.search(r"(Z|[+-]\d\d:\d\d)$", score.get("timestamp", "")), f"score {score}")
            self.scores[score["id"]] = score
        return 202, {"content-type": "application/json"}, b'{"message": "Accepted"}'


@dataclass
class OpikServer(Server):
    """Opik: traces and spans by id, feedback scores by what they are about and their name."""

    traces: dict[str, dict[str, Any]] = field(default_factory=dict)
    spans: dict[str, dict[str, Any]] = field(default_factory=dict)
    scores: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def below(self, id: str | None) -> list[dict[str, Any]]:
        """The spans under a span, by their start; with None those right under their trace."""
        spans = [span for span in self.spans.values() if span.get("parent_span_id") == id]
        return sorted(spans, key=lambda span: str(span["start_time"]))

    def _knows(self, headers: dict[str, str]) -> bool:
        return headers.get("authorization") == API_KEY and headers.get("comet-workspace") == WORKSPACE

    def _keep(self, method: str, path: str, document: Any) -> Answer:
        what = path.removeprefix("/api/v1/private/")
        if (method, what) == ("POST", "traces/batch"):
            for trace in document["traces"]:
                self._look(trace)
                self.traces[trace["id"]] = trace
        elif (method, what) == ("POST", "spans/batch"):
            for span in document["spans"]:
                self._look(span)
                self._fault(span["trace_id"] not in self.traces, f"{span['name']} belongs to no trace")
                self.spans[span["id"]] = span
        elif method == "PUT" and what in ("traces/feedback-scores", "spans/feedback-scores"):
            for score in document["scores"]:
                known = self.traces if what.startswith("traces") else self.spans
                self._fault(score["id"] not in known, f"score about nothing: {score}")
                self.scores[(score["id"], score["name"])] = score
        else:
            return 404, {}, b"{}"
        return NO_CONTENT

    def _look(self, told: dict[str, Any]) -> None:
        self._fault(UUID(told["id"]).version != 7, f"{told['id']} is no UUIDv7")
        start, end = datetime.fromisoformat(told["start_time"]), datetime.fromisoformat(told["end_time"])
        self._fault(end < start, f"{told['name']} ends before it starts")


def rejecting(spans: int, why: str) -> Answer:
    """Langfuse's 200 that has not taken all."""
    partial = ExportTracePartialSuccess(rejected_spans=spans, error_message=why)
    return 200, _PROTOBUF, ExportTraceServiceResponse(partial_success=partial).SerializeToString()


def failing(status: int, text: str = "", **headers: str) -> Answer:
    """An error."""
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, text.encode()


@contextmanager
def langfuse_serving() -> Iterator[LangfuseServer]:
    """A Langfuse for the time of a test."""
    server = LangfuseServer()
    with listening(_app(server)) as url:
        server.url = url
        yield server
        _let_go(server)


@contextmanager
def opik_serving() -> Iterator[OpikServer]:
    """An Opik for the time of a test."""
    server = OpikServer()
    with listening(_app(server)) as url:
        server.url = f"{url}/api"
        yield server
        _let_go(server)


def _let_go(server: Server) -> None:
    server.delay = 0.0
    if server.held:
        server.held.set()


def _app(server: Server) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        status, extra, said = server.answer(scope["method"], scope["path"], headers, body)
        asked = time.monotonic()
        while time.monotonic() - asked < server.delay:
            await asyncio.sleep(0.01)
        if server.held:
            server.waiting += 1
            while not server.held.is_set():
                await asyncio.sleep(0.01)
        fields = [(name.encode(), value.encode()) for name, value in extra.items()]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": said})

    return app


def _value(value: Any) -> Any:
    if value.HasField("array_value"):
        return [_value(each) for each in value.array_value.values]
    if value.HasField("bool_value"):
        return value.bool_value
    return value.string_value


def _time(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1_000_000_000, UTC)
