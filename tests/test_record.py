"""The record: executions, journal, handoffs, corrections, memory, kill switches, on both databases."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from blocks.database import Database, DatabaseError
from tasks import controls, corrections, handoffs, ids, incidents, journal, record, spend
from tests.record_world import MINUTE, NOW, began, new_database, new_postgres, step  # noqa: F401


def test_the_same_work_is_the_same_execution(database: Database) -> None:
    """A rerun after a crash finds its execution, whatever the time is by then."""
    first = database.write_now(lambda c: began(c, handoff="a/lulu"))
    again = database.write_now(lambda c: began(c, handoff="a/lulu", now=NOW + MINUTE))
    other = database.write_now(lambda c: began(c, handoff="a/swift"))
    assert again == first
    assert other.execution_id != first.execution_id
    assert first.execution_id.startswith("ecm-diagnose-2026-02-17-08:05:32-")
    assert len(first.execution_id.rpartition("-")[2]) == 4


def test_an_id_that_is_taken_gets_more_digits(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two executions whose short ids are equal both get a row."""
    monkeypatch.setattr(ids, "stamped", lambda name, at, seed: iter([f"{name}-same", f"{name}-{seed}"]))
    first = database.write_now(lambda c: began(c, handoff="a"))
    second = database.write_now(lambda c: began(c, handoff="b"))
    assert first.execution_id == "ecm-diagnose-same"
    assert second.execution_id == f"ecm-diagnose-{second.key}"


def test_threads_that_begin_the_same_execution_share_one_row(database: Database) -> None:
    """Eight at once: one row, one id."""
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(database.write_now(began).execution_id))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_an_outcome_is_recorded_once(database: Database) -> None:
    """The second outcome is refused, by the function and by the database itself."""
    execution = database.write_now(began)
    assert database.write_now(lambda c: record.finish(c, execution.execution_id, "success", output={"a": 1}))
    assert not database.write_now(lambda c: record.finish(c, execution.execution_id, "error", error="late"))
    with pytest.raises(DatabaseError, match=r"recorded once"):
        database.write_now(lambda c: c.execute(text("UPDATE executions SET outcome = 'error'")))
    with pytest.raises(DatabaseError, match=r"never deleted"):
        database.write_now(lambda c: c.execute(text("DELETE FROM executions")))
    kept = database.read_now(lambda c: record.get(c, execution.execution_id))
    assert (kept.outcome, kept.output_data, kept.error) == ("success", {"a": 1}, None)


def test_finishing_sums_the_journal_and_the_spend(database: Database) -> None:
    """Times, tokens and cost come from what was recorded, a lost turn's reservation included."""
    execution = database.write_now(began)
    id_ = execution.execution_id

    def work(conn: record.Connection) -> None:
        reserve = {"domain": "ecm", "execution_id": id_, "budgets": spend.Budgets(), "now": NOW}
        spend.reserve(conn, sequence=1, micro=700, **reserve)
        reservation = spend.reserve(conn, sequence=1, micro=900, **reserve)
        tokens = {"input": 100, "output": 20, "cache_read": 5, "cache_write": 0}
        turn = step(id_, 1, kind="model", call=None, seconds=2.0, tokens=tokens, cost_micro=400)
        assert journal.append(conn, turn, reservation)
        assert journal.append(conn, step(id_, 2))
        assert not journal.append(conn, step(id_, 2, summary="another process's"))
        record.finish(conn, id_, "success", now=NOW + MINUTE)

    database.write_now(work)
    kept = database.read_now(lambda c: record.get(c, id_))
    assert (kept.model_seconds, kept.tool_seconds, kept.latency_seconds) == (2.0, 0.5, 60.0)
    assert (kept.input_tokens, kept.output_tokens, kept.cache_read_tokens) == (100, 20, 5)
    assert kept.cost_micro == 1100
    steps = database.read_now(lambda c: journal.steps(c, id_))
    assert [(s.sequence, s.summary) for s in steps] == [(1, "nothing found"), (2, "nothing found")]


def test_a_step_that_cost_money_needs_its_reservation(database: Database) -> None:
    """Money can't be spent past the budgets by forgetting to reserve."""
    execution = database.write_now(began)
    with pytest.raises(ValueError, match=r"not reserved"):
        database.write_now(lambda c: journal.append(c, step(execution.execution_id, 1, cost_micro=5)))


def test_a_correction_stands_beside_the_record(database: Database) -> None:
    """The view shows the newest one; the execution's own row keeps its outcome."""
    id_ = database.write_now(began).execution_id
    with pytest.raises(corrections.Unfinished):
        database.write_now(lambda c: corrections.add(c, id_, {"x": 1}, by="ann", via="cli"))
    database.write_now(lambda c: record.finish(c, id_, "success"))
    for cause in ("timeout", "rate limit"):
        said = {"actual_root_cause": cause}
        database.write_now(lambda c, said=said: corrections.add(c, id_, said, by="ann", via="cli"))
    shown = database.read_now(lambda c: record.search(c, outcome="user_corrected"))
    assert [(row.execution_id, row.user_correction) for row in shown] == [
        (id_, {"actual_root_cause": "rate limit"})
    ]
    assert database.read_now(lambda c: record.get(c, id_)).outcome == "success"
    assert len(database.read_now(lambda c: corrections.of_execution(c, id_))) == 2
    for change in ("UPDATE corrections SET corrected_by = 'eve'", "DELETE FROM corrections"):
        with pytest.raises(DatabaseError, match=r"append-only"):
            database.write_now(lambda c, change=change: c.execute(text(change)))


