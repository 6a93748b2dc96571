"""The risk of leaving as a sum over columns: trained, calibrated, and taken apart for each customer.

A ridge logistic regression over splines of the numbers and over categories, with Platt's scaling: a sum with
one term a column, so what a column adds to a customer's log-odds is exact. Boosted trees of one, two and
three splits, alone or averaged with it, told leavers of the public Telco set no better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.churn.columns import Floats, Frame

STRENGTHS = (0.03, 0.2, 1.0)
"""Inverse penalties, of which cross-validation within the training data chooses one."""
INNER_FOLDS = 4
LEAST_IN_CATEGORY = 10
"""Rarer categories are taken together."""
RARE = "(other)"
MAX_CATEGORIES = 100
KNOTS = 5
FEW_VALUES = 8
"""A number with fewer different values gets no spline."""
SLOPES = (0.3, 1.5)
"""Bounds of Platt's slope: scores are neither stretched nor turned over."""
CHUNK = 50_000
_SEED = 0

Labels = NDArray[np.bool_]


@dataclass(frozen=True)
class Risk:
    """A trained model.

    Attributes:
        strength: the inverse penalty that was chosen.
        slope, shift: Platt's scaling.
        weights: of the design's matrix.
        usual: what each column adds to the log-odds on average.
    """

    strength: float
    slope: float
    shift: float
    weights: Floats
    usual: Mapping[str, float]
    design: Design

    def scores(self, frame: Frame) -> Floats:
        """Each customer's probability of leaving."""
        if not frame.rows:
            return np.zeros(0)
        parts = [
            sigmoid(self.slope * (self.design.matrix(part) @ self.weights) + self.shift)
            for part in _parts(frame)
        ]
        return np.concatenate(parts)

    def contributions(self, frame: Frame) -> dict[str, Floats]:
        """What each column adds to each customer's log-odds, against what it adds on average."""
        if not frame.rows:
            return {name: np.zeros(0) for name in self.usual}
        parts = [self._terms(part) for part in _parts(frame)]
        return {
            name: np.concatenate([part[name] for part in parts]) - self.usual.get(name, 0.0)
            for name in parts[0]
        }

    def _terms(self, frame: Frame) -> dict[str, Floats]:
        found, start = {}, 0
        for name, block in self.design.blocks(frame).items():
            found[name] = self.slope * (block @ self.weights[start : start + block.shape[1]])
            start += block.shape[1]
        return found


def fit(frame: Frame, left: Labels, groups: Sequence[Any] | None = None) -> Risk:
    """Trains on customers of whom it is known whether they left.

    The penalty and the calibration come from cross-validation within these customers. One thread: the
    matrices are small, and threads that wait for each other cost more than they save.

    Args:
        groups: customers that stand more than once have the same value; they stay in one fold.
    """
    import sklearn.linear_model  # noqa: F401 - its libraries must be there to be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        return _fit(frame, left, groups)


def _fit(frame: Frame, left: Labels, groups: Sequence[Any] | None) -> Risk:
    found = {strength: np.zeros(frame.rows) for strength in STRENGTHS}
    for train, test in folds(left, groups, INNER_FOLDS, _SEED):
        design = Design.of(frame.take(train))
        inside, outside = design.matrix(frame.take(train)), design.matrix(frame.take(test))
        for strength in STRENGTHS:
            found[strength][test] = outside @ _weights(inside, left[train], strength)
    strength = min(STRENGTHS, key=lambda each: _loss(found[each], left))
    design = Design.of(frame)
    matrix = design.matrix(frame)
    weights = _weights(matrix, left, strength)
    slope = _slope(found[strength], left)
    shift = _shift(slope * (matrix @ weights), float(left.mean()))
    risk = Risk(strength, slope, shift, weights, {}, design)
    usual = {name: float(values.mean()) for name, values in risk.contributions(frame).items()}
    return replace(risk, usual=usual)


@dataclass(frozen=True)
class Design:
    """How columns become the regression's matrix; learnt from training data alone."""

    numbers: Mapping[str, _Number]
    categories: Mapping[str, tuple[str, ...]]

    @staticmethod
    def of(frame: Frame) -> Design:
        """The design of the training data."""
        return Design(
            {name: _Number.of(values) for name, values in frame.numbers.items()},
            {name: _common(values) for name, values in frame.categories.items()},
        )

    def blocks(self, frame: Frame) -> dict[str, Floats]:
        """The matrix column by column."""
        found = {name: number.block(frame.numbers[name]) for name, number in self.numbers.items()}
        for name, known in self.categories.items():
            codes = coded(frame.categories[name], known)
            found[name] = (codes[:, None] == np.arange(len(known))[None, :]).astype(np.float64)
        return found

    def matrix(self, frame: Frame) -> Floats:
        """A row a customer."""
        return np.concatenate(list(self.blocks(frame).values()), axis=1)


