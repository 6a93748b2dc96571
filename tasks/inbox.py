"""The inbox: every trigger once, and one process at a time working on it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, text, update

from blocks.database import insert_new
from blocks.schema import triggers
from tasks import ids, lease
from tasks.clock import utc

State = Literal[
    "pending", "running", "done", "refused", "failed", "deferred",
    "unmatched", "counted", "grouped", "suppressed",
]  # fmt: skip
Result = Literal["completed", "awaiting_approval", "no_action", "refused", "failed"]

_SERIALISE = 4_160_227


class UnknownTrigger(LookupError):
    """There is no such trigger."""


class Trigger(BaseModel):
    """A trigger, and the run that it starts."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    source: str
    domain: str
    dedupe_key: str
    payload: Any
    run_id: str
    state: State
    result: Result | None
    reason: str
    attempts: int
    claimed_by: str | None
    lease_until: datetime | None
    flow_run_id: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    received: Any = None
    """The message as it came in; None for a run that was started by hand or by schedule."""
    rule: str = ""
    """The trigger of the config that matched, for people: `triggers[1]`."""
    incident: str = ""
    """What it is about: messages of one incident are grouped and counted together."""
    part_of: str | None = None
    """The trigger whose run it joined."""
    asked_by: str = ""
    origin: Any = None
    """Where the answer goes."""
    next_attempt_at: datetime | None = None
    dispatches: int = 0
    """How often its event was sent to Prefect."""
    dispatched_at: datetime | None = None
    resolved_at: datetime | None = None
    """When its alert ended."""


def accept(
    conn: Connection,
    source: str,
    domain: str,
    dedupe_key: str,
    payload: Any = None,
    *,
    now: datetime | None = None,
) -> Trigger:
    """Store a trigger and give its run an id. The same `dedupe_key` again returns the first one unchanged."""
    at = utc(now)
    values = {
        "id": f"trg-{ids.key('trigger', dedupe_key).replace('-', '')[:16]}",
        "source": source,
        "domain": domain,
        "dedupe_key": dedupe_key,
        "payload": payload,
        "state": "pending",
        "created_at": at,
    }
    for run_id in ids.stamped(domain, at, dedupe_key):
        insert_new(conn, triggers, {**values, "run_id": run_id})
        row = conn.execute(select(triggers).where(triggers.c.dedupe_key == dedupe_key)).first()
        if row:
            return Trigger.model_validate(row)
    raise RuntimeError(f"no free run id for {dedupe_key!r}")


def get(conn: Connection, id: str) -> Trigger:
    """The trigger of that id or run id; UnknownTrigger if there is none."""
    row = conn.execute(select(triggers).where(or_(triggers.c.id == id, triggers.c.run_id == id))).first()
    if row is None:
        raise UnknownTrigger(f"there is no trigger or run {id!r}; `aspora triggers` lists them")
    return Trigger.model_validate(row)


def find(
    conn: Connection, domain: str = "", states: tuple[State, ...] = (), limit: int = 100
) -> list[Trigger]:
    """Triggers, newest first; of all domains and states by default."""
    query = select(triggers).order_by(triggers.c.created_at.desc(), triggers.c.id).limit(limit)
    if domain:
        query = query.where(triggers.c.domain == domain)
    if states:
        query = query.where(triggers.c.state.in_(states))
    return [Trigger.model_validate(row) for row in conn.execute(query)]


def claim(conn: Connection, id: str, owner: str, period: timedelta, now: datetime | None = None) -> bool:
    """Take a pending or deferred trigger, or one whose owner is dead or let the lease run out.

    Args:
        owner: from `lease.claimant()`; hand the same one to `extend` and `finish`.
        period: how long the claim holds without `extend`.

    Returns:
        Whether this call took it. Of any number of callers, one does.
    """
    at, trigger = utc(now), get(conn, id)
    if trigger.state == "running":
        if not lease.is_free(trigger.claimed_by, trigger.lease_until, at):
            return False
    elif trigger.state not in ("pending", "deferred"):
        return False
    result = conn.execute(
        update(triggers)
        .where(triggers.c.id == trigger.id, triggers.c.state == trigger.state)
        .where(
            triggers.c.attempts == trigger.attempts,
            triggers.c.lease_until.is_not_distinct_from(trigger.lease_until),
        )
        .values(
            state="running",
            claimed_by=owner,
            lease_until=at + period,
            attempts=trigger.attempts + 1,
            started_at=trigger.started_at or at,
        )
    )
    return result.rowcount == 1


