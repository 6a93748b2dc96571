"""The inbox: a trigger is taken once, however often it comes and whoever wants it."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from blocks.database import Database
from tasks import inbox, lease
from tests.record_world import MINUTE, NOW, new_database, new_postgres  # noqa: F401

HOUR = timedelta(hours=1)


def accept(database: Database, key: str = "alert-1", domain: str = "ecm") -> inbox.Trigger:
    """A trigger in the inbox."""
    return database.write_now(lambda c: inbox.accept(c, "webhook", domain, key, {"key": key}, now=NOW))


def test_the_same_message_twice_is_one_run(database: Database) -> None:
    """The second is answered with the first, payload and run id unchanged."""
    first = accept(database)
    again = database.write_now(lambda c: inbox.accept(c, "slack", "fraud", "alert-1", now=NOW + HOUR))
    assert again == first
    assert first.run_id.startswith("ecm-2026-02-17-08:05:32-")
    assert database.read_now(lambda c: inbox.get(c, first.run_id)) == first
    assert accept(database, "alert-2").run_id != first.run_id


def test_one_of_many_claims_it(database: Database) -> None:
    """Twenty threads, one winner."""
    trigger = accept(database)
    won: list[str] = []

    def work() -> None:
        owner = lease.claimant()
        if database.write_now(lambda c: inbox.claim(c, trigger.id, owner, HOUR)):
            won.append(owner)

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = database.read_now(lambda c: inbox.get(c, trigger.id))
    assert (won, kept.attempts) == ([kept.claimed_by], 1)


def test_a_lease_that_ran_out_is_taken_over(database: Database) -> None:
    """Heartbeats keep it; without them another takes it, and the first one's word no longer counts."""
    trigger, first, second = accept(database), lease.claimant(), lease.claimant()

    def claim(owner: str, minutes: int) -> bool:
        return database.write_now(
            lambda c: inbox.claim(c, trigger.id, owner, HOUR, now=NOW + minutes * MINUTE)
        )

    assert claim(first, 0)
    assert database.write_now(lambda c: inbox.extend(c, trigger.id, first, HOUR, now=NOW + 30 * MINUTE))
    assert not claim(second, 61)
    assert claim(second, 91)
    assert not database.write_now(lambda c: inbox.extend(c, trigger.id, first, HOUR))
    assert not database.write_now(lambda c: inbox.finish(c, trigger.id, first, "failed"))
    assert database.write_now(lambda c: inbox.finish(c, trigger.id, second, "done", result="no_action"))
    assert not claim(first, 300)
    kept = database.read_now(lambda c: inbox.get(c, trigger.id))
    assert (kept.state, kept.result, kept.attempts) == ("done", "no_action", 2)


def test_what_guardrails_count(database: Database) -> None:
    """Runs under way, and runs begun in a window, by domain and over all."""
    for key, domain in (("1", "ecm"), ("2", "ecm"), ("3", "fraud")):
        trigger = accept(database, key, domain)
        owner = lease.claimant()
        database.write_now(lambda c, t=trigger, o=owner: inbox.claim(c, t.id, o, HOUR, now=NOW))
        if key == "2":
            database.write_now(lambda c, t=trigger, o=owner: inbox.finish(c, t.id, o, "done"))
    accept(database, "4")

    def count(domain: str = "", minutes: int = 0) -> tuple[int, int]:
        at = NOW + minutes * MINUTE
        return database.read_now(
            lambda c: (inbox.running(c, domain, at), inbox.started_since(c, at - HOUR, domain))
        )

    assert count() == (2, 3)
    assert count("ecm") == (1, 2)
    assert count("ecm", minutes=59) == (1, 2)
    assert count("ecm", minutes=61) == (0, 0)


def test_a_limit_holds_when_counting_and_claiming_are_one_step(database: Database) -> None:
    """Ten threads want to run, at most three may."""
    triggers = [accept(database, str(n)) for n in range(10)]

    def admit(trigger: inbox.Trigger) -> None:
        def work(conn: inbox.Connection) -> None:
            inbox.serialise(conn)
            if inbox.running(conn) < 3:
                inbox.claim(conn, trigger.id, lease.claimant(), HOUR)

        database.write_now(work)

    threads = [threading.Thread(target=admit, args=(trigger,)) for trigger in triggers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.read_now(inbox.running) == 3


def test_refusing_reopening_concluding(database: Database) -> None:
    """A refused trigger may be replayed under the same run; a decision replaces `awaiting_approval`."""
    trigger, owner = accept(database), lease.claimant()
    assert database.write_now(lambda c: inbox.refuse(c, trigger.id, "budget"))
    assert not database.write_now(lambda c: inbox.claim(c, trigger.id, owner, HOUR))
    assert database.write_now(lambda c: inbox.reopen(c, trigger.id))
    assert database.write_now(lambda c: inbox.claim(c, trigger.id, owner, HOUR))
    assert not database.write_now(lambda c: inbox.refuse(c, trigger.id, "late"))
    assert not database.write_now(lambda c: inbox.reopen(c, trigger.id))
    database.write_now(lambda c: inbox.finish(c, trigger.id, owner, "done", result="awaiting_approval"))
    database.write_now(lambda c: inbox.conclude(c, trigger.run_id, "completed"))
    kept = database.read_now(lambda c: inbox.get(c, trigger.id))
    assert (kept.run_id, kept.result) == (trigger.run_id, "completed")
    assert [t.id for t in database.read_now(lambda c: inbox.find(c, "ecm", ("done",)))] == [trigger.id]
    with pytest.raises(inbox.UnknownTrigger, match=r"'nope'"):
        database.read_now(lambda c: inbox.get(c, "nope"))