@dataclass(frozen=True)
class _Number:
    """A number's terms: itself, a spline where it has many values, and whether it is missing or zero."""

    middle: float
    mean: float
    spread: float
    spline: Any
    gaps: bool
    zeros: bool

    @staticmethod
    def of(values: Floats) -> _Number:
        known = values[~np.isnan(values)]
        if not len(known):
            return _Number(0.0, 0.0, 1.0, None, False, False)
        return _Number(
            middle=float(np.median(known)),
            mean=float(known.mean()),
            spread=float(known.std()) or 1.0,
            spline=_spline(known),
            gaps=len(known) < len(values),
            zeros=0.05 < float((known == 0).mean()) < 0.95,
        )

    def block(self, values: Floats) -> Floats:
        gone = np.isnan(values)
        filled = np.where(gone, self.middle, values)
        parts = [np.clip((filled - self.mean) / self.spread, -5, 5)[:, None]]
        if self.spline is not None:
            parts.append(self.spline.transform(filled[:, None]))
        if self.gaps:
            parts.append(gone.astype(np.float64)[:, None])
        if self.zeros:
            parts.append((filled == 0).astype(np.float64)[:, None])
        return np.concatenate(parts, axis=1)


def _spline(known: Floats) -> Any:
    from sklearn.preprocessing import SplineTransformer

    knots = np.unique(np.quantile(known, np.linspace(0, 1, KNOTS)))
    if len(np.unique(known)) < FEW_VALUES or len(knots) < 3:
        return None
    spline = SplineTransformer(knots=knots[:, None], degree=3, extrapolation="constant")
    return spline.fit(known[:, None])


def _common(values: NDArray[np.object_]) -> tuple[str, ...]:
    """The categories that are known, the frequent ones first, and the place of all others."""
    names, counts = np.unique(values.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    known = [str(names[place]) for place in order if counts[place] >= LEAST_IN_CATEGORY]
    return (*known[: MAX_CATEGORIES - 1], RARE)


def coded(values: NDArray[np.object_], known: Sequence[str]) -> NDArray[np.intp]:
    """Each value's place among the known ones; the last place for all others."""
    names, inverse = np.unique(values.astype(str), return_inverse=True)
    places = {name: place for place, name in enumerate(known)}
    codes = np.array([places.get(str(name), len(known) - 1) for name in names], dtype=np.intp)
    return codes[inverse]


def sigmoid(scores: Floats) -> Floats:
    """Log-odds as probabilities."""
    found: Floats = 1 / (1 + np.exp(-np.clip(scores, -30, 30)))
    return found


def _weights(matrix: Floats, left: Labels, strength: float) -> Floats:
    from sklearn.linear_model import LogisticRegression

    weights: Floats = LogisticRegression(C=strength, solver="newton-cholesky").fit(matrix, left).coef_[0]
    return weights


def folds(left: Labels, groups: Sequence[Any] | None, count: int, seed: int) -> list[tuple[Any, Any]]:
    """Training and test customers by index; without groups, with the same share of leavers in each fold.

    Args:
        groups: rows of one group stay in one fold.
    """
    from sklearn.model_selection import GroupKFold, StratifiedKFold

    empty = np.zeros(len(left))
    if groups is None or len(set(groups)) == len(left):
        return list(StratifiedKFold(count, shuffle=True, random_state=seed).split(empty, left))
    grouped = GroupKFold(count, shuffle=True, random_state=seed)
    return list(grouped.split(empty, left, np.asarray(groups)))


def _slope(scores: Floats, left: Labels) -> float:
    """Platt's slope of log-odds that were not fitted on the same customers."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e6, max_iter=1000).fit(scores[:, None], left)
    return float(np.clip(fitted.coef_[0][0], *SLOPES))


def _shift(scores: Floats, share: float) -> float:
    """What must be added to log-odds so that the mean probability is the share; by halving."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sigmoid(scores + middle).mean() < share else (low, middle)
    return (low + high) / 2


def _loss(scores: Floats, left: Labels) -> float:
    """Mean log loss of log-odds without an intercept, which is found first."""
    shifted = scores + _shift(scores, float(left.mean()))
    signed = np.where(left, shifted, -shifted)
    return float(np.logaddexp(0, -signed).mean())


def _parts(frame: Frame) -> list[Frame]:
    if frame.rows <= CHUNK:
        return [frame]
    starts = range(0, frame.rows, CHUNK)
    return [frame.take(np.arange(start, min(start + CHUNK, frame.rows))) for start in starts]
