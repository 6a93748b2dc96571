"""Takes a decision and, if it is a yes, carries the fix out in this process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from flows.cli import server

if TYPE_CHECKING:
    from tasks.approvals import Decision
    from tasks.platform import Platform


async def decide(approval_id: str, approve: bool, name: str, comment: str, token: str = "") -> dict[str, Any]:
    """The approval as it stands afterwards; `status` says what this call came to: its decision, or why none.

    An approved fix whose carrying out was cut off is carried on: `continued`. `missing` tells how many more
    people must approve.

    Args:
        token: the person's approver token, which proves the name; without one it is a claim.

    Raises:
        UnknownApproval: there is no such approval.
        NotAllowed: this person may not decide on it, or the token is not theirs.
    """
    from tasks import approvals, decision, report
    from tasks.platform import opened

    async with opened() as platform:
        if token:
            await decision.proven(platform, name, token)
        made = await decision.decide(
            platform, approval_id, approve, by=name, via="cli", verified=bool(token), comment=comment
        )
        status: str = made.status
        if approve and made.approval.status == "approved":
            status = await _carry_out(platform, made)
        await _wake(platform)
        now = await platform.database.read(lambda conn: approvals.get(conn, approval_id))
        counted = {"approvers": list(made.approvers), "missing": made.missing}
        return {**report.approval(now), **counted, "status": status, "approval_status": now.status}


async def take_back(approval_id: str, name: str) -> dict[str, Any]:
    """Undoes what a fix did; counts, and a text.

    Raises:
        UnknownApproval: there is no such approval.
        NotUndoable: it can't be taken back.
    """
    from tasks import undo
    from tasks.platform import opened

    async with opened() as platform:
        return await undo.take_back(platform, approval_id, name)


async def _carry_out(platform: Platform, made: Decision) -> str:
    """Carries the fix out; one approved earlier too, if whoever carried it out is gone (`continued`)."""
    from tasks import fix
    from tasks.skill import equipped

    if not (made.decided or fix.abandoned(made.approval)):
        return made.status
    async with equipped(platform, made.approval.domain) as toolbox:
        try:
            await fix.carry_out(platform, made.approval.id, toolbox)
        except fix.NotApproved:
            return made.status
    return made.status if made.decided else "continued"


async def _wake(platform: Platform) -> None:
    """Lets flow runs that wait for a decided fix go on, if a server is there."""
    from tasks import approvals

    waiting = await platform.database.read(approvals.asleep)
    if not waiting:
        return
    joined = await asyncio.to_thread(server.join)
    if joined:
        from flows import approving

        await approving.wake(platform)
