"""Money: reserved before it is spent, settled when the cost is known, never beyond a budget.

A day is the UTC day of the reservation. A reservation whose lease ran out counts as spent in full.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, Date, and_, bindparam, exists, func, insert, or_, select, text, update

from blocks.database import Prepared
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
    domain: str
    day: date


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
        _commit(conn, domain, execution_id, micro, budgets, at.date())
    values = {
        "of": execution_id,
        "in_domain": domain,
        "on": at.date(),
        "place": sequence,
        "micro": micro,
        "until": at + lease,
        "at": at,
    }
    ((id_,),) = _RESERVE.execute(conn, values).rows
    return Reservation(id_, execution_id, sequence, micro, domain, at.date())


def settle(conn: Connection, reservation: Reservation, micro: int) -> None:
    """Replace a reservation by the real cost, also above it or after its lease. A second time is ignored.

    What an ended execution cost is known and counted: it can still rise, and never falls.
    """
    given = {"reservation": reservation.id, "of": reservation.execution_id, "cost": micro}
    for reserved, outcome in _SETTLE.execute(conn, given).rows:
        if reserved == micro:
            return
        late = micro - reserved
        _add(conn, reservation.domain, reservation.day, late)
        if outcome is not None:
            row = conn.execute(_RAISE, {"of": reservation.execution_id, "late": late}).one()
            tally.cost(conn, row, late)
            outbox.put(conn, "execution", row.execution_id, utc())


def lapse(conn: Connection, now: datetime | None = None) -> int:
    """Settle reservations whose lease ran out at what was reserved; how many."""
    over = and_(spend.c.settled_micro.is_(None), spend.c.lease_until <= utc(now))
    return conn.execute(update(spend).where(over).values(**_LAPSED)).rowcount


def close(conn: Connection, execution_id: str) -> None:
    """Settle what an ending execution has still open, lost turns, at what was reserved."""
    _CLOSE.execute(conn, {"of": execution_id})


def of_execution(conn: Connection, execution_id: str) -> int:
    """Micro-dollars spent and reserved by an execution."""
    return int(_OF_EXECUTION.execute(conn, {"of": execution_id}).rows[0][0])


def _of_run(conn: Connection, execution_id: str) -> int:
    """Micro-dollars spent and reserved by all executions of an execution's run."""
    return int(_OF_RUN.execute(conn, {"of": execution_id}).rows[0][0])


def of_day(conn: Connection, domain: str = "", day: date | None = None) -> int:
    """Micro-dollars spent and reserved on a UTC day, today by default, by a domain or by all."""
    scope = domain_scope(domain) if domain else PLATFORM
    at = day or datetime.now(UTC).date()
    row = and_(budget_days.c.scope == scope, budget_days.c.day == at)
    return int(conn.execute(select(budget_days.c.committed_micro).where(row)).scalar() or 0)


def domain_scope(domain: str) -> str:
    """A domain's scope in `budget_days`."""
    return f"domain:{domain}"


def _commit(
    conn: Connection, domain: str, execution_id: str, micro: int, budgets: Budgets, day: date
) -> None:
    """Add to what is spent and reserved on a day, unless that would pass a budget."""
    scope = domain_scope(domain)
    given = {"in_domain": scope, "on": day, "micro": micro, "of": execution_id}
    rows = _COMMIT.execute(conn, given).rows
    committed, spent = {name: sum_ for name, sum_, _ in rows}, int(rows[0][2])
    try:
        _compare(scope, budgets.domain_day, committed[scope] - micro, micro)
        _compare(PLATFORM, budgets.platform_day, committed[PLATFORM] - micro, micro)
        if budgets.run is not None:
            _compare("run", budgets.run, _of_run(conn, execution_id), micro)
        if budgets.execution is not None:
            _compare("execution", budgets.execution, spent, micro)
    except BudgetExceeded:
        _add(conn, domain, day, -micro)
        raise


def _compare(which: str, limit: int | None, spent: int, micro: int) -> None:
    if limit is not None and spent + micro > limit:
        raise BudgetExceeded(which, limit, spent, micro)


def _add(conn: Connection, domain: str, day: date, micro: int) -> None:
    """Change what is spent and reserved on a day."""
    _ADD.execute(conn, {"in_domain": domain_scope(domain), "on": day, "micro": micro})


# Statements of every model turn, built once: building one takes longer than executing it.

_MINE = spend.c.execution_id == bindparam("of")
_RUN = select(executions.c.run_id).where(executions.c.execution_id == bindparam("of")).scalar_subquery()
_SUM = "SELECT COALESCE(SUM(COALESCE(settled_micro, reserved_micro)), 0) FROM spend WHERE execution_id = :of"
_OF_EXECUTION = Prepared(text(_SUM))
_OF_RUN = Prepared(
    select(func.coalesce(func.sum(_COUNTED), 0)).where(
        spend.c.execution_id.in_(select(executions.c.execution_id).where(executions.c.run_id == _RUN))
    )
)
_CHANGE = (
    f"INSERT INTO budget_days (scope, day, committed_micro) "
    f"VALUES (:in_domain, :on, :micro), ('{PLATFORM}', :on, :micro) "
    "ON CONFLICT (scope, day) DO UPDATE "
    "SET committed_micro = budget_days.committed_micro + excluded.committed_micro"
)
"""Others wait for these rows until the transaction ends, always in the same order."""
_ADD = Prepared(text(_CHANGE).bindparams(bindparam("on", type_=Date())))
_COMMIT = Prepared(
    text(f"{_CHANGE} RETURNING scope, committed_micro, ({_SUM})").bindparams(bindparam("on", type_=Date()))
)
_RESERVE = Prepared(
    insert(spend)
    .values(
        run_id=_RUN,
        domain=bindparam("in_domain"),
        day=bindparam("on"),
        execution_id=bindparam("of"),
        sequence=bindparam("place"),
        reserved_micro=bindparam("micro"),
        lease_until=bindparam("until"),
        created_at=bindparam("at"),
    )
    .returning(spend.c.id)
)
_OUTCOME = (
    select(executions.c.outcome)
    .where(executions.c.execution_id == bindparam("of"))
    .scalar_subquery()
    .label("outcome")
)
_ENDED = and_(executions.c.execution_id == bindparam("of"), executions.c.outcome.is_not(None))
_SETTLE = Prepared(
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
    .returning(spend.c.reserved_micro, _OUTCOME)
)
_RAISE = (
    update(executions)
    .where(_ENDED)
    .values(cost_micro=executions.c.cost_micro + bindparam("late"))
    .returning(executions)
)
_LAPSED = {"settled_micro": spend.c.reserved_micro, "lapsed": True}
_CLOSE = Prepared(update(spend).where(_MINE, spend.c.settled_micro.is_(None)).values(**_LAPSED))
