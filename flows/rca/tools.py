"""`rca-mcp`: which service an alert comes from, worked out from the series of `metrics-mcp`. Read-only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, get_args

import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field

from blocks.config import Config
from flows.rca.analysis import CLEAR, Alert, Candidate, Deviation, Finding, Graph, Kind, Observed, find, reach
from flows.rca.picture import spark
from flows.rca.usual import Point, Points, between
from mcp_servers import log_lines, metrics
from mcp_servers.series import MAX_SERVICES, SeriesError, Source, Span

BEFORE = 3600.0
"""Seconds before the alert that belong to its window; what is earlier is normal behaviour."""
AFTER = 900.0
"""Seconds after the alert that belong to it, as far as they have passed."""
MAX_SUSPECTS = 15
PICTURED = 4
"""Services in the picture."""
SURGE = 1.5
"""Times the usual traffic that count as overload."""
LEAST = 0.01
"""A service with a lower score, and not on the way to the cause, deviates by accident."""
CAUSE_SHARE = 0.25
CAUSE_SCORE = 0.5
"""Beside the first one, a service is a cause with such shares of the alert's excess and the first's score."""


class Options(BaseModel):
    """Where the series are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metrics: str = "metrics-mcp"
    """The section of `mcp_servers` whose series are read; a `module: mcp_servers.metrics`."""


class Suspect(BaseModel):
    """A service that deviates, and what speaks for its being the cause."""

    service: str
    role: Literal["cause", "symptom"]
    score: float
    """0 to 1."""
    share: float
    """Of the alert's excess, what is its own: not explained by what it calls. 0 to 1."""
    usual: float
    peak: float
    spreads: float
    """How far it deviates; 3 is as far as in the worst hundredth of normal times."""
    path: list[str]
    """From the alerting service."""
    new_callees: list[str]
    """What it calls now and never called before."""
    overloaded: bool
    """It gets far more requests than usual."""
    reasons: list[str]


class AnomalyReport(BaseModel):
    """What the metrics around an alert show."""

    service: str
    """The alerting one."""
    metric: Literal["latency", "failures"]
    """What deviates: seconds, or a share from 0 to 1."""
    at: datetime
    anomalous: bool
    rarity: float | None
    """Share of normal windows that are as unusual; null if there are too few to tell."""
    onset: datetime | None
    suspects: list[Suspect]
    """The likeliest cause first; empty if nothing is anomalous."""
    picture: list[str]
    """The window of the alerting service and of the causes: name, bars from low to high, first and last."""
    services: int
    """Services that were looked at."""
    note: str = ""


@dataclass(frozen=True)
class Case:
    """All that was read about an alert."""

    observed: Mapping[str, Observed]
    graph: Graph
    alert: Alert
    notes: Sequence[str]


def build(options: Options, config: Config, base: Path) -> MCPServer:
    """The server over the series of a section of the config.

    Raises:
        ValueError: there is no such section, or it is no `mcp_servers.metrics`.
    """
    settings = _settings(options, config)
    series = metrics.source(settings, base)
    server = MCPServer("rca-mcp", instructions="Finds the service that an alert comes from. Read-only.")

    @server.tool(annotations=ToolAnnotations(readOnlyHint=True, idempotentHint=True, openWorldHint=False))
    async def find_anomalies(
        service: Annotated[str, Field(max_length=200, description="that alerts; looked for if empty")] = "",
        metric: Annotated[str, Field(description="latency or failures; both if empty")] = "",
        at: Annotated[str, Field(description="ISO time at which the alert fired; now if empty")] = "",
    ) -> AnomalyReport:
        """Compares the alert's window with normal behaviour, follows the calls, and ranks the services.

        Causes come before symptoms. Nothing is anomalous where the window is like normal ones.
        """
        asked = f"find_anomalies(service={service!r}, metric={metric!r}, at={at!r})"
        try:
            alert = Alert(_moment(at), service.strip(), _kind(metric))
            case = await read(settings, series, alert)
            finding = await anyio.to_thread.run_sync(partial(find, case.observed, case.graph, case.alert))
        except (SeriesError, ValueError) as error:
            raise ToolError(f"{asked}: {error}") from None
        return report(case, finding)

    return server


