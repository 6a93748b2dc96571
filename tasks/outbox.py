"""What Langfuse and Opik have yet to be told of, noted in the transaction in which it happens.

A row goes once the destination has confirmed it, and stays as `failed`, with the reason, if it never will.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    select,
    text,
    update,
)

from blocks.columns import UtcDateTime
from blocks.database import Prepared
from blocks.schema import TELEMETRY, corrections, executions, outbox
from tasks.clock import utc

Kind = Literal["execution", "correction"]
KEPT = timedelta(days=7)
"""How long rows of a destination that is not set up are kept: setting it up catches up on so much."""
_LONGEST_REASON = 500
_REASONS = 5

_PUT = Prepared(
    text(
        "INSERT INTO outbox (destination, kind, subject, state, next_attempt_at, created_at) VALUES "
        + ", ".join(f"('{destination}', :kind, :subject, 'pending', :at, :at)" for destination in TELEMETRY)
        + " ON CONFLICT (destination, kind, subject) DO UPDATE SET next_attempt_at = excluded.next_attempt_at"
    ).bindparams(bindparam("at", type_=UtcDateTime()))
)


class Row(BaseModel):
    """Something that a destination is to be told of."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int
    destination: str
    kind: Kind
    subject: str
    """The id of the execution or the correction."""
    state: Literal["pending", "failed"]
    attempts: int
    """How often it failed though the destination took others."""
    next_attempt_at: datetime
    reason: str
    created_at: datetime


class State(BaseModel):
    """How far a destination has been told."""

    model_config = ConfigDict(frozen=True)

    destination: str
    pending: int = 0
    oldest: datetime | None = None
    """Since when the oldest of them waits."""
    failed: int = 0
    reasons: tuple[str, ...] = ()
    """Why some were not taken yet, or at all."""


def put(conn: Connection, kind: Kind, subject: str, at: datetime) -> None:
    """Note that an execution has ended, or that one was corrected, by its id.

    A row that is being told just now stays, and is told once more with what is new.
    """
    _PUT.execute(conn, {"kind": kind, "subject": subject, "at": at})


def put_again(conn: Connection, execution_id: str, at: datetime) -> None:
    """Note that there is more to say of an execution, if it has ended; else its end will say it."""
    ended = and_(executions.c.execution_id == execution_id, executions.c.outcome.is_not(None))
    if conn.execute(select(executions.c.execution_id).where(ended)).first():
        put(conn, "execution", execution_id, at)


def claim(
    conn: Connection,
    destination: str,
    limit: int,
    period: timedelta,
    last: Collection[int] = (),
    now: datetime | None = None,
) -> list[Row]:
    """Take it on oneself to tell of the oldest rows that are due; nobody else gets them for `period`.

    A correction waits for its execution.

    Args:
        last: rows that are taken after all others.
    """
    due = and_(
        outbox.c.destination == destination,
        outbox.c.state == "pending",
        outbox.c.next_attempt_at <= utc(now),
        ~_execution_waits(),
    )
    order = (outbox.c.id.in_(last), outbox.c.id) if last else (outbox.c.id,)
    chosen = select(outbox.c.id).where(due).order_by(*order).limit(limit)
    ids = list(conn.execute(chosen.with_for_update(skip_locked=True, of=outbox)).scalars())
    if not ids:
        return []
    taken = update(outbox).where(outbox.c.id.in_(ids)).values(next_attempt_at=utc(now) + period)
    rows = [Row.model_validate(row) for row in conn.execute(taken.returning(outbox))]
    return sorted(rows, key=lambda row: row.id)


def confirm(conn: Connection, claimed: Sequence[Row]) -> None:
    """The destination has taken what was claimed. What was put again meanwhile stays."""
    for row in claimed:
        same = and_(outbox.c.id == row.id, outbox.c.next_attempt_at == row.next_attempt_at)
        conn.execute(delete(outbox).where(same))


def put_off(conn: Connection, ids: Sequence[int], until: datetime, reason: str | None = None) -> None:
    """They are due again at that time. The reason is noted if there is one."""
    values = {"next_attempt_at": until} | ({} if reason is None else {"reason": _short(reason)})
    conn.execute(update(outbox).where(outbox.c.id.in_(ids), outbox.c.state == "pending").values(**values))


def blame(conn: Connection, ids: Collection[int], most: int) -> int:
    """Count an attempt: the destination took others. How many rows are given up, at `most` attempts."""
    pending = and_(outbox.c.id.in_(ids), outbox.c.state == "pending")
    conn.execute(update(outbox).where(pending).values(attempts=outbox.c.attempts + 1))
    enough = and_(pending, outbox.c.attempts >= most)
    return conn.execute(update(outbox).where(enough).values(state="failed")).rowcount


def give_up(conn: Connection, id: int, reason: str) -> None:
    """It will never be taken as it is, and why."""
    values = {"state": "failed", "reason": _short(reason)}
    conn.execute(update(outbox).where(outbox.c.id == id).values(**values))


def retry(conn: Connection, destination: str = "", now: datetime | None = None) -> int:
    """Make what failed due again; how many rows."""
    failed = outbox.c.state == "failed"
    chosen = and_(failed, outbox.c.destination == destination) if destination else failed
    values = {"state": "pending", "attempts": 0, "next_attempt_at": utc(now)}
    return conn.execute(update(outbox).where(chosen).values(**values)).rowcount


def prune(conn: Connection, configured: Sequence[str], now: datetime | None = None) -> int:
    """Delete old rows of destinations that are not set up; how many."""
    old = and_(outbox.c.destination.not_in(configured), outbox.c.created_at < utc(now) - KEPT)
    return conn.execute(delete(outbox).where(old)).rowcount


def state(conn: Connection, destination: str) -> State:
    """How far a destination has been told."""
    of_it, pending = outbox.c.destination == destination, outbox.c.state == "pending"
    counted = select(
        func.count().filter(pending),
        func.min(outbox.c.created_at).filter(pending),
        func.count().filter(~pending),
    ).where(of_it)
    waiting, oldest, failed = conn.execute(counted).one()
    reasons = select(outbox.c.reason).where(of_it, outbox.c.reason != "").distinct()
    return State(
        destination=destination,
        pending=waiting,
        oldest=oldest,
        failed=failed,
        reasons=tuple(conn.execute(reasons.order_by(outbox.c.reason).limit(_REASONS)).scalars()),
    )


def _execution_waits() -> ColumnElement[bool]:
    """For a correction: its execution was not told of yet."""
    its = outbox.alias()
    id = case((outbox.c.kind == "correction", cast(outbox.c.subject, BigInteger)))
    waiting = exists().where(
        corrections.c.id == id,
        its.c.subject == corrections.c.execution_id,
        its.c.kind == "execution",
        its.c.destination == outbox.c.destination,
        its.c.state == "pending",
    )
    return waiting.correlate(outbox)


def _short(reason: str) -> str:
    return reason[:_LONGEST_REASON]
