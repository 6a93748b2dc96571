"""The few statistics that the analysis needs."""

from __future__ import annotations

import math
from collections.abc import Sequence


def ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high` on, and in between in proportion."""
    if high <= low:
        return float(value >= high)
    return min(1.0, max(0.0, (value - low) / (high - low)))


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies; 0 without values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def rarity(count: int, expected: float) -> float:
    """How rare at least so many are where so many are expected: minus the decimal logarithm of its chance.

    By a Poisson distribution; 0 is the usual, 3 is one in a thousand.
    """
    if count <= expected or count <= 0:
        return 0.0
    expected = max(expected, 1e-9)
    term = -expected + count * math.log(expected) - math.lgamma(count + 1)
    total, factor = 1.0, 1.0
    for following in range(count + 1, count + 200):
        factor *= expected / following
        total += factor
        if factor < 1e-12:
            break
    return max(0.0, -(term + math.log(total)) / math.log(10))
