"""Langfuse: traces over OTLP, and scores.

The SDK's own tracing can't be used here: `start_observation` knows no past start, its exporter works in the
background and tells nobody what was taken, reads no `partial_success`, and takes a redirect for a success. So
spans are written in the SDK's wire format, with its attribute names and its headers, and posted as one
request whose answer counts. There is no global tracer provider, so nobody else's spans go along. Scores go
through the SDK's lower client.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

import httpx
from google.protobuf.message import DecodeError
from langfuse import LangfuseOtelSpanAttributes as Name
from langfuse.api import AsyncLangfuseAPI
from langfuse.api.core import ApiError
from langfuse.api.scores import CreateScoreRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from blocks.messengers import Refused, Unreachable
from blocks.telemetry import Level, Score, Settings, Span, Trace, bounded, http_client

SDK = "python"
VERSION = version("langfuse")
"""The server reads what is sent as this version of the SDK writes it."""
SCOPE = "langfuse-sdk"
LONGEST = 200
"""Characters of a value that is told with every span; Langfuse drops longer ones."""
_TYPES = {"skill": "agent", "tool": "tool", "model": "generation"}
_LEVELS: dict[Level, str] = {"ok": "DEFAULT", "warning": "WARNING", "error": "ERROR"}
_TOKENS = {
    "input": "input",
    "output": "output",
    "cache_read": "cache_read_input_tokens",
    "cache_write": "cache_creation_input_tokens",
    "total": "total",
}
"""Our kinds of tokens → Langfuse's."""


