"""Money: reserved before it is spent, settled when the cost is known, never beyond a budget.

A day is the UTC day of the reservation. A reservation whose lease ran out counts as spent in full.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, exists, func, insert, or_, select, update

from blocks.database import insert_new
from blocks.schema import budget_days, executions, spend
from blocks.units import format_dollars
from tasks import outbox, tally
from tasks.clock import utc

PLATFORM = "platform"

_COUNTED = func.coalesce(spend.c.settled_micro, spend.c.reserved_micro)


@dataclass(frozen=True)
class Budgets:
    """What may be spent, in micro-dollars; None is no limit."""

    domain_day: int | None = None
    platform_day: int | None = None
    run: int | None = None
    execution: int | None = None


@dataclass(frozen=True)
class Reservation:
    """Money set aside for one step of an execution."""

    id: int
    execution_id: str
    sequence: int
    micro: int


class BudgetExceeded(Exception):
    """A reservation would pass a budget; nothing was reserved.

    Attributes:
        which: `execution`, `run`, `domain:NAME` or `platform`.
        limit: the budget, in micro-dollars.
        spent: what is spent and reserved of it already.
        wanted: what was asked for.
    """

    def __init__(self, which: str, limit: int, spent: int, wanted: int) -> None:
        self.which, self.limit, self.spent, self.wanted = which, limit, spent, wanted
        per = "" if which in ("execution", "run") else "/day"
        super().__init__(
            f"the budget of {which.replace(':', ' ')}, {format_dollars(limit)}{per}, has "
            f"{format_dollars(max(0, limit - spent))} left; the next step may cost {format_dollars(wanted)}"
        )


def reserve(
    conn: Connection,
    *,
    domain: str,
    execution_id: str,
    sequence: int,
    micro: int,
    budgets: Budgets,
    lease: timedelta = timedelta(minutes=15),
    now: datetime | None = None,
) -> Reservation:
    """Set `micro` aside for a step, atomically across processes.

    Reserving for the same step again, after a crash, is a new reservation; the old one stays counted.

    Raises:
        BudgetExceeded: if a budget does not allow it. Free steps (`micro` 0) are always allowed.
    """
    if micro < 0:
        raise ValueError(f"{micro} micro-dollars can't be reserved")
    at = utc(now)
    if micro:
        spent = _lock(conn, domain, at.date())
        _compare(domain_scope(domain), budgets.domain_day, spent[domain_scope(domain)], micro)
        _compare(PLATFORM, budgets.platform_day, spent[PLATFORM], micro)
        if budgets.run is not None:
            _compare("run", budgets.run, _of_run(conn, execution_id), micro)
        if budgets.execution is not None:
            _compare("execution", budgets.execution, of_execution(conn, execution_id), micro)
        _add(conn, domain, at.date(), micro)
    values = {
        "of": execution_id,
        "domain": domain,
        "day": at.date(),
        "execution_id": execution_id,
        "sequence": sequence,
        "reserved_micro": micro,
        "lease_until": at + lease,
        "created_at": at,
    }
    id_ = conn.execute(_RESERVE, values).scalar_one()
    return Reservation(id=id_, execution_id=execution_id, sequence=sequence, micro=micro)


def settle(conn: Connection, reservation: Reservation, micro: int) -> None:
    """Replace a reservation by the real cost, also above it or after its lease. A second time is ignored.

    What an ended execution cost is known and counted: it can still rise, and never falls.
    """
    given = {"reservation": reservation.id, "of": reservation.execution_id, "cost": micro}
    changed = conn.execute(_SETTLE, given).first()
    if changed and micro != changed.reserved_micro:
        late = micro - changed.reserved_micro
        _lock(conn, changed.domain, changed.day)
        _add(conn, changed.domain, changed.day, late)
        row = conn.execute(_RAISE, {"of": reservation.execution_id, "late": late}).first()
        if row:
            tally.cost(conn, row, late)
            outbox.put(conn, "execution", row.execution_id, utc())


def lapse(conn: Connection, now: datetime | None = None) -> int:
    """Settle reservations whose lease ran out at what was reserved; how many."""
    over = and_(spend.c.settled_micro.is_(None), spend.c.lease_until <= utc(now))
    return conn.execute(update(spend).where(over).values(**_LAPSED)).rowcount


def close(conn: Connection, execution_id: str) -> None:
    """Settle what an ending execution has still open, lost turns, at what was reserved."""
    conn.execute(_CLOSE, {"of": execution_id})


def of_execution(conn: Connection, execution_id: str) -> int:
    """Micro-dollars spent and reserved by an execution."""
    return int(conn.execute(_OF_EXECUTION, {"of": execution_id}).scalar_one())


def _of_run(conn: Connection, execution_id: str) -> int:
    """Micro-dollars spent and reserved by all executions of an execution's run."""
    return int(conn.execute(_OF_RUN, {"of": execution_id}).scalar_one())


