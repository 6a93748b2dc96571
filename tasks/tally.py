"""What is counted, in the transaction in which it happens: the totals that metrics are made of."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from blocks.database import add_up
from blocks.schema import counters, execution_slots, execution_totals

BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300)
"""Upper bounds of the latency histograms, in seconds; longer ones are in `+Inf`. The totals hold them."""
ENDLESS = "+Inf"
SLOT = timedelta(minutes=15)
"""How finely `execution_slots` tells when executions started."""

ROUTING = "aspora_skill_routing_decisions"
CORRECTIONS = "aspora_feedback_corrections_total"
DECISIONS = "aspora_approval_decisions_total"
REFUSALS = "aspora_guardrail_refusals_total"


def ended(conn: Connection, execution: Any, now: datetime) -> None:
    """Count an execution that has just ended.

    Args:
        execution: its `record.Execution`, outcome and all.
    """
    seconds = execution.latency_seconds
    amounts = {"executions": 1, "cost_micro": execution.cost_micro}
    last = {"exemplar": execution.execution_id, "exemplar_seconds": seconds, "exemplar_at": now}
    add_up(conn, execution_totals, _total(execution), {**amounts, "latency_seconds": seconds}, last)
    add_up(conn, execution_slots, _slot(execution), amounts, {})


def cost(conn: Connection, execution: Any, micro: int) -> None:
    """Add to the cost of an execution that had ended before its last cost was known."""
    add_up(conn, execution_totals, _total(execution), {"cost_micro": micro}, {})
    add_up(conn, execution_slots, _slot(execution), {"cost_micro": micro}, {})


def count(conn: Connection, name: str, by: int = 1, **labels: str) -> None:
    """Count an event, by one of the names above and its labels."""
    named = json.dumps(labels, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    add_up(conn, counters, {"name": name, "labels": named}, {"value": by}, {})


def bucket(seconds: float) -> str:
    """The histogram bucket of a latency."""
    return next((f"{bound:g}" for bound in BUCKETS if seconds <= bound), ENDLESS)


def slot(at: datetime) -> datetime:
    """The start of the quarter of an hour, in UTC."""
    return at.astimezone(UTC).replace(minute=at.minute // 15 * 15, second=0, microsecond=0)


def _total(execution: Any) -> dict[str, Any]:
    how = {"skill_role": execution.skill_role, "model": execution.model}
    return {**_who(execution), **how, "bucket": bucket(execution.latency_seconds)}


def _slot(execution: Any) -> dict[str, Any]:
    return {"slot": slot(execution.started_at), **_who(execution)}


def _who(execution: Any) -> dict[str, Any]:
    return {"domain": execution.domain, "skill_name": execution.skill_name, "outcome": execution.outcome}
