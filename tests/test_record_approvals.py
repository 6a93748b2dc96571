"""Approvals and actions: one decision, one who acts, each object once."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from blocks.database import Database
from tasks import actions, approvals, lease, record
from tests.record_world import MINUTE, NOW, began, new_database, new_postgres  # noqa: F401

HOUR = timedelta(hours=1)


def propose(database: Database, run_id: str = "run-1", **given: Any) -> approvals.Approval:
    """A fix for lulu that waits for a person for a day."""

    def work(conn: record.Connection) -> approvals.Approval:
        execution = began(conn, "ecm-resolve", run_id)
        values = {"subject": "lulu", "proposal": {"action": "retry"}, "expires": 24 * HOUR, "now": NOW}
        return approvals.propose(conn, execution.execution_id, **{**values, **given})

    return database.write_now(work)


def decide(
    database: Database, id: str, approve: bool = True, by: str = "ann", **given: Any
) -> approvals.Decision:
    """A person's decision, a minute after the proposal."""
    values = {"by": by, "via": "cli", "now": NOW + MINUTE, **given}
    return database.write_now(lambda c: approvals.decide(c, id, approve, **values))


def outcome(database: Database, approval: approvals.Approval) -> tuple[str | None, str | None]:
    """The execution's outcome and error."""
    execution = database.read_now(lambda c: record.get(c, approval.execution_id))
    return execution.outcome, execution.error


