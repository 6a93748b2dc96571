"""The inbox: every trigger once, and one process at a time working on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, or_, select, update

from blocks.database import alone, insert_new
from blocks.schema import triggers
from tasks import ids, lease
from tasks.clock import utc

State = Literal[
    "pending", "running", "done", "refused", "failed", "deferred",
    "unmatched", "counted", "grouped", "suppressed",
]  # fmt: skip
Result = Literal["completed", "awaiting_approval", "no_action", "refused", "failed"]

MOST_ATTEMPTS = 6
"""How often a run is started at most that its process, or Prefect, left in the lurch."""
WAITING: tuple[State, ...] = ("pending", "deferred")

_UNSENT = {"next_attempt_at": None, "give_up_at": None, "dispatched_at": None}
_FRESH = {
    **_UNSENT, "state": "pending", "result": None, "reason": "", "claimed_by": None,
    "lease_until": None, "flow_run_id": None, "started_at": None, "finished_at": None,
}  # fmt: skip


class UnknownTrigger(LookupError):
    """There is no such trigger."""


class Trigger(BaseModel):
    """A trigger, and the run that it starts."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    source: str
    domain: str
    dedupe_key: str
    payload: Any = None
    run_id: str
    state: State
    result: Result | None = None
    reason: str = ""
    attempts: int = 0
    claimed_by: str | None = None
    lease_until: datetime | None = None
    flow_run_id: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
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
    """When it is looked at again; at once if absent."""
    give_up_at: datetime | None = None
    """When it is refused if its run could not start until then."""
    dispatches: int = 0
    """How often its event was sent to Prefect."""
    dispatched_at: datetime | None = None
    resolved_at: datetime | None = None
    """When its alert ended."""

    @property
    def from_outside(self) -> bool:
        """Whether it came in as a message: a run that may not start yet is then tried again."""
        return self.received is not None

    @property
    def goes_on(self) -> bool:
        """Whether a run of it that was cut off is started again by itself."""
        return self.from_outside or (self.source == "run" and self.flow_run_id is not None)


def accept(
    conn: Connection,
    source: str,
    domain: str,
    dedupe_key: str,
    payload: Any = None,
    *,
    asked_by: str = "",
    now: datetime | None = None,
) -> Trigger:
    """Store a trigger and give its run an id. The same `dedupe_key` again returns the first one unchanged."""
    values = {
        "source": source,
        "domain": domain,
        "dedupe_key": dedupe_key,
        "payload": payload,
        "state": "pending",
        "asked_by": asked_by,
        "created_at": utc(now),
    }
    return find_same(conn, dedupe_key) or add(conn, values)


def add(conn: Connection, values: Mapping[str, Any]) -> Trigger:
    """Store a trigger of these columns and give it an id and its run one.

    If another transaction stored the same `dedupe_key` first, that one is returned unchanged.
    """
    key = values["dedupe_key"]
    identified = {**values, "id": f"trg-{ids.key('trigger', key).replace('-', '')[:16]}"}
    for run_id in ids.stamped(values["domain"] or values["state"], values["created_at"], key):
        row = {**identified, "run_id": run_id}
        if insert_new(conn, triggers, row):
            return Trigger.model_validate(row)
        if same := find_same(conn, key):
            return same
    raise RuntimeError(f"no free run id for {key!r}")


def find_same(conn: Connection, dedupe_key: str) -> Trigger | None:
    """The trigger that was stored for this key."""
    row = conn.execute(_SAME, {"key": dedupe_key}).first()
    return Trigger.model_validate(row) if row else None


def of_incident(
    conn: Connection, incident: str, counted_since: datetime, started_since: datetime
) -> list[Trigger]:
    """An incident's runs that are waiting, under way or were started since then, and what was counted, oldest
    first. What has joined a run is left out."""
    given = {"incident": incident, "counted_since": counted_since, "started_since": started_since}
    return [Trigger.model_validate(row) for row in conn.execute(_OF_INCIDENT, given)]


def members(conn: Connection, id: str) -> list[Trigger]:
    """The triggers that joined a trigger's run, oldest first."""
    query = select(triggers).where(triggers.c.part_of == id).order_by(triggers.c.created_at, triggers.c.id)
    return [Trigger.model_validate(row) for row in conn.execute(query)]


def get(conn: Connection, id: str) -> Trigger:
    """The trigger of that id or run id; UnknownTrigger if there is none."""
    row = conn.execute(select(triggers).where(or_(triggers.c.id == id, triggers.c.run_id == id))).first()
    if row is None:
        raise UnknownTrigger(f"there is no trigger or run {id!r}; `aspora triggers` lists them")
    return Trigger.model_validate(row)


