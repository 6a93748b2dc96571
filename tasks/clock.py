"""The time as the record takes it."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(at: datetime | None = None) -> datetime:
    """`at`, or now, in UTC."""
    return datetime.now(UTC) if at is None else at.astimezone(UTC)
