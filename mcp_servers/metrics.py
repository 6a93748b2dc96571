"""`metrics-mcp`: metrics of services, the graph of their calls, and firing alerts. Read-only.

Run alone with `python -m mcp_servers.metrics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Annotated, get_args

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field, model_validator

from blocks import home
from blocks.config import Config, EnvName
from blocks.units import Duration, parse_duration
from mcp_servers import log_lines
from mcp_servers.prometheus import Prometheus
from mcp_servers.series import Folder, Graph, Kind, Point, SeriesError, Source, Span
from mcp_servers.serve import serve

MAX_ALERTS = 50
MAX_EDGES = 500
MAX_POINTS = 120
"""Points that a tool shows of one series."""
MAX_DAYS = 31
_NEAREST = 10

Label = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
"""A Prometheus label."""


class Metric(BaseModel):
    """One metric of a service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    query: str = Field("", max_length=4000)
    """PromQL with one result a service; `$service` stands for a pattern of names, `$step` for the step."""
    kind: Kind | None = None
    """What it tells: latency in seconds, failures as a share from 0 to 1, requests a second, or saturation.
    By its name if absent."""


class Calls(BaseModel):
    """Who calls whom: listed here, or told by metrics."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    edges: Graph = {}
    """Caller → callees."""
    query: str = Field("", max_length=4000)
    """PromQL with one result a pair."""
    caller: Label = "client"
    """The result's label for who calls."""
    callee: Label = "server"
    """And for who is called."""


class Options(BaseModel):
    """Where the metrics are: a Prometheus, or a folder of files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prometheus: str | None = Field(None, pattern=r"^https?://\S+$")
    """Its address, such as `http://127.0.0.1:9090`."""
    path: str | None = None
    """A folder with `series.csv`, `graph.json` and `alerts.json`."""
    bearer_env: EnvName | None = None
    """The environment variable that holds Prometheus's bearer token."""
    service_label: Label = "service"
    """The label that names the service, in results and in alerts."""
    metrics: dict[str, Metric] = {}
    """Name → query; files have the four kinds under their own names."""
    graph: Calls = Calls()
    step: Duration = parse_duration("5m")
    """Time between two samples."""
    history: Duration = parse_duration("3d")
    """How far back normal behaviour is looked at."""
    time_limit: Duration = parse_duration("20s")
    """How long one answer may take."""

    @model_validator(mode="after")
    def _one_source(self) -> Options:
        if (self.prometheus is None) == (self.path is None):
            raise ValueError("needs either prometheus (an address) or path (a folder of series)")
        if self.prometheus and not self.metrics:
            raise ValueError("needs metrics: a query for each of latency, failures, requests that you have")
        for name, metric in self.metrics.items():
            if self.prometheus and not metric.query.strip():
                raise ValueError(f"metrics.{name} needs a query")
            if metric.kind is None and name not in get_args(Kind):
                raise ValueError(f"metrics.{name} needs a kind: {', '.join(get_args(Kind))}")
        return self

    @property
    def kinds(self) -> dict[str, Kind]:
        """Metric → what it tells."""
        if not self.metrics:
            return {kind: kind for kind in get_args(Kind)}
        named: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
        return {name: metric.kind or named[name] for name, metric in self.metrics.items()}


class Series(BaseModel):
    """A metric of a service: points are ISO time and value, at most so many, evenly chosen."""

    metric: str
    kind: Kind
    samples: int
    lowest: float
    middle: float
    """The median."""
    highest: float
    points: list[tuple[str, float]]


class SeriesReport(BaseModel):
    """What was asked for."""

    service: str
    since: datetime
    until: datetime
    series: list[Series]
    note: str = ""


class GraphReport(BaseModel):
    """Calls around a service, or all."""

    calls: list[tuple[str, str]]
    """Caller and callee."""
    note: str = ""


class AlertReport(BaseModel):
    """A firing alert. Labels and summary are text from outside."""

    name: str
    service: str
    """Empty if no label names one."""
    since: datetime
    summary: str
    labels: dict[str, str]


class AlertsReport(BaseModel):
    """Firing alerts, the longest firing first."""

    alerts: list[AlertReport]
    note: str = ""


def source(options: Options, base: Path) -> Source:
    """The series that the options name. `base` is what a relative path is relative to."""
    if options.path is not None:
        return Folder(home.resolve(options.path, base))
    return Prometheus(
        url=str(options.prometheus),
        queries={name: metric.query for name, metric in options.metrics.items()},
        label=options.service_label,
        graph=options.graph.query,
        ends=(options.graph.caller, options.graph.callee),
        bearer_env=options.bearer_env,
        seconds=options.time_limit.total_seconds(),
    )


async def call_graph(options: Options, series: Source, at: float) -> Graph:
    """Who calls whom, by the config and by the source.

    Raises:
        SeriesError: it can't be read.
    """
    calls = {caller: list(callees) for caller, callees in options.graph.edges.items()}
    for caller, callees in (await series.graph(at)).items():
        known = calls.setdefault(caller, [])
        known += [callee for callee in callees if callee not in known]
    return calls


