"""Which service an alert comes from: anomalies against normal behaviour, followed along the call graph.

Latency and failures add up along calls: a caller waits as long as what it calls, and fails as often. So each
service's *excess* is counted in the same unit, seconds waited or requests failed beyond the usual, and what
its callees' excess explains is taken off. What remains is its own. The service with most of the alert's
excess as its own is the cause; the others show symptoms.

Whether anything is anomalous at all is asked of the system itself: the same measure is taken in many normal
windows, and an incident has to stand out from them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from flows.rca.usual import Points, Usual, between, quantile, usual

Kind = Literal["latency", "failures", "requests", "saturation"]
"""Latency in seconds, failures as a share from 0 to 1, requests a sample, anything that fills up."""
ADDED: tuple[Kind, ...] = ("latency", "failures")
"""The kinds that add up along calls."""
Graph = Mapping[str, Sequence[str]]
"""Caller → callees."""

ANOMALOUS = 2.0
"""Spreads from which on a deviation is looked at."""
DOUBT = 4.0
"""Spreads at which a deviation counts half."""
CLEAR = 6.0
"""Spreads from which on a callee's slowness may be why its caller fails."""
UNCOUNTED = 100.0
"""Requests a sample where nothing counts them."""
WINDOWS = 120
"""Normal windows that an incident is compared with, at most."""
ENOUGH = 20
"""With fewer normal windows the strength is compared with `STRONG` instead."""
STRONG = 3.0
RARE = 0.05
"""An incident is stronger than all but this share of normal windows."""
LEAST: Mapping[str, float] = {"latency": 3 * math.sqrt(2), "failures": 1.0}
"""And it is at least so strong: for two samples the alerting service and the cause were as slow as in the
worst hundredth of normal times. Failures are measured against chance: one request too many is a spread."""
MAX_SERVICES = 300
"""Services looked at: the nearest to the alert."""
MAX_ENTRIES = 10
"""Entry points looked at where the alert names no service."""


@dataclass(frozen=True)
class Observed:
    """One service's metrics, in the order of time."""

    normal: Mapping[Kind, Points] = field(default_factory=dict)
    window: Mapping[Kind, Points] = field(default_factory=dict)


_NOTHING = Observed()


@dataclass(frozen=True)
class Alert:
    """What fired. An empty service is looked for; without a kind both latency and failures are."""

    at: float
    """Unix seconds."""
    service: str = ""
    kind: Kind | None = None


@dataclass(frozen=True)
class Deviation:
    """How a metric of a service behaves since the onset, against what is usual.

    Attributes:
        usual: the level it is compared with.
        peak: the most deviating sample.
        spreads: how far it deviates, both worst samples together.
        excess: seconds waited, or requests failed, beyond the usual.
    """

    service: str
    kind: Kind
    usual: float
    peak: float
    spreads: float
    excess: float = 0.0


@dataclass(frozen=True)
class Candidate:
    """A service that may be the cause.

    Attributes:
        score: share of the alert's excess that is its own, less where its deviation is doubtful; 0 to 1.
        share: that share itself.
        own: the excess that its callees don't explain.
        path: from the alerting service to it; empty if no calls lead there.
        new_callees: what it calls now and never called in normal times.
    """

    deviation: Deviation
    score: float
    share: float
    own: float
    path: Sequence[str] = ()
    new_callees: Sequence[str] = ()

    @property
    def service(self) -> str:
        """Its name."""
        return self.deviation.service


@dataclass(frozen=True)
class Finding:
    """What an alert's window shows.

    Attributes:
        service: the alerting service; the most deviating entry point if the alert named none.
        kind: what deviates: latency or failures.
        anomalous: whether the window stands out from normal ones.
        rarity: share of normal windows that are as unusual; None where there are too few to tell.
        onset: when it began, unix seconds.
        candidates: the likeliest cause first; only the first ones are causes, see `score`.
        others: deviations of further metrics of the candidates: traffic, saturation.
        notes: what was missing, and what was cut.
    """

    service: str
    kind: Kind
    anomalous: bool
    strength: float
    rarity: float | None
    onset: float
    candidates: Sequence[Candidate] = ()
    others: Sequence[Deviation] = ()
    notes: Sequence[str] = ()


