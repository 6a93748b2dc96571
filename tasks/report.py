"""What a run came to, from the record: for `aspora run --json`, for people, and for the run's own state."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from blocks.units import dollars
from tasks import approvals, archive, corrections, handoffs, inbox, record

_OPEN = ("waiting", "approved")
_UNDONE = ("rejected", "expired", "superseded")


def result(conn: Connection, run_id: str) -> tuple[inbox.Result, str]:
    """A run's result and the reason for it, once its skills have ended or wait."""
    executions, asked = record.of_run(conn, run_id), approvals.of_run(conn, run_id)
    if any(approval.status in _OPEN for approval in asked):
        return "awaiting_approval", ""
    specialists = [row for row in executions if row.skill_role == "specialist"]
    refused = [row for row in executions if row.outcome == "refused"]
    if refused and len(refused) == len(specialists or executions):
        return "refused", _reasons(refused)
    if not specialists:
        return "no_action", ""
    broken = [approval for approval in asked if approval.status in ("stopped", "failed")]
    failed = [row for row in specialists if row.outcome == "error"]
    if broken:
        return "failed", "; ".join(f"{each.id} {each.status}: {each.result['text']}" for each in broken)
    if len(failed) == len(specialists):
        return "failed", _reasons(failed)
    undone = [f"the fix for {each.subject} was {each.status}" for each in asked if each.status in _UNDONE]
    return "completed", "; ".join([*undone, *([_reasons(failed)] if failed else [])])


def conclude(conn: Connection, run_id: str) -> None:
    """Replaces the result `awaiting_approval` of a finished run, once no fix of it waits any more."""
    now, reason = result(conn, run_id)
    if now != "awaiting_approval":
        inbox.conclude(conn, run_id, now, reason)


def of_run(conn: Connection, run_id: str) -> dict[str, Any]:
    """The run's report as one JSON-like object.

    Raises:
        UnknownTrigger: there is no such run.
    """
    trigger = inbox.get(conn, run_id)
    return {
        "run_id": trigger.run_id,
        "trigger_id": trigger.id,
        "domain": trigger.domain,
        "state": trigger.result or trigger.state,
        "reason": trigger.reason,
        "executions": [execution(row) for row in record.of_run(conn, trigger.run_id)],
        "handoffs": [_handoff(each) for each in handoffs.of_run(conn, trigger.run_id)],
        "approvals": [approval(each) for each in approvals.of_run(conn, trigger.run_id)],
    }


def trigger(row: inbox.Trigger) -> dict[str, Any]:
    """A trigger as one JSON-like object, with what it came with and what became of it."""
    return row.model_dump(mode="json", exclude={"claimed_by", "lease_until", "give_up_at"})


def execution(row: record.Execution) -> dict[str, Any]:
    """An execution as one JSON-like object; `outcome` is null while it runs or waits."""
    return {
        "execution_id": row.execution_id,
        "run_id": row.run_id,
        "domain": row.domain,
        "skill": row.skill_name,
        "role": row.skill_role,
        "pattern": row.pattern_key,
        "model": row.model,
        "provider": row.provider,
        "outcome": row.outcome,
        "error": row.error,
        "started_at": row.started_at.isoformat(),
        "latency_seconds": row.latency_seconds,
        "cost_dollars": dollars(row.cost_micro),
        "input": row.input_data,
        "output": row.output_data,
    }


def detail(conn: Connection, execution_id: str) -> dict[str, Any]:
    """All about an execution as one JSON-like object.

    Raises:
        UnknownExecution: there is no such execution.
    """
    row, finished = record.get(conn, execution_id), record.view(conn, execution_id)
    kinds = ("input", "output", "cache_read", "cache_write")
    return {
        **execution(row),
        "from_skill": row.from_skill,
        "rule": row.rule,
        "reasoning_trace": row.reasoning_trace,
        "user_correction": finished.user_correction if finished else None,
        "corrections": [
            each.model_dump(mode="json") for each in corrections.of_execution(conn, execution_id)
        ],
        "tokens": {kind: getattr(row, f"{kind}_tokens") for kind in kinds},
        "tool_seconds": row.tool_seconds,
        "model_seconds": row.model_seconds,
        "steps": [step.model_dump(mode="json") for step in archive.steps(conn, row)],
    }


def view(row: record.SkillExecution) -> dict[str, Any]:
    """A finished execution as `aspora executions` lists it."""
    return {
        "execution_id": row.execution_id,
        "timestamp": row.timestamp.isoformat(),
        "domain": row.domain,
        "skill": row.skill_name,
        "role": row.skill_role,
        "manager_skill": row.manager_skill,
        "specialist_skill": row.specialist_skill,
        "outcome": row.outcome,
        "latency_seconds": row.latency_seconds,
        "cost_dollars": row.cost_dollars,
        "input": row.input_data,
        "output": row.output_data,
        "user_correction": row.user_correction,
    }


def approval(row: approvals.Approval) -> dict[str, Any]:
    """An approval as one JSON-like object; the proposal without its list of objects."""
    plans = [{k: v for k, v in plan.items() if k != "targets"} for plan in row.proposal.get("plans", [])]
    return {
        "id": row.id,
        "run_id": row.run_id,
        "execution_id": row.execution_id,
        "domain": row.domain,
        "skill": row.skill,
        "subject": row.subject,
        "status": row.status,
        "proposal": {**row.proposal, "plans": plans},
        "created_at": row.created_at.isoformat(),
        "expires_at": row.expires_at.isoformat(),
        "decided_by": row.decided_by,
        "decided_via": row.decided_via,
        "decided_at": row.decided_at.isoformat() if row.decided_at else None,
        "comment": row.comment,
        "superseded_by": row.superseded_by,
        "result": row.result,
    }


def _handoff(each: handoffs.Handoff) -> dict[str, Any]:
    return {
        "from": each.from_skill,
        "to": each.to_skill,
        "when": each.rule,
        "pattern": each.pattern_key,
        "context": each.context,
    }


def _reasons(rows: list[record.Execution]) -> str:
    return "; ".join(f"{row.skill_name}: {row.error}" for row in rows)
