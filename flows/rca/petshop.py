"""Reads incidents in the PetShop layout: one folder a traffic scenario.

`graph.csv` (adjacency, caller by callee), `noissue/metrics.csv`, and in any folder beside them one folder an
incident with `metrics.csv` and `target.json`. Header rows of metrics: microservice, metric, statistic.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.rca.analysis import Kind, Observed
from flows.rca.usual import Point

KINDS: Mapping[str, Kind] = {"latency": "latency", "availability": "failures", "requests": "requests"}
"""Metrics of the layout; availability is in percent. Of latency the mean is read: only means add up."""
_STATISTICS = ("Average", "Sum")

Metrics = dict[str, dict[Kind, list[Point]]]


class LayoutError(Exception):
    """A folder or file is not of this layout. The message names it."""


@dataclass(frozen=True)
class Incident:
    """A labelled incident.

    Attributes:
        name: its folder, within the scenario's.
        at: when the alert fired, unix seconds.
        truth: the service that was broken.
    """

    name: str
    at: float
    service: str
    metric: str
    truth: str
    metrics: Metrics


@dataclass(frozen=True)
class Scenario:
    """One kind of traffic: its call graph, normal behaviour and incidents."""

    name: str
    graph: Mapping[str, list[str]]
    normal: Metrics
    incidents: list[Incident]


def read(folder: Path) -> list[Scenario]:
    """The scenarios in a folder, or the one that it is itself.

    Raises:
        LayoutError: there is none, or a file is not of this layout.
    """
    folders = sorted(path.parent for path in folder.rglob("graph.csv"))
    if not folders:
        raise LayoutError(f"{folder} has no graph.csv in it or below; the PetShop layout has one a scenario")
    return [_scenario(each) for each in folders]


def observed(normal: Metrics, window: Metrics) -> dict[str, Observed]:
    """The services of both."""
    return {
        name: Observed(normal.get(name, {}), window.get(name, {}))
        for name in sorted(normal.keys() | window.keys())
    }


def _scenario(folder: Path) -> Scenario:
    found = sorted(folder.glob("*/*/target.json"))
    incidents = [_incident(path, folder) for path in found if (path.parent / "metrics.csv").exists()]
    return Scenario(
        folder.name, _graph(folder / "graph.csv"), _metrics(folder / "noissue" / "metrics.csv"), incidents
    )


def _incident(path: Path, folder: Path) -> Incident:
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        target = said["target"]
        return Incident(
            name=path.parent.relative_to(folder).as_posix(),
            at=float(target["timestamp"]),
            service=str(target["node"]),
            metric=str(target["metric"]),
            truth=str(said["root_cause"]["node"]),
            metrics=_metrics(path.parent / "metrics.csv"),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise LayoutError(f"{path}: not as in the PetShop layout: {error!r}") from error


def _graph(path: Path) -> dict[str, list[str]]:
    head, *rows = _rows(path)
    return {
        row[0]: [name for name, cell in zip(head[1:], row[1:], strict=False) if _number(cell)] for row in rows
    }


def _metrics(path: Path) -> Metrics:
    services, metrics, statistics, *rows = _rows(path, least=3)
    found: Metrics = {}
    columns = [
        (place, name, KINDS[metric])
        for place, (name, metric, statistic) in enumerate(zip(services, metrics, statistics, strict=False))
        if metric in KINDS and statistic in _STATISTICS
    ]
    for row in rows:
        at = _number(row[0])
        for place, name, kind in columns if at is not None else ():
            value = _number(row[place]) if place < len(row) else None
            if value is not None:
                share = 1 - value / 100 if kind == "failures" else value
                found.setdefault(name, {}).setdefault(kind, []).append((at or 0.0, share))
    for kinds in found.values():
        for points in kinds.values():
            points.sort()
    return found


def _rows(path: Path, least: int = 1) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LayoutError(f"{path} can't be read: {error}") from error
    if len(rows) < least:
        raise LayoutError(f"{path} has {len(rows)} rows; at least {least} header rows are needed")
    return rows


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def windows(normal: Metrics, length: int, count: int) -> Iterator[tuple[float, Metrics, Metrics]]:
    """Normal windows of so many samples, evenly spread: a moment in each, the window, and the rest."""
    times = sorted({at for kinds in normal.values() for points in kinds.values() for at, _ in points})
    last = len(times) - length
    for number in range(count if last > 0 else 0):
        start = round(number * last / max(1, count - 1))
        first, end = times[start], times[start + length - 1]
        inside = {
            name: {kind: [p for p in points if first <= p[0] <= end] for kind, points in kinds.items()}
            for name, kinds in normal.items()
        }
        outside = {
            name: {kind: [p for p in points if not first <= p[0] <= end] for kind, points in kinds.items()}
            for name, kinds in normal.items()
        }
        yield times[start + length // 2] - 1.0, inside, outside
