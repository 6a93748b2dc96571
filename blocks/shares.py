"""Shares of cases with their intervals, and the figures that they are held against."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

_Z = NormalDist().inv_cdf(0.975)
_DIGITS = 4

Interval = tuple[float, float]


@dataclass(frozen=True)
class Standard:
    """What a metric is held against.

    Attributes:
        reference: what another method reaches on the same data.
        target: what is to be reached.
        at_most: a smaller figure is the better one.
    """

    reference: float | None = None
    target: float | None = None
    at_most: bool = False

    def verdict(self, value: float | None, interval: Interval | None) -> str:
        """The value against both, in words; a reference within the interval is a tie."""
        if value is None:
            return "nothing to measure" if self != Standard() else ""
        low, high = interval or (value, value)
        parts = []
        if self.reference is not None:
            words = "better than" if self._better(value, self.reference) else "worse than"
            parts.append(f"{'a tie with' if low <= self.reference <= high else words} {self.reference:g}")
        if self.target is not None:
            reached = value == self.target or self._better(value, self.target)
            near = ", within the interval" if low <= self.target <= high and low < high else ""
            parts.append(f"{'reaches' if reached else 'misses'} {self.target:g}{near}")
        return "; ".join(parts)

    def _better(self, value: float, other: float) -> bool:
        return value < other if self.at_most else value > other


def share(hits: Sequence[bool]) -> float | None:
    """The share of hits, to four digits; None of nothing."""
    return round(sum(hits) / len(hits), _DIGITS) if hits else None


def wilson(hits: float, cases: float) -> Interval | None:
    """Wilson's 95 % interval for a share of independent cases; None of nothing."""
    if not cases:
        return None
    rate, spread = hits / cases, _Z * _Z / cases
    middle = (rate + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(rate * (1 - rate) / cases + spread / (4 * cases))
    return max(0.0, middle - half), min(1.0, middle + half)


def measured(hits: Mapping[str, Sequence[bool]]) -> dict[str, Any]:
    """Each metric's share, interval and number of cases, as an evaluation reports them.

    Returns:
        `{"metrics": {name: share}, "intervals": {name: [low, high]}, "cases": {name: count}}`; share and
        interval are None where there was nothing to measure.
    """
    intervals = {name: wilson(sum(found), len(found)) for name, found in hits.items()}
    return {
        "metrics": {name: share(found) for name, found in hits.items()},
        "intervals": {
            name: each and [round(end, _DIGITS) for end in each] for name, each in intervals.items()
        },
        "cases": {name: len(found) for name, found in hits.items()},
    }


def judged(result: Mapping[str, Any], standards: Mapping[str, Standard]) -> dict[str, Any]:
    """An evaluation's result with what its metrics are held against, and the verdicts."""
    intervals = result.get("intervals", {})
    return {
        **result,
        "standards": {
            name: {"reference": standard.reference, "target": standard.target}
            for name, standard in standards.items()
        },
        "verdicts": {
            name: standard.verdict(result["metrics"].get(name), intervals.get(name))
            for name, standard in standards.items()
        },
    }
