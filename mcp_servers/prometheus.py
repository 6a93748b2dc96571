"""A Prometheus server's HTTP API: range queries by service, the service graph, firing alerts. Only reads."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

from blocks.secrets import secret
from mcp_servers import log_lines
from mcp_servers.series import MAX_SERVICES, FiringAlert, Graph, Point, Readings, SeriesError, Span

MAX_POINTS = 11_000
"""Prometheus gives no more for one series."""
MAX_ANSWER = 64_000_000
"""Bytes of one answer."""
MAX_ALERTS = 1000
BATCH = 100
"""Services asked for in one query."""
PARALLEL = 2
_ALL = ".+"


class Prometheus:
    """A source of series.

    Args:
        url: the server's address; `/api/v1/…` is added.
        queries: metric → PromQL. `$service` stands for a pattern of service names, to be used as
            `{service=~"$service"}`, and `$step` for the seconds between samples, as in `[$step]`.
        label: the label of the results that names the service.
        graph: PromQL whose results have the two labels of `ends`; empty if there is none.
        ends: labels of caller and callee.
        bearer_env: the environment variable that holds a bearer token.
        seconds: how long one answer may take.
    """

    def __init__(
        self,
        url: str,
        queries: Mapping[str, str],
        label: str,
        graph: str,
        ends: tuple[str, str],
        bearer_env: str | None,
        seconds: float,
    ) -> None:
        self._url = url.rstrip("/")
        self._queries, self._label = queries, label
        self._graph, self._ends = graph, ends
        self._bearer_env, self._seconds = bearer_env, seconds

    def __str__(self) -> str:
        return f"Prometheus at {self._url}"

    async def read(self, metric: str, services: Sequence[str], span: Span) -> Readings:
        """See `Source`. Steps are widened where a series would have too many points."""
        query = self._queries.get(metric)
        if query is None:
            raise SeriesError(f"there is no metric {metric}; there are: {', '.join(self._queries) or 'none'}")
        step = max(span.step, (span.end - span.start) / (MAX_POINTS - 1), 1.0)
        notes = [f"samples are {step:.0f} s apart, so that they fit"] if step > span.step else []
        async with self._client() as http:
            names = list(services)
            if not names:
                names, cut = await self._services(http, query, span.end, step)
                notes += cut
            batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
            room = asyncio.Semaphore(PARALLEL)
            answers = await asyncio.gather(
                *(self._range(http, room, query, batch, span, step) for batch in batches)
            )
        points = {name: found for answer, _ in answers for name, found in answer.items()}
        wanted = set(names)
        notes += dict.fromkeys(note for _, found in answers for note in found)
        return Readings({name: found for name, found in points.items() if name in wanted}, notes)

    async def graph(self, at: float) -> Graph:
        """See `Source`."""
        if not self._graph:
            return {}
        async with self._client() as http:
            found = await self._ask(http, "query", {"query": self._graph, "time": f"{at:.3f}"})
        calls: Graph = {}
        for series in _results(found, "vector"):
            caller, callee = (str(series["metric"].get(end) or "") for end in self._ends)
            if caller and callee and callee not in calls.setdefault(caller, []):
                calls[caller].append(callee)
        return calls

    async def alerts(self) -> list[FiringAlert]:
        """See `Source`."""
        async with self._client() as http:
            found = await self._ask(http, "alerts", {})
        listed = found.get("alerts") if isinstance(found, dict) else None
        firing = [alert for alert in listed or [] if alert.get("state") == "firing"][:MAX_ALERTS]
        return [_alert(alert) for alert in firing]

    def _client(self) -> httpx.AsyncClient:
        token = secret(self._bearer_env or "")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(base_url=self._url, headers=headers, timeout=self._seconds)

    async def _services(
        self, http: httpx.AsyncClient, query: str, at: float, step: float
    ) -> tuple[list[str], list[str]]:
        """The services that the query has now; the first ones by name if there are too many."""
        asked = f"group by ({self._label}) ({_filled(query, _ALL, step)})"
        found = await self._ask(http, "query", {"query": asked, "time": f"{at:.3f}"})
        named = {str(series["metric"].get(self._label) or "") for series in _results(found, "vector")}
        names = sorted(named - {""})
        cut = f"{len(names)} services; only the first {MAX_SERVICES} by name were read"
        return names[:MAX_SERVICES], [cut] if len(names) > MAX_SERVICES else []

    async def _range(
        self,
        http: httpx.AsyncClient,
        room: asyncio.Semaphore,
        query: str,
        services: Sequence[str],
        span: Span,
        step: float,
    ) -> tuple[dict[str, list[Point]], list[str]]:
        pattern = "|".join(map(_escaped, services))
        asked = {
            "query": _filled(query, pattern, step),
            "start": f"{span.start:.3f}",
            "end": f"{span.end:.3f}",
            "step": f"{step:.3f}",
        }
        async with room:
            found = await self._ask(http, "query_range", asked)
        points: dict[str, list[Point]] = {}
        doubled: set[str] = set()
        for series in _results(found, "matrix"):
            name = str(series["metric"].get(self._label) or "")
            if name in points:
                doubled.add(name)
            else:
                points[name] = list(_points(series.get("values")))
        notes = [
            f"{name} has several series of one metric, of which one was read; aggregate in the query, "
            f"as in sum by ({self._label}) (…)"
            for name in sorted(doubled)[:3]
        ]
        return points, notes

    async def _ask(self, http: httpx.AsyncClient, what: str, asked: Mapping[str, str]) -> Any:
        """The `data` of an answer; queries go as POST, since they may be long."""
        path = f"{self._url}/api/v1/{what}"
        method = "POST" if asked else "GET"
        try:
            async with asyncio.timeout(self._seconds):
                async with http.stream(method, path, data=dict(asked) or None) as response:
                    body = await _body(response)
                status = response.status_code
        except TimeoutError:
            raise self._failed(asked, f"no answer within {self._seconds:g} s", "ask for less") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise self._failed(asked, reason, "check mcp_servers: prometheus") from error
        if body is None:
            reason = f"the answer is larger than {MAX_ANSWER:,} bytes"
            raise self._failed(asked, reason, "aggregate by service in the query, or ask for less")
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict) or said.get("status") != "success":
            told = said.get("error") if isinstance(said, dict) else body[:200].decode(errors="replace")
            raise self._failed(asked, f"HTTP {status}: {told}", "check the query and the address")
        return said.get("data")

    def _failed(self, asked: Mapping[str, str], reason: str, remedy: str) -> SeriesError:
        query = f", query {asked['query'][:300]}" if "query" in asked else ""
        return SeriesError(f"{self}{query}: {reason}; {remedy}")


async def _body(response: httpx.Response) -> bytes | None:
    """The whole body; None if it is too large."""
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > MAX_ANSWER:
            return None
        parts.append(part)
    return b"".join(parts)


def _filled(query: str, pattern: str, step: float) -> str:
    return query.replace("$service", pattern).replace("$step", f"{max(1, round(step))}s")


def _escaped(name: str) -> str:
    """A name as a part of a regular expression within a quoted PromQL string: nothing in it has a meaning."""
    return "".join(_sign(sign) for sign in name)


def _sign(sign: str) -> str:
    if sign.isalnum() or sign == "_":
        return sign
    return f"\\\\x{{{ord(sign):x}}}"


def _results(data: Any, kind: str) -> Iterator[dict[str, Any]]:
    listed = data.get("result") if isinstance(data, dict) and data.get("resultType") == kind else None
    for series in listed if isinstance(listed, list) else []:
        if isinstance(series, dict) and isinstance(series.get("metric"), dict):
            yield series


def _points(values: Any) -> Iterator[Point]:
    for pair in values if isinstance(values, list) else []:
        at, value = float(pair[0]), float(pair[1])
        if math.isfinite(value):
            yield at, value


def _alert(said: Mapping[str, Any]) -> FiringAlert:
    notes = said.get("annotations") or {}
    summary = next((str(notes[name]) for name in ("summary", "description") if notes.get(name)), "")
    labels = {str(name): str(value) for name, value in (said.get("labels") or {}).items()}
    return FiringAlert(labels, log_lines.time_of(said.get("activeAt")) or 0.0, summary)
