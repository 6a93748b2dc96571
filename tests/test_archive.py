"""Old journals: moved to files whole, found by pages, and nothing lost when a process dies in between."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from blocks.config import Retention
from blocks.database import Database
from tasks import archive, journal, outbox, page, record, report
from tests.record_world import NOW, began, new_database, new_postgres, step  # noqa: F401

DAY = timedelta(days=1)
OLD, NEW = NOW - 40 * DAY, NOW - DAY
CUTOFF = NOW - 30 * DAY


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASPORA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def ended(conn: Connection, run_id: str, at: datetime = OLD, steps: int = 2) -> str:
    """An execution that ended at a moment, and that telemetry has been told of."""
    id_ = began(conn, run_id=run_id, now=at).execution_id
    for number in range(1, steps + 1):
        journal.append(conn, step(id_, number, started_at=at, summary=f"{run_id} {number}"))
    record.finish(conn, id_, "success", output={"root_cause": run_id}, now=at)
    outbox.prune(conn, (), now=at + outbox.KEPT + DAY)
    return id_


def stored(database: Database, id_: str) -> list[journal.Step]:
    return database.read_now(lambda conn: journal.steps(conn, id_))


def found(database: Database, id_: str) -> list[journal.Step]:
    return database.read_now(lambda conn: archive.steps(conn, record.get(conn, id_)))


async def test_old_journals_move_and_pages_still_show_them(database: Database) -> None:
    old = database.write_now(lambda c: ended(c, "a"))
    new = database.write_now(lambda c: ended(c, "b", NEW))
    before, shown = found(database, old), database.read_now(lambda c: page.page(c, old))
    assert await archive.move_before(database, CUTOFF) == 1
    assert (stored(database, old), found(database, old)) == ([], before)
    assert database.read_now(lambda c: page.page(c, old)) == shown
    assert len(database.read_now(lambda c: report.detail(c, old))["steps"]) == 2
    assert len(stored(database, new)) == 2
    assert await archive.move_before(database, CUTOFF) == 0


async def test_what_runs_or_waits_to_be_told_stays(database: Database) -> None:
    def fill(conn: Connection) -> tuple[str, str]:
        told_later = began(conn, run_id="told-later", now=OLD).execution_id
        journal.append(conn, step(told_later, 1))
        record.finish(conn, told_later, "success", now=OLD)
        runs = began(conn, run_id="runs", now=OLD).execution_id
        journal.append(conn, step(runs, 1))
        return told_later, runs

    kept = database.write_now(fill)
    assert await archive.move_before(database, CUTOFF) == 0
    assert [len(stored(database, id_)) for id_ in kept] == [1, 1]


async def test_a_process_that_dies_in_between_loses_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [database.write_now(lambda c, n=n: ended(c, f"run-{n}")) for n in range(3)]
    before = [found(database, id_) for id_ in ids]

    def dies(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(archive, "_forget", dies)
        with pytest.raises(RuntimeError):
            await archive.move_before(database, CUTOFF)
    assert [stored(database, id_) for id_ in ids] == before
    assert await archive.move_before(database, CUTOFF) == 3
    assert [found(database, id_) for id_ in ids] == before
    assert len(list(archive.folder().rglob("*.gz"))) == 1
    assert not list(archive.folder().rglob("*.unfinished"))


async def test_a_file_that_is_gone_or_damaged_is_told(database: Database) -> None:
    id_ = database.write_now(lambda c: ended(c, "a"))
    await archive.move_before(database, CUTOFF)
    (file,) = archive.folder().rglob("*.gz")
    for damage in (lambda: file.write_bytes(file.read_bytes()[:-9]), file.unlink):
        damage()
        with pytest.raises(archive.ArchiveError, match=file.name):
            found(database, id_)
        shown = database.read_now(lambda c: page.page(c, id_))
        assert "which can't be read" in shown
        assert "a" in shown


@pytest.mark.full
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=st.lists(st.integers(0, 60), max_size=8), batch=st.integers(1, 3))
async def test_every_step_stands_in_one_place(tmp_path: Path, days: list[int], batch: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(archive, "BATCH", batch)
        patched.setattr(archive, "folder", lambda: tmp_path / "archive")
        file = tmp_path / "record.db"
        file.unlink(missing_ok=True)
        database = Database(f"sqlite:///{file}")
        database.migrate()
        ids = [
            database.write_now(lambda c, n=n, day=day: ended(c, f"run-{n}", NOW - day * DAY, n % 3))
            for n, day in enumerate(days)
        ]
        before = [found(database, id_) for id_ in ids]
        assert await archive.move_before(database, CUTOFF) == sum(day > 30 for day in days)
        assert [found(database, id_) for id_ in ids] == before
        for id_, day in zip(ids, days, strict=True):
            assert not stored(database, id_) or day <= 30
        database.close()


def test_a_week_is_kept_at_least() -> None:
    with pytest.raises(ValueError, match="7d"):
        Retention.model_validate({"journal": "6d"})