def extend(conn: Connection, id: str, owner: str, period: timedelta, now: datetime | None = None) -> bool:
    """The heartbeat: hold the claim for another `period`. False if it was lost: stop working then."""
    result = conn.execute(update(triggers).where(_held(id, owner)).values(lease_until=utc(now) + period))
    return result.rowcount == 1


def finish(
    conn: Connection,
    id: str,
    owner: str,
    state: Literal["done", "refused", "failed", "deferred"],
    *,
    result: Result | None = None,
    reason: str = "",
    now: datetime | None = None,
) -> bool:
    """End the work on a claimed trigger. False if the claim was lost to another process."""
    values: dict[str, Any] = {"state": state, "result": result, "reason": reason, "lease_until": None}
    values |= {"claimed_by": None, "finished_at": None if state == "deferred" else utc(now)}
    return conn.execute(update(triggers).where(_held(id, owner)).values(**values)).rowcount == 1


def refuse(conn: Connection, id: str, reason: str, now: datetime | None = None) -> bool:
    """Refuse a trigger that nobody has claimed yet. False if somebody has."""
    values = {"state": "refused", "result": "refused", "reason": reason, "finished_at": utc(now)}
    waiting = triggers.c.state.in_(("pending", "deferred"))
    return conn.execute(update(triggers).where(triggers.c.id == id, waiting).values(**values)).rowcount == 1


def reopen(conn: Connection, id: str) -> bool:
    """Make a finished trigger pending again, under the same run: what its journal has is not done twice."""
    over = triggers.c.state.in_(("done", "refused", "failed", "deferred"))
    values = {"state": "pending", "result": None, "reason": "", "finished_at": None}
    return conn.execute(update(triggers).where(triggers.c.id == id, over).values(**values)).rowcount == 1


def conclude(conn: Connection, run_id: str, result: Result, reason: str = "") -> None:
    """Replace the result `awaiting_approval` of a finished run, once a person has decided."""
    waiting = and_(triggers.c.run_id == run_id, triggers.c.result == "awaiting_approval")
    conn.execute(update(triggers).where(waiting).values(result=result, reason=reason))


def attach(conn: Connection, id: str, flow_run_id: str) -> None:
    """Note the Prefect flow run that works on a trigger."""
    conn.execute(update(triggers).where(triggers.c.id == id).values(flow_run_id=flow_run_id))


def running(conn: Connection, domain: str = "", now: datetime | None = None) -> int:
    """Runs under way: claimed, with a lease that holds and an owner not known dead."""
    query = select(triggers.c.claimed_by, triggers.c.lease_until).where(triggers.c.state == "running")
    rows = conn.execute(query.where(triggers.c.domain == domain) if domain else query)
    at = utc(now)
    return sum(not lease.is_free(row.claimed_by, row.lease_until, at) for row in rows)


def started_since(conn: Connection, since: datetime, domain: str = "") -> int:
    """Runs whose work began at `since` or later."""
    query = select(func.count()).select_from(triggers).where(triggers.c.started_at >= since)
    return int(conn.execute(query.where(triggers.c.domain == domain) if domain else query).scalar_one())


def serialise(conn: Connection) -> None:
    """Until this transaction ends, others that call this wait: count and claim as one step."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _SERIALISE})


def _held(id: str, owner: str) -> ColumnElement[bool]:
    return and_(triggers.c.id == id, triggers.c.state == "running", triggers.c.claimed_by == owner)
