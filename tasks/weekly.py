"""A domain's week: what it did, what was wrong, what waited for people, what changed in the config."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, and_, or_, select

from blocks.config import Config
from blocks.schema import approvals
from tasks import config_changes, reports
from tasks.config_changes import Change
from tasks.mistakes import Mistake
from tasks.reports import WEEK, DomainReport

_ENDED = ("approved", "rejected", "stopped", "done", "failed")


class Wait(BaseModel):
    """A proposed fix that waited for people."""

    model_config = ConfigDict(frozen=True)

    id: str
    subject: str
    status: str
    seconds: float
    """How long it waited; so far, if it still does."""
    decided_by: str | None


class WeekReport(BaseModel):
    """A domain's week."""

    model_config = ConfigDict(frozen=True)

    domain: str
    report: DomainReport
    mistakes: dict[str, list[Mistake]]
    """By skill."""
    waits: list[Wait]
    """The longest first."""
    changes: list[Change]
    """The newest first."""


def week(conn: Connection, settings: Config, name: str, now: datetime | None = None) -> WeekReport:
    """The seven days before `now`.

    Raises:
        UnknownName: neither the config nor the record knows the domain.
    """
    report = reports.domain(conn, settings, name, WEEK, now)
    since, until = report.since, report.until
    said = {row.skill_name: reports.common(conn, row.skill_name, since) for row in report.skills}
    return WeekReport(
        domain=name,
        report=report,
        mistakes={skill: found for skill, found in said.items() if found},
        waits=_waits(conn, name, since, until),
        changes=config_changes.since(conn, since, name, until),
    )


def _waits(conn: Connection, domain: str, since: datetime, until: datetime) -> list[Wait]:
    waits = approvals.c
    columns = [waits[name] for name in ("id", "subject", "status", "created_at", "expires_at")]
    within = or_(
        waits.status == "waiting",
        and_(waits.status.in_(_ENDED), waits.decided_at > since),
        and_(waits.status == "expired", waits.expires_at > since),
    )
    query = select(*columns, waits.decided_at, waits.decided_by)
    rows = conn.execute(query.where(waits.domain == domain, waits.created_at <= until, within))
    found = [_wait(row, until) for row in rows]
    return sorted(found, key=lambda each: (-each.seconds, each.id))


def _wait(row: Any, until: datetime) -> Wait:
    end = row.decided_at or (row.expires_at if row.status == "expired" else until)
    seconds = max(0.0, (min(end, until) - row.created_at).total_seconds())
    return Wait(id=row.id, subject=row.subject, status=row.status, seconds=seconds, decided_by=row.decided_by)
