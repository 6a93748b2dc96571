"""The journal survives what kills the process, and its claim can be taken over at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import timedelta
from pathlib import Path

from blocks.database import Database
from tasks import inbox, journal, lease, record, spend
from tests.record_world import began, new_database, new_postgres, step  # noqa: F401

HOUR = timedelta(hours=1)


def run_and_die(url: str) -> None:
    """Claims the trigger, journals a turn and a call, and is killed in the middle of the next turn."""
    database = Database(url)
    database.write_now(_half)

    def never_committed(conn: record.Connection) -> None:
        execution = began(conn, run_id=inbox.find(conn)[0].run_id)
        journal.append(conn, step(execution.execution_id, 3))
        os.kill(os.getpid(), signal.SIGKILL)

    database.write_now(never_committed)


def _half(conn: record.Connection) -> None:
    trigger = inbox.find(conn)[0]
    assert inbox.claim(conn, trigger.id, lease.claimant(), HOUR)
    id_ = began(conn, run_id=trigger.run_id).execution_id
    given = {"domain": "ecm", "execution_id": id_, "budgets": spend.Budgets()}
    paid = spend.reserve(conn, sequence=1, micro=500, **given)
    journal.append(conn, step(id_, 1, kind="model", call=None, cost_micro=300), paid)
    journal.append(conn, step(id_, 2))
    spend.reserve(conn, sequence=3, micro=500, **given)


def test_a_killed_run_continues_from_its_journal(database: Database) -> None:
    """What was done is there, what was in flight is counted, and the next process needn't wait."""
    trigger = database.write_now(lambda c: inbox.accept(c, "cli", "ecm", "once"))
    url = database._url.render_as_string(hide_password=False)
    process = multiprocessing.get_context("spawn").Process(target=run_and_die, args=(url,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL

    assert database.read_now(lambda c: inbox.get(c, trigger.id)).state == "running"
    assert database.read_now(inbox.running) == 0
    owner = lease.claimant()
    assert database.write_now(lambda c: inbox.claim(c, trigger.id, owner, HOUR))
    id_ = database.write_now(lambda c: began(c, run_id=trigger.run_id)).execution_id
    assert [s.sequence for s in database.read_now(lambda c: journal.steps(c, id_))] == [1, 2]

    def rest(conn: record.Connection) -> None:
        given = {"domain": "ecm", "execution_id": id_, "budgets": spend.Budgets()}
        paid = spend.reserve(conn, sequence=3, micro=500, **given)
        journal.append(conn, step(id_, 3, kind="model", call=None, cost_micro=100), paid)
        record.finish(conn, id_, "success")

    database.write_now(rest)
    assert database.read_now(lambda c: record.get(c, id_)).cost_micro == 300 + 500 + 100


def test_owners() -> None:
    """This process lives; one of another start time or host is told apart."""
    mine = lease.claimant()
    host, pid, started, _ = mine.split(":")
    assert mine != lease.claimant()
    assert not lease.is_gone(mine)
    assert lease.is_gone(f"{host}:{pid}:{int(started) + 1}:1")
    assert not lease.is_gone(f"elsewhere:{pid}:1:1")
    assert not lease.is_gone("nonsense")


def dead_owner(path: str) -> None:
    """Leaves this process's name behind."""
    Path(path).write_text(lease.claimant())


def test_an_ended_process_is_gone(tmp_path: Path) -> None:
    """A real one, that really ended."""
    process = multiprocessing.get_context("spawn").Process(target=dead_owner, args=(str(tmp_path / "o"),))
    process.start()
    process.join()
    assert lease.is_gone((tmp_path / "o").read_text())