def test_handoffs_are_recorded_once_and_lead_on(database: Database) -> None:
    """A rerun's routing changes nothing; the receiver is noted."""

    def work(conn: record.Connection) -> list[handoffs.Handoff]:
        manager = began(conn, "ecm-triage")
        given = {"run_id": "ecm-run", "from_execution_id": manager.execution_id, "from_skill": "ecm-triage"}
        handoff = handoffs.Handoff(**given, to_skill="ecm-diagnose", pattern_key="lulu", context={"n": 1})
        assert handoffs.add(conn, handoff)
        assert not handoffs.add(conn, handoff)
        assert handoffs.add(conn, handoffs.Handoff(**given, to_skill=handoffs.NONE, pattern_key="swift"))
        receiver = began(conn, handoff=handoff.key)
        handoffs.lead(conn, handoff, receiver.execution_id)
        return handoffs.of_run(conn, "ecm-run")

    first, second = database.write_now(work)
    assert (first.to_skill, first.context) == ("ecm-diagnose", {"n": 1})
    assert first.to_execution_id
    assert (second.to_skill, second.to_execution_id) == ("none", None)


def test_a_resolved_incident_is_remembered_once(database: Database) -> None:
    """By its execution; imported ones are replaced by their source."""
    id_ = database.write_now(began).execution_id
    given = {"domain": "ecm", "stage": "lulu", "title": "Rate limit", "opened_at": NOW}
    mine = incidents.Incident(**given, source="ecm-resolve", execution_id=id_)
    database.write_now(lambda c: incidents.remember(c, mine))
    database.write_now(lambda c: incidents.remember(c, mine.model_copy(update={"fix": "waited"})))
    imported = [incidents.Incident(**given, source="x"), incidents.Incident(**given, source="x")]
    for _ in range(2):
        database.write_now(lambda c: incidents.replace(c, "wiki", imported))
    found = database.read_now(lambda c: incidents.find(c, "ecm", "lulu"))
    assert sorted((one.source, one.fix) for one in found) == [
        ("ecm-resolve", "waited"),
        ("wiki", ""),
        ("wiki", ""),
    ]


def test_kill_switches(database: Database) -> None:
    """The first that is off tells who turned it off and why."""
    names = (controls.domain("ecm"), controls.ALL_ACTIONS)
    assert database.read_now(lambda c: controls.stopped(c, *names)) is None
    database.write_now(lambda c: controls.stop(c, controls.ALL_ACTIONS, by="ann", reason="night"))
    off = database.read_now(lambda c: controls.stopped(c, *names))
    assert off
    assert (off.name, off.changed_by, off.reason) == ("actions", "ann", "night")
    database.write_now(lambda c: controls.start(c, controls.ALL_ACTIONS, by="bob"))
    assert database.read_now(lambda c: controls.stopped(c, *names)) is None
    assert [control.changed_by for control in database.read_now(controls.every)] == ["bob"]


def test_the_last_run_is_found(database: Database) -> None:
    """For what changed since: the newest answer of another run."""

    def work(conn: record.Connection) -> record.Execution | None:
        for number, outcome in enumerate(("success", "success", "error")):
            run = began(conn, "ecm-triage", f"run-{number}", now=NOW + number * MINUTE)
            record.finish(conn, run.execution_id, outcome)  # type: ignore[arg-type]
        began(conn, "ecm-triage", "run-now", now=NOW + 9 * MINUTE)
        return record.latest(conn, "ecm-triage", not_run="run-1")

    found = database.write_now(work)
    assert found
    assert found.run_id == "run-0"


def test_unknown_ids_are_named(database: Database) -> None:
    """Whoever asks for what isn't there is told where to look."""
    with pytest.raises(record.UnknownExecution, match=r"'nope'.*aspora executions"):
        database.read_now(lambda c: record.get(c, "nope"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON, words=st.text(st.characters(codec=None), max_size=20), number=st.uuids())
def test_any_tool_output_can_be_recorded(
    database: Database, value: object, words: str, number: object
) -> None:
    """NUL, lone surrogates, NaN, infinities: stored, and the view still reads as JSON."""

    def work(conn: record.Connection) -> list[record.SkillExecution]:
        id_ = began(conn, handoff=str(number), input_data={"v": value, "w": words}).execution_id
        journal.append(conn, step(id_, 1, input={"v": value}, output=value, summary=words))
        record.finish(conn, id_, "error", error=words, trace=words, output={words: value})
        return [row for row in record.search(conn, limit=1000) if row.execution_id == id_]

    (row,) = database.write_now(work)
    assert row.tool_calls[0]["tool"] == "search_runbooks"
    assert set(row.input_data) == {"v", "w"}


def test_latency_leaves_out_waiting_for_people(database: Database) -> None:
    """Asked after a minute, decided and begun after an hour, done a minute later: two minutes."""
    from tasks import approvals

    def work(conn: record.Connection) -> float | None:
        id_ = began(conn, "ecm-resolve").execution_id
        asked = approvals.propose(
            conn, id_, subject="lulu", proposal={}, expires=timedelta(days=1), now=NOW + MINUTE
        )
        later = NOW + timedelta(hours=1)
        approvals.decide(conn, asked.id, True, by="ann", via="cli", now=later)
        assert approvals.claim_execution(conn, asked.id, "me", MINUTE, now=later + MINUTE)
        record.finish(conn, id_, "success", now=later + 2 * MINUTE)
        return record.get(conn, id_).latency_seconds

    assert database.write_now(work) == 120.0