async def read(settings: metrics.Options, series: Source, alert: Alert) -> Case:
    """Reads the window and the normal behaviour of the services that the alert may come from.

    Raises:
        SeriesError: the series can't be read, or the alerting service has none.
    """
    graph = await metrics.call_graph(settings, series, alert.at)
    names, notes = _names(graph, alert.service)
    span = Span(
        alert.at - settings.history.total_seconds(),
        min(alert.at + AFTER, datetime.now(UTC).timestamp()),
        settings.step.total_seconds(),
    )
    kinds: dict[Kind, str] = {}
    for metric, kind in settings.kinds.items():
        kinds.setdefault(kind, metric)
    found, told = await _series(series, kinds, names, span)
    if alert.service and alert.service not in found:
        own, _ = await _series(series, kinds, [alert.service], span)
        found |= own
    notes += told
    _require(found, alert.service, str(series))
    return Case(_split(found, alert.at), graph, alert, notes)


def report(case: Case, finding: Finding) -> AnomalyReport:
    """The finding in the tool's form."""
    suspects = [_suspect(finding, one) for one in ranked(finding)] if finding.anomalous else []
    notes = [*case.notes, *finding.notes]
    if len(suspects) == MAX_SUSPECTS < len(finding.candidates):
        notes.append(f"only the {MAX_SUSPECTS} likeliest of {len(finding.candidates)} services are told")
    return AnomalyReport(
        service=finding.service,
        metric="failures" if finding.kind == "failures" else "latency",
        at=_utc(case.alert.at),
        anomalous=finding.anomalous,
        rarity=None if finding.rarity is None else round(finding.rarity, 4),
        onset=_utc(finding.onset) if finding.anomalous else None,
        suspects=suspects,
        picture=_picture(case, finding, suspects),
        services=len(case.observed),
        note=". ".join(notes),
    )


def _picture(case: Case, finding: Finding, suspects: Sequence[Suspect]) -> list[str]:
    causes = [one.service for one in suspects if one.role == "cause"]
    names = list(dict.fromkeys([finding.service, *causes]))[:PICTURED]
    windows = {name: case.observed.get(name, Observed()).window.get(finding.kind, ()) for name in names}
    width = max(map(len, names))
    return [
        f"{name:{width}}  {spark([value for _, value in points])}  "
        f"{_value(finding.kind, points[0][1])} … {_value(finding.kind, points[-1][1])}"
        for name, points in windows.items()
        if points
    ]


def ranked(finding: Finding) -> Sequence[Candidate]:
    """The candidates that are told: with a share of the alert, or on the way to the likeliest one."""
    if not finding.anomalous:
        return ()
    way = finding.candidates[0].path
    told = [one for one in finding.candidates if one.score >= LEAST or one.service in way]
    return told[:MAX_SUSPECTS]


def _settings(options: Options, config: Config) -> metrics.Options:
    section = config.mcp_servers.get(options.metrics)
    if section is None or section.module != metrics.__name__:
        raise ValueError(f"metrics: mcp_servers has no section {options.metrics} with {metrics.__name__}")
    return metrics.Options.model_validate(section.options)


def _moment(text: str) -> float:
    moment = log_lines.time_of(text) if text.strip() else datetime.now(UTC).timestamp()
    if moment is None:
        raise ValueError(f"at={text!r} is no time; write one such as 2026-02-17T08:00:00Z")
    return moment


def _kind(metric: str) -> Kind | None:
    kinds: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
    if metric and metric not in kinds:
        raise ValueError(f"metric={metric!r}: there are latency and failures, or nothing for both")
    return kinds.get(metric)


def _names(graph: Graph, service: str) -> tuple[list[str], list[str]]:
    """The services to read, the nearest first; none for all of them."""
    if service:
        names = list(reach(graph, service, MAX_SERVICES + 1))
        if len(names) < 2:
            return [], []
    else:
        names = sorted({*graph, *(callee for callees in graph.values() for callee in callees)})
    cut = len(names) > MAX_SERVICES
    return names[:MAX_SERVICES], [f"only {MAX_SERVICES} services were read"] if cut else []


