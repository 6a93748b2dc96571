"""What an approved fix does to each object: once, whatever crashes and whoever else proposes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Connection, and_, exc, func, select, update

from blocks.database import insert_new
from blocks.schema import actions
from tasks import ids
from tasks.clock import utc

Status = Literal["pending", "running", "done", "failed", "skipped", "unknown"]
Ending = Literal["done", "failed", "skipped", "unknown"]

TAKEN = ("running", "done", "unknown")
"""While an action on an object stands so, no other proposal may do it."""


class Action(BaseModel):
    """One action on one object."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    approval_id: str
    action: str
    object_key: str
    """The object in its present state, such as `order_id@entered_at`: what may be acted on once."""
    idempotency_key: str | None
    """Sent with the request; the same for every attempt whose predecessor's end is not known."""
    status: Status
    attempts: int
    request: Any
    response: Any
    started_at: datetime | None
    finished_at: datetime | None


def plan(conn: Connection, approval_id: str, action: str, objects: Mapping[str, Any]) -> None:
    """Write down what is to be done: object key → request. What stands already stays as it is."""
    for object_key, request in objects.items():
        values = {"approval_id": approval_id, "action": action, "object_key": object_key}
        insert_new(conn, actions, {**values, "status": "pending", "request": request})


def begin(
    conn: Connection, approval_id: str, action: str, object_key: str, now: datetime | None = None
) -> Action | None:
    """Start a planned action, or start it again after a crash or a failure.

    Returns:
        The action with its idempotency key; None if it is not to be done: it is done already, or another
        proposal did it, does it or may have (it is then `skipped`, and its response says so).
    """
    here = _row(approval_id, action, object_key)
    planned = Action.model_validate(conn.execute(select(actions).where(here)).one())
    if planned.status in ("done", "skipped"):
        return None
    key = planned.idempotency_key
    if key is None or planned.status == "failed":
        key = ids.key("action", action, object_key, str(_attempts(conn, action, object_key)))
    values = {"status": "running", "attempts": planned.attempts + 1, "idempotency_key": key}
    values |= {"started_at": utc(now), "finished_at": None}
    try:
        with conn.begin_nested():
            row = conn.execute(update(actions).where(here).values(**values).returning(actions)).one()
    except exc.IntegrityError:
        reason = {"reason": f"already taken by {_taker(conn, action, object_key)}"}
        finish(conn, planned, "skipped", response=reason, now=now)
        return None
    return Action.model_validate(row)


def finish(
    conn: Connection, action: Action, status: Ending, *, response: Any = None, now: datetime | None = None
) -> None:
    """Record how an action ended.

    Args:
        status: `failed` only when the other side said no, so that trying again is safe; `unknown` when it
            didn't answer: only the same proposal may then try again, with the same idempotency key.
    """
    here = _row(action.approval_id, action.action, action.object_key)
    values = {"status": status, "response": response, "finished_at": utc(now)}
    conn.execute(update(actions).where(here).values(**values))


def of_approval(conn: Connection, approval_id: str) -> list[Action]:
    """All actions of an approved fix."""
    query = select(actions).where(actions.c.approval_id == approval_id)
    rows = conn.execute(query.order_by(actions.c.action, actions.c.object_key))
    return [Action.model_validate(row) for row in rows]


def counts(conn: Connection, approval_id: str) -> dict[Status, int]:
    """How many actions of an approved fix stand how."""
    query = select(actions.c.status, func.count()).where(actions.c.approval_id == approval_id)
    return dict(conn.execute(query.group_by(actions.c.status)).tuples().all())


def taken(conn: Connection, action: str, object_keys: list[str]) -> set[str]:
    """Which of these objects another proposal acted on, or may have: a dry run leaves them out."""
    found: set[str] = set()
    for start in range(0, len(object_keys), 500):
        keys = object_keys[start : start + 500]
        query = select(actions.c.object_key).where(actions.c.action == action, actions.c.status.in_(TAKEN))
        found |= set(conn.execute(query.where(actions.c.object_key.in_(keys))).scalars())
    return found


def _row(approval_id: str, action: str, object_key: str) -> ColumnElement[bool]:
    return and_(
        actions.c.approval_id == approval_id,
        actions.c.action == action,
        actions.c.object_key == object_key,
    )


def _attempts(conn: Connection, action: str, object_key: str) -> int:
    """Attempts on the object so far, by all proposals."""
    same = and_(actions.c.action == action, actions.c.object_key == object_key)
    return int(conn.execute(select(func.coalesce(func.sum(actions.c.attempts), 0)).where(same)).scalar_one())


def _taker(conn: Connection, action: str, object_key: str) -> str:
    same = and_(actions.c.action == action, actions.c.object_key == object_key, actions.c.status.in_(TAKEN))
    return str(conn.execute(select(actions.c.approval_id).where(same)).scalar() or "another proposal")
