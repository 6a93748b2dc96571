"""Wakes suspended flow runs whose fix was decided elsewhere: on the command line, or by its expiry."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from uuid import UUID

from tasks import approvals, decision
from tasks.platform import Platform

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

_log = logging.getLogger(__name__)


async def wake(platform: Platform) -> None:
    """Resumes every suspended run whose approval no longer waits; best effort, and tried again next time."""
    waiting = await platform.database.read(decision.asleep)
    if not waiting:
        return
    import httpx
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        for approval in waiting:
            try:
                awake = await _resume(client, approval)
            except httpx.HTTPError as error:
                _log.info("flow run %s could not be woken: %s", approval.flow_run_id, error)
                return
            if awake:
                await _detach(platform, approval.id)


async def _resume(client: PrefectClient, approval: approvals.Approval) -> bool:
    """Whether the run goes on, or is over; not if it is about to suspend, or lives on another server."""
    from prefect.client.schemas.responses import SetStateStatus
    from prefect.exceptions import ObjectNotFound

    id = UUID(approval.flow_run_id)
    try:
        run = await client.read_flow_run(id)
        if run.state and run.state.is_paused():
            result = await client.resume_flow_run(id, run_input=_verdict(approval))
            return result.status == SetStateStatus.ACCEPT
        return bool(run.state and run.state.is_final())
    except ObjectNotFound:
        return False


async def _detach(platform: Platform, approval_id: str) -> None:
    await platform.database.write(lambda conn: approvals.attach(conn, approval_id, None))


def _verdict(approval: approvals.Approval) -> dict[str, str]:
    """An input that the form takes; the woken run looks at the record, not at this."""
    approved = approval.status in ("approved", "done", "failed", "stopped")
    return {"decision": "approve" if approved else "reject", "name": approval.decided_by or "nobody"}
