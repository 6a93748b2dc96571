"""What may be behind an account's transfers: hypotheses with their indicators, their proof, and the doubts.

Pure: a case in, findings out. `neighbourhood` reads cases, `shapes` and `explanations` measure.
"""

from __future__ import annotations

from collections.abc import Sequence

from flows.fincrime.case import Case
from flows.fincrime.doubts import doubts, stand
from flows.fincrime.explanations import explanations
from flows.fincrime.models import (
    INNOCENT,
    CaseFile,
    Challenge,
    Hypothesis,
    Indicator,
    Kind,
    Proof,
    Screened,
    Tested,
    Verdict,
)
from flows.fincrime.shapes import Shape, shapes
from mcp_servers.transfers import Side, Transfer

LEAST = 0.05
"""A hypothesis with a lower score is not told."""
MOST = 8
"""Hypotheses of one account that are told."""
MOST_PROOF = 40
"""Transfers of one hypothesis that are told one by one."""
SPECIFIC: tuple[Kind, ...] = (
    "mule_network", "cycle", "scatter_gather", "gather_scatter", "bipartite", "structuring",
    "stack", "dormant",    "corridor",
)  # fmt: skip
"""Shapes that say more than the fans and the passing on that they contain."""
_PRECEDENCE = 0.2
"""A specific shape comes before a general one that fits better by less than this."""


def hypotheses(case: Case) -> list[Shape]:
    """All that fit, the best first."""
    found = [each for each in (*shapes(case), *explanations(case)) if each.score >= LEAST]
    return sorted(found, key=lambda one: (-_weight(one.kind, one.score), one.kind in INNOCENT))[:MOST]


def screened(case: Case, alerts: Sequence[str] = (), reason: str = "") -> Screened:
    """The account with its ranked hypotheses."""
    found = hypotheses(case)
    sides = [case.window_sides.get(direction, Side()) for direction in ("in", "out")]
    fresh = {each.sender for each in case.incoming if case.new(each)}
    fresh |= {each.receiver for each in case.outgoing if case.new(each)}
    return Screened(
        subject=case.subject,
        alerts=list(alerts),
        reason=reason,
        suspicion=max((round(each.score, 3) for each in found if each.kind not in INNOCENT), default=0.0),
        hypotheses=[_hypothesis(each) for each in found],
        transfers=sum(side.count for side in sides),
        total_in=sides[0].total,
        total_out=sides[1].total,
        usual_month=round(case.monthly, 2),
        counterparties=sum(side.counterparties for side in sides),
        new_counterparties=len(fresh),
        warnings=list(case.warnings),
        cut=list(case.cut),
    )


def tested(case: Case) -> CaseFile:
    """What the data shows of each hypothesis, transfer by transfer."""
    sides = [case.window_sides.get(direction, Side()) for direction in ("in", "out")]
    return CaseFile(
        subject=case.subject,
        customer=case.party.customer,
        country=case.party.country,
        business=case.party.business,
        opened_at=case.party.opened_at,
        since=case.since,
        as_of=case.as_of,
        currency=case.currency,
        usual_month=round(case.monthly, 2),
        total_in=sides[0].total,
        total_out=sides[1].total,
        transfers=sum(side.count for side in sides),
        hypotheses=[_tested(each) for each in hypotheses(case)],
        warnings=list(case.warnings),
        cut=list(case.cut),
    )


def challenged(case: Case) -> Challenge:
    """The sceptical pass over every hypothesis that is not innocent."""
    innocent = explanations(case)
    suspicious = [each for each in hypotheses(case) if each.kind not in INNOCENT]
    found = {each.kind: doubts(case, each, innocent) for each in suspicious}
    stands = [stand(each, found[each.kind]) for each in suspicious]
    stands.sort(key=lambda one: -_weight(one.kind, one.support))
    return Challenge(
        subject=case.subject,
        doubts=[doubt for each in stands for doubt in found[each.kind]],
        stands=stands,
        verdict=max(
            (each.verdict for each in stands),
            key=list(Verdict).index,
            default=Verdict.probable_false_positive,
        ),
    )


def _weight(kind: Kind, score: float) -> float:
    return score + _PRECEDENCE * (kind in SPECIFIC)


def _hypothesis(shape: Shape) -> Hypothesis:
    return Hypothesis(
        kind=shape.kind,
        innocent=shape.kind in INNOCENT,
        score=round(shape.score, 3),
        indicators=[Indicator(name=one.name, value=one.value, usual=one.usual) for one in shape.indicators],
        against=list(shape.against),
    )


def _tested(shape: Shape) -> Tested:
    unique = {(each.id, each.time, each.value): each for each in shape.transfers}
    ordered = sorted(unique.values(), key=lambda one: (one.time, one.id))
    told = ordered[:MOST_PROOF] if shape.kind not in INNOCENT else ordered[:3]
    return Tested(
        **_hypothesis(shape).model_dump(),
        proof=[_proof(each) for each in told],
        proof_total=len(ordered),
    )


def _proof(transfer: Transfer) -> Proof:
    return Proof(
        id=transfer.id,
        time=transfer.time,
        sender=transfer.sender or ("cash" if transfer.cash else ""),
        receiver=transfer.receiver or ("cash" if transfer.cash else ""),
        value=transfer.value,
        cash=transfer.cash,
    )