def find(observed: Mapping[str, Observed], graph: Graph, alert: Alert) -> Finding:
    """Ranks the services that an alert may come from, or finds that nothing is anomalous."""
    kinds: tuple[Kind, ...] = (alert.kind,) if alert.kind in ADDED else ADDED
    services = [alert.service] if alert.service else _entries(observed, graph)
    normal = _Normal(observed)
    views = [_View(normal, graph, service, kind) for service in services for kind in kinds]
    found = [view.finding(alert.at) for view in views]
    return max(found, key=lambda one: (one.anomalous, one.strength))


def reach(graph: Graph, service: str, most: int = MAX_SERVICES) -> dict[str, tuple[str, ...]]:
    """The services that a service's calls lead to, itself included, each with its shortest path."""
    paths: dict[str, tuple[str, ...]] = {service: (service,)}
    edge = [service]
    while edge and len(paths) < most:
        following = [(callee, caller) for caller in edge for callee in graph.get(caller, ())]
        edge = []
        for callee, caller in following:
            if callee not in paths and len(paths) < most:
                paths[callee] = (*paths[caller], callee)
                edge.append(callee)
    return paths


def _entries(observed: Mapping[str, Observed], graph: Graph) -> list[str]:
    """The services that nobody calls; all if there are none."""
    called = {callee for callees in graph.values() for callee in callees}
    entries = [service for service in observed if service not in called and graph.get(service)]
    return sorted(entries or observed)[:MAX_ENTRIES]


@dataclass(frozen=True)
class _Slice:
    """A stretch of time in which the services are looked at: an incident, or a normal window like it."""

    points: Mapping[str, Mapping[Kind, Points]]
    onset: float
    times: Sequence[float]
    """Of the samples since the onset; a service may lack some of them."""
    lead: bool
    """Whether the samples before the onset are normal, so that drift can be told from them."""


class _Normal:
    """What is normal for each metric, worked out once."""

    def __init__(self, observed: Mapping[str, Observed]) -> None:
        self.observed = observed
        self._known: dict[tuple[str, Kind], Usual | None] = {}

    def usual(self, name: str, kind: Kind) -> Usual | None:
        """What is normal for a metric; None without samples."""
        if (name, kind) not in self._known:
            self._known[name, kind] = usual(self.observed.get(name, _NOTHING).normal.get(kind, ()))
        return self._known[name, kind]