async def _series(
    series: Source, kinds: Mapping[Kind, str], names: Sequence[str], span: Span
) -> tuple[dict[str, dict[Kind, Points]], list[str]]:
    """The metrics of these services, requests as counts; and what was cut."""
    answers = await asyncio.gather(*(series.read(metric, names, span) for metric in kinds.values()))
    found: dict[str, dict[Kind, Points]] = {}
    for kind, answer in zip(kinds, answers, strict=True):
        for name, points in answer.points.items():
            found.setdefault(name, {})[kind] = _counted(points, span.step) if kind == "requests" else points
    return found, list(dict.fromkeys(note for answer in answers for note in answer.notes))


def _counted(points: Points, step: float) -> list[Point]:
    """Requests a second as requests a sample."""
    return [(at, value * step) for at, value in points]


def _require(found: Mapping[str, Mapping[Kind, Points]], service: str, series: str) -> None:
    if not found:
        raise SeriesError(f"{series} has no samples of any service in that time")
    if service and service not in found:
        close = get_close_matches(service, found, n=3) or sorted(found)[:5]
        raise SeriesError(f"{series} has no samples of {service}; there are {', '.join(close)}, …")


def _split(found: Mapping[str, Mapping[Kind, Points]], at: float) -> dict[str, Observed]:
    before = at - BEFORE
    return {
        name: Observed(
            {kind: between(points, 0, before - 1e-3) for kind, points in kinds.items()},
            {kind: between(points, before, float("inf")) for kind, points in kinds.items()},
        )
        for name, kinds in found.items()
    }


def _suspect(finding: Finding, one: Candidate) -> Suspect:
    first = finding.candidates[0]
    cause = one is first or (one.share >= CAUSE_SHARE and one.score >= CAUSE_SCORE * first.score)
    return Suspect(
        service=one.service,
        role="cause" if cause else "symptom",
        score=round(one.score, 3),
        share=round(one.share, 3),
        usual=_rounded(one.deviation.usual),
        peak=_rounded(one.deviation.peak),
        spreads=round(one.deviation.spreads, 1),
        path=list(one.path),
        new_callees=list(one.new_callees),
        overloaded=any(_overload(other) for other in finding.others if other.service == one.service),
        reasons=_reasons(finding, one, cause),
    )


def _reasons(finding: Finding, one: Candidate, cause: bool) -> list[str]:
    excess = "waiting" if one.deviation.kind == "latency" else "failures"
    reasons = [told(one.deviation)]
    if one.service != finding.service and one.share:
        reasons.append(f"{one.share:.0%} of the additional {excess} of {finding.service} is its own")
    elif one.service == finding.service and cause:
        reasons.append(f"{one.share:.0%} of it is not explained by what it calls")
    if one.deviation.excess and one.own < 0.5 * one.deviation.excess:
        reasons.append("most of it is explained by what it calls")
    if one.new_callees:
        reasons.append(f"it calls {', '.join(one.new_callees[:3])}, which it never did before")
    if not one.path:
        reasons.append("no known calls lead to it")
    return [*reasons, *(told(other) for other in finding.others if other.service == one.service)]


def _overload(other: Deviation) -> bool:
    return other.kind == "requests" and other.spreads >= CLEAR and other.peak >= SURGE * other.usual


def told(deviation: Deviation) -> str:
    """A deviation in words."""
    peak, usual = _value(deviation.kind, deviation.peak), _value(deviation.kind, deviation.usual)
    if deviation.kind == "latency":
        return f"answers take {peak} instead of {usual}"
    if deviation.kind == "failures":
        return f"{peak} of its requests fail instead of {usual}"
    if deviation.kind == "requests":
        return f"it gets {peak} requests a sample instead of {usual}"
    return f"its saturation is {peak} instead of {usual}"


def _value(kind: Kind, value: float) -> str:
    if kind == "latency":
        return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"
    if kind == "failures":
        return f"{value:.1%}"
    return f"{value:.0f}" if kind == "requests" else f"{value:.3g}"


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _utc(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)