_SAME = select(triggers).where(triggers.c.dedupe_key == bindparam("key"))

_OF_INCIDENT = (
    select(triggers)
    .where(
        triggers.c.incident == bindparam("incident"),
        triggers.c.part_of.is_(None),
        or_(
            *(triggers.c.state == state for state in (*WAITING, "running")),
            and_(triggers.c.state == "counted", triggers.c.created_at > bindparam("counted_since")),
            triggers.c.started_at > bindparam("started_since"),
        ),
    )
    .order_by(triggers.c.created_at, triggers.c.id)
)


def find(conn: Connection, domain: str = "", states: Sequence[State] = (), limit: int = 100) -> list[Trigger]:
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
    elif trigger.state not in WAITING:
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
            reason="",
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
    """End the work on a claimed trigger. False if the claim was lost to another process.

    What was put off for it to end is looked at at once.
    """
    at, over = utc(now), state != "deferred"
    values: dict[str, Any] = {"state": state, "result": result, "reason": reason, "lease_until": None}
    values |= {"claimed_by": None, "finished_at": at if over else None}
    if not over:
        values |= _UNSENT
    ended = conn.execute(update(triggers).where(_held(id, owner)).values(**values)).rowcount == 1
    if ended and over:
        _hasten(conn, at)
    return ended


def refuse(conn: Connection, id: str, reason: str, now: datetime | None = None) -> bool:
    """Refuse a trigger that nobody has claimed yet. False if somebody has."""
    values = {"state": "refused", "result": "refused", "reason": reason, "finished_at": utc(now)}
    waiting = triggers.c.state.in_(WAITING)
    return conn.execute(update(triggers).where(triggers.c.id == id, waiting).values(**values)).rowcount == 1


def defer(conn: Connection, id: str, reason: str, next_attempt_at: datetime, give_up_at: datetime) -> bool:
    """Let a waiting trigger wait until then. False if it doesn't wait."""
    times = {"next_attempt_at": next_attempt_at, "give_up_at": give_up_at, "dispatched_at": None}
    waiting = and_(triggers.c.id == id, triggers.c.state.in_(WAITING))
    changed = update(triggers).where(waiting).values(state="deferred", reason=reason, **times)
    return conn.execute(changed).rowcount == 1


def due(conn: Connection, at: datetime, limit: int) -> list[Trigger]:
    """Waiting triggers whose runs the platform starts, and that are to be looked at now, oldest first.

    Of more than `limit`, each domain gets its share: what was not looked at yet, then what is due longest.
    """
    starts = or_(triggers.c.received.is_not(None), and_(triggers.c.source == "run", triggers.c.attempts > 0))
    now = or_(triggers.c.next_attempt_at.is_(None), triggers.c.next_attempt_at <= at)
    turn = (triggers.c.next_attempt_at.asc().nulls_first(), triggers.c.created_at, triggers.c.id)
    place = func.row_number().over(partition_by=triggers.c.domain, order_by=turn).label("place")
    queued = select(triggers.c.id, place).where(triggers.c.state.in_(WAITING), starts, now).subquery()
    query = select(triggers).join(queued, queued.c.id == triggers.c.id)
    rows = conn.execute(query.order_by(queued.c.place, *turn).limit(limit))
    found = [Trigger.model_validate(row) for row in rows]
    return sorted(found, key=lambda each: (each.created_at, each.id))


def promised(conn: Connection, since: datetime) -> dict[str, int]:
    """Domain → triggers whose event was sent after `since` and whose run has not started."""
    query = select(triggers.c.domain, func.count()).where(
        triggers.c.state.in_(WAITING), triggers.c.dispatched_at > since
    )
    return dict(conn.execute(query.group_by(triggers.c.domain)).tuples().all())


def send(
    conn: Connection, trigger: Trigger, at: datetime, look_again: datetime, give_up: datetime, reason: str
) -> bool:
    """Note that a trigger's event is about to be sent. False if it no longer waits, or another sends it.

    Args:
        reason: why it is sent again; empty for the first time.
    """
    same = and_(
        triggers.c.id == trigger.id,
        triggers.c.state == trigger.state,
        triggers.c.dispatches == trigger.dispatches,
    )
    times = {"dispatched_at": at, "next_attempt_at": look_again, "give_up_at": give_up}
    changed = update(triggers).where(same)
    changed = changed.values(dispatches=trigger.dispatches + 1, reason=reason or trigger.reason, **times)
    return conn.execute(changed).rowcount == 1