def of_day(conn: Connection, domain: str = "", day: date | None = None) -> int:
    """Micro-dollars spent and reserved on a UTC day, today by default, by a domain or by all."""
    scope = domain_scope(domain) if domain else PLATFORM
    at = day or datetime.now(UTC).date()
    row = and_(budget_days.c.scope == scope, budget_days.c.day == at)
    return int(conn.execute(select(budget_days.c.committed_micro).where(row)).scalar() or 0)


def domain_scope(domain: str) -> str:
    """A domain's scope in `budget_days`."""
    return f"domain:{domain}"


def _compare(which: str, limit: int | None, spent: int, micro: int) -> None:
    if limit is not None and spent + micro > limit:
        raise BudgetExceeded(which, limit, spent, micro)


def _lock(conn: Connection, domain: str, day: date) -> dict[str, int]:
    """What is spent and reserved by scope. Others wait for these rows, always in the same order."""
    scopes = (domain_scope(domain), PLATFORM)
    rows = {"on": day, "scope": scopes[0]}
    found = dict(conn.execute(_LOCK, rows).tuples().all())
    if len(found) < len(scopes):
        for scope in scopes:
            insert_new(conn, budget_days, {"scope": scope, "day": day})
        found = dict(conn.execute(_LOCK, rows).tuples().all())
    return found


def _add(conn: Connection, domain: str, day: date, micro: int) -> None:
    """Change the sums of locked rows."""
    conn.execute(_ADD, {"on": day, "in_scope": domain_scope(domain), "more": micro})


# Statements of every model turn, built once: building one takes longer than executing it.

_MINE = spend.c.execution_id == bindparam("of")
_RUN = select(executions.c.run_id).where(executions.c.execution_id == bindparam("of")).scalar_subquery()
_OF_EXECUTION = select(func.coalesce(func.sum(_COUNTED), 0)).where(_MINE)
_OF_RUN = select(func.coalesce(func.sum(_COUNTED), 0)).where(
    spend.c.execution_id.in_(select(executions.c.execution_id).where(executions.c.run_id == _RUN))
)
_LOCK = (
    select(budget_days.c.scope, budget_days.c.committed_micro)
    .where(budget_days.c.day == bindparam("on"), budget_days.c.scope.in_((bindparam("scope"), PLATFORM)))
    .order_by(budget_days.c.scope)
    .with_for_update()
)
_ADD = (
    update(budget_days)
    .where(budget_days.c.day == bindparam("on"), budget_days.c.scope.in_((bindparam("in_scope"), PLATFORM)))
    .values(committed_micro=budget_days.c.committed_micro + bindparam("more"))
)
_RESERVE = insert(spend).values(run_id=_RUN).returning(spend.c.id)
_ENDED = and_(executions.c.execution_id == bindparam("of"), executions.c.outcome.is_not(None))
_SETTLE = (
    update(spend)
    .where(
        spend.c.id == bindparam("reservation"),
        or_(
            spend.c.settled_micro.is_(None),
            and_(
                spend.c.lapsed,
                or_(
                    ~exists(executions.c.execution_id).where(_ENDED),
                    spend.c.reserved_micro < bindparam("cost"),
                ),
            ),
        ),
    )
    .values(settled_micro=bindparam("cost"), lapsed=False)
    .returning(spend.c.domain, spend.c.day, spend.c.reserved_micro)
)
_RAISE = (
    update(executions)
    .where(_ENDED)
    .values(cost_micro=executions.c.cost_micro + bindparam("late"))
    .returning(executions)
)
_LAPSED = {"settled_micro": spend.c.reserved_micro, "lapsed": True}
_CLOSE = update(spend).where(_MINE, spend.c.settled_micro.is_(None)).values(**_LAPSED)
