"""What routing rules would have done with recorded runs: try a rule before it goes live."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from tasks import handoffs, inbox, record
from tasks.platform import Platform
from tasks.routing import Router


def compare(conn: Connection, platform: Platform, since: datetime) -> list[dict[str, Any]]:
    """One row a routing decision: where it led, and where today's rules would lead.

    Args:
        since: runs that began then or later.
    """
    rows: list[dict[str, Any]] = []
    for name in platform.config.domains:
        router = Router(platform.config.domains[name], platform.code(name))
        for trigger in inbox.find(conn, domain=name, states=("done", "failed"), limit=10_000):
            if trigger.started_at and trigger.started_at >= since:
                rows += _of_run(conn, platform, router, trigger.run_id)
    return rows


def _of_run(conn: Connection, platform: Platform, router: Router, run_id: str) -> Iterator[dict[str, Any]]:
    executions = {row.execution_id: row for row in record.of_run(conn, run_id)}
    made = handoffs.of_run(conn, run_id)
    manager = next((row for row in executions.values() if row.skill_role == "manager"), None)
    if manager is None or not isinstance(manager.output_data, dict):
        return
    key = platform.code(manager.domain).pattern_key
    for pattern in manager.output_data["patterns"]:
        subject = str(pattern[key])
        yield _row(made, manager, subject, [route.to_skill for route in router.after_manager(pattern)])
        found = {"manager": pattern}
        for row in executions.values():
            if row.pattern_key == subject and row.outcome == "success" and isinstance(row.output_data, dict):
                found[row.skill_name] = row.output_data
                if router.knows(row.skill_name):
                    onward = [route.to_skill for route in router.after(row.skill_name, found)]
                    yield _row(made, row, subject, onward)


def _row(
    made: list[handoffs.Handoff], sender: record.Execution, subject: str, would_be: list[str]
) -> dict[str, Any]:
    was = [
        each.to_skill
        for each in made
        if each.from_execution_id == sender.execution_id
        and each.pattern_key == subject
        and each.to_skill != handoffs.NONE
    ]
    return {
        "run_id": sender.run_id,
        "pattern": subject,
        "from": sender.skill_name,
        "was": was,
        "would_be": would_be,
    }
