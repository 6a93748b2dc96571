"""Innocent explanations of an account's transfers: how much of the window each covers."""

from __future__ import annotations

from collections.abc import Sequence

from flows.fincrime.case import Case, days, value
from flows.fincrime.models import Kind
from flows.fincrime.shapes import Measured, Shape
from flows.fincrime.statistics import ramp
from mcp_servers.transfers import Transfer

MONTHS = 2
"""Who was paid so often before the window is paid regularly."""


def explanations(case: Case) -> list[Shape]:
    """Those that cover something, the best fitting first."""
    found = [
        _payroll(case), _marketplace(case), _merchant(case), _remittance(case), _own(case), _rents(case),
        _salary(case), _purchase(case), _collection(case),
    ]  # fmt: skip
    return sorted((each for each in found if each.score > 0), key=lambda one: (-one.score, one.kind))


def _covering(
    case: Case, kind: Kind, fit: float, covered: Sequence[Transfer], all_: Sequence[Transfer], *more: Measured
) -> Shape:
    """An explanation by how well it fits, times the share that it covers of those transfers."""
    share = value(covered) / value(all_) if value(all_) > 0 else 0.0
    measured = (Measured("share of the sum that it covers", round(share, 3)), *more)
    return Shape(kind, round(fit * min(1.0, share), 4), measured, covered)


def _regular_out(case: Case) -> list[Transfer]:
    """To receivers who were paid several times before."""
    return [
        each
        for each in case.outgoing
        if (pair := case.pairs.get((case.subject, each.receiver))) and pair.count >= MONTHS
    ]


def _payroll(case: Case) -> Shape:
    """A business pays the same persons again and again."""
    covered = [each for each in _regular_out(case) if not case.business(each.receiver)]
    people = len({each.receiver for each in covered})
    fit = ramp(people, 4, 8) * float(case.party.business)
    return _covering(case, "payroll", fit, covered, case.outgoing, Measured("persons paid regularly", people))


def _marketplace(case: Case) -> Shape:
    """Very many pay in, and the same persons get paid again and again."""
    covered = [each for each in _regular_out(case) if not case.business(each.receiver)]
    payers = len({each.sender for each in case.incoming})
    people = len({each.receiver for each in covered})
    fit = ramp(people, 4, 8) * ramp(payers, 20, 60) * float(case.party.business)
    return _covering(
        case,
        "marketplace",
        fit,
        covered,
        case.outgoing,
        Measured("payers", payers),
        Measured("paid regularly", people),
    )


def _merchant(case: Case) -> Shape:
    """Very many have always paid in small sums."""
    side = case.before["in"].get(case.subject)
    payers = side.counterparties if side else 0
    small = [each for each in case.incoming if (each.value or 0) <= max(case.floor, case.monthly / 20)]
    fit = ramp(payers, 15, 40) * float(case.party.business)
    return _covering(case, "merchant", fit, small, case.incoming, Measured("payers before", payers))


def _remittance(case: Case) -> Shape:
    """Support for persons abroad, within what the income carries."""
    covered = [
        each
        for each in case.outgoing
        if (party := case.parties.get(each.receiver))
        and party.country not in ("", case.party.country)
        and not party.business
    ]
    if not covered:
        return Shape("family_remittance", 0.0)
    span = max(days(case.since, case.as_of), 1.0) / 30.4
    share = value(covered) / span / max(case.monthly, 1.0)
    people = len({each.receiver for each in covered})
    fit = (1 - ramp(share, 0.4, 0.9)) * (1 - ramp(people, 3, 6))
    measured = (
        Measured("a month, in usual months' income", round(share, 3)),
        Measured("persons abroad", people),
    )
    return Shape("family_remittance", round(fit, 4), measured, covered)


def _own(case: Case) -> Shape:
    """To and from the customer's other accounts."""
    covered = [
        each for each in (*case.incoming, *case.outgoing) if case.own(each.sender) and case.own(each.receiver)
    ]
    return _covering(case, "own_accounts", 1.0, covered, [*case.incoming, *case.outgoing])


def _rents(case: Case) -> Shape:
    """The same persons pay a private customer every month."""
    covered = [
        each
        for each in case.incoming
        if (pair := case.pairs.get((each.sender, case.subject)))
        and pair.count >= MONTHS
        and not case.business(each.sender)
        and (each.value or 0) >= case.floor / 2
    ]
    people = len({each.sender for each in covered})
    fit = ramp(people, 2, 4) * float(not case.party.business)
    return _covering(case, "rents", fit, covered, case.incoming, Measured("regular payers", people))


def _salary(case: Case) -> Shape:
    """Money of an employer, as every month."""
    covered = [each for each in case.incoming if case.public(each.sender, "out")]
    return _covering(case, "salary", float(not case.party.business), covered, case.incoming)


def _purchase(case: Case) -> Shape:
    """One large sum to a business, out of one's own money or a loan."""
    large = [
        each for each in case.outgoing if case.business(each.receiver) and (each.value or 0) > case.monthly
    ]
    if not large or len({each.receiver for each in large}) > 2:
        return Shape("purchase", 0.0)
    funding = [each for each in case.incoming if case.own(each.sender) or case.business(each.sender)]
    fit = ramp(value(funding) / value(large), 0.3, 0.8)
    return _covering(case, "purchase", fit, large, case.outgoing)


def _collection(case: Case) -> Shape:
    """Many give a little at once, less together than the account has in a month."""
    little = [
        each
        for each in case.incoming
        if case.new(each) and not case.business(each.sender) and (each.value or 0) <= case.monthly / 15
    ]
    people = len({each.sender for each in little})
    fit = ramp(people, 4, 8) * (1 - ramp(value(little) / max(case.monthly, 1.0), 0.8, 1.6))
    return Shape(
        "collection",
        round(fit, 4),
        (
            Measured("persons who gave a little", people),
            Measured("sum", round(value(little), 2), round(case.monthly, 2)),
        ),
        little,
    )
