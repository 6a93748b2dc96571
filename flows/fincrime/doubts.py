"""The sceptical pass: every hypothesis is attacked with what the data offers, and keeps what it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

from flows.fincrime.case import Case, days, value
from flows.fincrime.models import INNOCENT, Doubt, Stand, Verdict
from flows.fincrime.shapes import Shape, passed_on, shapes
from mcp_servers.transfers import Direction, Transfer

ESCALATE = 0.7
INVESTIGATE = 0.4
"""Support from which on a case is escalated, or investigated."""
SHUFFLES = 200
"""Random orders of the same transfers that passing on is compared with."""
CHANCE = 0.2
"""Passing on that so many random orders show as well is chance."""
_MANY = 0.6


def verdict(support: float) -> Verdict:
    """What a support means."""
    if support >= ESCALATE:
        return Verdict.escalate
    return Verdict.investigate if support >= INVESTIGATE else Verdict.probable_false_positive


def lower(one: Verdict, other: Verdict) -> Verdict:
    """The milder of two verdicts."""
    order = list(Verdict)
    return min(one, other, key=order.index)


def doubts(case: Case, shape: Shape, innocent: Sequence[Shape]) -> list[Doubt]:
    """Every attempt on one hypothesis."""
    attempts: tuple[Callable[[], Doubt | None], ...] = (
        lambda: _before(case, shape),
        lambda: _single(case, shape),
        lambda: _chance(case, shape),
        lambda: _acquainted(case, shape),
        lambda: _explained(case, shape, innocent),
        lambda: _small(case, shape),
    )
    return [found for attempt in attempts if (found := attempt())]


def stand(shape: Shape, found: Sequence[Doubt]) -> Stand:
    """What is left of a hypothesis."""
    support = shape.score
    for doubt in found:
        support *= doubt.factor
    return Stand(
        kind=shape.kind, score=round(shape.score, 3), support=round(support, 3), verdict=verdict(support)
    )


def _doubt(shape: Shape, question: str, finding: str, holds: bool, factor: float) -> Doubt:
    assert shape.kind not in INNOCENT  # noqa: S101 - nobody doubts innocence
    return Doubt(
        kind=shape.kind,
        question=question,
        finding=finding,
        holds=holds,
        factor=1.0 if holds else round(factor, 3),
    )


def _before(case: Case, shape: Shape) -> Doubt | None:
    """The same number of newcomers in an earlier stretch of the same length makes it a habit."""
    if shape.kind not in ("fan_in", "fan_out", "gather_scatter"):
        return None
    incoming = shape.kind == "fan_in"
    now = len({each.sender if incoming else each.receiver for each in shape.transfers} - {case.subject})
    length = case.as_of - case.since
    most, stretches = 0, 0
    end = case.since
    past = [each for each in case.history if (each.receiver if incoming else each.sender) == case.subject]
    while past and end - length >= past[0].time:
        earlier = {_far(each, incoming) for each in past if each.time < end - length}
        inside = [
            each for each in past if end - length <= each.time < end and (each.value or 0) >= case.floor
        ]
        most = max(most, len({_far(each, incoming) for each in inside} - earlier))
        stretches += 1
        end -= length
    if not stretches:
        return None
    return _doubt(
        shape,
        "Did the account have as many newcomers at once before?",
        f"at most {most} in {stretches} earlier stretches of {length.days} days, {now} now",
        most < _MANY * now,
        0.5,
    )


def _far(transfer: Transfer, incoming: bool) -> str:
    return transfer.sender if incoming else transfer.receiver


def _single(case: Case, shape: Shape) -> Doubt | None:
    """What rests on one transfer alone is weak."""
    if (
        shape.kind in ("cycle", "scatter_gather", "mule_network", "bipartite", "stack")
        or len(shape.transfers) < 3
    ):
        return None
    largest = max(shape.transfers, key=lambda one: one.value or 0)
    without = replace(case, transfers=[each for each in case.transfers if each is not largest])
    left = next((each.score for each in shapes(without) if each.kind == shape.kind), 0.0)
    return _doubt(
        shape,
        "Does it rest on a single transfer?",
        f"without the largest ({largest.id}) its score is {left:.2f} instead of {shape.score:.2f}",
        left >= shape.score / 2,
        0.75,
    )


def _chance(case: Case, shape: Shape) -> Doubt | None:
    """Money that comes and goes at random times also seems to be passed on."""
    if shape.kind not in ("pass_through", "gather_scatter"):
        return None
    observed = _promptly(case.unusual_in, case.unusual_out)
    rng = Random(f"{case.subject}:{len(case.transfers)}")  # noqa: S311 - the same case, the same answer
    span = (case.as_of - case.since).total_seconds()
    hits = 0
    for _ in range(SHUFFLES):
        moved = [
            each.model_copy(update={"time": case.since + timedelta(seconds=rng.uniform(0, span))})
            for each in case.unusual_out
        ]
        hits += _promptly(case.unusual_in, moved) >= observed
    share = hits / SHUFFLES
    return _doubt(
        shape,
        "Would money that leaves at random times look the same?",
        f"{share:.0%} of {SHUFFLES} random orders pass on as much as promptly",
        share < CHANCE,
        0.75,
    )


def _promptly(received: Sequence[Transfer], sent: Sequence[Transfer]) -> float:
    """The sum that was passed on, worth less the longer it rested."""
    total, came, went = passed_on(received, sent)
    rests = [
        min((days(into.time, out.time) for into in came if into.time <= out.time), default=14.0)
        for out in went
    ]
    return total / (1 + (sum(rests) / len(rests) if rests else 14.0))


def _acquainted(case: Case, shape: Shape) -> Doubt | None:
    """People who paid each other the other way before are no strangers."""
    between = [each for each in shape.transfers if each.sender and each.receiver]
    if not between:
        return None
    known = [each for each in between if case.established(each.receiver, each.sender)]
    share = len(known) / len(between)
    return _doubt(
        shape,
        "Do they know each other?",
        f"in {len(known)} of {len(between)} transfers the receiver had paid the sender before",
        share < _MANY,
        0.5,
    )


def _explained(case: Case, shape: Shape, innocent: Sequence[Shape]) -> Doubt:
    """An innocent explanation that covers the same transfers."""
    ids = {each.id for each in shape.transfers}
    best, most = "", 0.0
    for other in innocent:
        covered = value(each for each in other.transfers if each.id in ids)
        share = covered / max(value(shape.transfers), 0.01) * min(1.0, other.score / 0.5)
        if share > most:
            best, most = other.kind.replace("_", " "), share
    finding = f"{best} explains {most:.0%} of the sum" if best else "no innocent explanation covers any of it"
    return _doubt(shape, "Does something innocent explain the same transfers?", finding, most < _MANY, 0.5)


def _small(case: Case, shape: Shape) -> Doubt:
    """Sums that the account has in a week anyway matter little."""
    if shape.kind == "cycle":
        moved = max(each.value or 0.0 for each in shape.transfers)
    else:
        moved = max(_moved(case, shape, "in"), _moved(case, shape, "out"))
    months = moved / max(case.monthly, 1.0)
    finding = f"it moved {moved:,.0f} {case.currency}, {months:.1f} usual months"
    return _doubt(shape, "Is the sum worth it?", finding, months >= 0.25, 0.6)


def _moved(case: Case, shape: Shape, direction: Direction) -> float:
    """What came in to the subject, or went out of it."""
    return value(
        each
        for each in shape.transfers
        if (each.receiver if direction == "in" else each.sender) == case.subject
    )
