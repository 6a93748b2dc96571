"""Memory: incidents with their cause and fix, for the next similar one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, and_, delete, insert, select, update

from blocks.database import insert_new
from blocks.schema import corrections, incidents

REJECTION = "rejection"
"""The source of fixes that people did not want: their cause is a guess, and nothing was done."""
CORRECTION = "correction"
"""The source of causes that people named after a skill had named another one."""


class Incident(BaseModel):
    """What happened once, why, and what helped."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int | None = None
    """Counted up by the database."""
    domain: str
    stage: str = ""
    title: str
    symptoms: str = ""
    root_cause: str = ""
    fix: str = ""
    outcome: str = ""
    """What the fix achieved."""
    source: str
    """Who remembers it: a skill's name, or where it was imported from."""
    opened_at: datetime
    resolved_at: datetime | None = None
    execution_id: str | None = None
    """The execution that resolved it; one incident each at most."""
    correction_id: int | None = None
    """The correction that it comes from; one incident each at most."""
    said_by: list[dict[str, Any]] | None = None
    """Of a correction: who says so: `name`, `verified`, `via`."""
    said_at: datetime | None = None
    """Of a correction: when somebody said so last."""
    trusted: bool = True
    """Of a correction: whether enough people say so for skills to follow it."""


def remember(conn: Connection, incident: Incident) -> None:
    """Add an incident; one of the same execution is brought up to date instead."""
    values = incident.model_dump(exclude={"id"})
    if not insert_new(conn, incidents, values):
        same = incidents.c.execution_id == incident.execution_id
        conn.execute(update(incidents).where(same).values(**values))


def reject(conn: Connection, incident: Incident) -> None:
    """Add a rejected fix; an earlier rejection of the same one gives way, so that they don't crowd memory."""
    rejection = incident.model_copy(update={"source": REJECTION})
    same = and_(
        incidents.c.source == REJECTION,
        incidents.c.domain == rejection.domain,
        incidents.c.stage == rejection.stage,
        incidents.c.title == rejection.title,
    )
    conn.execute(delete(incidents).where(same))
    remember(conn, rejection)


def correct(conn: Connection, execution_id: str, items: Sequence[Incident]) -> None:
    """Replace what corrections of an execution brought into memory by these."""
    of_it = select(corrections.c.id).where(corrections.c.execution_id == execution_id)
    conn.execute(delete(incidents).where(incidents.c.correction_id.in_(of_it)))
    if items:
        conn.execute(insert(incidents), [item.model_dump(exclude={"id"}) for item in items])


def replace(conn: Connection, source: str, items: Iterable[Incident], domain: str = "") -> None:
    """Replace a source's incidents, such as imported ones, by these; those of one domain if it is named."""
    same = incidents.c.source == source
    conn.execute(delete(incidents).where(and_(same, incidents.c.domain == domain) if domain else same))
    rows = [item.model_copy(update={"source": source}).model_dump(exclude={"id"}) for item in items]
    if rows:
        conn.execute(insert(incidents), rows)


def find(conn: Connection, domain: str = "", stage: str = "") -> list[Incident]:
    """Incidents, newest first; of all domains and stages by default."""
    query = select(incidents).order_by(incidents.c.opened_at.desc(), incidents.c.id.desc())
    if domain:
        query = query.where(incidents.c.domain == domain)
    if stage:
        query = query.where(incidents.c.stage == stage)
    return [Incident.model_validate(row) for row in conn.execute(query)]
