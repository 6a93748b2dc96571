"""Personal approver tokens: they prove on the command line who decides. Only their digests are kept."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, and_, insert, select, update

from blocks.schema import approver_tokens
from tasks.clock import utc
from tasks.votes import doubt, identity

PREFIX = "aspora-"
VARIABLE = "ASPORA_APPROVER_TOKEN"
"""The environment variable that a person keeps a token in."""


class Token(BaseModel):
    """A token that was given out; itself it is not known here."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    person: str
    created_at: datetime
    revoked_at: datetime | None


def issue(conn: Connection, person: str, now: datetime | None = None) -> str:
    """A new token of a person, besides those they have."""
    token = PREFIX + secrets.token_urlsafe(32)
    values = {"digest": _digest(token), "person": " ".join(person.split()), "created_at": utc(now)}
    conn.execute(insert(approver_tokens).values(**values))
    return token


def revoke(conn: Connection, person: str, now: datetime | None = None) -> int:
    """Revoke all tokens of a person; how many there were. Approvals given by them no longer count."""
    doubt(conn, person, "cli")
    valid = select(approver_tokens).where(approver_tokens.c.revoked_at.is_(None))
    theirs = [row.digest for row in conn.execute(valid) if identity(row.person) == identity(person)]
    chosen = update(approver_tokens).where(approver_tokens.c.digest.in_(theirs))
    return conn.execute(chosen.values(revoked_at=utc(now))).rowcount


def owner(conn: Connection, token: str) -> str | None:
    """Whose token it is; None if it was never given out or is revoked."""
    valid = and_(approver_tokens.c.digest == _digest(token), approver_tokens.c.revoked_at.is_(None))
    found = conn.execute(select(approver_tokens.c.person).where(valid)).scalar()
    return str(found) if found is not None else None


def every(conn: Connection) -> list[Token]:
    """All tokens ever given out, the oldest first."""
    query = select(approver_tokens).order_by(approver_tokens.c.created_at)
    return [Token.model_validate(row) for row in conn.execute(query)]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