def put_off(conn: Connection, trigger: Trigger, reason: str, next_attempt_at: datetime) -> None:
    """Look at a trigger again at that time, whose event was sent."""
    same = and_(triggers.c.id == trigger.id, triggers.c.state.in_(WAITING))
    values = {"reason": reason, "next_attempt_at": next_attempt_at}
    conn.execute(update(triggers).where(same, triggers.c.dispatches == trigger.dispatches).values(**values))


def cut_off(conn: Connection, now: datetime | None = None) -> list[Trigger]:
    """Runs under way whose process is gone, and that are started again by themselves."""
    at = utc(now)
    rows = conn.execute(select(triggers).where(triggers.c.state == "running"))
    found = [Trigger.model_validate(row) for row in rows]
    return [each for each in found if each.goes_on and lease.is_free(each.claimed_by, each.lease_until, at)]


def give_back(conn: Connection, trigger: Trigger, reason: str) -> bool:
    """Let a cut-off run wait to be started again. False if another process has taken it."""
    values = {"state": "pending", "reason": reason, "claimed_by": None, "lease_until": None, **_UNSENT}
    return conn.execute(update(triggers).where(_unchanged(trigger)).values(**values)).rowcount == 1


def give_up(conn: Connection, trigger: Trigger, reason: str, now: datetime | None = None) -> bool:
    """End a run that can't go on as failed. False if its trigger has changed since."""
    values = {"state": "failed", "result": "failed", "reason": reason, "finished_at": utc(now)}
    values |= {"claimed_by": None, "lease_until": None}
    return conn.execute(update(triggers).where(_unchanged(trigger)).values(**values)).rowcount == 1


def reopen(conn: Connection, id: str) -> bool:
    """Make a finished trigger pending again, under the same run: what its journal has is not done twice."""
    over = triggers.c.state.in_(("done", "refused", "failed", "deferred"))
    values = {"state": "pending", "result": None, "reason": "", "finished_at": None, **_UNSENT}
    return conn.execute(update(triggers).where(triggers.c.id == id, over).values(**values)).rowcount == 1


def renew(conn: Connection, id: str, values: Mapping[str, Any]) -> None:
    """Make a trigger as if it had just come in, with these columns changed: guardrails look at it anew."""
    conn.execute(update(triggers).where(triggers.c.id == id).values(**{**_FRESH, **values}))


def exists(conn: Connection, run_id: str) -> bool:
    """Whether a trigger has this run."""
    return conn.execute(select(triggers.c.id).where(triggers.c.run_id == run_id)).first() is not None


def claim_asked(conn: Connection, id: str, person: str) -> None:
    """Note who asked for a trigger's run, if nobody is known to have."""
    nobody = and_(triggers.c.id == id, triggers.c.asked_by == "")
    conn.execute(update(triggers).where(nobody).values(asked_by=person))


def join(conn: Connection, ids_: Sequence[str], id: str) -> None:
    """Note that these triggers' run is the one of trigger `id`."""
    if ids_:
        conn.execute(update(triggers).where(triggers.c.id.in_(ids_)).values(part_of=id))


def note_resolved(conn: Connection, id: str, at: datetime) -> None:
    """Note when a trigger's alert ended."""
    conn.execute(update(triggers).where(triggers.c.id == id).values(resolved_at=at))


def drop(conn: Connection, id: str, reason: str, at: datetime) -> bool:
    """End a trigger whose run never started, and is not needed. False if it has started or ended."""
    waiting = and_(triggers.c.state.in_(WAITING), triggers.c.started_at.is_(None))
    values = {"state": "done", "result": "no_action", "reason": reason, "finished_at": at}
    return conn.execute(update(triggers).where(triggers.c.id == id, waiting).values(**values)).rowcount == 1


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
    alone(conn, "inbox")


def _hasten(conn: Connection, at: datetime) -> None:
    """Make the trigger due that has waited longest in each domain: a run has ended, so another may start."""
    oldest = func.row_number().over(
        partition_by=triggers.c.domain, order_by=(triggers.c.created_at, triggers.c.id)
    )
    waiting = and_(triggers.c.state == "deferred", triggers.c.next_attempt_at > at)
    queue = select(triggers.c.id, oldest.label("place")).where(waiting).subquery()
    first = select(queue.c.id).where(queue.c.place == 1)
    conn.execute(update(triggers).where(triggers.c.id.in_(first)).values(next_attempt_at=at))


def _held(id: str, owner: str) -> ColumnElement[bool]:
    return and_(triggers.c.id == id, triggers.c.state == "running", triggers.c.claimed_by == owner)


def _unchanged(trigger: Trigger) -> ColumnElement[bool]:
    return and_(
        triggers.c.id == trigger.id,
        triggers.c.state == trigger.state,
        triggers.c.attempts == trigger.attempts,
        triggers.c.lease_until.is_not_distinct_from(trigger.lease_until),
    )
