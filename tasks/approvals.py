"""Proposed fixes, what people decide on them, and who carries them out. The row is the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Column, ColumnElement, Connection, and_, func, or_, select, update

from blocks.database import alone, insert_new
from blocks.schema import approvals
from tasks import ids, lease, record, tally, votes
from tasks.clock import utc

Status = Literal["waiting", "approved", "rejected", "expired", "superseded", "stopped", "done", "failed"]
Ending = Literal["done", "stopped", "failed"]
Votes = list[votes.Vote]


class UnknownApproval(LookupError):
    """There is no such approval."""


class Standing(BaseModel):
    """How it stands with a proposed fix, without what it would do, which can be large."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    run_id: str
    execution_id: str
    domain: str
    skill: str
    subject: str
    """What it is about: `lulu`."""
    status: Status
    requested_by: str
    created_at: datetime
    expires_at: datetime
    reminded_at: datetime | None
    escalated_at: datetime | None
    flow_run_id: str | None
    """The suspended flow run that waits for it, if a server runs."""
    decided_by: str | None
    decided_via: str | None
    verified: bool
    """Whether `decided_by` was proven and not only typed."""
    decided_at: datetime | None
    comment: str
    superseded_by: str | None
    claimed_by: str | None
    lease_until: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


class Approval(Standing):
    """A proposed fix and what became of it."""

    proposal: Any
    effect: Any
    """What the dry run says it will do."""
    result: Any


_STANDING = [approvals.c[name] for name in Standing.model_fields]


class Decision(BaseModel):
    """What a person's decision came to."""

    model_config = ConfigDict(frozen=True)

    status: Literal["approved", "rejected", "recorded", "already_decided", "expired", "superseded"]
    """`recorded`: counted, and more people are needed."""
    approval: Approval
    """As it stands now; with `already_decided`, who decided and when."""
    approvers: tuple[str, ...] = ()
    """Who has approved so far."""
    missing: int = 0
    """How many more people must approve."""

    @property
    def decided(self) -> bool:
        """Whether it was this call that decided."""
        return self.status in ("approved", "rejected")


def propose(
    conn: Connection,
    execution_id: str,
    *,
    subject: str,
    proposal: Any,
    effect: Any = None,
    expires: timedelta,
    output: Any = None,
    now: datetime | None = None,
) -> Approval:
    """Ask people for a decision. The same execution and subject again returns the first proposal.

    An older proposal that waits for the same domain and subject is superseded: its execution ends as
    `expired`, and its error names the new one.

    Args:
        expires: how long people have.
        output: the execution's output as far as it is; its record if nobody approves.
    """
    at, execution = utc(now), record.get(conn, execution_id)
    alone(conn, f"proposal for {subject} of {execution.domain}")
    existing = _of(conn, execution_id, subject)
    if existing:
        return existing
    values = {
        "run_id": execution.run_id,
        "execution_id": execution_id,
        "domain": execution.domain,
        "skill": execution.skill_name,
        "subject": subject,
        "proposal": proposal,
        "effect": effect,
        "status": "waiting",
        "requested_by": execution.skill_name,
        "created_at": at,
        "expires_at": at + expires,
    }
    for id_ in ids.typeable("apr", ids.key("approval", execution_id, subject)):
        if conn.execute(select(approvals.c.id).where(approvals.c.id == id_)).first():
            continue
        _supersede(conn, execution.domain, subject, id_, at)
        insert_new(conn, approvals, {**values, "id": id_})
        if inserted := _of(conn, execution_id, subject):
            if output is not None:
                record.draft(conn, execution_id, output)
            return inserted
    raise RuntimeError(f"no free approval id for {execution_id}")


def decide(
    conn: Connection,
    id: str,
    approve: bool,
    *,
    by: str,
    via: str,
    verified: bool = False,
    comment: str = "",
    needed: int = 1,
    count: Callable[[Votes], Votes] = list,
    now: datetime | None = None,
) -> Decision:
    """Decide on a waiting proposal; of any number of people, the first ones do.

    A rejection ends the execution as `rejected`, a decision that comes too late as `expired`.

    Args:
        needed: how many different people must approve. If several, only verified ones count.
        count: those of the votes that count now. Once it is approved, the others are forgotten.

    Raises:
        UnknownApproval: if there is no such approval.
    """
    at = utc(now)
    in_time = and_(approvals.c.id == id, approvals.c.status == "waiting", approvals.c.expires_at > at)
    waiting = conn.execute(select(approvals).where(in_time).with_for_update()).first()
    if waiting is None:
        return _too_late(conn, id, at)
    approvers: Votes = []
    if approve:
        votes.cast(conn, id, by, via=via, verified=verified, comment=comment, now=at)
        approvers = count([vote for vote in votes.of(conn, id) if vote.verified or needed == 1])
        if len(approvers) < needed:
            names, approval = tuple(vote.name for vote in approvers), Approval.model_validate(waiting)
            missing = needed - len(approvers)
            return Decision(status="recorded", approval=approval, approvers=names, missing=missing)
        votes.keep(conn, id, approvers)
    names = tuple(vote.name for vote in approvers)
    status: Literal["approved", "rejected"] = "approved" if approve else "rejected"
    values = {
        "status": status,
        "decided_by": ", ".join(names) if needed > 1 and approve else by,
        "decided_via": via,
        "verified": verified,
        "decided_at": at,
        "comment": comment,
    }
    if conn.execute(update(approvals).where(in_time).values(**values)).rowcount != 1:
        return _too_late(conn, id, at)
    approval = get(conn, id)
    _count(conn, approval.domain, status)
    if not approve:
        reason = f"rejected by {by}" + (f": {comment}" if comment else "")
        _end(conn, approval.execution_id, "rejected", reason, at)
    return Decision(status=status, approval=approval, approvers=names)


