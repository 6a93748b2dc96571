"""Time series of services, their call graph and firing alerts: what a source offers, and one kept in files.

A folder of files holds `series.csv` (header: metric, service, time, value; times in unix seconds or ISO),
and if there are any `graph.json` (caller → list of callees) and `alerts.json` (a list of alerts).
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import anyio
import anyio.to_thread

from mcp_servers import log_lines

Kind = Literal["latency", "failures", "requests", "saturation"]
"""Latency in seconds, failures as a share from 0 to 1, requests a second, anything that fills up."""
Point = tuple[float, float]
"""Unix seconds and value."""
Graph = dict[str, list[str]]
"""Caller → callees."""

MAX_SERVICES = 300
"""Services read at a time."""
MAX_ROWS = 5_000_000
_COLUMNS = ("metric", "service", "time", "value")


class SeriesError(Exception):
    """The series can't be read. The message says of what, why, and what to do."""


class Span(NamedTuple):
    """A stretch of time: unix seconds, both ends included, and seconds between samples."""

    start: float
    end: float
    step: float


@dataclass(frozen=True)
class Readings:
    """Points in the order of time, by service, and what was cut or left out."""

    points: Mapping[str, Sequence[Point]]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class FiringAlert:
    """An alert that fires: its labels, when it began (unix seconds), and what it says."""

    labels: Mapping[str, str]
    since: float
    summary: str = ""


class Source(Protocol):
    """Where series come from."""

    async def read(self, metric: str, services: Sequence[str], span: Span) -> Readings:
        """A metric of these services; of all, up to MAX_SERVICES, if none are named.

        Raises:
            SeriesError: it can't be read.
        """

    async def graph(self, at: float) -> Graph:
        """Who calls whom; empty if nothing tells.

        Raises:
            SeriesError: it can't be read.
        """

    async def alerts(self) -> list[FiringAlert]:
        """The alerts that fire now.

        Raises:
            SeriesError: they can't be read.
        """


@dataclass(frozen=True)
class _Content:
    """A read file."""

    stamp: tuple[int, int]
    series: Mapping[str, Mapping[str, list[Point]]] = field(default_factory=dict)
    notes: Sequence[str] = ()


class Folder:
    """A source in files; read again when they change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = _Content((0, 0))
        self._reading = anyio.Lock()

    def __str__(self) -> str:
        return str(self._path)

    async def read(self, metric: str, services: Sequence[str], span: Span) -> Readings:
        """See `Source`; the files' own samples, whatever the step."""
        async with self._reading:
            content = await anyio.to_thread.run_sync(self._load)
        found = content.series.get(metric, {})
        names = [name for name in services if name in found] if services else sorted(found)
        notes = list(content.notes)
        if len(names) > MAX_SERVICES:
            notes.append(f"{len(names)} services have {metric}; only {MAX_SERVICES} were read")
        inside = {
            name: [point for point in found[name] if span.start <= point[0] <= span.end]
            for name in names[:MAX_SERVICES]
        }
        return Readings({name: points for name, points in inside.items() if points}, notes)

    async def graph(self, at: float) -> Graph:
        """See `Source`."""
        said = await anyio.to_thread.run_sync(partial(self._json, "graph.json", {}))
        if not isinstance(said, dict) or not all(isinstance(callees, list) for callees in said.values()):
            raise SeriesError(f"{self._path}/graph.json: must be an object of caller → list of callees")
        return {str(caller): [str(callee) for callee in callees] for caller, callees in said.items()}

    async def alerts(self) -> list[FiringAlert]:
        """See `Source`."""
        said = await anyio.to_thread.run_sync(partial(self._json, "alerts.json", []))
        try:
            return [
                FiringAlert(
                    {str(name): str(value) for name, value in alert["labels"].items()},
                    log_lines.time_of(alert["since"]) or 0.0,
                    str(alert.get("summary") or ""),
                )
                for alert in said
            ]
        except (TypeError, KeyError, AttributeError) as error:
            raise SeriesError(f"{self._path}/alerts.json: each alert needs labels and since") from error

    def _json(self, name: str, default: Any) -> Any:
        path = self._path / name
        if not path.exists():
            return default
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SeriesError(f"{path} can't be read: {error}") from error

    def _load(self) -> _Content:
        path = self._path / "series.csv"
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if stamp != self._content.stamp:
                self._content = _parse(path, stamp)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise SeriesError(f"{path} can't be read: {error}; see mcp_servers: path") from error
        return self._content


def _parse(path: Path, stamp: tuple[int, int]) -> _Content:
    series: dict[str, dict[str, list[Point]]] = {}
    bad = 0
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        head = tuple(next(rows, ()))
        if head != _COLUMNS:
            raise SeriesError(f"{path}: the header must be {','.join(_COLUMNS)}, not {','.join(head)[:200]}")
        for number, row in enumerate(rows):
            point = _point(row) if number < MAX_ROWS else None
            if point is None:
                bad += 1
            else:
                series.setdefault(row[0], {}).setdefault(row[1], []).append(point)
    for services in series.values():
        for points in services.values():
            points.sort()
    notes = [f"{bad} rows of {path.name} were left out: no time or number, or beyond {MAX_ROWS}"]
    return _Content(stamp, series, notes if bad else [])


def _point(row: Sequence[str]) -> Point | None:
    if len(row) != len(_COLUMNS):
        return None
    when = float(row[2]) if row[2].isdecimal() else log_lines.time_of(row[2])
    try:
        value = float(row[3])
    except ValueError:
        return None
    return (when, value) if when is not None and math.isfinite(value) else None
