"""Old journals: they leave the database for files, in which pages still find them.

A file holds the steps of executions that ended on one day, a JSON object a line, and is whole before the
steps go: a process that dies in between writes the same file again. Executions themselves stay for good.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, delete, exists, select, update

from blocks.database import Database
from blocks.home import home
from blocks.schema import execution_steps, executions, outbox
from tasks import journal
from tasks.clock import utc
from tasks.journal import Step
from tasks.platform import Platform
from tasks.record import Execution

BATCH = 200
"""Executions of one file, and of one transaction."""
NO_STEPS = ""
"""In place of a file's name where an execution had no steps."""


class ArchiveError(Exception):
    """An archived journal can't be read. The message names the file."""


async def move(platform: Platform, now: datetime | None = None) -> int:
    """Moves the journals that are older than the config keeps; of how many executions."""
    kept = platform.config.platform.retention.journal
    if kept is None:
        return 0
    return await move_before(platform.database, utc(now) - kept)


async def move_before(database: Database, before: datetime) -> int:
    """Moves the journals of executions that ended before a moment; of how many."""
    moved = 0
    while batch := await database.read(lambda conn: _due(conn, before)):
        file = await database.read(lambda conn, batch=batch: _written(conn, batch))  # type: ignore[misc]
        await database.write(lambda conn, batch=batch, file=file: _forget(conn, batch, file))  # type: ignore[misc]
        moved += len(batch)
    return moved


def steps(conn: Connection, execution: Execution) -> list[Step]:
    """An execution's steps in order, wherever they stand.

    Raises:
        ArchiveError: they were archived, and the file is gone or damaged.
    """
    if not execution.archive:
        return journal.steps(conn, execution.execution_id)
    path = folder() / execution.archive
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            found = [Step.model_validate_json(line) for line in lines]
    except (OSError, EOFError, ValueError) as error:
        raise ArchiveError(f"the journal was archived in {path}, which can't be read: {error}") from error
    return [step for step in found if step.execution_id == execution.execution_id]


def folder() -> Path:
    """Where the files are: `archive/` in the state directory."""
    return home() / "archive"


def _due(conn: Connection, before: datetime) -> list[tuple[str, datetime]]:
    """The oldest executions that have ended, each with when; of one day. What telemetry waits for stays."""
    waits = exists().where(outbox.c.kind == "execution", outbox.c.subject == executions.c.execution_id)
    query = (
        select(executions.c.execution_id, executions.c.finished_at)
        .where(executions.c.archive.is_(None), executions.c.finished_at < before, ~waits)
        .order_by(executions.c.finished_at, executions.c.execution_id)
        .limit(BATCH)
    )
    rows = [(str(id_), at) for id_, at in conn.execute(query)]
    return [row for row in rows if row[1].date() == rows[0][1].date()]


def _written(conn: Connection, batch: Sequence[tuple[str, datetime]]) -> str:
    """Writes the steps to a file, whole or not at all; its name, or NO_STEPS if there are none."""
    found = [step for id_, _ in batch for step in journal.steps(conn, id_)]
    if not found:
        return NO_STEPS
    name = f"{batch[0][1]:%Y-%m-%d}/{hashlib.sha256(batch[0][0].encode()).hexdigest()[:16]}.jsonl.gz"
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        with gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as packed:
            for step in found:
                packed.write(step.model_dump_json().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    return name


def _forget(conn: Connection, batch: Sequence[tuple[str, datetime]], file: str) -> None:
    ids = [id_ for id_, _ in batch]
    conn.execute(delete(execution_steps).where(execution_steps.c.execution_id.in_(ids)))
    conn.execute(update(executions).where(executions.c.execution_id.in_(ids)).values(archive=file))
