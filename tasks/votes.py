"""Who has approved a fix so far, and which names may be one person."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, and_, delete, select, update

from blocks.database import insert_new
from blocks.schema import approvals, votes
from tasks.clock import utc

SLACK = "slack:"
"""Begins the name of a Slack user whom the config does not map to a person."""
_LONGEST = 200


class Vote(BaseModel):
    """One person's approval."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    approval_id: str
    person: str
    """As `identity` has it."""
    name: str
    """As the person is shown."""
    via: str
    verified: bool
    comment: str
    created_at: datetime


def identity(name: str) -> str:
    """The same text for one name in whatever case, spacing and Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())[:_LONGEST]


def may_be_one(one: str, other: str, in_slack: Collection[str]) -> bool:
    """Whether two names may stand for the same person.

    A Slack user whom the config does not know may be anybody, except somebody with another Slack account.

    Args:
        in_slack: people whose Slack accounts the config knows.
    """
    first, second = identity(one), identity(other)
    if first == second:
        return True
    strangers = [name.startswith(SLACK) for name in (first, second)]
    if not any(strangers) or all(strangers):
        return False
    known = second if strangers[0] else first
    return known not in {identity(name) for name in in_slack}


def cast(
    conn: Connection,
    approval_id: str,
    name: str,
    *,
    via: str,
    verified: bool,
    comment: str = "",
    now: datetime | None = None,
) -> None:
    """Count a person's approval; once, however often it is given. A verified one replaces an unverified."""
    values = {"name": name, "via": via, "verified": verified, "comment": comment, "created_at": utc(now)}
    key = {"approval_id": approval_id, "person": identity(name)}
    if not insert_new(conn, votes, {**key, **values}) and verified:
        same = and_(votes.c.approval_id == approval_id, votes.c.person == key["person"])
        conn.execute(update(votes).where(same, votes.c.verified.is_(False)).values(**values))


def of(conn: Connection, approval_id: str) -> list[Vote]:
    """Who has approved, in the order in which they did."""
    query = select(votes).where(votes.c.approval_id == approval_id)
    rows = conn.execute(query.order_by(votes.c.created_at, votes.c.person))
    return [Vote.model_validate(row) for row in rows]


def keep(conn: Connection, approval_id: str, counted: Iterable[Vote]) -> None:
    """Forget the votes that did not count, so that the record names who approved."""
    people = [vote.person for vote in counted]
    others = and_(votes.c.approval_id == approval_id, votes.c.person.not_in(people))
    conn.execute(delete(votes).where(others))


def doubt(conn: Connection, name: str, via: str) -> None:
    """A person's votes on what still waits, given this way, are no longer verified."""
    waiting = select(approvals.c.id).where(approvals.c.status == "waiting")
    theirs = and_(votes.c.person == identity(name), votes.c.via == via, votes.c.approval_id.in_(waiting))
    conn.execute(update(votes).where(theirs).values(verified=False))
