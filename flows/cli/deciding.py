"""Takes a decision and, if it is a yes, carries the fix out in this process."""

from __future__ import annotations

from typing import Any


async def decide(approval_id: str, approve: bool, name: str, comment: str) -> dict[str, Any]:
    """The approval as it stands afterwards, with `status` saying what this call came to.

    Raises:
        UnknownApproval: there is no such approval.
        NotAllowed: this person may not decide on it.
    """
    from tasks import approvals, decision, fix, report
    from tasks.platform import opened
    from tasks.skill import equipped

    async with opened() as platform:
        made = await decision.decide(platform, approval_id, approve, by=name, via="cli", comment=comment)
        if made.status == "approved":
            async with equipped(platform, made.approval.domain) as toolbox:
                await fix.carry_out(platform, approval_id, toolbox)
        now = await platform.database.read(lambda conn: approvals.get(conn, approval_id))
        return {**report.approval(now), "status": made.status, "approval_status": now.status}