def expire(conn: Connection, *, now: datetime | None = None, only: str = "") -> list[Approval]:
    """End proposals that nobody decided in time; which ones. Their executions end as `expired`."""
    at = utc(now)
    over = and_(approvals.c.status == "waiting", approvals.c.expires_at <= at)
    if only:
        over = and_(over, approvals.c.id == only)
    rows = conn.execute(update(approvals).where(over).values(status="expired").returning(approvals)).all()
    expired = [Approval.model_validate(row) for row in rows]
    for approval in expired:
        _count(conn, approval.domain, "expired")
        _end(conn, approval.execution_id, "expired", "nobody decided in time", at)
    return expired


def claim_execution(
    conn: Connection, id: str, owner: str, period: timedelta, now: datetime | None = None
) -> bool:
    """Take it on oneself to carry an approved fix out; True for one caller at a time.

    A fix whose claimant died, or let the lease run out, may be taken over and continued.

    Args:
        owner: from `lease.claimant()`.
        period: how long the claim holds without `extend`.
    """
    at, approval = utc(now), get(conn, id)
    if approval.status != "approved" or not lease.is_free(approval.claimed_by, approval.lease_until, at):
        return False
    as_seen = and_(
        approvals.c.id == id,
        approvals.c.status == "approved",
        approvals.c.claimed_by.is_not_distinct_from(approval.claimed_by),
        approvals.c.lease_until.is_not_distinct_from(approval.lease_until),
    )
    values = {"claimed_by": owner, "lease_until": at + period, "started_at": approval.started_at or at}
    return conn.execute(update(approvals).where(as_seen).values(**values)).rowcount == 1


def extend(conn: Connection, id: str, owner: str, period: timedelta, now: datetime | None = None) -> bool:
    """The heartbeat: hold the claim for another `period`. False if it was lost: stop acting then."""
    result = conn.execute(update(approvals).where(_held(id, owner)).values(lease_until=utc(now) + period))
    return result.rowcount == 1


def finish(
    conn: Connection, id: str, owner: str, status: Ending, *, result: Any = None, now: datetime | None = None
) -> bool:
    """End a claimed fix with what was done. The execution's outcome is the caller's to record, besides."""
    values = {"status": status, "result": result, "finished_at": utc(now), "lease_until": None}
    return conn.execute(update(approvals).where(_held(id, owner)).values(**values)).rowcount == 1


def get(conn: Connection, id: str) -> Approval:
    """The approval of that id; UnknownApproval if there is none."""
    row = conn.execute(select(approvals).where(approvals.c.id == id)).first()
    if row is None:
        raise UnknownApproval(f"there is no approval {id!r}; `aspora approvals` lists them")
    return Approval.model_validate(row)


def locked(conn: Connection, id: str) -> Approval:
    """As `get`; until this transaction ends, others that call this for the same approval wait."""
    conn.execute(select(approvals.c.id).where(approvals.c.id == id).with_for_update())
    return get(conn, id)


def of_run(conn: Connection, run_id: str) -> list[Approval]:
    """All approvals of a run, newest first."""
    query = select(approvals).where(approvals.c.run_id == run_id)
    rows = conn.execute(query.order_by(approvals.c.created_at.desc(), approvals.c.id))
    return [Approval.model_validate(row) for row in rows]


def superseded(conn: Connection, by: str) -> list[Approval]:
    """Those whose place a newer one took."""
    same = and_(approvals.c.status == "superseded", approvals.c.superseded_by == by)
    return [Approval.model_validate(row) for row in conn.execute(select(approvals).where(same))]


def standing(conn: Connection, *statuses: Status) -> list[Standing]:
    """How it stands with all approvals of these statuses, oldest first."""
    query = select(*_STANDING).where(approvals.c.status.in_(statuses))
    rows = conn.execute(query.order_by(approvals.c.created_at, approvals.c.id))
    return [Standing.model_validate(row) for row in rows]