class Langfuse:
    """Langfuse's project of these keys."""

    def __init__(self, settings: Settings) -> None:
        token = base64.b64encode(f"{settings.key}:{settings.secret}".encode()).decode()
        headers = {
            "Authorization": f"Basic {token}",
            "x-langfuse-sdk-name": SDK,
            "x-langfuse-sdk-version": VERSION,
            "x-langfuse-public-key": settings.key,
            "x-langfuse-ingestion-version": "4",
        }
        self._traces = f"{settings.url}/api/public/otel/v1/traces"
        self._http = http_client(**headers)
        self._api = AsyncLangfuseAPI(
            base_url=settings.url,
            username=settings.key,
            password=settings.secret,
            x_langfuse_sdk_name=SDK,
            x_langfuse_sdk_version=VERSION,
            x_langfuse_public_key=settings.key,
            httpx_client=self._http,
        )

    async def send(self, traces: Sequence[Trace], scores: Sequence[Score]) -> None:
        """Tells Langfuse; see `blocks.telemetry.Destination`.

        Each score is a request of its own: of several, an answer does not say which was not taken.
        """
        async with bounded():
            if traces:
                answer = await self._http.post(
                    self._traces,
                    content=gzip.compress(request(traces).SerializeToString(), 6),
                    headers={"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"},
                )
                _look_for_rejected(answer)
            for score in scores:
                await self._score(score)

    async def close(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    async def _score(self, score: Score) -> None:
        told = CreateScoreRequest(
            id=_digest(f"{score.trace.key}/{score.name}", 16),
            trace_id=trace_id(score.trace.key),
            observation_id=None if score.span is None else span_id(score.span.key),
            name=score.name,
            value=score.value,
            data_type="BOOLEAN",
            comment=score.comment,
            metadata=dict(score.metadata),
            timestamp=score.at,
        )
        try:
            answer = await self._api.scores.create(request=[told], request_options={"max_retries": 0})
        except (ApiError, ValueError) as error:
            raise Unreachable("the answer to a score can't be read") from error
        if getattr(answer, "rejected", 0):
            raise Refused(f"the score was rejected: {answer!r}"[:LONGEST], final=True)


def trace_id(key: str) -> str:
    """As `Langfuse.create_trace_id(seed=key)`."""
    return _digest(key, 16)


def span_id(key: str) -> str:
    """As `Langfuse.create_observation_id(seed=key)`."""
    return _digest(key, 8)


def request(traces: Iterable[Trace]) -> ExportTraceServiceRequest:
    """All spans of the traces in OTLP."""
    spans = [_span(trace, span) for trace in traces for span in trace.spans]
    scope = trace_pb2.ScopeSpans(scope=InstrumentationScope(name=SCOPE, version=VERSION), spans=spans)
    resource = Resource(attributes=_attributes({"service.name": "aspora"}))
    return ExportTraceServiceRequest(
        resource_spans=[trace_pb2.ResourceSpans(resource=resource, scope_spans=[scope])]
    )


def _span(trace: Trace, span: Span) -> trace_pb2.Span:
    code = trace_pb2.Status.STATUS_CODE_ERROR if span.level == "error" else trace_pb2.Status.STATUS_CODE_UNSET
    return trace_pb2.Span(
        trace_id=bytes.fromhex(trace_id(trace.key)),
        span_id=bytes.fromhex(span_id(span.key)),
        parent_span_id=bytes.fromhex(span_id(span.parent)) if span.parent else b"",
        name=span.name,
        kind=trace_pb2.Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=_nanoseconds(span.start),
        end_time_unix_nano=_nanoseconds(span.end),
        attributes=_attributes({**_of_trace(trace), **_of_span(span)}),
        status=trace_pb2.Status(code=code, message=span.note if span.level == "error" else ""),
    )


def _of_trace(trace: Trace) -> dict[str, Any]:
    """What every span of the trace tells, as Langfuse searches spans."""
    metadata = {f"{Name.TRACE_METADATA}.{name}": _json(value) for name, value in trace.metadata.items()}
    return {
        Name.TRACE_NAME: trace.name,
        Name.TRACE_SESSION_ID: trace.session,
        Name.TRACE_TAGS: list(trace.tags),
        **{name: value for name, value in metadata.items() if len(value) <= LONGEST},
    }


def _of_span(span: Span) -> dict[str, Any]:
    metadata = {f"{Name.OBSERVATION_METADATA}.{name}": _json(value) for name, value in span.metadata.items()}
    told = {
        Name.OBSERVATION_TYPE: _TYPES[span.kind],
        Name.OBSERVATION_LEVEL: _LEVELS[span.level],
        Name.OBSERVATION_STATUS_MESSAGE: span.note or None,
        Name.OBSERVATION_INPUT: _text(span.input),
        Name.OBSERVATION_OUTPUT: _text(span.output),
        Name.OBSERVATION_MODEL: span.model or None,
        Name.OBSERVATION_USAGE_DETAILS: _json(_by_kind(span.tokens)) if span.tokens else None,
        Name.OBSERVATION_COST_DETAILS: _json(_by_kind(span.cost)) if span.cost else None,
        Name.IS_APP_ROOT: None if span.parent else True,
        **metadata,
    }
    return {name: value for name, value in told.items() if value is not None}


def _by_kind(amounts: Mapping[str, float]) -> dict[str, float]:
    return {_TOKENS[kind]: amount for kind, amount in amounts.items()}


def _attributes(values: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_value(value)) for name, value in values.items()]


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[_value(each) for each in value]))
    return AnyValue(string_value=_encodable(str(value)))


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _encodable(text: str) -> str:
    """Half of a surrogate pair, as broken JSON brings, has no place in UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _nanoseconds(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000) * 1_000


def _digest(text: str, size: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()[:size].hex()


def _look_for_rejected(answer: httpx.Response) -> None:
    """Raises Refused if the answer says that spans were not taken, and Unreachable if it can't be read."""
    try:
        rejected, why = _rejected(answer)
    except (DecodeError, ValueError, TypeError, AttributeError) as error:
        raise Unreachable(f"HTTP {answer.status_code} with an answer that is no OTLP") from error
    if rejected:
        raise Refused(f"{rejected} spans were rejected: {why[:LONGEST]}", final=True)


def _rejected(answer: httpx.Response) -> tuple[int, str]:
    """How many spans, and why."""
    if not answer.content:
        return 0, ""
    if "json" in answer.headers.get("content-type", ""):
        partial = (answer.json() or {}).get("partialSuccess") or {}
        return int(partial.get("rejectedSpans") or 0), str(partial.get("errorMessage") or "")
    said = ExportTraceServiceResponse.FromString(answer.content).partial_success
    return said.rejected_spans, said.error_message
