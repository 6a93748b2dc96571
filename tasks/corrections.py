"""What users say was wrong with an execution. Kept beside it: the record itself never changes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, insert, select

from blocks.schema import corrections
from tasks import outbox, record, tally
from tasks.clock import utc


class Unfinished(Exception):
    """An execution that still runs or waits can't be corrected."""


class Correction(BaseModel):
    """One correction; the newest of an execution counts."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int
    execution_id: str
    correction: dict[str, Any]
    """What is right, by field: `{"actual_root_cause": …}`."""
    corrected_by: str
    via: str
    verified: bool
    """Whether `corrected_by` was proven and not only typed."""
    created_at: datetime


def add(
    conn: Connection,
    execution_id: str,
    correction: Mapping[str, Any],
    *,
    by: str,
    via: str,
    verified: bool = False,
    now: datetime | None = None,
) -> Correction:
    """Correct a finished execution.

    Raises:
        record.UnknownExecution: if there is none of that id.
        Unfinished: if it has no outcome yet.
        ValueError: if the correction says nothing.
    """
    if not correction:
        raise ValueError("a correction needs at least one field, such as actual_root_cause=…")
    execution, at = record.get(conn, execution_id), utc(now)
    if execution.outcome is None:
        raise Unfinished(f"{execution_id} has not ended yet; correct it once it has")
    values = {
        "execution_id": execution_id,
        "correction": dict(correction),
        "corrected_by": by,
        "via": via,
        "verified": verified,
        "created_at": at,
    }
    row = conn.execute(insert(corrections).values(**values).returning(corrections)).one()
    tally.count(conn, tally.CORRECTIONS, domain=execution.domain)
    outbox.put(conn, "correction", str(row.id), at)
    return Correction.model_validate(row)


def of_execution(conn: Connection, execution_id: str) -> list[Correction]:
    """The execution's corrections, oldest first."""
    query = select(corrections).where(corrections.c.execution_id == execution_id).order_by(corrections.c.id)
    return [Correction.model_validate(row) for row in conn.execute(query)]
