"""How good scores are, with intervals: area under the curve, precision at the top, calibration, drift."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from blocks.shares import wilson as interval
from flows.churn.columns import Floats, Frame

Z = 1.959964
TOP = 0.1
BINS = 10
RESAMPLES = 500
DRIFTED = 0.25
"""Population stability index from which on a column has drifted; .1 to .25 is watched by custom."""

Labels = NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


def auc(left: Labels, scores: Floats) -> tuple[float, float]:
    """Area under the ROC curve, and its variance.

    The variance is DeLong's, from placements: DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988),
    837–845, in the form of Sun and Xu, IEEE Signal Processing Letters 21 (2014), 1389–1393.
    """
    gone, stayed = scores[left], scores[~left]
    if not len(gone) or not len(stayed):
        return float("nan"), float("nan")
    everybody = _ranks(np.concatenate([gone, stayed]))
    of_gone = (everybody[: len(gone)] - _ranks(gone)) / len(stayed)
    of_stayed = 1 - (everybody[len(gone) :] - _ranks(stayed)) / len(gone)
    spread = sum(
        values.var(ddof=1) / len(values) if len(values) > 1 else 0.25 for values in (of_gone, of_stayed)
    )
    return float(of_gone.mean()), float(spread)


def auc_estimate(parts: Sequence[tuple[Labels, Floats]]) -> Estimate:
    """The mean area over separate test sets, with DeLong's interval: their variances add up."""
    found = [auc(left, scores) for left, scores in parts]
    mean = float(np.mean([value for value, _ in found]))
    spread = Z * sqrt(sum(variance for _, variance in found)) / len(found)
    return Estimate(mean, max(0.0, mean - spread), min(1.0, mean + spread))


def top_precision(left: Labels, scores: Floats) -> float:
    """Of the riskiest tenth, the share that left."""
    count = max(1, round(TOP * len(scores)))
    chosen = np.argsort(-scores, kind="stable")[:count]
    return float(left[chosen].mean())


def calibration_error(left: Labels, scores: Floats) -> float:
    """Expected calibration error over ten groups of equal size, ordered by score.

    The mean of |share that left − mean score| over the groups, weighted by size: Naeini, Cooper and
    Hauskrecht, AAAI 2015, with groups of equal size instead of equal width.
    """
    order = np.argsort(scores, kind="stable")
    gaps = [
        len(part) * abs(float(left[part].mean()) - float(scores[part].mean()))
        for part in np.array_split(order, BINS)
        if len(part)
    ]
    return sum(gaps) / len(scores)


def resampled(
    parts: Sequence[tuple[Labels, Floats]],
    figure: Callable[[Sequence[tuple[Labels, Floats]]], float],
    seed: int = 0,
) -> Estimate:
    """A figure over test sets, with the percentile interval of a bootstrap of customers within each set."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(RESAMPLES):
        picks = [rng.integers(0, len(left), len(left)) for left, _ in parts]
        drawn.append(
            figure([(left[pick], scores[pick]) for (left, scores), pick in zip(parts, picks, strict=True)])
        )
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(figure(parts), float(low), float(high))


def averaged(found: Sequence[Estimate]) -> Estimate:
    """The mean of estimates of one figure, with the mean of their intervals' ends."""
    count = len(found)
    return Estimate(
        sum(each.value for each in found) / count,
        sum(each.low for each in found) / count,
        sum(each.high for each in found) / count,
    )


def mean_top_precision(parts: Sequence[tuple[Labels, Floats]]) -> float:
    """The mean precision in the riskiest tenth of each test set."""
    return float(np.mean([top_precision(left, scores) for left, scores in parts]))


def pooled_calibration_error(parts: Sequence[tuple[Labels, Floats]]) -> float:
    """The calibration error of all test sets together."""
    return calibration_error(
        np.concatenate([left for left, _ in parts]), np.concatenate([scores for _, scores in parts])
    )


def wilson(hits: float, count: float) -> Estimate:
    """A share with Wilson's 95 % interval."""
    found = interval(hits, count)
    return Estimate(hits / count, *found) if found else Estimate(0.0, 0.0, 1.0)


def drift(before: Frame, now: Frame) -> dict[str, float]:
    """Each column's population stability index between two groups of customers.

    The sum of (now − before) · ln(now / before) over tenths of a number, or categories; missing is a group of
    its own. Siddiqi, Credit Risk Scorecards (2006), 136: below .1 stable, above .25 shifted.
    """
    found = {}
    for name in before.columns:
        if name in before.numbers:
            shares = _tenths(before.numbers[name], now.numbers[name])
        else:
            shares = _kinds(before.categories[name], now.categories[name])
        first, second = (np.maximum(share, 1e-3) for share in shares)
        found[name] = float(((second - first) * np.log(second / first)).sum())
    return found


def _tenths(before: Floats, now: Floats) -> tuple[Floats, Floats]:
    known = before[~np.isnan(before)]
    cuts = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else known
    found = []
    for values in (before, now):
        codes = np.where(np.isnan(values), len(cuts) + 1, np.searchsorted(cuts, values, side="left"))
        found.append(np.bincount(codes.astype(np.intp), minlength=len(cuts) + 2) / max(1, len(values)))
    return found[0], found[1]


def _kinds(before: NDArray[np.object_], now: NDArray[np.object_]) -> tuple[Floats, Floats]:
    names = np.unique(np.concatenate([before, now]).astype(str))
    found = []
    for values in (before, now):
        codes = np.searchsorted(names, values.astype(str))
        found.append(np.bincount(codes, minlength=len(names)) / max(1, len(values)))
    return found[0], found[1]


def _ranks(values: Floats) -> Floats:
    """Ranks from 1, the mean one for equal values."""
    different, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse] if len(different) else values
