"""What was usual before: the average of the periods before a time, counted by the quarter of an hour."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, func, select

from blocks.schema import execution_slots
from tasks import report_queries as queries
from tasks.tally import slot

MOST = 7
"""Periods that are averaged at most."""


class Average(BaseModel):
    """The average of the periods before."""

    model_config = ConfigDict(frozen=True)

    periods: int
    """How many, each as long as the one that is compared with them."""
    executions: float
    cost: float
    """Dollars."""
    success_rate: float | None
    """Of all of them together; None where nothing counts."""


def before(conn: Connection, until: datetime, period: timedelta, domain: str = "") -> Average | None:
    """The average of up to seven periods before `until`, of one domain or of all.

    Returns:
        None if the record does not reach back one whole period.
    """
    end = slot(until)
    periods = min(MOST, (end - (first(conn, domain) or end)) // period)
    if periods < 1:
        return None
    given = {"since": end - periods * period, "until": end, "name": domain}
    total = conn.execute(queries.SLOTS, given).mappings().one()
    corrected = conn.execute(queries.CORRECTED, given).mappings().one()
    counted = int(total["counted"] + corrected["others"])
    return Average(
        periods=periods,
        executions=float(total["executions"]) / periods,
        cost=float(total["cost"]) / periods,
        success_rate=float(total["successes"] - corrected["successes"]) / counted if counted else None,
    )


def share(value: float) -> str:
    """A share for people: `94.3%`, and `100%` only of all."""
    return "99.9%" if 0.9995 <= value < 1 else f"{round(100 * value, 1):g}%"


def against(value: float, usual: float) -> str:
    """How a figure compares with what is usual: `▲ +12%`."""
    if not usual:
        return "none before" if value else "= as before"
    share = (value - usual) / usual
    return "= as before" if abs(share) < 0.005 else f"{'▲' if share > 0 else '▼'} {share:+.0%}"


def points(share: float, usual: float) -> str:
    """How a share compares with what is usual, in percentage points, with a warning where it fell."""
    change = 100 * (share - usual)
    if abs(change) < 0.05:
        return "= as before"
    return f"▲ {change:+.1f} points" if change > 0 else f"▼ {change:+.1f} points ⚠"


def first(conn: Connection, domain: str) -> datetime | None:
    """When the first execution started, by the quarter of an hour; of all domains if `domain` is empty."""
    query = select(func.min(execution_slots.c.slot))
    if domain:
        query = query.where(execution_slots.c.domain == domain)
    found: datetime | None = conn.execute(query).scalar()
    return found