class _View:
    """The services behind one alerting service, by one kind of deviation."""

    def __init__(self, normal: _Normal, graph: Graph, service: str, kind: Kind) -> None:
        self._normal, self._observed, self._graph = normal, normal.observed, graph
        self._service, self._kind = service, kind
        self._behind: dict[str, frozenset[str]] = {}
        self._paths = reach(graph, service)
        if len(self._paths) < 2:
            self._paths |= {name: () for name in list(self._observed)[:MAX_SERVICES] if name != service}

    def finding(self, at: float) -> Finding:
        """What the window around `at` shows."""
        windows = {name: self._observed[name].window for name in self._names}
        here = self._slice(windows, at)
        candidates = self._candidates(here)
        strength = self._strength(candidates, here)
        calm = self._normal_strengths(at)
        rarity = sum(each >= strength for each in calm) / len(calm) if len(calm) >= ENOUGH else None
        anomalous = strength >= LEAST[self._kind] and (
            rarity < RARE if rarity is not None else strength >= STRONG
        )
        if anomalous:
            candidates = self._with_slow_callees(candidates, here)
        return Finding(
            service=self._service,
            kind=self._kind,
            anomalous=anomalous,
            strength=strength,
            rarity=rarity,
            onset=here.onset,
            candidates=candidates,
            others=self._others(here, candidates[:3]) if anomalous else (),
            notes=self._notes(),
        )

    @cached_property
    def _names(self) -> list[str]:
        return [name for name in self._paths if name in self._observed]

    @cached_property
    def _new(self) -> frozenset[str]:
        """Services that answer now and were never called in normal times."""
        return frozenset(name for name in self._names if not _called(self._observed[name].normal))

    def _slice(self, points: Mapping[str, Mapping[Kind, Points]], at: float) -> _Slice:
        """Finds the onset: the alerting service deviated from then on until the alert."""
        own = points.get(self._service, {}).get(self._kind, ())
        normal = self._normal.usual(self._service, self._kind)
        onset = at
        for moment, value in reversed([point for point in own if point[0] < at]):
            if normal is None or value - normal.level(moment) < ANOMALOUS * normal.spread:
                break
            onset = moment
        times = sorted({moment for kinds in points.values() for moment, _ in kinds.get(self._kind, ())})
        if times and onset > times[-1]:
            onset = times[-2:][0]
        since = tuple(moment for moment in times if moment >= onset)
        return _Slice(points, onset, since, any(moment < onset for moment, _ in own))

    def _deviation(self, here: _Slice, name: str, kind: Kind) -> Deviation | None:
        """Against both what is usual and what was just before, whichever explains more."""
        points = here.points.get(name, {}).get(kind, ())
        normal = self._normal.usual(name, kind)
        since = [point for point in points if point[0] >= here.onset]
        if not since or normal is None:
            return None
        before = sorted(value - normal.level(at) for at, value in points if at < here.onset)
        drift = max(0.0, quantile(before, 0.25)) if before and here.lead else 0.0
        beyond = {at: value - normal.level(at) - drift for at, value in since}
        requests = {at: self._requests(here, name, at) for at in {*here.times, *beyond}}
        spreads = {at: more / self._scale(normal, kind, requests[at]) for at, more in beyond.items()}
        worst, peak = max(since, key=lambda point: spreads[point[0]])
        return Deviation(
            service=name,
            kind=kind,
            usual=normal.level(worst) + drift,
            peak=peak,
            spreads=_together(list(spreads.values())),
            excess=_excess(beyond, requests),
        )

    def _scale(self, normal: Usual, kind: Kind, requests: float) -> float:
        """A spread; for a share of failures at least what chance makes of so many requests."""
        if kind != "failures":
            return normal.spread or max(abs(normal.overall), 1e-9) / 2
        count = max(requests, 1.0)
        expected = max(normal.mean, 1 / count)
        return max(normal.spread, math.sqrt(expected / count))

    def _requests(self, here: _Slice, name: str, at: float) -> float:
        """Requests in the sample at that time; the alerting service's where there are none to read."""
        for one in (name, self._service):
            counted = here.points.get(one, {}).get("requests", ())
            exact = between(counted, at, at)
            if exact:
                return exact[0][1]
            normal = self._normal.usual(one, "requests")
            if normal:
                return normal.level(at)
        return UNCOUNTED

    def _candidates(self, here: _Slice) -> list[Candidate]:
        """All services that deviate, by what of the alert's excess is their own."""
        deviations = {name: self._deviation(here, name, self._kind) for name in self._names}
        strong = {
            name: each
            for name, each in deviations.items()
            if each and each.spreads >= ANOMALOUS and name not in self._new
        }
        alerting = deviations.get(self._service)
        total = alerting.excess if alerting else 0.0
        found = [self._candidate(here, each, strong, total) for each in strong.values()]
        return sorted(found, key=lambda one: (-one.score, -one.own, -one.deviation.excess, one.service))

    def _candidate(
        self, here: _Slice, one: Deviation, strong: Mapping[str, Deviation], total: float
    ) -> Candidate:
        callees = set(self._graph.get(one.service, ())) - {one.service}
        explained = sum(
            strong[callee].excess
            for callee in callees & strong.keys()
            if not self._cyclic(callee, one.service)
        )
        own = max(0.0, one.excess - explained)
        share = min(1.0, own / total) if total > 0 else 0.0
        return Candidate(
            deviation=one,
            score=share * one.spreads / (one.spreads + DOUBT),
            share=share,
            own=own,
            path=self._paths[one.service],
            new_callees=sorted(
                callee for callee in callees & self._new if _called(here.points.get(callee, {}))
            ),
        )

    def _cyclic(self, callee: str, caller: str) -> bool:
        """Whether the callee's calls lead back to its caller: then neither explains the other."""
        if callee not in self._behind:
            self._behind[callee] = frozenset(reach(self._graph, callee))
        return caller in self._behind[callee]

    def _strength(self, candidates: Sequence[Candidate], here: _Slice) -> float:
        """How unusual the window is: the alerting service and one behind it deviate together."""
        alerting = self._deviation(here, self._service, self._kind)
        if not alerting or alerting.spreads <= 0 or alerting.excess <= 0:
            return 0.0
        return max(
            (
                math.sqrt(one.deviation.spreads * alerting.spreads) * min(1.0, one.own / alerting.excess)
                for one in candidates
            ),
            default=0.0,
        )

    def _normal_strengths(self, at: float) -> list[float]:
        """The same measure in normal windows of the same shape."""
        shown = [moment for name in self._names for moment in _moments(self._observed[name].window)]
        times = sorted({m for name in self._names for m in _moments(self._observed[name].normal)})
        if not shown or len(times) < 2:
            return []
        before, after = at - min(shown), max(shown) - at
        starts = [time for time in times if time + before + after <= times[-1]]
        chosen = starts[:: max(1, len(starts) // WINDOWS)]
        return [self._normal_strength(start, before, after) for start in chosen]

    def _normal_strength(self, start: float, before: float, after: float) -> float:
        points = {
            name: {
                kind: between(points, start, start + before + after)
                for kind, points in self._observed[name].normal.items()
                if kind in (self._kind, "requests")
            }
            for name in self._names
        }
        here = self._slice(points, start + before)
        return self._strength(self._candidates(here), here)

    def _with_slow_callees(self, candidates: list[Candidate], here: _Slice) -> list[Candidate]:
        """Where the alerting service fails by itself, one that it calls may be too slow to answer it."""
        if self._kind != "failures" or not candidates or candidates[0].service != self._service:
            return candidates
        slow = _View(self._normal, self._graph, self._service, "latency")
        behind = [
            one
            for one in slow._candidates(here)
            if one.service != self._service and one.deviation.spreads >= CLEAR and one.score >= 0.5
        ]
        return [*behind, *(one for one in candidates if one.service not in {each.service for each in behind})]

    def _others(self, here: _Slice, candidates: Iterable[Candidate]) -> list[Deviation]:
        kinds: tuple[Kind, ...] = ("latency", "failures", "requests", "saturation")
        found = [
            self._deviation(here, one.service, kind)
            for one in candidates
            for kind in kinds
            if kind != one.deviation.kind
        ]
        return [each for each in found if each and each.spreads >= ANOMALOUS]

    def _notes(self) -> list[str]:
        notes = []
        own = self._observed.get(self._service, _NOTHING)
        if not own.window.get(self._kind):
            notes.append(f"{self._service} has no samples of {self._kind} in the window")
        normal = self._normal.usual(self._service, self._kind)
        if normal is None or normal.count < ENOUGH:
            count = normal.count if normal else 0
            notes.append(f"only {count} samples of normal {self._kind} of {self._service} to compare with")
        if len(reach(self._graph, self._service)) < 2:
            notes.append(f"the service graph shows no calls of {self._service}; all services were compared")
        if len(self._paths) >= MAX_SERVICES:
            notes.append(f"only the {MAX_SERVICES} services nearest to {self._service} were looked at")
        missing = [name for name in self._paths if name not in self._observed]
        if missing:
            shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
            notes.append(f"{len(missing)} services of the graph have no metrics: {shown}")
        return notes


def _excess(beyond: Mapping[float, float], requests: Mapping[float, float]) -> float:
    """What is beyond the usual, times requests; where a sample is missing, as in the others."""
    found = sum(max(0.0, more) * requests[at] for at, more in beyond.items())
    seen = sum(requests[at] for at in beyond)
    return found * sum(requests.values()) / seen if seen else 0.0


def _called(metrics: Mapping[Kind, Points]) -> bool:
    """Whether the service answered anybody."""
    counted = metrics.get("requests")
    if counted:
        return any(value > 0 for _, value in counted)
    return any(metrics.get(kind) for kind in ADDED)


def _moments(metrics: Mapping[Kind, Points]) -> Iterable[float]:
    return (moment for points in metrics.values() for moment, _ in points)


def _together(spreads: Sequence[float]) -> float:
    """The two worst samples together: what lasts counts more than a single outlier."""
    worst = sorted((max(0.0, each) for each in spreads), reverse=True)[:2]
    return sum(worst) / math.sqrt(len(worst))
