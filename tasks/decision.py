"""A person's decision on a proposed fix, whichever way it comes in."""

from __future__ import annotations

from sqlalchemy import Connection

from blocks.config import Config
from tasks import (
    approvals,
    controls,
    demands,
    incidents,
    notices,
    people,
    proposal,
    record,
    report,
    tokens,
    votes,
)
from tasks.approvals import Approval
from tasks.clock import utc
from tasks.platform import Platform

LONGEST_NAME = 200
LONGEST_COMMENT = 4000


class NotAllowed(Exception):
    """This person may not decide on this fix, or not now. The message says why."""


async def decide(
    platform: Platform,
    approval_id: str,
    approve: bool,
    *,
    by: str,
    via: str,
    verified: bool = False,
    comment: str = "",
) -> approvals.Decision:
    """Records a decision; of any number of people, the first ones decide.

    A fix with a dangerous action, or one that needs several people, is approved by verified people only, and
    never by who asked for the run. Of several, those count who may still approve when the last one does. One
    rejection is enough.

    Args:
        by: the person's name; a claim unless `verified`.
        via: where it was decided, such as `cli` or `prefect`.

    Raises:
        UnknownApproval: there is no such approval.
        NotAllowed: the name is missing or not among the approvers, a rejection has no reason, a verified or
            another person is needed, or a switch is off.
    """
    name = " ".join(by.split())[:LONGEST_NAME]
    if not name:
        raise NotAllowed("a decision needs the name of the person who takes it")
    name = people.known_as(platform.config, name)
    words = comment.strip()[:LONGEST_COMMENT]

    def write(conn: Connection) -> approvals.Decision:
        asked = approvals.locked(conn, approval_id)
        if asked.status == "waiting" and asked.expires_at > utc():
            _check(conn, platform, asked, approve, name, verified, words)
        decision = approvals.decide(
            conn,
            approval_id,
            approve,
            by=name,
            via=via,
            verified=verified,
            comment=words,
            needed=demands.needed(platform.config, asked),
            count=lambda given: demands.counted(conn, platform.config, asked, given),
        )
        _follow(conn, platform.config, asked, decision)
        return decision

    return await platform.database.write(write)


def told(stop: controls.Control) -> str:
    """A switch that is off, for people: who turned it, and why."""
    what = "all actions were" if stop.name == controls.ALL_ACTIONS else f"{stop.name.replace(':', ' ')} was"
    return f"{what} stopped by {stop.changed_by}" + (f": {stop.reason}" if stop.reason else "")


async def proven(platform: Platform, name: str, token: str) -> None:
    """Checks that a personal approver token belongs to who is named.

    Raises:
        NotAllowed: it doesn't, is revoked, or was never given out.
    """
    owner = await platform.database.read(lambda conn: tokens.owner(conn, token.strip()))
    if owner is None or votes.identity(owner) != votes.identity(name):
        raise NotAllowed(
            f"the approver token is not {name}'s, or was revoked; `aspora token NAME` makes a new one. "
            f"Nothing was decided."
        )


async def expire(platform: Platform) -> None:
    """Ends the proposals that nobody decided in time, and the runs that waited for them."""
    await platform.database.write(lambda conn: expire_all(conn, platform.config))


def expire_all(conn: Connection, settings: Config) -> None:
    """As `expire`, within a transaction."""
    for expired in approvals.expire(conn):
        report.conclude(conn, expired.run_id)
        notices.expired(conn, settings, expired)


def _follow(conn: Connection, settings: Config, asked: Approval, decision: approvals.Decision) -> None:
    """What a decision brings with it: the run's result, memory, and what people are told."""
    report.conclude(conn, asked.run_id)
    if decision.status == "expired" and asked.status == "waiting":
        notices.expired(conn, settings, decision.approval)
    if decision.status == "rejected":
        incidents.reject(conn, _rejected(conn, decision.approval))
    if decision.decided or decision.status == "recorded":
        notices.decided(conn, settings, decision)


def _check(
    conn: Connection,
    platform: Platform,
    asked: Approval,
    approve: bool,
    name: str,
    verified: bool,
    comment: str,
) -> None:
    settings = platform.config
    if not demands.may_decide(settings, asked, name):
        groups = ", ".join(platform.domain(asked.domain).guardrails.approvers)
        raise NotAllowed(
            f"{name} is not among the approvers of {asked.domain} ({groups}; see platform.people). "
            f"Nothing was decided."
        )
    if not approve:
        if not comment:
            raise NotAllowed(f"a rejection needs a reason: it is kept with {asked.id}, and learned from")
        return
    stop = controls.stopped(
        conn, controls.ALL_ACTIONS, controls.domain(asked.domain), controls.approval(asked.id)
    )
    if stop:
        raise NotAllowed(
            f"{asked.id} can't be approved now: {told(stop)}; `aspora start` lifts it. Nothing was decided."
        )
    if demands.verified(settings, asked):
        _check_strictly(conn, settings, asked, name, verified)


def _check_strictly(conn: Connection, settings: Config, asked: Approval, name: str, verified: bool) -> None:
    """Raises NotAllowed unless this is a verified person, other than who asked and who approved before."""
    dangerous, count = ", ".join(demands.dangerous(settings, asked)), demands.needed(settings, asked)
    what = f"{dangerous} is a dangerous action and" if dangerous else asked.id
    if not verified:
        approver = "a verified approver" if count == 1 else f"{count} different verified approvers"
        raise NotAllowed(
            f"{what} needs {approver}; a typed name is no verification. Decide in Slack, or by "
            f"`aspora approve` with a personal token. Nothing was decided."
        )
    if person := demands.asker(conn, settings, asked, name):
        raise NotAllowed(
            f"{_doubt(name, person)} asked for this run; {what} needs somebody else's approval. "
            f"Nothing was decided."
        )
    for vote in demands.approved(conn, settings, asked):
        differs = votes.identity(name) != votes.identity(vote.name)
        if differs and votes.may_be_one(name, vote.name, settings.slack.users.values()):
            raise NotAllowed(
                f"{_doubt(name, vote.name)} has approved before; {what} needs different people. "
                f"Nothing was decided."
            )


def _doubt(name: str, person: str) -> str:
    """Names a person, or says that two names may be one."""
    if votes.identity(name) == votes.identity(person):
        return name
    return f"{name} may be {person}, since slack.users does not tell who is who, and {person}"


def _rejected(conn: Connection, asked: Approval) -> incidents.Incident:
    """What memory keeps of a rejection: the diagnosis, the fix that was not wanted, and why."""
    row, summary = record.get(conn, asked.execution_id), str(asked.proposal.get("summary", ""))
    found = proposal.diagnosis(row)
    return incidents.Incident(
        domain=asked.domain,
        stage=asked.subject,
        title=f"rejected fix for {asked.subject}: {found.get('root_cause') or summary}"[:300],
        symptoms="; ".join(str(item["finding"]) for item in found.get("evidence", [])),
        root_cause=found.get("root_cause") or "",
        fix=f"rejected, not done: {found.get('recommended_fix') or summary}",
        outcome=f"rejected: {asked.comment}",
        source=incidents.REJECTION,
        opened_at=row.started_at,
        execution_id=asked.execution_id,
    )