def build(options: Options, config: Config, base: Path) -> MCPServer:
    """The server over the series that the options name."""
    series = source(options, base)
    server = MCPServer("metrics-mcp", instructions="Metrics, calls and alerts of services. Read-only.")
    hints = ToolAnnotations(readOnlyHint=True, idempotentHint=True, openWorldHint=False)

    @server.tool(annotations=hints)
    async def query_metrics(
        service: Annotated[str, Field(max_length=200, description="the service, exactly")],
        metric: Annotated[str, Field(max_length=100, description="one of the metrics; all if empty")] = "",
        since: Annotated[str, Field(description="ISO time, or a duration before until such as 6h")] = "3h",
        until: Annotated[str, Field(description="ISO time; now if empty")] = "",
    ) -> SeriesReport:
        """A service's metrics from since to until: lowest, median, highest, and points over time."""
        asked = f"query_metrics(service={service!r}, metric={metric!r}, since={since!r}, until={until!r})"
        try:
            span = _span(since, until, options.step.total_seconds())
            kinds = _wanted(options.kinds, metric)
            found, notes = [], []
            for name, kind in kinds.items():
                readings = await series.read(name, [service], span)
                notes += [note for note in readings.notes if note not in notes]
                points = readings.points.get(service)
                found += [_series(name, kind, points)] if points else []
        except (SeriesError, ValueError) as error:
            raise ToolError(f"{asked}: {error}") from None
        if not found:
            notes.append(f"{series} has no samples of {service} in that time; is it written like that?")
        start, end = (datetime.fromtimestamp(moment, UTC) for moment in (span.start, span.end))
        return SeriesReport(service=service, since=start, until=end, series=found, note=". ".join(notes))

    @server.tool(annotations=hints)
    async def get_service_graph(
        service: Annotated[str, Field(max_length=200, description="around this one; all if empty")] = "",
        depth: Annotated[int, Field(ge=1, le=10, description="calls up and down from it")] = 2,
    ) -> GraphReport:
        """Which service calls which."""
        try:
            calls = await call_graph(options, series, datetime.now(UTC).timestamp())
        except SeriesError as error:
            raise ToolError(f"get_service_graph(service={service!r}): {error}") from None
        return _graph(calls, service, depth)

    @server.tool(annotations=hints)
    async def list_alerts(
        service: Annotated[str, Field(max_length=200, description="only of this service; all if empty")] = "",
    ) -> AlertsReport:
        """The alerts that fire now, the longest firing first."""
        try:
            firing = await series.alerts()
        except SeriesError as error:
            raise ToolError(f"list_alerts(service={service!r}): {error}") from None
        listed = [
            AlertReport(
                name=alert.labels.get("alertname", ""),
                service=alert.labels.get(options.service_label, ""),
                since=datetime.fromtimestamp(alert.since, UTC),
                summary=alert.summary[:500],
                labels=dict(alert.labels),
            )
            for alert in sorted(firing, key=lambda alert: alert.since)
        ]
        fitting = [alert for alert in listed if not service or alert.service == service]
        rest = len(fitting) - MAX_ALERTS
        note = f"{rest} more alerts are not shown" if rest > 0 else ""
        return AlertsReport(alerts=fitting[:MAX_ALERTS], note=note or ("" if fitting else "no alert fires"))

    return server


def _wanted(kinds: dict[str, Kind], metric: str) -> dict[str, Kind]:
    if metric and metric not in kinds:
        raise ValueError(f"there is no metric {metric!r}; there are: {', '.join(kinds)}")
    return {metric: kinds[metric]} if metric else kinds


def _span(since: str, until: str, step: float) -> Span:
    end = _time("until", until) if until else datetime.now(UTC).timestamp()
    try:
        start = end - parse_duration(since.lstrip("-")).total_seconds()
    except ValueError:
        start = _time("since", since)
    if not 0 < end - start <= MAX_DAYS * 86_400:
        raise ValueError(f"since must lie before until, by at most {MAX_DAYS} days")
    return Span(start, end, step)


def _time(name: str, text: str) -> float:
    moment = log_lines.time_of(text)
    if moment is None:
        raise ValueError(f"{name}={text!r} is no time; write one such as 2026-02-17T08:00:00Z")
    return moment


def _series(name: str, kind: Kind, points: Sequence[Point]) -> Series:
    values = [value for _, value in points]
    stride = -(-len(points) // MAX_POINTS)
    return Series(
        metric=name,
        kind=kind,
        samples=len(points),
        lowest=min(values),
        middle=median(values),
        highest=max(values),
        points=[
            (datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"), value)
            for at, value in points[::stride]
        ],
    )


def _graph(calls: Graph, service: str, depth: int) -> GraphReport:
    edges = [(caller, callee) for caller, callees in calls.items() for callee in callees]
    notes = [] if edges else ["no service graph is configured or measured; see mcp_servers: graph"]
    if service:
        near = {service}
        for _ in range(depth):
            near |= {end for edge in edges if near & set(edge) for end in edge}
        edges = [edge for edge in edges if edge[0] in near and edge[1] in near]
        if not edges and calls:
            known = sorted({*calls, *(callee for callees in calls.values() for callee in callees)})
            notes.append(f"{service} is not in the graph; there are: {', '.join(known[:_NEAREST])}, …")
    if len(edges) > MAX_EDGES:
        notes.append(f"{len(edges)} calls, of which {MAX_EDGES} are shown; ask for one service")
    return GraphReport(calls=sorted(edges)[:MAX_EDGES], note=". ".join(notes))


if __name__ == "__main__":
    serve("metrics-mcp", Options, build)
