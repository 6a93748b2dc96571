"""Who is leaving and why: risk at this moment, segments by driver, value at risk, and experiments.

All of it from the company's own history, split by time: the model that is judged has seen nothing from the
time on which it is judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from math import ceil, log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from flows.churn import quality
from flows.churn.columns import Excluded, Floats, Frame, stacked
from flows.churn.history import Snapshot, attributed
from flows.churn.labelled import too_few
from flows.churn.leaks import leaking
from flows.churn.quality import Estimate
from flows.churn.risk import Risk, fit, sigmoid

DRIVERS: Mapping[str, str] = {
    "days_since_joining": "tenure",
    "transfers": "fewer transfers",
    "transfer_trend": "fewer transfers",
    "days_since_transfer": "fewer transfers",
    "average_amount": "amounts",
    "failed_payments": "failed payments",
    "failed_payments_recent": "failed payments",
    "sessions": "falling usage",
    "session_trend": "falling usage",
    "complaints": "complaints",
    "price_rise": "price rise",
}
"""Column → the reason that it stands for; an attribute is a reason by its own name."""
LEAST_PUSH = log(1.5)
"""Added log-odds from which on a reason is one."""
NO_DRIVER = "several small reasons"
LEAST_TOLD = 5
"""Customers from which on a segment is told."""
MAX_SEGMENTS = 12
ALPHA, POWER = 0.05, 0.8


@dataclass(frozen=True)
class Judged:
    """How the model did on the newest customers whose fate is known, without having seen that time.

    Attributes:
        by_driver: reason → customers at risk for it then, how many were expected to leave, how many did.
    """

    customers: int
    leavers: int
    auc: Estimate
    top_precision: Estimate
    calibration_error: float
    expected: float
    by_driver: Mapping[str, tuple[int, float, int]]
    others: tuple[int, int]
    """Customers at no risk then, and how many of them left."""

    @property
    def telling(self) -> bool:
        """Whether those at risk then left clearly more often than the others: actions rest on it."""
        count = sum(customers for customers, _, _ in self.by_driver.values())
        gone = sum(left for _, _, left in self.by_driver.values())
        others, others_gone = self.others
        return count > 0 and quality.wilson(gone, count).low > others_gone / max(1, others)


@dataclass(frozen=True)
class Segment:
    """The customers at risk for one reason."""

    driver: str
    members: NDArray[np.intp]
    risk: float
    expected: float
    value: float
    avoidable: float
    pushes: Mapping[str, float]
    """Reason → what it adds to the log-odds on average."""


@dataclass(frozen=True)
class Scored:
    """All customers at a moment, scored.

    Attributes:
        usual: the mean risk.
        drifted: column → population stability index, where it is beyond the bound.
    """

    at: datetime
    snapshot: Snapshot
    risk: Floats
    at_risk: int
    usual: float
    segments: Sequence[Segment]
    judged: Judged
    drifted: Mapping[str, float]
    excluded: Sequence[Excluded]
    trained: int
    trained_leavers: int


class TooLittle(Exception):
    """Nothing can be learnt from what there is. The message says why, and what is needed."""


def score(now: Snapshot, past: Sequence[Snapshot], lift: float) -> Scored:
    """Trains on the past, judges on its newest part, and scores the customers of now.

    Args:
        past: earlier moments, the newest first, each with who left after it; two or more.
        lift: a customer is at risk with so many times the usual probability.

    Raises:
        TooLittle: too few customers, or all of one kind.
    """
    left = np.concatenate([each.left for each in past if each.left is not None])
    if problem := too_few(left):
        raise TooLittle(problem)
    (now, *past), excluded = attributed([now, *past])
    frames, fates = [each.frame for each in past], [each.left for each in past]
    older, older_left = stacked(frames[1:]), np.concatenate([fate for fate in fates[1:] if fate is not None])
    if problem := too_few(older_left):
        raise TooLittle(f"before the newest {len(past[0].ids)}: {problem}")
    leaks = leaking(older, older_left)
    names = [each.column for each in leaks]
    usable = [frame.without(names) for frame in frames]
    groups = [id for each in past for id in each.ids]
    earlier = fit(stacked(usable[1:]), older_left, groups[len(past[0].ids) :])
    judged = _judge(earlier, usable[0], past[0], lift)
    risk = fit(stacked(usable), left, groups)
    present = now.frame.without(names)
    scores = risk.scores(present)
    usual = float(risk.scores(stacked(usable)).mean())
    risky = np.flatnonzero(scores >= lift * usual)
    drifts = quality.drift(stacked(usable), present)
    return Scored(
        at=now.at,
        snapshot=now,
        risk=scores,
        at_risk=len(risky),
        usual=usual,
        segments=_segments(now, scores, risky, _pushes(risk, present.take(risky))),
        judged=judged,
        drifted={name: psi for name, psi in drifts.items() if psi > quality.DRIFTED},
        excluded=[*excluded, *leaks],
        trained=len(left),
        trained_leavers=int(left.sum()),
    )


def _judge(risk: Risk, frame: Frame, snapshot: Snapshot, lift: float) -> Judged:
    left = snapshot.left if snapshot.left is not None else np.zeros(frame.rows, dtype=bool)
    scores = risk.scores(frame)
    at_risk = scores >= lift * scores.mean()
    risky = np.flatnonzero(at_risk)
    reasons = np.array(_reasons(_pushes(risk, frame.take(risky))), dtype=object)
    value, variance = quality.auc(left, scores)
    spread = quality.Z * sqrt(variance)
    found = {}
    for driver in sorted(set(reasons)):
        mine = risky[reasons == driver]
        found[driver] = (len(mine), float(scores[mine].sum()), int(left[mine].sum()))
    count = max(1, round(quality.TOP * len(scores)))
    top = np.argsort(-scores, kind="stable")[:count]
    return Judged(
        customers=frame.rows,
        leavers=int(left.sum()),
        auc=Estimate(value, max(0.0, value - spread), min(1.0, value + spread)),
        top_precision=quality.wilson(float(left[top].sum()), count),
        calibration_error=quality.calibration_error(left, scores),
        expected=float(scores.sum()),
        by_driver=found,
        others=(int((~at_risk).sum()), int(left[~at_risk].sum())),
    )


def _pushes(risk: Risk, frame: Frame) -> dict[str, Floats]:
    """What each reason adds to the log-odds."""
    found: dict[str, Floats] = {}
    for column, values in risk.contributions(frame).items():
        driver = DRIVERS.get(column, column)
        found[driver] = found[driver] + values if driver in found else values
    return found


def _reasons(pushes: Mapping[str, Floats]) -> list[str]:
    """Each customer's strongest reason."""
    names = list(pushes)
    table = np.stack([pushes[name] for name in names])
    if not table.size:
        return []
    strong = table.max(axis=0) >= LEAST_PUSH
    best = table.argmax(axis=0)
    return [names[place] if sure else NO_DRIVER for place, sure in zip(best, strong, strict=True)]


