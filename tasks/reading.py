"""What metrics are made of: the record's totals and what waits now, read in one transaction.

However much was executed, it reads the same few rows: totals, the last day's slots, and what is still open.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, exists, func, select

from blocks.schema import (
    approvals,
    budget_days,
    corrections,
    counters,
    execution_slots,
    execution_totals,
    executions,
    outbox,
    skill_executions,
    triggers,
)
from tasks import tally
from tasks.clock import utc

DAY = timedelta(hours=24)
INBOX = ("pending", "deferred", "running")


@dataclass(frozen=True)
class Open:
    """What waits.

    Attributes:
        number: how many.
        oldest: since when the first of them does; None if none.
        failed: how many wait no more since they can't be done.
    """

    number: int = 0
    oldest: datetime | None = None
    failed: int = 0


@dataclass(frozen=True)
class Reading:
    """The platform at one moment.

    Attributes:
        totals: rows of `execution_totals`, in the order of their keys.
        ended: domain, skill, outcome, and how many ended of what was started in the last 24 hours.
        corrected: the same for those that stand corrected.
        counts: name of a counter → its labels and values.
        cost_today: scope of `budget_days` → micro-dollars committed on this UTC day.
        approvals: domain → fixes that wait for a decision.
        inbox: state → triggers.
        pending_since: since when the oldest trigger from outside is pending; None if none is.
        outbox: destination → what it has yet to be told.
    """

    at: datetime
    totals: Sequence[Row[Any]]
    ended: Sequence[tuple[str, str, str, int]]
    corrected: Sequence[tuple[str, str, str, int]]
    counts: Mapping[str, Sequence[tuple[Mapping[str, str], int]]]
    cost_today: Mapping[str, int]
    approvals: Mapping[str, Open]
    inbox: Mapping[str, int]
    pending_since: datetime | None
    outbox: Mapping[str, Open]


def read(
    conn: Connection, scopes: Sequence[str], destinations: Sequence[str], now: datetime | None = None
) -> Reading:
    """The platform as it stands.

    Args:
        scopes: those of `budget_days` that are asked for.
        destinations: of the outbox.
    """
    at = utc(now)
    since = tally.slot(at - DAY)
    return Reading(
        at=at,
        totals=conn.execute(_TOTALS).all(),
        ended=_ended(conn, since),
        corrected=_corrected(conn, since),
        counts=_counts(conn),
        cost_today=_cost_today(conn, scopes, at),
        approvals=_approvals(conn),
        inbox=_inbox(conn),
        pending_since=conn.execute(_PENDING).scalar(),
        outbox={each: _outbox(conn, each) for each in destinations},
    )


_TOTALS = select(execution_totals).order_by(*execution_totals.primary_key)

_PENDING = select(func.min(triggers.c.created_at, type_=triggers.c.created_at.type)).where(
    triggers.c.state == "pending", triggers.c.received.is_not(None)
)


def _ended(conn: Connection, since: datetime) -> list[tuple[str, str, str, int]]:
    slots = execution_slots.c
    who = (slots.domain, slots.skill_name, slots.outcome)
    query = select(*who, func.sum(slots.executions)).where(slots.slot >= since).group_by(*who)
    return [(domain, skill, outcome, int(number)) for domain, skill, outcome, number in conn.execute(query)]


def _corrected(conn: Connection, since: datetime) -> list[tuple[str, str, str, int]]:
    """By way of the corrections, which are few. The view knows which ones stand."""
    said = select(corrections.c.execution_id).where(corrections.c.created_at >= since)
    view = skill_executions.c
    stands = exists().where(view.execution_id == executions.c.execution_id, view.outcome == "user_corrected")
    who = (executions.c.domain, executions.c.skill_name, executions.c.outcome)
    found = and_(executions.c.execution_id.in_(said), executions.c.started_at >= since, stands)
    query = select(*who, func.count()).where(found).group_by(*who)
    return list(conn.execute(query).tuples())


def _counts(conn: Connection) -> dict[str, list[tuple[Mapping[str, str], int]]]:
    found: dict[str, list[tuple[Mapping[str, str], int]]] = {}
    for name, labels, value in conn.execute(select(counters.c.name, counters.c.labels, counters.c.value)):
        found.setdefault(name, []).append((json.loads(labels), value))
    return found


def _cost_today(conn: Connection, scopes: Sequence[str], at: datetime) -> dict[str, int]:
    today = and_(budget_days.c.scope.in_(scopes), budget_days.c.day == at.date())
    query = select(budget_days.c.scope, budget_days.c.committed_micro).where(today)
    return dict(conn.execute(query).tuples().all())


def _approvals(conn: Connection) -> dict[str, Open]:
    oldest = func.min(approvals.c.created_at, type_=approvals.c.created_at.type)
    query = select(approvals.c.domain, func.count(), oldest).where(approvals.c.status == "waiting")
    rows = conn.execute(query.group_by(approvals.c.domain))
    return {domain: Open(number, since) for domain, number, since in rows}


def _inbox(conn: Connection) -> dict[str, int]:
    query = select(triggers.c.state, func.count()).where(triggers.c.state.in_(INBOX))
    return dict(conn.execute(query.group_by(triggers.c.state)).tuples().all())


def _outbox(conn: Connection, destination: str) -> Open:
    """Counted in the index; the first row is the oldest."""
    to = outbox.c.destination == destination
    query = select(outbox.c.state, func.count()).where(to).group_by(outbox.c.state)
    numbers = dict(conn.execute(query).tuples().all())
    first = select(func.min(outbox.c.id)).where(to, outbox.c.state == "pending").scalar_subquery()
    oldest = conn.execute(select(outbox.c.created_at).where(outbox.c.id == first)).scalar()
    return Open(numbers.get("pending", 0), oldest, numbers.get("failed", 0))
