"""What people say about executions: kept, never overwritten, counted, taken back; on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from blocks.database import Database
from tasks import claims, corrections, incidents, record, tally
from tests.record_world import NOW, began, new_database, new_postgres  # noqa: F401

CAUSE = {"actual_root_cause": "Lulu rate limit, 429 answers"}
ALIKE = {"actual_root_cause": "Lulu throttled us, too many requests"}
OTHER = {"actual_root_cause": "the client certificate had expired"}
EVIDENCE = [
    {
        "tool_call": 1,
        "source": "logs",
        "finding": "ERROR: “payout refused: busy” in lulu-gateway",
        "quote": "",
    },
    {"tool_call": 2, "source": "runbook", "finding": "outage.md describes it", "quote": ""},
]


def ended(
    conn: Connection, run_id: str = "ecm-run", outcome: record.Outcome = "success", **given: Any
) -> str:
    id_ = began(conn, run_id=run_id, pattern_key="lulu", **given).execution_id
    output = {"root_cause": "Lulu outage", "evidence": EVIDENCE}
    record.finish(conn, id_, outcome, output=output)
    return id_


def say(database: Database, id_: str, what: str, *arguments: Any, by: str, **given: Any) -> Any:
    given = {"via": "cli", **given}
    return database.write_now(lambda c: getattr(corrections, what)(c, id_, *arguments, by=by, **given))


def shown(database: Database, id_: str) -> tuple[str, Any]:
    row = database.read_now(lambda c: record.view(c, id_))
    assert row is not None
    return row.outcome, row.user_correction


def remembered(database: Database) -> list[incidents.Incident]:
    return database.read_now(lambda c: incidents.find(c, "ecm"))


def test_the_newest_correction_that_stands_is_shown(database: Database) -> None:
    id_ = database.write_now(ended)
    assert shown(database, id_) == ("success", None)
    say(database, id_, "add", CAUSE, by="ann")
    say(database, id_, "add", OTHER, by="bob")
    assert shown(database, id_) == ("user_corrected", OTHER)
    say(database, id_, "withdraw", by="Bob")
    assert shown(database, id_) == ("user_corrected", CAUSE)
    say(database, id_, "withdraw", by="ann")
    assert shown(database, id_) == ("success", None)
    kinds = [each.kind for each in database.read_now(lambda c: corrections.of_execution(c, id_))]
    assert kinds == ["correction", "correction", "withdrawal", "withdrawal"]
    with pytest.raises(corrections.NothingSaid, match="nothing that ann said"):
        say(database, id_, "withdraw", by="ann")


def test_counters_count_corrections_and_telemetry_hears_of_all(database: Database) -> None:
    id_ = database.write_now(ended)
    say(database, id_, "add", CAUSE, by="ann")
    say(database, id_, "add", CAUSE, by=" ANN ")
    say(database, id_, "confirm", by="bob")
    say(database, id_, "withdraw", by="ann")
    counted = database.read_now(lambda c: c.execute(text("SELECT name, value FROM counters")).all())
    assert [tuple(row) for row in counted] == [(tally.CORRECTIONS, 1)]
    told = text("SELECT subject FROM outbox WHERE kind = 'correction' AND destination = 'opik' ORDER BY id")
    ids = [str(each.id) for each in database.read_now(lambda c: corrections.of_execution(c, id_))]
    assert [row.subject for row in database.read_now(lambda c: c.execute(told).all())] == ids
    assert len(ids) == 3


def test_the_same_by_the_same_person_is_one_and_by_another_a_confirmation(database: Database) -> None:
    id_ = database.write_now(ended)
    first = say(database, id_, "add", CAUSE, by="ann")
    assert say(database, id_, "add", ALIKE, by="Ann") == (first.row, False)
    second = say(database, id_, "add", ALIKE, by="bob")
    assert (second.row.kind, second.row.refers_to, second.row.correction) == (
        "confirmation",
        first.row.id,
        ALIKE,
    )
    assert not say(database, id_, "confirm", by="bob").new
    with pytest.raises(corrections.Unfit, match="said so first"):
        say(database, id_, "confirm", by="ann")
    assert say(database, id_, "confirm", by="ann", via="slack", verified=True).new


@pytest.mark.parametrize(
    ("said", "trusted"),
    [
        ([("ann", False)], False),
        ([("ann", True)], True),
        ([("ann", False), ("bob", False), ("cid", False)], False),
        ([("ann", False), ("bob", True)], True),
        ([("ann", False), ("ANN", False)], False),
    ],
)
def test_memory_trusts_a_verified_person_and_no_number_of_typed_names(
    database: Database, said: list[tuple[str, bool]], trusted: bool
) -> None:
    id_ = database.write_now(ended)
    for name, verified in said:
        say(database, id_, "add", CAUSE, by=name, verified=verified)
    (kept,) = remembered(database)
    assert (kept.stage, kept.root_cause, kept.trusted) == ("lulu", CAUSE["actual_root_cause"], trusted)
    assert kept.symptoms == EVIDENCE[0]["finding"]
    people = {str(each["name"]).casefold() for each in kept.said_by or []}
    assert people == {name.casefold() for name, _ in said}


def test_people_who_disagree_are_followed_by_number_and_proof(database: Database) -> None:
    """Nobody on a tie; a verified person over typed names; who says that it was right counts too."""
    id_ = database.write_now(ended)

    def trusted() -> list[str]:
        return [each.root_cause for each in remembered(database) if each.trusted]

    say(database, id_, "add", CAUSE, by="ann", verified=True)
    assert trusted() == [CAUSE["actual_root_cause"]]
    say(database, id_, "add", OTHER, by="bob", verified=True)
    assert trusted() == []
    say(database, id_, "confirm", by="cid")
    assert trusted() == []
    say(database, id_, "confirm", by="cid", verified=True)
    assert trusted() == [OTHER["actual_root_cause"]]
    say(database, id_, "approve", by="dan", verified=True)
    say(database, id_, "approve", by="eve", verified=True)
    assert trusted() == []
    say(database, id_, "add", CAUSE, by="bob", verified=True)
    say(database, id_, "add", CAUSE, by="cid", verified=True)
    assert trusted() == [CAUSE["actual_root_cause"]]


def test_what_is_taken_back_leaves_memory(database: Database) -> None:
    id_ = database.write_now(ended)
    say(database, id_, "add", CAUSE, by="ann", verified=True)
    say(database, id_, "withdraw", by="ann", verified=True)
    assert remembered(database) == []


def test_what_says_only_what_was_wrong_teaches_nothing(database: Database) -> None:
    id_ = database.write_now(ended)
    say(database, id_, "add", {"what_was_wrong": "it is no outage"}, by="ann", verified=True)
    assert remembered(database) == []
    assert shown(database, id_)[0] == "user_corrected"


def test_a_typed_name_takes_back_nothing_that_was_verified(database: Database) -> None:
    id_ = database.write_now(ended)
    say(database, id_, "add", CAUSE, by="ann", via="slack", verified=True)
    with pytest.raises(corrections.NotAllowed, match="said that verified"):
        say(database, id_, "withdraw", by="ann")
    with pytest.raises(corrections.NothingSaid, match=r"what ann said, they or one of platform\.operators"):
        say(database, id_, "withdraw", by="bob", verified=True)
    say(database, id_, "add", OTHER, by="ann")
    assert [each.trusted for each in remembered(database)] == [True]
    say(database, id_, "withdraw", by="ann")
    say(database, id_, "withdraw", by="op", verified=True, anybody=True)
    assert shown(database, id_) == ("success", None)


def test_unknown_and_unfinished_executions_are_refused(database: Database) -> None:
    with pytest.raises(record.UnknownExecution, match="there is no execution 'nope'"):
        say(database, "nope", "add", CAUSE, by="ann")
    id_ = database.write_now(began).execution_id
    for what, said in (("add", [CAUSE]), ("confirm", []), ("approve", []), ("withdraw", [])):
        with pytest.raises(corrections.Unfinished, match="has not ended yet"):
            say(database, id_, what, *said, by="ann")


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({}, "at least one field"),
    ({"actual_root_cause": "x" * 1_000_000}, "has 1,000,000 characters; say it in 4,000 at most"),
    ({"actual_root_cause": " \n\t "}, "actual_root_cause is empty"),
    ({"Root Cause; DROP": "x"}, "is no field's name"),
    ({"a\x1b[2J": "x"}, "is no field's name"),
    ({f"field_{number}": "x" for number in range(11)}, "10 are taken at most"),
    ({"actual_root_cause": ["x"]}, "is list; write a text"),
]


def test_what_nobody_would_write_is_refused(database: Database) -> None:
    id_ = database.write_now(ended)
    for said, reason in UNFIT:
        with pytest.raises(corrections.Unfit, match=reason):
            say(database, id_, "add", said, by="ann")
    with pytest.raises(corrections.Unfit, match="needs the name"):
        say(database, id_, "add", CAUSE, by=" ")
    assert shown(database, id_) == ("success", None)


def test_signs_that_a_terminal_obeys_are_not_kept_and_markup_is_text(database: Database) -> None:
    id_ = database.write_now(ended)
    evil = "\x1b[31mred\x00 <script>alert(1)</script> [x](http://evil) \u202eabc"
    kept = say(database, id_, "add", {"actual_root_cause": evil}, by="a\x07nn").row
    assert kept.correction == {
        "actual_root_cause": "�[31mred� <script>alert(1)</script> [x](http://evil) �abc"
    }
    assert kept.corrected_by == "a�nn"


def test_a_clock_that_jumps_back_changes_no_order(database: Database) -> None:
    id_ = database.write_now(ended)
    say(database, id_, "add", CAUSE, by="ann", now=NOW)
    say(database, id_, "add", OTHER, by="bob", now=NOW - timedelta(days=400))
    assert shown(database, id_) == ("user_corrected", OTHER)


def test_statements_about_one_execution_are_bounded(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "MOST_SAID", 2)
    id_ = database.write_now(ended)
    say(database, id_, "add", CAUSE, by="ann")
    say(database, id_, "confirm", by="bob")
    with pytest.raises(corrections.Unfit, match="no more are taken"):
        say(database, id_, "confirm", by="cid")


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["add", "confirm", "approve", "withdraw"]),
        st.sampled_from(["ann", "bob", "cid"]),
        st.booleans(),
        st.sampled_from([CAUSE, ALIKE, OTHER]),
    ),
    max_size=12,
)


@given(ACTS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_said_in_whatever_order(database: Database, acts: list[Any]) -> None:
    """Nothing is lost, the view follows what stands, a person counts once, memory has what claims say."""

    def work(conn: Connection) -> None:
        number = conn.execute(text("SELECT COUNT(*) FROM executions")).scalar_one()
        id_, taken = ended(conn, f"run-{number}"), 0
        for what, name, verified, said in acts:
            arguments = [said] if what == "add" else []
            try:
                given = getattr(corrections, what)(
                    conn, id_, *arguments, by=name, via="cli", verified=verified
                )
            except (corrections.Unfit, corrections.NothingSaid, corrections.NotAllowed):
                continue
            taken += given.new
        all_ = corrections.of_execution(conn, id_)
        assert len(all_) == taken
        standing = corrections.standing(all_)
        newest = [each.correction for each in standing if each.kind == "correction"][-1:]
        row = record.view(conn, id_)
        assert row is not None
        assert row.user_correction == (newest[0] if newest else None)
        found = claims.claims(standing)
        names = [each.corrected_by for one in found for each in one.support]
        assert len(names) == len(set(names))
        assert sum(one.trusted for one in found) <= 1
        mine = [each.correction_id for each in incidents.find(conn) if each.correction_id]
        assert {one.said.id for one in found if one.said} == set(mine) & {each.id for each in all_}

    database.write_now(work)
