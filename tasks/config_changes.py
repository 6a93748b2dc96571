"""The record of config changes: which key became what, when, and who was there.

A process that acts compares the config that it acts by with the last one on record. It knows the user that it
runs as, and where the file is committed in a git checkout, what the commit claims; not who typed it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Connection, and_, insert, select, update

from blocks.checkout import Commit, last_commit
from blocks.config import Config
from blocks.database import Database, alone
from blocks.login import login
from blocks.schema import config_changes, config_versions
from tasks.clock import utc
from tasks.config_content import content, digest
from tasks.differences import Difference, differences

_COLUMNS = {**config_versions.c, **config_changes.c}

MOST = 200
"""Keys that are recorded of one change."""


class Change(BaseModel):
    """A key that changed."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    seen_at: datetime
    """When a process first acted by it."""
    seen_by: str
    """The user that this process ran as."""
    commit_hash: str
    """The last commit of the file; empty if it was not committed."""
    commit_author: str
    file: str
    domain: str
    """Empty if it concerns all."""
    key: str
    old: str | None
    new: str | None


def keep(database: Database, config: Config, file: Path) -> None:
    """Record what the config changed since the last time, once for any number of processes."""
    written, place = content(config), str(file)
    mark = digest(written)
    if database.read_now(lambda conn: _current(conn, place)) == mark:
        return
    commit, by = last_commit(file), login()
    database.write_now(lambda conn: add(conn, place, written, by=by, commit=commit))


def add(
    conn: Connection,
    file: str,
    written: dict[str, Any],
    *,
    by: str,
    commit: Commit | None = None,
    now: datetime | None = None,
) -> int:
    """Record a content of the config; how many keys differ from the one before.

    A file seen for the first time is compared with the last content of any file.
    """
    alone(conn, "config")
    before, mark = _newest(conn, file, *config_versions.c), digest(written)
    if before is not None and before.digest == mark:
        return 0
    values = {
        "file": file,
        "digest": mark,
        "content": written,
        "seen_at": utc(now),
        "seen_by": by,
        "commit_hash": commit.hash if commit else "",
        "commit_author": commit.author if commit else "",
    }
    versions = config_versions.c
    id = conn.execute(insert(config_versions).values(**values).returning(versions.id)).scalar_one()
    older = and_(versions.file == file, versions.id != id, versions.content.is_not(None))
    conn.execute(update(config_versions).where(older).values(content=None))
    found = differences(before.content or {}, written) if before is not None else []
    rows = [{"version_id": id, **vars(each)} for each in _bounded(found)]
    if rows:
        conn.execute(insert(config_changes), rows)
    return len(found)


def since(
    conn: Connection, start: datetime, domain: str = "", until: datetime | None = None, limit: int = 1000
) -> list[Change]:
    """Changes since a moment, the newest first; of one domain, those that concern all of them too."""
    versions, columns = config_versions.c, [_COLUMNS[name] for name in Change.model_fields]
    query = (
        select(*columns)
        .join(config_versions, versions.id == config_changes.c.version_id)
        .where(versions.seen_at > start)
        .order_by(versions.id.desc(), config_changes.c.id)
        .limit(limit)
    )
    if until:
        query = query.where(versions.seen_at <= until)
    if domain:
        query = query.where(config_changes.c.domain.in_((domain, "")))
    return [Change.model_validate(row) for row in conn.execute(query)]


def _current(conn: Connection, file: str) -> str | None:
    newest = _newest(conn, file, config_versions.c.digest)
    return newest.digest if newest else None


def _newest(conn: Connection, file: str, *columns: ColumnElement[Any]) -> Any:
    """The last version of the file; of any file, if this one is new."""
    query = select(*columns).order_by(config_versions.c.id.desc()).limit(1)
    own = conn.execute(query.where(config_versions.c.file == file)).first()
    return own or conn.execute(query).first()


def _bounded(found: list[Difference]) -> list[Difference]:
    more = len(found) - MOST
    if more <= 0:
        return found
    return [*found[:MOST], Difference("", f"and {more} more", None, None)]
