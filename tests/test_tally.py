"""Totals: whatever ends, and whatever becomes known late, they equal the record."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select, text

from blocks.database import Database
from blocks.migrations.upgrade import alembic_config
from blocks.schema import counters, execution_slots, execution_totals, executions, metadata
from tasks import corrections, handoffs, journal, record, spend, tally
from tests.record_world import NOW, began, new_database, new_postgres, step  # noqa: F401

ENDS = st.lists(
    st.tuples(
        st.sampled_from(["ecm-triage", "ecm-diagnose", "fraud-qa"]),
        st.sampled_from(["success", "partial", "error", "refused"]),
        st.floats(0, 900, allow_nan=False),
        st.integers(0, 5_000),
        st.integers(0, 9_000),
    ),
    max_size=12,
)


def end(conn: Connection, number: int, what: tuple[Any, ...]) -> None:
    """An execution with one paid turn whose lease ran out, and whose true cost came after its end."""
    skill, outcome, seconds, reserved, true = what
    at = NOW + timedelta(minutes=7 * number)
    id_ = began(conn, skill, f"{skill}-run-{at:%H%M}-{number}", now=at).execution_id
    reservation = spend.reserve(
        conn, domain="ecm", execution_id=id_, sequence=1, micro=reserved, budgets=spend.Budgets(), now=at
    )
    spend.lapse(conn, at + timedelta(days=1))
    record.finish(conn, id_, outcome, latency_seconds=seconds, now=at)
    record.finish(conn, id_, "error", latency_seconds=1.0, now=at)
    spend.settle(conn, reservation, true)


def grouped(conn: Connection, columns: str, table: str) -> list[tuple[Any, ...]]:
    query = f"SELECT {columns}, SUM(executions), SUM(cost_micro) FROM {table} GROUP BY {columns}"
    return sorted(tuple(row) for row in conn.execute(text(query)))


def counted(conn: Connection, columns: str) -> list[tuple[Any, ...]]:
    """The same from the record."""
    query = f"SELECT {columns}, COUNT(*), SUM(cost_micro) FROM executions WHERE outcome IS NOT NULL"
    return sorted(tuple(row) for row in conn.execute(text(f"{query} GROUP BY {columns}")))


@given(ENDS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_totals_equal_the_record(database: Database, ends: list[tuple[Any, ...]]) -> None:
    """By all labels, over all that earlier examples left."""

    def work(conn: Connection) -> None:
        start = conn.execute(text("SELECT COUNT(*) FROM executions")).scalar_one()
        for number, what in enumerate(ends, start):
            end(conn, number, what)

    database.write_now(work)
    labels = "domain, skill_name, skill_role, model, outcome"
    total, known = database.read_now(
        lambda conn: (grouped(conn, labels, "execution_totals"), counted(conn, labels))
    )
    assert total == known
    slots = database.read_now(lambda conn: grouped(conn, "domain, skill_name, outcome", "execution_slots"))
    assert slots == database.read_now(lambda conn: counted(conn, "domain, skill_name, outcome"))


def test_a_latency_stands_in_the_smallest_bucket_that_holds_it(database: Database) -> None:
    for number, seconds in enumerate((0.1, 0.11, 30.0, 30.1, 301.0)):
        database.write_now(
            lambda c, n=number, s=seconds: record.finish(
                c, began(c, run_id=f"run-{n}").execution_id, "success", latency_seconds=s
            )
        )
    query = text("SELECT bucket, executions FROM execution_totals")
    rows = dict(database.read_now(lambda c: c.execute(query).tuples().all()))
    assert rows == {"0.1": 1, "0.25": 1, "30": 1, "45": 1, "+Inf": 1}


def test_events_are_counted_where_they_happen_and_once(database: Database) -> None:
    """A decision that stands already, and a second end of an execution, count nothing."""

    def work(conn: Connection) -> None:
        id_ = began(conn, "ecm-triage").execution_id
        handoff = handoffs.Handoff(
            run_id="ecm-run", from_execution_id=id_, from_skill="ecm-triage", to_skill="none"
        )
        assert [handoffs.add(conn, handoff), handoffs.add(conn, handoff)] == [True, False]
        journal.append(conn, step(id_, 1))
        record.finish(conn, id_, "success")
        corrections.add(conn, id_, {"actual_root_cause": "x"}, by="ann", via="cli")

    database.write_now(work)
    rows = database.read_now(lambda c: c.execute(text("SELECT name, labels, value FROM counters")).all())
    assert sorted(map(tuple, rows)) == [
        (tally.CORRECTIONS, '{"domain":"ecm"}', 1),
        (tally.ROUTING, '{"from_skill":"ecm-triage","to_skill":"none"}', 1),
    ]
    waiting = database.read_now(lambda c: c.execute(text("SELECT destination, kind FROM outbox")).all())
    assert sorted(map(tuple, waiting)) == [
        ("langfuse", "correction"),
        ("langfuse", "execution"),
        ("opik", "correction"),
        ("opik", "execution"),
    ]


def _old(conn: Connection, run_id: str, at: datetime, **ended: Any) -> str:
    """An execution in the columns that there have always been."""
    execution_id = f"ecm-diagnose-{run_id}"
    values = {"execution_id": execution_id, "key": run_id, "run_id": run_id, "started_at": at}
    of = {"domain": "ecm", "skill_name": "ecm-diagnose", "skill_role": "specialist"}
    conn.execute(insert(executions).values(**values, **of, model="m", provider="offline", **ended))
    return execution_id


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_record_from_before_the_totals_is_counted(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Its executions, decisions and corrections, as if they had been counted from the start."""
    url = f"sqlite:///{tmp_path}/record.db"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres_url")
    database = Database(url)
    database.write_now(lambda c: command.upgrade(alembic_config(c), "0003"))

    def fill(conn: Connection) -> None:
        for number, seconds in enumerate((None, 0.1, 0.1, 29.9, 1000.0)):
            ended = {"outcome": "success", "latency_seconds": seconds, "cost_micro": 10**number}
            execution_id = _old(conn, f"run-{number}", NOW + timedelta(minutes=7 * number), **ended)
        _old(conn, "still-running", NOW)
        correction = {"correction": {"actual_root_cause": "x"}, "corrected_by": "ann", "via": "cli"}
        conn.execute(insert(table).values(execution_id=execution_id, created_at=NOW, **correction))

    table = metadata.tables["corrections"]
    database.write_now(fill)
    database.migrate()
    labels = "domain, skill_name, skill_role, model, outcome"
    assert database.read_now(lambda c: grouped(c, labels, "execution_totals")) == database.read_now(
        lambda c: counted(c, labels)
    )
    slots = select(execution_slots.c.slot, execution_slots.c.executions).order_by(execution_slots.c.slot)
    at = NOW.replace(minute=0, second=0)
    assert database.read_now(lambda c: c.execute(slots).all()) == [
        (at, 2),
        (at + tally.SLOT, 2),
        (at + 2 * tally.SLOT, 1),
    ]
    buckets = select(execution_totals.c.bucket, execution_totals.c.executions)
    rows = dict(database.read_now(lambda c: c.execute(buckets).tuples().all()))
    assert rows == {"0.1": 3, "30": 1, "+Inf": 1}
    counted_events = database.read_now(lambda c: c.execute(select(counters)).all())
    assert [tuple(row) for row in counted_events] == [(tally.CORRECTIONS, '{"domain":"ecm"}', 1)]
    database.close()
