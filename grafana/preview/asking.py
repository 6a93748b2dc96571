"""Asks a panel's queries of Prometheus and of the platform's database, as Grafana would."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from grafana.preview.frames import Answer, Row, Series
from grafana.preview.variables import filled

Instant = Callable[[str, float], Sequence[tuple[Mapping[str, str], float]]]
Range = Callable[[str, float, float, int], Sequence[tuple[Mapping[str, str], Sequence[tuple[float, float]]]]]
Select = Callable[[str], Sequence[Row]]

WEEK = 7 * 24 * 3600
STEP = 3600
"""The step of graphs over a week, in seconds."""
_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class MissingLabel(LookupError):
    """A legend uses a label that the answer doesn't have."""


@dataclass(frozen=True)
class Sources:
    """What answers.

    Attributes:
        at: the end of the dashboards' time range.
    """

    instant: Instant
    range: Range
    select: Select
    at: float


class Span(NamedTuple):
    """A graph's range, in Unix seconds; a step is whole hours, as many as the panel has room for."""

    start: float
    end: float
    step: int


def span(panel: Mapping[str, Any], at: float) -> Span:
    """The week before a moment, in the panel's steps."""
    step = max(STEP, -(-WEEK // int(panel.get("maxDataPoints", WEEK)) // STEP) * STEP)
    end = at // step * step
    return Span(end - WEEK, end, step)


def ask(panel: Mapping[str, Any], variables: Mapping[str, str], sources: Sources) -> Answer:
    """What the panel's queries give.

    Raises:
        MissingLabel: a legend uses a label that a series doesn't have.
        UnknownVariable: a query uses a variable without a value.
    """
    series: list[Series] = []
    tables: dict[str, list[Row]] = {}
    targets = panel.get("targets", ())
    for target in targets:
        ref, kind = target["refId"], target["datasource"]["type"]
        if kind != "prometheus":
            tables[ref] = [dict(row) for row in sources.select(_sql(target, variables, sources.at))]
        elif target.get("format") == "table":
            tables[ref] = _table(target, variables, sources, several=len(targets) > 1)
        else:
            series += _series(target, variables, sources, span(panel, sources.at))
    return Answer(series, tables)


def times(at: float, step: int = STEP) -> dict[str, str]:
    """The variables of the time range that Grafana itself gives."""
    until = round(at * 1000)
    return {"__from": str(until - WEEK * 1000), "__to": str(until), "__interval": f"{step}s"}


def _sql(target: Mapping[str, Any], variables: Mapping[str, str], at: float) -> str:
    text = target["rawSql"] if "rawSql" in target else target["queryText"]
    return filled(text, {**variables, **times(at)})


def _table(
    target: Mapping[str, Any], variables: Mapping[str, str], sources: Sources, several: bool
) -> list[Row]:
    value = f"Value #{target['refId']}" if several else "Value"
    found = sources.instant(filled(target["expr"], {**variables, **times(sources.at)}), sources.at)
    return [{"Time": sources.at, **labels, value: number} for labels, number in found]


def _series(
    target: Mapping[str, Any], variables: Mapping[str, str], sources: Sources, over: Span
) -> Iterator[Series]:
    expression = filled(target["expr"], {**variables, **times(sources.at, over.step)})
    if target.get("instant"):
        found = [(labels, [(sources.at, value)]) for labels, value in sources.instant(expression, sources.at)]
    else:
        ranged = sources.range(expression, over.start, over.end, over.step)
        found = [(labels, list(points)) for labels, points in ranged]
    for labels, points in found:
        yield Series(target["refId"], _name(target["legendFormat"], labels), labels, points)


def _name(legend: str, labels: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] not in labels:
            raise MissingLabel(f"{found[0]} of the legend {legend!r} is not among {sorted(labels)}")
        return labels[found[1]]

    return _LABEL.sub(value, legend)
