"""Opik: traces, spans and feedback scores.

The SDK's `Opik` sends in the background and reports refused connections as flushed, with nothing delivered.
So its generated REST client is used by itself: each call returns when the server has confirmed it. Traces and
spans have ids that follow from their keys, so telling them again replaces them. Its reports of faults and of
usage are off, by variables that it looks at when it is imported.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from blocks.telemetry import Score, Settings, Span, Trace, bounded, http_client

os.environ.update(
    OPIK_SENTRY_ENABLE="false", OPIK_ANALYTICS_ENABLE="false", LITELLM_LOCAL_MODEL_COST_MAP="True"
)

from opik.id_helpers import uuid4_to_uuid7
from opik.rest_api.client import AsyncOpikApi
from opik.rest_api.types.error_info_write import ErrorInfoWrite
from opik.rest_api.types.feedback_score_batch_item import FeedbackScoreBatchItem
from opik.rest_api.types.span_write import SpanWrite
from opik.rest_api.types.trace_write import TraceWrite

PROJECT = "aspora"
"""The project's name, unless OPIK_PROJECT_NAME says otherwise."""
SPANS_AT_ONCE = 500
_TYPES = {"skill": "general", "tool": "tool", "model": "llm"}


class Opik:
    """Opik's workspace."""

    def __init__(self, settings: Settings) -> None:
        self._http = http_client()
        self._project = os.environ.get("OPIK_PROJECT_NAME") or PROJECT
        self._api = AsyncOpikApi(
            base_url=settings.url,
            api_key=settings.key or None,
            workspace_name=settings.workspace or None,
            httpx_client=self._http,
        )

    async def send(self, traces: Sequence[Trace], scores: Sequence[Score]) -> None:
        """Tells Opik; see `blocks.telemetry.Destination`."""
        spans = [self._span(trace, span) for trace in traces for span in trace.spans]
        api = self._api
        async with bounded():
            if traces:
                await api.traces.create_traces(traces=[self._trace(trace) for trace in traces])
            for start in range(0, len(spans), SPANS_AT_ONCE):
                await api.spans.create_spans(spans=spans[start : start + SPANS_AT_ONCE])
            if scores:
                await api.traces.score_batch_of_traces(scores=[self._of_trace(score) for score in scores])
                about = [self._score(each, span_id(each.span), each.value) for each in scores if each.span]
                await api.spans.score_batch_of_spans(scores=about)

    async def close(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    def _trace(self, trace: Trace) -> TraceWrite:
        return TraceWrite(
            id=trace_id(trace),
            project_name=self._project,
            name=trace.name,
            start_time=trace.start,
            end_time=trace.end,
            input=_document(trace.input),
            output=_document(trace.output),
            metadata=dict(trace.metadata),
            tags=list(trace.tags),
            error_info=_error(trace),
            source="sdk",
        )

    def _span(self, trace: Trace, span: Span) -> SpanWrite:
        return SpanWrite(
            id=span_id(span),
            project_name=self._project,
            trace_id=trace_id(trace),
            parent_span_id=_parent_id(trace, span),
            name=span.name,
            type=_TYPES[span.kind],
            start_time=span.start,
            end_time=span.end,
            input=_document(span.input),
            output=_document(span.output),
            metadata={**span.metadata, **({"cost": dict(span.cost)} if span.cost else {})},
            model=span.model or None,
            provider=span.provider or None,
            tags=list(span.tags),
            usage=_usage(span.tokens) if span.tokens else None,
            total_estimated_cost=span.cost.get("total"),
            error_info=_error(span),
            source="sdk",
        )

    def _of_trace(self, score: Score) -> FeedbackScoreBatchItem:
        """For the whole run: 1 as soon as one of its executions was scored so."""
        return self._score(score, trace_id(score.trace), float(score.name in score.trace.tags))

    def _score(self, score: Score, about: str, value: float) -> FeedbackScoreBatchItem:
        return FeedbackScoreBatchItem(
            id=about,
            project_name=self._project,
            name=score.name,
            value=value,
            reason=score.comment,
            source="sdk",
        )


def trace_id(trace: Trace) -> str:
    """The trace's UUIDv7: its stamp, and a digest of its key."""
    return _id(trace.stamp or trace.start, trace.key)


def span_id(span: Span) -> str:
    """The span's UUIDv7: its start, and a digest of its key."""
    return _id(span.start, span.key)


def _id(at: datetime, key: str) -> str:
    digest = hashlib.sha256(key.encode("utf-8", "replace")).digest()
    return str(uuid4_to_uuid7(at, str(UUID(bytes=digest[:16], version=4))))


def _parent_id(trace: Trace, span: Span) -> str | None:
    return next((span_id(each) for each in trace.spans if each.key == span.parent), None)


def _document(content: Any) -> Any:
    """Opik takes objects."""
    return content if isinstance(content, dict) or content is None else {"content": content}


def _usage(tokens: Mapping[str, int]) -> dict[str, int]:
    """In the form that Opik adds up; what Anthropic's own names are is kept beside it."""
    asked = sum(tokens.get(kind, 0) for kind in ("input", "cache_read", "cache_write"))
    answered = tokens.get("output", 0)
    return {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "total_tokens": asked + answered,
        "original_usage.input_tokens": tokens.get("input", 0),
        "original_usage.output_tokens": answered,
        "original_usage.cache_read_input_tokens": tokens.get("cache_read", 0),
        "original_usage.cache_creation_input_tokens": tokens.get("cache_write", 0),
    }


def _error(told: Trace | Span) -> ErrorInfoWrite | None:
    if told.level != "error":
        return None
    return ErrorInfoWrite(exception_type="error", message=told.note, traceback="")