def test_the_first_of_fifty_decides(database: Database) -> None:
    """One wins; the others are told who did."""
    approval = propose(database)
    decisions: list[approvals.Decision] = []
    threads = [
        threading.Thread(
            target=lambda n=n: decisions.append(decide(database, approval.id, n % 2 == 0, f"p{n}"))
        )
        for n in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [decision for decision in decisions if decision.decided]
    others = [decision for decision in decisions if not decision.decided]
    assert len(others) == 49
    assert {decision.status for decision in others} == {"already_decided"}
    assert {decision.approval.decided_by for decision in others} == {winner.approval.decided_by}


def test_a_rerun_finds_its_proposal(database: Database) -> None:
    """Same execution, same subject: same id, short enough to type."""
    first = propose(database)
    assert propose(database, proposal={"action": "other"}, now=NOW + HOUR) == first
    assert len(first.id) == len("apr-7f3k2m")


def test_a_rejection_ends_the_execution(database: Database) -> None:
    """As `rejected`, with who and why; its output is the draft."""
    approval = propose(database, output={"summary": "wanted to retry"})
    assert outcome(database, approval) == (None, None)
    assert decide(database, approval.id, False, comment="not now").status == "rejected"
    assert outcome(database, approval) == ("rejected", "rejected by ann: not now")
    (row,) = database.read_now(lambda c: record.search(c, outcome="rejected"))
    assert row.output_data == {"summary": "wanted to retry"}


def test_a_decision_that_comes_too_late(database: Database) -> None:
    """Changes nothing but that the proposal is expired."""
    approval = propose(database)
    late = decide(database, approval.id, now=NOW + 24 * HOUR)
    assert (late.status, late.approval.decided_by) == ("expired", None)
    assert outcome(database, approval)[0] == "expired"
    assert decide(database, approval.id, now=NOW + 25 * HOUR).status == "expired"


def test_the_sweep_expires_what_nobody_decided(database: Database) -> None:
    """Only that, and only once."""
    old = propose(database)
    fresh = propose(database, "run-2", subject="swift", expires=48 * HOUR)
    swept = [database.write_now(lambda c: approvals.expire(c, now=NOW + 25 * HOUR)) for _ in range(2)]
    assert [[approval.id for approval in found] for found in swept] == [[old.id], []]
    assert database.read_now(lambda c: approvals.get(c, fresh.id)).status == "waiting"


def test_a_new_proposal_supersedes_the_waiting_one(database: Database) -> None:
    """For the same subject only; the older execution ends and can no longer be approved."""
    other = propose(database, "run-0", subject="swift")
    old = propose(database, "run-1")
    new = propose(database, "run-2", now=NOW + MINUTE)
    assert decide(database, old.id).status == "superseded"
    assert database.read_now(lambda c: approvals.get(c, old.id)).superseded_by == new.id
    assert outcome(database, old) == ("expired", f"superseded by {new.id}")
    waiting = database.read_now(lambda c: approvals.find(c, "ecm", ("waiting",)))
    assert [approval.id for approval in waiting] == [new.id, other.id]


def test_proposals_at_the_same_moment_leave_one_waiting(database: Database) -> None:
    """Whichever came last; none is lost, none waits besides."""
    threads = [threading.Thread(target=propose, args=(database, f"run-{n}")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = [approval.status for approval in database.read_now(approvals.find)]
    assert sorted(statuses) == ["superseded"] * 7 + ["waiting"]


def test_an_approved_fix_is_not_superseded(database: Database) -> None:
    """It is under way; the new proposal waits beside it."""
    old = propose(database, "run-1")
    decide(database, old.id)
    propose(database, "run-2")
    assert database.read_now(lambda c: approvals.get(c, old.id)).status == "approved"


def test_one_process_carries_it_out(database: Database) -> None:
    """Not before the approval; not twice; another only after the lease."""
    approval, first, second = propose(database), lease.claimant(), lease.claimant()

    def claim(owner: str, minutes: int) -> bool:
        at = NOW + minutes * MINUTE
        return database.write_now(lambda c: approvals.claim_execution(c, approval.id, owner, 10 * MINUTE, at))

    assert not claim(first, 1)
    decide(database, approval.id)
    assert claim(first, 2)
    assert not claim(second, 3)
    assert claim(second, 12)
    assert not database.write_now(lambda c: approvals.extend(c, approval.id, first, HOUR))
    assert not database.write_now(lambda c: approvals.finish(c, approval.id, first, "done"))
    result = {"retried": 60, "left": 8}
    assert database.write_now(lambda c: approvals.finish(c, approval.id, second, "stopped", result=result))
    kept = database.read_now(lambda c: approvals.get(c, approval.id))
    assert (kept.status, kept.result) == ("stopped", result)
    assert not claim(first, 60)


def test_an_object_is_acted_on_once(database: Database) -> None:
    """Done by one proposal, it is skipped by the next, which says why."""
    first, second = propose(database, "run-1"), propose(database, "run-2")
    for approval in (first, second):
        database.write_now(
            lambda c, a=approval: actions.plan(c, a.id, "retry", {"o1@t": {"id": 1}, "o2@t": {}})
        )
    begun = database.write_now(lambda c: actions.begin(c, first.id, "retry", "o1@t"))
    assert begun
    assert begun.request == {"id": 1}
    assert database.write_now(lambda c: actions.begin(c, second.id, "retry", "o1@t")) is None
    database.write_now(lambda c: actions.finish(c, begun, "done", response={"status": 200}))
    assert database.write_now(lambda c: actions.begin(c, first.id, "retry", "o1@t")) is None
    assert database.read_now(lambda c: actions.taken(c, "retry", ["o1@t", "o2@t"])) == {"o1@t"}
    skipped = database.read_now(lambda c: actions.of_approval(c, second.id))[0]
    assert (skipped.status, skipped.response) == ("skipped", {"reason": f"already taken by {first.id}"})
    assert database.read_now(lambda c: actions.counts(c, second.id)) == {"skipped": 1, "pending": 1}


def test_one_of_many_acts_on_an_object(database: Database) -> None:
    """Eight approved proposals, at the same moment."""
    ids = [propose(database, f"run-{n}").id for n in range(8)]
    begun: list[Any] = []

    def act(id: str) -> None:
        database.write_now(lambda c: actions.plan(c, id, "retry", {"o1@t": {}}))
        begun.append(database.write_now(lambda c: actions.begin(c, id, "retry", "o1@t")))

    threads = [threading.Thread(target=act, args=(id,)) for id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 8
    assert len([action for action in begun if action]) == 1


@pytest.mark.parametrize(("ending", "same_key"), [("failed", False), ("unknown", True), (None, True)])
def test_the_idempotency_key_of_a_second_attempt(
    database: Database, ending: actions.Ending | None, same_key: bool
) -> None:
    """New after a clear no; the same while nobody knows whether the first attempt got through."""
    first, second = propose(database, "run-1"), propose(database, "run-2")
    for approval in (first, second):
        database.write_now(lambda c, a=approval: actions.plan(c, a.id, "retry", {"o1@t": {}}))
    before = database.write_now(lambda c: actions.begin(c, first.id, "retry", "o1@t"))
    assert before
    if ending:
        database.write_now(lambda c: actions.finish(c, before, ending))
    after = database.write_now(lambda c: actions.begin(c, first.id, "retry", "o1@t"))
    assert after
    assert (after.idempotency_key == before.idempotency_key) == same_key
    assert after.attempts == 2
    database.write_now(lambda c: actions.finish(c, after, "failed"))
    theirs = database.write_now(lambda c: actions.begin(c, second.id, "retry", "o1@t"))
    assert theirs
    assert theirs.idempotency_key not in (before.idempotency_key, after.idempotency_key)


def test_unknown_approvals_are_named(database: Database) -> None:
    """Whoever types a wrong id is told where to look."""
    with pytest.raises(approvals.UnknownApproval, match=r"'apr-nope'.*aspora approvals"):
        decide(database, "apr-nope")


def test_no_number_of_proposals_hides_one(database: Database) -> None:
    """All of a run, all that wait, and all that a new one took the place of."""

    def fill(conn: record.Connection) -> str:
        execution = began(conn, "ecm-resolve", "run-1")
        for number in range(120):
            subject, at = f"stage-{number}", NOW + number * MINUTE
            approvals.propose(
                conn, execution.execution_id, subject=subject, proposal={}, expires=24 * HOUR, now=at
            )
        return execution.execution_id

    database.write_now(fill)
    newer = propose(database, "run-2", subject="stage-0", now=NOW + 3 * HOUR)
    of_run = database.read_now(lambda conn: approvals.of_run(conn, "run-1"))
    assert [each.subject for each in of_run] == [f"stage-{number}" for number in reversed(range(120))]
    assert len(database.read_now(lambda conn: approvals.standing(conn, "waiting"))) == 120
    (older,) = database.read_now(lambda conn: approvals.superseded(conn, newer.id))
    assert older == of_run[-1]


def test_only_those_that_are_due_are_read(database: Database) -> None:
    """Reminders count from the last one, escalation from the beginning and once, neither after the end."""
    first, second = propose(database), propose(database, "run-2", subject="swift", now=NOW + HOUR)
    propose(database, "run-3", subject="fedwire", expires=HOUR)

    def due(remind: timedelta | None, escalate: timedelta | None) -> set[str]:
        at = NOW + 2 * HOUR
        before = {
            "reminded_before": at - remind if remind else None,
            "created_before": at - escalate if escalate else None,
        }
        return {each.id for each in database.read_now(lambda c: approvals.uncalled(c, "ecm", at, **before))}

    assert due(None, None) == set()
    assert due(HOUR, None) == {first.id, second.id}
    assert due(None, 2 * HOUR) == {first.id}
    database.write_now(lambda conn: approvals.remind(conn, first, NOW + 90 * MINUTE))
    database.write_now(lambda conn: approvals.escalate(conn, first, NOW + 90 * MINUTE))
    assert due(HOUR, None) == {second.id}
    assert due(None, 2 * HOUR) == set()
    assert [database.read_now(lambda c, h=h: approvals.overdue(c, NOW + h * MINUTE)) for h in (59, 60)] == [
        False,
        True,
    ]
