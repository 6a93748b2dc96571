"""The database itself: migrations, transactions, and what it says when it can't be used."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import anyio
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, Connection, inspect, text

from blocks import database as database_module
from blocks.database import Database, DatabaseError
from blocks.migrations import HEAD
from blocks.migrations.upgrade import alembic_config
from blocks.schema import TRIGGER_STATES, metadata
from tasks import controls, inbox, record
from tests.record_world import NOW, began, new_database, new_postgres  # noqa: F401


def test_the_migrations_make_the_schema(database: Database) -> None:
    """Tables, columns, types, indexes and checks are those of `blocks.schema`."""

    def differences(conn: inbox.Connection) -> list[object]:
        context = MigrationContext.configure(
            conn, opts={"compare_type": True, "compare_server_default": False}
        )
        found: list[object] = list(compare_metadata(context, metadata))
        for table in metadata.tables.values():
            wanted = {str(c.name) for c in table.constraints if isinstance(c, CheckConstraint)}
            made = {str(check["name"]) for check in inspect(conn).get_check_constraints(table.name)}
            found += sorted(wanted ^ made)
        return found

    assert database.read_now(differences) == []


def test_head_is_the_newest_migration() -> None:
    """What `migrate` compares with."""
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == HEAD


def test_nothing_is_imported_to_see_that_all_is_current(tmp_path: Path) -> None:
    """Alembic costs start-up time."""
    url = f"sqlite:///{tmp_path}/record.db"
    Database(url).migrate()
    script = (
        "import sys; from blocks.database import Database; "
        f"Database({url!r}).migrate(); print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def migrate(url: str) -> None:
    """In a process of its own."""
    Database(url).migrate()


@pytest.mark.full
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_processes_that_start_together_migrate_once(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Three processes on an empty database: all succeed."""
    url = f"sqlite:///{tmp_path}/record.db"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres_url")
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=migrate, args=(url,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_of_the_release_before_is_upgraded_and_keeps_its_rows(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    """Rows, their values, unique keys; and the states that are new are taken."""
    url = f"sqlite:///{tmp_path}/record.db"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres_url")
    database = Database(url)
    database.write_now(lambda c: command.upgrade(alembic_config(c), "0002"))
    insert = text(
        "INSERT INTO triggers (id, source, domain, dedupe_key, payload, run_id, state, result, reason, "
        "attempts, created_at, finished_at) VALUES ('trg-1', 'run', 'ecm', 'key', :payload, 'ecm-1', 'done', "
        "'completed', 'fixed', 2, :at, :at)"
    )
    given = {"payload": '{"stage": "lulu"}', "at": "2026-02-17 08:05:32.000005"}
    database.write_now(lambda c: c.execute(insert, given))
    database.migrate()
    kept = database.read_now(lambda c: inbox.get(c, "trg-1"))
    assert (kept.payload, kept.result, kept.reason) == ({"stage": "lulu"}, "completed", "fixed")
    assert (kept.attempts, kept.created_at) == (2, NOW + timedelta(microseconds=5))
    assert (kept.received, kept.incident, kept.dispatches) == (None, "", 0)
    again = database.write_now(lambda c: inbox.accept(c, "run", "ecm", "key"))
    assert again == kept
    for state in TRIGGER_STATES:
        change = metadata.tables["triggers"].update().values(state=state)
        database.write_now(lambda c, change=change: c.execute(change))
    with pytest.raises(DatabaseError, match="ck_triggers_state"):
        database.write_now(lambda c: c.execute(metadata.tables["triggers"].update().values(state="asleep")))


def test_a_database_without_checks_is_upgraded_too(postgres_url: str) -> None:
    """Those of the first days had none."""
    database = Database(postgres_url)
    database.write_now(lambda c: command.upgrade(alembic_config(c), "0002"))
    database.write_now(lambda c: c.execute(text("ALTER TABLE triggers DROP CONSTRAINT ck_triggers_state")))
    database.migrate()
    with pytest.raises(DatabaseError, match="ck_triggers_state"):
        database.write_now(
            lambda c: c.execute(
                text(
                    "INSERT INTO triggers (id, source, domain, dedupe_key, run_id, state, created_at) "
                    "VALUES ('trg-1', 'run', 'ecm', 'key', 'ecm-1', 'asleep', now())"
                )
            )
        )


def test_a_newer_database_is_refused(database: Database) -> None:
    """With what to do."""
    database.write_now(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(DatabaseError, match=r"another version of Aspora.*update this checkout"):
        database.migrate()


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    """All of it or none."""

    def work(conn: inbox.Connection) -> None:
        inbox.accept(conn, "cli", "ecm", "half")
        raise KeyError("half")

    with pytest.raises(KeyError):
        database.write_now(work)
    assert database.read_now(inbox.find) == []


def test_closing_waits_for_the_transaction_under_way(tmp_path: Path) -> None:
    """What one part of a process writes stands, whoever closes the database meanwhile."""
    url, inside = f"sqlite:///{tmp_path}/record.db", threading.Event()
    database = Database(url)
    database.migrate()

    def work(conn: Connection) -> None:
        inbox.accept(conn, "cli", "ecm", "kept")
        inside.set()
        time.sleep(0.2)

    with ThreadPoolExecutor(1) as threads:
        written = threads.submit(database.write_now, work)
        assert inside.wait(10)
        Database(url).close()
        written.result()
    assert len(database.read_now(inbox.find)) == 1


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_writing_goes_on_after_a_transaction_that_was_cut_off(
    database: Database, failure: type[BaseException]
) -> None:
    """Nothing of it stands, and the next one is a transaction of its own."""

    def cut_off(conn: Connection) -> None:
        began(conn)
        raise failure

    with pytest.raises(failure):
        database.write_now(cut_off)
    execution = database.write_now(lambda conn: began(conn, handoff="after"))
    assert database.read_now(lambda conn: [each.key for each in record.of_run(conn, execution.run_id)]) == [
        execution.key
    ]


def test_reading_changes_nothing(database: Database) -> None:
    """A write inside `read` is refused or dropped."""
    try:
        database.read_now(lambda c: controls.stop(c, "actions", by="ann"))
    except DatabaseError as error:
        assert "read-only" in str(error)
    assert database.read_now(controls.every) == []


async def test_many_at_once_from_async_code(database: Database) -> None:
    """Fifty writers and readers in one event loop."""

    async def work(number: int) -> None:
        await database.write(lambda c: inbox.accept(c, "cli", "ecm", str(number)))
        assert await database.read(inbox.find)

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(work, number)
    assert len(await database.read(inbox.find)) == 50


def test_times_are_utc(database: Database) -> None:
    """Any zone in, UTC out; SQLite's text compares with its own clock; naive times are refused."""
    kathmandu = datetime(2026, 2, 17, 13, 50, 32, 5, timezone(timedelta(hours=5, minutes=45)))
    trigger = database.write_now(lambda c: inbox.accept(c, "cli", "ecm", "t", now=kathmandu))
    assert trigger.created_at == NOW + timedelta(microseconds=5)
    assert trigger.created_at.utcoffset() == timedelta(0)
    if database._sqlite:
        stored = "SELECT cast(created_at AS text) FROM triggers"
        assert database.read_now(lambda c: c.execute(text(stored)).scalar()) == "2026-02-17 08:05:32.000005"
    naive = datetime(2026, 2, 17)
    with pytest.raises(Exception, match=r"no time zone"):
        database.write_now(lambda c: c.execute(metadata.tables["triggers"].update().values(created_at=naive)))


def test_a_locked_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the busy timeout; later it works again."""
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.1)
    database = Database(f"sqlite:///{tmp_path}/record.db")
    database.migrate()
    other = sqlite3.connect(tmp_path / "record.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseError, match=r"record\.db.*another process holds its lock"):
        database.write_now(began)
    assert database.read_now(controls.every) == []
    other.execute("ROLLBACK")
    assert database.write_now(began)


def test_a_full_disk_says_so(tmp_path: Path) -> None:
    """What was there stays readable."""
    database = Database(f"sqlite:///{tmp_path}/record.db")
    database.migrate()

    def fill(conn: inbox.Connection) -> None:
        pages = conn.execute(text("PRAGMA page_count")).scalar_one()
        conn.execute(text(f"PRAGMA max_page_count = {pages}"))
        inbox.accept(conn, "cli", "ecm", "big", "x" * 1_000_000)

    with pytest.raises(DatabaseError, match=r"the disk is full; free some space"):
        database.write_now(fill)
    assert database.read_now(inbox.find) == []


def test_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    """No database; a directory that is a file."""
    (tmp_path / "no.db").write_text("this is no database, only words " * 50)
    with pytest.raises(DatabaseError, match=r"it is no SQLite database"):
        Database(f"sqlite:///{tmp_path}/no.db").migrate()
    with pytest.raises(DatabaseError, match=r"can't be created"):
        Database(f"sqlite:///{tmp_path}/no.db/record.db").migrate()
    with pytest.raises(DatabaseError, match=r"tables are missing"):
        Database(f"sqlite:///{tmp_path}/empty.db").read_now(inbox.find)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "can't be read"),
        ("mysql://user:hush@host/db", "mysql is no platform database"),
        ("sqlite://", "needs a file"),
        ("postgresql://user:hush@127.0.0.1:9/db", "the database db on 127.0.0.1.*can't be reached"),
    ],
)
def test_errors_hold_no_credentials(url: str, words: str) -> None:
    """They name the place and the remedy."""
    with pytest.raises(DatabaseError, match=words) as error:
        Database(url).migrate()
    assert "hush" not in str(error.value)


def test_a_file_that_was_replaced_is_another_database(tmp_path: Path) -> None:
    """As after a backup was restored under a process that goes on."""
    file = tmp_path / "record.db"
    database = Database(f"sqlite:///{file}")
    database.migrate()
    database.write_now(lambda c: c.execute(text("CREATE TABLE mine (id INTEGER)")))
    for each in tmp_path.glob("record.db*"):
        each.unlink()
    database.migrate()
    tables = database.read_now(lambda c: set(inspect(c).get_table_names()))
    assert "executions" in tables
    assert "mine" not in tables
