"""Routing decisions: which skill handed what to which, and by which rule."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, and_, select, update

from blocks.database import insert_new
from blocks.schema import handoffs
from tasks import outbox, tally
from tasks.clock import utc

NONE = "none"
"""`to_skill` where a pattern was found and no rule matched."""


class Handoff(BaseModel):
    """One routing decision."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    run_id: str
    from_execution_id: str
    from_skill: str
    to_skill: str
    rule: str = ""
    """The rule's `when`; empty where none matched or the skill chose by itself."""
    pattern_key: str = ""
    context: Any = None
    """What the receiver starts from."""
    to_execution_id: str | None = None
    """The execution that it led to, once begun."""
    created_at: datetime | None = None

    @property
    def key(self) -> str:
        """What tells the receiving execution apart from the run's others: `record.begin`'s `handoff`."""
        return f"{self.from_execution_id}/{self.pattern_key}"


def add(conn: Connection, handoff: Handoff, now: datetime | None = None) -> bool:
    """Record a decision; False if the same sender, pattern and receiver stand already."""
    at = handoff.created_at or utc(now)
    added = insert_new(conn, handoffs, {**dict(handoff), "created_at": at})
    if added:
        tally.count(conn, tally.ROUTING, from_skill=handoff.from_skill, to_skill=handoff.to_skill)
        outbox.put_again(conn, handoff.from_execution_id, at)
    return added


def lead(conn: Connection, handoff: Handoff, to_execution_id: str) -> None:
    """Note the execution that a handoff led to."""
    same = and_(
        handoffs.c.from_execution_id == handoff.from_execution_id,
        handoffs.c.pattern_key == handoff.pattern_key,
        handoffs.c.to_skill == handoff.to_skill,
    )
    conn.execute(update(handoffs).where(same).values(to_execution_id=to_execution_id))


def of_run(conn: Connection, run_id: str) -> list[Handoff]:
    """The run's handoffs, in the order they were decided."""
    query = select(handoffs).where(handoffs.c.run_id == run_id).order_by(handoffs.c.id)
    return [Handoff.model_validate(row) for row in conn.execute(query)]