def _segments(
    snapshot: Snapshot, scores: Floats, risky: NDArray[np.intp], pushes: Mapping[str, Floats]
) -> list[Segment]:
    """The customers at risk by reason; first those by whose reason most value could be lost.

    Args:
        risky: the customers at risk.
        pushes: what each reason adds to their log-odds.
    """
    reasons = np.array(_reasons(pushes), dtype=object)
    found = []
    for driver in sorted(set(reasons)):
        mine = reasons == driver
        members, own = risky[mine], scores[risky[mine]]
        value = snapshot.value[members] * snapshot.every
        odds = np.log(own) - np.log1p(-own)
        without = sigmoid(odds - pushes[driver][mine]) if driver in pushes else own
        found.append(
            Segment(
                driver=driver,
                members=members,
                risk=float(own.mean()),
                expected=float(own.sum()) * snapshot.every,
                value=float((value * own).sum()),
                avoidable=float((value * (own - without)).sum()),
                pushes={name: float(values[mine].mean()) for name, values in pushes.items()},
            )
        )
    large = [segment for segment in found if len(segment.members) >= LEAST_TOLD]
    return sorted(large, key=lambda segment: (-segment.avoidable, segment.driver))[:MAX_SEGMENTS]


def sample_size(usual: float, changed: float, alpha: float = ALPHA, power: float = POWER) -> int:
    """Customers in each of two equal groups, to tell two shares apart.

    Two-sided test of two proportions by the normal approximation, without continuity correction: Fleiss,
    Levin and Paik, Statistical Methods for Rates and Proportions, 3rd ed. (2003), formula 4.14:
    n = (z(1−α/2)·√(2·p̄·q̄) + z(power)·√(p₁·q₁ + p₂·q₂))² / (p₁ − p₂)², p̄ the mean of both.

    Args:
        usual: the share without the offer.
        changed: the share with it.

    Raises:
        ValueError: the shares are equal, or not between 0 and 1.
    """
    if not (0 < usual < 1 and 0 < changed < 1) or usual == changed:
        raise ValueError(f"two different shares between 0 and 1 are needed, not {usual} and {changed}")
    normal, mean = NormalDist(), (usual + changed) / 2
    by_chance = normal.inv_cdf(1 - alpha / 2) * sqrt(2 * mean * (1 - mean))
    by_effect = normal.inv_cdf(power) * sqrt(usual * (1 - usual) + changed * (1 - changed))
    return ceil((by_chance + by_effect) ** 2 / (usual - changed) ** 2)


def smallest_effect(usual: float, each: int) -> float | None:
    """The smallest relative reduction of a share that groups of this size show; None if none does."""
    low, high = 0.0, 1.0 - 1e-6
    if each < 2 or sample_size(usual, usual * (1 - high)) > each:
        return None
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if sample_size(usual, usual * (1 - middle)) <= each else (middle, high)
    return high


def control(customer: str, test: str, share: float) -> bool:
    """Whether a customer gets no offer in a test, so that its effect can be told; the same every time."""
    digest = sha256(f"{test}\n{customer}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share
