"""A person's decision on a proposed fix, whichever way it comes in."""

from __future__ import annotations

from sqlalchemy import Connection

from tasks import approvals, controls, report
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
    """Records a decision; of any number of people, the first one decides.

    Args:
        by: the person's name; a claim unless `verified`.
        via: where it was decided, such as `cli` or `prefect`.

    Raises:
        UnknownApproval: there is no such approval.
        NotAllowed: the name is missing or not among the approvers, a dangerous action lacks a verified
            person, or a switch is off.
    """
    name = " ".join(by.split())[:LONGEST_NAME]
    if not name:
        raise NotAllowed("a decision needs the name of the person who takes it")

    def write(conn: Connection) -> approvals.Decision:
        asked = approvals.get(conn, approval_id)
        if approve and asked.status == "waiting":
            _check(conn, platform, asked, name, verified)
        decision = approvals.decide(
            conn, approval_id, approve, by=name, via=via, verified=verified, comment=comment[:LONGEST_COMMENT]
        )
        report.conclude(conn, asked.run_id)
        return decision

    return await platform.database.write(write)


def told(stop: controls.Control) -> str:
    """A switch that is off, for people: who turned it, and why."""
    what = "all actions were" if stop.name == controls.ALL_ACTIONS else f"{stop.name.replace(':', ' ')} was"
    return f"{what} stopped by {stop.changed_by}" + (f": {stop.reason}" if stop.reason else "")


async def expire(platform: Platform) -> None:
    """Ends the proposals that nobody decided in time, and the runs that waited for them."""
    await platform.database.write(expire_all)


def expire_all(conn: Connection) -> None:
    """As `expire`, within a transaction."""
    for expired in approvals.expire(conn):
        report.conclude(conn, expired.run_id)


def asleep(conn: Connection) -> list[approvals.Approval]:
    """Approvals that wait no more, and whose suspended flow run does not know it yet."""
    found = approvals.find(conn, limit=1000)
    return [each for each in found if each.flow_run_id and each.status != "waiting"]


def may_approve(platform: Platform, domain: str) -> set[str] | None:
    """The names that may approve a domain's fixes, in lower case; None if anybody may."""
    named = platform.domain(domain).guardrails.approvers
    people = platform.config.platform.people
    if not named or not people:
        return None
    return {person.lower() for each in named for person in people.get(each, [each])}


def _check(
    conn: Connection, platform: Platform, asked: approvals.Approval, name: str, verified: bool
) -> None:
    allowed = may_approve(platform, asked.domain)
    if allowed is not None and name.lower() not in allowed:
        groups = ", ".join(platform.domain(asked.domain).guardrails.approvers)
        raise NotAllowed(
            f"{name} is not among the approvers of {asked.domain} ({groups}; see platform.people). "
            f"Nothing was decided."
        )
    stop = controls.stopped(
        conn, controls.ALL_ACTIONS, controls.domain(asked.domain), controls.approval(asked.id)
    )
    if stop:
        raise NotAllowed(
            f"{asked.id} can't be approved now: {told(stop)}; `aspora start` lifts it. Nothing was decided."
        )
    if not verified and (dangerous := _dangerous(platform, asked)):
        raise NotAllowed(
            f"{dangerous} is a dangerous action and needs a verified approver; a typed name is no "
            f"verification. Nothing was decided."
        )


def _dangerous(platform: Platform, asked: approvals.Approval) -> str:
    """The proposal's actions that were dangerous when it was made, or are by now."""
    now = {action.name for action in platform.domain(asked.domain).actions if action.dangerous}
    plans = asked.proposal.get("plans", [])
    return ", ".join(plan["action"] for plan in plans if plan.get("dangerous") or plan["action"] in now)
