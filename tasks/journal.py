"""The journal: what each step of an execution did, so that a rerun after a crash need not do it again."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, select

from blocks.database import insert_new
from blocks.schema import execution_steps
from tasks import spend
from tasks.domain import ToolStatus


class Step(BaseModel):
    """A model turn or a tool call."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    execution_id: str
    sequence: int
    """Place in the execution, from 1."""
    kind: Literal["model", "tool"]
    name: str
    """The model's id or the tool's name."""
    call: int | None = None
    """Number of the tool call, from 1, as evidence refers to it."""
    request_digest: str = ""
    """Tells whether a rerun asks the same."""
    input: Any = None
    output: Any = None
    summary: str = ""
    """The output in a line, for people."""
    status: ToolStatus = "ok"
    started_at: datetime
    seconds: float
    tokens: dict[str, int] | None = None
    """`input`, `output`, `cache_read`, `cache_write`."""
    cost_micro: int = 0


def append(conn: Connection, step: Step, settle: spend.Reservation | None = None) -> bool:
    """Record a step, and settle its reservation at the step's cost, in one transaction.

    Returns:
        False if the sequence number was taken: another process was faster. The cost is settled all the same.

    Raises:
        ValueError: if the step cost something that was not reserved.
    """
    if settle:
        spend.settle(conn, settle, step.cost_micro)
    elif step.cost_micro:
        raise ValueError(f"step {step.sequence} of {step.execution_id} cost money that was not reserved")
    return insert_new(conn, execution_steps, dict(step))


def steps(conn: Connection, execution_id: str) -> list[Step]:
    """The execution's steps so far, in order."""
    query = select(execution_steps).where(execution_steps.c.execution_id == execution_id)
    return [Step.model_validate(row) for row in conn.execute(query.order_by(execution_steps.c.sequence))]
