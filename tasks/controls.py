"""Kill switches: a domain, all actions, or one fix under way."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, select, update

from blocks.database import insert_new
from blocks.schema import controls
from tasks.clock import utc

ALL_ACTIONS = "actions"


class Control(BaseModel):
    """A switch, and who last turned it."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    name: str
    stopped: bool
    changed_by: str
    reason: str
    changed_at: datetime


def domain(name: str) -> str:
    """The switch of a domain."""
    return f"domain:{name}"


def approval(id: str) -> str:
    """The stop button of one approved fix."""
    return f"approval:{id}"


def stop(conn: Connection, name: str, *, by: str, reason: str = "", now: datetime | None = None) -> None:
    """Turn a switch off: what hangs on it stops, and starts no more."""
    _turn(conn, Control(name=name, stopped=True, changed_by=by, reason=reason, changed_at=utc(now)))


def start(conn: Connection, name: str, *, by: str, reason: str = "", now: datetime | None = None) -> None:
    """Turn a switch on again."""
    _turn(conn, Control(name=name, stopped=False, changed_by=by, reason=reason, changed_at=utc(now)))


def stopped(conn: Connection, *names: str) -> Control | None:
    """The first of these switches that is off, with who did it and why; None if all are on."""
    off = select(controls).where(controls.c.name.in_(names), controls.c.stopped).order_by(controls.c.name)
    row = conn.execute(off.limit(1)).first()
    return Control.model_validate(row) if row else None


def every(conn: Connection) -> list[Control]:
    """All switches that were ever turned."""
    return [Control.model_validate(row) for row in conn.execute(select(controls).order_by(controls.c.name))]


def _turn(conn: Connection, control: Control) -> None:
    values = dict(control)
    if not insert_new(conn, controls, values):
        conn.execute(update(controls).where(controls.c.name == control.name).values(**values))
