"""Confidence intervals for shares, paired changes and daily means, at 95 %."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

from blocks import shares
from flows.fraud.models import Interval

_Z = NormalDist().inv_cdf(0.975)
_LEAST_DAYS = 5


def share(part: int, whole: int) -> float | None:
    """`part` of `whole`; None of nothing."""
    return part / whole if whole else None


def wilson(part: int, whole: int) -> Interval | None:
    """Wilson's interval for a share."""
    found = shares.wilson(part, whole)
    return Interval(low=found[0], high=found[1]) if found else None


def paired(gained: int, lost: int, whole: int) -> Interval | None:
    """Agresti and Min's interval for the change of a share, of which some cases were gained and some lost."""
    if not whole:
        return None
    up, down, all_ = gained + 0.5, lost + 0.5, whole + 2
    middle = (up - down) / all_
    half = _Z * math.sqrt(max(0.0, up + down - (up - down) ** 2 / all_)) / all_
    return Interval(low=max(-1.0, middle - half), high=min(1.0, middle + half))


def daily(values: Sequence[float]) -> Interval | None:
    """Student's interval for the mean of days; None with fewer than five."""
    if len(values) < _LEAST_DAYS:
        return None
    half = _student(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Interval(low=fmean(values) - half, high=fmean(values) + half)


def apart(part: int, whole: int, other: int, rest: int) -> float:
    """How many standard errors two shares lie apart; 0 where one is of nothing."""
    if not whole or not rest:
        return 0.0
    pooled = (part + other) / (whole + rest)
    error = math.sqrt(pooled * (1 - pooled) * (1 / whole + 1 / rest))
    return (part / whole - other / rest) / error if error else 0.0


def _student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, by its expansion around the normal one."""
    z, v = _Z, float(freedom)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / v ** (power + 1) for power, term in enumerate(terms))
