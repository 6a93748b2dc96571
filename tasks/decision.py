"""A person's decision on a proposed fix, whichever way it comes in."""

from __future__ import annotations

from sqlalchemy import Connection

from tasks import approvals, inbox
from tasks.platform import Platform

LONGEST_NAME = 200
LONGEST_COMMENT = 4000


class NotAllowed(Exception):
    """This person may not decide on this fix. The message says why."""


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
        NotAllowed: the name is missing, or a dangerous action lacks a verified person.
    """
    name = " ".join(by.split())[:LONGEST_NAME]
    if not name:
        raise NotAllowed("a decision needs the name of the person who takes it")

    def write(conn: Connection) -> approvals.Decision:
        asked = approvals.get(conn, approval_id)
        if approve and not verified and (dangerous := _dangerous(asked)):
            raise NotAllowed(
                f"{dangerous} is a dangerous action and needs a verified approver; a typed name is no "
                f"verification. Nothing was decided."
            )
        decision = approvals.decide(
            conn, approval_id, approve, by=name, via=via, verified=verified, comment=comment[:LONGEST_COMMENT]
        )
        if decision.approval.status in ("rejected", "expired"):
            reason = f"the fix was {decision.approval.status}"
            inbox.conclude(conn, decision.approval.run_id, "completed", reason)
        return decision

    return await platform.database.write(write)


def _dangerous(asked: approvals.Approval) -> str:
    plans = asked.proposal.get("plans", [])
    return ", ".join(plan["action"] for plan in plans if plan.get("dangerous"))
