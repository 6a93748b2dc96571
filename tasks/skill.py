"""Performs a begun execution: runs its skill, records the outcome, or leaves its fix waiting for a person."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection

from tasks import admission, approvals, journal, proposal, record
from tasks.execution import Execution
from tasks.loop import Result
from tasks.platform import Platform, opened
from tasks.progress import tell
from tasks.routing import Router
from tasks.tools import Toolbox


class SkillFailed(Exception):
    """An execution ended with outcome error. The message says why."""


_toolboxes: ContextVar[dict[str, Toolbox] | None] = ContextVar("toolboxes", default=None)


@asynccontextmanager
async def equipped(platform: Platform, domain: str) -> AsyncIterator[Toolbox]:
    """The domain's tools; opened here, and closed at the end, unless this context has them already."""
    boxes = _toolboxes.get() or {}
    if domain in boxes:
        yield boxes[domain]
        return
    async with platform.toolbox(domain) as toolbox:
        token = _toolboxes.set({**boxes, domain: toolbox})
        try:
            yield toolbox
        finally:
            _toolboxes.reset(token)


async def perform(execution_id: str) -> None:
    """Runs an execution to its outcome; one that has an outcome, or whose fix waits, is left as it is.

    Raises:
        SkillFailed: the outcome is error.
    """
    async with opened() as platform:
        row, due, steps = await platform.database.read(lambda conn: _stand(conn, execution_id))
        if due:
            async with equipped(platform, row.domain) as toolbox:
                await _perform(platform, row, steps, toolbox)


def is_over(conn: Connection, execution_id: str) -> bool:
    """Whether there is nothing left to run: the execution has an outcome, or its fix waits for people."""
    row = record.get(conn, execution_id)
    asked = approvals.of_run(conn, row.run_id)
    return row.outcome is not None or any(approval.execution_id == execution_id for approval in asked)


def _stand(conn: Connection, execution_id: str) -> tuple[record.Execution, bool, list[journal.Step]]:
    """The execution, whether it still has to run, and its steps so far."""
    due = not is_over(conn, execution_id)
    return record.get(conn, execution_id), due, journal.steps(conn, execution_id)


async def _perform(
    platform: Platform, row: record.Execution, steps: Sequence[journal.Step], toolbox: Toolbox
) -> None:
    tell("skill", "starts", row.skill_name)
    skill = platform.code(row.domain).skills[row.skill_name]
    result = await Execution(platform, row, steps, toolbox).run(skill)
    output = result.output.model_dump(mode="json") if result.output else None
    if output and row.skill_role == "manager":
        _route(platform, row.domain, output)
    if output and skill.fixer and output["fixes"] and result.outcome == "success":
        await proposal.propose(platform, row, skill, result, toolbox)
        return
    await platform.database.write(lambda conn: _finish(conn, row, result, output))
    reason = f" ({result.reason})" if result.reason else ""
    tell("skill", f"ends: {result.outcome}{reason}", row.skill_name)
    if result.outcome == "error":
        raise SkillFailed(f"{row.skill_name}: {result.reason}")


def _route(platform: Platform, domain: str, output: dict[str, Any]) -> None:
    """Writes into each of the manager's patterns where the rules lead first."""
    router = Router(platform.domain(domain), platform.code(domain))
    for pattern in output["patterns"]:
        routes = router.after_manager(pattern)
        pattern["route_to"] = routes[0].to_skill if routes else None


def _finish(conn: Connection, row: record.Execution, result: Result, output: Any) -> None:
    finished = record.finish(
        conn,
        row.execution_id,
        result.outcome,
        output=output,
        error=result.reason or None,
        trace=result.trace,
    )
    if finished and result.guardrail:
        admission.count(conn, row.domain, result.guardrail)
