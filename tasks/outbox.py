"""What Langfuse and Opik have yet to be told of, noted in the transaction in which it happens."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, bindparam, text

from blocks.columns import UtcDateTime
from blocks.schema import TELEMETRY

Kind = Literal["execution", "correction"]

_PUT = text(
    "INSERT INTO outbox (destination, kind, subject, state, next_attempt_at, created_at) "
    "VALUES (:destination, :kind, :subject, 'pending', :at, :at) ON CONFLICT DO NOTHING"
).bindparams(bindparam("at", type_=UtcDateTime()))


def put(conn: Connection, kind: Kind, subject: str, at: datetime) -> None:
    """Note that an execution has ended, or that one was corrected, by its id."""
    conn.execute(
        _PUT, [{"destination": each, "kind": kind, "subject": subject, "at": at} for each in TELEMETRY]
    )
