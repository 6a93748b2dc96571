"""What a metric usually is: its level at a time of day, and how far it strays in bad normal times."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

Point = tuple[float, float]
"""Unix seconds and value."""
Points = Sequence[Point]

HOUR = 3600.0
DAY = 86_400.0
TAIL = 0.99
"""The share of normal times that a metric stays within three spreads of its level."""
ROBUST = 1.4826
"""From a median absolute deviation to a standard deviation."""
LEAST = 0.02
"""A spread is at least this share of the level."""
HOURLY = 0.8
"""A level for each hour of the day is used where it makes the deviations smaller by this factor."""
FEW = 5
"""With fewer samples than this the spread is at least half the level: hardly anything is known."""


@dataclass(frozen=True)
class Usual:
    """The normal behaviour of one metric of one service.

    Attributes:
        overall: its median.
        spread: a third of how far it strays above its level in the worst hundredth of normal times.
        mean: of all samples.
        count: samples that it rests on.
        hourly: hour of the day (UTC) → the median in that hour; empty where the hour makes no difference.
    """

    overall: float
    spread: float
    mean: float
    count: int
    hourly: Mapping[int, float] = field(default_factory=dict)

    def level(self, at: float) -> float:
        """What it usually is at that time of day."""
        return self.hourly.get(_hour(at), self.overall)


def usual(points: Points) -> Usual | None:
    """What is normal, by robust statistics; None without samples."""
    if not points:
        return None
    values = [value for _, value in points]
    middle = median(values)
    hourly = _hourly(points, middle)
    rest = [value - hourly.get(_hour(at), middle) for at, value in points] if hourly else None
    above = sorted(rest or [value - middle for value in values])
    scale = max(ROBUST * _mad(above), quantile(above, TAIL) / 3, LEAST * abs(middle))
    if len(values) < FEW:
        scale = max(scale, abs(middle) / 2)
    return Usual(middle, scale, fmean(values), len(values), hourly)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which that share of the ordered values lies."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def between(points: Points, start: float, end: float) -> Points:
    """The points of start ≤ time ≤ end; `points` are in the order of time."""
    first = bisect_left(points, (start,))
    last = bisect_left(points, (end, float("inf")))
    return points[first:last]


def _hourly(points: Points, middle: float) -> dict[int, float]:
    """A level for each hour of the day, if the metric follows the day: it repeats on two days or more."""
    by_hour: dict[int, list[Point]] = {}
    for at, value in points:
        by_hour.setdefault(_hour(at), []).append((at, value))
    if len(by_hour) < 2 or not all(_recurs(found) for found in by_hour.values()):
        return {}
    levels = {hour: median(value for _, value in found) for hour, found in by_hour.items()}
    before = median(abs(value - middle) for _, value in points)
    after = median(abs(value - levels[_hour(at)]) for at, value in points)
    return levels if after < HOURLY * before else {}


def _recurs(found: Points) -> bool:
    return len(found) >= FEW and len({int(at // DAY) for at, _ in found}) >= 2


def _hour(at: float) -> int:
    return int(at % DAY // HOUR)


def _mad(values: Sequence[float]) -> float:
    middle = median(values)
    return median(abs(value - middle) for value in values)
