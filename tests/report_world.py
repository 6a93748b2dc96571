"""Executions of some days, for reports."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from blocks.config import Config
from tasks import corrections, journal, record, spend
from tests.record_world import began, step

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SETTINGS = Config.model_validate(
    {
        "models": {"small": {"id": "claude-haiku-4-5"}},
        "triggers": [{"source": "cron", "schedule": "0 */8 * * *", "domain": "ecm"}],
        "domains": {
            "ecm": {
                "module": "flows.ecm",
                "skills": [
                    {"name": "ecm-triage", "role": "manager", "model": "small"},
                    {"name": "ecm-diagnose", "role": "specialist", "model": "small"},
                    {"name": "ecm-resolve", "role": "specialist", "model": "small"},
                ],
            }
        },
    }
)


def ended(
    conn: Connection,
    skill: str = "ecm-diagnose",
    hours: float = 1,
    outcome: record.Outcome = "success",
    *,
    dollars: float = 0,
    seconds: float = 1.0,
    tools: tuple[str, ...] = (),
    wrong: str = "",
    output: Any = None,
    **more: Any,
) -> str:
    """The id of an execution that started so many hours ago, and was corrected if something was wrong."""
    at, micro = datetime.now(UTC) - hours * HOUR, round(dollars * 1_000_000)
    run_id = f"{skill}-{hours}-{outcome}-{seconds}"
    row = began(conn, skill, **{"run_id": run_id, "now": at, **more})
    for number, tool in enumerate(tools, 1):
        journal.append(conn, step(row.execution_id, number, name=tool))
    asked = {"domain": row.domain, "execution_id": row.execution_id, "budgets": spend.Budgets()}
    paid = spend.reserve(conn, sequence=99, micro=micro, now=at, **asked)
    turn = step(row.execution_id, 99, kind="model", name="small", call=None, cost_micro=micro)
    journal.append(conn, turn, paid)
    record.finish(conn, row.execution_id, outcome, latency_seconds=seconds, output=output, now=at)
    if wrong:
        said = {"actual_root_cause": wrong}
        corrections.add(conn, row.execution_id, said, by="ann", via="cli", now=at)
    return row.execution_id