def uncalled(
    conn: Connection,
    domain: str,
    at: datetime,
    *,
    reminded_before: datetime | None,
    created_before: datetime | None,
) -> list[Standing]:
    """A domain's waiting approvals that people are to be called to.

    Args:
        reminded_before: those whose people heard of them last by then; none if absent.
        created_before: those of by then that were not escalated; none if absent.
    """
    heard = func.coalesce(approvals.c.reminded_at, approvals.c.created_at)
    due = []
    if reminded_before is not None:
        due.append(heard <= reminded_before)
    if created_before is not None:
        due.append(and_(approvals.c.escalated_at.is_(None), approvals.c.created_at <= created_before))
    if not due:
        return []
    waiting = and_(
        approvals.c.status == "waiting", approvals.c.expires_at > at, approvals.c.domain == domain, or_(*due)
    )
    return [Standing.model_validate(row) for row in conn.execute(select(*_STANDING).where(waiting))]


def overdue(conn: Connection, at: datetime) -> bool:
    """Whether there are waiting approvals that nobody decided in time."""
    over = and_(approvals.c.status == "waiting", approvals.c.expires_at <= at)
    return conn.execute(select(approvals.c.id).where(over).limit(1)).first() is not None


def find(
    conn: Connection, domain: str = "", statuses: Sequence[Status] = (), run_id: str = "", limit: int = 100
) -> list[Approval]:
    """Approvals, newest first; of all domains, statuses and runs by default."""
    query = select(approvals).order_by(approvals.c.created_at.desc(), approvals.c.id).limit(limit)
    if domain:
        query = query.where(approvals.c.domain == domain)
    if statuses:
        query = query.where(approvals.c.status.in_(statuses))
    if run_id:
        query = query.where(approvals.c.run_id == run_id)
    return [Approval.model_validate(row) for row in conn.execute(query)]


def attach(conn: Connection, id: str, flow_run_id: str | None) -> None:
    """Note the suspended flow run that waits for the decision."""
    conn.execute(update(approvals).where(approvals.c.id == id).values(flow_run_id=flow_run_id))


def detach(conn: Connection, id: str, flow_run_id: str) -> None:
    """Forget this flow run: it waits no more."""
    same = and_(approvals.c.id == id, approvals.c.flow_run_id == flow_run_id)
    conn.execute(update(approvals).where(same).values(flow_run_id=None))


def asleep(conn: Connection) -> list[Standing]:
    """Those that wait no more and still have a flow run, which may not know it yet."""
    query = select(*_STANDING).where(approvals.c.flow_run_id.is_not(None), approvals.c.status != "waiting")
    return [Standing.model_validate(row) for row in conn.execute(query)]


def remind(conn: Connection, approval: Standing, now: datetime | None = None) -> bool:
    """Note that people are reminded; for one caller at a time."""
    return _note(conn, approval, approvals.c.reminded_at, approval.reminded_at, utc(now))


def escalate(conn: Connection, approval: Standing, now: datetime | None = None) -> bool:
    """Note that it is escalated; for one caller, once."""
    return _note(conn, approval, approvals.c.escalated_at, None, utc(now))


def _note(
    conn: Connection, approval: Standing, column: Column[Any], seen: datetime | None, at: datetime
) -> bool:
    unchanged = and_(approvals.c.status == "waiting", column.is_not_distinct_from(seen))
    chosen = update(approvals).where(approvals.c.id == approval.id, unchanged)
    return conn.execute(chosen.values({column: at})).rowcount == 1


def _too_late(conn: Connection, id: str, at: datetime) -> Decision:
    expire(conn, now=at, only=id)
    approval = get(conn, id)
    late = approval.status if approval.status in ("expired", "superseded") else "already_decided"
    return Decision.model_validate({"status": late, "approval": approval})


def _of(conn: Connection, execution_id: str, subject: str) -> Approval | None:
    same = and_(approvals.c.execution_id == execution_id, approvals.c.subject == subject)
    row = conn.execute(select(approvals).where(same)).first()
    return Approval.model_validate(row) if row else None


def _supersede(conn: Connection, domain: str, subject: str, by: str, now: datetime) -> None:
    same = and_(approvals.c.domain == domain, approvals.c.subject == subject, approvals.c.status == "waiting")
    values = {"status": "superseded", "superseded_by": by}
    older = update(approvals).where(same).values(**values).returning(approvals.c.execution_id)
    for execution_id in conn.execute(older).scalars().all():
        _count(conn, domain, "superseded")
        _end(conn, execution_id, "expired", f"superseded by {by}", now)


def _count(conn: Connection, domain: str, decision: str) -> None:
    tally.count(conn, tally.DECISIONS, domain=domain, decision=decision)


def _end(conn: Connection, execution_id: str, outcome: record.Outcome, reason: str, now: datetime) -> None:
    """End the execution, unless another proposal of it is still open."""
    open_ = approvals.c.status.in_(("waiting", "approved"))
    query = select(approvals.c.id).where(approvals.c.execution_id == execution_id, open_)
    if conn.execute(query.limit(1)).first() is None:
        record.finish(conn, execution_id, outcome, error=reason, now=now)


def _held(id: str, owner: str) -> ColumnElement[bool]:
    return and_(approvals.c.id == id, approvals.c.status == "approved", approvals.c.claimed_by == owner)
